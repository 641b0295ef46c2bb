"""LOGISTIC and TANH of int16 against TensorFlow Lite Micro, for every int16 argument."""

import math

import numpy as np
import pytest
from random_operators import single_operator

from mmsp.graph import Quantization, Tensor
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm
from models.engine.curves import LARGEST_CURVE_MULTIPLIER, curve, sigmoid_table

ARGUMENTS = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
UNITS = 3 * 4096
"""The table wants its argument in units of 1 / 12288."""

SCALES = [
    2.0**-12,
    2.0**-11,
    2.0**-13,
    2.0**-15,
    2.0**-3,
    1.0,
    2.6,
    1e-3,
    3.1e-4,
    1e-5,
    1e-9,
    1e-12,
]


def prepare(kind, scale):
    """TFLM's multiplier and shift, both prepare functions in one."""
    scale = float(np.float32(scale))
    power = math.log2(scale)
    if power == round(power) and 12 + power in ([0] if kind == "logistic" else [0, 1]):
        return 3 << int(12 + power), 0
    multiplier, shift = scale * UNITS, 0
    while multiplier <= 32767 / 2 and shift <= 30:
        multiplier, shift = 2 * multiplier, shift + 1
    return int(multiplier), shift


def judged(kind, scale):
    """What TFLM makes of all arguments."""
    shape = (1, 256, 256, 1)
    tensors = [
        Tensor(name, shape, np.dtype(np.int16), Quantization((scale,), (0,)))
        for name, scale in (("x", float(np.float32(scale))), ("y", 2.0**-15))
    ]
    graph = single_operator(kind.upper(), [tensors[0]], [], tensors[1], {})
    (result,) = run_tflm(write_tflite(graph), [ARGUMENTS.reshape(shape)])
    return result.reshape(-1)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["logistic", "tanh"])
def test_equals_tflm(kind, scale):
    multiplier, shift = prepare(kind, scale)
    assert multiplier <= LARGEST_CURVE_MULTIPLIER
    ours = curve(ARGUMENTS, kind=kind, multiplier=multiplier, shift=shift)
    np.testing.assert_array_equal(ours, judged(kind, scale))


def test_every_entry_is_judged():
    """An argument of ``256 * i`` shows TANH's entry ``i`` as it is, less a half."""
    scale = float(np.nextafter(np.float32(2 / UNITS), np.float32(1)))
    assert prepare("tanh", scale) == (1 << 14, 13)  # twice the argument
    shown = judged("tanh", scale)[(1 << 15) :: 128].astype(np.int64) + (1 << 15)
    assert shown.tolist() == sigmoid_table().tolist()


@pytest.mark.parametrize(("kind", "reference"), [
    ("logistic", lambda x: 1 / (1 + np.exp(-x))),
    ("tanh", np.tanh),
])  # fmt: skip
def test_comes_close(kind, reference):
    """The published table and its interpolation, against the functions themselves."""
    got = curve(ARGUMENTS, kind=kind, multiplier=3, shift=0) / (1 << 15)
    assert np.abs(got - reference(ARGUMENTS / 4096)).max() < 2.0**-14


@pytest.mark.parametrize(("multiplier", "shift", "message"), [
    (1 << 16, 0, r"multiplier must be in 0..65535, not 65536"),
    (-1, 0, "multiplier must be in"),
    (3, 32, r"shift must be in 0..31, not 32"),
])  # fmt: skip
def test_refuses(multiplier, shift, message):
    with pytest.raises(ValueError, match=message):
        curve(ARGUMENTS, kind="tanh", multiplier=multiplier, shift=shift)
