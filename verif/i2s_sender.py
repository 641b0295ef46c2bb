"""The audio subsystem with an I2S microphone on its pins that takes a sample every 64 cycles."""

# Amaranth's `m.If` is typed as a generator, not as the context manager that it is.
# pyright: reportGeneralTypeIssues=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.audio_block import PINS_IN, PINS_OUT
from verif.audio_subsystem import AudioSubsystem

__all__ = ["FRAME_BITS", "SLOT_BITS", "WORD_BITS", "HeardSubsystem"]

WORD_BITS, SLOT_BITS = 16, 32
FRAME_BITS = 2 * SLOT_BITS


class HeardSubsystem(wiring.Component):
    """`AudioSubsystem` whose I2S pins are wired to a microphone, for benches without a bit's work.

    Standard alignment: a word begins a bit after the word select has changed, and low is left.

    Members
    -------
    run : In(1)
        Send frames; the first begins in the next cycle.
    sample : In(16)
        Left word, looked at while ``next`` is high.  The right one is its complement.
    next : Out(1)
        ``sample`` is taken.
    hiccup : In(1)
        While high, frames are a bit too long.
    """

    def __init__(self, subsystem: AudioSubsystem):
        self.subsystem = subsystem
        members = subsystem.signature.members
        super().__init__(
            {name: members[name] for name in members if name not in (*PINS_IN, *PINS_OUT)}
            | {"run": In(1), "sample": In(WORD_BITS), "next": Out(1), "hiccup": In(1)}
        )

    def elaborate(self, platform):
        """Build the microphone's shift register."""
        m = Module()
        m.submodules.subsystem = subsystem = self.subsystem
        for name, member in subsystem.signature.members.items():
            if name not in (*PINS_IN, *PINS_OUT):
                here, there = getattr(self, name), getattr(subsystem, name)
                if not member.is_port:
                    connect(m, flipped(here), there)
                elif member.flow is In:
                    m.d.comb += there.eq(here)
                else:
                    m.d.comb += here.eq(there)

        # In bit `n` of a frame the pins are what flip-flops took from bit `n - 1`.
        bit = Signal(range(FRAME_BITS + 1))
        shifter, right, select = Signal(SLOT_BITS), Signal(WORD_BITS), Signal(init=1)
        end = Mux(self.hiccup, FRAME_BITS, FRAME_BITS - 1)
        m.d.comb += [
            self.next.eq(self.run & (bit == 0)),
            subsystem.i2s_word_select.eq(select),
            subsystem.i2s_data.eq(shifter[-1]),
        ]
        with m.If(self.run):
            m.d.sync += [
                bit.eq(Mux(bit >= end, 0, bit + 1)),
                select.eq(bit >= SLOT_BITS),
                shifter.eq(shifter << 1),
            ]
            with m.If(self.next):
                m.d.sync += right.eq(~self.sample)
            # The word is on the pins from the second bit of its slot on.
            with m.If(bit == 1):
                m.d.sync += shifter.eq(Cat(Const(0, SLOT_BITS - WORD_BITS), ~right))
            with m.If(bit == SLOT_BITS + 1):
                m.d.sync += shifter.eq(right << SLOT_BITS - WORD_BITS)
        with m.Else():
            m.d.sync += [bit.eq(0), select.eq(1)]
        return m
