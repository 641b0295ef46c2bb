"""A chip that listens: a recording at its microphone's pins, and what its network says to it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.audio.domain import AudioMode
from hdl.audio.feature_window import WindowConstants
from hdl.power.domains import Mode
from mmsp.audio.targets import frame_samples
from mmsp.audio.windows import fit_quantisation, window_frames
from mmsp.errors import InputError
from mmsp.simulator.audio import ChipAudio
from mmsp.simulator.front_ends import Elapsed
from mmsp.simulator.simulator import Simulator
from models.audio.feature_window import feature_windows
from models.audio.frontend import FrontEnd
from models.audio.pipeline import FeatureStream
from verif.frontend_tables import constants_of, table_rows
from verif.microphone_registers import EXACT_MICROPHONE, config_bits

__all__ = ["Heard", "Listener", "Window"]

QUIET_PERIODS = 4_096
"""Of the always-on clock after the last sample, an eighth of a second: no window comes any more."""


@dataclass(frozen=True)
class Window:
    """A window that the chip has heard.

    ``samples`` had been said when it was complete, its network included if that starts itself;
    ``input`` is what the front end wrote, None if the network may have used the memory since;
    ``outputs`` are by name and as the chip has them.
    """

    samples: int
    input: NDArray[np.int8] | None
    outputs: dict[str, NDArray[np.int8]]


@dataclass(frozen=True)
class Heard:
    """All windows of a recording, time and clocks that they took, and flags of lost samples."""

    windows: list[Window]
    elapsed: Elapsed
    losses: list[str]


class Listener:
    """Puts a front end into a simulated chip with a network of one input.

    Between windows the chip is in AUDIO_WATCH: the microphone and the front end work, the core's
    clock stands.  A window wakes it, starts the network by itself, and lets it sleep again.

    Parameters
    ----------
    simulator : Simulator
        With the network.
    frontend : FrontEnd
        What the network takes; its quantiser is set to the input's scale and zero point.
    stride : int, optional
        Frames from one window to the next; by default half a window, or a whole one if the network
        is ``stateful``.
    automatic : bool
        A complete window starts the network; otherwise it is started from outside.

    Raises
    ------
    InputError
        When the input does not take such features, or the front end cannot run continuously.
    """

    def __init__(
        self,
        simulator: Simulator,
        frontend: FrontEnd,
        stride: int | None = None,
        *,
        stateful: bool = False,
        automatic: bool = True,
    ):
        self.simulator, self.automatic = simulator, automatic
        if len(simulator.description.inputs) != 1:
            raise InputError(
                f"a network that listens has one input, not {len(simulator.description.inputs)}"
            )
        (self.port,) = simulator.description.inputs
        frames = window_frames(self.port, frontend)
        if frames is None:
            raise InputError(
                f"input {self.port.name!r} has shape {self.port.shape}, which is no window of "
                f"{frontend.values} features a frame of front end {frontend.name}"
            )
        self.frames = frames
        self.stride = stride or (frames if stateful else -(-frames // 2))
        self.frontend, self.notes = fit_quantisation(frontend, self.port)
        self.placement = simulator.description.tensors[self.port.tensor].placement
        limit = simulator.config.audio.window
        if self.stride > limit:
            raise InputError(f"the stride must be 1..{limit} frames, not {self.stride}")
        if frames * frontend.values > limit:
            raise InputError(
                f"a window has {frames * frontend.values} features, and the chip takes {limit}"
            )
        if self.placement.wide or not self.in_order():
            raise InputError(
                f"input {self.port.name!r} is not laid out in the order of its features"
            )

    def in_order(self) -> bool:
        """Whether the words of the input have the features in their order, as the chip writes."""
        placement = self.placement
        return placement.packed or placement.pixels[1] == 1

    def configure(self) -> None:
        """Write registers and tables, and let the front end begin."""
        chip, frontend = self.simulator.chip, self.frontend
        audio = self.audio = ChipAudio(chip)
        chip.enter(Mode.AUDIO_INFER)
        audio.enter(AudioMode.OFF)
        audio.hush()
        audio.write("microphone", config_bits(EXACT_MICROPHONE, pdm=False))
        audio.write("constants", constants_of(frontend, chip.config.audio))
        audio.write("place", self.place())
        audio.windows.write("automatic", int(self.automatic))
        audio.write_tables(table_rows(frontend, chip.config.audio))
        audio.forget()
        audio.enter(AudioMode.FEATURES)

    def place(self) -> int:
        """The register that says where windows go."""
        placement, config = self.placement, self.simulator.config
        rows, width, channels = placement.pixels
        assert rows * width * channels == self.frames * self.frontend.values
        layout = WindowConstants(config.audio.window, config.bank_address_bits)
        fields = {
            "values": rows * width * channels,
            "frames": self.frames,
            "stride": self.stride,
            "base": placement.base,
            "row0": placement.row0,
            "row_values": width * channels,
            "row_words": placement.row_words,
        }
        return layout.const(fields).as_bits()

    def hear(
        self, samples: NDArray[np.int16], progress: Callable[[int], None] | None = None
    ) -> Heard:
        """Say a recording to the chip, in real time as its clocks have it.

        Parameters
        ----------
        samples : ndarray of int16
            At 16 kHz.
        progress : callable, optional
            Called with the samples that have been said.

        Raises
        ------
        SimulationError
            When the design stops, or a run ends with an error.
        """
        self.configure()
        chip, audio = self.simulator.chip, self.audio
        chip.call("start_at", self.simulator.image.program.first_word)
        audio.hear(samples)
        found = []
        began = audio.elapsed
        for _ in audio.windows.each(QUIET_PERIODS):
            said, written = len(samples) - audio.unheard, None
            if not self.automatic:
                written = self.read_input()
                chip.run(self.simulator.image.program.first_word)
            outputs = {
                port.name: self.simulator.read(port) for port in self.simulator.description.outputs
            }
            found.append(Window(said, written, outputs))
            if progress is not None:
                progress(said)
        chip.enter(Mode.AUDIO_INFER)
        losses = audio.losses
        audio.enter(AudioMode.OFF)
        audio.hush()
        chip.enter(Mode.INFER)
        ended = audio.elapsed
        spent = Elapsed(*(after - before for after, before in zip(
            vars(ended).values(), vars(began).values(), strict=True)))  # fmt: skip
        # Silence after the recording may have completed more.
        return Heard(found[: self.count(len(samples))], spent, losses)

    @property
    def samples(self) -> int:
        """Of the first window."""
        return frame_samples(self.frontend, self.frames)

    def count(self, samples: int) -> int:
        """Windows of a recording of so many samples."""
        frontend = self.frontend
        before = frontend.fft // 2 if frontend.centred else 0
        frames = max(0, (samples + before - frontend.frame) // frontend.step + 1)
        return max(0, (frames - self.frames) // self.stride + 1)

    def read_input(self) -> NDArray[np.int8]:
        """The input as it lies in the memory."""
        bank, address = self.placement.addresses()
        stored = self.placement.unpack(self.simulator.chip.read_activations(bank, address))
        return stored.reshape(self.frames, self.frontend.values)

    def expected(self, samples: NDArray[np.int16]) -> NDArray[np.int8]:
        """Windows of the golden models, ``(windows, frames, values)``."""
        features = FeatureStream(self.frontend).push(samples)
        return feature_windows(features, self.frames, self.stride)
