"""The harness's functions, as `ctypes` sees them.  Mirrors the end of harness.cpp."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COUNTERS",
    "ERROR_PORT",
    "OK",
    "RUNNING",
    "SILENT",
    "STOPPED",
    "counts",
    "load",
    "power_counts",
    "power_events",
    "table",
]

OK, RUNNING, STOPPED, ERROR_PORT, SILENT = range(5)  # enum Status

COUNTERS = (
    "cycles", "mram_reads", "mram_active_cycles", "mac_active_cycles", "wait_weights_cycles",
    "wait_drain_cycles", "mram_bank_cycles", "mram_wakeups", "corrected",
)  # fmt: skip
"""The fields of `mmsp.simulator.results.Counters`, in the order of ``struct Counters``."""


class CCounters(ctypes.Structure):
    """``struct Counters``."""

    _fields_ = [(name, ctypes.c_uint64) for name in COUNTERS]


class CPowerEvent(ctypes.Structure):
    """``struct PowerEvent``."""

    _fields_ = [("cycle", ctypes.c_uint64), ("word", ctypes.c_uint64 * 2)]


class CDomainCounts(ctypes.Structure):
    """``struct DomainCounts``."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("on", "retain", "wakeups")]


class CErrorReport(ctypes.Structure):
    """``struct ErrorReport``."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("cycle", "kind", "address")]


class CElapsed(ctypes.Structure):
    """``struct Elapsed``."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("time", "core", "aon", "audio", "pixel")]


def counts(record: CCounters) -> dict[str, int]:
    """The fields of `mmsp.simulator.results.Counters`."""
    return {name: getattr(record, name) for name in COUNTERS}


def table(records: Any, count: int) -> NDArray[np.uint64]:
    """A copy of ``count`` records of 64-bit fields, a row each, columns in the order of fields."""
    columns = ctypes.sizeof(records._type_) // ctypes.sizeof(ctypes.c_uint64)
    if not count:  # the pointer may be null
        return np.zeros((0, columns), np.uint64)
    address = ctypes.addressof(records.contents)
    raw = (ctypes.c_uint64 * (count * columns)).from_address(address)
    return np.array(raw, np.uint64).reshape(count, columns)


def power_events(
    library: ctypes.CDLL, handle: Any, domains: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Cycles ``(n,)`` and the state of each domain from then on ``(n, domains)``."""
    rows = table(library.harness_power_events(handle), library.harness_power_event_count(handle))
    index = np.arange(domains)
    states = rows[:, 1 + index // 32] >> (index % 32 * 2).astype(np.uint64) & np.uint64(3)
    return rows[:, 0], states.astype(np.uint8)


def power_counts(library: ctypes.CDLL, handle: Any, domains: int) -> NDArray[np.uint64]:
    """Cycles ON, cycles in RETAIN and wake-ups of each domain, ``(domains, 3)``."""
    return table(library.harness_domains(handle), domains)


def load(path: Path) -> ctypes.CDLL:
    """Load the library at ``path`` and declare its functions."""
    loaded = ctypes.CDLL(str(path))
    handle, address, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    status, word, text = ctypes.c_int, ctypes.c_uint32, ctypes.c_char_p
    records = ctypes.POINTER(CCounters)
    for name, result, arguments in (
        ("open", handle, [ctypes.c_char_p]),
        ("close", None, [handle]),
        ("row_bytes", ctypes.c_int, [handle]),
        ("word_bytes", ctypes.c_int, [handle]),
        ("configure", None, [handle, word, word, word]),
        ("enter", status, [handle, word]),
        ("mode", ctypes.c_int, [handle]),
        ("wake", status, [handle, word]),
        ("wake_mode", status, [handle, word]),
        ("clear_wake", status, [handle]),
        ("wake_pending", ctypes.c_uint64, [handle]),
        ("request", status, [handle, word]),
        ("start_at", status, [handle, word]),
        ("poke", status, [handle, text, ctypes.c_char_p]),
        ("pulse", status, [handle, text, word]),
        ("peek", status, [handle, text, ctypes.c_char_p]),
        ("send", status, [handle, text, ctypes.c_char_p, size, size]),
        ("fill", status, [handle, text, ctypes.c_char_p, size, size]),
        ("film", None, [handle, address, size]),
        ("files", ctypes.POINTER(ctypes.c_uint64), [handle]),
        ("file_words", size, [handle]),
        ("forget_files", None, [handle]),
        ("unseen", size, [handle]),
        ("hear", None, [handle, address, size]),
        ("hush", None, [handle]),
        ("unheard", size, [handle]),
        ("listen", status, [handle, ctypes.c_uint64, ctypes.c_uint64]),
        ("elapsed", ctypes.POINTER(CElapsed), [handle]),
        ("wait", status, [handle, word]),
        ("mutant", status, [handle, word]),
        ("corrected", ctypes.c_uint64, [handle]),
        ("policy", status, [handle, word, word, word]),
        ("reset", status, [handle]),
        ("program", status, [handle, word, address, size]),
        ("write", status, [handle, address, address, address, size]),
        ("read", status, [handle, address, address, address, size]),
        ("begin", status, [handle, word]),
        ("advance", status, [handle, ctypes.c_uint64]),
        ("counters", records, [handle]),
        ("jobs", records, [handle]),
        ("job_count", size, [handle]),
        ("samples", records, [handle]),
        ("sample_count", size, [handle]),
        ("error", ctypes.POINTER(CErrorReport), [handle]),
        ("power_events", ctypes.POINTER(CPowerEvent), [handle]),
        ("power_event_count", size, [handle]),
        ("power_dropped", ctypes.c_uint64, [handle]),
        ("domains", ctypes.POINTER(CDomainCounts), [handle]),
        ("message", ctypes.c_char_p, [handle]),
    ):
        function = getattr(loaded, f"harness_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded
