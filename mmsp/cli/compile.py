"""``mmsp compile``: the MRAM image of a network."""

import argparse
from pathlib import Path

from hdl.config import FULL
from mmsp.cli.options import add_config, add_weight_bits, chosen_config
from mmsp.cli.output_files import OutputFiles
from mmsp.compiler.program import compile_graph
from mmsp.errors import InputError
from mmsp.image import read_image, write_image
from mmsp.loading import load_model
from mmsp.report import make_console

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a .tflite or .onnx file")
    parser.add_argument("-o", "--output", metavar="X.mram", required=True, help="the image")
    add_weight_bits(parser)
    add_config(parser)


def main(arguments: argparse.Namespace) -> int:
    """Compile, write, and say how large it is."""
    config = chosen_config(arguments) or FULL
    with OutputFiles([Path(arguments.model)]) as files:
        output = files.add(arguments.output, "--output")
        model = load_model(arguments.model, weight_bits=arguments.weight_bits)
        if model.graph is None:
            raise InputError(f"model {arguments.model!r} is an image already")
        data = write_image(compile_graph(model.graph, config))
        assert output is not None, "argparse requires it"
        output.write(data)
    image = read_image(data, config)
    console = make_console()
    for sentence in model.graph.conversions:
        console.print(sentence, soft_wrap=True)
    console.print(
        f"{arguments.output}: {len(data):,} bytes, {len(image.resident):,} of them in the MRAM of "
        f"{config.name} ({image.resident_words / config.mram_words:.1%})",
        soft_wrap=True,
    )
    return 0
