"""From accumulators to activations: requantisation, element-wise sums, output addresses."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, enum, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hdl.arith import clamp
from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.accumulators import accumulated
from hdl.engine.descriptor import Descriptor
from hdl.engine.descriptor import Drain as DrainMode
from hdl.engine.parameters import ChannelParameters
from hdl.engine.requantizer import Requantizer

__all__ = ["BankWrite", "Drain"]


class BankWrite(wiring.Signature):
    """One word on its way to an activation bank; of its bytes, those whose mask bit is set."""

    def __init__(self, config: ChipConfig):
        word = data.StructLayout(
            {
                "bank": unsigned(2),
                "address": unsigned(config.bank_address_bits),
                "data": unsigned(8 * config.rows),
                "mask": unsigned(config.rows),
            }
        )
        super().__init__({"word": Out(stream.Signature(word))})


class Slot(enum.Enum, shape=unsigned(2)):
    """What travels in a stage of the requantiser pipeline."""

    EMPTY = 0
    A = 1
    B = 2
    OUT = 3


class Drain(wiring.Component):
    """Rescales finished pixels, ``requantizers`` channels a cycle, and writes them back.

    An addition takes three turns through the same requantisers: both operands, then their sum;
    sums go first, so turns of consecutive words interleave.

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

    LATENCY = 6
    """Cycles from a pixel to its word, if ``requantizers == rows`` and nothing is added."""

    WRITE_DEPTH = 4
    """Words that wait for their bank to be free of reads."""

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
        """Build issue, pipeline, assembly and write queue."""
        m = Module()
        job, lanes, slices = self.job, self.config.requantizers, self.slices
        adding = Signal()
        m.d.comb += adding.eq(job.drain == DrainMode.ADD)

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
            operand = Signal(signed(9), name=f"operand_{i}")
            m.d.comb += [
                operand.eq(Mux(operand_b, pick(p.latest), pick(p.previous))),
                unit.average.eq(job.drain == DrainMode.AVERAGE),
            ]
            with m.If(adding & ~sums_valid):
                m.d.comb += [
                    unit.value.eq(operand << job.left_shift),
                    unit.multiplier.eq(Mux(operand_b, job.b_multiplier, job.a_multiplier)),
                    unit.shift.eq(Mux(operand_b, job.b_shift, job.a_shift)),
                ]
            with m.Else():
                m.d.comb += [
                    unit.value.eq(Mux(adding, sums[i], pick(p.total)[:32].as_signed())),
                    unit.bias.eq(channel.bias),
                    unit.multiplier.eq(channel.multiplier),
                    unit.shift.eq(channel.shift),
                ]

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
                m.d.sync += [s.eq(h + u.scaled) for s, h, u in zip(sums, held, units, strict=True)]

        # --- zero point, clamp, assembly of a word ----------------------------------------------
        activations = []
        for i, unit in enumerate(units):
            activation = Signal(signed(8), name=f"activation_{i}")
            offset = Signal(signed(32), name=f"offset_{i}")  # wraps, as in TFLM
            m.d.comb += [
                offset.eq(unit.scaled + job.out_zero_point),
                activation.eq(clamp(offset, job.out_min, job.out_max)),
            ]
            activations.append(activation)
        word, word_valid = Signal(8 * self.config.rows), Signal()
        assembled = Signal(range(max(slices, 2)))
        queue_ready = Signal()
        # A sum that waits for its group's parameters stops everything, or the next one would
        # overwrite it.
        m.d.comb += advance.eq((~word_valid | queue_ready) & ~(sums_valid & ~self.parameters_full))
        with m.If(advance):
            m.d.sync += word_valid.eq(0)
            with m.If(slots[-1] == Slot.OUT):
                shifted = Cat(word, *activations)[-8 * self.config.rows :]
                m.d.sync += [
                    word.eq(shifted),
                    word_valid.eq(assembled == slices - 1),
                    assembled.eq(Mux(assembled == slices - 1, 0, assembled + 1)),
                ]

        # --- where a word goes ------------------------------------------------------------------
        group, out_y, out_x = Signal(10), Signal(12), Signal(12)
        row, column = Signal(14), Signal(16)
        address, line_end, image_end = Signal(16), Signal(), Signal()
        m.d.comb += [
            address.eq(
                job.out_base + (row >> exact_log2(ACT_BANKS)) * job.out_row_words + column + group
            ),
            line_end.eq(out_x == job.out_w_last),
            image_end.eq(line_end & (out_y == job.out_h_last)),
        ]
        target = self.write.word
        entry = Signal(
            data.StructLayout(
                {name: target.p[name].shape() for name in ("bank", "address", "data")}
            )
        )
        m.submodules.queue = queue = fifo.SyncFIFO(
            width=len(entry.as_value()), depth=self.WRITE_DEPTH
        )
        m.d.comb += [
            entry.bank.eq(row),
            entry.address.eq(address),
            entry.data.eq(word),
            queue.w_data.eq(entry),
            queue.w_en.eq(word_valid & advance),
            queue_ready.eq(queue.w_rdy),
            target.valid.eq(queue.r_rdy),
            Cat(target.p.bank, target.p.address, target.p.data).eq(queue.r_data),
            target.p.mask.eq(~0),
            queue.r_en.eq(self.write.word.ready),
        ]
        written_all = Signal(init=1)
        m.d.comb += self.busy.eq(~written_all | queue.r_rdy)
        with m.If(self.start):
            m.d.sync += [
                group.eq(0), out_y.eq(0), out_x.eq(0),
                row.eq(job.out_row0), column.eq(0), written_all.eq(0),
            ]  # fmt: skip
        with m.Elif(word_valid & advance):
            with m.If(image_end):
                m.d.sync += [
                    group.eq(group + 1), out_y.eq(0), out_x.eq(0),
                    row.eq(job.out_row0), column.eq(0), written_all.eq(group == job.groups_last),
                ]  # fmt: skip
            with m.Elif(line_end):
                m.d.sync += [
                    out_y.eq(out_y + 1), out_x.eq(0),
                    row.eq(row + job.out_row_step), column.eq(0),
                ]  # fmt: skip
            with m.Else():
                m.d.sync += [out_x.eq(out_x + 1), column.eq(column + job.out_pixel_step)]

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
        # Operands alternate all the way through the pipeline: `operand_b` is what is issued next,
        # `held_waits` says what has left.
        held_waits = Signal()
        with m.If(advance & (slots[-1] == Slot.A)):
            m.d.sync += held_waits.eq(1)
        with m.If(advance & (slots[-1] == Slot.B)):
            m.d.sync += held_waits.eq(0)
        after_a = operand_b  # the youngest operand behind this point is an A
        for slot in slots:
            is_a, is_b = slot == Slot.A, slot == Slot.B
            m.d.sync += [
                Assert(~is_a | after_a, "a first operand without its second"),
                Assert(~is_b | ~after_a, "a second operand without its first"),
            ]
            after_a = Mux(is_a, 0, Mux(is_b, 1, after_a))
        m.d.sync += Assert(held_waits == after_a, "a held operand was lost")

        # Every slice that enters leaves, and the parameters are those of the slice that leaves.
        sums_pending = sum((slot == Slot.B for slot in slots), sums_valid)
        outputs_pending = sum((slot == Slot.OUT for slot in slots), assembled)
        whole = Const(slices - 1, ceil_log2(slices + 1))
        m.d.sync += [
            Assert(((turn_slice - out_slice - sums_pending) & whole) == 0, "sums out of step"),
            Assert(((out_slice - outputs_pending) & whole) == 0, "outputs out of step"),
            Assert(~(sums_valid & word_valid), "a sum waits behind a word"),
            Assert(~(word_valid & advance) | queue_ready, "a word was lost"),
            Assert(~self.release | self.parameters_full, "released missing parameters"),
            Assert(~self.i.ready | self.i.valid, "takes what is not there"),
        ]
        m.d.sync += Assert(~self.start | ~self.busy, "job started while another one is drained")
        return m
