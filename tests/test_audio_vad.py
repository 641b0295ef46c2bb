# amaranth: UnusedElaboratable=no

"""The voice-activity detector: on speech, on noise, on words in noise; hardware equals model."""

from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from amaranth.hdl import Const, Module
from amaranth.sim import Simulator

from hdl.audio.vad import TOTAL_BITS
from hdl.audio.vad import VadParameters as Registers
from hdl.audio.vad import VoiceActivityDetector as Detector
from models.audio.vad import (
    BANDS,
    FRACTION_BITS,
    FRAME,
    SETTLING_FRAMES,
    SPREAD,
    BandTracker,
    VadParameters,
    VoiceActivityDetector,
    WaveletBank,
    log2_level,
)
from tests import vad_scores
from tests.published import needs_data
from verif.formal import prove
from verif.sim import simulate, simulation_seed
from verif.tb_audio_vad import gentle_parameters, packed, random_parameters, worst_case

DETAIL_BOUND = 2.82
"""Largest detail of the lowest band, of full scale."""


def random_noise(kind, seconds, rms):
    rng = np.random.default_rng(simulation_seed())
    noise = vad_scores.noise(kind, seconds * vad_scores.RATE_HZ, rng) * rms
    return np.clip(np.round(noise), -32768, 32767).astype(np.int16)


def test_level_is_a_logarithm():
    totals = np.unique(np.concatenate([np.arange(1, 4096), 2 ** np.arange(24), [2**23 - 1]]))
    levels = log2_level(totals)
    exact = 16 * np.log2(totals)
    assert np.max(levels - exact) < 1e-9
    assert np.max(exact - levels) < 2.4  # a straight line is 1.38 below, and 1 is cut off
    assert levels[-1] == 23 * 16
    assert log2_level([0]).tolist() == [0]


@pytest.mark.parametrize("band", range(BANDS))
def test_octaves_are_separated(band):
    """A tone in the middle of an octave is loudest there, by 6 dB or more at equal weight."""
    hertz = 8000 / 2 ** (band + 0.5)
    tone = np.round(8000 * np.sin(2 * np.pi * hertz / 16000 * np.arange(4096))).astype(np.int64)
    levels = [np.abs(detail[8:]).mean() for detail in WaveletBank().push(tone)]
    others = [level for index, level in enumerate(levels) if index != band]
    assert levels[band] > 2 * max(others)


def test_bank_fits_its_words():
    largest = [np.abs(WaveletBank().push(worst_case(band))[band]).max() for band in range(BANDS)]
    assert max(largest) < 1 << 17, "a detail does not fit 18 bits"
    assert max(largest) / 32768 > DETAIL_BOUND - 0.1, "not the worst case"


def test_parts_of_a_stream_give_the_same():
    rng = np.random.default_rng(simulation_seed())
    samples = random_noise("pink", 2, 1000)
    samples[12000:20000] //= 16
    whole = VoiceActivityDetector().push(samples)
    detector, parts, start = VoiceActivityDetector(), [], 0
    while start < len(samples):
        size = int(2 ** rng.uniform(0, 11))
        parts.append(detector.push(samples[start : start + size]))
        start += size
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.any()
    assert len(whole) == len(samples) // FRAME


def test_onset_and_hangover_count_frames():
    parameters = VadParameters(onset=3, hangover=4, margin=8, minimum=0)
    tracker = BandTracker(parameters)
    quiet, loud = [100] * BANDS, [100, 100, 250, 100, 100]
    frames = [quiet] * 5 + [loud] * 2 + [quiet] * 3 + [loud] * 4 + [quiet] * 5
    speech = [tracker.push(frame) for frame in frames]
    assert speech == [False] * 12 + [True] * 5 + [False] * 2


def test_floor_follows_louder_noise():
    """20 dB more noise is speech for a while, and then noise."""
    noise = random_noise("pink", 20, 1000)
    noise[: 10 * vad_scores.RATE_HZ] //= 10
    speech = VoiceActivityDetector().push(noise)
    step = len(speech) // 2
    assert not speech[:step].any()
    assert speech[step : step + 20].any()
    assert not speech[step + 5 * vad_scores.RATE_HZ // FRAME :].any()


@pytest.mark.parametrize("kind", ["white", "pink", "brown"])
def test_steady_noise_never_wakes(kind):
    for rms in (1, 30, 3000):
        assert not VoiceActivityDetector().push(random_noise(kind, 30, rms)).any(), f"rms {rms}"


def test_silence_and_rounding_noise_never_wake():
    rng = np.random.default_rng(simulation_seed())
    samples = np.zeros(5 * vad_scores.RATE_HZ, np.int64)
    samples[len(samples) // 2 :] = rng.integers(-1, 2, len(samples) - len(samples) // 2)
    assert not VoiceActivityDetector().push(samples).any()


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("margin", -1, "0 .. 255"),
        ("margin", 1.5, "0 .. 255"),
        ("minimum", 512, "0 .. 511"),
        ("rise", 256, "0 .. 255"),
        ("decay", 256, "0 .. 255"),
        ("onset", 0, "1 .. 63"),
        ("hangover", 64, "1 .. 63"),
    ],
)
def test_registers_have_ranges(field, value, allowed):
    with pytest.raises(ValueError, match=f"{field} must be an integer {allowed}, not {value}"):
        VadParameters(**{field: value})


