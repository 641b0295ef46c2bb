"""Outputs of the MLPerf Tiny networks as others published them, with their inputs.

Not a test: benches on every level (golden models, RTL) import this.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[1].parent / "shared" / "data"
PUBLISHED = DATA / "google-CFU-Playground"
MODELS = DATA / "mlcommons-tiny" / "models"

INPUT_FOLDERS = {
    "ad01_int8": "anomd",
    "kws_ref_model": "kws",
    "pretrainedResnet_quant": "imgc",
    "vww_96_int8": "vww",
}
INPUT_SHAPES = {
    "ad01_int8": (1, 640),
    "kws_ref_model": (1, 49, 10, 1),
    "pretrainedResnet_quant": (1, 32, 32, 3),
    "vww_96_int8": (1, 96, 96, 3),
}
DATA_REASON = "needs the public models and recordings in ../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=DATA_REASON)

COUNT = 32
"""Published outputs there are."""


@dataclass(frozen=True)
class PublishedGolden:
    """``check(output)`` raises AssertionError unless the int8 output is the published one."""

    model: Path
    name: str
    input: np.ndarray
    check: Callable[[np.ndarray], None]


def xor_of_words(output):
    """Exclusive or of the output read as little-endian words of 32 bits, bytes sign-extended."""
    word = 0
    for index, value in enumerate(output.reshape(-1).tolist()):
        word ^= (value << (index % 4 * 8)) & 0xFFFFFFFF
    return f"0x{word:08x}"


def margin(output):
    """Score of "person" minus score of "no person"."""
    first, second = output.reshape(-1).tolist()
    return second - first


SUMMARIES = {"ad01_int8": xor_of_words, "vww_96_int8": margin}
"""What was published in place of the output itself."""


def published_goldens():
    """All published outputs; an empty list when the data are not there."""
    source = PUBLISHED / "published_goldens.json"
    if not source.exists():
        return []
    goldens = []
    for key, outputs in json.loads(source.read_text()).items():
        model = key.split(" ")[0]  # what follows describes the summary
        if model in INPUT_FOLDERS:
            goldens += [published_golden(model, name, value) for name, value in outputs.items()]
    return goldens


def published_golden(model, name, expected):
    folder = PUBLISHED / "mlperf_tiny_golden_inputs" / INPUT_FOLDERS[model]
    shape = INPUT_SHAPES[model]
    values = np.fromfile(folder / f"{name}.dat", np.int8)[: np.prod(shape)].reshape(shape)
    summarise = SUMMARIES.get(model, lambda output: output.reshape(-1).tolist())

    def check(output):
        assert summarise(np.asarray(output, np.int8)) == expected, f"{model} on {name}"

    return PublishedGolden(MODELS / f"{model}.tflite", name, values, check)
