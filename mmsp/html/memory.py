"""The activation memory over the steps of a program: which tensor lies where, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from hdl.config import ACT_BANKS, ChipConfig
from mmsp.description import Description
from mmsp.html.figures import TINTS, colour, new_figure, to_svg

__all__ = ["Block", "memory_blocks", "memory_figure"]

KIB = 1024
PLOT_POINTS = 640
"""Width of the plot; a letter of a name takes about `LETTER_POINTS`."""
LETTER_POINTS = 4.6
LINE_POINTS = 9.0
MOST_TICKS = 36
HEIGHT = 4.2  # inches
POINTS_AN_INCH = 72


@dataclass(frozen=True)
class Block:
    """A tensor's bytes, over all banks, and the steps from its first to its last, included."""

    name: str
    start: int
    size: int
    first: int
    last: int
    pixels: tuple[int, int, int]


def memory_blocks(description: Description, config: ChipConfig) -> list[Block]:
    """All stored tensors in the order in which they come alive."""
    word = ACT_BANKS * config.rows
    blocks = [
        Block(
            name,
            tensor.placement.base * word,
            tensor.placement.words * word,
            tensor.first,
            tensor.last,
            tensor.placement.pixels,
        )
        for name, tensor in description.tensors.items()
    ]
    return sorted(blocks, key=lambda block: (block.first, block.start))


def memory_figure(description: Description, config: ChipConfig) -> str:
    """A rectangle for each tensor; a sum that overwrites an operand is drawn over it."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415  (slow to import)

    blocks = memory_blocks(description, config)
    names = short_names([block.name for block in blocks])
    top = max((block.start + block.size for block in blocks), default=0) / KIB
    last = max((block.last for block in blocks), default=0)
    tips = {}
    with new_figure(HEIGHT) as figure:
        axes = figure.subplots()
        axes.set(xlim=(-1.5, last + 0.5), ylim=(0, 1.06 * max(top, 1 / KIB)))
        axes.set(xlabel="layer", ylabel="KiB of activation memory")
        for index, block in enumerate(blocks):
            gid = f"block{index}"
            start, size = block.start / KIB, block.size / KIB
            left, right = visible(block, blocks)
            width = right - left
            axes.add_patch(
                Rectangle((left, start), width, size, facecolor=TINTS[index % len(TINTS)],
                          edgecolor=colour("ink"), linewidth=0.5, gid=gid)
            )  # fmt: skip
            tips[gid] = (
                f"{block.name}: {' x '.join(map(str, block.pixels))}, {block.size:,} bytes from "
                f"{block.start:,}; steps {block.first} to {block.last}"
            )
            room = width * PLOT_POINTS / (last + 2)
            tall = block.size / KIB / max(top, 1 / KIB) * HEIGHT * POINTS_AN_INCH * 0.8
            if text := fit(names[block.name], room, tall):
                axes.text(left + width / 2, start + size / 2, text, ha="center", va="center",
                          fontsize=8, clip_on=True)  # fmt: skip
        axes.axhline(top, color=colour("muted"), linewidth=0.8, linestyle=(0, (4, 3)))
        capacity = f"at most {top:.1f} of {config.activation_kib} KiB"
        axes.text(last + 0.5, top, capacity, ha="right", va="bottom", fontsize=8)
        steps = [-1, *range(last + 1)]
        every = -(-len(steps) // MOST_TICKS)
        ends = ["in", *(str(layer + 1) for layer in description.steps), "out"]
        ticks = [step for step in steps if step % every == 0 or step in (-1, last)]
        axes.set_xticks(ticks, [ends[min(step + 1, len(ends) - 1)] for step in ticks])
        return to_svg(
            figure, "memory", f"Activation memory of {config.name}: {len(blocks)} tensors", tips
        )


def visible(block: Block, blocks: Sequence[Block]) -> tuple[float, float]:
    """Where a rectangle begins and ends: one that overwrites another meets it within the step."""

    def meets(one: Block, other: Block) -> bool:
        return one.start < other.start + other.size and other.start < one.start + one.size

    begins = any(o.first < block.first == o.last and meets(o, block) for o in blocks)
    ends = any(block.first < o.first == block.last and meets(o, block) for o in blocks)
    return block.first - (0 if begins else 0.5), block.last + (0 if ends else 0.5)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names as short as they can be told apart.

    Converters join the names of what they fuse with semicolons, and all begin with the model's.
    """
    heads = {name: name.split(";")[0] for name in names}
    paths = [head.split("/")[:-1] for head in heads.values() if "/" in head]
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    common = "".join(f"{parts[0]}/" for parts in shared)
    short = {name: head.removeprefix(common) for name, head in heads.items()}
    return {
        name: text if text and list(short.values()).count(text) == 1 else name
        for name, text in short.items()
    }


def fit(name: str, width: float, height: float) -> str:
    """As much of a name as has room; nothing when that says too little."""
    name = "".join(
        letter if letter.isprintable() else "?" for letter in name
    )  # XML takes no others
    letters = int(width / LETTER_POINTS)
    if height < LINE_POINTS or letters < min(len(name), 4):
        return ""
    return name if len(name) <= letters else f"{name[: letters - 1]}\N{HORIZONTAL ELLIPSIS}"


def peak_bytes(blocks: Sequence[Block]) -> int:
    """End of the highest block."""
    return max((block.start + block.size for block in blocks), default=0)
