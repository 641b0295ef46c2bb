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

NOISE_BITS = 64


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
    ``seed`` goes in every step.  It rests while the domain is on: that costs no time.

    Members
    -------
    seed : In(32)
        Other values, other bits.
    down : In(1)
        The domain has no supply.
    lost : In(1)
        Its memories have none either.
    bits : Out(64)
        New ones in each cycle of ``down``.
    key : Out(64)
        New in each cycle of ``lost``.
    """

    def __init__(self, start: int):
        self.start = start % (1 << NOISE_BITS) or 1
        super().__init__(
            {
                "seed": In(32),
                "down": In(1),
                "lost": In(1),
                "bits": Out(NOISE_BITS, init=self.start),
                "key": Out(NOISE_BITS, init=~self.start & ((1 << NOISE_BITS) - 1)),
            }
        )

    def elaborate(self, platform):
        """Build the generator."""
        m = Module()
        value = self.bits
        for shift in (13, -7, 17):
            moved = value << shift if shift > 0 else value >> -shift
            step = Signal(NOISE_BITS, name=f"shifted_{abs(shift)}")
            m.d.comb += step.eq(value ^ moved)
            value = step
        with m.If(self.down):
            m.d.sync += self.bits.eq(value ^ self.seed)
        with m.If(self.lost):
            m.d.sync += self.key.eq(self.bits)
        return m


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
        self.random = random.Random(noise.start)

    def value(self, width: int, source: Value | None = None) -> Value:
        """``width`` bits made of the noise, of no obvious relation to those of another call."""
        source = self.noise.bits if source is None else source
        pieces = [
            source.rotate_left(self.random.randrange(NOISE_BITS))
            for _ in range(-(-width // NOISE_BITS))
        ]
        return Cat(pieces)[:width] ^ Const(self.random.getrandbits(width), width)

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
                losses.append(bits.eq(self.value(len(bits))))
            changed.add_statements("sync", Switch(self.noise.down, [(1, losses, None)]))
        return changed

    def on_memory(self, memory: MemoryInstance) -> Fragment:
        """Store under a key, unless it is a ROM, and forget what has been read."""
        changed = super().on_fragment(memory)
        around = Fragment(src_loc=memory.src_loc)
        around.add_subfragment(changed, "array")
        width = Shape.cast(memory._data.shape).width
        key = self.value(width, self.noise.key) if memory._write_ports else Const(0, width)
        for port in changed._write_ports:
            port._data = port._data ^ key
        for i, port in enumerate(changed._read_ports):
            data, port._data = port._data, Signal(width, name=f"stored_{i}")
            around.add_statements("comb", data.eq(port._data ^ key))
            if port._domain == "comb":
                continue
            # The register of the port is the memory's own, and cannot be written.
            stale = Signal(name=f"stale_{i}", init=1)
            around.add_statements("sync", stale.eq(self.noise.down | (stale & ~port._en)))
            around.add_statements("comb", Switch(stale, [(1, [data.eq(self.value(width))], None)]))
        return around
