# amaranth: UnusedElaboratable=no

"""From pictures to words of the activation memory: tensors where the compiler puts them."""

import json
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from published import DATA, needs_data

import mmsp.zoo
from hdl.image.tensor_path import TensorPath
from hdl.image.tensor_words import TensorWords
from mmsp.compiler.placement import Placement
from mmsp.loading import find_config, load_image
from models.image.quantiser import tensor_format
from verif.formal import prove
from verif.sim import simulate

ADDRESS_BITS, DEPTH = 11, 8

SHAPES = (
    # rows, columns, crop, output's rows and columns
    (12, 14, (1, 1, 12, 10), (7, 9)),
    (9, 5, (0, 0, 5, 9), (9, 5)),
    (6, 8, (2, 0, 6, 6), (3, 2)),
    (7, 9, (3, 2, 5, 5), (5, 1)),
    (5, 12, (0, 1, 12, 4), (1, 11)),
    (4, 4, (1, 1, 1, 1), (1, 1)),
    (20, 17, (0, 3, 17, 17), (17, 16)),
)


def case_of(placement, shape, crop, size, channels, *, flat=False, quantisation=None):
    """What the bench needs: registers, and which element of the tensor each byte is."""
    rows, columns = shape
    height, width = size
    count = height * width * channels
    numbers = np.arange(count)
    elements = sum(
        placement.pack((numbers >> shift & 0x7F).astype(np.int8)).astype(int) << shift
        for shift in (0, 7, 14)
    )
    used = placement.pack(np.ones(count, np.int8)) != 0
    assert used.sum() == count
    bank, address = placement.addresses()
    return {
        "rows": rows, "columns": columns, "crop": crop, "width": width, "height": height,
        "format": quantisation,
        "place": {
            "base": placement.base, "row0": placement.row0, "row_words": placement.row_words,
            "packed": int(placement.packed or flat), "flat": int(flat), "grey": int(channels == 1),
        },
        "bank": bank.tolist(), "address": address.tolist(),
        "elements": np.where(used, elements, -1).tolist(),
    }  # fmt: skip


def cases_of(word_bytes):
    """Every layout of every shape; some rows lie further apart than they are long."""
    rng = np.random.default_rng(20_261_123)
    cases = []
    for number, (rows, columns, crop, (height, width)) in enumerate(SHAPES):
        for channels in (3, 1):
            for layout in ("packed", "blocked", "flat"):
                pixels = (height, width, channels)
                flat = layout == "flat"
                place = Placement(
                    pixels=(1, 1, height * width * channels) if flat else pixels,
                    word_bytes=word_bytes, packed=layout == "packed",
                    base=int(rng.integers(0, 100)), row0=int(rng.integers(4)),
                )  # fmt: skip
                quantisation = tensor_format(
                    *((1 / 255, -128), (0.0123, 17, -2.5, 2.4), (0.003, -90, 1, 0))[number % 3]
                )
                cases.append(
                    case_of(
                        place, (rows, columns), crop, (height, width), channels, flat=flat,
                        quantisation=[quantisation.multiplier, quantisation.offset],
                    )
                )  # fmt: skip
    return cases


def simulate_path(word_bytes, cases, directory, **arguments):
    path = directory / "cases.json"
    path.write_text(json.dumps(cases))
    simulate(
        TensorPath(word_bytes, ADDRESS_BITS, DEPTH),
        bench="verif.tb_image_tensor",
        name=f"image_tensor_{word_bytes}",
        parameters={
            "cases": str(path), "depth": DEPTH,
            "word_bytes": word_bytes, "address_bits": ADDRESS_BITS,
        },
        **arguments,
    )  # fmt: skip


@pytest.mark.sim
@pytest.mark.parametrize("word_bytes", [4, 16])
def test_tensors_match_model_and_compiler(word_bytes, tmp_path):
    # Of the long words, which differ less, every fifth case: each layout, colours and grey.
    simulate_path(word_bytes, cases_of(word_bytes)[:: 1 if word_bytes == 4 else 5], tmp_path)


DIGITS = Path(mmsp.zoo.__file__).with_name("digits.tflite")


