"""Legalisation of element-wise operators: what becomes of them, and what is refused."""

import numpy as np
import pytest
from random_elementwise import INT8, INT16, quantized
from random_operators import single_operator

from mmsp.compiler.layers import Add, Constant, Conv, Curve, Multiply, Plain, Scale, Table
from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.graph import Quantization, Tensor

SHAPE = (1, 2, 3, 5)
FUSED = {"activation": "NONE"}


def tensor(name, shape=SHAPE, dtype=INT8, scale=0.5, zero=3, data=None):
    return quantized(name, shape, dtype, scale, zero, data)


def constant(name, shape, dtype=INT8, scale=0.5, zero=3, value=None):
    rng = np.random.default_rng(4)
    data = rng.integers(-100, 100, shape) if value is None else np.full(shape, value)
    return tensor(name, shape, dtype, scale, zero, data.astype(dtype))


def network(op, operands, output, attributes=None):
    graph = single_operator(op, operands, [], output, FUSED if attributes is None else attributes)
    graph.inputs = [operand.name for operand in operands if operand.data is None]
    return graph


def kinds(op, operands, output=None, attributes=None):
    """Types of the layers that a node becomes."""
    return [
        type(layer) for layer in legalize(network(op, operands, output or tensor("y"), attributes))
    ]


@pytest.mark.parametrize(
    ("op", "second", "expected"),
    [
        ("ADD", tensor("b"), [Add]),
        ("SUB", tensor("b", (1, 3, 1)), [Add]),
        ("ADD", constant("b", (5,)), [Constant, Add]),
        ("MUL", tensor("b"), [Multiply]),
        ("MUL", constant("b", (2, 3, 1)), [Constant, Multiply]),
        ("MUL", constant("b", (1, 1, 5)), [Conv]),
        ("MUL", constant("b", ()), [Conv]),
        ("MUL", constant("b", (5,), zero=-128), [Constant, Multiply]),
        ("MAXIMUM", tensor("b"), [Plain]),
        ("MINIMUM", constant("b", (5,)), [Constant, Plain]),
        ("MAXIMUM", constant("b", (1,)), [Scale]),
    ],
)
def test_layers_of_two_operands(op, second, expected):
    first = tensor("a")
    assert kinds(op, [first, second]) == expected
    assert kinds(op, [second, first]) == expected


def test_a_factor_that_is_no_int8_weight_is_stored():
    """100 less its zero point of -128 is 228."""
    layers = legalize(network("MUL", [tensor("a"), constant("b", (), zero=-128, value=100)],
                              tensor("y")))  # fmt: skip
    assert [type(layer) for layer in layers] == [Constant, Multiply]
    (layer,) = legalize(network("MUL", [tensor("a"), constant("b", (), value=100)], tensor("y")))
    assert isinstance(layer, Conv)
    assert layer.weights.ravel().tolist() == [97] * 5


def test_constant_bounds_become_a_range():
    bound = constant("b", (), value=17)
    for op, expected in (("MAXIMUM", (17, 127)), ("MINIMUM", (-128, 17))):
        (layer,) = legalize(network(op, [tensor("a"), bound], tensor("y"), {}))
        requantization = layer.requantization
        assert (requantization.minimum, requantization.maximum) == expected


@pytest.mark.parametrize(
    ("op", "types", "expected"),
    [
        ("RELU", (INT8, INT8), [Scale]),
        ("RELU6", (INT16, INT16), [Scale]),
        ("RELU_N1_TO_1", (INT8, INT8), [Scale]),
        ("QUANTIZE", (INT16, INT8), [Scale]),
        ("LEAKY_RELU", (INT16, INT16), [Scale]),
    ],
)
def test_layers_of_one_operand(op, types, expected):
    source, output = (tensor(n, dtype=t) for n, t in zip("xy", types, strict=True))
    assert kinds(op, [source], output, {"alpha": 0.25}) == expected


def test_relu_n1_to_1_clamps():
    """TFLM does not have it; the range is that of the fused activation."""
    (layer,) = legalize(network("RELU_N1_TO_1", [tensor("x")], tensor("y"), {}))
    requantization = layer.requantization
    assert (requantization.minimum, requantization.maximum) == (1, 5)


def test_sigmoids():
    table = tensor("y", scale=1 / 256, zero=-128)
    curve = tensor("y", dtype=INT16, scale=2.0**-15)
    assert kinds("LOGISTIC", [tensor("x")], table, {}) == [Table]
    assert kinds("LOGISTIC", [tensor("x", dtype=INT16)], curve, {}) == [Curve]
    for op, log2, expected in (
        ("LOGISTIC", -12, (3, 0)),
        ("LOGISTIC", -11, (24576, 12)),
        ("TANH", -12, (3, 0)),
        ("TANH", -11, (6, 0)),
    ):
        source = tensor("x", dtype=INT16, scale=2.0**log2)
        (layer,) = legalize(network(op, [source], curve, {}))
        assert (layer.multiplier, layer.shift) == expected


