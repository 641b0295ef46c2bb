"""The chip as far as it goes: engine, memories and weight cache, start to done without a CPU."""

from amaranth.hdl import Assert, Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ChipConfig
from hdl.engine import Engine
from hdl.engine.memory import ActivationMemory, HostPort
from hdl.mram.cache import WeightCache
from hdl.mram.macro import MramMacro, MramWriteSignature

__all__ = ["Chip"]


class Chip(wiring.Component):
    """Engine, activation memory, weight cache and MRAM.

    Members
    -------
    start : In(1)
        Run the program at `program`; only while not `busy`.
    program : In
        MRAM word address of the first descriptor.
    busy : Out(1)
        High from the cycle after `start` until the last result is in the activation memory.
    layer_done : Out(1)
        Pulse at the end of each job.
    host : In(HostPort)
        Activation memory, while not `busy`.
    mram_write : In(MramWriteSignature)
        Programming of the MRAM, while not `busy`.
    mram_reads : Out(32)
        Words read from the MRAM since `start`.
    mram_active : Out(1)
        The MRAM is powered.
    mac_active, wait_weights, wait_drain : Out(1)
        See `Engine`.
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
                "mram_write": In(MramWriteSignature(config)),
                "mram_reads": Out(32),
                "mram_active": Out(1),
                "mac_active": Out(1),
                "wait_weights": Out(1),
                "wait_drain": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the blocks."""
        m = Module()
        m.submodules.engine = engine = Engine(self.config)
        m.submodules.memory = memory = ActivationMemory(self.config)
        m.submodules.cache = cache = WeightCache(self.config)
        m.submodules.mram = mram = MramMacro(self.config)

        wiring.connect(m, flipped(self.mram_write), mram.write)
        wiring.connect(m, cache.o, engine.words)
        for engine_read, read in zip(engine.memory_reads, memory.reads, strict=True):
            wiring.connect(m, engine_read, read)
        wiring.connect(m, engine.memory_write, memory.write)
        wiring.connect(m, flipped(self.host), memory.host)
        m.d.comb += [
            memory.on.eq(~0),
            memory.host_ready.eq(1),
            engine.segments_ready.eq(1),
            engine.start.eq(self.start),
            engine.program.eq(self.program),
            engine.address.eq(cache.address),
            cache.keep.eq(engine.keep),
            cache.rewind.eq(engine.rewind),
            cache.seek.valid.eq(engine.seek.valid),
            cache.seek.payload.eq(engine.seek.payload),
            cache.stop.eq(engine.stop),
            cache.end.eq(engine.end),
            cache.end_valid.eq(engine.end_valid),
            cache.clear.eq(self.start),
            mram.read.power.eq(cache.mram.wake),
            mram.read.enable.eq(cache.mram.enable),
            mram.read.address.eq(cache.mram.address),
            cache.mram.ready.eq(mram.read.ready),
            cache.mram.data.eq(mram.read.data),
            cache.mram.valid.eq(mram.read.valid),
            self.busy.eq(engine.busy),
            self.layer_done.eq(engine.layer_done),
            self.mram_reads.eq(cache.reads),
            self.mram_active.eq(mram.read.power),
            self.mac_active.eq(engine.mac_active),
            self.wait_weights.eq(engine.wait_weights),
            self.wait_drain.eq(engine.wait_drain),
        ]
        m.d.sync += [
            Assert(~(self.host.enable & self.busy), "host access while the engine runs"),
            Assert(~(self.mram_write.enable & self.busy), "MRAM written while the engine runs"),
        ]
        return m
