"""The plan of the activation memory as a picture in characters: addresses over steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase, digits

from rich.text import Text

from hdl.config import ACT_BANKS, ChipConfig
from mmsp.description import Description, StoredTensor

__all__ = ["LegendEntry", "draw_memory", "legend", "letter_style"]

LETTERS = ascii_uppercase + ascii_lowercase + digits
MANY = "#"
"""Letter of all tensors that there is no letter left for."""
FREE = "."
MOST_ROWS = 24
MOST_COLUMN_WIDTH = 4
LABEL_WIDTH = 10
KIB = 1024
SMALLEST_UNIT = 64
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """A letter of the picture.  ``size`` and ``start`` in bytes over all banks."""

    letter: str
    name: str
    tensor: StoredTensor
    start: int
    size: int


def letter_style(letter: str) -> str:
    """Colour of a letter on a terminal."""
    return "dim" if letter == FREE else COLOURS[(LETTERS + MANY).index(letter) % len(COLOURS)]


def legend(description: Description, config: ChipConfig) -> list[LegendEntry]:
    """All stored tensors in the order in which they come alive."""
    ordered = sorted(
        description.tensors.items(), key=lambda item: (item[1].first, item[1].placement.base)
    )
    word = ACT_BANKS * config.rows
    return [
        LegendEntry(
            letter=LETTERS[index] if index < len(LETTERS) else MANY,
            name=name,
            tensor=tensor,
            start=tensor.placement.base * word,
            size=tensor.placement.words * word,
        )
        for index, (name, tensor) in enumerate(ordered)
    ]


def draw_memory(description: Description, config: ChipConfig, width: int) -> Text:
    """Draw which tensor holds which addresses in which step.

    A row is a range of addresses over all banks, labelled with its first KiB; a column is a step,
    or several when there are many.  Every range that a tensor touches is drawn as its own, the
    small ones over the large ones, so that none is hidden.
    """
    entries = legend(description, config)
    steps = range(-1, max((entry.tensor.last for entry in entries), default=-1) + 1)
    top = max((entry.start + entry.size for entry in entries), default=0)
    unit = SMALLEST_UNIT
    while -(-top // unit) > MOST_ROWS:
        unit *= 2
    room = max(width - LABEL_WIDTH, 1)
    column_width = max(1, min(MOST_COLUMN_WIDTH, room // len(steps)))
    per_column = -(-len(steps) * column_width // room)
    columns = -(-len(steps) // per_column)
    cells = [[FREE] * columns for _ in range(-(-top // unit))]
    for entry in sorted(entries, key=lambda entry: (-entry.size, entry.tensor.first)):
        rows = range(entry.start // unit, -(-(entry.start + entry.size) // unit))
        first, last = ((step + 1) // per_column for step in (entry.tensor.first, entry.tensor.last))
        for row in rows:
            cells[row][first : last + 1] = entry.letter * (last + 1 - first)

    text = Text(no_wrap=True)
    text.append(" " * LABEL_WIDTH + step_labels(steps, column_width, per_column) + "\n", "dim")
    for index, row in enumerate(cells):
        text.append(f"{index * unit / KIB:>7.2f}K  ", "dim")
        for letter in row:
            text.append(letter * column_width, letter_style(letter))
        text.append("\n")
    text.append(f"{len(cells) * unit / KIB:>7.2f}K", "dim")
    return text


def step_labels(steps: Sequence[int], column_width: int, per_column: int) -> str:
    """Numbers of every few steps, above their columns; the first one is the input's."""
    line = ""
    for column in range(-(-len(steps) // per_column)):
        at = column * column_width
        label = str(steps[column * per_column])
        if len(line) + (1 if line else 0) <= at:
            line = line.ljust(at) + label
    return line