@pytest.mark.parametrize(
    ("slopes", "dtype", "split"),
    [
        (constant("s", (5,)), INT8, False),
        (constant("s", (1, 1, 5)), INT8, False),
        (constant("s", ()), INT8, False),
        (constant("s", (5,), zero=-128), INT8, True),
        (constant("s", (3, 1)), INT8, True),
        (constant("s", (5,)), INT16, True),
        (tensor("s", (1, 5)), INT8, True),
    ],
)
def test_slopes(slopes, dtype, split):
    source, output = tensor("x", dtype=dtype), tensor("y", dtype=dtype)
    layers = legalize(network("PRELU", [source, slopes], output, {}))
    parts = [type(layer) for layer in layers if not isinstance(layer, Constant)]
    assert parts == ([Scale, Multiply, Scale, Plain] if split else [Scale])


def test_legalising_twice_gives_the_same():
    graph = network("ADD", [tensor("a"), constant("b", (5,))], tensor("y"))
    first, tensors = legalize(graph), dict(graph.tensors)
    second = legalize(graph)
    assert graph.tensors == tensors
    assert [layer.output for layer in first] == [layer.output for layer in second]


FLOAT_FREE = Tensor("b", SHAPE, np.dtype(np.int32), Quantization((0.5,), (0,)))
REFUSED = [
    ("ADD", [tensor("a"), tensor("b", (1, 2, 3, 4))], {}, "do not give the output's shape"),
    ("ADD", [tensor("a"), tensor("b", dtype=INT16)], {}, "are int16, int8, and must be of one"),
    ("ADD", [tensor("a"), FLOAT_FREE], {}, "tensor 'b' is int32, and must be int8 or int16"),
    ("ADD", [constant("a", (5,)), constant("b", SHAPE)], {}, "both operands are constant"),
    ("ADD", [tensor("a"), constant("b", (2, 1, 1, 1))], {}, "constant 'b' has shape"),
    ("ADD", [tensor("a"), constant("b", (1, 1, 1, 1, 1))], {}, "must have at most 4 dimensions"),
    ("ADD", [tensor("a"), constant("b", (5,), dtype=np.dtype(np.int32))], {},
     "constant 'b' is int32"),
    ("ADD", [tensor("a")], {}, r"input 1 \(an operand\) is missing"),
    ("ADD", [tensor("a"), tensor("b")], {"output": tensor("y", scale=1e-8)},
     "a scale ratio is .* and it must be above 0 and below 1"),
    ("MUL", [tensor("a", scale=1e5), tensor("b", scale=1e5)], {},
     r"and it must be below 2\*\*30"),
    ("MUL", [tensor("a"), tensor("b")], {"attributes": {"activation": "TANH"}},
     "activation TANH is not supported"),
    ("MAXIMUM", [tensor("a"), tensor("b", scale=0.25)], {}, "scale and zero point change"),
    ("RELU", [tensor("a")], {"output": tensor("y", (1, 2, 15))}, "the output has shape"),
    ("RELU", [tensor("a", dtype=INT16)], {}, "the input is int16 and the output int8"),
    ("RELU6", [tensor("a", zero=4)], {}, "scale and zero point change"),
    ("LEAKY_RELU", [tensor("a")], {"attributes": {"alpha": -0.5}}, "alpha is -0.5, and it must be"),
    ("LEAKY_RELU", [tensor("a")], {"attributes": {}}, "attribute alpha is missing"),
    ("PRELU", [tensor("a"), constant("b", (4,))], {}, r"slopes of shape \(4,\) do not fit"),
    ("PRELU", [tensor("a"), constant("b", (5,), INT16)], {}, "are int16, not int8"),
    ("LOGISTIC", [tensor("a")], {}, r"and must have \(0.00390625, -128\)"),
    ("TANH", [tensor("a")], {}, r"and must have \(0.0078125, 0\)"),
    ("TANH", [tensor("a", scale=2.0**-30)], {"output": tensor("y", scale=1 / 128, zero=0)},
     r"and it must be in 2\*\*-28"),
    ("TANH", [tensor("a", dtype=INT16)], {"output": tensor("y", dtype=INT16)},
     r"must have 2\*\*-15"),
    ("TANH", [tensor("a", dtype=INT16, scale=4.0)],
     {"output": tensor("y", dtype=INT16, scale=2.0**-15)}, "and it must be at most 2.6666"),
    ("TANH", [tensor("a", dtype=INT16, scale=1e-14)],
     {"output": tensor("y", dtype=INT16, scale=2.0**-15)}, "and it must be at least 3.79e-14"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "operands", "options", "reason"), REFUSED)
def test_refusals_name_the_node_and_the_reason(op, operands, options, reason):
    attributes = options.get("attributes", FUSED)
    graph = network(op, operands, options.get("output", tensor("y")), attributes)
    with pytest.raises(InputError, match=rf"^node '{op.lower()}_0' \({op}\): .*{reason}") as error:
        legalize(graph)
    assert "\n" not in str(error.value)


def test_int16_has_no_zero_point():
    shifted = Tensor("a", SHAPE, INT16, Quantization((0.5,), (7,)))
    graph = network("ADD", [shifted, tensor("b", dtype=INT16)], tensor("y", dtype=INT16))
    with pytest.raises(InputError, match="'a' is int16 with zero point 7, and it must be 0"):
        legalize(graph)
