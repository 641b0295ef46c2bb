"""``mmsp bench --gating``: networks under each gating policy."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hdl.config import ChipConfig
from hdl.power.domains import Gating
from mmsp.bench.gating import BARS, Ablation, measure_gating
from mmsp.bench.gating_table import print_ablations
from mmsp.bench.measurement import prepare
from mmsp.cli.options import wakeup_cycles
from mmsp.cli.output_files import OutputFiles
from mmsp.cli.run import STDOUT, progress_bar
from mmsp.clock import CORE_HZ
from mmsp.errors import InputError
from mmsp.loading import Source
from mmsp.report import make_console
from mmsp.zoo import digits_model

__all__ = ["print_gating"]


def print_gating(
    arguments: argparse.Namespace, config: ChipConfig, paths: list[Path], notes: Sequence[str]
) -> int:
    """Measure, write and print.

    Parameters
    ----------
    arguments : Namespace
        Of ``mmsp bench``.
    config : ChipConfig
        The chip; ``--wakeup-us`` makes variants of it.
    paths : list of Path
        Networks; none for the digit network.
    notes : sequence of str
        To be printed at the end.
    """
    if arguments.layers:
        raise InputError("--gating compares policies, and --layers is given, too")
    wakeups = [config.mram_wakeup]
    if arguments.wakeup_us is not None:
        wakeups = list(dict.fromkeys(wakeup_cycles(text) for text in arguments.wakeup_us))
    to_stdout = arguments.json == STDOUT
    with OutputFiles(paths) as files:
        report_file = files.add(None if to_stdout else arguments.json, "--json")
        page = files.add(arguments.report, "--report")
        for path in paths:
            prepare(path, config)  # what is wrong is said before any simulation
        sources: list[tuple[Source, str]] = [(path, path.name) for path in paths]
        sources = sources or [(digits_model(), "digits.tflite")]
        tasks = [(source, name, wakeup) for source, name in sources for wakeup in wakeups]
        with progress_bar(len(tasks), len(Gating)) as progress:
            ablations = [
                measure_gating(
                    source, config, name=name, wakeup=wakeup, seed=arguments.seed,
                    progress=lambda policies, _, done=done: progress(done, policies),
                )
                for done, (source, name, wakeup) in enumerate(tasks)
            ]  # fmt: skip
        document = gating_json(config, ablations, arguments.seed)
        if report_file is not None:
            report_file.write(document.encode())
        if page is not None:
            from mmsp.html import gating_page  # noqa: PLC0415  (plots are slow to import)

            page.write(gating_page(config, ablations, seed=arguments.seed).encode())
    console = make_console(stderr=to_stdout)
    print_ablations(console, ablations)
    for note in notes:
        console.print(note, soft_wrap=True)
    if to_stdout:
        sys.stdout.write(document)
    return 0


def gating_json(config: ChipConfig, ablations: Sequence[Ablation], seed: int) -> str:
    """All figures."""
    document = {
        "config": config.name,
        "clock_hz": CORE_HZ,
        "seed": seed,
        "bars": BARS,
        "gating": [ablation.to_json() for ablation in ablations],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
