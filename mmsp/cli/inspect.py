"""``mmsp inspect``: what is in an image."""

import argparse

from mmsp.cli.options import add_config, add_model, chosen_config
from mmsp.inspection import print_image
from mmsp.loading import load_image
from mmsp.report import make_console

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model(parser)
    add_config(parser)


def main(arguments: argparse.Namespace) -> int:
    """Print the image; a .tflite or .onnx file is compiled first."""
    image = load_image(arguments.model, chosen_config(arguments))
    print_image(image, make_console())
    return 0
