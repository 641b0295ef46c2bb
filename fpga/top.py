"""What goes into an FPGA: the chip without its MRAM, which is a memory chip on the board."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ChipConfig
from hdl.engine import Engine
from hdl.engine.memory import HostPort
from hdl.mram.cache import WeightCache
from hdl.mram.macro import MramReadSignature

__all__ = ["SynthesisTop"]


class SynthesisTop(wiring.Component):
    """Engine, activation memory and weight cache; the MRAM's read port leaves through pins.

    The same connections as `hdl.soc.chip.Chip`: the behavioural MRAM there is 2 MB, eight times the
    block RAM of the largest ECP5.

    Members
    -------
    start, program, busy, layer_done, host, mac_active, wait_weights, wait_drain
        See `hdl.engine.Engine`.
    mram : Out(MramReadSignature(config))
        Towards the memory with program and weights.
    mram_reads : Out(32)
        Words read from it since `start`.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "program": In(unsigned(config.mram_address_bits)),
                "busy": Out(1),
                "layer_done": Out(1),
                "host": In(HostPort(config)),
                "mram": Out(MramReadSignature(config)),
                "mram_reads": Out(32),
                "mac_active": Out(1),
                "wait_weights": Out(1),
                "wait_drain": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Connect the blocks."""
        m = Module()
        m.submodules.engine = engine = Engine(self.config)
        m.submodules.cache = cache = WeightCache(self.config)

        wiring.connect(m, cache.mram, flipped(self.mram))
        wiring.connect(m, cache.o, engine.words)
        wiring.connect(m, flipped(self.host), engine.host)
        wiring.connect(m, engine.seek, cache.seek)
        m.d.comb += [
            engine.start.eq(self.start),
            engine.program.eq(self.program),
            engine.address.eq(cache.address),
            cache.keep.eq(engine.keep),
            cache.rewind.eq(engine.rewind),
            cache.stop.eq(engine.stop),
            cache.clear.eq(self.start),
            self.busy.eq(engine.busy),
            self.layer_done.eq(engine.layer_done),
            self.mram_reads.eq(cache.reads),
            self.mac_active.eq(engine.mac_active),
            self.wait_weights.eq(engine.wait_weights),
            self.wait_drain.eq(engine.wait_drain),
        ]
        return m
