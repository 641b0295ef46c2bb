"""The JPEG encoder in hardware: its files are the golden model's, byte for byte."""

import pytest

from verif.jpeg_rig import JpegRig
from verif.sim import simulate


def run(testcase, **parameters):
    simulate(
        JpegRig(),
        bench="verif.tb_image_jpeg",
        name="jpeg_rig",
        testcase=testcase,
        parameters=parameters,
    )


@pytest.mark.sim
@pytest.mark.parametrize("testcase", ["sizes"])
def test_encoder(testcase):
    run(testcase)
