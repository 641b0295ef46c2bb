# amaranth: UnusedElaboratable=no

"""The arbiter of ramps: at most one, nobody starves, pauses."""

import pytest

from hdl.power.ramp import RampArbiter
from verif.formal import prove


def test_rejects_nobody():
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        RampArbiter(0)


@pytest.mark.formal
@pytest.mark.parametrize("count", [1, 3, 6])
def test_arbiter_keeps_its_promises(count):
    prove(RampArbiter(count), name=f"ramp_arbiter_{count}", max_steps=20)
