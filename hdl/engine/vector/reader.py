"""From the places of elements to their values: the words in hand, and reads for all others."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.fetch import BankRead
from hdl.engine.vector.walk import Spot

__all__ = ["Reader", "Spots", "Values"]

LOW, HIGH = range(2)


class Spots(data.StructLayout):
    """Where the operands of one result lie."""

    def __init__(self, config: ChipConfig):
        super().__init__({"a": Spot(config), "b": Spot(config), "last": unsigned(1)})


class Values(data.StructLayout):
    """The operands themselves, as they are in memory."""

    def __init__(self):
        super().__init__({"a": signed(16), "b": signed(16), "last": unsigned(1)})


class Operand:
    """One of both operands: what is in hand, and what has to be read.

    ``fresh`` marks the plane whose word was asked for in the cycle before: it is on its bank's
    port now, and in hand from the next cycle on.
    """

    def __init__(self, m: Module, config: ChipConfig, name: str):
        self.spot = Signal(Spot(config), name=f"{name}_spot")
        self.known = Signal(name=f"{name}_known")
        """`spot` is that of an element of this job."""
        self.missing = Signal(2, name=f"{name}_missing")
        self.fresh = Signal(2, name=f"{name}_fresh")
        self.fresh_bank = Signal.like(self.spot.bank, name=f"{name}_fresh_bank")
        self.issue = Signal(name=f"{name}_issue")
        self.plane = Signal(name=f"{name}_plane")
        self.after = Signal(2, name=f"{name}_after")
        self.byte = Signal.like(self.spot.byte, name=f"{name}_byte")
        self.words = [Signal(8 * config.rows, name=f"{name}_{plane}") for plane in ("low", "high")]
        self.planes = [Signal.like(word, name=f"{word.name}_now") for word in self.words]
        m.d.comb += [
            self.plane.eq(~self.missing[LOW]),
            self.after.eq(self.missing & ~Cat(self.issue & ~self.plane, self.issue & self.plane)),
        ]


class Reader(wiring.Component):
    """Reads the words of both operands when an element needs one that is not in hand.

    An element waits until nothing of it is missing, and no word is asked for before its element
    comes: whatever the elements behind it write, it reads first.  A read that is issued replaces
    the word in hand, so none is issued while an element that needs it waits at `o`.

    Where elements share words it takes one a cycle, otherwise one a cycle and word of either
    operand; both operands are read at once where they lie in different banks.

    Members
    -------
    uses_a, uses_b : In(1)
        Operands that are read; the values of others are undefined.
    a_wide, b_wide : In(1)
        int16.  All four may change while `idle`.
    idle : Out(1)
        No element is on its way, and as the latest one was the ``last``, nothing is in hand.
    i : In(stream.Signature(Spots))
    o : Out(stream.Signature(Values))
    banks : array of Out(BankRead)
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "uses_a": In(1),
                "uses_b": In(1),
                "a_wide": In(1),
                "b_wide": In(1),
                "idle": Out(1),
                "i": In(stream.Signature(Spots(config))),
                "o": Out(stream.Signature(Values())),
                "banks": Out(BankRead(config)).array(ACT_BANKS),
            }
        )

    def elaborate(self, platform):
        """Build the element that reads, and the one behind it whose words are there."""
        m = Module()
        config = self.config
        a, b = (Operand(m, config, name) for name in "ab")
        operands = (
            (a, self.i.p.a, self.o.p.a, self.uses_a, self.a_wide),
            (b, self.i.p.b, self.o.p.b, self.uses_b, self.b_wide),
        )

        # --- the element that reads -------------------------------------------------------------
        reading, reading_last = Signal(), Signal()
        free, leaves = Signal(), Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            a.issue.eq(reading & free & a.missing.any()),
            b.issue.eq(
                reading & free & b.missing.any() & ~(a.issue & (a.spot.bank == b.spot.bank))
            ),
            leaves.eq(reading & free & ~a.after.any() & ~b.after.any()),
            self.i.ready.eq(~reading | leaves),
            self.idle.eq(~a.known & ~self.o.valid),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [reading.eq(1), reading_last.eq(self.i.p.last)]
        with m.Elif(leaves):
            m.d.sync += reading.eq(0)
        for operand, spot, _, used, wide in operands:
            same = Signal(name=f"{operand.spot.as_value().name}_same")
            m.d.comb += same.eq(
                operand.known
                & (spot.bank == operand.spot.bank)
                & (spot.address == operand.spot.address)
            )
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [
                    operand.spot.eq(spot),
                    operand.known.eq(1),
                    operand.missing.eq(Mux(used & ~same, Cat(1, wide), 0)),
                ]
            with m.Else():
                m.d.sync += operand.missing.eq(operand.after)
            with m.If(leaves & reading_last & ~self.i.valid):
                m.d.sync += operand.known.eq(0)

        # --- the banks --------------------------------------------------------------------------
        for i, bank in enumerate(self.banks):
            of_a = Signal(name=f"of_a_{i}")
            m.d.comb += [
                of_a.eq(a.issue & (a.spot.bank == i)),
                bank.enable.eq(of_a | (b.issue & (b.spot.bank == i))),
                bank.address.eq(Mux(of_a, a.spot.address + a.plane, b.spot.address + b.plane)),
            ]

        # --- the element whose words are there ----------------------------------------------------
        with m.If(free):
            m.d.sync += self.o.valid.eq(leaves)
        with m.If(leaves):
            m.d.sync += self.o.p.last.eq(reading_last)
        for operand, _, value, _, wide in operands:
            arriving = Signal(8 * config.rows, name=f"{operand.words[LOW].name}_arriving")
            with m.Switch(operand.fresh_bank):
                for i, bank in enumerate(self.banks):
                    with m.Case(i):
                        m.d.comb += arriving.eq(bank.data)
            m.d.sync += operand.fresh.eq(0)
            with m.If(operand.issue):
                m.d.sync += [
                    operand.fresh.eq(Cat(~operand.plane, operand.plane)),
                    operand.fresh_bank.eq(operand.spot.bank),
                ]
            with m.If(leaves):
                m.d.sync += operand.byte.eq(operand.spot.byte)
            bytes_now = []
            for plane, (word, now) in enumerate(zip(operand.words, operand.planes, strict=True)):
                m.d.comb += now.eq(Mux(operand.fresh[plane], arriving, word))
                with m.If(operand.fresh[plane]):
                    m.d.sync += word.eq(arriving)
                bytes_now.append(now.word_select(operand.byte, 8))
            low, high = bytes_now
            m.d.comb += value.eq(Mux(wide, Cat(low, high).as_signed(), low.as_signed()))

        self.check(m, operands, leaves)
        m.d.sync += [
            Assert(a.known == b.known, "one operand is ahead"),
            Assert(~reading | a.known, "reads for no element"),
        ]
        return m

    def check(self, m: Module, operands, leaves: Signal) -> None:
        """Assert that what is at `o` is the word that its element asked for."""
        for operand, _, _, used, wide in operands:
            word = Cat(operand.spot.bank, operand.spot.address)
            name = operand.spot.as_value().name
            waiting = Signal.like(word, name=f"{name}_waiting")  # word of the element at `o`
            with m.If(leaves):
                m.d.sync += waiting.eq(word)
            for plane in (LOW, HIGH):
                held = Signal.like(word, name=f"{name}_held_{plane}")
                holds = Signal(name=f"{name}_holds_{plane}")
                with m.If(operand.issue & (operand.plane == plane)):
                    m.d.sync += [held.eq(word), holds.eq(1)]
                needed = used & (wide if plane == HIGH else 1)
                m.d.sync += [
                    Assert(~(self.o.valid & needed) | (holds & (held == waiting)), "a wrong word"),
                    Assert(
                        ~(operand.known & needed) | operand.missing[plane]
                        | (holds & (held == word)),
                        "a word is neither in hand nor missing",
                    ),
                ]  # fmt: skip
            m.d.sync += [
                Assert(~operand.missing.any() | operand.known, "misses a word of no element"),
                Assert(used | ~operand.missing.any(), "reads for no operand"),
                Assert(wide | ~operand.missing[HIGH], "reads a word of high bytes of int8"),
            ]
