"""Builds ONNX networks in QDQ form, small enough for tests; random ones are seeded."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mmsp.onnx_reference import run_onnxruntime

OPSET = 21
IR_VERSION = 10
"""The newest that every pinned tool reads."""


class NetworkBuilder:
    """Adds nodes and initializers; every method returns the name of the value it makes."""

    def __init__(self):
        self.nodes, self.initializers, self.count = [], [], 0

    def name(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, array, stem="constant", data_type=None):
        name = self.name(stem)
        array = np.asarray(array)
        if data_type is None:
            self.initializers.append(numpy_helper.from_array(array, name))
        else:  # types that NumPy does not have, such as INT4
            self.initializers.append(
                helper.make_tensor(name, data_type, array.shape, array.reshape(-1).tolist())
            )
        return name

    def node(self, op, inputs, outputs=1, **attributes):
        """One node; ``outputs`` is their number, or their names with "" for an absent one."""
        if isinstance(outputs, int):
            names = [self.name(op.lower()) for _ in range(outputs)]
        else:
            names = list(outputs)
        inputs = ["" if name is None else name for name in inputs]
        self.nodes.append(
            helper.make_node(op, inputs, names, name=self.name(f"node_{op.lower()}"), **attributes)
        )
        return names[0] if len(names) == 1 else names

    def quantize(self, value, scale, zero_point=0, dtype=np.int8):
        parameters = self.constant(np.float32(scale)), self.constant(np.array(zero_point, dtype))
        return self.node("QuantizeLinear", [value, *parameters])

    def dequantize(self, value, scale, zero_point=0, dtype=np.int8):
        parameters = self.constant(np.float32(scale)), self.constant(np.array(zero_point, dtype))
        return self.node("DequantizeLinear", [value, *parameters])

    def fake_quantize(self, value, scale, zero_point=0, dtype=np.int8):
        """QuantizeLinear and DequantizeLinear."""
        quantized = self.quantize(value, scale, zero_point, dtype)
        return self.dequantize(quantized, scale, zero_point, dtype)

    def weight(self, data, scale, axis=None, data_type=None):
        """Constant integers through DequantizeLinear; several scales lie along ``axis``."""
        data, scale = np.asarray(data), np.asarray(scale, np.float32)
        zero_point = np.zeros(scale.shape, data.dtype)
        inputs = [
            self.constant(data, "weight", data_type),
            self.constant(scale),
            self.constant(zero_point, data_type=data_type),
        ]
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", inputs, **attributes)

    def model(self, inputs, outputs, opset=OPSET):
        """The file.  ``inputs``: name to shape, or to (shape, type); ``outputs``: likewise."""
        graph = helper.make_graph(
            self.nodes,
            "network",
            [value_info(name, declared) for name, declared in inputs.items()],
            [value_info(name, declared) for name, declared in outputs.items()],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = IR_VERSION
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def value_info(name, declared):
    """Declaration of an input or output: a shape of float32, or (shape, type)."""
    shape, kind = declared, TensorProto.FLOAT
    if isinstance(declared, tuple) and len(declared) == 2 and not isinstance(declared[0], int):
        shape, kind = declared
    return helper.make_tensor_value_info(name, kind, shape)


def symmetric(values, axis=None, largest=127):
    """Quantise real weights: ``(int8 data, scales)``, one scale or one along ``axis``."""
    others = tuple(a for a in range(values.ndim) if a != axis)
    peak = np.abs(values).max(axis=None if axis is None else others)
    scale = np.float32(np.maximum(peak, 1e-6) / largest)
    shape = [-1 if a == axis else 1 for a in range(values.ndim)]
    divisor = scale if axis is None else scale.reshape(shape)
    return np.clip(np.rint(values / divisor), -largest, largest).astype(np.int8), scale


def gru_network(
    rng,
    *,
    features=5,
    hidden=6,
    steps=7,
    linear_before_reset=0,
    per_channel=False,
    bias="float",
    initial=False,
    outputs=("y", "y_h"),
    quantized_output=True,
    gain=1.5,
):
    """A network of one GRU: ``x`` (steps, 1, features) float32, through QDQ, GRU, QDQ.

    ``bias``: None, "float" or "int32" (through DequantizeLinear).  ``initial``: an initial state
    that is not zero.  ``outputs``: "y" (steps, 1, hidden) and/or "y_h" (1, hidden), which are also
    the names of the network's outputs; float32, and multiples of 1/128 if ``quantized_output``.
    ``gain`` scales the weights: with 1.5 the gates move, with 4 many of them saturate.

    Returns
    -------
    bytes
        The file.
    """
    builder = NetworkBuilder()
    scale, zero_point = np.float32(2.0 ** rng.uniform(-7, -4)), int(rng.integers(-40, 41))
    x = builder.fake_quantize("x", scale, zero_point)

    def gates(inputs):
        real = rng.normal(0, gain / np.sqrt(inputs), (1, 3 * hidden, inputs))
        data, scales = symmetric(real, 1 if per_channel else None)
        return builder.weight(data, scales, 1 if per_channel else None)

    w, r, b, h0 = gates(features), gates(hidden), None, None
    if bias is not None:
        real = rng.normal(0, 0.5, (1, 6 * hidden)).astype(np.float32)
        if bias == "float":
            b = builder.constant(real, "bias")
        else:
            b = builder.weight(np.rint(real * 2.0**20).astype(np.int32), 2.0**-20)
    if initial:
        h0 = builder.constant(rng.uniform(-0.9, 0.9, (1, 1, hidden)).astype(np.float32), "h0")
    y, y_h = builder.node(
        "GRU",
        [x, w, r, b, None, h0],
        ["y_all" if "y" in outputs else "", "y_last" if "y_h" in outputs else ""],
        hidden_size=hidden,
        linear_before_reset=linear_before_reset,
    )
    for name, value, axis in (("y", y, 1), ("y_h", y_h, 0)):
        if name in outputs:
            real = builder.fake_quantize(value, 1 / 128) if quantized_output else value
            builder.node("Squeeze", [real, builder.constant(np.array([axis]))], [name])
    shapes = {"y": (steps, 1, hidden), "y_h": (1, hidden)}
    return builder.model(
        {"x": (steps, 1, features)}, {name: shapes[name] for name in outputs if name in shapes}
    )


class CalibratedNetwork(NetworkBuilder):
    """A network that is built twice: without quantisation, and then with the ranges it showed.

    ``draw(network, "x")`` adds the nodes, marks with `quantized` what is to be quantised, and
    returns the outputs; it draws from ``network.rng`` only, so both networks are the same.
    """

    def __init__(self, seed, ranges=None, dtype=np.int8):
        super().__init__()
        self.rng, self.ranges, self.dtype = np.random.default_rng(seed), ranges, dtype
        self.marked = []

    def quantized(self, value):
        """``value`` through QuantizeLinear and DequantizeLinear."""
        self.marked.append(value)
        if self.ranges is None:
            return value
        low, high = self.ranges[len(self.marked) - 1]
        scale = np.float32(max(high - low, 1e-3) / 255)
        zero_point = int(np.clip(np.rint(-low / scale), 0, 255))
        offset = 128 if self.dtype == np.int8 else 0
        return self.fake_quantize(value, scale, zero_point - offset, self.dtype)

    def weights(self, shape, axis=None, bits=8):
        """Random weights of these shape, one scale or one along ``axis``, log-uniform."""
        fan_in = max(np.prod(shape) / (shape[axis] if axis is not None else max(shape)), 1)
        real = self.rng.normal(0, 1 / np.sqrt(fan_in), shape)
        if axis is not None:
            spread = [shape[axis] if a == axis else 1 for a in range(len(shape))]
            real = real * 2.0 ** self.rng.uniform(-3, 1, spread)
        per_channel = axis if axis is not None and self.rng.integers(2) else None
        data, scale = symmetric(real, per_channel, (1 << (bits - 1)) - 1)
        kind = None if bits == 8 else {4: TensorProto.INT4}[bits]
        return self.weight(data, scale, per_channel, kind), scale

    def bias(self, channels, input_value, weight_scale):
        """None, float, or int32 with the scale of the accumulators."""
        kind, real = self.rng.integers(3), self.rng.normal(0, 0.5, channels)
        if kind == 0:
            return None
        if kind == 1 or self.ranges is None:
            return self.constant(real.astype(np.float32))
        scale = np.float32(self.scale_of(input_value)) * weight_scale
        data = np.rint(real / scale).astype(np.int32)
        return self.weight(data, scale, 0 if np.ndim(scale) else None)

    def scale_of(self, value):
        """Scale with which a value is dequantised."""
        (node,) = [node for node in self.nodes if value in node.output]
        (scale,) = [i for i in self.initializers if i.name == node.input[1]]
        return numpy_helper.to_array(scale)


def calibrated_network(seed, draw, shape, dtype=np.int8):
    """Build ``draw`` with ranges that hold three random inputs of ``shape``, a little too tight.

    Returns
    -------
    tuple
        The file, and inputs of ``(3, *shape)``.
    """
    rng = np.random.default_rng([seed, 1])
    inputs = rng.normal(rng.normal(), 2.0 ** rng.uniform(-2, 2), (3, *shape)).astype(np.float32)
    free = CalibratedNetwork(seed)
    draw(free, "x")
    graph = [name for name in dict.fromkeys(free.marked) if name != "x"]
    outputs = dict.fromkeys(graph)
    values = {"x": inputs}
    if outputs:
        model = free.model({"x": shape}, outputs)
        runs = [run_onnxruntime(model, {"x": each}) for each in inputs]
        values |= {name: np.stack([run[name] for run in runs]) for name in outputs}
    ranges = [
        (min(0.98 * values[n].min(), 0.0), max(0.98 * values[n].max(), 0.0)) for n in free.marked
    ]
    network = CalibratedNetwork(seed, ranges, dtype)
    results = draw(network, "x")
    return network.model({"x": shape}, dict.fromkeys(results)), inputs
