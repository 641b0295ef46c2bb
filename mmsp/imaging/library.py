"""The simulator of the image front end as a shared library, and its functions."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib.wiring import Component
from numpy.typing import NDArray

from mmsp.simulator.build import cached_library

__all__ = ["ADDRESS_BITS", "WORD_BYTES", "array_at", "load", "simulator"]

HARNESS = Path(__file__).with_name("harness.cpp")
WORD_BYTES, ADDRESS_BITS = 16, 16
"""Of the activation memory, which is larger than any chip's so that any tensor has a place."""


def array_at(pointer: Any, count: int, dtype: type[np.generic]) -> NDArray[Any]:
    """A copy of ``count`` elements; the pointer may be null when there are none."""
    return np.ctypeslib.as_array(pointer, (count,)).astype(dtype) if count else np.zeros(0, dtype)


def simulator(design: Callable[[], Component] | None) -> Path:
    """Path of the library, built if need be."""
    return cached_library(
        design or subsystem,
        name="the image front end",
        module="hdl.image.subsystem",
        identity=None if design else "image subsystem",
        harness=HARNESS,
    )


def subsystem() -> Component:
    """The design itself, imported only when it has to be elaborated."""
    from hdl.image.subsystem import ImageSubsystem  # noqa: PLC0415  (see above)

    return ImageSubsystem(WORD_BYTES, ADDRESS_BITS)


def load(path: Path) -> ctypes.CDLL:
    """Load the library at ``path`` and declare its functions.  Mirrors the end of harness.cpp."""
    loaded = ctypes.CDLL(str(path))
    handle, address, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    status, word, long = ctypes.c_int, ctypes.c_uint32, ctypes.c_uint64
    pixels = ctypes.POINTER(ctypes.c_uint32)
    functions: list[tuple[str, Any, list[Any]]] = [
        ("open", handle, []),
        ("close", None, [handle]),
        ("stop", status, [handle]),
        ("gamma", status, [handle, address, size]),
        ("run", status, [handle, address, size, word]),
        ("finish", status, [handle]),
        ("statistics", ctypes.POINTER(ctypes.c_uint8), [handle]),
        ("statistics_bytes", size, [handle]),
        ("statistics_count", size, [handle]),
        ("words_bytes", size, [handle]),
        ("tensors", long, [handle]),
        ("restart", status, [handle]),
        ("map_rows", None, [handle, word]),
        ("stall", None, [handle, word, long]),
        ("periods", None, [handle, long, long]),
        ("files", ctypes.POINTER(ctypes.c_uint8), [handle]),
        ("file_ends", ctypes.POINTER(ctypes.c_uint64), [handle]),
        ("file_count", size, [handle]),
        ("message", ctypes.c_char_p, [handle]),
    ]
    for name in ("header", "quantisers", "codes"):
        functions.append((name, status, [handle, address, size]))
    for name in ("words", "changes"):
        functions += [
            (name, ctypes.POINTER(ctypes.c_uint8), [handle]),
            (f"{name}_count", size, [handle]),
        ]
    for name in ("config", "size", "raw", "matrix", "jpeg", "tensor"):
        functions += [
            (name, status, [handle, ctypes.c_char_p]),
            (f"{name}_bytes", size, [handle]),
        ]
    for name in ("rgb", "ycbcr"):
        functions += [
            (name, pixels, [handle]),
            (f"{name}_count", size, [handle]),
            (f"{name}_frames", long, [handle]),
            (f"{name}_aborted", long, [handle]),
        ]
    functions += [(name, word, [handle]) for name in ("good", "dropped", "status", "wake")]
    functions += [(name, long, [handle]) for name in ("clocks", "busy_clocks", "bad_files")]
    for name, result, arguments in functions:
        function = getattr(loaded, f"harness_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded
