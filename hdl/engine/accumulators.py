"""The accumulator store: partial sums of a stripe of pixels between passes."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hdl.config import ChipConfig
from hdl.engine.array import SUM_BITS

__all__ = ["ACCUMULATOR_BITS", "PRODUCT_BITS", "AccumulatorTag", "Accumulators", "accumulated"]

ACCUMULATOR_BITS = 40
"""2**17 products of int16 and int8; what works on ``int32`` takes the low 32 bits."""

PRODUCT_BITS = 9 + 8
"""One operand times one weight, all that a pass of an element-wise operator sums."""

MAXIMUM_BITS = SUM_BITS + 1

LOWEST = -(1 << SUM_BITS)
"""Below every sum: the maximum of none."""

MAX_SHIFT = 2
"""Bytes: the high digit of an int16 weight times the high byte of an int16 operand."""


class AccumulatorTag(data.Struct):
    """What becomes of a sum."""

    pixel: 16
    """Accumulator index within the stripe."""
    first: 1
    """Start afresh; nothing is read."""
    last: 1
    """Leave through `Accumulators.o`; nothing is stored."""
    maximum: 1
    """Keep the larger value instead of the sum."""
    skip: 1
    """Maximum: the tap lies outside of the tensor and does not count."""
    shift: 2
    """Bytes by which the sum is shifted left first, 0 to 2: planes of int16; not with `maximum`."""


def accumulated(rows: int) -> data.StructLayout:
    """A finished pixel.

    ``total`` of all passes; ``latest``, the sum of the last pass alone, not shifted; ``previous``,
    what was accumulated before it.  Of the latter two, as many bits as a product needs.
    """
    return data.StructLayout(
        {
            "total": data.ArrayLayout(signed(ACCUMULATOR_BITS), rows),
            "latest": data.ArrayLayout(signed(PRODUCT_BITS), rows),
            "previous": data.ArrayLayout(signed(PRODUCT_BITS), rows),
        }
    )


class Accumulators(wiring.Component):
    """Adds each pass to what earlier passes left, one pixel of all rows a cycle.

    The tag precedes its sums by one cycle of `advance`, so that the store can be read meanwhile.

    Members
    -------
    advance : In(1)
        Everything moves; low exactly while `o` waits.
    tag, tag_valid : In
        Tag of the operands in the array.
    sums : In
        Sums of the step whose tag came one `advance` earlier.
    o : Out(stream)
        Finished pixels, see `accumulated`; after a single pass `previous` means nothing.
    in_flight : Out(1)
        A step is in the pipeline, or a finished pixel waits.
    """

    LATENCY = 2
    """Cycles of `advance` from a tag to its finished pixel in `o`."""

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "advance": Out(1),
                "tag": In(AccumulatorTag),
                "tag_valid": In(1),
                "sums": In(data.ArrayLayout(signed(SUM_BITS), config.rows)),
                "o": Out(stream.Signature(accumulated(config.rows))),
                "in_flight": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the store and its read-modify-write loop."""
        m = Module()
        rows, depth = self.config.rows, self.config.accumulator_depth
        index_bits = ceil_log2(depth)
        m.submodules.store = store = Memory(
            shape=signed(ACCUMULATOR_BITS * rows).width, depth=depth, init=[]
        )
        write = store.write_port()
        # Consecutive steps may hit the same pixel: the read sees the write of the same edge.
        read = store.read_port(transparent_for=(write,))

        tag, valid = Signal(AccumulatorTag), Signal()
        with m.If(self.advance):
            m.d.sync += [tag.eq(self.tag), valid.eq(self.tag_valid)]
        m.d.comb += [
            self.advance.eq(~self.o.valid | self.o.ready),
            self.in_flight.eq(valid | self.o.valid),
            read.en.eq(self.advance & self.tag_valid & ~self.tag.first),
            read.addr.eq(self.tag.pixel[:index_bits]),
        ]

        totals, previous = [], []
        for r in range(rows):
            old = Signal(signed(ACCUMULATOR_BITS), name=f"old_{r}")
            new = Signal(signed(ACCUMULATOR_BITS), name=f"new_{r}")
            stored = read.data[ACCUMULATOR_BITS * r : ACCUMULATOR_BITS * (r + 1)].as_signed()
            m.d.comb += old.eq(stored)
            addend = Signal(signed(ACCUMULATOR_BITS), name=f"addend_{r}")
            # A maximum is never shifted, so it has few bits, and so has the comparison.
            stored = old[:MAXIMUM_BITS].as_signed()
            keep = Signal(name=f"keep_{r}")
            largest = Signal(signed(MAXIMUM_BITS), name=f"largest_{r}")
            m.d.comb += [
                addend.eq(
                    Mux(tag.shift[1], self.sums[r] << 16, self.sums[r] << (tag.shift[0] << 3))
                ),
                keep.eq(tag.skip | (~tag.first & (stored > self.sums[r]))),
                largest.eq(Mux(keep, Mux(tag.first, LOWEST, stored), self.sums[r])),
                new.eq(Mux(tag.maximum, largest, Mux(tag.first, 0, old) + addend)),
            ]
            totals.append(new)
            previous.append(old)

        m.d.comb += [
            write.en.eq(self.advance & valid & ~tag.last),
            write.addr.eq(tag.pixel[:index_bits]),
            write.data.eq(Cat(totals)),
        ]
        with m.If(self.advance):
            m.d.sync += self.o.valid.eq(valid & tag.last)
            with m.If(valid & tag.last):
                for r in range(rows):
                    m.d.sync += [
                        self.o.p.total[r].eq(totals[r]),
                        self.o.p.latest[r].eq(self.sums[r]),
                        self.o.p.previous[r].eq(previous[r]),
                    ]
        stored = self.tag_valid & ~(self.tag.first & self.tag.last)
        m.d.sync += [
            Assert(~stored | (self.tag.pixel < depth), "a pixel without an accumulator"),
            Assert(~self.tag_valid | (self.tag.shift <= MAX_SHIFT), "shifted by too many bytes"),
            Assert(
                ~(self.tag_valid & self.tag.maximum) | (self.tag.shift == 0),
                "a maximum of shifted sums",
            ),
        ]
        return m
