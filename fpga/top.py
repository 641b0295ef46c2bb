"""What goes into an FPGA: the chip without its MRAM, which is a memory of its own on the board."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ChipConfig
from hdl.engine import Engine
from hdl.engine.memory import ActivationMemory, HostPort
from hdl.mram.cache import WeightCache
from hdl.mram.signals import ReadStream

__all__ = ["SynthesisTop"]


class SynthesisTop(wiring.Component):
    """Engine, activation memory and weight cache; the MRAM's read port leaves through pins.

    `hdl.soc.chip.Chip` is the same with a behavioural MRAM, whose 2 MB are more than four times the
    block RAM of the largest ECP5.

    Members
    -------
    start, program, busy, layer_done, mac_active, wait_weights, wait_drain
        See `hdl.engine.Engine`.
    host : In(HostPort)
        See `hdl.engine.memory.ActivationMemory`.
    mram : Out(ReadStream(config))
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
                "mram": Out(ReadStream(config)),
                "mram_reads": Out(32),
                "mac_active": Out(1),
                "wait_weights": Out(1),
                "wait_drain": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Connect the blocks: to each other and to the pins wherever they agree on a name."""
        m = Module()
        m.submodules.engine = engine = Engine(self.config)
        m.submodules.memory = memory = ActivationMemory(self.config)
        m.submodules.cache = cache = WeightCache(self.config)

        for engine_read, read in zip(engine.memory_reads, memory.reads, strict=True):
            wiring.connect(m, engine_read, read)
        wiring.connect(m, engine.memory_write, memory.write)
        wiring.connect(m, flipped(self.host), memory.host)
        wiring.connect(m, cache.o, engine.words)
        wiring.connect(m, cache.mram, flipped(self.mram))
        m.d.comb += [cache.clear.eq(self.start), self.mram_reads.eq(cache.reads)]
        # An FPGA has no power switches.
        m.d.comb += [memory.on.eq(~0), memory.host_ready.eq(1), engine.segments_ready.eq(1)]
        for name, member in engine.signature.members.items():
            if name in cache.signature.members:
                source, sink = engine, cache
                if member.flow == In:
                    source, sink = cache, engine
            elif name in self.signature.members:
                source, sink = engine, flipped(self)
                if member.flow == In:
                    source, sink = flipped(self), engine
            else:
                continue
            if member.is_port:
                m.d.comb += getattr(sink, name).eq(getattr(source, name))
            else:
                wiring.connect(m, getattr(source, name), getattr(sink, name))
        return m
