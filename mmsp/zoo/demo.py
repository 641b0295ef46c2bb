"""``mmsp demo``: the chip reads handwritten digits that its network has never seen."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from mmsp.cli.output_files import OutputFiles
from mmsp.errors import InputError
from mmsp.inputs import Batch
from mmsp.loading import find_config, load_model
from mmsp.references import compare
from mmsp.report import CORE_HZ, make_console
from mmsp.simulator.simulator import Result, Simulator
from mmsp.zoo import INK, digits_model, held_out_digits, quantize_digits
from mmsp.zoo.sheet import draw_sheet

__all__ = ["add_arguments", "main"]

DEFAULT_PICTURE = Path("build/demo/digits.png")

SHADES, PLAIN_SHADES = " ░▒▓█", " .:*#"
"""From paper to ink; the second for terminals that have only ASCII."""

DIGITS_PER_LINE = 5
SHOWN_WRONG = 5
SHOWN_RIGHT = 10
GAP = "   "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--config",
        metavar="NAME",
        default="FULL",
        help="sizes of the chip: FULL (256 MAC/cycle; the default), ECP5 (96) or SMALL (16)",
    )
    parser.add_argument(
        "--count", metavar="N", type=int, help="digits to read, 1 to 360 (default: all)"
    )
    parser.add_argument(
        "--output",
        metavar="OUT.png",
        help=f"picture of all digits with what was read (default: {DEFAULT_PICTURE})",
    )


def main(arguments: argparse.Namespace) -> int:
    """Classify, compare, draw and report; 1 when the chip and a reference disagree."""
    images, labels = held_out_digits()
    count = len(images) if arguments.count is None else arguments.count
    if not 1 <= count <= len(images):
        raise InputError(f"--count must be in 1..{len(images)}, and is {count}")
    config = find_config(arguments.config)
    images, labels = images[:count], labels[:count]
    with OutputFiles([]) as files:
        picture = files.add(picture_path(arguments.output), "--output")
        assert picture is not None, "there is a default"
        model = load_model(digits_model())
        console = make_console()
        console.print(
            f"{count} real handwritten digits, none of them seen in training (UCI, CC BY 4.0)"
        )
        with Simulator(model, config) as simulator:
            batch = simulator.batch(quantize_digits(images))
            result = simulate(simulator, batch)
        (port,) = simulator.description.outputs
        predictions = result.outputs[port.name].reshape(count, -1).argmax(axis=-1)
        comparison = compare("rtl", result.outputs, model, batch)
        right = int((predictions == labels).sum())
        picture.write(
            draw_sheet(
                images,
                labels,
                predictions,
                f"{count} handwritten digits, read by the chip: {right / count:.1%} right",
                f"Every label comes from the RTL of {result.config.name}, "
                f"{result.config.macs_per_cycle} MAC a cycle.  Outputs {comparison.sentence}.  "
                "A row is a class, what was read stands below, errors are red.",
            )
        )
    show_digits(console, images, labels, predictions)
    for line in figures(result, right):
        console.print(line)
    style = "bold red" if comparison.total else "bold green" if comparison.mismatches else "dim"
    console.print(Text(comparison.sentence, style), soft_wrap=True)
    console.print(f"picture: {picture.path}", soft_wrap=True)
    return 1 if comparison.total else 0


def picture_path(given: str | None) -> str:
    """Where the picture goes; the directory of the default is made."""
    if given is not None:
        return given
    try:
        DEFAULT_PICTURE.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{str(DEFAULT_PICTURE)!r} cannot be written: {error.strerror}; name another place "
            "with --output"
        ) from None
    return str(DEFAULT_PICTURE)


def simulate(simulator: Simulator, batch: Batch) -> Result:
    """Read all digits, with a bar on a terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("reading digits on the RTL"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=batch.count)
        return simulator.run(batch, progress=lambda done, _: progress.update(task, completed=done))


def show_digits(
    console: Console,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
) -> None:
    """Some digits as characters: the first right ones and the first wrong ones."""
    right = np.flatnonzero(predictions == labels)[:SHOWN_RIGHT]
    wrong = np.flatnonzero(predictions != labels)[:SHOWN_WRONG]
    shades = SHADES if can_print(console, SHADES) else PLAIN_SHADES
    for title, chosen in (("read right", right), ("read wrong", wrong)):
        for start in range(0, len(chosen), DIGITS_PER_LINE):
            row = chosen[start : start + DIGITS_PER_LINE]
            console.print()
            for line in character_rows(images[row], shades):
                console.print(line, no_wrap=True, crop=True)
            captions = [f"{predictions[i]}, {title}" for i in row]
            if title == "read wrong":
                captions = [f"{predictions[i]}, but is {labels[i]}" for i in row]
            text = GAP.join(f"{caption:<{2 * images.shape[2]}}" for caption in captions)
            console.print(Text(text, "green" if title == "read right" else "bold red"))
    console.print()


def can_print(console: Console, text: str) -> bool:
    """Whether the terminal's encoding has these characters."""
    try:
        text.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def character_rows(images: Sequence[NDArray[np.uint8]] | NDArray, shades: str) -> Iterator[str]:
    """Digits side by side, two characters a pixel, which makes it about square."""
    for rows in zip(*images, strict=True):
        yield GAP.join(
            "".join(2 * shades[-(-int(pixel) * (len(shades) - 1) // INK)] for pixel in row)
            for row in rows
        )


def figures(result: Result, right: int) -> list[str]:
    """What it cost, and how good it is."""
    count, config = len(result.cycles_each), result.config
    low, high = min(result.cycles_each), max(result.cycles_each)
    mean = sum(result.cycles_each) / count
    microseconds = 1e6 * mean / CORE_HZ
    utilisation = result.macs / (mean * config.macs_per_cycle)
    spread = "the same for every digit" if low == high else f"{low:,} to {high:,}"
    return [
        f"accuracy   {right / count:>9.2%}  ({right} of {count})",
        f"chip       {config.name:>9}  ({config.macs_per_cycle} MAC/cycle, simulated RTL)",
        f"cycles     {mean:>9,.0f}  an inference, {spread}",
        f"time       {microseconds:>9.1f}  us an inference at {CORE_HZ / 1e6:.0f} MHz",
        f"MACs       {result.macs:>9,}  an inference: {utilisation:.1%} of what the array could do",
        f"MRAM read  {result.mram_bytes_read:>9,}  bytes an inference",
    ]
