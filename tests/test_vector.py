# amaranth: UnusedElaboratable=no

"""The vector unit: volume under Verilator."""

import pytest

from hdl.config import CONFIGS
from hdl.engine.vector import Vector
from verif.sim import simulate


@pytest.mark.sim
@pytest.mark.parametrize("config", [CONFIGS["SMALL"], CONFIGS["FULL"]], ids=lambda c: c.name)
def test_vector_matches_model(config):
    simulate(
        Vector(config),
        bench="verif.tb_vector",
        name=f"vector_{config.name.lower()}",
        parameters={"config": config.name},
    )
