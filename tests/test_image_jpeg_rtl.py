"""The JPEG encoder in hardware: its files are the golden model's, byte for byte."""

import numpy as np
import pytest
from image_pictures import PICTURES, needs_pictures, ycbcr_planes

from verif.jpeg_rig import JpegRig
from verif.sim import simulate

CROPS = {"astronaut": (40, 180), "coffee": (100, 250), "frame 1, grey": (20, 40)}
"""Upper left corners of parts of 144 x 176 that have something in them."""


def run(bench, **parameters):
    simulate(JpegRig(), bench=f"verif.{bench}", name="jpeg_rig", parameters=parameters)


@pytest.mark.sim
def test_encoder():
    run("tb_image_jpeg")


@pytest.mark.sim
def test_pace():
    run("tb_image_jpeg_pace")


@pytest.mark.sim
@needs_pictures
def test_pictures(tmp_path):
    """Parts of photos and of a camera frame."""
    paths = []
    for name, (top, left) in CROPS.items():
        picture = PICTURES[name]()[top : top + 144, left : left + 176]
        planes = [picture] if picture.ndim == 2 else ycbcr_planes(picture)
        path = tmp_path / f"{name}.npy"
        np.save(path, np.stack(planes))
        paths.append(str(path))
    simulate(
        JpegRig(),
        bench="verif.tb_image_jpeg_pace",
        name="jpeg_rig",
        testcase="pictures",
        parameters={"pictures": paths},
    )
