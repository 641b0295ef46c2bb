"""The golden JPEG encoder against libjpeg-turbo, as Pillow and simplejpeg bring it along."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from models.image.jpeg import JpegSettings, encode, quantised_scan
from models.image.jpeg_planes import Region, checked_planes
from models.image.jpeg_tables import AC_SYMBOLS, ZIGZAG, HuffmanTable
from tests.image_pictures import PICTURES, exact_dct, needs_pictures, psnr, ycbcr_planes

SEED = 20261123


def decoded(data):
    """Pixels that Pillow reads; libjpeg-turbo must not warn."""
    simplejpeg.decode_jpeg(data, strict=True)  # ValueError for each warning
    return np.asarray(Image.open(io.BytesIO(data)))


def pillow(picture, quality):
    """The file that libjpeg-turbo writes, standard Huffman tables."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    subsampling = "4:4:4" if image.mode == "L" else "4:2:0"
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=subsampling, optimize=False)
    return file.getvalue()


def segments(data):
    """(marker, body) of a file up to the start of scan."""
    place, found = 2, []
    while data[place + 1] != 0xDA:
        size = int.from_bytes(data[place + 2 : place + 4], "big")
        found.append((data[place + 1], data[place + 4 : place + 2 + size]))
        place += 2 + size
    return found


def reconstructed(scan, table):
    """What a decoder with an exact inverse transform makes of a grey scan, block by block."""
    basis = exact_dct()
    return np.clip(basis.T @ (scan.levels * table) @ basis + 128, 0, 255)


def synthetic(height, width, generator):
    """One of each kind of picture that a photo hardly has."""
    y, x = np.mgrid[:height, :width]
    return {
        "black": np.zeros((height, width), np.uint8),
        "white": np.full((height, width), 255, np.uint8),
        "checkerboard": ((x + y) % 2 * 255).astype(np.uint8),
        "stripes": (x % 2 * 255).astype(np.uint8),
        "squares": ((x // 8 + y // 8) % 2 * 255).astype(np.uint8),
        "noise": generator.integers(0, 256, (height, width)).astype(np.uint8),
        "extremes": (generator.integers(0, 2, (height, width)) * 255).astype(np.uint8),
        "gradient": ((2 * x + 3 * y) % 256).astype(np.uint8),
    }


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 90, 99, 100])
def test_tables_are_libjpegs(quality):
    """The whole header is the one that libjpeg-turbo writes, quantisation and codes with it."""
    picture = np.zeros((20, 30, 3), np.uint8)
    ours = encode(ycbcr_planes(picture), JpegSettings.of_quality(quality))
    assert segments(ours) == segments(pillow(picture, quality))
    ours = encode([picture[..., 0]], JpegSettings.of_quality(quality))
    assert segments(ours) == segments(pillow(picture[..., 0], quality))


@pytest.mark.parametrize("quality", [25, 50, 75])
@pytest.mark.parametrize("shape", [(40, 72), (37, 70)])
def test_files_are_libjpegs(quality, shape):
    """Byte for byte, where no coefficient is near the middle between two levels."""
    pictures = synthetic(*shape, np.random.default_rng(SEED))
    settings = JpegSettings.of_quality(quality)
    for name in ("black", "white", "checkerboard", "stripes", "squares", "gradient"):
        assert encode([pictures[name]], settings) == pillow(pictures[name], quality), name
    colours = [pictures[name] for name in ("squares", "white", "squares")]
    theirs = pillow(Image.merge("YCbCr", [Image.fromarray(plane) for plane in colours]), quality)
    assert encode(colours, settings) == theirs


