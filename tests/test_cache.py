# amaranth: UnusedElaboratable=no

"""The weight cache: its sizes, its benches, and the proof of its pointers."""

from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped
from amaranth.sim import Simulator

from hdl.config import ECP5, FULL, SMALL
from hdl.mram import (
    MRAM_WORD_BITS,
    MramMacro,
    MramReadSignature,
    MramWriteSignature,
    WeightCache,
)
from hdl.mram.cache import RingControl
from verif.formal import prove
from verif.sim import simulate


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"cache_kib": 3}, "cache_kib must be a power of two, not 3"),
        ({"mram_kib": 48}, "mram_kib must be a power of two, not 48"),
        ({"cache_kib": 128}, r"cache_kib must be at most half of mram_kib \(128\), not 128"),
    ],
)
def test_rejects_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        WeightCache(replace(SMALL, **sizes))


class CachedMram(wiring.Component):
    """A cache and its macro: what the cache offers is only defined together with a memory."""

    def __init__(self, config):
        self.config = config
        between = MramReadSignature(config).members.items()
        super().__init__(
            {
                "seek": In(stream.Signature(unsigned(config.mram_address_bits))),
                "stop": In(1),
                "end": In(config.mram_address_bits),
                "end_valid": In(1),
                "o": Out(stream.Signature(unsigned(MRAM_WORD_BITS))),
                "keep": In(1),
                "rewind": In(1),
                "address": Out(config.mram_address_bits),
                "clear": In(1),
                "reads": Out(32),
                # Everything between the two, to be watched.
                "mram": Out(wiring.Signature({name: Out(port.shape) for name, port in between})),
                "write": In(MramWriteSignature(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.cache = cache = WeightCache(self.config)
        m.submodules.macro = macro = MramMacro(self.config)
        wiring.connect(m, cache.mram, macro.read)
        wiring.connect(m, flipped(self.write), macro.write)
        wiring.connect(m, flipped(self.seek), cache.seek)
        wiring.connect(m, cache.o, flipped(self.o))
        m.d.comb += [
            cache.stop.eq(self.stop),
            cache.end.eq(self.end),
            cache.end_valid.eq(self.end_valid),
            cache.keep.eq(self.keep),
            cache.rewind.eq(self.rewind),
            cache.clear.eq(self.clear),
            self.address.eq(cache.address),
            self.reads.eq(cache.reads),
        ]
        for name in self.mram.signature.members:
            m.d.comb += getattr(self.mram, name).eq(getattr(cache.mram, name))
        return m


@pytest.mark.sim
@pytest.mark.parametrize(
    "config",
    [
        FULL,
        replace(ECP5, name="ECP5_16", mram_latency=16, mram_wakeup=1, mram_kib=64),
        SMALL,
        replace(SMALL, name="SMALL_1", mram_latency=1, mram_wakeup=2, mram_kib=2),
    ],
    ids=lambda config: config.name,
)
def test_cache_matches_model(config):
    simulate(
        CachedMram(config),
        bench="verif.tb_cache",
        name=f"cached_mram_{config.name.lower()}",
        parameters={
            "latency": config.mram_latency,
            "wakeup": config.mram_wakeup,
            "capacity": config.cache_words,
        },
    )


def draw_cycles(cycles):
    """The diagram of docs/mram.md: rows of signals, columns of cycles."""
    dut = CachedMram(replace(SMALL, mram_latency=3, mram_wakeup=4))
    rows = {}

    async def testbench(ctx):
        ctx.set(dut.write.enable, 1)
        for address in range(128):
            ctx.set(dut.write.address, address)
            ctx.set(dut.write.data, address)
            await ctx.tick()
        ctx.set(dut.write.enable, 0)
        ctx.set(dut.seek.payload, 64)
        for cycle in range(cycles):
            ctx.set(dut.seek.valid, cycle == 1)
            ctx.set(dut.o.ready, cycle >= 12 and cycle not in (16, 20))
            ctx.set(dut.keep, cycle < 16)
            ctx.set(dut.rewind, cycle == 16)
            ctx.set(dut.stop, cycle == 18)
            for name, signal, shown in (
                ("seek", dut.seek.valid, None),
                ("power", dut.mram.power, None),
                ("ready", dut.mram.ready, None),
                ("enable", dut.mram.enable, None),
                ("address", dut.mram.address, dut.mram.enable),
                ("valid", dut.mram.valid, None),
                ("data", dut.mram.data, dut.mram.valid),
                ("o.valid", dut.o.valid, None),
                ("o.ready", dut.o.ready, None),
                ("o.payload", dut.o.payload, dut.o.valid),
                ("keep", dut.keep, None),
                ("rewind", dut.rewind, None),
                ("stop", dut.stop, None),
            ):
                visible = shown is None or ctx.get(shown)
                rows.setdefault(name, []).append(ctx.get(signal) if visible else ".")
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    rows = {"cycle": range(cycles)} | rows
    return "\n".join(f"{name:10}" + "".join(f"{x:>4}" for x in row) for name, row in rows.items())


def test_diagram_in_documentation():
    page = (Path(__file__).parents[1] / "docs" / "mram.md").read_text()
    diagram = page.split("```text\n")[1].split("\n```")[0]
    assert diagram == draw_cycles(24)


class RingAndMram(wiring.Component):
    """`RingControl` with the MRAM's delay line; everything else may happen at any time."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "seek": In(stream.Signature(unsigned(config.mram_address_bits))),
                "stop": In(1),
                "end": In(config.mram_address_bits),
                "end_valid": In(1),
                "keep": In(1),
                "rewind": In(1),
                "ready": In(1),
                "clear": In(1),
                "awake": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = RingControl(self.config)
        returning = Signal(self.config.mram_latency)
        m.d.sync += returning.eq(Cat(control.enable, returning))
        m.d.comb += [
            self.seek.ready.eq(control.seek.ready),
            control.seek.valid.eq(self.seek.valid),
            control.seek.payload.eq(self.seek.payload),
            control.stop.eq(self.stop),
            control.end.eq(self.end),
            control.end_valid.eq(self.end_valid),
            control.keep.eq(self.keep),
            control.rewind.eq(self.rewind),
            control.ready.eq(self.ready & ~self.rewind),
            control.clear.eq(self.clear),
            control.mram_ready.eq(self.awake & control.power),
            control.arrived.eq(returning[-1]),
        ]
        m.d.sync += [
            Assert(control.in_flight == sum(returning), "the counter lost a read"),
            Assert(control.power | ~returning.any(), "asleep with reads in flight"),
        ]
        return m


@pytest.mark.formal
@pytest.mark.parametrize("latency", [1, 3])
def test_ring_invariants(latency):
    config = replace(SMALL, mram_latency=latency, mram_kib=2)
    prove(RingAndMram(config), name=f"ring_{latency}")
