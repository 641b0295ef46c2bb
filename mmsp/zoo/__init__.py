"""A network that the project trains itself, and real digits for it to read.

The images are the UCI "Optical Recognition of Handwritten Digits" of E. Alpaydin and C. Kaynak
(1998, doi 10.24432/C50P49, CC BY 4.0), as scikit-learn distributes them.
"""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["digits_model", "held_out_digits", "quantize_digits"]

INK = 16
GREYS = 255
INT8_OFFSET = 128


def digits_model() -> bytes:
    """The int8 digit network as a .tflite file: ``(1, 8, 8, 1)`` to ten probabilities."""
    return files(__name__).joinpath("digits.tflite").read_bytes()


def held_out_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The 360 digits that training never saw.

    Returns
    -------
    images : ndarray of uint8, shape (360, 8, 8)
        0 is paper, 16 is ink.
    labels : ndarray of int64, shape (360,)
        0, 1, .. 9, 0, 1, ..
    """
    with files(__name__).joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        return arrays["images"], arrays["labels"].astype(np.int64)


def quantize_digits(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Images ``(n, 8, 8)`` of 0..16 as the network takes them: int8 ``(n, 1, 8, 8, 1)``.

    The network's input is a grey value of 0..255 minus 128, so 16 becomes 127 and 0 becomes -128.
    """
    greys = (images.astype(np.int64) * GREYS + INK // 2) // INK
    return (greys - INT8_OFFSET).astype(np.int8)[:, None, :, :, None]
