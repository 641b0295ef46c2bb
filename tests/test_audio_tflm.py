"""TFLM's micro_frontend: each stage and the whole against TensorFlow Lite Micro."""

from dataclasses import replace

import numpy as np
import pytest
from audio_signals import LOWEST, synthetic_signals
from published import DATA, needs_data
from signal_ops import SignalNetwork

from mmsp.tflm import MicroInterpreter
from models.audio.fft import Fft
from models.audio.frontend import PRESETS
from models.audio.noise_reduction import NoiseReduction
from models.audio.pcan import Pcan
from models.audio.pipeline import FeatureStream, features, real_features
from models.audio.square_root import integer_square_root, square_root
from models.audio.tflm_filterbank import energy, filter_bank
from models.audio.tflm_frontend import TflmFrontEnd
from models.audio.tflm_log import logarithm, quantize_feature
from models.audio.tflm_window import apply_window, auto_scale, max_abs, window_table

SEED = 5
FRONT_END = PRESETS["tflm_micro"]
RECORDINGS = ("yes", "no", "silence", "noise", "down", "marvin")
GRAPH = DATA / "tensorflow-tflite-micro" / "models" / "audio_preprocessor_int8.tflite"
CHANNELS = 1000


@pytest.fixture
def rng():
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


def log_uniform(rng, bits, size):
    """Integers of 0 to ``bits`` bits, each length as likely as any other."""
    return np.floor(2 ** rng.uniform(0, bits, size) - rng.integers(0, 2, size)).astype(np.int64)


def around_powers(bits):
    """Integers near powers of two, which is where cases change."""
    powers = 1 << np.arange(bits)
    return np.unique(np.clip(powers[:, None] + np.arange(-3, 4), 0, (1 << bits) - 1))


