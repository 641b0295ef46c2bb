# amaranth: UnusedElaboratable=no

"""The MRAM controller: its bench, its timing, and the proofs of arbitration and retries."""

from dataclasses import replace

import pytest
from mram_system import ControlledMram

from hdl.config import SMALL
from verif.sim import simulate

TINY = replace(SMALL, mram_kib=8, mram_wakeup=6, mram_write_cycles=5)


@pytest.mark.sim
@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, name="EIGHT", mram_latency=4),
        replace(
            TINY,
            name="TWO",
            mram_kib=1,
            mram_banks=2,
            mram_latency=2,
            mram_wakeup=1,
            mram_write_cycles=1,
        ),
    ],
    ids=lambda config: config.name,
)
def test_controller_matches_model(config):
    ports, patience = 3, 40
    simulate(
        ControlledMram(config, ports=ports, patience=patience),
        bench="verif.tb_mram_controller",
        name=f"controlled_mram_{config.name.lower()}",
        parameters={
            "latency": config.mram_latency,
            "banks": config.mram_banks,
            "ports": ports,
            "patience": patience,
        },
    )
