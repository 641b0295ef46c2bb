"""Small networks, and TensorFlow Lite Micro as the judge of what becomes of them."""

import numpy as np

from mmsp.compiler.legalize import legalize
from mmsp.golden import run_golden
from mmsp.graph import Graph, Node, Quantization, Tensor
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import MicroInterpreter

INT8 = np.dtype(np.int8)
NO_PADDING = ((0, 0), (0, 0))


def activation(name, shape, scale=0.5, zero_point=0, dtype=INT8):
    """A tensor that is written at run time."""
    quantization = Quantization((float(np.float32(scale)),), (zero_point,))
    return Tensor(name, tuple(shape), np.dtype(dtype), quantization)


def constant(name, data, scales=None, axis=0):
    """A constant, with ``scales`` a quantised one whose zero points are 0."""
    data = np.asarray(data)
    quantization = None
    if scales is not None:
        scales = tuple(float(np.float32(scale)) for scale in scales)
        quantization = Quantization(scales, (0,) * len(scales), axis)
    return Tensor(name, data.shape, data.dtype, quantization, data)


def network(*nodes, name="network", variables=None):
    """A graph of ``(op, inputs, outputs, attributes)``, with tensors as operands.

    One output may stand without a tuple.  Inputs are what no node writes; outputs are what no node
    reads.  ``variables`` gives the initial values of those operands that are variables.
    """
    tensors, built, written, read = {}, [], set(), set()
    variables = variables or {}
    for index, (op, inputs, output, attributes) in enumerate(nodes):
        outputs = output if isinstance(output, tuple) else (output,)
        for tensor in (*inputs, *outputs):
            if tensor is not None:
                tensors[tensor.name] = tensor
        names = tuple(None if tensor is None else tensor.name for tensor in inputs)
        results = tuple(tensor.name for tensor in outputs)
        built.append(Node(op, f"{op.lower()}_{index}", names, results, attributes))
        written.update(results)
        read |= set(names)
    given = read - written - set(variables)
    return Graph(
        name=name,
        tensors=tensors,
        nodes=built,
        inputs=[n for n, t in tensors.items() if n in given and t.data is None],
        outputs=[n for n in tensors if n in written - read],
        variables=variables,
    )


def fully_connected(source, weights, bias, output, activation_name="NONE"):
    """A node for `network`."""
    attributes = {
        "activation": activation_name,
        "weights_format": "DEFAULT",
        "keep_dimensions": len(output.shape) > 2,
    }
    return "FULLY_CONNECTED", (source, weights, bias), output, attributes


def convolution(source, weights, bias, output, **attributes):
    """A node for `network`, depthwise when ``depth_multiplier`` is given."""
    defaults = {"activation": "NONE", "stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING}
    op = "DEPTHWISE_CONV_2D" if "depth_multiplier" in attributes else "CONV_2D"
    operands = (source, weights) if bias is None else (source, weights, bias)
    return op, operands, output, defaults | attributes


def small_network():
    """One node of each kind of operand: a convolution, a reshape, a dense layer, a softmax."""
    rng = np.random.default_rng(1)
    image, hidden = activation("image", (1, 5, 4, 2), 0.5, 3), activation("hidden", (1, 3, 2, 3))
    flat, scores = activation("flat", (1, 18)), activation("scores", (1, 4), 0.125, -7)
    weights = constant("weights", random_int8(rng, (3, 3, 3, 2)), (0.5, 0.25, 0.1))
    dense = constant("dense", random_int8(rng, (4, 18)), (0.01,))
    bias = constant("bias", np.array([5, -9, 100], np.int32), (0.25, 0.125, 0.05))
    return network(
        convolution(image, weights, bias, hidden, activation="RELU6"),
        ("RESHAPE", (hidden, constant("shape", np.array([1, 18], np.int32))), flat,
         {"new_shape": (1, 18)}),
        fully_connected(flat, dense, None, scores),
        ("SOFTMAX", (scores,), activation("labels", (1, 4), 1 / 256, -128), {"beta": 1.0}),
        name="small",
    )  # fmt: skip


def random_int8(rng, shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def random_like(rng, tensor):
    """Values of any magnitude that the integer type of ``tensor`` holds."""
    limits = np.iinfo(tensor.dtype)
    return rng.integers(limits.min, limits.max + 1, tensor.shape).astype(tensor.dtype)


def assert_tflm_agrees(graph, rng, runs=3):
    """Run ``graph`` both ways on random inputs; return the outputs of the last run.

    The golden executor gets what comes back from the file, not ``graph`` itself.  Variables live on
    from run to run.
    """
    data = write_tflite(graph)
    graph = read_tflite(data, graph.name)
    layers = legalize(graph)
    outputs, state, interpreter = {}, {}, MicroInterpreter(data)
    for _ in range(runs):
        inputs = {name: random_like(rng, graph.tensors[name]) for name in graph.inputs}
        outputs = run_golden(graph, layers, inputs, state=state)
        judged = interpreter.run(list(inputs.values()))
        for name, expected in zip(graph.outputs, judged, strict=True):
            np.testing.assert_array_equal(outputs[name], expected, name)
    return outputs
