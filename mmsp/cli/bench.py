"""``mmsp bench``: networks on the RTL, in one table with what is published about others."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hdl.config import FULL, ChipConfig
from mmsp.bench.further_networks import FURTHER, FurtherNetwork
from mmsp.bench.measurement import Measurement, Unsupported, measure, prepare
from mmsp.bench.mlperf_tiny import NETWORKS, REPOSITORY
from mmsp.bench.operator_table import ALL_CASES, operator_table
from mmsp.bench.operators import Case
from mmsp.bench.table import print_benchmark
from mmsp.cli.bench_gating import print_gating
from mmsp.cli.options import add_config, add_wakeup, chosen_config
from mmsp.cli.output_files import OutputFiles
from mmsp.cli.run import STDOUT, progress_bar
from mmsp.clock import CORE_HZ
from mmsp.errors import InputError
from mmsp.loading import Model
from mmsp.report import make_console
from mmsp.zoo import digits_model

__all__ = ["add_arguments", "main"]

HOW_TO_GET_MORE = (
    "this is the digit network of the project; those of MLPerf Tiny are in the public repository "
    f"{REPOSITORY}: give the directory where they are with --models"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="a .tflite file; without any, those of --models, or the digit network of the project",
    )
    parser.add_argument(
        "--models",
        metavar="DIR",
        dest="directory",
        help="benchmark the MLPerf Tiny networks that are anywhere in this directory, such as a "
        f"clone of {REPOSITORY}, and {len(FURTHER)} more (docs/bench.md)",
    )
    add_config(parser)
    parser.add_argument("--seed", type=int, default=1, help="of the random inputs (1)")
    parser.add_argument(
        "--operators",
        action="store_true",
        help="benchmark one layer of each operator instead, and print the table of docs/engine.md",
    )
    parser.add_argument(
        "--gating",
        action="store_true",
        help="compare the gating policies on each network instead: cycles, and how long the "
        "memories are on",
    )
    add_wakeup(parser, several=True)
    parser.add_argument("--layers", action="store_true", help="print the layers of each, too")
    parser.add_argument("--json", metavar="OUT.json", help="all figures; - is the standard output")
    parser.add_argument("--report", metavar="OUT.html", help="the same with plots, as one page")


def main(arguments: argparse.Namespace) -> int:
    """Load all, then run all, then report: 1 if any output differs from a reference."""
    config = chosen_config(arguments) or FULL
    if arguments.seed < 0:
        raise InputError(f"--seed must not be negative, and is {arguments.seed}")
    if arguments.operators:
        return print_operators(arguments, config)
    further = () if arguments.gating else FURTHER
    paths, notes = choose_models(arguments.models, arguments.directory, further)
    if arguments.gating:
        return print_gating(arguments, config, paths, notes)
    if arguments.wakeup_us is not None:
        raise InputError("--wakeup-us is for --gating, which is not given")
    to_stdout = arguments.json == STDOUT
    with OutputFiles(paths) as files:
        report_file = files.add(None if to_stdout else arguments.json, "--json")
        page = files.add(arguments.report, "--report")
        models, unsupported = prepare_all(paths, config)
        measurements = [simulate(model, arguments.seed) for model in models]
        document = benchmark_json(config, measurements, unsupported, arguments.seed)
        if report_file is not None:
            report_file.write(document.encode())
        if page is not None:
            from mmsp.html import bench_page  # noqa: PLC0415  (plots are slow to import)

            made = bench_page(config, measurements, unsupported, seed=arguments.seed)
            page.write(made.encode())
    console = make_console(stderr=to_stdout)
    print_benchmark(
        console, config, measurements, unsupported, seed=arguments.seed, layers=arguments.layers
    )
    for note in notes:
        console.print(note, soft_wrap=True)
    if to_stdout:
        sys.stdout.write(document)
    return 1 if any(measurement.comparison.total for measurement in measurements) else 0


def print_operators(arguments: argparse.Namespace, config: ChipConfig) -> int:
    """Measure one layer of each operator, and print the table."""
    for name in ("models", "directory", "layers", "json", "report", "gating"):
        if getattr(arguments, name):
            option = {"models": "a model", "directory": "--models"}.get(name, f"--{name}")
            raise InputError(f"--operators measures layers of its own, and {option} is given, too")
    done = 0
    with progress_bar(1, len(ALL_CASES)) as progress:

        def report(_: Case) -> None:
            nonlocal done
            progress(0, done)
            done += 1

        table = operator_table(config, on_case=report)
    print(table)
    return 0


def prepare_all(paths: list[Path], config: ChipConfig) -> tuple[list[Model], list[Unsupported]]:
    """Compile all networks, and collect what cannot be compiled.

    Raises
    ------
    InputError
        When a file cannot be read, or none of the networks can be compiled.
    """
    if not paths:
        return [prepare(digits_model(), config, name="digits.tflite")], []
    models: list[Model] = []
    unsupported: list[Unsupported] = []
    for path in paths:
        try:
            models.append(prepare(path, config))
        except Unsupported as error:
            unsupported.append(error)
    if not models:
        raise unsupported[0]
    return models, unsupported


def choose_models(
    given: list[str], directory: str | None, further: Sequence[FurtherNetwork]
) -> tuple[list[Path], list[str]]:
    """Files to benchmark, none for the digit network; and what to say about the choice.

    Of a directory these are the networks of MLPerf Tiny and ``further`` ones.
    """
    if directory is None:
        return [Path(name) for name in given], [] if given else [HOW_TO_GET_MORE]
    if given:
        raise InputError(
            f"--models {directory!r} and {given[0]!r} are both given: name a directory or files"
        )
    if not Path(directory).is_dir():
        raise InputError(f"--models {directory!r} is not a directory")
    files = [network.file for network in (*NETWORKS, *further)]
    found = {name: find_file(Path(directory), name) for name in files}
    missing = [name for name, path in found.items() if path is None]
    if len(missing) == len(files):
        raise InputError(
            f"--models {directory!r} has none of {', '.join(missing)}: the first "
            f"{len(NETWORKS)} are in the public repository {REPOSITORY}"
        )
    notes = [f"not in {directory!r}, so left out: {', '.join(missing)}"] if missing else []
    return [path for path in found.values() if path is not None], notes


def find_file(directory: Path, name: str) -> Path | None:
    """The file of that name anywhere in ``directory``; copies of it count as one."""
    found = sorted(path for path in directory.rglob(name) if path.is_file())
    if len({path.read_bytes() for path in found}) > 1:
        raise InputError(
            f"--models {str(directory)!r} has several different {name}, such as "
            f"{str(found[0])!r} and {str(found[-1])!r}: name the one to benchmark as MODEL"
        )
    return found[0] if found else None


def simulate(model: Model, seed: int) -> Measurement:
    """Measure one network, with a progress bar on a terminal."""
    assert model.image is not None, "prepare compiles"
    with progress_bar(1, len(model.image.description.executed)) as progress:
        return measure(model, seed=seed, progress=progress)


def benchmark_json(
    config: ChipConfig,
    measurements: list[Measurement],
    unsupported: list[Unsupported],
    seed: int,
) -> str:
    """All figures."""
    document = {
        "config": config.name,
        "array_macs_per_cycle": config.macs_per_cycle,
        "clock_hz": CORE_HZ,
        "seed": seed,
        "networks": [measurement.to_json() for measurement in measurements],
        "not_supported": [{"model": e.model, "reason": e.reason} for e in unsupported],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
