"""From what the user names to a network: a model file, an image, or what is in memory already."""

from dataclasses import dataclass
from pathlib import Path

from hdl.config import FULL, ChipConfig
from mmsp.compiler.layers import Layer
from mmsp.compiler.legalize import legalize
from mmsp.compiler.narrowing import narrow_weights
from mmsp.compiler.program import Program, compile_graph
from mmsp.errors import InputError
from mmsp.graph import Graph
from mmsp.image import Image, is_image, read_image, write_image
from mmsp.importers.tflite import read_tflite
from mmsp.inputs import read_file
from mmsp.variants import find_config

__all__ = ["Model", "Source", "find_config", "load_image", "load_model"]

Source = str | Path | bytes | Graph | Program
"""A path of a .tflite, .onnx or .mram file, the contents of one, a graph, or a program."""

TFLITE_IDENTIFIER = b"TFL3"
ONNX_SUFFIX = ".onnx"
ONNX_FIRST_BYTE = b"\x08"
"""Of every ONNX file that a library has written: field 1, the version of the format."""


@dataclass(frozen=True)
class Model:
    """A network: a graph with its layers, or only the image of one.

    ``data`` are the bytes of the .tflite file that the graph was read from, ``onnx`` those of the
    .onnx file.
    """

    name: str
    graph: Graph | None = None
    layers: list[Layer] | None = None
    image: Image | None = None
    data: bytes | None = None
    onnx: bytes | None = None


def load_model(
    source: Source, config: ChipConfig | None = None, *, weight_bits: int | None = None
) -> Model:
    """Read a network, without compiling it; an image must be made for ``config``.

    With ``weight_bits`` its weights become that narrow: it is then another network than that of the
    file, with which no reference is to be compared.

    Raises
    ------
    InputError
        When the file cannot be read, or the network cannot run on the engine.
    """
    if weight_bits is None:
        return load_source(source, config)
    model = load_source(source, None)
    if model.graph is None:
        raise InputError(f"{model.name} is an image, whose weights are what they are")
    graph = narrow_weights(model.graph, weight_bits)
    return Model(model.name, graph, legalize(graph))


def load_source(source: Source, config: ChipConfig | None) -> Model:
    """`load_model`, weights as they are."""
    if isinstance(source, Program):
        return Model(source.graph.name, source.graph, source.layers)
    if isinstance(source, Graph):
        return Model(source.name, source, legalize(source))
    if isinstance(source, bytes):
        name, data = "model", source
    else:
        name, data = Path(source).name, read_file(Path(source), "model")
    if is_image(data):
        image = read_image(data, config)
        return Model(image.description.model, image=image)
    if data[4:8] != TFLITE_IDENTIFIER:
        if not name.endswith(ONNX_SUFFIX) and data[:1] != ONNX_FIRST_BYTE:
            raise InputError(
                f"model {name!r} is neither a .tflite file nor an .mram image nor an .onnx file: "
                f"it begins with {data[:8]!r}"
            )
        from mmsp.importers.onnx_qdq import read_onnx  # noqa: PLC0415  (slow to import)

        graph = read_onnx(data, name)
        return Model(name, graph, legalize(graph), onnx=data)
    graph = read_tflite(data, name)
    return Model(name, graph, legalize(graph), data=data)


def load_image(source: Source | Model, config: ChipConfig | None = None) -> Image:
    """The image of a network, compiled if need be, by default for FULL.

    Raises
    ------
    InputError
        As `load_model` and `mmsp.compiler.compile_graph` do, and when an image or a program was
        made for another configuration than ``config``.
    """
    if isinstance(source, Program):
        return read_image(write_image(source), config)
    model = source if isinstance(source, Model) else load_model(source, config)
    if model.image is not None:
        return model.image
    assert model.graph is not None, "a model is a graph or an image"
    return read_image(write_image(compile_graph(model.graph, config or FULL)), config or FULL)
