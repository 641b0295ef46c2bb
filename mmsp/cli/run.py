"""``mmsp run``: a network on the chip or on a reference, compared, and what it cost."""

import argparse
import json
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from hdl.power.domains import Gating
from mmsp.audio.frontends import frontend_files
from mmsp.audio.windows import AudioOptions
from mmsp.bench.gating import Ablation, ablate
from mmsp.cli.isp_options import add_isp_settings
from mmsp.cli.options import (
    add_channel,
    add_config,
    add_gating,
    add_model,
    add_wakeup,
    add_weight_bits,
    chosen_channel,
    chosen_config,
    chosen_gating,
)
from mmsp.cli.output_files import OutputFile, OutputFiles
from mmsp.compiler.program import layer_macs
from mmsp.description import Port, graph_ports
from mmsp.errors import InputError
from mmsp.imaging.options import parse_options, read_settings
from mmsp.imaging.viewing import Viewing
from mmsp.inputs import Batch, random_batch, read_inputs
from mmsp.loading import Model, load_image, load_model
from mmsp.references import compare, golden_outputs, require_graph, tflm_outputs
from mmsp.report import Report, make_console
from mmsp.simulator.simulator import Result, Simulator

__all__ = ["add_arguments", "main"]

REFERENCES = {"golden": golden_outputs, "tflm": tflm_outputs}
STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model(parser)
    parser.add_argument(
        "--input",
        metavar="[NAME=]FILE",
        action="append",
        default=[],
        help=".npy, .npz (by input name), .png, .jpg, .bmp, .wav or .flac; one leading dimension "
        "more than the model's is a batch; without it, random values",
    )
    parser.add_argument(
        "--frontend",
        metavar="NAME",
        help="what makes features of a recording: a preset of `mmsp features`, or a .toml file "
        "(default: the preset that has the shape, scale and zero point of the input)",
    )
    add_channel(parser)
    parser.add_argument(
        "--stride",
        metavar="N",
        type=int,
        help="run on a window of a recording every N frames (default: the first window, or "
        "consecutive ones if the network has a state)",
    )
    parser.add_argument(
        "--through-isp",
        action="store_true",
        help="take pictures through the image front end: mosaic, ISP, scaler; RAW files, too",
    )
    add_isp_settings(parser)
    parser.add_argument(
        "--target",
        choices=("rtl", *REFERENCES),
        default="rtl",
        help="rtl: the simulated chip (the default); golden: the NumPy models; "
        "tflm: TensorFlow Lite Micro",
    )
    add_weight_bits(parser)
    add_config(parser)
    add_gating(parser)
    add_wakeup(parser)
    parser.add_argument("--seed", type=int, default=1, help="of the random values (1)")
    parser.add_argument(
        "--reset-state",
        action="store_true",
        help="clear the network's state before each inference of a batch",
    )
    parser.add_argument("--output", metavar="OUT.npz", help="the outputs, by output name")
    parser.add_argument("--json", metavar="OUT.json", help="the report; - is the standard output")
    parser.add_argument(
        "--report", metavar="OUT.html", help="the same with plots, as one page (rtl only)"
    )
    parser.add_argument("--waves", metavar="OUT.fst", help="record all signals (slow; rtl only)")


def main(arguments: argparse.Namespace) -> int:
    """Run, compare, write, and report."""
    config = chosen_config(arguments)
    check_options(arguments)
    to_stdout = arguments.json == STDOUT
    with OutputFiles(named_files(arguments)) as files:
        output = files.add(arguments.output, "--output")
        report_file = files.add(None if to_stdout else arguments.json, "--json")
        page = files.add(arguments.report, "--report")
        waves = files.add(arguments.waves, "--waves")
        model = load_model(arguments.model, config, weight_bits=arguments.weight_bits)
        if arguments.target == "rtl":
            image = load_image(model, config)
            model = replace(model, image=image)
        report, batch, ablation = execute(arguments, model, waves)
        document = json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n"
        if output is not None:
            output.write(npz(report.outputs))
        if report_file is not None:
            report_file.write(document.encode())
        if page is not None:
            page.write(make_page(report, model, batch, ablation))
        if waves is not None:
            waves.commit()
    report.print(make_console(stderr=to_stdout))
    if to_stdout:
        sys.stdout.write(document)
    return 1 if report.comparison.total else 0


