# amaranth: UnusedElaboratable=no

"""Colour matrix, gamma, YCbCr: hardware equals model."""

import pytest

from hdl.image.colour_path import ColourPath
from verif.sim import simulate


@pytest.mark.sim
def test_colours_match_model():
    simulate(ColourPath(), bench="verif.tb_image_colour", name="image_colour_path")
