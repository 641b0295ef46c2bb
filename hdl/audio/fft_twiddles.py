"""The FFT's twiddle factors: a quarter of a cosine, and the rest of the turn from it."""

import math

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["TURN_BITS", "TWIDDLE_FRACTION", "Twiddles"]

TURN_BITS = 10
"""An angle is a multiple of 1/1024 turn: every angle of a real transform of 1024 points."""

TWIDDLE_FRACTION = 17
KISS_FRACTION = 15

QUARTER = 1 << (TURN_BITS - 2)


class Entry(data.Struct):
    """The cosine of one angle in both arithmetics."""

    rounded: TWIDDLE_FRACTION + 1
    kiss: KISS_FRACTION


def quarter(one: int) -> list[int]:
    """``one * cos`` for a quarter of a turn, both ends included, rounded; nothing is near a tie."""
    return [round(one * math.cos(i * math.pi / (2 * QUARTER))) for i in range(QUARTER + 1)]


class Twiddles(wiring.Component):
    """Looks up a cosine and a sine, a cycle after ``enable``.

    Magnitudes come negated: a signed word of 18 bits with 17 fraction bits holds -1 and not 1.

    Members
    -------
    enable : In(1)
        Look up; the results hold their values otherwise.
    angle : In(10)
        In 1/1024 turn.
    kiss : In(1)
        kissfft's values, with 15 fraction bits and 32767 for 1.
    cos, sin : Out(signed(18))
        ``-abs(cos(angle))`` and ``-abs(sin(angle))``, Q0.17.
    cos_negative, sin_negative : Out(1)
        Signs of the true values.
    """

    enable: In(1)
    angle: In(TURN_BITS)
    kiss: In(1)
    cos: Out(signed(TWIDDLE_FRACTION + 1))
    sin: Out(signed(TWIDDLE_FRACTION + 1))
    cos_negative: Out(1)
    sin_negative: Out(1)

    def elaborate(self, platform):
        """Build the table with two read ports, and the symmetries."""
        m = Module()
        columns = quarter(1 << TWIDDLE_FRACTION), quarter((1 << KISS_FRACTION) - 1)
        m.submodules.table = table = Memory(
            shape=Entry,
            depth=QUARTER + 1,
            init=[
                {"rounded": rounded, "kiss": kiss} for rounded, kiss in zip(*columns, strict=True)
            ],
        )
        place, quadrant = self.angle[: TURN_BITS - 2], self.angle[TURN_BITS - 2 :]
        held, kiss = Signal(2), Signal()
        magnitudes = []
        for address in (place, QUARTER - place):
            port = table.read_port()
            m.d.comb += [port.addr.eq(address), port.en.eq(self.enable)]
            kiss_bits = port.data.kiss << (TWIDDLE_FRACTION - KISS_FRACTION)
            magnitudes.append(Mux(kiss, kiss_bits, port.data.rounded))
        with m.If(self.enable):
            m.d.sync += [held.eq(quadrant), kiss.eq(self.kiss)]
        near, far = magnitudes  # of the angle in its quadrant, and of what is missing to its end
        m.d.comb += [
            self.cos.eq(-Mux(held[0], far, near)),
            self.sin.eq(-Mux(held[0], near, far)),
            self.cos_negative.eq(held[0] ^ held[1]),
            self.sin_negative.eq(held[1]),
        ]
        return m
