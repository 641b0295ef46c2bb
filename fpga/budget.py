"""What the chip may take of an ECP5, and where it takes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from fpga.resources import Resources
from hdl.config import ChipConfig

__all__ = ["BLOCKS", "Usage", "by_block", "excesses", "usages"]

BLOCKS = {
    "array": ("engine.array",),
    "requantizers": ("engine.drain.requantizer_",),
    "walker, fetch": ("engine.walker", "engine.fetch"),
    "align": ("engine.align",),
    "accumulators": ("engine.accumulators",),
    "drain": ("engine.drain",),
    "activation memory": ("memory",),
    "loader, parameters": ("engine.loader", "engine.parameters"),
    "serial, softmax": ("engine.serial",),
    "vector unit": ("engine.vector",),
    "weight cache": ("cache",),
    "sequencing": ("",),
}
"""Blocks by how the paths of their modules below the top begin; the first that fits holds."""

REQUANTIZER_MULTIPLIERS = 4
"""An exact 32 x 31 bit product takes four of 18 x 18."""

OTHER_MULTIPLIERS = 28
"""For addresses, softmax, the front ends and the CPU."""

PERCENT_OF_PART = 50
"""Of LUTs, flip-flops and block RAM; the other half is for the CPU, the front ends and routing."""


@dataclass(frozen=True)
class Usage:
    """One line of the check: a class of cells, what is used, and what may be."""

    what: str
    used: int
    budget: int
    available: int


def by_block(modules: Mapping[str, Mapping[str, int]]) -> dict[str, Resources]:
    """Sum the cells of `fpga.synthesis.synthesize`, modules apart, over each of `BLOCKS`."""
    blocks = dict.fromkeys(BLOCKS, Resources())
    for module, cells in modules.items():
        path = module.partition(".")[2]
        block = next(
            name for name, starts in BLOCKS.items() if any(path.startswith(s) for s in starts)
        )
        blocks[block] += Resources.of_cells(cells)
    return blocks


def usages(
    config: ChipConfig, total: Resources, blocks: Mapping[str, Resources], part: Resources
) -> list[Usage]:
    """Set what is used against its budget and against the part.

    ``total`` is of the flattened chip.  Which part of it a multiplier belongs to is only known of
    ``blocks``; their sum is the same, because nothing is optimised across a multiplier.
    """
    array, requantizers = blocks["array"].multipliers, blocks["requantizers"].multipliers
    of_array = config.macs_per_cycle
    of_requantizers = REQUANTIZER_MULTIPLIERS * config.requantizers

    def share(available: int) -> int:
        return available * PERCENT_OF_PART // 100

    return [
        Usage("LUT4", total.luts, share(part.luts), part.luts),
        Usage("flip-flop", total.flip_flops, share(part.flip_flops), part.flip_flops),
        Usage("DP16KD block RAM", total.block_rams, share(part.block_rams), part.block_rams),
        Usage(
            "MULT18X18D",
            total.multipliers,
            of_array + of_requantizers + OTHER_MULTIPLIERS,
            part.multipliers,
        ),
        Usage("- array", array, of_array, part.multipliers),
        Usage("- requantizers", requantizers, of_requantizers, part.multipliers),
        Usage(
            "- everything else",
            total.multipliers - array - requantizers,
            OTHER_MULTIPLIERS,
            part.multipliers,
        ),
    ]


def excesses(lines: list[Usage], part_name: str) -> list[str]:
    """Name what exceeds the part, or else its budget."""
    found = []
    for line in lines:
        what = line.what.removeprefix("- ")
        if line.used > line.available:
            found.append(
                f"{what} takes {line.used:,} of the {line.available:,} that an {part_name} has"
            )
        elif line.used > line.budget:
            found.append(f"{what} takes {line.used:,}, its budget is {line.budget:,}")
    return found
