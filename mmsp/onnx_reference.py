"""Compares an imported ONNX network with onnxruntime, which computes it in floating point.

The engine's integers follow TFLite; onnxruntime computes real values between QuantizeLinear and
DequantizeLinear.  The two differ by a rounding here and there, which this module counts in steps,
the distance of neighbouring integers.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import Layer
from mmsp.compiler.legalize import legalize
from mmsp.description import Port, graph_ports
from mmsp.errors import InputError, first_line
from mmsp.golden import run_golden
from mmsp.importers.onnx_qdq import OnnxImport, import_onnx

__all__ = [
    "LayerDifference",
    "describe_difference",
    "layer_differences",
    "onnxruntime_available",
    "output_difference",
    "run_onnxruntime",
]


@dataclass(frozen=True)
class LayerDifference:
    """How far tensor ``tensor``, written by ``node``, is from onnxruntime's.

    ``largest`` in steps; ``different`` of ``count`` values are not equal; ``within`` of them are
    neither the smallest nor the largest integer, which any overflow gives.
    """

    tensor: str
    node: str
    op: str
    largest: int
    different: int
    within: int
    count: int


def onnxruntime_available() -> bool:
    """Whether the package `onnxruntime` is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def run_onnxruntime(
    data: bytes,
    inputs: Mapping[str, NDArray],
    values: Sequence[str] = (),
    *,
    optimize: bool = False,
) -> dict[str, NDArray]:
    """Run a network once.

    Parameters
    ----------
    data : bytes
        An ONNX file.
    inputs : mapping
        By name, in the shapes and types that the file declares.
    values : sequence of str
        What to return: any values of the network; by default its outputs.
    optimize : bool
        Let onnxruntime replace float nodes by its integer kernels; otherwise every node is computed
        as the file has it.

    Raises
    ------
    InputError
        When onnxruntime is not installed, or refuses the network.
    """
    if not onnxruntime_available():
        raise InputError("onnxruntime is missing: pip install onnxruntime")
    import onnx  # noqa: PLC0415  (slow to import)
    import onnxruntime  # noqa: PLC0415  (optional, and slow to import)

    if values:
        model = onnx.load_from_string(data)
        known = {output.name for output in model.graph.output}
        model.graph.output.extend(
            onnx.ValueInfoProto(name=value) for value in dict.fromkeys(values) if value not in known
        )
        data = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: what goes wrong is raised
    options.intra_op_num_threads = 1  # the same sums in the same order
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = list(values) or [output.name for output in session.get_outputs()]
        results = session.run(names, dict(inputs))
    except Exception as error:  # its exceptions have no common base class
        raise InputError(f"onnxruntime refuses the network: {first_line(error)}") from None
    return {key: np.asarray(result) for key, result in zip(names, results, strict=True)}


def inside(imported: OnnxImport, inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """What the chip gets for inputs as the file declares them."""
    graph = imported.graph
    ports, _ = graph_ports(graph)
    return {
        name: port.rearrange(port.to_inside(inputs[port.name])).reshape(graph.tensors[name].shape)
        for name, port in zip(graph.inputs, ports, strict=True)
    }


def layer_differences(data: bytes, inputs: Mapping[str, NDArray]) -> list[LayerDifference]:
    """Compare layer by layer: each golden layer is fed what onnxruntime has computed before it.

    Parameters
    ----------
    data : bytes
        An ONNX file.
    inputs : mapping
        By name, in the shapes and types that the file declares.

    Returns
    -------
    list
        One entry for each tensor that the file quantises, in the order of computation.
    """
    imported = import_onnx(data, "network")
    layers = legalize(imported.graph)
    values = [value for value, _ in imported.origins.values()]
    references = run_onnxruntime(data, inputs, values)
    tensors = inside(imported, inputs)
    found = []
    for layer in layers:
        result = run_one(imported, layer, tensors)
        tensors |= result
        for tensor, mine in result.items():
            if tensor not in imported.origins:
                continue
            theirs = imported.to_stored(tensor, references[imported.origins[tensor][0]])
            tensors[tensor] = theirs
            steps = np.abs(mine.astype(np.int64) - theirs)
            limits = np.iinfo(mine.dtype)
            found.append(
                LayerDifference(
                    tensor=tensor,
                    node=layer.name,
                    op=layer.op,
                    largest=int(steps.max(initial=0)),
                    different=int(np.count_nonzero(steps)),
                    within=int(((theirs > limits.min) & (theirs < limits.max)).sum()),
                    count=steps.size,
                )
            )
    return found


def run_one(
    imported: OnnxImport, layer: Layer, tensors: Mapping[str, NDArray]
) -> dict[str, NDArray]:
    """Outputs of one layer."""
    graph = imported.graph
    operands = [name for name in dict.fromkeys(layer.inputs) if name not in graph.variables]
    alone = replace(graph, inputs=operands, outputs=[layer.output])
    return run_golden(alone, [layer], {name: tensors[name] for name in operands})


def output_difference(data: bytes, batches: Mapping[str, NDArray]) -> dict[str, float]:
    """Compare the whole network, each inference from a cleared state.

    Parameters
    ----------
    data : bytes
        An ONNX file.
    batches : mapping
        Inputs by name, with one dimension more than the file declares, the batch.

    Returns
    -------
    dict
        The largest difference of each output in steps: of the integers where the file quantises
        it, otherwise of real values in units of the output's scale.
    """
    imported = import_onnx(data, "network")
    graph, layers = imported.graph, legalize(imported.graph)
    _, ports = graph_ports(graph)
    largest = dict.fromkeys((port.name for port in ports), 0.0)
    wanted = [
        value_of(imported, tensor, port) for tensor, port in zip(graph.outputs, ports, strict=True)
    ]
    for index in range(len(next(iter(batches.values())))):
        inputs = {key: values[index] for key, values in batches.items()}
        outputs = run_golden(graph, layers, inside(imported, inputs))
        references = run_onnxruntime(data, inputs, wanted)
        for tensor, port, value in zip(graph.outputs, ports, wanted, strict=True):
            mine, theirs = outputs[tensor], references[value]
            if tensor in imported.origins:
                steps = np.abs(mine.astype(np.int64) - imported.to_stored(tensor, theirs)).max()
            else:
                real = port.to_outside(port.rearrange(mine).reshape(port.shape))
                scale = 1.0 if port.scale is None else port.scale
                steps = np.abs(real.astype(np.float64) - theirs.reshape(port.shape)).max() / scale
            largest[port.name] = max(largest[port.name], float(steps))
    return largest


def describe_difference(data: bytes, batches: Mapping[str, NDArray]) -> str:
    """`output_difference` as a remark, also when onnxruntime cannot run the network."""
    try:
        largest = max(output_difference(data, batches).values())
    except InputError as error:
        return str(error)
    return f"at most {largest:.4g} steps from onnxruntime"


def value_of(imported: OnnxImport, tensor: str, port: Port) -> str:
    """Name of the ONNX value that an output is compared with."""
    return imported.origins[tensor][0] if tensor in imported.origins else port.name
