"""The microphone's registers as one integer."""

from hdl.audio import microphone as hardware
from models.audio.i2s import I2sConfig
from models.audio.microphone import MicrophoneConfig

__all__ = ["EXACT_MICROPHONE", "config_bits"]

EXACT_MICROPHONE = MicrophoneConfig(i2s=I2sConfig(slot_bits=32, word_bits=16), dc_shift=0)
"""Words of 16 bits come through as they are: for recordings that have been prepared already."""


def config_bits(config: MicrophoneConfig, *, pdm: bool, master: bool = False) -> int:
    """The port ``config``."""
    i2s = config.i2s
    fields = {
        "source": hardware.Source.PDM if pdm else hardware.Source.I2S,
        "i2s": {
            "alignment": i2s.alignment.value,
            "slot_bits": i2s.slot_bits,
            "word_bits": i2s.word_bits,
            "channel": i2s.channel.value,
            "master": master,
        },
        "dc_shift": config.dc_shift,
        "gain": config.gain,
    }
    return hardware.MicrophoneConfig.const(fields).as_value().value
