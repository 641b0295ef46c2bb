"""The vector unit's model: tensors through the memory and back, against NumPy and the operators."""

import numpy as np
import pytest

from hdl.config import SMALL
from mmsp.compiler.placement import Placement
from models import engine
from models.engine.elementwise import add, combine, multiply, rescale
from models.engine.vector import Level, Place, VectorJob, run_vector

ROW, COLUMN, CHANNEL = range(3)
SIZE = (3, 4, 6)
DTYPES = {0: np.int8, 1: np.int16}


class Memory:
    """Banks, and tensors that are put there and taken out again."""

    def __init__(self, rng):
        shape = (4, SMALL.bank_words, SMALL.rows)
        self.banks = rng.integers(0, 256, shape).astype(np.uint8)

    def placement(self, pixels, wide, base, row0):
        return Placement(
            pixels=pixels,
            word_bytes=SMALL.rows,
            packed=False,
            base=base,
            row0=row0,
            wide=bool(wide),
        )

    def put(self, values, base, row0):
        """Store ``values``, (H, W, C); return their place."""
        wide = int(values.dtype == np.int16)
        placement = self.placement(values.shape, wide, base, row0)
        self.banks[placement.addresses()] = placement.pack(values)
        return self.place(placement)

    def place(self, placement, **fields):
        return Place(
            base=placement.base,
            row0=placement.row0,
            row_words=placement.row_words,
            pixel_words=placement.pixel_words,
            wide=int(placement.wide),
            **fields,
        )

    def run(self, pixels, wide, payload=b"", zero_point=0, **fields):
        """What a job makes of what is there; nothing else may change."""
        placement = self.placement(pixels, wide, 900, 6)
        out = self.place(placement, zero_point=zero_point)
        limits = {"out_min": -(1 << (15 if wide else 7)), "out_max": (1 << (15 if wide else 7)) - 1}
        job = VectorJob(out=out, size=pixels, **limits | fields)
        after = run_vector(job, self.banks, payload)
        result = placement.unpack(after[placement.addresses()])
        untouched = self.banks[placement.addresses()]
        changed = np.argwhere((after != self.banks).any(axis=2)).tolist()
        inside = set(zip(*(x.tolist() for x in placement.addresses()), strict=True))
        assert all(tuple(place) in inside for place in changed)
        unused = placement.pack(np.zeros(pixels, placement.dtype)) == placement.pack(
            np.full(pixels, -1, placement.dtype)
        )
        assert (after[placement.addresses()][unused] == untouched[unused]).all()
        return result


def random_tensor(rng, wide, pixels=SIZE):
    bits = 16 if wide else 8
    full = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), pixels)
    return (full >> rng.integers(0, bits, pixels)).astype(DTYPES[wide])


def levels(*walk):
    """``(count, axis, step)``, the innermost first."""
    return tuple(Level(last=count - 1, axis=axis, step=step) for count, axis, step in walk)


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize(
    "order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
)
def test_transpose(order, wide, rng):
    memory, x = Memory(rng), random_tensor(rng, wide)
    a = memory.put(x, 100, 3)
    expected = np.transpose(x, order)
    walk = levels(*((x.shape[axis], axis, 1) for axis in reversed(order)))
    result = memory.run(expected.shape, wide, function="copy", a=a, a_levels=walk)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("wide", [0, 1])
def test_slice_with_steps(wide, rng):
    memory, x = Memory(rng), random_tensor(rng, wide)
    first = memory.put(x, 100, 3)
    expected = x[::-2, 1:4:2, 5:0:-3]
    a = Place(**vars(first) | {
        "row0": first.row0 + 2, "base": first.base + first.pixel_words, "channel": 5,
    })  # fmt: skip
    height, width, channels = expected.shape
    walk = levels((channels, CHANNEL, -3), (width, COLUMN, 2), (height, ROW, -2))
    result = memory.run(expected.shape, wide, function="copy", a=a, a_levels=walk)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("wide", [0, 1])