def padded(values, size):
    """Blocks of ``size`` values, the last one filled up with its first value."""
    count = -(-len(values) // size)
    return np.resize(values, (count, size))


def judge(operator, options, inputs, outputs, *constants):
    """TFLM's ``operator`` between tensors of given shapes and types."""
    network = SignalNetwork()
    ends = [[network.variable(*end) for end in side] for side in (inputs, outputs)]
    operands = ends[0] + [network.constant(values) for values in constants]
    network.operator(operator, options, operands, ends[1])
    return network.interpreter(*ends)


def test_signal_operators_run_in_the_pinned_tflm():
    interpreter = judge("SignalWindow", {"shift": 12}, [((1, 4), np.int16)], [((1, 4), np.int16)],
                        np.array([4096, 2048, 1, 0], np.int16))  # fmt: skip
    (output,) = interpreter.run([np.array([[100, -101, -1, 5]], np.int16)])
    assert output.tolist() == [[100, -51, -1, 0]]


@pytest.mark.parametrize("samples", [400, 480])
def test_window(rng, samples):
    window = window_table(samples)
    shape = ((1, samples), np.int16)
    tflm = judge("SignalWindow", {"shift": 12}, [shape], [shape], window.astype(np.int16))
    for scale in 2 ** rng.uniform(0, 15, 20):
        frame = np.clip(rng.normal(0, scale, (1, samples)), LOWEST, -LOWEST - 1).astype(np.int16)
        assert np.array_equal(tflm.run([frame])[0], apply_window(frame, window))
    for value in (LOWEST, -LOWEST - 1):
        frame = np.full((1, samples), value, np.int16)
        assert np.array_equal(tflm.run([frame])[0], apply_window(frame, window))


def test_auto_scale(rng):
    size = 12
    tflm = judge(
        "SignalFftAutoScale", {}, [((size,), np.int16)], [((size,), np.int16), ((), np.int32)]
    )
    shifts, quirks = set(), 0
    for number in range(400):
        limit = 1 << int(rng.integers(0, 16))
        frame = rng.integers(-limit, limit, size)
        if number % 4 == 0:  # a magnitude that its own int16 does not hold
            frame[rng.integers(size)] = LOWEST
            quirks += max_abs(frame) != np.abs(frame).max()
        frame = frame.astype(np.int16)
        scaled, shift = auto_scale(frame)
        expected, expected_shift = tflm.run([frame])
        assert (shift, scaled.tolist()) == (int(expected_shift), expected.tolist()), frame
        shifts.add(shift)
    assert shifts == set(range(15))
    assert quirks > 20


@pytest.mark.parametrize("points", [256, 512, 1024])
def test_fft_of_halves_and_extremes(rng, points):
    """Where kissfft's order of negation and division shows, which noise hardly ever meets."""
    tflm = judge("SignalRfft", {"T": 7, "fft_length": points},
                 [((points,), np.int16)], [((points + 2,), np.int16)])  # fmt: skip
    half, fft = points // 2, Fft(points)
    turns = 2 * np.pi * np.outer([half // 2, half - 3, 5], np.arange(half)) / half
    frames = []
    for amplitude in range(16384 - 4, 16384 + 36):
        for phase in (np.pi / 2, -np.pi / 2):
            parts = np.cos(turns + phase), np.sin(turns + phase)
            frames += list(np.rint(amplitude * np.stack(parts, -1)).reshape(3, points))
    frames += list(rng.choice([LOWEST, -LOWEST - 1], (20, points)))
    ties = 0
    for frame in np.array(frames, np.int16):
        real, imaginary = fft.kiss(frame)
        (expected,) = tflm.run([frame])
        assert np.array_equal(np.stack([real, imaginary], -1).reshape(-1), expected)
        ties += int(np.abs(imaginary).max()) in range(8190, 8194)
    assert ties > 20


def test_energy(rng):
    bins = 64
    tflm = judge("SignalEnergy", {"start_index": 0, "end_index": bins},
                 [((2 * bins,), np.int16)], [((bins,), np.uint32)])  # fmt: skip
    values = rng.integers(LOWEST, -LOWEST, 2 * bins).astype(np.int16)
    values[:4] = LOWEST
    (expected,) = tflm.run([values])
    assert np.array_equal(energy(values[0::2], values[1::2]), expected)
    assert expected[0] == 1 << 31


@pytest.mark.parametrize(
    ("bands", "fft", "low", "high"), [(40, 512, 125, 7500), (23, 256, 60, 3800)]
)
def test_filter_bank(rng, bands, fft, low, high):
    bank = filter_bank(bands, fft, 16_000, low, high)
    bins = np.arange(fft // 2 + 1)
    used = (bank.falling > 0) | (bank.rising > 0)
    # TFLM wants the bins of each segment with their weights in a row.
    groups = [bins[used & (bank.segment == segment)] for segment in range(bands + 1)]
    widths = np.array([len(group) for group in groups])
    starts = np.cumsum(widths) - widths
    order = np.concatenate(groups)
    first = [group[0] if len(group) else 0 for group in groups]
    constants = [bank.falling[order], bank.rising[order], first, starts, widths]
    tflm = judge("SignalFilterBank", {"num_channels": bands},
                 [((len(bins),), np.uint32)], [((bands,), np.uint64)],
                 *(np.asarray(values, np.int16) for values in constants))  # fmt: skip
    for bits in (1, 8, 20, 31):
        energies = log_uniform(rng, bits, len(bins)).astype(np.uint32)
        assert np.array_equal(tflm.run([energies])[0], bank.accumulate(energies))


def test_filter_without_a_bin():
    with pytest.raises(
        ValueError, match="not 80: filter 2 of 20 to 7500 Hz has none of 256 points"
    ):
        filter_bank(80, 256, 16_000, 20, 7500)


def test_square_root(rng):
    ends = [((CHANNELS,), np.uint64), ((), np.int32)], [((CHANNELS,), np.uint32)]
    tflm = judge("SignalFilterBankSquareRoot", {}, *ends)
    roots = log_uniform(rng, 31, 2000)
    radicands = np.concatenate([
        around_powers(62), log_uniform(rng, 62, 4000),
        *(np.maximum(roots * roots + edge, 0) for edge in (-1, 0, roots - 1, roots, roots + 1)),
    ])  # fmt: skip
    for block in padded(radicands, CHANNELS):
        for shift in (0, 3):
            expected = tflm.run([block.astype(np.uint64), np.int32(shift)])[0]
            assert np.array_equal(square_root(block) >> shift, expected)
    root, remainder = integer_square_root(radicands)
    assert np.array_equal(root * root + remainder, radicands)
    assert np.all((remainder >= 0) & (remainder <= 2 * root))


def test_square_root_of_what_is_none():
    with pytest.raises(ValueError, match="radicand must be in range"):
        square_root([4, -1])


@pytest.mark.parametrize(
    "stage", [NoiseReduction(), NoiseReduction(16384, 0, 16384), NoiseReduction(7, 9000, 40)]
)
def test_noise_reduction(rng, stage):
    one = 1 << 14
    options = {
        "num_channels": CHANNELS, "clamping": False, "smoothing": stage.smoothing_even,
        "one_minus_smoothing": one - stage.smoothing_even,
        "alternate_smoothing": stage.smoothing_odd,
        "alternate_one_minus_smoothing": one - stage.smoothing_odd,
        "min_signal_remaining": stage.minimum_signal, "smoothing_bits": 10,
        "spectral_subtraction_bits": 14,
    }  # fmt: skip
    word = ((CHANNELS,), np.uint32)
    tflm = judge("SignalFilterBankSpectralSubtraction", options, [word], [word, word])
    estimate = np.zeros(CHANNELS, np.int64)
    loudness = log_uniform(rng, 32, CHANNELS)
    for _ in range(12):
        signal = (loudness * rng.uniform(0, 1, CHANNELS)).astype(np.int64)
        reduced, estimate = stage.reduce(signal, estimate)
        expected, expected_estimate = tflm.run([signal.astype(np.uint32)])
        assert np.array_equal(estimate, expected_estimate)
        assert np.array_equal(reduced, expected)


@pytest.mark.parametrize("stage", [Pcan(), Pcan(0.8, 200.0), Pcan(1.0, 80.0)])
def test_pcan(rng, stage):
    word = ((CHANNELS,), np.uint32)
    # Their table's first two octaves have one value each, the others four.
    table = np.pad(stage.gain_table[2:], ((0, 0), (0, 1))).reshape(-1)
    table = np.concatenate([stage.gain_table[:2, 0], table]).astype(np.int16)
    tflm = judge("SignalPCAN", {"snr_shift": 6}, [word, word], [word], table)
    estimates = np.concatenate([around_powers(32), log_uniform(rng, 32, 20_000)])
    estimates = np.append(estimates, (1 << 32) - 1)
    for block in padded(estimates, CHANNELS):
        signal = log_uniform(rng, 32, CHANNELS)
        (expected,) = tflm.run([signal.astype(np.uint32), block.astype(np.uint32)])
        assert np.array_equal(stage.normalise(signal, block), expected)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [("strength", 1.5, "0 to 1"), ("offset", 0.0, "above 0")],
)
def test_pcan_refuses(field, value, allowed):
    with pytest.raises(ValueError, match=f"{field} must be {allowed}, not {value}"):
        replace(Pcan(), **{field: value})


def test_pcan_refuses_a_gain_that_would_wrap():
    with pytest.raises(ValueError, match="keep the interpolated gain within 0 to 32767, not 2 to"):
        Pcan(0.8, 80.0)


def test_noise_reduction_refuses():
    with pytest.raises(ValueError, match="smoothing_odd must be 0 to 16384, not 16385"):
        NoiseReduction(smoothing_odd=16385)


def test_logarithm(rng):
    word = ((CHANNELS,), np.uint32)
    tflm = judge("SignalFilterBankLog", {"input_correction_bits": 3, "output_scale": 64},
                 [word], [((CHANNELS,), np.int16)])  # fmt: skip
    segments = (((1 << 16) + (np.arange(128)[:, None] << 9) + [-1, 0, 1, 255]) << 9).reshape(-1)
    values = np.concatenate([
        np.arange(5000), around_powers(32), log_uniform(rng, 32, 20_000), segments,
    ])  # fmt: skip
    for block in padded(values, CHANNELS):
        (expected,) = tflm.run([block.astype(np.uint32)])
        assert np.array_equal(logarithm(block), expected)


def test_features_of_all_logarithms():
    values = np.arange(1 << 15)
    expected = np.clip((values * 256 + 333) // 666 - 128, -128, 127)
    assert np.array_equal(quantize_feature(values), expected)


@needs_data
@pytest.mark.parametrize("recording", RECORDINGS)
def test_published_features(recording):
    golden = np.load(DATA / "frontend-golden" / "frontends.npz")
    stream = TflmFrontEnd(FRONT_END)
    found = stream.push(golden[f"pcm_{recording}"])
    assert np.array_equal(found, golden[f"tflm_micro_int8_{recording}"])
    # In pieces of any size, after a reset.
    stream.reset()
    pieces = np.array_split(golden[f"pcm_{recording}"], [1, 2, 500, 501, 3000, 3320, 9999])
    assert np.array_equal(np.concatenate([stream.push(piece) for piece in pieces]), found)


@needs_data
def test_whole_graph_on_synthetic_signals(rng):
    features = []
    for name, signal in synthetic_signals(rng).items():
        tflm = MicroInterpreter(GRAPH.read_bytes())
        frames = np.lib.stride_tricks.sliding_window_view(signal, 480)[::320]
        expected = np.concatenate([tflm.run([frame[None]])[0].reshape(1, -1) for frame in frames])
        found = TflmFrontEnd(FRONT_END).push(signal)
        assert np.array_equal(found, expected), name
        features.append(found)
    assert len(np.unique(features)) > 140  # small integers have few logarithms


def test_pipeline(rng):
    signal = synthetic_signals(rng)["bursts"]
    found = TflmFrontEnd(FRONT_END).push(signal)
    assert np.array_equal(features(FRONT_END, signal), found)
    stream = FeatureStream(FRONT_END)
    parts = [stream.push(piece) for piece in np.array_split(signal, 7)]
    assert np.array_equal(np.concatenate([*parts, stream.finish()]), found)
    steps = real_features(FRONT_END, signal) / FRONT_END.scale + FRONT_END.zero_point
    assert np.array_equal(np.clip(np.floor(steps + 0.5), -128, 127), found)


def test_short_recording_has_no_frame():
    assert features(FRONT_END, np.zeros(479, np.int16)).shape == (0, 40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre_emphasis": 5}, "pre_emphasis of the front end tflm_micro must be 0"),
        ({"coefficients": 10}, "coefficients of the front end tflm_micro must be 0"),
        ({"window": "hamming"}, "window of the front end tflm_micro must be hann"),
    ],
)
def test_refuses_what_it_would_ignore(changes, message):
    with pytest.raises(ValueError, match=message):
        TflmFrontEnd(replace(FRONT_END, **changes))


def test_refuses_other_front_ends():
    with pytest.raises(
        ValueError, match="tail of the front end mlperf_kws must be tflm, not 'log'"
    ):
        TflmFrontEnd(PRESETS["mlperf_kws"])
