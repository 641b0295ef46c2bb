"""Options that several commands share."""

import argparse

__all__ = ["add_config", "add_model"]


def add_model(parser: argparse.ArgumentParser) -> None:
    """The network."""
    parser.add_argument("model", metavar="MODEL", help="a .tflite file, or an .mram image")


def add_config(parser: argparse.ArgumentParser) -> None:
    """The chip."""
    parser.add_argument(
        "--config",
        metavar="NAME",
        help="sizes of the chip: FULL (256 MAC/cycle; the default), ECP5 (96) or SMALL (16); "
        "an image has its own",
    )
