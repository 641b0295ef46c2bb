"""The audio front end's own hardware, verilated: features of recordings, and what they cost."""

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib.wiring import Component
from numpy.typing import ArrayLike, NDArray

from hdl.audio.config import AudioConfig
from mmsp.errors import InputError
from mmsp.simulator.build import cached_library
from mmsp.simulator.results import SimulationError
from models.audio.frontend import FrontEnd
from models.audio.pipeline import checked_samples, clip_peak
from verif.frontend_tables import constants_of, table_rows

__all__ = ["SAMPLE_CYCLES", "Counters", "FrontEndModel", "rtl_features"]

HARNESS = Path(__file__).with_name("harness.cpp")
ROW_BYTES = 16
"""Of a table's row as the harness takes it."""

SAMPLE_CYCLES = 64
"""Of the microphone's clock, 1.024 MHz at 16 kHz."""

STALL_STEPS = 256


@dataclass(frozen=True)
class Counters:
    """What a recording took; mirrors ``struct Counters`` of the harness.

    ``cycles`` from the first sample to the last feature, ``busy`` of these with a frame in
    progress, ``longest`` of the frames, how many ``frames``, samples ``late`` (not taken when the
    next one was due), frames announced as ``ready``, and cycles of ``overrun``, with the ring full.
    """

    cycles: int
    busy: int
    longest: int
    frames: int
    late: int
    ready: int
    overrun: int


class CCounters(ctypes.Structure):
    """``struct Counters``."""

    _fields_ = [(field.name, ctypes.c_uint64) for field in fields(Counters)]


