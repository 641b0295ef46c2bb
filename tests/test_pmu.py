# amaranth: UnusedElaboratable=no

"""The PMU and the fast level: proofs, single cases, and random sequences on two clocks."""

from dataclasses import replace

import pytest

from hdl.config import SMALL
from hdl.power.fast import FastLevel
from hdl.power.pmu import Pmu
from verif.formal import prove


@pytest.mark.formal
def test_fast_level_keeps_its_promises():
    config = replace(SMALL, activation_segments=1, mram_banks=2, mram_wakeup=1)
    prove(FastLevel(config, timeout=5, settle=1), name="fast_level", max_steps=10)


@pytest.mark.formal
def test_pmu_keeps_its_promises():
    prove(Pmu(SMALL, timeout=6, settle=0), name="pmu", max_steps=10)