@pytest.mark.sim
@pytest.mark.parametrize(
    ("path", "channels", "white"),
    [
        (DIGITS, 1, 1),
        pytest.param(DATA / "mlcommons-tiny/models/vww_96_int8.tflite", 3, 1, marks=needs_data),
        pytest.param(
            DATA / "mlcommons-tiny/models/pretrainedResnet_quant.tflite", 3, 255, marks=needs_data
        ),
    ],
    ids=["digits", "vww", "resnet"],
)
def test_words_are_those_of_networks(path, channels, white, tmp_path):
    """The input of a network in the image that the compiler makes of it."""
    image = load_image(path, find_config("FULL"))
    (port,) = image.description.inputs
    placement = image.description.tensors[port.tensor].placement
    height, width, depth = placement.pixels
    assert depth == channels
    quantisation = tensor_format(port.scale, port.zero_point, 0, white)
    case = case_of(
        placement, (height, width + 3), (2, 0, width, height), (height, width), channels,
        quantisation=[quantisation.multiplier, quantisation.offset],
    )  # fmt: skip
    simulate_path(16, [case], tmp_path, testcase="whole_tensor")


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((3, 9, 4), "word_bytes must be at least 4, not 3"),
        ((4, 0, 4), "address_bits must be at least 1, not 0"),
        ((4, 9, 1), "depth must be at least 2, not 1"),
    ],
)
def test_refuses(sizes, sentence):
    with pytest.raises(ValueError, match=sentence):
        TensorWords(*sizes)


class EveryFrame(TensorWords):
    """Takes them all."""

    def select(self, m):
        return self.i.valid & ~self.abort


class Frames(wiring.Component):
    """`TensorWords` of frames of one size and layout, which are whatever they were at first."""

    columns: In(range(4))
    rows: In(range(4))
    layout: In(3)
    step: In(1)
    abort: In(1)
    ready: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = EveryFrame(4, 1, 2)
        begun, grey, packed, flat = (Signal(init=init) for init in (0, 0, 1, 0))
        columns, rows = Signal(range(4), init=1), Signal(range(4), init=1)
        column, row = Signal(range(3)), Signal(range(3))
        with m.If(~begun):
            m.d.sync += [
                begun.eq(1),
                columns.eq(self.columns | (self.columns == 0)),
                rows.eq(self.rows | (self.rows == 0)),
                grey.eq(self.layout[0]),
                flat.eq(self.layout[2]),
                packed.eq(self.layout[1] | self.layout[2]),
            ]
        pixel, last = words.i.p, Signal(2)
        m.d.comb += [
            last.eq(Cat(column == columns - 1, row == rows - 1)),
            words.i.valid.eq(begun & self.step),
            Cat(pixel.last_column, pixel.last_row).eq(last),
            words.place.grey.eq(grey),
            words.place.packed.eq(packed),
            words.place.flat.eq(flat),
            words.abort.eq(self.abort),
            words.o.ready.eq(self.ready),
        ]
        with m.If(words.i.valid):
            m.d.sync += column.eq(Mux(last[0], 0, column + 1))
            with m.If(last[0]):
                m.d.sync += row.eq(Mux(last[1], 0, row + 1))
        with m.If(self.abort):
            m.d.sync += [column.eq(0), row.eq(0)]

        # The pixel that the words' first stage waits for, one clock behind.
        next_column, next_row = Signal.like(column), Signal.like(row)
        channels = Mux(grey, 1, 3)
        before = channels * (next_column + Mux(flat, next_row * columns, 0))
        line = channels * columns * Mux(flat, rows, 1)
        at_start = (next_column == 0) & (~flat | (next_row == 0))
        m.d.sync += [
            next_column.eq(column),
            next_row.eq(row),
            Assert(words.fill == Mux(packed, before[:2], 0), "bytes of the word in progress"),
            Assert(~words.spilt | (packed & at_start), "more words within a row"),
            Assert(~words.spilt | ((line > 4) & (line[:2] != 0)), "a word without a byte"),
            Assert((column < columns) & (row < rows) & (columns != 0) & (rows != 0)),
            Assert((next_column < columns) & (next_row < rows)),
            Assert(packed | ~flat),
        ]
        return m


@pytest.mark.formal
def test_a_row_never_has_two_words_at_once():
    prove(Frames(), name="image_tensor_words", max_steps=6)
