"""From accumulators to activations: requantisation, element-wise sums, output addresses."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, flipped
from amaranth.utils import ceil_log2

from hdl.arith import clamp
from hdl.config import ChipConfig
from hdl.engine.accumulators import PRODUCT_BITS, accumulated
from hdl.engine.descriptor import Descriptor
from hdl.engine.descriptor import Drain as DrainMode
from hdl.engine.parameters import ChannelParameters
from hdl.engine.requantizer import REDUCED_BITS, Requantizer
from hdl.engine.turns import Slot, assert_alternation
from hdl.engine.writer import BankWrite, OutputWriter

__all__ = ["BankWrite", "Drain"]


OPERAND_BITS = 9
"""An int8 less its zero point."""


def small_product(a: Value, b: Value) -> Value:
    """Multiply the low `OPERAND_BITS` of both, signed, without a multiplier of the FPGA.

    Two bits of ``b`` choose among 0, ``a``, ``2 a`` and ``3 a``; its sign bit subtracts.  A third
    less logic than the sum of nine rows.
    """
    a, b = (x[:OPERAND_BITS].as_signed() for x in (a, b))
    triple = a + (a << 1)
    rows = [
        Mux(b[i + 1], Mux(b[i], triple, a << 1), Mux(b[i], a, 0))
        for i in range(0, OPERAND_BITS - 1, 2)
    ]
    pairs = [low + (high << 2) for low, high in zip(rows[::2], rows[1::2], strict=True)]
    return pairs[0] + (pairs[1] << 4) - (Mux(b[-1], a, 0) << (OPERAND_BITS - 1))


class Drain(wiring.Component):
    """Rescales finished pixels, ``requantizers`` channels a cycle, and writes them back.

    `hdl.engine.descriptor.Drain` lists the modes.  Bias, multiplier and shift are those of the
    channel; but for the operands of sums and for the two signs of LEAKY and PRELU, which take no
    bias and the descriptor's ``a_multiplier`` and so on.  All of it works in ``int32``, on the low
    32 bits of a total, except SCALE with ``single_rounding``.

    A sum or difference takes three turns through the same requantisers: both operands, then the
    result; results go first, so turns of consecutive words interleave.  The other modes take one.
    Operands of two passes are 9 bits each; what they become may be int16, they may not.

    Members
    -------
    start : In(1)
        Begin the job in `job`; only when not `busy`.
    job : In(Descriptor)
        Must not change while `busy`.
    busy : Out(1)
        Outputs of the job are missing.
    i : In(stream)
        Finished pixels, see `accumulated`; raster order within a group, group after group.
    channels : In
        Parameters of the channels selected by `slice`.
    slice : Out
    parameters_full : In(1)
        `channels` are those of the group being drained.
    release : Out(1)
        The group's parameters are done with.
    write : Out(BankWrite)
        Words for the activation memory.
    """

    LATENCY = 2 + Requantizer.LATENCY
    """Cycles from a pixel to its word, if ``requantizers == rows`` and nothing is added."""

    def __init__(self, config: ChipConfig):
        self.config = config
        self.slices = config.rows // config.requantizers
        lanes = config.requantizers
        super().__init__(
            {
                "start": In(1),
                "job": In(Descriptor),
                "busy": Out(1),
                "i": In(stream.Signature(accumulated(config.rows))),
                "channels": In(data.ArrayLayout(ChannelParameters, lanes)),
                "slice": Out(range(max(self.slices, 2))),
                "parameters_full": In(1),
                "release": Out(1),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        """Build issue, pipeline and assembly."""
        m = Module()
        job, lanes, slices = self.job, self.config.requantizers, self.slices
        is_mode = {mode: Signal(name=f"is_{mode.name.lower()}") for mode in DrainMode}
        adding, by_sign = Signal(), Signal()
        m.d.comb += [
            *(signal.eq(job.drain == mode) for mode, signal in is_mode.items()),
            adding.eq(is_mode[DrainMode.ADD] | is_mode[DrainMode.SUBTRACT]),
            by_sign.eq(is_mode[DrainMode.LEAKY] | is_mode[DrainMode.PRELU]),
        ]

        units = [Requantizer() for _ in range(lanes)]
        advance = Signal()
        for i, unit in enumerate(units):
            m.submodules[f"requantizer_{i}"] = unit
            m.d.comb += unit.advance.eq(advance)

        # --- issue: sums first, then new pixels -----------------------------------------------
        issued = Signal(Slot)
        turn_slice = Signal(range(max(slices, 2)))  # slice of the pixel at `i`
        out_slice = Signal(range(max(slices, 2)))  # slice that leaves next
        operand_b = Signal()
        sums = [Signal(signed(32), name=f"sum_{i}") for i in range(lanes)]
        sums_valid = Signal()
        leaving = Signal()  # an OUT slot is issued
        last_slice = Signal()
        pixel_done = Signal()
        m.d.comb += [
            last_slice.eq(turn_slice == slices - 1),
            self.slice.eq(out_slice),
            leaving.eq(advance & (issued == Slot.OUT)),
            self.i.ready.eq(advance & pixel_done),
        ]
        with m.If(sums_valid):
            m.d.comb += issued.eq(Slot.OUT)
        with m.Elif(self.i.valid & self.parameters_full):
            with m.If(adding):
                m.d.comb += [
                    issued.eq(Mux(operand_b, Slot.B, Slot.A)),
                    pixel_done.eq(operand_b & last_slice),
                ]
                with m.If(advance):
                    m.d.sync += operand_b.eq(~operand_b)
            with m.Else():
                m.d.comb += [issued.eq(Slot.OUT), pixel_done.eq(last_slice)]
            with m.If(advance & (~adding | operand_b)):
                m.d.sync += turn_slice.eq(Mux(last_slice, 0, turn_slice + 1))

        p = self.i.p
        for i, unit in enumerate(units):

            def pick(field, i=i):
                """The channel of lane `i` in the current slice."""
                value = field[i]
                for s in range(1, slices):
                    value = Mux(turn_slice == s, field[s * lanes + i], value)
                return value

            channel = self.channels[i]
            total, latest, previous = pick(p.total), pick(p.latest), pick(p.previous)
            second = Signal(name=f"second_{i}")  # of two scales, and of two passes
            operand = Signal(signed(PRODUCT_BITS), name=f"operand_{i}")
            product = Signal(signed(2 * OPERAND_BITS), name=f"product_{i}")
            negative = Mux(is_mode[DrainMode.LEAKY], total[31], previous[-1])
            m.d.comb += [
                second.eq(Mux(adding, operand_b, negative)),
                operand.eq(Mux(second, latest, previous)),
                product.eq(small_product(previous, latest)),
                unit.average.eq(is_mode[DrainMode.AVERAGE]),
                unit.single.eq(job.single_rounding),
            ]
            with m.If((adding & ~sums_valid) | by_sign):
                m.d.comb += [
                    unit.multiplier.eq(Mux(second, job.b_multiplier, job.a_multiplier)),
                    unit.shift.eq(Mux(second, job.b_shift, job.a_shift)),
                ]
            with m.Else():
                m.d.comb += [
                    unit.bias.eq(channel.bias),
                    unit.multiplier.eq(channel.multiplier),
                    unit.shift.eq(channel.shift),
                ]
            with m.If(is_mode[DrainMode.MULTIPLY]):
                m.d.comb += unit.value.eq(product)
            with m.Elif(is_mode[DrainMode.PRELU]):
                m.d.comb += unit.value.eq(operand)
            with m.Elif(~adding):
                m.d.comb += unit.value.eq(total)
            with m.Elif(sums_valid):
                m.d.comb += unit.value.eq(sums[i])
            with m.Else():
                shifted = operand[:OPERAND_BITS].as_signed() << job.left_shift
                m.d.comb += unit.value.eq(shifted[:32].as_signed())

        # --- pipeline of slots beside the requantisers --------------------------------------------
        slots = [Signal(Slot, name=f"slot_{i}") for i in range(Requantizer.LATENCY)]
        with m.If(advance):
            m.d.sync += slots[0].eq(issued)
            m.d.sync += [slots[i].eq(slots[i - 1]) for i in range(1, len(slots))]
        held = [Signal(signed(32), name=f"held_{i}") for i in range(lanes)]
        with m.If(advance):
            with m.If(sums_valid):
                m.d.sync += sums_valid.eq(0)
            with m.If(slots[-1] == Slot.A):
                m.d.sync += [h.eq(u.scaled) for h, u in zip(held, units, strict=True)]
            with m.If(slots[-1] == Slot.B):
                m.d.sync += sums_valid.eq(1)
                minus = is_mode[DrainMode.SUBTRACT]
                m.d.sync += [
                    s.eq(h + (u.scaled ^ minus.replicate(32)).as_signed() + minus)
                    for s, h, u in zip(sums, held, units, strict=True)
                ]

        # --- zero point, clamp, assembly of a word ----------------------------------------------
        activations = []
        for i, unit in enumerate(units):
            activation = Signal(signed(16), name=f"activation_{i}")
            offset = Signal(signed(32), name=f"offset_{i}")  # wraps, as in TFLM
            m.d.comb += [
                offset.eq(unit.scaled + job.out_zero_point),
                activation.eq(clamp(offset, job.out_min, job.out_max)),
            ]
            activations.append(activation)
        m.submodules.writer = writer = OutputWriter(self.config)
        wiring.connect(m, writer.write, flipped(self.write))
        word, word_valid = Signal(writer.i.payload.shape()), Signal()
        assembled = Signal(range(max(slices, 2)))
        # A sum that waits for its group's parameters stops everything, or the next one would
        # overwrite it.
        m.d.comb += [
            advance.eq((~word_valid | writer.i.ready) & ~(sums_valid & ~self.parameters_full)),
            writer.start.eq(self.start),
            writer.job.eq(job),
            writer.i.valid.eq(word_valid),
            writer.i.payload.eq(word),
            self.busy.eq(writer.busy),
        ]
        with m.If(advance):
            m.d.sync += word_valid.eq(0)
            with m.If(slots[-1] == Slot.OUT):
                for half, octets in (
                    (word.low, [activation[:8] for activation in activations]),
                    (word.high, [activation[8:] for activation in activations]),
                ):
                    m.d.sync += half.eq(Cat(half, *octets)[-8 * self.config.rows :])
                m.d.sync += [
                    word_valid.eq(assembled == slices - 1),
                    assembled.eq(Mux(assembled == slices - 1, 0, assembled + 1)),
                ]

        # --- which parameters the next OUT slot takes ---------------------------------------------
        issued_pixels_end = Signal()
        issue_y, issue_x = Signal(12), Signal(12)
        m.d.comb += [
            issued_pixels_end.eq(
                (issue_x == job.out_w_last) & (issue_y == job.out_h_last)
                & (out_slice == slices - 1)
            ),
            self.release.eq(leaving & issued_pixels_end),
        ]  # fmt: skip
        with m.If(self.start):
            m.d.sync += [issue_y.eq(0), issue_x.eq(0), out_slice.eq(0)]
        with m.Elif(leaving):
            m.d.sync += out_slice.eq(Mux(out_slice == slices - 1, 0, out_slice + 1))
            with m.If(out_slice == slices - 1):
                m.d.sync += issue_x.eq(issue_x + 1)
                with m.If(issue_x == job.out_w_last):
                    m.d.sync += [
                        issue_x.eq(0),
                        issue_y.eq(Mux(issue_y == job.out_h_last, 0, issue_y + 1)),
                    ]

        # --- invariants ---------------------------------------------------------------------------
        assert_alternation(m, slots, next_is_b=operand_b, advance=advance)

        # Every slice that enters leaves, and the parameters are those of the slice that leaves.
        sums_pending = sum((slot == Slot.B for slot in slots), sums_valid)
        outputs_pending = sum((slot == Slot.OUT for slot in slots), assembled)
        whole = Const(slices - 1, ceil_log2(slices + 1))
        m.d.sync += [
            Assert(((turn_slice - out_slice - sums_pending) & whole) == 0, "sums out of step"),
            Assert(((out_slice - outputs_pending) & whole) == 0, "outputs out of step"),
            Assert(~(sums_valid & word_valid), "a sum waits behind a word"),
            Assert(~(writer.i.valid & writer.i.ready) | advance, "a word was written twice"),
            Assert(~(word_valid & advance) | writer.i.ready, "a word was lost"),
            Assert(~self.release | self.parameters_full, "released missing parameters"),
            Assert(~self.i.ready | self.i.valid, "takes what is not there"),
        ]

        # What the modes exclude.
        one_pass = is_mode[DrainMode.SCALE] | is_mode[DrainMode.AVERAGE] | is_mode[DrainMode.LEAKY]
        reduced = Cat(channel.multiplier[REDUCED_BITS:] == 0 for channel in self.channels).all()
        wide_operands = self.busy & job.wide_in & ~one_pass
        single = leaving & job.single_rounding
        m.d.sync += [
            Assert(~wide_operands, "two operands of int16"),
            Assert(~single | is_mode[DrainMode.SCALE], "a mode that has no single rounding"),
            Assert(~single | reduced, "a multiplier of more than fifteen bits"),
        ]
        return m
