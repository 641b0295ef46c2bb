"""A component with one of each kind of state, in a power domain, and its way off and on.

Not a test.
"""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl.power.domains import Level, PowerDomain, Retention
from hdl.power.switched import Switched

__all__ = [
    "CLAMPS",
    "RESET",
    "TABLE",
    "WORDS",
    "WORKED",
    "Inner",
    "Toy",
    "contents",
    "domain",
    "power_down",
    "power_up",
    "simulate",
    "state",
    "switched",
    "wait",
    "work",
]

TABLE = [(37 * i + 11) % 256 for i in range(16)]
WORDS = [(91 * i + 5) % 256 for i in range(16)]
CLAMPS = {"o.valid": 1, "i.ready": 1, "status": 0x5A}


def domain(retention):
    return PowerDomain(name="toy", level=Level.FAST, retention=retention, contents="a test")


class Inner(wiring.Component):
    """A register two levels down."""

    enable: In(1)
    count: Out(16, init=7)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.count.eq(self.count + 1)
        return m


class Middle(wiring.Component):
    enable: In(1)
    count: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Inner()
        m.d.comb += [inner.enable.eq(self.enable), self.count.eq(inner.count)]
        return m


class Toy(wiring.Component):
    """One of each kind of state.  Words of `i` go into the memory, and their sum out of `o`."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(16))
    address: In(4)
    write: In(1)
    async_word: Out(8)
    word: Out(8)
    coefficient: Out(8)
    status: Out(8)
    count: Out(16)
    last: Out(8)
    threshold: Out(16)
    upper: Out(4)
    set_threshold: In(1)

    def __init__(self):
        super().__init__()
        # `upper` is half of a register, whose other half is combinational.
        self.setting = Signal(16, init=0x1234)
        self.split = Signal(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.middle = middle = Middle()
        m.submodules.memory = memory = Memory(shape=8, depth=16, init=[])
        m.submodules.table = table = Memory(shape=8, depth=16, init=TABLE)
        writer, reader = memory.write_port(granularity=4), memory.read_port()
        looker, coefficient = memory.read_port(domain="comb"), table.read_port()
        total, last = Signal(16), Signal(8, reset_less=True, init=0xC3)
        taken = self.i.valid & self.i.ready
        alive = Signal(init=1)
        m.d.comb += [
            self.i.ready.eq(self.o.ready),
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(total),
            writer.addr.eq(self.address),
            writer.data.eq(self.i.payload),
            writer.en.eq((taken & self.write).replicate(2)),
            reader.addr.eq(self.address),
            looker.addr.eq(self.address),
            coefficient.addr.eq(self.address),
            self.word.eq(reader.data),
            self.async_word.eq(looker.data),
            self.coefficient.eq(coefficient.data),
            self.last.eq(last),
            self.count.eq(middle.count),
            self.threshold.eq(self.setting),
            self.split[:4].eq(self.address),
            self.upper.eq(self.split[4:]),
            self.status.eq(total[:8] ^ 0xFF),
            middle.enable.eq(taken),
        ]
        with m.If(taken):
            m.d.sync += [total.eq(total + self.i.payload), last.eq(self.i.payload)]
            m.d.sync += self.split[4:].eq(self.split[4:] + 1)
            with m.If(self.set_threshold):
                m.d.sync += self.setting.eq(self.i.payload * 257)
        m.d.sync += [alive.eq(1), Assert(alive, "alive only after a reset")]
        return m


def switched(retention=Retention.NONE, *, power_aware=True):
    toy = Toy()
    retained = [toy.setting] if retention is Retention.REGISTERS else []
    return Switched(
        toy, domain(retention), power_aware=power_aware, clamps=CLAMPS, retained=retained
    )


def simulate(dut, testbench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


async def wait(ctx, cycles):
    """Let ``cycles`` pass; ``tick().repeat()`` cannot be left by an exception."""
    for _ in range(cycles):
        await ctx.tick()


async def power_up(ctx, dut, *, reset=True, restore=False):
    """What the sequencer does, with the supply's own time in between."""
    control = dut.control
    ctx.set(control.reset, 1)
    ctx.set(dut.supply, 1)
    await wait(ctx, 3)
    ctx.set(control.retain, 0)
    ctx.set(control.reset, reset)
    ctx.set(control.clock, 1)
    await ctx.tick()
    ctx.set(control.restore, restore)
    await ctx.tick()
    ctx.set(control.reset, 0)
    await ctx.tick()
    ctx.set(control.restore, 0)
    ctx.set(control.isolate, 0)


async def power_down(ctx, dut, *, save=False, retain=False, isolate=True, cycles=9):
    """The way to off, and ``cycles`` there."""
    control = dut.control
    ctx.set(control.isolate, isolate)
    await ctx.tick()
    ctx.set(control.clock, 0)
    await ctx.tick()
    ctx.set(control.save, save)
    ctx.set(control.retain, retain)
    await ctx.tick()
    ctx.set(control.save, 0)
    await ctx.tick()
    ctx.set(control.reset, 1)
    ctx.set(dut.supply, 0)
    await wait(ctx, cycles)


async def work(ctx, dut):
    """Write all words of the memory, and the retained register."""
    ctx.set(dut.i.valid, 1)
    ctx.set(dut.o.ready, 1)
    ctx.set(dut.write, 1)
    for address, word in enumerate(WORDS):
        ctx.set(dut.address, address)
        ctx.set(dut.set_threshold, address == 3)
        ctx.set(dut.i.payload, word)
        await ctx.tick()
    ctx.set(dut.i.valid, 0)
    ctx.set(dut.write, 0)
    ctx.set(dut.address, 9)
    await ctx.tick()


WORKED = {
    "o.payload": sum(WORDS), "count": 7 + len(WORDS), "last": WORDS[-1], "upper": 0,
    "threshold": 257 * WORDS[3], "word": WORDS[9], "async_word": WORDS[9],
    "coefficient": TABLE[9],
}  # fmt: skip
RESET = WORKED | {"o.payload": 0, "count": 7, "threshold": 0x1234}


def state(ctx, dut):
    """All that the outputs show, by name."""
    names = {"o.payload": dut.o.payload} | {
        name: getattr(dut, name) for name in WORKED if name != "o.payload"
    }
    return {name: ctx.get(value) for name, value in names.items()}


async def contents(ctx, dut):
    """All words of the memory, and all of the ROM, through their clocked ports."""
    found = []
    for address in range(16):
        ctx.set(dut.address, address)
        await ctx.tick()
        assert ctx.get(dut.word) == ctx.get(dut.async_word)
        found.append((ctx.get(dut.word), ctx.get(dut.coefficient)))
    return [list(column) for column in zip(*found, strict=True)]
