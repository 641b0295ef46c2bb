"""I2S receiver: the bit clock is the clock of this block."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.fir import SAMPLE_BITS

__all__ = ["Alignment", "Channel", "I2sConfig", "I2sReceiver"]

LENGTH_BITS = 6
"""Bits of a slot's length: up to 63 by the hardware, 16 to 32 by the host."""


class Alignment(enum.Enum, shape=unsigned(1)):
    """Where a word begins, and which level of the word select is the left one."""

    STANDARD = 0
    """One bit after the word select has changed; low is left."""
    LEFT_JUSTIFIED = 1
    """With the change; high is left."""


class Channel(enum.Enum, shape=unsigned(2)):
    """What is heard."""

    LEFT = 0
    RIGHT = 1
    MIX = 2
    """``(left + right + 1) >> 1``."""
    BOTH = 3
    """The same as MIX, so that every code means something."""


class I2sConfig(data.Struct):
    """What arrives on the wires; see `models.audio.i2s.I2sConfig`."""

    alignment: Alignment
    slot_bits: unsigned(LENGTH_BITS)
    """Bits of a slot, half a frame: 16 to 32."""
    word_bits: unsigned(LENGTH_BITS)
    """Bits of a slot that are sample, from its beginning: 16 to ``slot_bits``."""
    channel: Channel
    master: unsigned(1)
    """Make the word select, too."""


class I2sReceiver(wiring.Component):
    """Take frames of two slots out of the wires.  Bit-exact with `models.audio.i2s.receive`.

    A frame whose slots are too short or too long gives no sample.  The next one is received again:
    at once if it began too early, and at its beginning if that came too late.

    Members
    -------
    config : In(I2sConfig)
        May change in reset only.
    data : In(1)
        Pin SD, as it is at the rising edge of the bit clock.
    word_select : In(1)
        Pin WS, likewise; not looked at with ``master``.
    word_select_out : Out(1)
        With ``master``: WS, from a flip-flop.
    o : Out(stream of signed(18), always ready)
        Q1.17: the highest bits of a word, or a shorter word and zeros.  `LATENCY` cycles after the
        cycle in which the next frame begins.
    error : Out(1)
        A frame was too short or too long, for one cycle.
    locked : Out(1)
        The last frame was right.
    """

    LATENCY = 1

    config: In(I2sConfig)
    data: In(1)
    word_select: In(1)
    word_select_out: Out(1)
    o: Out(stream.Signature(signed(SAMPLE_BITS), always_ready=True))
    error: Out(1)
    locked: Out(1)

    def elaborate(self, platform):
        """Build the word select, the framing, and the words."""
        m = Module()
        config = self.config
        standard = Signal()
        m.d.comb += standard.eq(config.alignment == Alignment.STANDARD)

        # Word select of our own.
        until_change = Signal(LENGTH_BITS)
        m.d.sync += until_change.eq(until_change - 1)
        with m.If(until_change == 0):
            m.d.sync += [
                until_change.eq(config.slot_bits - 1),
                self.word_select_out.eq(~self.word_select_out),
            ]

        # Slots, aligned with their words: `left` is high with the bits of the left one.
        level, left_now, left_late, left = Signal(), Signal(), Signal(init=1), Signal()
        was_left, begin, middle = Signal(init=1), Signal(), Signal()
        m.d.comb += [
            level.eq(Mux(config.master, self.word_select_out, self.word_select)),
            left_now.eq(level ^ standard),
            left.eq(Mux(standard, left_late, left_now)),
            begin.eq(left & ~was_left),
            middle.eq(~left & was_left),
        ]
        m.d.sync += [left_late.eq(left_now), was_left.eq(left)]

        # `position` is that of this bit in its slot, were there no change of the word select.
        position, at = Signal(LENGTH_BITS), Signal(LENGTH_BITS)
        full, complete = Signal(), Signal()
        m.d.comb += [
            full.eq(position == config.slot_bits),
            at.eq(Mux(begin | middle, 0, position)),
        ]
        m.d.sync += position.eq(Mux(at.all(), at, at + 1))
        with m.FSM() as fsm:
            with m.State("HUNT"):
                with m.If(begin):
                    m.next = "LEFT"
            with m.State("LEFT"):
                with m.If(middle & full):
                    m.next = "RIGHT"
                with m.Elif(middle | full):
                    m.d.comb += self.error.eq(1)
                    m.next = "HUNT"
            with m.State("RIGHT"):
                with m.If(begin):
                    m.d.comb += [complete.eq(full), self.error.eq(~full)]
                    m.next = "LEFT"
                with m.Elif(full):
                    m.d.comb += self.error.eq(1)
                    m.next = "HUNT"
        with m.If(complete | self.error):
            m.d.sync += self.locked.eq(complete)

        # The word of this slot, and that of the left one.
        word, left_word = Signal(signed(SAMPLE_BITS)), Signal(signed(SAMPLE_BITS))
        with m.If(at == 0):
            m.d.sync += word.eq(self.data << (SAMPLE_BITS - 1))
        for bit in range(1, SAMPLE_BITS):
            with m.If((at == bit) & (at < config.word_bits)):
                m.d.sync += word[SAMPLE_BITS - 1 - bit].eq(self.data)
        with m.If(middle):
            m.d.sync += left_word.eq(word)

        m.d.sync += self.o.valid.eq(complete)
        with m.If(complete):
            with m.Switch(config.channel):
                with m.Case(Channel.LEFT):
                    m.d.sync += self.o.payload.eq(left_word)
                with m.Case(Channel.RIGHT):
                    m.d.sync += self.o.payload.eq(word)
                with m.Default():
                    m.d.sync += self.o.payload.eq((left_word + word + 1) >> 1)

        overdue, hunts, takes_left, takes_right = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            hunts.eq(fsm.ongoing("HUNT")),
            takes_left.eq(fsm.ongoing("LEFT")),
            takes_right.eq(fsm.ongoing("RIGHT")),
        ]
        m.d.sync += [
            overdue.eq(full & ~begin & ~middle),
            Assert(hunts | takes_left | takes_right, "no state"),
            Assert(~takes_left | was_left, "a right slot taken for a left one"),
            Assert(~takes_right | ~was_left, "a left slot taken for a right one"),
            Assert(~overdue | hunts, "a slot without an end"),
        ]
        return m
