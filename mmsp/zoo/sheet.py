"""A picture of all digits that were classified: one row a class, what is wrong marked."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mmsp.zoo import INK

__all__ = ["draw_sheet"]

CLASSES = 10
MAGNIFICATION = 5
DIGIT = 8 * MAGNIFICATION  # pixels of a picture's side
CELL_WIDTH, CELL_HEIGHT = DIGIT + 6, DIGIT + 22
MARGIN, ROW_LABEL, HEADER = 24, 44, 84
SMALLEST_WIDTH = 880
"""Room for the headline."""

PAPER, TILE, INK_COLOUR = (246, 245, 241), (255, 255, 255), (22, 37, 66)
RIGHT, WRONG, QUIET = (150, 156, 166), (214, 40, 57), (92, 99, 112)


def draw_sheet(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    headline: str,
    subline: str,
) -> bytes:
    """Return a PNG.

    Parameters
    ----------
    images : ndarray, shape (n, 8, 8)
        0..16.
    labels, predictions : ndarray, shape (n,)
        True and predicted class; the latter stands below every digit.
    headline, subline : str
        What the sheet says at its top.
    """
    columns = int(np.bincount(labels, minlength=CLASSES).max())
    width = max(SMALLEST_WIDTH, 2 * MARGIN + ROW_LABEL + columns * CELL_WIDTH)
    sheet = Image.new("RGB", (width, HEADER + CLASSES * CELL_HEIGHT + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 18), headline, INK_COLOUR, ImageFont.load_default(24))
    draw.text((MARGIN, 50), subline, QUIET, ImageFont.load_default(15))
    row_font, label_font = ImageFont.load_default(28), ImageFont.load_default(13)
    for label in range(CLASSES):
        top = HEADER + label * CELL_HEIGHT
        middle = top + DIGIT // 2
        draw.text((MARGIN + 12, middle), str(label), INK_COLOUR, row_font, anchor="mm")
        for column, index in enumerate(np.flatnonzero(labels == label)):
            left = MARGIN + ROW_LABEL + column * CELL_WIDTH
            right = predictions[index] == label
            sheet.paste(magnify(images[index]), (left, top))
            if not right:
                draw.rectangle(
                    (left - 2, top - 2, left + DIGIT + 1, top + DIGIT + 1), None, WRONG, 3
                )
            text = str(predictions[index]) if right else f"read {predictions[index]}"
            place = (left + DIGIT // 2, top + DIGIT + 10)
            draw.text(place, text, RIGHT if right else WRONG, label_font, anchor="mm")
    buffer = BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def magnify(image: NDArray[np.uint8]) -> Image.Image:
    """A digit as it is, with visible pixels."""
    share = (image / INK)[..., None]
    colours = np.rint(np.array(TILE) * (1 - share) + np.array(INK_COLOUR) * share)
    return Image.fromarray(colours.astype(np.uint8)).resize(
        (DIGIT, DIGIT), Image.Resampling.NEAREST
    )
