"""Arguments, commands, and what becomes of errors.

Each command is a module with ``add_arguments(parser)`` and ``main(arguments) -> int``, imported
when it is the one to run: ``mmsp --help`` takes no time.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from mmsp.errors import InputError

__all__ = ["main"]

COMMANDS = {
    "run": ("mmsp.cli.run", "run a network on the simulated chip: outputs, cycles, layers"),
    "compile": ("mmsp.cli.compile", "make the MRAM image of a network"),
    "inspect": (
        "mmsp.cli.inspect",
        "print what is in an MRAM image, or would be in that of a model",
    ),
    "features": ("mmsp.cli.features", "compute the audio features of a recording"),
    "listen": ("mmsp.cli.listen", "let a sleeping chip hear a recording and run a network on it"),
    "isp": ("mmsp.cli.isp", "take frames of a camera through the image front end"),
    "bench": (
        "mmsp.cli.bench",
        "benchmark networks on the simulated chip, beside published figures of others",
    ),
    "demo": ("mmsp.zoo.demo", "read handwritten digits on the simulated chip"),
}

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
FAILURES = ("SimulationError", "ChipError", "BuildError")
"""Exceptions of `mmsp.simulator` whose message is for the user; not imported just to be caught."""


class Parser(argparse.ArgumentParser):
    """A parser that raises its errors."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise InputError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 for a failed run, 2 for bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = dispatch(arguments)
        sys.stdout.flush()
        return status
    except SystemExit as leaving:  # --help and --version
        return leaving.code if isinstance(leaving.code, int) else 0
    except BrokenPipeError:
        # The reader of a pipe has left, such as `head`: nothing more to say, also at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return complain("interrupted", INTERRUPTED)
    except InputError as error:
        return complain(str(error), BAD_INPUT)
    except Exception as error:
        return complain(sentence(error), FAILED)


def sentence(error: Exception) -> str:
    """What to say about a failed run, or about a fault of this program."""
    if type(error).__name__ in FAILURES:
        return str(error)
    return (
        f"unexpected {type(error).__name__}: {error}; please report this with the command that "
        "led to it (MMSP_DEBUG=1 shows where it happened)"
    )


def complain(message: str, status: int) -> int:
    """Print what went wrong."""
    if os.environ.get("MMSP_DEBUG") == "1":
        traceback.print_exc()
    print(f"mmsp: {message}", file=sys.stderr)
    return status


def dispatch(argv: list[str]) -> int:
    """Parse the arguments and run the command."""
    parser = Parser(
        prog="mmsp",
        description="Compile an int8 network for the chip, simulate it, and see what it costs.",
    )
    parser.add_argument("--version", action="version", version=f"mmsp {installed_version(argv)}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name == chosen:
            command = importlib.import_module(module)
            command.add_arguments(subparser)
            subparser.set_defaults(main=command.main)
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.error(f"a command is missing: {', '.join(COMMANDS)}")
    return arguments.main(arguments)


def installed_version(argv: list[str]) -> str:
    """Version of the package, looked up only when it is asked for."""
    if "--version" not in argv:
        return ""
    from importlib.metadata import version  # noqa: PLC0415  (slow to import)

    return version("mmsp")
