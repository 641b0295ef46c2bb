"""Several that ask for operations on words, and one that executes them."""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.mram.signals import WordPort

__all__ = ["WordArbiter"]


class WordArbiter(wiring.Component):
    """Passes on the requests of one port at a time.

    The lowest port that asks goes first.  It keeps its turn while it holds, so that nobody writes
    between a read and the write-back that belongs to it; with the end of the operation after which
    ``hold`` is 0 the choice is free again.  A port that holds for ever keeps the others out.

    Parameters
    ----------
    config : ChipConfig
        Width of an address.
    ports : int
        How many, at least 1.

    Members
    -------
    words : array of In(WordPort(config))
        Those that ask, most urgent first.  An offered request must stay until it is taken.
    unit : Out(WordPort(config))
        Who executes, `hdl.mram.word_unit.WordUnit`.
    """

    def __init__(self, config: ChipConfig, *, ports: int):
        if ports < 1:
            raise ValueError(f"ports must be at least 1, not {ports!r}")
        self.ports = ports
        super().__init__(
            {"words": In(WordPort(config)).array(ports), "unit": Out(WordPort(config))}
        )

    def elaborate(self, platform):
        """Build the choice and the way back."""
        m = Module()
        unit = self.unit
        owner = Signal(range(self.ports))
        owned = Signal()
        """`owner` has its turn: its request passes, and what ends is its own."""
        in_work = Signal()
        """The owner's request has been taken and has not ended."""

        with m.If(~owned):
            for index, word in reversed(list(enumerate(self.words))):
                with m.If(word.request.valid):
                    m.d.sync += [owner.eq(index), owned.eq(1)]

        taken = unit.request.valid & unit.request.ready
        with m.Switch(owner):
            for index, word in enumerate(self.words):
                with m.Case(index):
                    m.d.comb += [
                        unit.request.valid.eq(owned & word.request.valid & ~in_work),
                        unit.request.payload.eq(word.request.payload),
                        unit.hold.eq(owned & word.hold),
                        word.request.ready.eq(owned & unit.request.ready & ~in_work),
                        word.done.eq(owned & unit.done),
                    ]
                    with m.If(owned & ~in_work & ~word.request.valid & ~word.hold):
                        m.d.sync += owned.eq(0)  # it held, and now does not
                    with m.If(unit.done & ~word.hold):
                        m.d.sync += owned.eq(0)
        for word in self.words:
            m.d.comb += [word.status.eq(unit.status), word.data.eq(unit.data)]
        with m.If(taken):
            m.d.sync += in_work.eq(1)
        with m.Elif(unit.done):
            m.d.sync += in_work.eq(0)

        # Clocked: settled values, not those in the middle of a simulator's delta cycles.
        m.d.sync += [
            Assert(~unit.done | in_work, "an operation on a word ended that nobody asked for"),
            Assert(~in_work | owned, "an operation on a word belongs to nobody"),
        ]
        return m
