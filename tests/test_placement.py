"""Layouts of tensors in the activation memory."""

import numpy as np
import pytest

from mmsp.compiler.placement import Placement

SEED = 20261123


def test_wide_words_hold_low_bytes_then_high_bytes():
    place = Placement(
        pixels=(1, 2, 5), word_bytes=4, packed=False, base=3, row0=1, wide=True
    )  # fmt: skip
    values = np.array([[[0x0102, -1, 0x0304, -256, 0x7F80]] * 2], np.int16)
    words = place.pack(values)
    assert (place.pixel_words, place.row_words, place.words) == (4, 8, 8)
    assert words[:4].tolist() == [
        [0x02, 0xFF, 0x04, 0x00],
        [0x01, 0xFF, 0x03, 0xFF],
        [0x80, 0, 0, 0],
        [0x7F, 0, 0, 0],
    ]
    bank, address = place.addresses()
    assert bank.tolist() == [1] * 8
    assert address.tolist() == list(range(3, 11))


@pytest.mark.parametrize(("packed", "wide"), [(False, False), (True, False), (False, True)])
def test_unpack_inverts_pack(packed, wide):
    rng = np.random.default_rng([SEED, packed, wide])
    for _ in range(50):
        pixels = tuple(int(n) for n in rng.integers(1, 12, 3))
        place = Placement(
            pixels=pixels, word_bytes=int(rng.choice([4, 16])), packed=packed, base=0,
            row0=int(rng.integers(4)), wide=wide,
        )  # fmt: skip
        limits = np.iinfo(place.dtype)
        values = rng.integers(limits.min, limits.max + 1, pixels).astype(place.dtype)
        words = place.pack(values)
        bank, address = place.addresses()
        assert words.shape == (len(bank), place.word_bytes)
        assert address.max() < place.words
        assert np.array_equal(place.unpack(words), values)
        # Whatever lies in bytes without a channel does not matter.
        mask = place.pack(np.full(pixels, -1, place.dtype))
        assert np.array_equal(place.unpack(words | ~mask), values)


def test_int16_is_never_packed():
    with pytest.raises(ValueError, match="an int16 tensor cannot be packed"):
        Placement(pixels=(1, 1, 1), word_bytes=4, packed=True, base=0, row0=0, wide=True)
