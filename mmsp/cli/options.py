"""Options that several commands share."""

import argparse

from hdl.config import FULL, ChipConfig
from hdl.power.domains import Gating
from mmsp.clock import CORE_HZ
from mmsp.compiler.narrowing import WEIGHT_BITS
from mmsp.errors import InputError
from mmsp.variants import find_config, make_variant

__all__ = [
    "add_channel",
    "add_config",
    "add_gating",
    "add_model",
    "add_wakeup",
    "add_weight_bits",
    "chosen_channel",
    "chosen_config",
    "chosen_gating",
    "wakeup_cycles",
]

LONGEST_WAKEUP_US = 2000


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


def add_channel(parser: argparse.ArgumentParser) -> None:
    """What to take of a recording."""
    parser.add_argument(
        "--channel",
        metavar="N",
        type=int,
        help="take only this channel of a recording, 1 being the left one (default: their mean)",
    )


def chosen_channel(arguments: argparse.Namespace) -> int | None:
    """The channel that the arguments name.

    Raises
    ------
    InputError
        When no recording can have it.
    """
    if arguments.channel is not None and arguments.channel < 1:
        raise InputError(f"--channel must be at least 1, and is {arguments.channel}")
    return arguments.channel


def add_wakeup(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """How long a bank of the MRAM takes to wake up."""
    parser.add_argument(
        "--wakeup-us",
        metavar="US",
        nargs="+" if several else None,
        help="microseconds that a bank of the MRAM takes to wake up, such as 0.1 or 10 (default: "
        "1); the simulator of such a chip is built once"
        + ("; several: all figures for each of them" if several else ""),
    )


def add_gating(parser: argparse.ArgumentParser) -> None:
    """When the chip switches its memories."""
    parser.add_argument(
        "--gating",
        metavar="POLICY",
        default=Gating.PER_BURST.name,
        help="when MRAM banks and activation memory are on: "
        f"{', '.join(policy.name.lower() for policy in Gating)} (the default)",
    )


def chosen_gating(arguments: argparse.Namespace) -> Gating:
    """The policy that the arguments name.

    Raises
    ------
    InputError
        When there is no such policy.
    """
    try:
        return Gating[arguments.gating.upper()]
    except KeyError:
        raise InputError(
            f"--gating must be {', '.join(policy.name.lower() for policy in Gating)}, and is "
            f"{arguments.gating!r}"
        ) from None


def wakeup_cycles(text: str) -> int:
    """Core cycles of a wake-up time in microseconds.

    Raises
    ------
    InputError
        When it is no number of a time that the simulator takes.
    """
    try:
        microseconds = float(text)
    except ValueError:
        microseconds = 0.0
    shortest = 1e6 / CORE_HZ
    if not shortest <= microseconds <= LONGEST_WAKEUP_US:
        raise InputError(
            f"--wakeup-us must be {shortest:g} (one cycle) to {LONGEST_WAKEUP_US} microseconds, "
            f"and is {text!r}"
        )
    return round(microseconds * CORE_HZ / 1e6)


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
    wakeup = getattr(arguments, "wakeup_us", None)
    cycles = wakeup_cycles(wakeup) if isinstance(wakeup, str) else None
    if arguments.act_kib is None and arguments.mram_kib is None and cycles is None:
        return config
    return make_variant(config or FULL, arguments.act_kib, arguments.mram_kib, cycles)
