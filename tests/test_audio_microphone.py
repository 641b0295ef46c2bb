# amaranth: UnusedElaboratable=no

"""From the microphone's pins to 16 kHz samples: small cases in pysim, volume under Verilator."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

import hdl.audio.fir
import models.audio.fir
from hdl.audio.cic import CIC_BITS
from hdl.audio.dc import DIFFERENCE_BITS, DcRemover
from hdl.audio.fir import FirDecimator
from hdl.audio.gain import Amplifier
from hdl.audio.i2s import I2sConfig, I2sReceiver
from hdl.audio.microphone import Microphone, Source
from models.audio.cic import RATIO
from models.audio.dc import remove_dc
from models.audio.fir import TAPS
from models.audio.gain import UNITY_GAIN
from models.audio.microphone import MicrophoneConfig, capture_pdm
from models.audio.pdm import BITS_PER_SAMPLE
from verif.formal import prove
from verif.sim import simulate


def test_both_filters_have_the_same_coefficients():
    assert hdl.audio.fir.COEFFICIENTS == models.audio.fir.COEFFICIENTS
    assert FirDecimator().taps == TAPS


def test_a_pass_ends_before_the_next_begins():
    fir = FirDecimator()
    assert len(fir.coefficients) <= BITS_PER_SAMPLE - RATIO, (
        "no sample may be overwritten in a pass"
    )
    assert fir.memory_bits == 2176


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        ([], "coefficients must be a multiple of 2, not 0"),
        ([1, 2, 3], "coefficients must be a multiple of 2, not 3"),
        ([0, 32768], r"coefficients must be in -32768\.\.32767, and 32768 is not"),
        ([1] * 66, "coefficients must be at most 64, the cycles of a sample, not 66"),
    ],
)
def test_fir_rejects(coefficients, message):
    with pytest.raises(ValueError, match=message):
        FirDecimator(coefficients)


def test_pdm_in_pysim(rng):
    """Random bits; the samples come in the cycles that were promised."""
    bits = rng.integers(0, 2, RATIO * TAPS + 4 * BITS_PER_SAMPLE)
    expected = capture_pdm(bits, MicrophoneConfig(dc_shift=7, gain=3 * UNITY_GAIN))
    dut, received = Microphone(), []

    async def testbench(ctx):
        fields = {"source": Source.PDM, "dc_shift": 7, "gain": 3 * UNITY_GAIN}
        ctx.set(dut.config, fields)
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        ctx.set(dut.enable, 1)
        for cycle, bit in enumerate(bits):
            ctx.set(dut.pdm, int(bit))
            if ctx.get(dut.o.valid):
                received.append((cycle, ctx.get(dut.o.payload)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    cycles, samples = zip(*received, strict=True)
    assert len(samples) >= 3
    assert list(samples) == expected[: len(samples)].tolist()
    assert cycles[0] == RATIO * TAPS - 1 + Microphone.PDM_LATENCY
    assert set(np.diff(cycles)) == {BITS_PER_SAMPLE}


@pytest.mark.parametrize("level", [131_071, -131_072])
def test_the_longest_mean_does_not_overflow(level):
    """The slowest corner, and full scale until the mean is beyond half of it."""
    cycles, shift = 24_000, 15
    expected = remove_dc([level] * cycles, shift)[-1]
    assert abs(expected) < 1 << 16
    dut = DcRemover()

    async def testbench(ctx):
        ctx.set(dut.shift, shift)
        ctx.set(dut.i.payload, level)
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(cycles)
        assert ctx.get(dut.o.payload) == expected

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.sim
def test_microphone_matches_model():
    simulate(Microphone(), bench="verif.tb_audio_microphone", name="audio_microphone")


class Paced(wiring.Component):
    """A block whose samples come when they like, but not more often than every ``spacing``."""

    def __init__(self, block, *, spacing, width):
        self.block, self.spacing = block, spacing
        super().__init__({"want": In(1), "payload": In(signed(width)), "valid": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = self.block
        pause = Signal(range(self.spacing))
        m.d.comb += [
            self.valid.eq(block.o.valid),
            block.i.valid.eq(self.want & (pause == 0)),
            block.i.payload.eq(self.payload),
        ]
        with m.If(block.i.valid):
            m.d.sync += pause.eq(self.spacing - 1)
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        return m


class FreeI2s(wiring.Component):
    """A receiver of which nothing but its errors is seen."""

    config: In(I2sConfig)
    data: In(1)
    word_select: In(1)
    error: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.i2s = i2s = I2sReceiver()
        m.d.comb += [
            i2s.config.eq(self.config),
            i2s.data.eq(self.data),
            i2s.word_select.eq(self.word_select),
            self.error.eq(i2s.error),
        ]
        return m


@pytest.mark.formal
def test_i2s_proof():
    """Frames, whatever the wires and the configuration do."""
    prove(FreeI2s(), name="i2s_receiver")


@pytest.mark.formal
def test_fir_proof():
    """Four taps, and samples as often as it takes them."""
    fir = FirDecimator([1, 2], spacing=1)
    prove(Paced(fir, spacing=1, width=CIC_BITS), name="paced_fir")


@pytest.mark.formal
def test_amplifier_proof():
    """A sample as soon as the last one is done."""
    paced = Paced(Amplifier(), spacing=Amplifier.LATENCY - 1, width=DIFFERENCE_BITS)
    prove(paced, name="paced_amplifier", max_steps=2 * Amplifier.LATENCY)


@pytest.mark.formal
def test_amplifier_proof_fails_when_too_fast():
    paced = Paced(Amplifier(), spacing=Amplifier.LATENCY - 2, width=DIFFERENCE_BITS)
    with pytest.raises(AssertionError, match="is not proved"):
        prove(paced, name="fast_amplifier", max_steps=2 * Amplifier.LATENCY)
