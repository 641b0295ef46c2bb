"""The last arithmetic of a vector job: rescaling, zero point, clamp."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith import clamp
from hdl.engine.requantizer import Requantizer
from hdl.engine.turns import Slot, assert_alternation
from hdl.engine.vector.compute import Pair, is_curve
from hdl.engine.vector_descriptor import VectorDescriptor, VectorFunction

__all__ = ["Rescale"]

UNITY_MULTIPLIER, UNITY_SHIFT = 1 << 30, 1
"""Scale of functions that do not rescale but do add a zero point and clamp: exactly one."""


class Rescale(wiring.Component):
    """One requantiser: a value a cycle, or three turns for ADD and SUBTRACT.

    Those take both operands through it and then their sum.  Sums go first, so that turns of
    consecutive elements interleave and no cycle is lost.

    Members
    -------
    job : In(VectorDescriptor)
        Must not change while values are on their way.
    i : In(stream.Signature(signed(34)))
        See `hdl.engine.vector.compute.Compute`.
    o : Out(stream.Signature(signed(16)))
        Results.
    """

    i: In(stream.Signature(signed(Pair.as_shape().size)))
    o: Out(stream.Signature(signed(16)))
    job: In(VectorDescriptor)

    def elaborate(self, platform):
        """Build issue, the slots beside the requantiser, and what follows it."""
        m = Module()
        job, function = self.job, self.job.function
        adding, direct = Signal(), Signal()
        m.d.comb += [
            adding.eq((function == VectorFunction.ADD) | (function == VectorFunction.SUBTRACT)),
            direct.eq(
                is_curve(function)
                | (function == VectorFunction.COPY)
                | (function == VectorFunction.LOAD)
                | (function == VectorFunction.TABLE)
            ),
        ]

        # --- issue --------------------------------------------------------------------------------
        m.submodules.requantizer = requantizer = Requantizer()
        advance = Signal()
        issued, operand_b, total, total_valid = Signal(Slot), Signal(), Signal(signed(32)), Signal()
        taken = Signal()
        with m.If(total_valid):
            m.d.comb += issued.eq(Slot.OUT)
        with m.Elif(self.i.valid & ~direct):
            with m.If(adding):
                m.d.comb += [issued.eq(Mux(operand_b, Slot.B, Slot.A)), taken.eq(operand_b)]
                with m.If(advance):
                    m.d.sync += operand_b.eq(~operand_b)
            with m.Else():
                m.d.comb += [issued.eq(Slot.OUT), taken.eq(1)]

        pair = Signal(Pair)
        operand = Signal(signed(17))
        m.d.comb += [
            pair.eq(self.i.payload),
            operand.eq(Mux(operand_b, pair.b, pair.a)),
            requantizer.advance.eq(advance),
            requantizer.value.eq(Mux(total_valid, total, self.i.payload[:32].as_signed())),
            requantizer.multiplier.eq(UNITY_MULTIPLIER),
            requantizer.shift.eq(UNITY_SHIFT),
        ]
        negative = (function == VectorFunction.SCALE) & (self.i.payload < 0)
        with m.If(adding & ~total_valid):
            shifted = Signal(signed(32))  # wraps, as in TFLM
            m.d.comb += [
                shifted.eq(operand << job.left_shift),
                requantizer.value.eq(shifted),
            ]
        with m.If((adding & ~total_valid & operand_b) | negative):
            m.d.comb += [
                requantizer.multiplier.eq(job.b_multiplier),
                requantizer.shift.eq(job.b_shift),
            ]
        with m.Elif(adding & ~total_valid):
            m.d.comb += [
                requantizer.multiplier.eq(job.a_multiplier),
                requantizer.shift.eq(job.a_shift),
            ]
        with m.Elif(
            adding | (function == VectorFunction.MULTIPLY) | (function == VectorFunction.SCALE)
        ):
            m.d.comb += [
                requantizer.multiplier.eq(job.multiplier),
                requantizer.shift.eq(job.shift),
            ]

        # --- beside the requantiser ---------------------------------------------------------------
        slots = [Signal(Slot, name=f"slot_{i}") for i in range(Requantizer.LATENCY)]
        held = Signal(signed(32))
        with m.If(advance):
            m.d.sync += slots[0].eq(issued)
            m.d.sync += [slots[i].eq(slots[i - 1]) for i in range(1, len(slots))]
            m.d.sync += total_valid.eq(slots[-1] == Slot.B)
            with m.Switch(slots[-1]):
                with m.Case(Slot.A):
                    m.d.sync += held.eq(requantizer.scaled)
                with m.Case(Slot.B):
                    second = requantizer.scaled
                    m.d.sync += total.eq(
                        held + Mux(function == VectorFunction.SUBTRACT, -second, second)
                    )

        # --- zero point, clamp --------------------------------------------------------------------
        offset = Signal(signed(32))  # wraps, as in TFLM
        m.d.comb += [
            offset.eq(requantizer.scaled + job.out.zero_point),
            self.o.valid.eq(Mux(direct, self.i.valid, slots[-1] == Slot.OUT)),
            self.o.payload.eq(
                Mux(
                    direct,
                    self.i.payload[:16].as_signed(),
                    clamp(offset, job.out_min, job.out_max),
                )
            ),
            advance.eq((slots[-1] != Slot.OUT) | self.o.ready),
            self.i.ready.eq(Mux(direct, self.o.ready, advance & taken)),
        ]

        # --- invariants ---------------------------------------------------------------------------
        assert_alternation(m, slots, next_is_b=operand_b, advance=advance)
        m.d.sync += [
            Assert(~total_valid | adding, "a sum of nothing"),
            Assert(~(self.i.valid & self.i.ready) | direct | (issued != Slot.EMPTY), "lost"),
        ]
        return m
