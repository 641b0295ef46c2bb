"""The audio subsystem: from an I2S microphone's pins to words on the core's clock, and wake-ups."""

import pytest

from hdl.audio.config import AudioConfig
from hdl.audio.subsystem import AudioSubsystem
from verif.i2s_sender import HeardSubsystem
from verif.sim import simulate

SIZES = {"capacity": 128, "word_bytes": 4, "address_bits": 9}
SHORT = (
    "features_for_a_fast_core",
    "features_for_a_slow_core",
    "watch",
    "the_core_stands_still",
    "flags_stay",
)


def run(testcase: str, **more) -> None:
    subsystem = AudioSubsystem(AudioConfig(), **SIZES)
    simulate(
        HeardSubsystem(subsystem),
        bench="verif.tb_audio_subsystem",
        name="audio_subsystem",
        testcase=testcase,
        parameters=SIZES | {"row_address_bits": len(subsystem.tables.p.address)} | more,
    )


@pytest.mark.sim
@pytest.mark.parametrize("testcase", SHORT)
def test_subsystem(testcase):
    run(testcase)


@pytest.mark.sim
@pytest.mark.long
def test_a_minute_through_the_pins():
    run("a_long_recording", seconds=60)