class FrontEndModel:
    """One simulated `hdl.audio.frontend.FrontEnd`.

    Building the simulator takes some seconds for a new design, and nothing after that.

    Parameters
    ----------
    config : AudioConfig
        What front ends may ask for.
    design : callable, optional
        Makes another component with the ports of that one, to take its place.

    Raises
    ------
    BuildError
        If the simulator cannot be built.
    """

    def __init__(
        self, config: AudioConfig = AudioConfig(), *, design: Callable[[], Component] | None = None
    ):
        self.handle = None
        self.config = config
        self.stopped = ""  # why nothing more can be simulated
        self.library = load(simulator(config, design))
        self.handle = self.library.harness_open()
        self.frontend: FrontEnd | None = None

    def __enter__(self) -> "FrontEndModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation; calling it again does nothing."""
        if self.handle:
            self.library.harness_close(self.handle)
            self.handle = None

    def features(
        self, frontend: FrontEnd, pcm: ArrayLike, *, stall: float = 0.0, seed: int = 1
    ) -> NDArray[np.int8]:
        """Features of a whole recording, as `models.audio.pipeline.features` has them.

        Samples are taken as fast as the hardware takes them.  With peak normalisation it is told
        the recording's peak, and gets the zeros behind a ``centred`` recording.

        Parameters
        ----------
        frontend : FrontEnd
            What to compute.
        pcm : array_like
            int16.
        stall : float
            Probability of a cycle in which no sample comes, and of one in which no feature is
            taken.
        seed : int
            Of these.

        Returns
        -------
        ndarray of int8
            Shape (frames, values).

        Raises
        ------
        InputError
            If the hardware is too small for the front end.
        SimulationError
            If an assertion in the design fails, or it does not come to an end.
        """
        samples = checked_samples(pcm)
        peak = clip_peak(frontend, samples) if frontend.normalisation == "peak" else 0
        self.prepare(frontend, peak)
        margin = frontend.fft // 2 if frontend.centred else 0
        return self.run(np.pad(samples, (0, margin)), stall=stall, seed=seed)

    def stream(
        self,
        frontend: FrontEnd,
        pcm: ArrayLike,
        *,
        pace: int = SAMPLE_CYCLES,
        stall: float = 0.0,
        seed: int = 1,
    ) -> NDArray[np.int8]:
        """Features of continuous audio, as `models.audio.pipeline.FeatureStream.push` has them.

        A sample is due every ``pace`` cycles, or as soon as the last one is taken if that is 0.  A
        late one waits here, and `counters` says how many did.  The rest is as in `features`.
        """
        samples = checked_samples(pcm)
        self.prepare(frontend, 0)
        return self.run(samples, pace=pace, stall=stall, seed=seed)

    def abandon(self, frontend: FrontEnd, pcm: ArrayLike, cycles: int) -> None:
        """Begin with a recording, and leave it after so many cycles, whatever is in progress."""
        samples = np.ascontiguousarray(checked_samples(pcm), np.int16)
        self.prepare(frontend, 0)
        self.call("run", samples.ctypes.data, samples.size, 0, cycles, 0, 1)

    def prepare(self, frontend: FrontEnd, peak: int) -> None:
        """Write constants and tables; the next sample is a recording's first."""
        self.check_size(frontend)
        self.frontend = frontend
        self.call("restart")  # nothing is in progress while they change
        size = self.library.harness_constant_bytes(self.handle)
        constants = constants_of(frontend, self.config, peak).to_bytes(size, "little")
        self.call("constants", constants)
        for name, rows in table_rows(frontend, self.config).items():
            self.call(name, b"".join(row_bytes(rows)), len(rows))
        self.call("restart")

    def run(
        self, samples: NDArray[np.int64], *, pace: int = 0, stall: float = 0.0, seed: int = 1
    ) -> NDArray[np.int8]:
        """Feed samples and collect the features; see the harness."""
        assert self.frontend is not None
        data = np.ascontiguousarray(samples, np.int16)
        chance = round(stall * STALL_STEPS)
        self.call("run", data.ctypes.data, data.size, pace, 0, chance, seed)
        count = self.library.harness_feature_count(self.handle)
        found = array_at(self.library.harness_features(self.handle), count, np.int8)
        end_count = self.library.harness_end_count(self.handle)
        ends = array_at(self.library.harness_ends(self.handle), end_count, np.uint64)
        values = self.frontend.values
        whole = np.arange(1, count // values + 1, dtype=np.uint64) * np.uint64(values)
        if count % values or not np.array_equal(ends, whole):
            raise SimulationError(f"frames do not end every {values} features")
        return found.reshape(-1, values)

    def check_size(self, frontend: FrontEnd) -> None:
        """Raise `InputError` unless the hardware is large enough."""
        config = self.config
        for field, low, high in (
            ("fft", config.smallest_fft_points, config.fft_points),
            ("bands", 1, config.bands),
            ("coefficients", 0, config.coefficients),
        ):
            if not low <= getattr(frontend, field) <= high:
                raise InputError(
                    f"{field} of the front end {frontend.name} must be {low} to {high} on this "
                    f"hardware, not {getattr(frontend, field)}"
                )

    @property
    def counters(self) -> Counters:
        """Of the last recording."""
        record = self.library.harness_counters(self.handle).contents
        return Counters(*(getattr(record, field.name) for field in fields(Counters)))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the harness, and raise when the design has stopped."""
        if self.handle is None:
            raise SimulationError("the simulation has been closed")
        if not self.stopped and getattr(self.library, f"harness_{name}")(self.handle, *arguments):
            said = self.library.harness_message(self.handle).decode(errors="replace").strip()
            self.stopped = f"the audio front end stopped: {said}"
        if self.stopped:
            raise SimulationError(self.stopped)


def row_bytes(rows: Iterable[int]) -> Iterable[bytes]:
    """Rows as the harness takes them."""
    return (row.to_bytes(ROW_BYTES, "little") for row in rows)


def array_at(pointer: Any, count: int, dtype: type[np.generic]) -> NDArray[Any]:
    """A copy of ``count`` elements; the pointer may be null when there are none."""
    return np.ctypeslib.as_array(pointer, (count,)).astype(dtype) if count else np.zeros(0, dtype)


def simulator(config: AudioConfig, design: Callable[[], Component] | None) -> Path:
    """Path of the library, built if need be."""
    return cached_library(
        design or (lambda: front_end(config)),
        name="the audio front end",
        module="hdl.audio.frontend",
        identity=None if design else f"audio front end {config!r}",
        harness=HARNESS,
    )


def front_end(config: AudioConfig) -> Component:
    """The design itself, imported only when it has to be elaborated."""
    from hdl.audio.frontend import FrontEnd as Design  # noqa: PLC0415  (see above)

    return Design(config)


def load(path: Path) -> ctypes.CDLL:
    """Load the library at ``path`` and declare its functions.  Mirrors the end of harness.cpp."""
    loaded = ctypes.CDLL(str(path))
    handle, address, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    status, word, long = ctypes.c_int, ctypes.c_uint32, ctypes.c_uint64
    table = [handle, ctypes.c_char_p, size]
    for name, result, arguments in (
        ("open", handle, []),
        ("close", None, [handle]),
        ("constant_bytes", size, [handle]),
        ("constants", status, [handle, ctypes.c_char_p]),
        ("window", status, table),
        ("weights", status, table),
        ("cosines", status, table),
        ("gains", status, table),
        ("restart", status, [handle]),
        ("run", status, [handle, address, size, long, long, word, long]),
        ("features", ctypes.POINTER(ctypes.c_int8), [handle]),
        ("feature_count", size, [handle]),
        ("ends", ctypes.POINTER(ctypes.c_uint64), [handle]),
        ("end_count", size, [handle]),
        ("counters", ctypes.POINTER(CCounters), [handle]),
        ("message", ctypes.c_char_p, [handle]),
    ):
        function = getattr(loaded, f"harness_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


@lru_cache(maxsize=1)
def shared_model() -> FrontEndModel:
    """One model for all recordings of a process."""
    return FrontEndModel()


def rtl_features(frontend: FrontEnd, pcm: NDArray[np.int16]) -> NDArray[np.int8]:
    """Features of a whole recording by the hardware; see `FrontEndModel.features`."""
    return shared_model().features(frontend, pcm)
