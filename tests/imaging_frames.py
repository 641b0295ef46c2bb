"""Frames and pictures that are made up.

Not a test: tests of the image front end's host side import this.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
from judge import activation, constant, fully_connected, network, random_int8
from PIL import Image

from mmsp.imaging.frames import Frame, Layout, read_frame
from mmsp.ports import Port


def encoded(pixels, form="PNG"):
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def raw_frame(pixels, bits=12, raw_bits=None, order="RGGB", name="x.raw"):
    return Frame(name, np.asarray(pixels, np.int64), bits, raw_bits or bits, order)


def rendered(rng, rows=12, columns=20, name="x.png"):
    return read_frame(
        Path(name), encoded(rng.integers(0, 256, (rows, columns, 3), np.uint8)), Layout()
    )


def scenery(rng, rows=48, columns=64, top=4095):
    """Pixels of a smooth RAW picture with noise."""
    y, x = np.indices((rows, columns))
    light = (np.sin(x / 9) + np.cos(y / 7) + 2.2) / 5 * top
    return np.clip(light + rng.normal(0, top / 100, (rows, columns)), 0, top).astype(np.int64)


def port(scale=1 / 255, zero_point=-128, shape=(1, 8, 10, 3), **rest):
    return Port(
        name="picture", shape=shape, dtype="int8", scale=scale, zero_point=zero_point,
        tensor="picture", **rest,
    )  # fmt: skip


def scene_network(rng):
    """A network whose input is a picture of 12 x 20 pixels."""
    source = activation("scene", (1, 12, 20, 3), 1 / 255, -128)
    weights = constant("weights", random_int8(rng, (4, 720)), (0.01,))
    node = fully_connected(source, weights, None, activation("scores", (1, 4), 4.0))
    return network(node, name="scene")
