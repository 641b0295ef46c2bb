"""``mmsp listen``: a chip that sleeps, hears a recording at its microphone, and runs a network."""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmsp.audio.recording import Recording, read_recording
from mmsp.audio.windows import AudioOptions, choose_frontend
from mmsp.cli.options import (
    add_channel,
    add_config,
    add_gating,
    add_model,
    add_weight_bits,
    chosen_channel,
    chosen_config,
    chosen_gating,
)
from mmsp.cli.output_files import OutputFiles
from mmsp.cli.run import STDOUT, progress_bar
from mmsp.clock import CORE_HZ
from mmsp.errors import InputError
from mmsp.inputs import make_batch, read_file
from mmsp.loading import Model, load_image, load_model
from mmsp.references import Comparison, compare
from mmsp.report import make_console
from mmsp.simulator.simulator import Simulator

__all__ = ["add_arguments", "main"]

SAMPLE_HZ = 16_000
SHOWN_WINDOWS = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model(parser)
    parser.add_argument("recording", metavar="X.wav", help="WAV or FLAC of any rate and length")
    parser.add_argument(
        "--frontend",
        metavar="NAME",
        help="a preset of `mmsp features`, or a .toml file (default: the preset that has the "
        "shape, scale and zero point of the input)",
    )
    parser.add_argument(
        "--stride",
        metavar="N",
        type=int,
        help="run the network every N frames (default: half a window; a whole one if the network "
        "has a state)",
    )
    add_channel(parser)
    add_weight_bits(parser)
    add_config(parser)
    add_gating(parser)
    parser.add_argument("--json", metavar="OUT.json", help="the report; - is the standard output")


@dataclass(frozen=True)
class Session:
    """What a chip heard and said: ``heard`` is of `mmsp.audio.listening`."""

    model: Model
    recording: Recording
    listener: Any
    heard: Any
    comparison: Comparison | None
    outputs: dict[str, np.ndarray]
    notes: list[str]

    @property
    def seconds(self) -> float:
        """Time from the first bit to the end of the last run."""
        return self.heard.elapsed.time / CORE_HZ

    @property
    def core_share(self) -> float:
        """Of the time, with the core's clock running."""
        return self.heard.elapsed.core / self.heard.elapsed.time

    @property
    def failed(self) -> bool:
        """Whether something is wrong: results, or lost samples."""
        differ = self.comparison is not None and bool(self.comparison.total)
        return differ or bool(self.heard.losses)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        elapsed, listener = self.heard.elapsed, self.listener
        comparison = self.comparison
        return {
            "model": self.model.name,
            "recording": self.recording.name,
            "config": listener.simulator.config.name,
            "frontend": listener.frontend.name,
            "window_frames": listener.frames,
            "stride": listener.stride,
            "samples": len(self.recording.samples),
            "seconds": self.seconds,
            "clocks": {"core": elapsed.core, "aon": elapsed.aon, "audio": elapsed.audio},
            "core_clock_share": self.core_share,
            "lost": self.heard.losses,
            "windows": [
                {
                    "seconds": window.samples / SAMPLE_HZ,
                    "outputs": {name: values[i].tolist() for name, values in self.outputs.items()},
                }
                for i, window in enumerate(self.heard.windows)
            ],
            "notes": self.notes,
            "bit_exact": {
                "against": list(comparison.mismatches) if comparison else [],
                "mismatches": comparison.total if comparison else None,
            },
        }

    def print(self, console: Console) -> None:
        """A line a window, and what it took."""
        for note in self.notes:
            console.print(Text(note, "dim"), soft_wrap=True)
        table = Table("heard", "output", "values", box=SIMPLE_HEAD, pad_edge=False)
        for i, window in enumerate(self.heard.windows[:SHOWN_WINDOWS]):
            for name, values in self.outputs.items():
                shown = np.array2string(values[i].ravel()[:12], max_line_width=200)
                table.add_row(f"{window.samples / SAMPLE_HZ:.3f} s", name, shown)
        console.print(table)
        left = len(self.heard.windows) - SHOWN_WINDOWS
        if left > 0:
            console.print(f"and {left:,} more")
        count, core = len(self.heard.windows), self.heard.elapsed.core
        console.print(
            f"{count:,} windows in {self.seconds:.3f} s; the core's clock ran {core:,} cycles, "
            f"{self.core_share:.2%} of the time"
            + (f", {core // count:,} a window" if count else ""),
            soft_wrap=True,
        )
        if self.heard.losses:
            console.print(Text(f"lost: {', '.join(self.heard.losses)}", "bold red"))
        if self.comparison is not None:
            style = "bold red" if self.comparison.total else "bold green"
            console.print(Text(self.comparison.sentence, style), soft_wrap=True)


def main(arguments: argparse.Namespace) -> int:
    """Read, listen, compare, and say what was heard."""
    config = chosen_config(arguments)
    gating = chosen_gating(arguments)
    if arguments.stride is not None and arguments.stride < 1:
        raise InputError(f"--stride must be at least 1, and is {arguments.stride}")
    to_stdout = arguments.json == STDOUT
    path = Path(arguments.recording)
    with OutputFiles([Path(arguments.model), path]) as files:
        json_file = files.add(None if to_stdout else arguments.json, "--json")
        model = load_model(arguments.model, config, weight_bits=arguments.weight_bits)
        model = replace(model, image=load_image(model, config))
        with Simulator(model, gating=gating) as simulator:
            session = listen(arguments, model, simulator, path)
        document = json.dumps(session.to_json(), indent=2, allow_nan=False) + "\n"
        if json_file is not None:
            json_file.write(document.encode())
    session.print(make_console(stderr=to_stdout))
    if to_stdout:
        sys.stdout.write(document)
    return 1 if session.failed else 0


def listen(
    arguments: argparse.Namespace, model: Model, simulator: Simulator, path: Path
) -> Session:
    """Put the front end into the chip, let it hear, and compare with the golden models."""
    from mmsp.audio.listening import Listener  # noqa: PLC0415  (hardware takes time to import)

    inputs = simulator.description.inputs
    options = AudioOptions(frontend=arguments.frontend, channel=chosen_channel(arguments))
    frontend, notes = choose_frontend(path, inputs[0], options)
    recording = read_recording(
        path, read_file(path, "recording"), frontend.sample_rate, options.channel
    )
    stateful = model.graph is not None and bool(model.graph.variables)
    listener = Listener(simulator, frontend, arguments.stride, stateful=stateful)
    samples = recording.samples
    if not listener.count(len(samples)):
        raise InputError(
            f"{str(path)!r} has {len(samples):,} samples, and a window of {listener.frames} frames "
            f"takes {listener.samples:,}"
        )
    with progress_bar(1, len(samples)) as progress:
        heard = listener.hear(samples, lambda said: progress(0, said))
    outputs = {
        port.name: port.to_outside(np.stack([w.outputs[port.name] for w in heard.windows]))
        for port in simulator.description.outputs
    }
    comparison = None
    expected = listener.expected(samples)
    if len(heard.windows) == len(expected) and inputs[0].dtype == "int8":
        batch = make_batch({inputs[0].name: expected.reshape(-1, *inputs[0].shape)}, inputs)
        comparison = compare("rtl", outputs, model, batch, reset_state=False)
    said = [recording.sentence, *notes, *listener.notes]
    return Session(model, recording, listener, heard, comparison, outputs, said)
