"""How much of each value of a line belongs to which output, when a line is averaged down."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Overlap"]


class Overlap(wiring.Component):
    """Weights of one axis, as in `models.image.scaler.overlap_sums`.

    In units of ``1 / outputs`` of a value, a value is ``outputs`` long and an output ``source``.
    A value that does not end an output goes to it with its whole length; one that does is divided
    between it and the next one.  ``outputs <= source``, so it never belongs to more than two.

    Parameters
    ----------
    most_source, most_outputs : int
        Largest ``source`` and ``outputs``.

    Members
    -------
    source, outputs : In(range(most_source + 1)), In(range(most_outputs + 1))
        Values, and outputs, of a line: ``1 <= outputs <= source``.  Hold from the first value to
        the last.
    step : In(1)
        A value comes in this clock.
    first : In(1)
        It is its line's first.
    ends : Out(1)
        It ends an output.  This and all that follows: in the clock of ``step``.
    part, rest : Out(range(most_outputs + 1))
        What of the value's length belongs to the output in progress, and if it ends, to the next.
    index : Out(range(most_outputs))
        Number of the output in progress.
    """

    def __init__(self, most_source: int, most_outputs: int):
        self.most_source, self.most_outputs = most_source, most_outputs
        # State: what the output in progress lacks, and its number.
        self.kept = Signal(range(most_source + 1))
        self.number = Signal(range(most_outputs))
        super().__init__(
            {
                "source": In(range(most_source + 1)),
                "outputs": In(range(most_outputs + 1)),
                "step": In(1),
                "first": In(1),
                "ends": Out(1),
                "part": Out(range(most_outputs + 1)),
                "rest": Out(range(most_outputs + 1)),
                "index": Out(range(most_outputs)),
            }
        )

    def elaborate(self, platform):
        """Build the two counters."""
        m = Module()
        room, left = Signal.like(self.kept), Signal.like(self.kept)
        m.d.comb += [
            room.eq(Mux(self.first, self.source, self.kept)),
            self.index.eq(Mux(self.first, 0, self.number)),
            self.ends.eq(room <= self.outputs),
            self.part.eq(Mux(self.ends, room, self.outputs)),
            self.rest.eq(self.outputs - self.part),
            left.eq(Mux(self.ends, room + self.source, room) - self.outputs),
        ]
        with m.If(self.step):
            m.d.sync += [self.kept.eq(left), self.number.eq(self.index + self.ends)]
        allowed = self.step & (self.outputs != 0) & (self.outputs <= self.source)
        m.d.sync += [
            Assert(~allowed | (left != 0), "nothing is left for an output"),
            Assert(~allowed | (left <= self.source), "an output longer than all"),
        ]
        return m
