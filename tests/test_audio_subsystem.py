"""The audio domain and its link: from an I2S microphone's pins to words on the core's clock."""

import pytest

from hdl.audio.config import AudioConfig
from hdl.audio.domain import AudioDomain
from verif.audio_subsystem import AudioSubsystem
from verif.i2s_sender import HeardSubsystem
from verif.sim import simulate

CAPACITY = 128
SIZES = {"word_bytes": 4, "address_bits": 9}
"""Of the activation memory."""


def run(bench: str, testcase: str) -> None:
    subsystem = AudioSubsystem(AudioDomain(AudioConfig(window=CAPACITY), **SIZES))
    rows = {"capacity": CAPACITY, "row_address_bits": len(subsystem.tables.p.address)}
    simulate(
        HeardSubsystem(subsystem),
        bench=bench,
        name="audio_subsystem",
        testcase=testcase,
        parameters=SIZES | rows,
    )


@pytest.mark.sim
@pytest.mark.parametrize(
    "testcase",
    [
        "features_for_a_fast_core",
        "features_for_a_slow_core",
        "watch",
        "the_core_stands_still",
        "flags_stay",
    ],
)
def test_subsystem(testcase):
    run("verif.tb_audio_subsystem", testcase)


@pytest.mark.sim
@pytest.mark.parametrize(
    "testcase",
    [
        "windows_wake",
        "resume_lets_it_rise_again",
        "the_microphones_side_is_reset",
        "the_cores_side_is_reset",
    ],
)
def test_crossings(testcase):
    run("verif.tb_audio_crossings", testcase)
