"""``mmsp features``: what a front end makes of a recording."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from mmsp.audio.frontends import find_frontend, frontend_files, preset_names
from mmsp.audio.recording import read_recording
from mmsp.audio.targets import TARGETS, Features, compute_features
from mmsp.cli.options import add_channel, chosen_channel
from mmsp.cli.output_files import OutputFiles, npy
from mmsp.inputs import read_file
from mmsp.report import make_console

__all__ = ["add_arguments", "main"]

STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "recording", metavar="X.wav", help="WAV or FLAC of any rate, word length and channels"
    )
    parser.add_argument(
        "--frontend",
        metavar="NAME",
        required=True,
        help=f"{preset_names()}, or a .toml file",
    )
    parser.add_argument(
        "--target",
        choices=tuple(TARGETS),
        default="rtl",
        help="rtl: the simulated hardware, compared with the models; golden: the NumPy models "
        "(default: %(default)s)",
    )
    add_channel(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="F.npy",
        required=True,
        help="int8, frames x values, with the front end's scale and zero point",
    )
    parser.add_argument(
        "--float", action="store_true", help="write real values instead, as float32"
    )
    parser.add_argument("--json", metavar="OUT.json", help="what was done; - is standard output")
    parser.add_argument("--report", metavar="OUT.html", help="a picture of the features as a page")


def main(arguments: argparse.Namespace) -> int:
    """Read, compute, write, and say what was done."""
    to_stdout = arguments.json == STDOUT
    frontend = find_frontend(arguments.frontend)
    path = Path(arguments.recording)
    with OutputFiles([path, *frontend_files(arguments.frontend)]) as files:
        output = files.add(arguments.output, "--output")
        json_file = files.add(None if to_stdout else arguments.json, "--json")
        page = files.add(arguments.report, "--report")
        data = read_file(path, "recording")
        recording = read_recording(path, data, frontend.sample_rate, chosen_channel(arguments))
        features = compute_features(recording, frontend, arguments.target)
        document = json.dumps(to_json(features), indent=2, allow_nan=False) + "\n"
        assert output is not None, "argparse requires it"
        output.write(npy(features.real if arguments.float else features.values))
        if json_file is not None:
            json_file.write(document.encode())
        if page is not None:
            from mmsp.html.audio import features_page  # noqa: PLC0415  (pictures take time)

            page.write(features_page(features).encode())
    for note in (recording.sentence, *features.notes):
        print(note, file=sys.stderr)
    console = make_console(stderr=to_stdout)
    console.print(summary(arguments, features), soft_wrap=True)
    if features.verdict:
        style = "bold red" if features.mismatches else "bold green"
        console.print(Text(features.verdict, style), soft_wrap=True)
    if to_stdout:
        sys.stdout.write(document)
    return 1 if features.mismatches else 0


def summary(arguments: argparse.Namespace, features: Features) -> str:
    """One line about the result."""
    frames, values = features.values.shape
    quantised = f"scale {features.frontend.scale:.9g}, zero point {features.frontend.zero_point}"
    dtype = "float32" if arguments.float else f"int8 ({quantised})"
    return (
        f"{arguments.output}: {frames:,} frames x {values} values of {features.frontend.name}, "
        f"{dtype}, {features.target}"
    )


def to_json(features: Features) -> dict[str, Any]:
    """Plain values."""
    frontend, recording = features.frontend, features.recording
    return {
        "recording": recording.name,
        "frontend": frontend.name,
        "target": features.target,
        "sample_rate": recording.rate_hz,
        "samples": len(recording.samples),
        "shape": list(features.values.shape),
        "scale": frontend.scale,
        "zero_point": frontend.zero_point,
        "notes": [*recording.steps, *features.notes],
        "bit_exact": {
            "against": [] if features.mismatches is None else ["golden"],
            "mismatches": features.mismatches,
        },
    }
