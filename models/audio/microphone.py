"""Golden model of everything between the microphone's pins and the 16 kHz samples."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.audio.dc import MAX_DC_SHIFT, remove_dc
from models.audio.gain import GAIN_BITS, UNITY_GAIN, amplify
from models.audio.i2s import I2sConfig, receive
from models.audio.pdm import receive_bits

__all__ = ["MicrophoneConfig", "capture_i2s", "capture_pdm"]


@dataclass(frozen=True, kw_only=True)
class MicrophoneConfig:
    """What happens to the samples of either input.

    ``dc_shift`` sets the corner of `models.audio.dc.remove_dc`, 0 switches it off; ``gain`` is in
    units of ``1 / UNITY_GAIN``.
    """

    i2s: I2sConfig = field(default_factory=I2sConfig)
    dc_shift: int = 8
    gain: int = UNITY_GAIN

    def __post_init__(self):
        if not 0 <= self.dc_shift <= MAX_DC_SHIFT:
            raise ValueError(f"dc_shift must be in 0..{MAX_DC_SHIFT}, not {self.dc_shift!r}")
        if not 0 <= self.gain < 1 << GAIN_BITS:
            raise ValueError(f"gain must be in 0..{(1 << GAIN_BITS) - 1}, not {self.gain!r}")


def finish(samples: ArrayLike, config: MicrophoneConfig) -> NDArray[np.int16]:
    """Q1.17 samples to what leaves the block."""
    return amplify(remove_dc(samples, config.dc_shift), config.gain).astype(np.int16)


def capture_pdm(bits: ArrayLike, config: MicrophoneConfig) -> NDArray[np.int16]:
    """Samples at 16 kHz of the bits on the PDM pin, one for each clock since ``enable``."""
    return finish(receive_bits(bits), config)


def capture_i2s(
    word_select: ArrayLike, data: ArrayLike, config: MicrophoneConfig
) -> tuple[NDArray[np.int16], int]:
    """Samples of the I2S pins, and how many frames were wrong."""
    received = receive(word_select, data, config.i2s)
    return finish(received.samples, config), received.errors
