"""Imported operators against onnxruntime, on random small networks: at most one step apart."""

import numpy as np
import pytest
from onnx_networks import calibrated_network
from onnx_operators import OPERATORS, constants

from mmsp.onnx_reference import layer_differences

SEEDS = range(6)
LARGEST = {constants: 2}
"""More than one step where the import says so: a float constant is rounded to int8."""
INSIDE = 0.25
"""Share of values that must not be saturated, over all seeds."""


@pytest.mark.parametrize("dtype", [np.int8, np.uint8], ids=["int8", "uint8"])
@pytest.mark.parametrize("draw", OPERATORS, ids=lambda draw: draw.__name__)
def test_layers(draw, dtype):
    """Every layer, fed onnxruntime's own operands, is at most one step from its result."""
    found = []
    for seed in SEEDS:
        data, inputs = calibrated_network(seed, draw, OPERATORS[draw], dtype)
        for each in inputs[:2]:
            differences = layer_differences(data, {"x": each})
            assert differences, f"seed {seed}: nothing was compared"
            worst = max(differences, key=lambda difference: difference.largest)
            assert worst.largest <= LARGEST.get(draw, 1), f"seed {seed}: {worst}"
            found += differences
    count = sum(difference.count for difference in found)
    assert sum(difference.within for difference in found) > INSIDE * count
