# amaranth: UnusedElaboratable=no

"""The raw half of the image pipeline in hardware: black level to demosaic."""

import pytest

from verif.raw_stages import RawStages
from verif.sim import simulate


@pytest.mark.sim
def test_raw_stages():
    simulate(RawStages(), bench="verif.tb_image_raw", name="raw_stages")
