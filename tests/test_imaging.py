"""Frames through the image front end on the host: registers, two passes, changes, tensors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imaging_frames import encoded, port, raw_frame, rendered, scenery

from mmsp.errors import InputError
from mmsp.imaging import targets
from mmsp.imaging.development import develop
from mmsp.imaging.frames import Layout, read_frame
from mmsp.imaging.options import IspOptions
from mmsp.imaging.registers import format_of, registers_for
from mmsp.imaging.summary import change_sentence, map_rows, to_json
from mmsp.imaging.targets import run_frames, target_for_run
from mmsp.imaging.viewing import Viewing, fit_options, only_picture_port, see
from mmsp.ports import Port
from models.image.bayer import BAYER_ORDERS, PIXEL_MAX
from models.image.change import Change, ChangeSettings
from models.image.colour import to_ycbcr
from models.image.gamma import srgb_table
from models.image.jpeg import JpegSettings, encode
from models.image.pipeline import Settings, process, tensor_of
from models.image.quantiser import SHIFTED, TensorFormat, tensor_format
from models.image.scaler import Crop
from models.image.statistics import grey_world


def test_defaults_suit_the_file(rng):
    """A rendered picture is left as it is; a RAW file is not."""
    plain = registers_for(IspOptions(), rendered(rng)).pixels
    assert plain == Settings(bits=8, bad_pixel_threshold=PIXEL_MAX, clip_limit=4080)
    raw = registers_for(IspOptions(), raw_frame(np.zeros((8, 8)), order="GBRG")).pixels
    assert raw == Settings(order="GBRG", gamma=srgb_table())
    assert registers_for(IspOptions(), rendered(rng)).scaling is None


def test_units():
    """Black levels in the file's units, gains and matrix as fractions."""
    options = IspOptions(black_level=(600, 602, 0, 1), gains=(2, 1, 0, 15.999),
                         matrix=(1, 0.5, -0.5, 0, 1, 0, -8, 0, 1))  # fmt: skip
    pixels = registers_for(options, raw_frame(np.zeros((8, 8)), 12, 14)).pixels
    assert pixels.black_levels == (150, 151, 0, 0)  # 602 / 4 rounds up, 1 / 4 down
    assert pixels.clip_limit == 4095 - 151
    assert pixels.gains == (2048, 1024, 0, 16383)
    assert pixels.matrix == ((1024, 512, -512), (0, 1024, 0), (-8192, 0, 1024))
    low = registers_for(IspOptions(black_level=(10, 20, 254.99, 0)), raw_frame(np.zeros((4, 4)), 8))
    assert low.pixels.black_levels == (160, 320, 4079, 0)
    assert low.pixels.clip_limit == 1
    changes = IspOptions(change_threshold=2.53, change_activity=7, change_count=9, change_block=16,
                         change_shift=5)  # fmt: skip
    registers = registers_for(changes, raw_frame(np.zeros((4, 4))), change=True)
    assert registers.change == ChangeSettings(4, 40, 112, 9, 5)
    with pytest.raises(InputError, match="must be below 255, the white of 8 bits, and is 255"):
        registers_for(IspOptions(black_level=(255,) * 4), raw_frame(np.zeros((4, 4)), 8))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((320, 240), (320, 240)), ((321, 240), (320, 239)), ((640, 480), (320, 240)),
     ((320, 241), (318, 240)), ((600, 400), (320, 213)), ((400, 600), (160, 240)),
     ((1280, 4), (320, 1)), ((4, 1024), (1, 240)), ((5, 7), (5, 7))],
)  # fmt: skip
def test_largest_size_of_the_same_shape(size, expected):
    frame = raw_frame(np.zeros(size[::-1]))
    scaling = registers_for(IspOptions(), frame, scaled=True).scaling
    assert (scaling.width, scaling.height) == expected
    assert scaling.crop == Crop(0, 0, *size)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (IspOptions(tensor_size=(65, 10)), "the scaler only averages down, and 65x10 pixels are "
         "wanted of the 64x48 of the frame 'x.raw'"),
        (IspOptions(tensor_size=(10, 11), crop=Crop(0, 0, 20, 10)), "of the 20x10 of the crop"),
        (IspOptions(tensor_size=(0, 10)), "gives 1x1 to 320x240 pixels, and 0x10 are wanted"),
        (IspOptions(tensor_size=(10, 241)), "gives 1x1 to 320x240"),
        (IspOptions(crop=Crop(1, 0, 64, 48)), "crop 64x48+1+0 is not within the 64x48 pixels of"),
        (IspOptions(crop=Crop(0, 1, 64, 48)), "crop 64x48+0+1 is not within"),
    ],
)  # fmt: skip
def test_impossible_sizes(options, sentence):
    with pytest.raises(InputError) as caught:
        registers_for(options, raw_frame(np.zeros((48, 64))), scaled=True)
    assert sentence in str(caught.value)
    registers_for(options, raw_frame(np.zeros((48, 64))))  # without a tensor nobody minds


def test_grey_world_in_two_passes(rng):
    """Gains are of the first frame's statistics, and for all frames."""
    frames = [raw_frame(scenery(rng, top=top)) for top in (2000, 4095)]
    options = IspOptions(black_level=(100,) * 4)
    made = develop(frames, options)
    settings = registers_for(options, frames[0]).pixels
    gains = grey_world(process(frames[0].pixels, settings).statistics, 3995)
    assert made.registers.pixels.gains == gains
    assert made.notes == (f"gains by grey world of 'x.raw': {made.gains}",)
    assert made.gains.startswith(f"R {gains[0] / 1024:.3f}, Gr ")
    for frame, outputs in zip(frames, made.outputs, strict=True):
        expected = process(frame.pixels, made.registers.pixels)
        np.testing.assert_array_equal(outputs.rgb, expected.rgb)
        assert outputs.statistics == expected.statistics
    fixed = develop(frames[:1], IspOptions(gains=(1, 1, 1, 1)))
    assert fixed.registers.pixels.gains == (1024,) * 4
    assert fixed.notes == ()
    picture = develop([rendered(rng)], IspOptions(gains="auto"))
    assert min(picture.registers.pixels.gains) == round(1024 * 4095 / 4080)


@pytest.mark.parametrize("order", BAYER_ORDERS)
@pytest.mark.parametrize("grey", [False, True])
def test_outputs_are_the_models(rng, order, grey):
    frame = raw_frame(scenery(rng), order=order)
    options = IspOptions(tensor_size=(20, 11), crop=Crop(3, 4, 50, 40), grey=grey, quality=60,
                         restart_interval=5)  # fmt: skip
    made = develop([frame], options, scaled=True, jpeg=True)
    processed = process(frame.pixels, made.registers.pixels)
    (outputs,) = made.outputs
    np.testing.assert_array_equal(outputs.rgb, processed.rgb)
    tensor = tensor_of(processed.rgb, Crop(3, 4, 50, 40), 20, 11, grey=grey)
    assert tensor.shape == (11, 20, 1 if grey else 3)
    np.testing.assert_array_equal(outputs.tensor, tensor)
    planes = np.moveaxis(to_ycbcr(processed.rgb), -1, 0)[: 1 if grey else 3]
    assert outputs.jpeg == encode(list(planes), JpegSettings.of_quality(60, 5))
    assert outputs.change is None


def test_what_was_before(rng):
    picture = rendered(rng)
    made = develop([picture, raw_frame(np.where(np.eye(16), 200, 50), 8)][:1], IspOptions())
    np.testing.assert_array_equal(made.unprocessed(0), picture.original)
    assert not made.bad_pixels(0).any()
    pixels = np.full((16, 16), 500)
    pixels[6, 7] = 4000
    hurt = develop([raw_frame(pixels)], IspOptions())
    assert np.argwhere(hurt.bad_pixels(0)).tolist() == [[6, 7]]
    only = Settings(bad_pixel_threshold=4095)
    np.testing.assert_array_equal(hurt.unprocessed(0), process(pixels, only).rgb)
    assert (hurt.outputs[0].rgb != hurt.unprocessed(0)).any()


def test_changes_over_frames(rng):
    """A block that appears wakes; the reference is the first frame, and it is not left behind."""
    still = rng.integers(100, 110, (64, 96, 3), np.uint8)
    moved = still.copy()
    moved[16:40, 32:56] += 90
    frames = [
        read_frame(Path(f"{index}.png"), encoded(pixels), Layout())
        for index, pixels in enumerate((still, still, moved, moved))
    ]
    made = develop(frames, IspOptions(change_shift=0), change=True)
    first, second, third, fourth = (outputs.change for outputs in made.outputs)
    assert [each.wake for each in (first, second, third, fourth)] == [False, False, True, False]
    assert third.bounding_box() == (2, 4, 4, 6)
    assert map_rows(first) == []
    assert map_rows(third)[2:5] == ["....###....."] * 3
    assert change_sentence(first, 0) == "frame 1: the reference"
    assert change_sentence(second, 1) == "frame 2: 0 of 96 blocks have changed, does not wake"
    assert change_sentence(third, 2) == "frame 3: 9 of 96 blocks have changed, wakes"
    document = to_json(made)
    assert document["frames"][2]["change"]["bounding_box"] == (2, 4, 4, 6)
    assert document["frames"][2]["change"]["map"][4] == "....###....."
    coarse = IspOptions(change_block=32, change_threshold=200, change_activity=200)
    far = develop(frames, coarse, change=True)
    assert far.outputs[0].change.block_map.shape == (2, 3)
    assert not any(outputs.change.wake for outputs in far.outputs)
    many = develop(frames, IspOptions(change_count=10), change=True)
    assert not any(outputs.change.wake for outputs in many.outputs)


def test_frames_of_other_cameras(rng):
    frames = [rendered(rng), rendered(rng, 13, name="y.png")]
    with pytest.raises(InputError, match=r"'y.png' has 20x13 pixels of 8 bits, 'x.png' 20x12"):
        develop(frames, IspOptions())


def test_differences_are_counted(rng, monkeypatch):
    """In every kind of output, and when there are fewer of them."""
    frames = [raw_frame(scenery(rng))]
    options = IspOptions(gains=(1, 1, 1, 1))
    wanted = {"scaled": True, "change": True, "jpeg": True}
    right = develop(frames, options, **wanted).outputs[0]

    def found(outputs):
        monkeypatch.setitem(targets.TARGETS, "rtl", lambda *_: outputs)
        return develop(frames, options, "rtl", **wanted).mismatches

    def but(**changed):
        return found([replace(right, **changed)])

    assert found([right]) == 0
    rgb = right.rgb.copy()
    rgb[3, 5:7, 1] ^= 1
    assert but(rgb=rgb) == 2
    statistics = replace(right.statistics, clipped=7)
    assert but(statistics=statistics) == 1
    tensor = right.tensor.copy()
    tensor[0, 0, 0] ^= 1
    assert but(tensor=tensor) == 1
    assert but(tensor=right.tensor[1:]) == right.tensor.size
    assert but(tensor=None) == right.tensor.size
    assert but(change=None) == right.change.block_map.size + 1
    assert but(jpeg=None) == len(right.jpeg)
    assert but(change=Change(1 - right.change.block_map, False)) == right.change.block_map.size
    assert but(change=Change(right.change.block_map, True)) == 1
    assert but(jpeg=right.jpeg[:-1] + b"\0") == 1
    assert but(jpeg=right.jpeg + b"\0") == len(right.jpeg) + 1
    assert found([]) >= 1
    made = develop(frames, IspOptions(), "golden")
    assert (made.mismatches, made.verdict) == (None, "")


def test_two_passes_are_both_compared(rng, monkeypatch):
    """Wrong statistics are a difference even if the picture is right with the gains they give."""
    calls = []

    def wrong(frames, registers):
        calls.append(registers.pixels.gains)
        outputs = run_frames(frames, registers).outputs
        if len(calls) > 1:
            return outputs
        sums = (outputs[0].statistics.sums[0] + 1, *outputs[0].statistics.sums[1:])
        statistics = replace(outputs[0].statistics, sums=sums)
        return [replace(outputs[0], statistics=statistics)]

    monkeypatch.setitem(targets.TARGETS, "rtl", wrong)
    made = develop([raw_frame(scenery(rng))], IspOptions(), "rtl")
    assert made.mismatches == 1
    assert made.verdict == "not bit-exact: 1 values differ from the golden models"
    assert calls == [(1024,) * 4, made.registers.pixels.gains]


def test_tensor_of_an_input():
    """Pictures' ranges are a shift; others need the range to be said."""
    assert format_of(port(), IspOptions()) == SHIFTED
    assert format_of(port(scale=1.0), IspOptions()) == SHIFTED
    wide = IspOptions(tensor_range=(-2.1, 2.6))
    assert format_of(port(scale=0.02, zero_point=-14), wide) == tensor_format(0.02, -14, -2.1, 2.6)
    for bad, options, sentence in (
        (port(scale=0.02), IspOptions(), "so a tensor range must say what"),
        (port(scale=None), IspOptions(), "so a tensor range must say what"),
        (port(scale=None), wide, "has no scale, so it can have no tensor range"),
        (port(inside="int16"), wide, "is int16, and the front end writes int8"),
        (port(scale=1e-6), wide, "cannot take -2.1 to 2.6: multiplier must be in"),
    ):
        with pytest.raises(InputError) as caught:
            format_of(bad, options)
        assert sentence in str(caught.value)


def test_size_of_an_input():
    path = Path("a.png")
    fitted = fit_options(IspOptions(), port(), path)
    assert (fitted.tensor_size, fitted.grey) == ((10, 8), False)
    first = fit_options(IspOptions(), port(shape=(1, 1, 8, 10)), path)
    assert (first.tensor_size, first.grey) == ((10, 8), True)
    with pytest.raises(InputError, match="size is 8x10, and input 'picture' takes 10x8"):
        fit_options(IspOptions(tensor_size=(8, 10)), port(), path)
    with pytest.raises(InputError, match="grey makes one channel, and input 'picture' takes 3"):
        fit_options(IspOptions(grey=True), port(), path)
    with pytest.raises(InputError, match=r"takes no picture such as 'a.png'"):
        fit_options(IspOptions(), port(shape=(1, 490)), path)
    flat = port(shape=(1, 490))
    assert only_picture_port("m", [flat, port()]) == port()
    for ports in ([flat], [port(), port()]):
        with pytest.raises(InputError, match="model 'm' must have one input that takes a picture"):
            only_picture_port("m", ports)


@pytest.mark.parametrize("shape", [(1, 8, 10, 3), (1, 3, 8, 10), (1, 8, 10, 1)])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_seen_by_a_network(rng, shape, dtype):
    data = encoded(rng.integers(0, 256, (32, 40, 3), np.uint8))
    wanted = Port(
        name="picture", shape=shape, dtype=dtype, scale=0.02, zero_point=-14, tensor="picture"
    )
    options = IspOptions(pattern="GRBG", tensor_range=(-2.1, 2.6))
    values, made, notes = see(Path("a.png"), data, wanted, Viewing(options))
    frame = read_frame(Path("a.png"), data, Layout(order="GRBG"))
    rgb = process(frame.pixels, made.registers.pixels).rgb
    tensor = tensor_of(
        rgb, Crop(0, 0, 40, 32), 10, 8, grey=shape[-1] == 1,
        tensor=TensorFormat(**vars(made.registers.scaling.tensor)),
    )  # fmt: skip
    expected = tensor.transpose(2, 0, 1)[None] if shape[1] == 3 else tensor[None]
    assert values.shape == shape
    assert str(values.dtype) == dtype
    np.testing.assert_array_equal(wanted.to_inside(values), expected)
    assert notes == [f"{frame.sentence}, through the image front end (golden) to 10 x 8"]


def test_targets_of_a_run():
    assert target_for_run("golden") == target_for_run("tflm") == "golden"
    assert target_for_run("rtl") == "rtl"
