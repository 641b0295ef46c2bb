"""Progress of a build: a bar on a terminal, nothing on a pipe."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["BuildProgress"]


class BuildProgress:
    """Shows the stages of building one simulator; use it as a context manager."""

    def __init__(self, name: str):
        self.name = name
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.progress.add_task(f"simulator of {name}", total=None)

    def __enter__(self) -> "BuildProgress":
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def stage(self, what: str, *, steps: int | None = None) -> None:
        """Begin a stage of ``steps`` steps; without a number, nobody knows how long it takes."""
        self.progress.update(self.task, description=f"simulator of {self.name}: {what}")
        if steps is not None:
            self.progress.update(self.task, total=steps, completed=0)

    def step(self) -> None:
        """One step of the stage is done."""
        self.progress.advance(self.task)
