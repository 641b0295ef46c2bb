# amaranth: UnusedElaboratable=no

"""A component with the ports of the audio front end that answers each sample with a feature.

Samples mean: bits 0..7 the feature, bit 8 it is its frame's last, bit 9 an assertion fails, bit 10
it is never taken.
"""

from amaranth.hdl import Assert, Module
from amaranth.lib import wiring

from hdl.audio.config import AudioConfig
from hdl.audio.frontend import FrontEnd

__all__ = ["FAIL", "LAST", "REFUSE", "FrontEndStub"]

LAST, FAIL, REFUSE = 1 << 8, 1 << 9, 1 << 10


class FrontEndStub(wiring.Component):
    """See the module."""

    def __init__(self, config: AudioConfig):
        super().__init__(FrontEnd(config).signature)

    def elaborate(self, platform):
        m = Module()
        sample, o = self.i.payload, self.o
        m.d.comb += [
            self.i.ready.eq((~o.valid | o.ready) & ~sample[10]),
            self.idle.eq(~o.valid),
        ]
        with m.If(o.ready):
            m.d.sync += o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [o.valid.eq(1), o.payload.eq(sample)]
        m.d.sync += Assert(~(self.i.valid & sample[9]), "sample with bit 9")
        return m
