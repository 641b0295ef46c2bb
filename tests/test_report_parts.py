"""Parts of the reports' pages: shares, roofs, names, and tensors as people look at them."""

import io
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from html_page import Page
from judge import random_int8
from rich.console import Console

from hdl.config import SMALL
from mmsp.description import Port
from mmsp.html.activity import shares
from mmsp.html.layers import layer_table
from mmsp.html.memory import Block, fit, short_names, visible
from mmsp.html.roofline import Dot, labels, layer_dots, roof, roofline_figure
from mmsp.html.tensors import draw_tensor, picture_pixels
from mmsp.report import PIPE_WIDTH
from mmsp.report import layer_table as printed_table
from mmsp.simulator.costs import LayerResult
from mmsp.simulator.simulator import Result

TITLE = "a<b>&\"'"


def test_names_in_a_plot():
    assert fit("tensor", 100, 20) == "tensor"
    assert fit("tensor", 24, 20) == "tens\N{HORIZONTAL ELLIPSIS}"
    assert fit("tensor", 100, 5) == fit("tensor", 12, 20) == ""
    assert fit("a\x01b", 100, 20) == "a?b", "XML takes no control characters"


def test_roof_and_labels():
    assert roof(0.5, SMALL) == 8
    assert roof(1, SMALL) == roof(1000, SMALL) == 16
    dots = [Dot(n, "", "", macs, 100, 1000) for n, macs in enumerate((5000, 5050, 9000), 1)]
    rare = Dot(4, "", "", 50, 10, 10)
    assert [(dot.number, text) for dot, text in labels([*dots, rare], 3010)] == [
        (1, "1, 2"), (3, "3")
    ]  # fmt: skip


def test_short_names():
    names = ["m/a/Relu;m/a/Bias", "m/b/Relu", "plain", "m/c/x", "m/c/x;m/d"]
    short = short_names(names)
    assert [short[name] for name in names[:3]] == ["a/Relu", "b/Relu", "plain"]
    assert [short[name] for name in names[3:]] == names[3:], "two would look the same"
    assert short_names(["/a/b", "a/c"]) == {"/a/b": "/a/b", "a/c": "a/c"}
    assert short_names([]) == {}


def test_a_sum_meets_the_operand_that_it_overwrites():
    operand, result = Block("o", 0, 64, 1, 3, (1, 1, 1)), Block("r", 0, 64, 3, 5, (1, 1, 1))
    other = Block("x", 64, 64, 3, 4, (1, 1, 1))
    blocks = [operand, result, other]
    assert visible(operand, blocks) == (0.5, 3)
    assert visible(result, blocks) == (3, 5.5)
    assert visible(other, blocks) == (2.5, 4.5)


