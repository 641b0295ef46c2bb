"""LOGISTIC and TANH of int16: TensorFlow Lite's table, and straight lines between its entries."""

import math
from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["ENTRIES", "Curve", "sigmoid_table"]

ENTRIES = 256
ENTRIES_PER_UNIT = 24
ONE = 1 << 16
HALF = ONE >> 1

FRACTION_BITS = 9
"""Bits of the argument between two entries; TANH has one less."""

LINE_BITS = 16 + FRACTION_BITS
"""Width of an interpolated value: 1.0 is ``1 << LINE_BITS``."""


def sigmoid_table() -> list[int]:
    """Return the sigmoid of ``i / 24`` as UQ0.16; see `models.engine.curves.sigmoid_table`."""

    def sigmoid(entry: float) -> float:
        return ONE / (1 + math.exp(-entry / ENTRIES_PER_UNIT))

    entries = [
        0.75 * sigmoid(i) - 0.25 * sigmoid(i + 1) + 0.5 * sigmoid(i + 0.5)
        for i in range(ENTRIES - 1)
    ]
    return [math.floor(entry + 0.5) for entry in entries] + [ONE - 1]


class Entry(data.Struct):
    """Where a line begins and how far it climbs to the next entry."""

    start: unsigned(15)
    """Less a half: no entry is smaller."""
    climb: unsigned(10)


class Curve(wiring.Component):
    """Interpolates, a value a cycle; bit-exact with `models.engine.curves.curve`.

    It adds the rounding, shifts, looks up, interpolates and folds negative arguments; the
    multiplication with the argument's scale is done outside.  TANH counts as if its lines had a
    fraction of 9 bits, too, so that both functions share the arithmetic.

    Members
    -------
    advance : In(1)
        Moves the pipeline by one stage.
    tanh : In(1)
        TANH, not LOGISTIC.
    left_shift : In(5)
        The scaled argument is shifted right by so much.
    scaled : In(signed(32))
        The argument times its multiplier.
    result : Out(signed(16))
        Q0.15, `LATENCY` cycles of ``advance`` later.
    """

    LATENCY = 4

    advance: In(1)
    tanh: In(1)
    left_shift: In(5)
    scaled: In(signed(32))
    result: Out(signed(16))

    def elaborate(self, platform):
        """Build shift, look-up, interpolation, folding."""
        m = Module()
        entries = sigmoid_table()
        climbs = [high - low for low, high in pairwise(entries)] + [0]
        m.submodules.table = table = Memory(
            shape=Entry,
            depth=ENTRIES,
            init=[
                {"start": start - HALF, "climb": climb}
                for start, climb in zip(entries, climbs, strict=True)
            ],
        )
        read = table.read_port()

        # 1: to units of 1/12288, rounding ties up
        argument = Signal(signed(32))
        rounded = Signal(signed(32))
        m.d.comb += rounded.eq(self.scaled + (Const(1, 32) << self.left_shift >> 1))

        # 2: index and fraction
        magnitude = Signal(32)
        index, saturated = Signal(24), Signal()
        m.d.comb += [
            magnitude.eq(Mux(argument < 0, -argument, argument)),
            index.eq(Mux(self.tanh, magnitude >> (FRACTION_BITS - 1), magnitude >> FRACTION_BITS)),
            saturated.eq(index >= ENTRIES - 1),
            read.en.eq(self.advance),
            read.addr.eq(index),
        ]
        fraction = Signal(FRACTION_BITS)
        negative2, saturated2 = Signal(), Signal()

        # 3: the line.  Saturated, it is 0xFFFF for TANH and 0x7FFF << 1 for LOGISTIC.
        start = Signal(16)
        line = Signal(LINE_BITS)
        negative3 = Signal()
        m.d.comb += start.eq(Mux(saturated2, Cat(self.tanh, Const(-1, 15)), read.data.start + HALF))

        # 4: sigmoid(-x) = 1 - sigmoid(x); ~line is -line - 1, which makes ties go up for either
        # sign.  TANH is twice the sigmoid less one.
        folded = Signal(signed(LINE_BITS + 1))
        one = Const(1 << LINE_BITS, LINE_BITS + 1)
        total = Signal(signed(LINE_BITS + 3))
        m.d.comb += [
            folded.eq(line ^ negative3.replicate(LINE_BITS + 1)),
            total.eq(
                folded
                + Mux(
                    self.tanh,
                    Mux(negative3, one >> 1, -(one >> 1)) + (1 << (FRACTION_BITS - 1)),
                    Mux(negative3, one, 0) + (1 << FRACTION_BITS),
                )
            ),
        ]
        with m.If(self.advance):
            m.d.sync += [
                argument.eq(rounded >> self.left_shift),
                fraction.eq(Mux(self.tanh, magnitude << 1, magnitude)),
                negative2.eq(argument < 0),
                saturated2.eq(saturated),
                line.eq((start << FRACTION_BITS) + Mux(saturated2, 0, fraction * read.data.climb)),
                negative3.eq(negative2),
                self.result.eq(
                    Mux(self.tanh, total >> FRACTION_BITS, total >> (FRACTION_BITS + 1))
                ),
            ]
        return m
