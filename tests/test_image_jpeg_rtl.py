"""The JPEG encoder in hardware: its files are the golden model's, byte for byte."""

import re

import numpy as np
import pytest
from amaranth.back import rtlil
from image_pictures import PICTURES, needs_pictures, ycbcr_planes

from hdl.image.jpeg import JpegEncoder
from hdl.image.jpeg_bytes import WordJoiner
from hdl.image.jpeg_dct import COSINES
from hdl.image.pixels import MAX_WIDTH
from models.image.jpeg import JpegSettings
from models.image.jpeg_dct import COSINES as GOLDEN_COSINES
from models.image.jpeg_planes import Region
from verif.formal import prove
from verif.jpeg_design import design_of
from verif.jpeg_rig import JpegRig
from verif.sim import simulate
from verif.verilog import ports_of

CROPS = {"astronaut": (40, 180), "coffee": (100, 250), "frame 1, grey": (20, 40)}
"""Upper left corners of parts of 96 x 112 that have something in them."""


def run(bench, **parameters):
    simulate(JpegRig(), bench=f"verif.{bench}", name="jpeg_rig", parameters=parameters)


def test_cost():
    """Multipliers and bits of memory, as docs/image-jpeg.md has them."""
    encoder = JpegEncoder()
    text = rtlil.convert(encoder, name="jpeg", ports=ports_of(encoder), emit_src=False)
    widths = re.findall(r"memory width (\d+) size (\d+)", text)
    bits = sorted(int(width) * int(size) for width, size in widths)
    # 30 lines of luma, 15 of both chroma, and the line of sums that wait: within two rows of MCUs.
    assert bits[-3:] == [11_520, 153_600, 307_200]
    assert sum(bits[-3:]) == 472_320 <= 2 * 16 * MAX_WIDTH * 8 * 3 // 2
    assert sum(bits[:-3]) == 28_059
    products = re.findall(r"cell \$mul.*?A_WIDTH (\d+).*?B_WIDTH (\d+)", text, re.DOTALL)
    assert len(products) == 9
    assert max(int(bits) for pair in products for bits in pair) <= 18


def test_same_factors():
    assert COSINES == GOLDEN_COSINES


def test_design_of_a_region():
    """Aligned outwards to MCUs; a region that leaves the picture is refused."""
    design = design_of(JpegSettings(), (50, 70), grey=False, region=Region(17, 33, 20, 5))
    fields = ("left", "top", "width", "height")
    assert [design.registers[name] for name in fields] == [16, 32, 32, 16]
    with pytest.raises(ValueError, match="pixels of the picture of 70 x 50"):
        design_of(JpegSettings(), (50, 70), grey=True, region=Region(60, 0, 11, 5))


@pytest.mark.formal
def test_joiner_is_proved():
    """No byte is lost or altered on its way into words; offered words do not change."""
    prove(WordJoiner(), name="jpeg_word_joiner", max_steps=4)


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
        picture = PICTURES[name]()[top : top + 96, left : left + 112]
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
