# amaranth: UnusedElaboratable=no

"""From pictures to words of the activation memory: tensors where the compiler puts them."""

import json
from pathlib import Path

import numpy as np
import pytest
from published import DATA, needs_data

import mmsp.zoo
from hdl.image.tensor_path import TensorPath
from hdl.image.tensor_words import TensorWords
from mmsp.compiler.placement import Placement
from mmsp.loading import find_config, load_image
from models.image.quantiser import tensor_format
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
