"""Options that several commands share."""

import argparse

from hdl.config import FULL, ChipConfig
from mmsp.compiler.narrowing import WEIGHT_BITS
from mmsp.variants import find_config, make_variant

__all__ = ["add_config", "add_model", "add_weight_bits", "chosen_config"]


def add_model(parser: argparse.ArgumentParser) -> None:
    """The network."""
    parser.add_argument("model", metavar="MODEL", help="a .tflite or .onnx file, or an .mram image")


def add_config(parser: argparse.ArgumentParser) -> None:
    """The chip."""
    parser.add_argument(
        "--config",
        metavar="NAME",
        help="sizes of the chip: FULL (256 MAC/cycle; the default), ECP5 (96) or SMALL (16); "
        "an image has its own",
    )
    parser.add_argument(
        "--act-kib", metavar="N", type=int, help="give that chip N KiB of activation memory"
    )
    parser.add_argument(
        "--mram-kib", metavar="N", type=int, help="give that chip N KiB of MRAM, a power of two"
    )


def add_weight_bits(parser: argparse.ArgumentParser) -> None:
    """Narrower weights."""
    parser.add_argument(
        "--weight-bits",
        type=int,
        choices=WEIGHT_BITS,
        help="requantise int8 weights to so many bits, one scale an output channel: less MRAM, "
        "and faster where weights are what is waited for, but another network",
    )


def chosen_config(arguments: argparse.Namespace) -> ChipConfig | None:
    """The chip that the arguments name, None when they name none.

    Raises
    ------
    InputError
        When there is no such chip.
    """
    config = find_config(arguments.config)
    if arguments.act_kib is None and arguments.mram_kib is None:
        return config
    return make_variant(config or FULL, arguments.act_kib, arguments.mram_kib)
