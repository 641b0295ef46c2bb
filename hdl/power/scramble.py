"""Off means off: what the loss of its supply does to a component, for simulation.

Synthesis never sees this.  A component is changed after its elaboration, with the tools that
Amaranth's own `ResetInserter` and `EnableInserter` are made of.  They have no public names: one
reason for the exact pin of Amaranth's version.
"""

import random

from amaranth.hdl import Assert, Cat, Const, Fragment, Module, Shape, Signal, Value
from amaranth.hdl._ast import Switch
from amaranth.hdl._mem import MemoryInstance
from amaranth.hdl._xfrm import FragmentTransformer, LHSMaskCollector
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Noise", "Scrambler", "SwitchModel"]

STEP_BITS = 64
"""New bits a cycle."""
POOL_BITS = 512
"""Bits to choose from; all of them are new after ``POOL_BITS / STEP_BITS`` cycles."""


class SwitchModel(wiring.Component):
    """Header switches and the supply behind them.

    Parameters
    ----------
    steps : int
        Switches.
    delay : int
        Cycles from all of them closed to ``good``, at least 1.

    Members
    -------
    switches : In(steps)
        Those that are closed.
    good : Out(1)
        The supply is up.  Falls in the cycle in which a switch is open.
    """

    def __init__(self, steps: int, delay: int):
        if steps < 1 or delay < 1:
            raise ValueError(f"steps and delay must be at least 1, not {steps!r} and {delay!r}")
        self.delay = delay
        super().__init__({"switches": In(steps), "good": Out(1)})

    def elaborate(self, platform):
        """Count the cycles since the last switch closed."""
        m = Module()
        closed = self.switches.all()
        cycles = Signal(range(self.delay + 1))
        with m.If(~closed):
            m.d.sync += cycles.eq(0)
        with m.Elif(cycles != self.delay):
            m.d.sync += cycles.eq(cycles + 1)
        m.d.comb += self.good.eq(closed & (cycles == self.delay))
        m.d.sync += Assert(~self.good | closed, "good with a switch open")
        return m


class Noise(wiring.Component):
    """Pseudo-random bits of one domain, on the side that is never off.

    The generator is xorshift64 (Marsaglia, "Xorshift RNGs", J. Stat. Soft. 8(14), 2003), into which
    ``seed`` goes in every step; a shift register keeps its last numbers.  All rests while the
    domain is on: that costs no time.

    Members
    -------
    seed : In(32)
        Other values, other bits.
    down : In(1)
        The domain has no supply.
    lost : In(1)
        Its memories have none either.
    bits : Out(512)
        The last numbers, one more in each cycle of ``down``.
    key : Out(512)
        ``bits``, in each cycle of ``lost``.
    """

    def __init__(self, start: int):
        self.random = random.Random(start)
        super().__init__(
            {
                "seed": In(32),
                "down": In(1),
                "lost": In(1),
                "bits": Out(POOL_BITS, init=self.random.getrandbits(POOL_BITS)),
                "key": Out(POOL_BITS, init=self.random.getrandbits(POOL_BITS)),
            }
        )

    def elaborate(self, platform):
        """Build the generator."""
        m = Module()
        value = self.bits[:STEP_BITS]
        for shift in (13, -7, 17):
            moved = value << shift if shift > 0 else value >> -shift
            step = Signal(STEP_BITS, name=f"shifted_{abs(shift)}")
            m.d.comb += step.eq(value ^ moved)
            value = step
        with m.If(self.down):
            m.d.sync += self.bits.eq(Cat(value ^ self.seed, self.bits))
        with m.If(self.lost):
            m.d.sync += self.key.eq(self.bits)
        return m

    def choose(self, width: int, pool: Value | None = None) -> Value:
        """``width`` bits of `bits`, or of `key`, others in each call.

        Nothing but wires: in simulation a value that is made of gates for every flip-flop costs
        time in every cycle, although it is wanted in few.
        """
        pool = self.bits if pool is None else pool
        pieces, missing = [], width
        while missing > 0:
            piece = pool[self.random.randrange(POOL_BITS // 2) :][:missing]
            pieces.append(piece)
            missing -= len(piece)
        return Cat(pieces)


class Scrambler(FragmentTransformer):
    """Let a fragment and all below it lose what it knows while its supply is down.

    Every flip-flop, with or without reset, takes a pseudo-random value in each cycle of ``down``,
    clock or no clock.  Contents of memories are stored under a key: if that changes, they are lost
    all at once, for the cost of an XOR.  What a read port held is lost even if the array is
    retained; a ROM keeps its contents.

    Parameters
    ----------
    noise : Noise
        Where the values come from; its ``down`` is the loss of supply.
    """

    def __init__(self, noise: Noise):
        self.noise = noise

    def on_fragment(self, fragment: Fragment) -> Fragment:
        """Add the loss of state to ``fragment``."""
        if isinstance(fragment, MemoryInstance):
            return self.on_memory(fragment)
        changed = super().on_fragment(fragment)
        if "sync" in changed.statements:
            written = LHSMaskCollector()
            written.visit_stmt(changed.statements["sync"])
            losses = []
            for signal, start, stop in written.chunks():
                bits = Value.cast(signal)[start:stop]
                losses.append(bits.eq(self.noise.choose(len(bits))))
            changed.add_statements("sync", Switch(self.noise.down, [(1, losses, None)]))
        return changed

    def on_memory(self, memory: MemoryInstance) -> Fragment:
        """Store under a key, unless it is a ROM, and forget what has been read."""
        changed = super().on_fragment(memory)
        around = Fragment(src_loc=memory.src_loc)
        around.add_subfragment(changed, "array")
        width = Shape.cast(memory._data.shape).width
        key = self.noise.choose(width, self.noise.key) if memory._write_ports else Const(0, width)
        for port in changed._write_ports:
            port._data = (port._data ^ key)[:width]  # a signed word would grow
        for i, port in enumerate(changed._read_ports):
            data, port._data = port._data, Signal(width, name=f"stored_{i}")
            around.add_statements("comb", data.eq(port._data ^ key))
            if port._domain == "comb":
                continue
            # The register of the port is the memory's own, and cannot be written.
            stale = Signal(name=f"stale_{i}", init=1)
            around.add_statements("sync", stale.eq(self.noise.down | (stale & ~port._en)))
            around.add_statements(
                "comb", Switch(stale, [(1, [data.eq(self.noise.choose(width))], None)])
            )
        return around
