"""Stages of the golden JPEG encoder, each against its formula; what they refuse."""

import numpy as np
import pytest

from models.image.jpeg import JpegSettings, encode
from models.image.jpeg_dct import (
    COEFFICIENT_FRACTION,
    FACTORS,
    Reciprocals,
    forward_dct,
    one_pass,
    quantise,
)
from models.image.jpeg_planes import Region, subsample
from models.image.jpeg_tables import (
    CHROMA,
    LUMA,
    LUMA_AC,
    LUMA_DC,
    HuffmanTable,
    scaled_quantisation,
)
from tests.image_pictures import exact_dct

SEED = 20261123

DCT_BOUND = 0.11
"""Steps of a coefficient's integer part; `test_dct_is_within_its_bound` derives it."""


def test_dct_is_within_its_bound():
    """Half a unit of each rounding, carried through the second pass; factors are exact to 2^-18.

    First pass: 4 products of folds to 256, factors off by 2^-18, and 2^-7: 0.0118.  The second
    sums at most sqrt(8) of these, 8 samples to 363 with factors off by 2^-18, and 2^-4.
    """
    first = 4 * 256 / 2**18 + 2**-7
    bound = np.sqrt(8) * first + 8 * 363 / 2**18 + 2**-4
    assert bound < DCT_BOUND
    generator = np.random.default_rng(SEED)
    basis = exact_dct()
    blocks = [
        generator.integers(0, 256, (3000, 8, 8)),
        generator.integers(0, 2, (3000, 8, 8)) * 255,
        128 + np.rint(2.0 ** generator.uniform(-1, 7, (3000, 1, 1))
                      * generator.uniform(-1, 0.99, (3000, 8, 8))).astype(np.int64),
        # What makes each coefficient largest, both signs.
        np.where(np.einsum("ua,vb->uvab", basis, basis).reshape(64, 8, 8) > 0, 255, 0),
        np.where(np.einsum("ua,vb->uvab", basis, basis).reshape(64, 8, 8) > 0, 0, 255),
    ]  # fmt: skip
    samples = np.concatenate(blocks)
    coefficients = forward_dct(samples)
    error = np.abs(coefficients / 2**COEFFICIENT_FRACTION - basis @ (samples - 128) @ basis.T)
    assert error.max() <= bound, f"seed {SEED}"
    assert error.max() > 0.06, "rounding to 3 bits must show"
    assert (coefficients.min(), coefficients.max()) == (-8192, 8160), "14 bits, and all of them"
    assert forward_dct(np.zeros((8, 8), int))[0, 0] == -8192


def test_factors_are_rounded_cosines():
    assert np.array_equal(FACTORS, np.rint(exact_dct()[:, :4] * 2**17))


def test_ties_go_up():
    """A black row: -1024 * 46341 / 2^11 is -23170.5."""
    assert 1024 * FACTORS[0, 0] == 23170.5 * 2**11
    assert one_pass(np.full(8, -128), 11)[0] == -23170
    assert one_pass(np.full(8, 128), 11)[0] == 23171


def test_quantiser_divides_exactly():
    """Every coefficient by every quantiser, against the division."""
    coefficients = np.arange(-8192, 8192)[:, None, None]
    for first in range(1, 256, 64):
        table = np.minimum(np.arange(first, first + 64), 255).reshape(8, 8)
        words = Reciprocals.of(table)
        assert 1 << 11 < words.value.min() <= words.value.max() <= 1 << 12
        assert 0 <= words.shift.min() <= words.shift.max() <= 7
        expected = np.sign(coefficients) * ((np.abs(coefficients) + 4 * table) // (8 * table))
        assert np.array_equal(
            quantise(np.broadcast_to(coefficients, (16384, 8, 8)), words), expected
        )


def test_subsampling_is_libjpegs():
    """Means of four, ties down and up in turn, odd edges with themselves."""
    assert subsample(np.array([[1, 2, 1, 2], [1, 2, 1, 2]])).tolist() == [[1, 2]]
    assert subsample(np.array([[0, 3, 9]])).tolist() == [[1, 9]]
    assert subsample(np.array([[7], [8], [200]])).tolist() == [[7], [200]]
    noise = np.random.default_rng(SEED).integers(0, 256, (400, 400))
    assert abs(subsample(noise).mean() - noise.mean()) < 0.01, "no shift of colours"


BAD_TABLES = {
    "8 x 8 integers": lambda: scaled_quantisation(LUMA[:7], 50),
    "quality must be 1..100, not 0": lambda: scaled_quantisation(LUMA, 0),
    "quality must be 1..100, not 101": lambda: scaled_quantisation(LUMA, 101),
    "1..255, not 0": lambda: JpegSettings(luma=LUMA - 10),
    "1..255, not 17..256": lambda: JpegSettings(chroma=np.where(CHROMA == 99, 256, CHROMA)),
    "DC, AC, DC, AC": lambda: JpegSettings(huffman=(LUMA_AC, LUMA_DC, LUMA_DC, LUMA_AC)),
    "0..65535 MCUs, not 65536": lambda: JpegSettings(restart_interval=65536),
    "counts must be 16": lambda: HuffmanTable((0, 12), bytes(range(12))),
    "announce 12 symbols, and 11": lambda: HuffmanTable(LUMA_DC.counts, bytes(range(11))),
    "all ones free": lambda: HuffmanTable((0, 0, 4, 8) + (0,) * 12, bytes(range(12))),
    "each once, not 12": lambda: HuffmanTable(LUMA_DC.counts, bytes(12)),
    "each once, not 161": lambda: HuffmanTable(
        (*LUMA_AC.counts[:15], 124), LUMA_AC.symbols[:-1]),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD_TABLES)
def test_bad_tables(message):
    with pytest.raises(ValueError, match=message):
        BAD_TABLES[message]()


@pytest.mark.parametrize(
    ("planes", "region", "message"),
    [
        ([np.zeros((8, 8), int)] * 2, None, "not 2"),
        ([np.zeros((0, 8), int)], None, r"not shape \(0, 8\)"),
        ([np.zeros((1, 65536), int)], None, "65535"),
        ([np.zeros((8, 8))], None, "not float64"),
        ([np.full((8, 8), 256)], None, "256..256"),
        ([np.full((8, 8), -1)], None, "-1..-1"),
        ([np.zeros((8, 8), int)] * 2 + [np.zeros((8, 9), int)], None, "one shape"),
        ([np.zeros((8, 8), int)], Region(0, 0, 9, 8), "of 8 x 8 only, not 9 x 8"),
        ([np.zeros((8, 8), int)], Region(3, 0, 0, 8), "not 0 x 8"),
        ([np.zeros((8, 8), int)], Region(-1, 0, 2, 8), r"at \(-1, 0\)"),
    ],
)  # fmt: skip
def test_bad_pictures(planes, region, message):
    with pytest.raises(ValueError, match=message):
        encode(planes, JpegSettings(), region)
