"""Random networks of one recurrent operator; their gates, states and outputs move."""

import numpy as np
from judge import activation, constant, network

INT8, INT16 = np.dtype(np.int8), np.dtype(np.int16)

ATTRIBUTES = {
    "activation": "TANH",
    "cell_clip": 0.0,
    "proj_clip": 0.0,
    "time_major": False,
    "asymmetric_quantize_inputs": False,
    "diagonal_recurrent_tensors": False,
    "intermediates": (),
}


def lstm(rng, *, steps, inputs, units, dtype=INT8, cell_exponent=-11, gain=1.0, **attributes):
    """A network of one LSTM whose gates move: products of a few units of Q3.12."""
    attributes = ATTRIBUTES | attributes
    zero_points = [int(z) if dtype == INT8 else 0 for z in rng.integers(-128, 128, 2)]
    limit = float(np.iinfo(dtype).max)
    state_scale = 2.0 ** rng.uniform(-0.5, 0.2) / limit
    wide = np.int32 if dtype == INT8 else np.int64
    operands: list = [None] * 24
    shape = (steps, 1) if attributes["time_major"] else (1, steps)
    operands[0] = activation("x", (*shape, inputs), 2.0 / limit, zero_points[0], dtype)
    for gate in range(4):
        for index, depth, scale in ((1, inputs, 2.0 / limit), (5, units, state_scale)):
            spread = int(np.exp2(rng.uniform(2, 7)))
            data = rng.integers(-spread, spread + 1, (units, depth)).clip(-128, 127)
            weight = gain * 2.0 ** rng.uniform(-1, 2) / (depth**0.5 * spread)
            name = f"weights_{index + gate}"
            operands[index + gate] = constant(name, data.astype(np.int8), (weight,))
            if index == 1:
                bias = rng.normal(0, 1, units) / (weight * scale)
                name = f"bias_{gate}"
                operands[12 + gate] = constant(name, bias.astype(wide), (weight * scale,))
    operands[18] = activation("hidden", (1, units), state_scale, zero_points[1], dtype)
    operands[19] = activation("cell", (1, units), 2.0**cell_exponent, 0, INT16)
    output = activation("y", (*shape, units), state_scale, zero_points[1], dtype)
    graph = network(("UNIDIRECTIONAL_SEQUENCE_LSTM", tuple(operands), output, attributes))
    for name in ("hidden", "cell"):
        tensor = graph.tensors[name]
        graph.inputs.remove(name)
        zero = zero_points[1] if name == "hidden" else 0
        graph.variables[name] = np.full(tensor.shape, zero, tensor.dtype)
    return graph


def random_svdf(rng, index):
    """A network of one SVDF with int8 or int16 state."""
    dtype = INT16 if index & 1 else np.dtype(np.int8)
    limits = np.iinfo(dtype)
    rank, memory = int(rng.integers(1, 4)), int(rng.integers(1, 11))
    inputs, units = int(np.exp2(rng.uniform(0, 6))), int(np.exp2(rng.uniform(0, 5)))
    spread = int(np.exp2(rng.uniform(1, 7)))
    feature = rng.integers(-spread, spread + 1, (rank * units, inputs)).clip(-128, 127)
    time = np.exp2(rng.uniform(0, np.log2(limits.max + 1), (rank * units, memory))) - 1
    time = (time * rng.choice([-1, 1], time.shape)).astype(dtype)
    time.flat[0] = limits.max  # what quantisers always use
    zero_points = [int(z) for z in rng.integers(-128, 128, 3)]
    if dtype == INT16:
        zero_points[1] = 0
    # States and outputs that fill their ranges, and sometimes leave them.
    state_scale = inputs**0.5 * spread * 74 / limits.max * 2.0 ** rng.uniform(-1, 2)
    sums = (rank * memory) ** 0.5 * float(np.abs(time.astype(int)).mean() + 1) * limits.max
    output_scale = state_scale * sums / 127 * 2.0 ** rng.uniform(-2, 1)
    bias = rng.integers(-sums, sums + 1, units).astype(np.int32)
    size = rank * units * memory
    operands = {
        "x": activation("x", (1, inputs), 1.0, zero_points[0]),
        "feature": constant("feature", feature.astype(np.int8), (1.0,)),
        "time": constant("time", time, (1.0,)),
        "bias": constant("bias", bias, (state_scale,)),
        "state": activation("state", (1, size), state_scale, zero_points[1], dtype),
    }
    output = activation("y", (1, units), output_scale, zero_points[2])
    attributes = {"rank": rank, "activation": "NONE", "asymmetric_quantize_inputs": False}
    graph = network(("SVDF", tuple(operands.values()), output, attributes), name="svdf")
    graph.inputs.remove("state")
    zero = graph.tensors["state"].quantization.zero_point[0]
    graph.variables["state"] = np.full(graph.tensors["state"].shape, zero, dtype)
    return graph, {"int16": dtype == INT16, "rank": rank > 1, "memory of 1": memory == 1}
