"""The GRU operator of ONNX becomes a node GRU whose constants are those of the file."""

import itertools

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_networks import gru_network

from mmsp.description import graph_ports
from mmsp.graph import Quantization
from mmsp.importers.onnx_qdq import read_onnx
from mmsp.onnx_reference import output_difference, run_onnxruntime

STATE = Quantization((2.0**-15,), (0,))
STEPS, FEATURES, HIDDEN = 7, 5, 6

VARIANTS = list(
    itertools.product((0, 1), (False, True), (None, "float", "int32"), (False, True),
                      (("y",), ("y_h",), ("y", "y_h")))
)  # fmt: skip


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def run_node(graph, node, x):
    """The node's definition in float64, from the graph's own constants."""
    source, w, r, b, state = node.inputs
    tensors = graph.tensors
    (scale,), (zero_point,) = (
        tensors[source].quantization.scale,
        tensors[source].quantization.zero_point,
    )
    x = scale * (x.astype(np.float64) - zero_point)

    def real(name):
        tensor = tensors[name]
        return tensor.data * np.array(tensor.quantization.scale)[:, None]

    bias = np.zeros(6 * HIDDEN) if b is None else tensors[b].data.astype(np.float64)
    (wz, wr, wh), (rz, rr, rh) = np.split(real(w), 3), np.split(real(r), 3)
    bz, br, bh, cz, cr, ch = np.split(bias, 6)
    h, states = graph.variables[state][0] * 2.0**-15, []
    for step in x[0]:
        z = sigmoid(wz @ step + bz + rz @ h + cz)
        reset = sigmoid(wr @ step + br + rr @ h + cr)
        inner = (
            reset * (rh @ h + ch)
            if node.attributes["linear_before_reset"]
            else rh @ (reset * h) + ch
        )
        h = (1 - z) * np.tanh(wh @ step + bh + inner) + z * h
        states.append(h)
    return np.stack(states)


@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_node(variant):
    """Computed by its definition, the node gives what onnxruntime gives for the file."""
    before, per_channel, bias, initial, outputs = VARIANTS[variant]
    rng = np.random.default_rng(variant)
    data = gru_network(
        rng, features=FEATURES, hidden=HIDDEN, steps=STEPS, linear_before_reset=before,
        per_channel=per_channel, bias=bias, initial=initial, outputs=outputs,
        quantized_output=bool(variant % 2),
    )  # fmt: skip
    graph = read_onnx(data, "gru")
    (node,) = [node for node in graph.nodes if node.op == "GRU"]
    x_name, w, r, b, state = node.inputs
    assert graph.tensors[x_name].shape == (1, STEPS, FEATURES)
    assert [graph.tensors[name].shape for name in (w, r, state)] == [
        (3 * HIDDEN, FEATURES), (3 * HIDDEN, HIDDEN), (1, HIDDEN)
    ]  # fmt: skip
    assert graph.tensors[w].dtype == graph.tensors[r].dtype == np.int8
    assert len(graph.tensors[w].quantization.scale) == (3 * HIDDEN if per_channel else 1)
    assert (b is None) == (bias is None)
    assert graph.variables[state].dtype == np.int16
    assert graph.variables[state].any() == initial
    for name, shape in zip(node.outputs, ((1, STEPS, HIDDEN), (1, HIDDEN)), strict=True):
        tensor = graph.tensors[name]
        assert (tensor.shape, tensor.dtype, tensor.quantization) == (shape, np.int16, STATE)
    assert node.attributes == {"hidden_size": HIDDEN, "linear_before_reset": before}
    assert any("state" in note for note in graph.notes)
    others = {other.op for other in graph.nodes} - {"GRU", "RESHAPE"}
    assert others == ({"QUANTIZE"} if variant % 2 else set())

    x = rng.normal(0, 1, (STEPS, 1, FEATURES)).astype(np.float32)
    (port,), _ = graph_ports(graph)
    states = run_node(graph, node, port.rearrange(port.to_inside(x)).reshape(1, STEPS, FEATURES))
    assert states.std() > 0.1
    theirs = run_onnxruntime(data, {"x": x}, ["y_all" if "y" in outputs else "y_last"])
    (expected,) = theirs.values()
    mine = states if "y" in outputs else states[-1:]
    np.testing.assert_allclose(expected.reshape(mine.shape), mine, atol=2**-14)


def test_state_begins_where_the_file_says():
    """``initial_h`` in Q0.15, to the nearest step."""
    data = gru_network(np.random.default_rng(3), initial=True)
    model = onnx.load_from_string(data)
    (h0,) = [numpy_helper.to_array(i) for i in model.graph.initializer if i.name.startswith("h0")]
    (state,) = read_onnx(data, "gru").variables.values()
    assert np.abs(state * 2.0**-15 - h0[0]).max() <= 2**-16


@pytest.mark.parametrize("variant", range(8))
def test_against_onnxruntime(variant):
    """The whole network in integers: within 2^-10 of float, and of quantised outputs one step."""
    rng, quantized = np.random.default_rng(variant), bool(variant % 2)
    data = gru_network(
        rng, linear_before_reset=variant // 2 % 2, per_channel=variant >= 4, initial=True,
        bias=("float", "int32")[variant // 4], quantized_output=quantized,
    )  # fmt: skip
    x = rng.normal(0, 1, (3, STEPS, 1, FEATURES)).astype(np.float32)
    largest = output_difference(data, {"x": x})
    assert set(largest) == {"y", "y_h"}
    assert max(largest.values()) <= (1 if quantized else 32)
