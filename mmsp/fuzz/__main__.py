"""``python -m mmsp.fuzz``: random networks on the simulated chip, against TFLM."""

import argparse
import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hdl.config import CONFIGS, ChipConfig
from mmsp.errors import InputError
from mmsp.fuzz.campaign import Campaign, Failure
from mmsp.fuzz.judge import TARGETS, Judge
from mmsp.report import make_console

BAD_INPUT = 2


def main(argv: list[str] | None = None) -> int:
    """Run a campaign on each chip; 1 when a network failed, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m mmsp.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="networks for each chip")
    parser.add_argument("--seed", type=int, default=1, help="of the campaign (default: 1)")
    parser.add_argument("--first", type=int, default=0, help="index of the first network")
    parser.add_argument(
        "--config", default="SMALL", help="chips, separated by commas: SMALL,FULL,ECP5"
    )
    parser.add_argument(
        "--target", default="rtl",
        help="golden: the golden models only; program: and the compiler; rtl: and the chip",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    try:
        configs = chosen_configs(arguments.config)
        if arguments.target not in TARGETS:
            raise InputError(
                f"--target is {arguments.target!r}, and must be one of {', '.join(TARGETS)}"
            )
        for name, lowest in (("count", 1), ("seed", 0), ("first", 0)):
            value = getattr(arguments, name)
            if value < lowest:
                raise InputError(f"--{name} must be at least {lowest}, and is {value}")
    except InputError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return BAD_INPUT
    failures = 0
    for config in configs:
        campaign = run_campaign(
            config, arguments.count, arguments.first, arguments.seed, arguments.target
        )
        failures += len(campaign.failures)
    return int(failures > 0)


def chosen_configs(names: str) -> list[ChipConfig]:
    """Configurations by a list of names."""
    wanted = [name.strip().upper() for name in names.split(",")]
    for name in wanted:
        if name not in CONFIGS:
            raise InputError(f"--config names {name!r}, and must be among {', '.join(CONFIGS)}")
    return [CONFIGS[name] for name in wanted]


def run_campaign(
    config: ChipConfig, count: int, first: int, seed: int, target: str = "rtl"
) -> Campaign:
    """Run one campaign with a progress bar on a terminal, and print its summary."""
    console = make_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    errors = make_console(stderr=True)
    with (
        Judge(config, target=target) as judge,
        Progress(
            *columns, TimeElapsedColumn(), console=errors, transient=True,
            disable=not errors.is_terminal,
        ) as progress,
    ):  # fmt: skip
        task = progress.add_task(f"networks on {config.name}", total=count)

        def report(failure: Failure) -> None:
            progress.console.print(describe(failure), soft_wrap=True)  # commands stay whole

        campaign = Campaign(judge, seed)
        campaign.run(count, first=first, done=lambda: progress.advance(task), failed=report)
    refused = sum(campaign.refused.values())
    console.print(
        f"{config.name} ({target}), seed {seed}, networks {first} to {first + count - 1}: "
        f"{campaign.networks} networks, "
        f"{len(campaign.failures)} failed, {refused} refused by the compiler"
    )
    if campaign.unsaturated:
        share = sum(campaign.unsaturated) / len(campaign.unsaturated)
        console.print(f"{share:.0%} of the outputs are not at an end of their type")
    table = Table("covered", "count", box=None)
    for name, number in sorted(campaign.covered.items()):
        table.add_row(name, str(number))
    for sentence, number in campaign.refused.most_common():
        table.add_row(f"refused: {sentence}", str(number))
    console.print(table)
    return campaign


def describe(failure: Failure) -> str:
    """Save a failure, and say what it is and how to see it again."""
    path = failure.save()
    return (
        f"{failure.config} network {failure.index}: {failure.verdict.kind}, "
        f"{failure.verdict.reason}\n"
        f"  {failure.nodes} nodes, shrunk to {len(failure.graph.nodes)}: {path}\n"
        f"  {failure.command}"
    )


if __name__ == "__main__":
    sys.exit(main())