def check_options(arguments: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is read."""
    for option, does in (("waves", "records"), ("report", "is about")):
        if getattr(arguments, option) is not None and arguments.target != "rtl":
            raise InputError(f"--{option} {does} the chip, and --target is {arguments.target}")
    chosen_gating(arguments)
    if arguments.seed < 0:
        raise InputError(f"--seed must not be negative, and is {arguments.seed}")
    if arguments.stride is not None and arguments.stride < 1:
        raise InputError(f"--stride must be at least 1, and is {arguments.stride}")
    chosen_channel(arguments)
    chosen_viewing(arguments)


def execute(
    arguments: argparse.Namespace, model: Model, waves: OutputFile | None
) -> tuple[Report, Batch, Ablation | None]:
    """Run on the target that was asked for, and compare with the others."""
    if model.image is not None and arguments.target == "rtl":
        description = model.image.description
        ports = description.inputs, description.outputs
        layers = [(e.name, e.op, e.macs) for e in description.layers]
    else:
        graph = require_graph(model, arguments.target)
        ports = graph_ports(graph)
        layers = [(e.name, e.op, layer_macs(e, graph)) for e in model.layers or []]
    batch = choose_inputs(arguments, ports[0], model)
    result = ablation = None
    if arguments.target == "rtl":
        result, ablation = simulate(arguments, model, batch, waves)
        outputs = result.outputs
    else:
        reference = REFERENCES[arguments.target]
        outputs = reference(model, batch, reset_state=arguments.reset_state)
        if batch.single:
            outputs = {name: values[0] for name, values in outputs.items()}
    report = Report(
        model=model.name,
        target=arguments.target,
        notes=[*(model.graph.conversions if model.graph else []), *batch.notes],
        count=batch.count,
        layers=layers,
        ports=ports[1],
        outputs=outputs,
        result=result,
        comparison=compare(
            arguments.target, outputs, model, batch, reset_state=arguments.reset_state
        ),
    )
    return report, batch, ablation


def make_page(report: Report, model: Model, batch: Batch, ablation: Ablation | None) -> bytes:
    """The page of ``--report``."""
    from mmsp.html import run_page  # noqa: PLC0415  (plots are slow to import)

    assert model.image is not None, "only the chip has pages, and it runs an image"
    return run_page(report, model.image, batch, ablation).encode()


def named_files(arguments: argparse.Namespace) -> list[Path]:
    """Files that are read, which no output may overwrite."""
    return [
        Path(arguments.model),
        *(Path(name) for given in arguments.input for name in (given, given.rpartition("=")[2])),
        *frontend_files(arguments.frontend),
        *([Path(arguments.isp_settings)] if arguments.isp_settings else []),
    ]


def choose_inputs(arguments: argparse.Namespace, ports: list[Port], model: Model) -> Batch:
    """What was given, or random values."""
    listening = AudioOptions(
        frontend=arguments.frontend,
        channel=chosen_channel(arguments),
        stride=arguments.stride,
        stateful=model.graph is not None and bool(model.graph.variables),
        target=arguments.target,
    )
    viewing = chosen_viewing(arguments)
    if arguments.input:
        return read_inputs(arguments.input, ports, listening, viewing)
    if viewing is not None:
        raise InputError("--through-isp is about pictures, and there is no --input")
    if listening.given:
        raise InputError(f"{listening.given} is about recordings, and there is no --input")
    return random_batch(ports, arguments.seed)


def chosen_viewing(arguments: argparse.Namespace) -> Viewing | None:
    """What to do with pictures, None when they are what the network takes."""
    if not arguments.through_isp:
        if arguments.isp_settings is not None:
            raise InputError("--isp-settings is about --through-isp, which is not there")
        return None
    return Viewing(parse_options({}, read_settings(arguments.isp_settings)), arguments.target)


def simulate(
    arguments: argparse.Namespace, model: Model, batch: Batch, waves: OutputFile | None
) -> tuple[Result, Ablation | None]:
    """Run on the chip, with a progress bar on a terminal; for a page, with all policies, too."""
    assert model.image is not None, "main compiles"
    jobs = len(model.image.description.executed)
    gating, reset_state = chosen_gating(arguments), arguments.reset_state
    with Simulator(model, waves=waves.partial if waves else None, gating=gating) as simulator:
        with progress_bar(batch.count, jobs) as progress:
            result = simulator.run(batch, reset_state=reset_state, progress=progress)
    if arguments.report is None:
        return result, None
    with Simulator(model) as simulator, progress_bar(len(Gating), jobs) as progress:
        return result, ablate(simulator, batch, model=model.name, progress=progress)


@contextmanager
def progress_bar(inferences: int, jobs: int) -> Iterator[Callable[[int, int], None]]:
    """Show the jobs that are done; nothing on a pipe."""
    from rich.console import Console  # noqa: PLC0415  (only for its bar)
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("simulating", total=inferences * jobs)
        yield lambda done, job: progress.update(task, completed=done * jobs + job)


def npz(arrays: Mapping[str, NDArray]) -> bytes:
    """A .npz file whose keys may be anything (`numpy.savez` has keys of its own)."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            # ZipInfo's default date: the same outputs give the same bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                npy_format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
