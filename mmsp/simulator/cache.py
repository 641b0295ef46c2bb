"""Where built simulators are kept, safely for several processes at once."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["cache_root", "digest", "exclusive", "prune", "write_atomically"]

KEPT_BUILDS = 24
"""Builds that stay in the cache, a few megabytes each."""


def cache_root() -> Path:
    """``build/sim_cache`` of the checkout that this file is in, or the user's cache directory."""
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").exists():
        return checkout / "build" / "sim_cache"
    return user_cache_path("mmsp") / "sim_cache"


def digest(parts: Iterable[bytes | str]) -> str:
    """A key for ``parts``, of which order and boundaries count."""
    key = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        key.update(len(data).to_bytes(8, "little") + data)
    return key.hexdigest()[:24]


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold the file ``lock``; other processes that want it wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, text: str) -> None:
    """Write a file that no other process ever sees half of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


def prune(builds: Path, *, keep: int = KEPT_BUILDS) -> None:
    """Remove all but the ``keep`` most recently used directories in ``builds``."""
    by_age = sorted(
        (path for path in builds.iterdir() if not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
    )
    for path in by_age[:-keep]:
        shutil.rmtree(path, ignore_errors=True)