@needs_data
def test_speech_wakes_like_the_network():
    """Every speech segment of 200 ms wakes within 100 ms, at most 20 % false alarms."""
    samples, reference = vad_scores.reference_clip()
    score = vad_scores.score(VoiceActivityDetector().push(samples), reference)
    assert len(score.latency_ms) == 4
    assert max(score.latency_ms) <= 100, score
    assert score.false_alarms <= 0.20, score
    assert score.detected >= 0.85, score


@needs_data
@pytest.mark.parametrize(("snr_db", "woken"), [(20, 16), (10, 16), (5, 15), (0, 13)])
def test_words_in_noise_wake(snr_db, woken):
    """Words and noise that no parameter was tuned on (but for the recorded noise)."""
    cases = vad_scores.trials(snr_db)
    score = vad_scores.word_score(vad_scores.detector_outputs(VadParameters(), cases), cases)
    assert score.words == 16
    assert score.woken >= woken, score
    assert score.false_alarms <= 0.02, score


def test_hardware_has_the_same_defaults():
    assert Registers.const({}).as_value().value == packed(VadParameters())


class TrackerAlone(Detector):
    """Only floors, peaks and comparisons; the test sets what they are given."""

    def elaborate(self, platform):
        m = Module()
        self.track(m, Const(1))
        return m


def test_tracker_matches_model_at_its_thresholds():
    """Levels right at, below and above the thresholds that the model has at that time."""
    rng = np.random.default_rng(simulation_seed())
    met = Counter()
    dut = TrackerAlone()

    async def testbench(ctx):
        for draw in [random_parameters, gentle_parameters, gentle_parameters] * 5:
            parameters = draw(rng)
            parameters = replace(parameters, margin=parameters.margin % 32, minimum=0)
            ctx.set(dut.parameters, asdict(parameters))
            golden = BandTracker(parameters)
            for frame in range(SETTLING_FRAMES + 100):
                ctx.set(dut.frames, min(frame, SETTLING_FRAMES))
                bands = list(zip(golden.floor, golden.peak, SPREAD, strict=True))
                levels = [level_near(rng, parameters, *band) for band in bands]
                golden.push(levels)
                for band, level in enumerate(levels):
                    floor, peak, spread = bands[band]
                    above = (level << FRACTION_BITS) - floor
                    met["margin"] += above == (parameters.margin + spread) << FRACTION_BITS
                    met["span"] += above > 1 << FRACTION_BITS and above == (peak - floor) >> 1
                    # The leading one, the mantissa, and what the logarithm cuts off.
                    mantissa = 16 + level % 16 << TOTAL_BITS - 5
                    junk = int(rng.integers(0, 1 << TOTAL_BITS - 5))
                    ctx.set(dut.band, band)
                    ctx.set(dut.work, mantissa | junk)
                    ctx.set(dut.exponent, level // 16)
                    await ctx.tick()
                    seen = ctx.get(dut.monitor)
                    assert (seen.band, seen.level) == (band, level)
                    if frame:  # the first is compared with nothing
                        assert (seen.floor, seen.peak) == (floor, peak), f"frame {frame}"
                    assert bool(seen.active) == golden.active[band], f"frame {frame}, band {band}"

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert met["margin"] >= 50, met
    assert met["span"] >= 5, met


def level_near(rng, parameters, floor, peak, spread):
    """A level at a threshold of the band, or anywhere."""
    margin = parameters.margin + spread << FRACTION_BITS
    aims = (
        floor + margin,
        floor + (peak - floor) // 2,
        floor,
        peak,
        int(rng.integers(0, 367 << 6)),
    )
    level = (aims[rng.integers(0, len(aims))] >> FRACTION_BITS) + int(rng.integers(-1, 2))
    return min(max(level, 0), 367)


@pytest.mark.formal
def test_every_sample_is_finished_in_time():
    prove(Detector(), name="audio_vad", max_steps=5)


@pytest.mark.sim
@pytest.mark.parametrize("testcase", ["stalled_source", "random_registers"])
def test_detector_matches_model(testcase):
    simulate(Detector(), bench="verif.tb_audio_vad", name="audio_vad", testcase=testcase)


@pytest.mark.sim
@needs_data
def test_detector_matches_model_on_recordings(tmp_path):
    rng = np.random.default_rng(simulation_seed())
    square = np.where(np.arange(32 * FRAME) // 50 % 2, -32768, 32767)
    files = {
        "speech": vad_scores.reference_clip()[0],
        "wake_words": vad_scores.wav("mlcommons-tiny", "inputs", "sww_short_wav_easy10s.wav"),
        **{name: vad_scores.recording(name) for name in (*vad_scores.WORDS, "silence", "noise")},
        "square": square,
        "digital_silence": np.zeros(16 * FRAME, np.int16),
        "white_noise": rng.integers(-32768, 32768, 32 * FRAME),
    }
    path = tmp_path / "recordings.npz"
    np.savez(path, **files)
    simulate(
        Detector(),
        bench="verif.tb_audio_vad",
        name="audio_vad",
        testcase="recordings",
        parameters={"recordings": str(path)},
    )