def port(shape, scale, zero_point, dtype="int8", inside="int8"):
    return Port(
        name="p", shape=shape, dtype=dtype, scale=scale, zero_point=zero_point, tensor="t",
        inside=inside,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "zero_point"), [(1.0, -128), (1 / 255, -128), (1 / 256, -128), (2 / 255, 0)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_shown_as_they_are(rng, scale, zero_point, channels):
    values = random_int8(rng, (1, 9, 12, channels))
    values.flat[:2] = -128, 127
    shown = picture_pixels(port(values.shape, scale, zero_point), values)
    assert shown is not None
    assert np.abs(shown.astype(int) - (values[0].astype(int) + 128)).max() <= 1
    assert (shown.min(), shown.max()) in ((0, 255), (0, 254), (1, 255))
    (found,) = Page(draw_tensor(port(values.shape, scale, zero_point), values, "x")).images
    np.testing.assert_array_equal(found.reshape(shown.shape), shown)


@pytest.mark.parametrize(
    ("shape", "dtype", "inside", "scale", "low", "high"),
    [
        ((1, 9, 12, 1), "int16", "int16", 1 / 32768, -32768, 32767),
        ((1, 9, 12, 1), "float32", "int8", 2 / 255, -1.0, 1.0),
        ((1, 9, 12, 3), "uint8", "int8", 1 / 255, 0, 255),
        ((1, 3, 9, 12), "float32", "int8", 2 / 255, -1.0, 1.0),  # channels first
    ],
)
def test_pictures_of_other_types(shape, dtype, inside, scale, low, high):
    """Dark, bright and the values in between, wherever the channels are."""
    zero_point = -128 if dtype == "uint8" else 0
    values = np.full(shape, low, dtype)
    values[(0, -1, -1, -1)] = high
    shown = picture_pixels(port(shape, scale, zero_point, dtype, inside), values)
    assert shown is not None
    assert shown.shape == (9, 12, 3 if 3 in shape else 1)
    assert shown[-1, -1, -1] >= 254
    assert shown[0, 0, 0] <= 1
    assert (shown > 1).sum() == 1


@pytest.mark.parametrize(
    ("shape", "scale", "images", "said"),
    [
        ((1, 49, 10, 1), 0.58, 1, "49 columns of 10 values, the first at the bottom"),
        ((1, 9, 12, 3), 0.58, 1, "324 values one after another"),
        ((1, 4, 4, 1), 1.0, 0, "values as they are"),
        ((1, 640), 0.1, 1, "640 values one after another"),
        ((1, 10), 1 / 256, 0, "values as they are"),
        ((), 1.0, 0, "values as they are"),
    ],
)
def test_tensors_are_shown_by_their_shape(rng, shape, scale, images, said):
    for values in (random_int8(rng, shape), np.zeros(shape, np.int8)):
        page = Page(draw_tensor(port(shape, scale, -128), np.asarray(values, np.int8), TITLE))
        assert (len(page.images), page.texts[0]) == (images, TITLE)
        assert said in page.text
        assert len(page.cells) == (0 if images else 5 * values.size), "index, bar, real, int8"


def test_map_of_a_spectrogram():
    """Time runs to the right and the first band is at the bottom."""
    values = np.full((1, 20, 9, 1), -100, np.int8)
    values[0, 3, 0, 0] = 100
    (found,) = Page(draw_tensor(port(values.shape, 0.5, 0), values, "x")).images
    assert found.shape == (9, 20, 3)
    bright = np.argwhere(found[:, :, 0] > 200)
    assert bright.tolist() == [[8, 3]]


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ((100, 50, 10, 20), [0.5, 0.1, 0.2, 0.2]),
        ((100, 0, 0, 0), [0, 0, 0, 1]),
        ((100, 90, 20, 20), [0.9, 0.1, 0, 0]),  # stages overlap
        ((100, 120, 20, 20), [1, 0, 0, 0]),
        ((0, 0, 0, 0), [0, 0, 0, 1]),
    ],
)
def test_shares(counted, expected):
    assert shares(*counted) == pytest.approx(expected)
    assert sum(shares(*counted)) == pytest.approx(1)


def test_printed_layers_keep_their_figures():
    """Names of any length are cut, and never a figure, at the width of a pipe."""
    layer = LayerResult(
        name="unidirectional_sequence_lstm_0 gates", op="UNIDIRECTIONAL_SEQUENCE_LSTM",
        cycles=1_234_567, macs=123_456_789, mac_utilisation=0.123, mram_bytes_read=12_345_678,
        program_bytes=1, mac_active_cycles=1, wait_weights_cycles=1, wait_drain_cycles=1,
    )  # fmt: skip
    result = SimpleNamespace(layers=[layer], cycles=2_000_000)
    printed = io.StringIO()
    Console(file=printed, width=PIPE_WIDTH).print(printed_table(cast(Result, result)))
    for figure in ("1,234,567", "61.7%", "123,456,789", "12.3%", "12,345,678"):
        assert f" {figure}" in printed.getvalue()


def test_layer_without_cycles_has_no_shares():
    """Of a network whose layers are all folded, or without MACs, there still is a page."""
    layer = LayerResult(
        name="l", op="RESHAPE", cycles=0, macs=0, mac_utilisation=0.0, mram_bytes_read=0,
        program_bytes=0, mac_active_cycles=0, wait_weights_cycles=0, wait_drain_cycles=0,
    )  # fmt: skip
    assert "folded" in Page(layer_table([layer], 10, SMALL)).texts
    assert layer_dots([layer]) == []
    assert "array: 16 MAC/cycle " in Page(roofline_figure([], 0, SMALL)).text
