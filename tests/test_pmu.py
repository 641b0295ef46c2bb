# amaranth: UnusedElaboratable=no

"""The PMU and the fast level: proofs, single cases, and random sequences on two clocks."""

from dataclasses import asdict, replace

import pytest

from hdl.config import SMALL
from hdl.power.fast import FastLevel
from hdl.power.pmu import Pmu
from verif.formal import prove
from verif.power_system import PowerSystem
from verif.sim import simulate


@pytest.mark.formal
def test_fast_level_keeps_its_promises():
    config = replace(SMALL, activation_segments=1, mram_banks=2, mram_wakeup=1)
    prove(FastLevel(config, timeout=5, settle=1), name="fast_level", max_steps=10)


@pytest.mark.formal
def test_pmu_keeps_its_promises():
    prove(Pmu(SMALL, timeout=6, settle=0), name="pmu", max_steps=10)


BENCH_CONFIG = replace(
    SMALL, name="BENCH", activation_segments=2, mram_banks=2, mram_kib=32, mram_wakeup=6
)


def random_sequences(count):
    simulate(
        PowerSystem(BENCH_CONFIG, timeout=24, settle=1),
        bench="verif.tb_pmu",
        name="power_system",
        parameters={"config": asdict(BENCH_CONFIG), "sequences": count},
    )


@pytest.mark.sim
def test_random_sequences():
    random_sequences(200)


@pytest.mark.long
def test_ten_thousand_random_sequences():
    random_sequences(10_000)