def test_reshape(wide, rng):
    memory, x = Memory(rng), random_tensor(rng, wide)
    height, width, channels = SIZE
    walk = levels((channels, CHANNEL, 1), (width, COLUMN, 1), (height, ROW, 1))
    for shape in ((1, 1, x.size), (x.size // 2, 2, 1), (2, 4, 9)):
        a = memory.put(x, 100, 3)
        result = memory.run(shape, wide, function="copy", a=a, a_levels=walk)
        np.testing.assert_array_equal(result, x.reshape(shape))


@pytest.mark.parametrize("wide", [0, 1])
def test_load(wide, rng):
    x = random_tensor(rng, wide)
    result = Memory(rng).run(SIZE, wide, x.tobytes() + b"\x55" * 9, function="load")
    np.testing.assert_array_equal(result, x)


def natural(size=SIZE):
    return levels((size[2], CHANNEL, 1), (size[1], COLUMN, 1), (size[0], ROW, 1))


def test_table(rng):
    memory, x = Memory(rng), random_tensor(rng, 0)
    table = rng.integers(-128, 128, 256).astype(np.int8)
    a = memory.put(x, 100, 3)
    result = memory.run(SIZE, 0, table.tobytes(), function="table", a=a, a_levels=natural())
    np.testing.assert_array_equal(result, table[x.view(np.uint8)])


@pytest.mark.parametrize("kind", ["logistic", "tanh"])
def test_curves(kind, rng):
    memory, x = Memory(rng), random_tensor(rng, 1)
    scale = {"a_multiplier": 20000, "left_shift": 13}
    a = memory.put(x, 100, 3)
    result = memory.run(SIZE, 1, function=kind, a=a, a_levels=natural(), **scale)
    expected = engine.curves.curve(x, kind=kind, multiplier=20000, shift=13)
    np.testing.assert_array_equal(result, expected)


ZERO_POINTS = (-7, 12)
OUTPUT = {"output_zero_point": 5, "minimum": -100, "maximum": 120}
MAIN = {"multiplier": 3 << 29, "shift": -6}
MULTIPLIERS, SHIFTS, LEFT_SHIFT = (3 << 29, 5 << 28), (-1, -2), 8


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize("moves", [(1, 1, 1), (0, 1, 0), (0, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize(
    "function",
    ["multiply", "add", "subtract", "sum", "difference", "maximum", "minimum"],
)
def test_two_operands(function, moves, wide, rng):
    """Against the operators' models, whose judge is TFLM."""
    memory, a = Memory(rng), random_tensor(rng, wide)
    b = random_tensor(
        rng, wide, tuple(n if moved else 1 for n, moved in zip(SIZE, moves, strict=True))
    )
    common = OUTPUT | {"input_zero_points": ZERO_POINTS, "dtype": DTYPES[wide]}
    if function == "multiply":
        expected = multiply(a, b, **MAIN, **common)
    elif function in ("add", "subtract"):
        scales = {"input_multipliers": MULTIPLIERS, "input_shifts": SHIFTS}
        expected = add(
            a, b, subtract=function == "subtract", left_shift=LEFT_SHIFT, **scales, **MAIN, **common
        )
    else:
        expected = combine(a, b, kind=function, **common)
    places = [
        Place(**vars(memory.put(x, base, 2)) | {"zero_point": zero_point})
        for x, base, zero_point in zip((a, b), (100, 400), ZERO_POINTS, strict=True)
    ]
    result = memory.run(
        SIZE,
        wide,
        function=function,
        a=places[0],
        a_levels=natural(),
        b=places[1],
        b_moves=moves,
        zero_point=OUTPUT["output_zero_point"],
        out_min=OUTPUT["minimum"],
        out_max=OUTPUT["maximum"],
        a_multiplier=MULTIPLIERS[0],
        a_shift=SHIFTS[0],
        b_multiplier=MULTIPLIERS[1],
        b_shift=SHIFTS[1],
        left_shift=LEFT_SHIFT,
        **MAIN,
    )
    assert len(np.unique(expected)) > 1 or not any(moves)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("wide_in", [0, 1])
@pytest.mark.parametrize("wide_out", [0, 1])
def test_scale(wide_in, wide_out, rng):
    """Negative values by a scale of their own."""
    memory, x = Memory(rng), random_tensor(rng, wide_in)
    negative = (5 << 28, -2)
    scale = {"multiplier": 3 << 29, "shift": -1}
    expected = rescale(
        x, input_zero_point=-7, negative=negative, dtype=DTYPES[wide_out], **scale, **OUTPUT
    )
    a = Place(**vars(memory.put(x, 100, 2)) | {"zero_point": -7})
    result = memory.run(
        SIZE,
        wide_out,
        function="scale",
        a=a,
        a_levels=natural(),
        zero_point=OUTPUT["output_zero_point"],
        out_min=OUTPUT["minimum"],
        out_max=OUTPUT["maximum"],
        b_multiplier=negative[0],
        b_shift=negative[1],
        **scale,
    )
    np.testing.assert_array_equal(result, expected)


def test_refuses(rng):
    memory = Memory(rng)
    with pytest.raises(ValueError, match="function must be one of copy, load,"):
        memory.run(SIZE, 0, function="divide")
    far = Place(base=SMALL.bank_words, row_words=1, pixel_words=1)
    with pytest.raises(IndexError, match="words"):
        memory.run(SIZE, 0, function="copy", a=far, a_levels=natural())
