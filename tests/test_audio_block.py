"""From the bits of a microphone to a network's input: all blocks of the audio domain together."""

import pytest

from hdl.audio.audio_block import AudioBlock
from hdl.audio.config import AudioConfig
from verif.sim import simulate


@pytest.mark.sim
def test_from_pins_to_words():
    sizes = {"capacity": 128, "word_bytes": 4, "address_bits": 9}
    design = AudioBlock(AudioConfig(), **sizes)
    simulate(design, bench="verif.tb_audio_block", name="audio_block", parameters=sizes)
