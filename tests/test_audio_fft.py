# amaranth: UnusedElaboratable=no

"""The FFT's RTL: parts and small transforms in Amaranth's simulator, all of it under Verilator."""

import re
from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.audio.config import AudioConfig
from hdl.audio.fft import Fft, FftArithmetic
from hdl.audio.fft_datapath import Conditioner, Rotator
from hdl.audio.fft_sequencer import FftSequencer
from hdl.audio.fft_twiddles import Twiddles
from hdl.audio.multipliers import MultiplierBank
from models.audio.fft_arithmetic import BlockFloating, Kiss, cosine
from verif.bench import log_uniform
from verif.fft_transforms import KINDS, FftAlone, random_transform
from verif.formal import prove
from verif.sim import simulate

TINY = AudioConfig(fft_points=64, smallest_fft_points=16)
FULL = AudioConfig()


def simulator(dut, testbench, *, clock=True):
    sim = Simulator(dut)
    if clock:
        sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("arithmetic", FftArithmetic, ids=lambda a: a.name.lower())
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_small_transforms(arithmetic, inverse, rng):
    """Sizes with and without a pass of radix 2, every stimulus, back to back."""
    dut = FftAlone(TINY)
    transforms = [
        random_transform(rng, kind, int(rng.choice((16, 32, 64))), arithmetic, inverse=inverse)
        for kind in KINDS
    ]

    def offer(ctx, transform, index):
        ctx.set(dut.job, transform.job)
        ctx.set(dut.i.payload, dict(zip(("re", "im"), transform.words[index], strict=True)))

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        for transform, after in pairwise([*transforms, transforms[0]]):
            for index in range(len(transform.words)):
                offer(ctx, transform, index)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
            offer(ctx, after, 0)  # and nobody takes it while the transform lasts
            cycles = 0
            while not ctx.get(dut.o.valid):
                assert ctx.get(dut.busy)
                assert not ctx.get(dut.i.ready)
                await ctx.tick()
                cycles += 1
            assert cycles == Fft.cycles(transform.points)
            ctx.set(dut.o.ready, 1)
            for index, (real, imaginary) in enumerate(transform.results):
                assert ctx.get(dut.o.valid)
                assert not ctx.get(dut.i.ready)
                word = dut.o.p
                assert (ctx.get(word.re), ctx.get(word.im)) == (real, imaginary), (transform, index)
                assert ctx.get(word.last) == (index == len(transform.results) - 1)
                assert ctx.get(dut.exponent) == transform.exponent
                await ctx.tick()
            assert not ctx.get(dut.o.valid)

    simulator(dut, testbench)


@pytest.mark.parametrize("kiss", [False, True])
@pytest.mark.parametrize("inverse", [False, True])
def test_rotator(kiss, inverse, rng):
    """Operands of all magnitudes and the corners, and products that wrap."""
    dut, model = Rotator(), Kiss() if kiss else BlockFloating()
    m = Module()
    m.submodules.dut = dut
    m.submodules.bank = bank = MultiplierBank(1)
    wiring.connect(m, dut.multipliers, bank.users[0])
    bits, count = (16, 300) if kiss else (24, 300)
    re, im = (log_uniform(rng, bits=bits, size=count) for _ in range(2))
    corners = rng.choice([-(1 << (bits - 1)), (1 << (bits - 1)) - 1], (2, 100))
    # Block floating keeps the sum of two operands below the corners' in both parts at once.
    re[:100], im[:100] = corners if kiss else corners // 2
    angles = rng.integers(0, 768, count)
    expected = model.rotated((re, im), angles, np.zeros(count, bool), inverse=inverse)

    async def testbench(ctx):
        ctx.set(dut.kiss, kiss)
        ctx.set(dut.inverse, inverse)
        for values in zip(angles, re, im, *expected, strict=True):
            angle, real, imaginary, *product = (int(value) for value in values)
            ctx.set(dut.angle, angle)
            ctx.set(dut.lookup, 1)
            await ctx.tick()
            ctx.set(dut.lookup, 0)
            ctx.set(dut.operand, {"re": real, "im": imaginary})
            ctx.set(dut.enable, 1)
            await ctx.tick()
            ctx.set(dut.enable, 0)
            assert [ctx.get(dut.product.re), ctx.get(dut.product.im)] == product

    simulator(m, testbench)
    wide = BlockFloating().rotated((re, im), angles, np.zeros(count, bool), inverse=inverse)
    assert (np.abs(wide) > 1 << 15).any(), "nothing could wrap"


def test_cycles():
    """The budget: a 512-point transform within 1,500 cycles."""
    assert {points: Fft.cycles(points) for points in (256, 512, 1024)} == {
        256: 689,
        512: 1329,
        1024: 3130,
    }


def test_twiddles():
    """Every angle, as in the model."""
    dut, angles = Twiddles(), np.arange(1024)

    async def testbench(ctx):
        for kiss, one, scale in ((0, 1 << 17, 1), (1, (1 << 15) - 1, 4)):
            ctx.set(dut.kiss, kiss)
            ctx.set(dut.enable, 1)
            for angle, cos, sin in zip(
                angles, cosine(angles, one) * scale, cosine(angles - 256, one) * scale, strict=True
            ):
                ctx.set(dut.angle, int(angle))
                await ctx.tick()
                for part, sign, expected in (
                    (dut.cos, dut.cos_negative, cos),
                    (dut.sin, dut.sin_negative, sin),
                ):
                    assert ctx.get(part) == -abs(expected)
                    assert expected == 0 or ctx.get(sign) == (expected < 0)

    simulator(dut, testbench)


def test_conditioner(rng):
    """Words of all magnitudes, and those that rounding would carry out of range."""
    dut, coverage = Conditioner(), {"saturated": 0, "rounded": 0}

    async def testbench(ctx):
        for headroom in (0, 1):
            ctx.set(dut.headroom, headroom)
            for width in range(2, 28):
                words = log_uniform(rng, bits=width, size=20)
                words[:3] = (1 << (width - 1)) - 1, -(1 << (width - 1)), -1
                model = BlockFloating()
                model.loaded((words, words))
                expected, _ = model.operands((words, words), divisor=1, headroom=headroom)
                assert model.exponent[0] == width - 24 + headroom
                ctx.set(dut.shift, 27 - width)
                for word, operand in zip(words.tolist(), expected.tolist(), strict=True):
                    ctx.set(dut.word, word)
                    assert ctx.get(dut.operand) == operand
                coverage["saturated"] += width > 24 - headroom and expected[0] == expected.max()
                coverage["rounded"] += width > 24 - headroom
        ctx.set(dut.kiss, 1)
        for halvings in range(3):
            ctx.set(dut.halvings, halvings)
            words = log_uniform(rng, bits=16, size=100)
            words[:2] = -(1 << 15), (1 << 15) - 1
            expected, _ = Kiss().operands((words, words), divisor=1 << halvings)
            for word, operand in zip(words.tolist(), expected.tolist(), strict=True):
                ctx.set(dut.word, word)
                assert ctx.get(dut.operand) == operand

    simulator(dut, testbench, clock=False)
    assert min(coverage.values()) >= 3


@pytest.mark.parametrize("fault", ["two users", "operands without a turn"])
def test_multipliers_are_one_users(fault):
    """A user gets its products, and an assertion sees who disturbs it."""
    dut = MultiplierBank(2)
    first, second = dut.users

    async def testbench(ctx):
        ctx.set(second.enable, 1)
        for index, (a, b) in enumerate([(-(1 << 24), -(1 << 17)), (3, -5), (0, 7), (1 << 23, 9)]):
            ctx.set(second.a[index], a)
            ctx.set(second.b[index], b)
            assert ctx.get(second.product[index]) == a * b
        await ctx.tick()
        if fault == "two users":
            ctx.set(first.enable, 1)
        else:
            ctx.set(first.a[2], 1)
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match=fault):
        simulator(dut, testbench)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fft_points": 2048}, "fft_points must be one of (16, 32, 64, 128, 256, 512, 1024), not"),
        ({"smallest_fft_points": 100}, "smallest_fft_points must be one of"),
        ({"fft_points": 128}, "smallest_fft_points must be at most fft_points (128), not 256"),
        ({"bands": 0}, "bands must be in 1..128, not 0"),
        ({"coefficients": 129}, "coefficients must be in 1..128, not 129"),
    ],
)  # fmt: skip
def test_sizes_are_checked(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        AudioConfig(**fields)


def test_there_must_be_a_user():
    with pytest.raises(ValueError, match="users must be at least 1, not 0"):
        MultiplierBank(0)


class SequencerInUse(wiring.Component):
    """A sequencer for one of two sizes, all else free."""

    def __init__(self):
        self.sequencer = FftSequencer(AudioConfig(fft_points=64, smallest_fft_points=32))
        super().__init__({"large": In(1), "inverse": In(1), "i_valid": In(1), "advance": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = self.sequencer
        m.d.comb += [
            sequencer.job.size.eq(Mux(self.large, 6, 5)),
            sequencer.job.inverse.eq(self.inverse),
            sequencer.i_valid.eq(self.i_valid),
            sequencer.advance.eq(self.advance),
        ]
        return m


@pytest.mark.formal
def test_sequencer_is_proved():
    """By induction: no read overtakes a write, whatever comes in and however it stalls."""
    prove(SequencerInUse(), name="fft_sequencer", max_steps=12)


@pytest.mark.sim
def test_fft_matches_model():
    simulate(
        FftAlone(FULL),
        bench="verif.tb_audio_fft",
        name="audio_fft",
        parameters={"sizes": [256, 512, 1024]},
    )
