"""The harness's functions, as `ctypes` sees them.  Mirrors the end of harness.cpp."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ERROR_PORT", "OK", "RUNNING", "STOPPED", "counts", "load", "table"]

OK, RUNNING, STOPPED, ERROR_PORT = range(4)  # enum Status


class CCounters(ctypes.Structure):
    """``struct Counters``."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in
        ("cycles", "mram_reads", "mram_active", "mac_active", "wait_weights", "wait_drain")
    ]  # fmt: skip


def counts(record: CCounters) -> dict[str, int]:
    """The fields of `mmsp.simulator.model.Counters`, from the harness's."""
    return {
        name if name in ("cycles", "mram_reads") else f"{name}_cycles": getattr(record, name)
        for name, *_ in CCounters._fields_
    }


def table(records: Any, count: int) -> NDArray[np.uint64]:
    """A copy of ``count`` records, ``(count, 6)`` in the order of `CCounters`."""
    columns = len(CCounters._fields_)
    if not count:  # the pointer may be null
        return np.zeros((0, columns), np.uint64)
    address = ctypes.addressof(records.contents)
    raw = (ctypes.c_uint64 * (count * columns)).from_address(address)
    return np.array(raw, np.uint64).reshape(count, columns)


def load(path: Path) -> ctypes.CDLL:
    """Load the library at ``path`` and declare its functions."""
    loaded = ctypes.CDLL(str(path))
    handle, address, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    status, word = ctypes.c_int, ctypes.c_uint32
    for name, result, arguments in (
        ("open", handle, [ctypes.c_char_p]),
        ("close", None, [handle]),
        ("row_bytes", ctypes.c_int, [handle]),
        ("reset", status, [handle]),
        ("program", status, [handle, word, address, size]),
        ("write", status, [handle, address, address, address, size]),
        ("read", status, [handle, address, address, address, size]),
        ("begin", status, [handle, word]),
        ("advance", status, [handle, ctypes.c_uint64]),
        ("counters", ctypes.POINTER(CCounters), [handle]),
        ("jobs", ctypes.POINTER(CCounters), [handle]),
        ("job_count", size, [handle]),
        ("samples", ctypes.POINTER(CCounters), [handle]),
        ("sample_count", size, [handle]),
        ("message", ctypes.c_char_p, [handle]),
    ):
        function = getattr(loaded, f"harness_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded
