# amaranth: UnusedElaboratable=no

"""Windows of features as words of the activation memory: model, hardware, compiler."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from published import DATA, needs_data

from hdl.audio.feature_window import FeatureWindow
from mmsp.audio.windows import window_frames
from mmsp.loading import find_config, load_image
from models.audio.feature_window import WindowPlace, feature_windows
from models.audio.frontend import PRESETS
from verif.formal import prove

SEED = 20_261_123
ADDRESS_BITS = 9


def random_case(rng):
    """Sizes of frames and windows, and a place with at least one word's slack now and then."""
    values, frames = int(rng.integers(1, 12)), int(rng.integers(1, 7))
    divisors = [n for n in range(1, values * frames + 1) if values * frames % n == 0]
    row_values = int(rng.choice(divisors))
    word_bytes = int(rng.choice([1, 3, 4, 16]))
    filled = -(-row_values // word_bytes)
    place = WindowPlace(
        base=int(rng.integers(0, 100)), row0=int(rng.integers(4)), row_values=row_values,
        row_words=filled + int(rng.integers(3)), word_bytes=word_bytes,
    )  # fmt: skip
    return values, frames, int(rng.integers(1, 9)), place


def constants_of(values, frames, stride, place):
    fields = {name: getattr(place, name) for name in ("base", "row0", "row_values", "row_words")}
    return {"values": values * frames, "frames": frames, "stride": stride} | fields


def simulated(recordings, capacity, word_bytes, rng, stall):
    """Words and announcements of each recording: its constants and its features."""
    dut = FeatureWindow(capacity, word_bytes, ADDRESS_BITS)
    found, announced = [], []

    async def feed(ctx):
        for constants, features in recordings:
            for _ in range(20 * capacity):
                if ctx.get(dut.idle):
                    break
                await ctx.tick()
            assert ctx.get(dut.idle), "a window never ends"
            ctx.set(dut.restart, 1)
            ctx.set(dut.constants, constants)
            assert not ctx.get(dut.i.ready), "taken and forgotten"
            await ctx.tick()
            ctx.set(dut.restart, 0)
            found.append([])
            announced.append([])
            for frame in features.tolist():
                for index, value in enumerate(frame):
                    while rng.random() < stall:
                        await ctx.tick()
                    ctx.set(dut.i.payload, {"value": value, "last": index == len(frame) - 1})
                    ctx.set(dut.i.valid, 1)
                    for _ in range(20 * capacity):
                        taken = ctx.get(dut.i.ready)
                        await ctx.tick()
                        if taken:
                            break
                    assert taken, "a window never ends"
                    ctx.set(dut.i.valid, 0)
        for _ in range(4 * capacity + 8):
            await ctx.tick()

    async def take(ctx):
        while True:
            ctx.set(dut.o.ready, int(rng.random() >= stall))
            ports = (dut.o.payload, dut.o.valid, dut.o.ready, dut.ready)
            *_, word, valid, ready, announce = await ctx.tick().sample(*ports)
            if valid and ready:
                found[-1].append((word.bank, word.address, list(word.data), word.last))
                announced[-1].append(announce)
            else:
                assert not announce

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(take, background=True)
    simulator.run()
    return found, announced


@pytest.mark.parametrize("word_bytes", [1, 3, 4, 16])
def test_hardware_equals_the_model(word_bytes):
    rng = np.random.default_rng(SEED + word_bytes)
    recordings, expected, rows_seen = [], [], set()
    while len(recordings) < 8:
        values, frames, stride, place = random_case(rng)
        if place.word_bytes != word_bytes:
            continue
        rows_seen.add(min(5, values * frames // place.row_values))
        count = int(rng.integers(frames, frames + 4 * stride))
        features = rng.integers(-128, 128, (count, values)).astype(np.int8)
        recordings.append((constants_of(values, frames, stride, place), features))
        words = []
        for window in feature_windows(features, frames, stride):
            *where, data = (each.tolist() for each in place.words(window))
            lasts = [0] * (len(data) - 1) + [1]
            words += list(zip(*where, data, lasts, strict=True))
        expected.append(words)
    assert len(rows_seen) >= 3, "rows of all sizes"
    for stall in (0.0, 0.4):
        found, announced = simulated(recordings, 72, word_bytes, rng, stall)
        assert found == expected
        assert announced == [[word[3] for word in words] for words in expected]


@pytest.mark.parametrize(("frames", "stride", "starts"), [(3, 1, [0, 1, 2]), (2, 3, [0, 3])])
def test_windows(frames, stride, starts):
    features = np.arange(10, dtype=np.int8).reshape(5, 2)
    found = feature_windows(features, frames, stride)
    expected = [features[start : start + frames] for start in starts]
    np.testing.assert_array_equal(found, expected)
    assert feature_windows(features[:1], frames, stride).shape == (0, frames, 2)


@needs_data
@pytest.mark.parametrize("config", ["FULL", "SMALL"])
@pytest.mark.parametrize(
    ("path", "preset", "frames"),
    [
        ("mlcommons-tiny/models/kws_ref_model.tflite", "mlperf_kws", 49),
        ("tensorflow-tflite-micro/models/micro_speech_quantized.tflite", "tflm_micro", 49),
        ("esphome-micro-wake-word-models/models/vad.tflite", "tflm_micro", 3),
        ("mlcommons-tiny/models/ad01_int8.tflite", "mlperf_ad", 5),
    ],
)
def test_words_are_those_of_the_compiler(rng, path, preset, frames, config):
    """Features of a window lie where the network's program reads its input."""
    if (preset, config) == ("mlperf_ad", "SMALL"):
        pytest.skip("the network does not fit configuration SMALL")
    image = load_image(DATA / path, find_config(config))
    (port,) = image.description.inputs
    assert window_frames(port, PRESETS[preset]) == frames
    placement = image.description.tensors[port.tensor].placement
    window = rng.integers(-128, 128, (frames, PRESETS[preset].values)).astype(np.int8)
    rows, width, channels = placement.pixels
    place = WindowPlace(
        base=placement.base, row0=placement.row0, row_values=width * channels,
        row_words=placement.row_words, word_bytes=placement.word_bytes,
    )  # fmt: skip
    assert rows * place.row_values == window.size
    bank, address, data = place.words(window)
    expected = placement.addresses()
    np.testing.assert_array_equal((bank, address), expected)
    np.testing.assert_array_equal(data, placement.pack(port.rearrange(window.reshape(port.shape))))


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((1, 4, 9), "capacity must be at least 2, not 1"),
        ((8, 0, 9), "word_bytes must be at least 1, not 0"),
        ((8, 4, 0), "address_bits must be at least 1, not 0"),
    ],
)
def test_refuses(sizes, sentence):
    with pytest.raises(ValueError, match=sentence):
        FeatureWindow(*sizes)


@pytest.mark.formal
def test_words_wait_and_windows_are_whole():
    prove(FeatureWindow(3, 2, 2), name="feature_window")
