# amaranth: UnusedElaboratable=no

"""Hardware of TFLM's front end behind the mel filters: small checks, and volume under Verilator."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from audio_signals import synthetic_signals
from published import DATA

from hdl.audio.config import AudioConfig
from hdl.audio.normaliser import Normaliser
from hdl.audio.square_root import SquareRoot
from hdl.audio.tflm_log import FEATURE_FACTOR, FEATURE_OFFSET, FEATURE_SHIFT, corrections
from hdl.audio.tflm_tail import TflmTail
from models.audio.frontend import PRESETS
from models.audio.square_root import square_root
from models.audio.tflm_filterbank import energy
from models.audio.tflm_frontend import TflmFrontEnd
from models.audio.tflm_log import correction_table, quantize_feature
from models.audio.tflm_window import apply_window, auto_scale
from verif.formal import prove
from verif.sim import simulate
from verif.tflm_design import TflmTailAlone

FRONT_END = PRESETS["tflm_micro"]
RECORDINGS = ("yes", "no", "silence", "noise", "down", "marvin")


def results(component, inputs):
    """What a component with streams ``i`` and ``o`` gives for each input, and after how long."""
    found = []

    async def feed_and_take(ctx):
        ctx.set(component.o.ready, 1)
        for value in inputs:
            ctx.set(component.i.payload, value)
            ctx.set(component.i.valid, 1)
            await ctx.tick().until(component.i.ready)
            ctx.set(component.i.valid, 0)
            waited = 1
            while not ctx.get(component.o.valid):
                await ctx.tick()
                waited += 1
            found.append((ctx.get(component.o.payload), waited))
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed_and_take)
    simulator.run()
    return found


@pytest.mark.parametrize(("bits", "digits"), [(34, 1), (36, 2), (54, 3), (54, 9)])
def test_square_root(bits, digits):
    component = SquareRoot(bits, digits)
    largest = (1 << (bits // 2)) - 1
    roots = [0, 1, 2, 5, 40_000, 65_535, 65_536, largest]
    radicands = sorted({max(0, r * r + step) for r in roots for step in (-1, 0, r, r + 1)})
    radicands = [n for n in radicands if n < 1 << bits] + [(1 << bits) - 1]
    expected = [(root, component.latency) for root in square_root(radicands).tolist()]
    assert results(component, radicands) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((53, 1), "radicand_bits must be even and above 32, not 53"),
        ((32, 1), "radicand_bits must be even and above 32, not 32"),
        ((54, 2), "digits must divide 27, not be 2"),
    ],
)
def test_square_root_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        SquareRoot(*arguments)


def test_normaliser():
    values = [0, *(v for bit in range(32) for v in (1 << bit, (2 << bit) - 1, 5 << bit >> 2))]
    found = results(Normaliser(), values)
    for value, (result, latency) in zip(values, found, strict=True):
        length = value.bit_length()
        assert (result.aligned, result.length) == (value << (32 - length) & 0xFFFFFFFF, length)
        assert latency == Normaliser.LATENCY


def test_feature_by_multiplication_is_the_division():
    values = np.arange(1421)  # 64 ln(2**32)
    steps = (values * FEATURE_FACTOR + FEATURE_OFFSET) >> FEATURE_SHIFT
    assert np.array_equal(np.minimum(steps, 255) - 128, quantize_feature(values))


def test_corrections_are_the_models():
    starts = [segment["start"] for segment in corrections()]
    ends = [segment["start"] + segment["step"] for segment in corrections()]
    assert starts == correction_table()[:-1].tolist()
    assert ends == correction_table()[1:].tolist()


def mel_sums(pcm, number):
    """Sums of the filters and shift of each frame, and the features, of clip ``number``."""
    model = TflmFrontEnd(FRONT_END)
    frames = np.lib.stride_tricks.sliding_window_view(pcm, FRONT_END.frame)[:: FRONT_END.step]
    sums, shifts = [], []
    for frame in frames:
        scaled, shift = auto_scale(apply_window(frame, model.window))
        bins = model.fft.kiss(np.pad(scaled, (0, FRONT_END.fft - FRONT_END.frame)))
        sums.append(model.bank.accumulate(energy(*bins)))
        shifts.append(shift)
    arrays = {"sums": sums, "shifts": shifts, "features": model.push(pcm)}
    return {f"{name}_{number}": values for name, values in arrays.items()}


class TailInUse(wiring.Component):
    """The control of `TflmTail`, with anyone at its ports; without data, which do not matter."""

    def __init__(self):
        bands = range(1, 4)
        ports = {name: In(1) for name in ("frame", "i", "o", "clear")}
        super().__init__(ports | {"bands": In(bands), "valid": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.tail = tail = TflmTail(AudioConfig(bands=3, coefficients=1))
        bands = Signal(range(4), init=1)
        with m.If(tail.idle & ~self.frame & (self.bands != 0)):
            m.d.sync += bands.eq(self.bands)
        m.d.comb += [
            tail.bands.eq(bands),
            tail.frame.valid.eq(self.frame),
            tail.i.valid.eq(self.i),
            tail.o.ready.eq(self.o),
            tail.clear.eq(self.clear),
            self.valid.eq(tail.o.valid),
        ]
        turns = sum((port.enable for port in tail.multiply), 0)
        waiting = Signal()
        m.d.sync += [
            waiting.eq(tail.o.valid & ~tail.o.ready),
            Assert(turns <= 1, "two stages multiply at once"),
            Assert((turns == 0) | ~(tail.i.ready | tail.frame.ready), "multiplies out of turn"),
            Assert(~waiting | tail.o.valid, "a feature vanished"),
            Assert(bands != 0),
        ]
        return m


@pytest.mark.formal
def test_stages_multiply_in_turn():
    prove(TailInUse(), name="tflm_tail", max_steps=20)


@pytest.mark.sim
def test_tail_matches_model(tmp_path):
    clips = [values[:3200] for values in synthetic_signals(np.random.default_rng(5)).values()]
    golden = DATA / "frontend-golden" / "frontends.npz"
    if golden.exists():
        arrays = np.load(golden)
        clips += [arrays[f"pcm_{name}"] for name in RECORDINGS]
    arrays = {"clips": len(clips)}
    for number, clip in enumerate(clips):
        arrays |= mel_sums(clip, number)
    np.savez(tmp_path / "recordings.npz", **arrays)
    simulate(
        TflmTailAlone(AudioConfig()),
        bench="verif.tb_audio_tflm",
        name="tflm_tail",
        parameters={"recordings": str(tmp_path / "recordings.npz")},
    )
