"""Files of frames and options of the image front end: what they become, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from imaging_frames import encoded

from mmsp.errors import InputError
from mmsp.imaging.frames import Layout, read_frame
from mmsp.imaging.options import FIELDS, IspOptions, parse_options, read_settings
from models.image.bayer import mosaic
from models.image.gamma import IDENTITY_TABLE, srgb_table
from models.image.scaler import Crop


def test_raw_files(rng):
    """All widths of a pixel, values above them, both bytes in their order."""
    for bits in range(8, 17):
        values = rng.integers(0, 1 << 16, (6, 9))
        values[0, 0] = (1 << bits) - 1
        dtype = "u1" if bits == 8 else "<u2"
        values &= (1 << (8 * np.dtype(dtype).itemsize)) - 1
        layout = Layout(order="GBRG", bits=bits, size=(9, 6))
        frame = read_frame(Path("a.raw"), values.astype(dtype).tobytes(), layout)
        top = (1 << bits) - 1
        expected = np.minimum(values, top) >> max(0, bits - 12)
        np.testing.assert_array_equal(frame.pixels, expected)
        assert (frame.bits, frame.raw_bits, frame.order) == (min(bits, 12), bits, "GBRG")
        assert frame.original is None
        above = int((values > top).sum())
        assert (above > 0) == (8 < bits < 16)
        clipped = f", {above} pixels above {top:,} clipped" if above else ""
        shifted = ", shifted to 12 bits" if bits > 12 else ""
        assert frame.sentence == f"RAW 'a.raw': 9 x 6, {bits} bits, GBRG{clipped}{shifted}"


def test_bits_by_the_length():
    layout = Layout(order="RGGB", size=(4, 4))
    assert read_frame(Path("a.raw"), bytes(16), layout).bits == 8
    assert read_frame(Path("a.raw"), bytes(32), layout).bits == 12


@pytest.mark.parametrize(
    ("name", "length", "layout", "sentence"),
    [
        ("a.raw", 32, Layout(), "and a RAW file needs size and pattern"),
        ("a.raw", 32, Layout(size=(4, 4)), "needs size and pattern"),
        ("a.tif", 32, Layout(order="RGGB"), "'a.tif' is no picture (.png, .jpg, .jpeg, .bmp, "),
        ("a.raw", 31, Layout(order="RGGB", size=(4, 4)),
         "RAW 'a.raw' is truncated: 4x4 pixels of 12 bits take 32 bytes, and it has 31"),
        ("a.raw", 0, Layout(order="RGGB", size=(4, 4)), "is truncated"),
        ("a.raw", 2000, Layout(order="RGGB", size=(40, 24)),
         "is longer than that: 40x24 pixels of 12 bits take 1,920 bytes, and it has 2,000"),
        ("a.raw", 32, Layout(order="RGGB", size=(4, 4), bits=8), "is longer than that"),
        ("a.raw", 16, Layout(order="RGGB", size=(4, 4), bits=14), "is truncated"),
        ("a.raw", 18, Layout(order="RGGB", size=(3, 3)), "4x4 to 1280x1024 pixels, and 'a.raw' 3x"),
        ("a.raw", 10, Layout(order="RGGB", size=(1281, 4)), "and 'a.raw' 1281x4"),
        ("a.raw", 10, Layout(order="RGGB", size=(4, 1025)), "and 'a.raw' 4x1025"),
        ("a.png", 10, Layout(size=(4, 4)), "size is about RAW files, and 'a.png' is a picture"),
        ("a.png", 10, Layout(bits=12), "bits is about RAW files"),
        ("a.png", 10, Layout(), "picture 'a.png' is no picture that can be read"),
        ("a.PGM", 10, Layout(), "is no picture that can be read"),
    ],
)  # fmt: skip
def test_bad_frames(name, length, layout, sentence):
    with pytest.raises(InputError) as caught:
        read_frame(Path(name), bytes(length), layout)
    assert sentence in str(caught.value)


def test_pictures_get_a_mosaic(rng):
    pixels = rng.integers(0, 256, (7, 10, 3), np.uint8)
    for form, order in (("PNG", None), ("BMP", "BGGR"), ("PPM", "GRBG")):
        frame = read_frame(Path(f"a.{form}"), encoded(pixels, form), Layout(order=order))
        np.testing.assert_array_equal(frame.original, pixels)
        np.testing.assert_array_equal(frame.pixels, mosaic(pixels, order or "RGGB"))
        assert (frame.bits, frame.size) == (8, (10, 7))
        assert frame.sentence.endswith(f"10 x 7 RGB, mosaicked as {order or 'RGGB'}")
    grey = read_frame(Path("a.pgm"), encoded(pixels[..., 0], "PPM"), Layout())
    np.testing.assert_array_equal(grey.pixels, pixels[..., 0])
    assert "10 x 7 L, converted to RGB, mosaicked" in grey.sentence


def test_large_and_small_pictures(rng):
    wide = rng.integers(0, 256, (300, 2560, 3), np.uint8)
    frame = read_frame(Path("a.png"), encoded(wide), Layout())
    assert frame.size == (1280, 150)
    assert "2560 x 300 RGB, shrunk to 1280 x 150, what the camera has at most" in frame.sentence
    most = read_frame(Path("a.png"), encoded(np.zeros((6, 1280, 3), np.uint8)), Layout())
    assert most.sentence == "picture 'a.png': 1280 x 6 RGB, mosaicked as RGGB"
    tall = np.zeros((1100, 8, 3), np.uint8)
    assert read_frame(Path("a.png"), encoded(tall), Layout()).size[1] == 1024
    for shape in ((3, 9, 3), (9, 3, 3)):
        with pytest.raises(InputError, match=r"a frame has 4x4 to 1280x1024 pixels, and 'a.png'"):
            read_frame(Path("a.png"), encoded(np.zeros(shape, np.uint8)), Layout())
    with pytest.raises(InputError, match="8 bits a channel are read"):
        read_frame(Path("a.png"), encoded(np.zeros((8, 8), np.uint16)), Layout())


def test_options():
    given = {
        "pattern": "bggr", "bits": "14", "size": "768X512", "black_level": "600",
        "bad_pixel_threshold": "4095", "bad_pixel_rank": "3", "gains": "2,1,1.5",
        "matrix": "1.5,-.5,0,0,1,0,-8,7.999,1e-1", "gamma": "SRGB", "crop": "40x30+5+6",
        "tensor_size": "10x9", "tensor_range": "-1,1", "grey": "True", "quality": "7",
        "restart_interval": "65535",
        "change_threshold": "2.5", "change_activity": "0", "change_count": "9",
        "change_block": "16", "change_shift": "8",
    }  # fmt: skip
    assert parse_options(given, {}) == IspOptions(
        pattern="BGGR", bits=14, size=(768, 512), black_level=(600,) * 4,
        bad_pixel_threshold=4095, bad_pixel_rank=3, gains=(2, 1, 1, 1.5),
        matrix=(1.5, -0.5, 0, 0, 1, 0, -8, 7.999, 0.1), gamma=srgb_table(),
        crop=Crop(5, 6, 40, 30), tensor_size=(10, 9), tensor_range=(-1, 1), grey=True, quality=7,
        restart_interval=65_535,
        change_threshold=2.5, change_activity=0, change_count=9, change_block=16, change_shift=8,
    )  # fmt: skip
    assert set(given) == set(FIELDS)
    assert parse_options({}, given) == parse_options(given, {})
    assert parse_options({"bits": "10"}, {"bits": "12", "quality": "1"}).bits == 10
    assert parse_options({"gains": "AUTO"}, {}).gains == "auto"
    assert parse_options({"gains": "1,2,3,4"}, {}).gains == (1, 2, 3, 4)
    assert parse_options(dict.fromkeys(FIELDS), {}) == IspOptions()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("pattern", "RGBG", "--pattern must be one of RGGB, GRBG, GBRG, BGGR, and is 'RGBG'"),
        ("bits", "7", "--bits must be an integer of 8 to 16, and is '7'"),
        ("bits", "17", "8 to 16"),
        ("bits", "1e1", "an integer"),
        ("size", "768", "--size must be WIDTHxHEIGHT, such as 768x512, and is '768'"),
        ("size", "-1x4", "WIDTHxHEIGHT"),
        ("black_level", "-1", "--black-level must be 1, 3 (red, green, blue) or 4 numbers of 0 to"),
        ("black_level", "1,2", "3 (red, green, blue) or 4 numbers"),
        ("bad_pixel_threshold", "4096", "0 to 4095"),
        ("bad_pixel_rank", "4", "0 to 3"),
        ("gains", "16", "--gains must be auto, or 1, 3 (red, green, blue) or 4 numbers of 0 to 15"),
        ("gains", "nan", "and is 'nan'"),
        ("gains", "red", "auto, or 1, 3"),
        ("matrix", "1,2,3", "--matrix must be 9 numbers of -8 to 7.999, and is '1,2,3'"),
        ("matrix", "8,0,0,0,1,0,0,0,1", "9 numbers"),
        ("gamma", "none.txt", "--gamma must be srgb, identity, or a file of 257 integers of 0 to "
         "4095 (No such file or directory), and is 'none.txt'"),
        ("gamma", "1,2,3", "(there are 3 words)"),
        ("gamma", ",".join(["4096"] * 257), "(the largest is 4096), and is '4096,4096,"),
        ("crop", "10x10", "WIDTHxHEIGHT+LEFT+TOP, such as 400x400+100+0"),
        ("crop", "0x4+0+0", "such as 400x400+100+0 (a crop is 1..1280 x 1..1024, not 0x4)"),
        ("tensor_size", "96", "WIDTHxHEIGHT"),
        ("tensor_range", "1", "2 numbers"),
        ("grey", "yes", "true or false"),
        ("quality", "0", "1 to 100"),
        ("restart_interval", "65536", "0 to 65535"),
        ("change_threshold", "256", "--change-threshold must be a number of 0 to 255, and is"),
        ("change_activity", "inf", "a number of 0 to 255"),
        ("change_count", "0", "1 to 2047"),
        ("change_block", "12", "one of 8, 16, 32"),
        ("change_shift", "9", "0 to 8"),
    ],
)  # fmt: skip
def test_bad_options(name, text, sentence):
    with pytest.raises(InputError) as caught:
        parse_options({name: text}, {})
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 250
    with pytest.raises(InputError, match=f"{name} of the settings must be "):
        parse_options({}, {name: text})


def test_gamma_from_a_file(tmp_path):
    path = tmp_path / "curve.txt"
    path.write_text("\n".join(map(str, IDENTITY_TABLE)))
    assert parse_options({"gamma": str(path)}, {}).gamma == IDENTITY_TABLE
    assert parse_options({"gamma": "identity"}, {}).gamma == IDENTITY_TABLE


def test_settings_file(tmp_path):
    path = tmp_path / "camera.toml"
    path.write_text(
        'pattern = "GRBG"\nsize = "640x480"\nbits = 10\nblack_level = [1, 2, 3]\ngrey = true\n'
        f"matrix = [[1, 0, 0], [0, 1.5, -0.5], [0, 0, 1]]\ngamma = {list(srgb_table())}\n"
    )
    assert parse_options({}, read_settings(str(path))) == IspOptions(
        pattern="GRBG", size=(640, 480), bits=10, black_level=(1, 2, 2, 3), grey=True,
        matrix=(1, 0, 0, 0, 1.5, -0.5, 0, 0, 1), gamma=srgb_table(),
    )  # fmt: skip
    assert read_settings(None) == {}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"speed = 3", "there is no field speed (= 3): it must be one of pattern, bits, "),
        (b"bits = ", "are no TOML: "),
        (b"\xff", "are no text in UTF-8"),
    ],
)
def test_bad_settings_files(tmp_path, data, sentence):
    path = tmp_path / "camera.toml"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_settings(str(path))
    assert sentence in str(caught.value)
    with pytest.raises(InputError, match=r"none.toml' cannot be read: No such file"):
        read_settings(str(tmp_path / "none.toml"))