@pytest.mark.parametrize("quality", [1, 50, 100])
def test_decoders_see_our_levels(quality):
    """Grey: pixels are those of the levels, within the one step of a decoder's own rounding."""
    generator = np.random.default_rng(SEED + quality)
    settings = JpegSettings.of_quality(quality)
    for name, plane in synthetic(40, 72, generator).items():
        pixels = decoded(encode([plane], settings)).astype(int)
        scan = quantised_scan(checked_planes([plane]), settings)
        expected = reconstructed(scan, settings.luma)
        tiles = pixels.reshape(5, 8, 9, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
        assert np.abs(tiles - expected).max() <= 1, f"{name}, seed {SEED + quality}"
        if quality == 100:
            assert np.abs(pixels - plane.astype(int)).max() <= 3, name


def test_largest_levels():
    """Quantisers of 1 and blocks at the limits: DC differences of 11 bits, AC of 10."""
    settings = JpegSettings.of_quality(100)
    plane = np.kron(np.arange(4)[None] % 2 * 255, np.ones((8, 8), int))
    stripes = np.broadcast_to(np.where(exact_dct()[4] > 0, 255, 0), (8, 8))
    plane = np.concatenate([plane, stripes, 255 - stripes], axis=1)
    scan = quantised_scan(checked_planes([plane]), settings)
    assert (scan.levels.min(), scan.levels.max()) == (-1024, 1020)
    assert np.abs(scan.levels[:, 0, 4]).max() == 1020
    assert np.abs(decoded(encode([plane], settings)).astype(int) - plane).max() <= 1


def test_every_size_decodes():
    generator = np.random.default_rng(SEED)
    settings = JpegSettings.of_quality(90)
    for height in range(1, 18):
        for width in range(1, 18):
            y, x = np.mgrid[:height, :width]
            smooth = [(5 * x + 3 * y + 40).astype(np.uint8), 128 + x, 128 - y]
            for count in (1, 3):
                shown = decoded(encode(smooth[:count], settings))
                luma = shown if count == 1 else np.rint(shown @ [0.299, 0.587, 0.114])
                error = np.abs(luma.astype(int) - smooth[0])
                assert error.max() <= 8, f"{width} x {height}, {count} planes"
            noise = generator.integers(0, 256, (3, height, width))
            decoded(encode(noise, settings))


@pytest.mark.parametrize("interval", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("planes", [1, 3])
def test_restart_markers(interval, planes):
    """The pixels stay; markers count 0 to 7 in turn, one between intervals and none at the end."""
    generator = np.random.default_rng(SEED)
    picture = generator.integers(0, 256, (planes, 50, 70))
    plain = encode(picture, JpegSettings.of_quality(75))
    data = encode(picture, JpegSettings.of_quality(75, interval))
    assert np.array_equal(decoded(data), decoded(plain))
    found = [data[n + 1] for n in range(len(data) - 1)
             if data[n] == 0xFF and 0xD0 <= data[n + 1] <= 0xD7]  # fmt: skip
    mcus = 7 * 9 if planes == 1 else 4 * 5
    assert found == [0xD0 + n % 8 for n in range(-(-mcus // interval) - 1)]
    assert (0xDD, interval.to_bytes(2, "big")) in segments(data)


def test_intervals_are_independent():
    """Each segment decodes without the one before: the second half may be swapped in elsewhere."""
    generator = np.random.default_rng(SEED)
    first, second = generator.integers(0, 256, (2, 1, 8, 64))
    settings = JpegSettings.of_quality(75, 8)
    both = encode(np.concatenate([first, second], axis=1), settings)
    alone = encode(second, settings)
    body = alone[alone.index(b"\xff\xda") + 10 :]
    assert both.endswith(b"\xff\xd0" + body)


def test_smallest_scans():
    """By hand: a difference of 0 is 00, the end of a block 1010, and ones fill the byte.

    White has DC 127 * 8 = 1016 over 16, 63.5, rounded to 64: size 7, 11110, and 1000000.
    """
    for value, body in ((128, "001010 11"), (255, "11110 1000000 1010"), (0, "11110 0111111 1010")):
        bits = body.replace(" ", "")
        data = encode([np.full((8, 8), value)], JpegSettings())
        assert data[data.index(b"\xff\xda") + 10 : -2] == int(bits, 2).to_bytes(len(bits) // 8)


def test_bytes_are_stuffed():
    generator = np.random.default_rng(SEED)
    data = encode([generator.integers(0, 256, (64, 64))], JpegSettings.of_quality(100))
    body = data[data.index(b"\xff\xda") + 10 : -2]
    assert body.count(b"\xff") == body.count(b"\xff\x00") > 5
    assert data.endswith(b"\xff\xd9")


def test_runs_of_zeros():
    """One high coefficient alone: none, one, two and three runs of 16 before it, with no end."""
    lengths = []
    for place in (1, 16, 17, 33, 49, 63):
        table = np.full((8, 8), 255)
        table.reshape(-1)[[0, ZIGZAG[place]]] = 1
        wave = np.outer(exact_dct()[ZIGZAG[place] // 8], exact_dct()[ZIGZAG[place] % 8])
        plane = np.rint(128 + 60 * wave / np.abs(wave).max()).astype(int)
        settings = JpegSettings(luma=table)
        scan = quantised_scan(checked_planes([plane]), settings)
        assert np.flatnonzero(scan.levels.reshape(-1)[ZIGZAG][1:]).tolist() == [place - 1]
        assert np.abs(decoded(encode([plane], settings)).astype(int) - plane).max() <= 2
        lengths.append(len(encode([plane], settings)))
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("planes", [1, 3])
def test_region_is_a_part_of_the_picture(planes):
    """Pixels of a region, aligned outwards, are those of the whole, at edges of any size too."""
    generator = np.random.default_rng(SEED)
    picture = generator.integers(0, 256, (planes, 45, 59))
    settings = JpegSettings.of_quality(90)
    whole = quantised_scan(checked_planes(picture), settings).levels
    mcu, blocks = (8, 1) if planes == 1 else (16, 6)
    down, across = -(-45 // mcu), -(-59 // mcu)
    whole = whole.reshape(down, across, blocks, 8, 8)
    corners = set()
    for _ in range(40):
        x, y = int(generator.integers(0, 59)), int(generator.integers(0, 45))
        width, height = int(generator.integers(1, 60 - x)), int(generator.integers(1, 46 - y))
        region = Region(x, y, width, height)
        aligned = region.aligned((45, 59), mcu)
        assert aligned.x % mcu == aligned.y % mcu == 0
        assert aligned.x <= x < x + width <= aligned.x + aligned.width <= 59
        data = encode(picture, settings, region)
        assert decoded(data).shape[:2] == (aligned.height, aligned.width)
        part = [aligned.of(plane) for plane in checked_planes(picture)]
        found = quantised_scan(part, settings).levels
        rows = slice(y // mcu, -(-(y + height) // mcu))
        columns = slice(x // mcu, -(-(x + width) // mcu))
        assert np.array_equal(found, whole[rows, columns].reshape(-1, 8, 8))
        assert data == encode(part, settings)
        corners.add((aligned.x + aligned.width == 59, aligned.y + aligned.height == 45))
    assert len(corners) == 4, f"seed {SEED}"


def test_blocks_outside_cost_six_bits():
    """17 to 24 pixels square: 16 blocks of luma, 7 without a pixel: DC 0, end of block."""
    for side in (17, 24):
        scan = quantised_scan(checked_planes(np.full((3, side, side), 200)), JpegSettings())
        outside = ~scan.inside.reshape(2, 2, 6)
        assert outside[0].sum(axis=1).tolist() == [0, 2]
        assert outside[1].tolist() == [[False, False, True, True, False, False],
                                       [False, True, True, True, False, False]]  # fmt: skip
    noise = np.random.default_rng(SEED).integers(0, 256, (1, 17, 17))
    flat = np.full((2, 17, 17), 128)
    settings = JpegSettings.of_quality(100)
    ours = encode([*noise, *flat], settings)
    bands = [Image.fromarray(plane.astype(np.uint8)) for plane in (*noise, *flat)]
    theirs = pillow(Image.merge("YCbCr", bands), 100)
    assert abs(len(ours) - len(theirs)) <= 4


def test_user_tables():
    """Codes of one length and an own quantisation: pixels are those of the standard codes."""
    dc = HuffmanTable((0, 0, 0, 12) + (0,) * 12, bytes(reversed(range(12))))
    ac = HuffmanTable((0,) * 7 + (162,) + (0,) * 8, bytes(sorted(AC_SYMBOLS)))
    generator = np.random.default_rng(SEED)
    luma, chroma = generator.integers(1, 256, (2, 8, 8))
    picture = generator.integers(0, 256, (3, 33, 47))
    plain = JpegSettings(luma=luma, chroma=chroma)
    own = JpegSettings(luma=luma, chroma=chroma, huffman=(dc, ac, dc, ac))
    assert encode(picture, own) != encode(picture, plain)
    assert np.array_equal(decoded(encode(picture, own)), decoded(encode(picture, plain)))
    read = Image.open(io.BytesIO(encode(picture, own))).quantization
    assert read == {0: luma.reshape(-1).tolist(), 1: chroma.reshape(-1).tolist()}


@pytest.mark.parametrize(
    "fault",
    [
        lambda data: data.replace(b"\xff\xd1", b"\x12" * 20 + b"\xff\xd1"),  # bytes too many
        lambda data: data[:-3] + data[-2:],  # a byte too few
        lambda data: data[:-2],  # no end
        lambda data: data.replace(b"\xff\xd1", b"\xff\xd3"),  # a marker out of turn
    ],
)  # fmt: skip
def test_decoder_warns(fault):
    """What `decoded` relies on: libjpeg-turbo sees small faults, and simplejpeg says so."""
    noise = np.random.default_rng(SEED).integers(0, 256, (1, 32, 32))
    data = encode(noise, JpegSettings.of_quality(90, 4))
    decoded(data)
    with pytest.raises(ValueError, match=r"JPEG|marker|data"):
        decoded(fault(data))


@needs_pictures
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_against_libjpeg(name):
    """PSNR within 0.3 dB and size within 3 % of libjpeg-turbo; measured 0.01 dB and 0.4 %."""
    picture = PICTURES[name]()
    planes = [picture] if picture.ndim == 2 else ycbcr_planes(picture)
    for quality in (50, 75, 90):
        theirs = pillow(picture, quality)
        ours = encode(planes, JpegSettings.of_quality(quality))
        assert abs(len(ours) / len(theirs) - 1) < 0.01, quality
        ratio = psnr(decoded(ours), picture) - psnr(decoded(theirs), picture)
        assert abs(ratio) < 0.02, quality
