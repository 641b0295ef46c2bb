"""Bad ONNX files: one sentence that names the node, the value and what is accepted."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_networks import NetworkBuilder, gru_network, symmetric

from mmsp.cli import main
from mmsp.errors import InputError
from mmsp.importers.onnx_qdq import read_onnx

IMAGE = (1, 2, 5, 6)
WEIGHTS = np.arange(-18, 18, dtype=np.int8).reshape(2, 2, 3, 3)


def network(op, attributes=None, *, shape=IMAGE, others=(), quantized=True):
    """``op`` between QuantizeLinear and DequantizeLinear."""
    n = NetworkBuilder()
    x = n.fake_quantize("x", 0.05, 3)
    y = n.node(op, [x, *(other(n) for other in others)], **(attributes or {}))
    if quantized:
        n.fake_quantize(y, 0.1)
        n.nodes[-1].output[0] = "y"
    else:
        n.nodes[-1].output[0] = "y"
    return n, {"x": shape}


def unchecked(n, inputs, opset=21, **changes):
    """The file, also when onnx itself would refuse it."""
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    declared = [
        helper.make_tensor_value_info(name, changes.get("dtype", TensorProto.FLOAT), shape)
        for name, shape in inputs.items()
    ]
    graph = helper.make_graph(n.nodes, "network", declared, outputs, n.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return model.SerializeToString()


def weights(n, data=WEIGHTS, scale=0.01, **kwargs):
    return n.weight(data, scale, **kwargs)


def shifted(n):
    """Weights with a zero point."""
    scale, zero = n.constant(np.float32(0.1)), n.constant(np.int8(3))
    return n.node("DequantizeLinear", [n.constant(WEIGHTS), scale, zero])


NODES = {
    "operator": (("Einsum", {"equation": "ij"}), {}, ["Einsum", "cannot run", "supported are Add"]),
    "batch norm": (
        ("BatchNormalization",), {"others": [lambda n: n.constant(np.ones(2, np.float32))] * 4},
        ["must be folded"],
    ),
    "unknown attribute": (("Relu", {"slope": 3}), {}, ["attribute slope is unknown"]),
    "auto_pad": (
        ("Conv", {"auto_pad": "SOME"}), {"others": [weights]},
        ["auto_pad is 'SOME'", "'NOTSET' or 'VALID' or"],
    ),
    "negative pads": (
        ("Conv", {"pads": [0, -1, 0, 0]}), {"others": [weights]}, ["pads is [0, -1, 0, 0]", ">= 0"],
    ),
    "strides": (("Conv", {"strides": [0, 1]}), {"others": [weights]}, ["strides is [0, 1]"]),
    "kernel_shape": (
        ("Conv", {"kernel_shape": [2, 2]}), {"others": [weights]},
        ["kernel_shape is (2, 2)", "weights have (3, 3)"],
    ),
    "float weights": (
        ("Conv",), {"others": [lambda n: n.constant(WEIGHTS.astype(np.float32))]},
        ["weights", "behind DequantizeLinear"],
    ),
    "zero point of weights": (("Conv",), {"others": [shifted]}, ["zero point 3", "must be 0"]),
    "axis of weights": (
        ("Conv",), {"others": [lambda n: weights(n, scale=np.ones(2), axis=1)]},
        ["axis 1", "along axis 0"],
    ),
    "group": (("ConvTranspose", {"group": 2}), {"others": [weights]}, ["group is 2", "must be 1"]),
    "channels": (
        ("Conv",), {"others": [weights], "shape": (1, 3, 5, 6)}, ["(1, 3, 5, 6)", "do not fit"],
    ),
    "large kernel": (
        ("Conv",), {"others": [weights], "shape": (1, 2, 2, 2)}, ["smaller than the kernel (3, 3)"],
    ),
    "batch": (("MaxPool", {"kernel_shape": [2, 2]}), {"shape": (2, 2, 5, 6)}, ["(2, 2, 5, 6)"]),
    "dilated pool": (
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}), {}, ["dilations is (2, 2)"],
    ),
    "alpha": (
        ("Gemm", {"alpha": 0.5}), {"others": [weights], "shape": (1, 8)}, ["alpha is 0.5", "1.0"],
    ),
    "clip": (
        ("Clip",), {"others": [lambda n, v=v: n.constant(np.float32(v)) for v in (0, 3)]},
        ["limited to 0..3", "0..6"],
    ),
    "broadcast": (
        ("Add",), {"others": [lambda n: n.constant(np.ones((4, 1), np.float32))]},
        ["(4, 1)", "do not go together"],
    ),
    "resize mode": (
        ("Resize", {"mode": "linear"}),
        {"others": [lambda n: "", lambda n: n.constant(np.ones(4, np.float32))]},
        ["mode is 'linear'", "'nearest'"],
    ),
    "resize pixels": (
        ("Resize", {"mode": "nearest", "nearest_mode": "ceil"}),
        {"others": [lambda n: "", lambda n: n.constant(np.array([1, 1, 2, 2], np.float32))]},
        ["nearest_mode 'ceil'", "RESIZE_NEAREST_NEIGHBOR"],
    ),
    "pad mode": (
        ("Pad", {"mode": "reflect"}), {"others": [lambda n: n.constant(np.ones(8, np.int64))]},
        ["mode is 'reflect'", "'constant'"],
    ),
    "pad value": (
        ("Pad",),
        {"others": [lambda n, v=v: n.constant(v) for v in (np.ones(8, np.int64), np.float32(2))]},
        ["value is 2", "must be 0"],
    ),
    "reshape": (
        ("Reshape",), {"others": [lambda n: n.constant(np.array([7, -1]))]}, ["cannot become"],
    ),
    "transpose": (("Transpose", {"perm": [0, 1]}), {}, ["perm is (0, 1)", "4 dimensions"]),
    "negative step": (
        ("Slice",),
        {"others": [lambda n, v=v: n.constant(np.array([v])) for v in (0, 3, 2, -1)]},
        ["step is -1", "at least 1"],
    ),
    "unquantised": (("Conv",), {"others": [weights], "quantized": False}, [
        "output 'y'", "unquantised", "QuantizeLinear"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NODES)
def test_nodes(case):
    (op, *attributes), options, said = NODES[case]
    n, inputs = network(op, *attributes, **options)
    with pytest.raises(InputError) as caught:
        read_onnx(unchecked(n, inputs), "net.onnx")
    sentence = str(caught.value)
    assert sentence.startswith("net.onnx: ")
    assert "\n" not in sentence
    for part in said:
        assert part in sentence, sentence
    if case not in ("unquantised", "clip"):
        assert f"({op})" in sentence or f"operator {op}" in sentence


def relu():
    return network("Relu")


def between(first, second):
    """Two operators without anything between them."""
    n = NetworkBuilder()
    y = n.node(second, [n.node(first, [n.fake_quantize("x", 0.05)])])
    n.fake_quantize(y, 0.1)
    n.nodes[-1].output[0] = "y"
    return unchecked(n, {"x": IMAGE})


def test_missing_quantization():
    with pytest.raises(InputError, match=r"unquantised result of node .*QuantizeLinear and Deq"):
        read_onnx(between("Sigmoid", "Tanh"), "net.onnx")
    n = NetworkBuilder()
    n.node("Relu", ["x"], ["y"])
    with pytest.raises(
        InputError, match="input 'x' of the network is read before a QuantizeLinear"
    ):
        read_onnx(unchecked(n, {"x": IMAGE}), "net.onnx")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda n: n.initializers[2].CopyFrom(helper.make_tensor(
            n.initializers[2].name, TensorProto.FLOAT, (), [0.5])), "must be the same"),
        (lambda n: n.initializers[0].CopyFrom(helper.make_tensor(
            n.initializers[0].name, TensorProto.FLOAT, (), [0.0])), "scale is"),
        (lambda n: n.initializers[1].CopyFrom(helper.make_tensor(
            n.initializers[1].name, TensorProto.INT16, (), [0])), "is int16, and an activation"),
        (lambda n: n.initializers[0].CopyFrom(helper.make_tensor(
            n.initializers[0].name, TensorProto.FLOAT, (2,), [0.5, 0.5])), "has 2 scales"),
        (lambda n: n.nodes[0].attribute.append(helper.make_attribute("block_size", 32)),
         "block_size is 32, and must be 0"),
        (lambda n: n.nodes.reverse(), "before a node writes it"),
        (lambda n: setattr(n.nodes[2], "domain", "com.example"), "of domain 'com.example'"),
        (lambda n: n.nodes.append(n.nodes[-1]), "a second time"),
        (lambda n: n.initializers[0].ClearField("raw_data"), "truncated or corrupt"),
    ],
)  # fmt: skip
def test_quantizers(change, said):
    n, inputs = relu()
    change(n)
    with pytest.raises(InputError) as caught:
        read_onnx(unchecked(n, inputs), "net.onnx")
    assert said in str(caught.value)


@pytest.mark.parametrize("opset", [12, 99])
def test_opset(opset):
    n, inputs = relu()
    with pytest.raises(
        InputError, match=rf"version {opset} of the ONNX operator set, and 13 to 25"
    ):
        read_onnx(unchecked(n, inputs, opset=opset), "net.onnx")


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((1, 2, "h", 6), TensorProto.FLOAT, "dimension 2 of size 'h'"),
        (None, TensorProto.FLOAT, "'x' has no shape"),
        (IMAGE, TensorProto.INT32, "'x' is int32, and inputs and outputs must be float32"),
    ],
)
def test_declarations(shape, dtype, said):
    n, _ = relu()
    with pytest.raises(InputError, match=said):
        read_onnx(unchecked(n, {"x": shape}, dtype=dtype), "net.onnx")


def test_open_batch_is_one():
    n, _ = relu()
    graph = read_onnx(unchecked(n, {"x": ("N", 2, 5, 6)}), "net.onnx")
    assert graph.host_conversions[0].outside.shape == IMAGE


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("direction", "reverse", "direction is 'reverse', and must be 'forward'"),
        ("activations", ["Relu", "Tanh"], "activations is ['Relu', 'Tanh']"),
        ("clip", 3.0, "clip is 3.0, and must be absent"),
        ("layout", 1, "layout is 1, and must be 0"),
        ("hidden_size", 9, "W has shape (1, 18, 5), and must have (1, 27, 5)"),
    ],
)
def test_gru(attribute, value, said):
    model = onnx.load_from_string(gru_network(np.random.default_rng(1)))
    (node,) = [node for node in model.graph.node if node.op_type == "GRU"]
    for old in [a for a in node.attribute if a.name == attribute]:
        node.attribute.remove(old)
    node.attribute.append(helper.make_attribute(attribute, value))
    with pytest.raises(InputError) as caught:
        read_onnx(model.SerializeToString(), "net.onnx")
    assert said in str(caught.value)
    assert "(GRU)" in str(caught.value)


def small_file():
    n = NetworkBuilder()
    w = n.weight(*symmetric(np.random.default_rng(1).normal(size=(4, 2, 3, 3)), 0), 0)
    y = n.node("Conv", [n.fake_quantize("x", 0.05, 3), w])
    n.fake_quantize(n.node("Relu", [y]), 0.1)
    n.nodes[-1].output[0] = "y"
    return n.model({"x": IMAGE}, {"y": None})


def test_truncated():
    """Cut anywhere: refused by a sentence, never a crash and never another network."""
    data = small_file()
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(InputError, match=r"net\.onnx") as caught:
            read_onnx(data[:length], "net.onnx")
        assert "\n" not in str(caught.value)


def test_damaged(rng, seed):
    """A changed byte gives a network or a sentence."""
    data, refused = small_file(), 0
    for place in rng.integers(0, len(data), 400):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            read_onnx(bytes(damaged), "net.onnx")
        except InputError:
            refused += 1
    assert refused > 100, f"seed {seed}"


def test_command_line(tmp_path, capsys):
    """A file that is none, whatever its name, and one that cannot run."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"nothing of the kind")
    assert main(["run", str(path), "--target", "golden"]) == 2
    said = capsys.readouterr().err
    assert "net.onnx" in said
    assert said.count("\n") == 1
    n, inputs = network("Einsum", {"equation": "ij"})
    path.write_bytes(unchecked(n, inputs))
    assert main(["compile", str(path), "-o", str(tmp_path / "net.mram")]) == 2
    assert "(Einsum)" in capsys.readouterr().err
    assert not (tmp_path / "net.mram").exists()
