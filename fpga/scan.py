"""A block with two pins: for placing and routing something that has more ports than a part."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ScanTop"]


class ScanTop(wiring.Component):
    """Shift registers around ``block``: its inputs are shifted in, its outputs out.

    Every port of the block begins or ends at a register, so that what is timed are its own paths.

    Members
    -------
    scan_in : In(1)
        The next bit of the inputs.
    capture : In(1)
        Take the outputs; otherwise shift them.
    scan_out : Out(1)
        The last bit of the outputs.
    """

    def __init__(self, block: wiring.Component):
        self.block = block
        super().__init__({"scan_in": In(1), "capture": In(1), "scan_out": Out(1)})

    def elaborate(self, platform) -> Module:
        """Build both shift registers."""
        m = Module()
        m.submodules.block = self.block
        inputs, outputs = [], []
        for _, member, port in self.block.signature.flatten(self.block):
            (inputs if member.flow == In else outputs).append(Value.cast(port))
        chain = Signal(sum(len(port) for port in inputs))
        taken = Signal(sum(len(port) for port in outputs))
        m.d.sync += chain.eq(Cat(self.scan_in, chain))
        m.d.comb += [Cat(*inputs).eq(chain), self.scan_out.eq(taken[-1])]
        m.d.sync += taken.eq(Mux(self.capture, Cat(*outputs), Cat(self.scan_in, taken)))
        return m
