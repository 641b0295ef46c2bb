# amaranth: UnusedElaboratable=no

"""MRAM with faults: what the controller makes of them, and updates that are interrupted."""

from dataclasses import replace

import pytest

from hdl.config import SMALL
from verif.faulty_mram import TIME_OUT, FaultyMram
from verif.sim import simulate

TINY = replace(
    SMALL, name="TINY", mram_kib=4, mram_banks=4, mram_wakeup=4, mram_write_cycles=5
)  # fmt: skip
"""4 banks of 64 words, and times that keep the benches short."""


@pytest.mark.sim
def test_faults():
    simulate(
        FaultyMram(TINY),
        bench="verif.tb_mram_faults",
        name="faulty_mram",
        parameters={
            "latency": TINY.mram_latency,
            "banks": TINY.mram_banks,
            "wakeup": TINY.mram_wakeup,
            "time_out": TIME_OUT,
        },
    )
