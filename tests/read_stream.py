"""A behavioural MRAM controller for the weight cache, with random times and errors on demand."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, ValueLike, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ChipConfig
from hdl.mram.cache import WeightCache
from hdl.mram.signals import MRAM_WORD_BITS, ReadStream

__all__ = ["FACTORS", "CachedStream", "PacedStream", "StreamModel"]

WAKE_BITS = 16
FACTORS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)
"""Part ``k`` of the word at an address: the low 32 bits of ``(address + 1) * FACTORS[k]``.  Odd, so
that every address has its own word."""


class StreamModel(wiring.Component):
    """Controller and banks as the cache sees them; contents follow from `FACTORS`.

    Members
    -------
    stream : In(ReadStream(config))
        A bank is awake while it is wanted, or a read of it is in flight.  While ``valid`` is 0, and
        with ``error``, ``data`` is not a word of the memory.
    wakeup : In(16)
        Cycles that a bank that begins to wake up in this cycle is going to take.
    hold : In(1)
        ``ready`` is 0: another's operation on a word of the bank is in work.
    broken : In(config.mram_banks)
        Banks that fail after their wake-up time.
    bad, bad_valid : In
        While valid: the word at address `bad` has too many errors.
    wanted : Out(config.mram_banks)
        Banks that take current.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "stream": In(ReadStream(config)),
                "wakeup": In(WAKE_BITS),
                "hold": In(1),
                "broken": In(config.mram_banks),
                "bad": In(config.mram_address_bits),
                "bad_valid": In(1),
                "wanted": Out(config.mram_banks),
            }
        )

    def elaborate(self, platform) -> Module:
        """Build the delay line and the banks' timers."""
        m = Module()
        config, port = self.config, self.stream
        low = config.mram_bank_address_bits

        flight: list[tuple[ValueLike, Signal]] = []
        enable, address = port.enable, port.address
        for stage in range(config.mram_latency):
            enable_delayed = Signal(name=f"enable_{stage}")
            address_delayed = Signal(config.mram_address_bits, name=f"address_{stage}")
            m.d.sync += [enable_delayed.eq(enable), address_delayed.eq(address)]
            enable, address = enable_delayed, address_delayed
            flight.append((enable, address))

        here = port.address[low:]
        awake, failed = Signal(config.mram_banks), Signal(config.mram_banks)
        for b in range(config.mram_banks):
            timer = Signal(WAKE_BITS, name=f"timer_{b}")
            want = self.wanted[b]
            behind = here == (b - 1) % config.mram_banks
            m.d.comb += [
                want.eq(
                    (port.wake & ((here == b) | (port.wake_next & behind)))
                    | Cat(*(e & (a[low:] == b) for e, a in flight[:-1])).any()
                ),
                awake[b].eq(want & (timer == 0) & ~self.broken[b]),
                failed[b].eq(want & (timer == 0) & self.broken[b]),
            ]
            with m.If(~want):
                m.d.sync += timer.eq(self.wakeup)
            with m.Elif(timer != 0):
                m.d.sync += timer.eq(timer - 1)

        word = Cat(((address + 1) * Const(factor, 32))[:32] for factor in FACTORS)
        m.d.comb += [
            port.ready.eq(port.wake & awake.bit_select(here, 1) & ~self.hold),
            port.failed.eq(port.wake & failed.bit_select(here, 1)),
            port.valid.eq(enable),
            port.error.eq(enable & self.bad_valid & (address == self.bad)),
            port.data.eq(Mux(port.valid & ~port.error, word, ~word)),
        ]
        m.d.sync += [
            Assert(~port.enable | port.ready, "read from a bank that is not ready"),
            Assert(port.wake | ~Cat(e for e, _ in flight).any(), "asleep with reads in flight"),
        ]
        return m


class CachedStream(wiring.Component):
    """`WeightCache` and `StreamModel`: the members of both, and what is between them to be watched.

    ``in_burst`` is any bank's ``wanted``.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        self.inner = {"cache": WeightCache(config), "model": StreamModel(config)}
        members = {}
        for component, hidden in ((self.inner["cache"], "mram"), (self.inner["model"], "stream")):
            members |= {n: p for n, p in component.signature.members.items() if n != hidden}
        watched = ReadStream(config).members.items()
        members["mram"] = Out(wiring.Signature({name: Out(port.shape) for name, port in watched}))
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """Connect the two, and all their ports to the outside."""
        m = Module()
        for name, component in self.inner.items():
            m.submodules[name] = component
        cache, model = self.inner.values()
        wiring.connect(m, cache.mram, model.stream)
        for name in self.mram.signature.members:
            m.d.comb += getattr(self.mram, name).eq(getattr(cache.mram, name))
        for component in (cache, model):
            for name, member in component.signature.members.items():
                if name in ("mram", "stream"):
                    continue
                inner, outer = getattr(component, name), getattr(self, name)
                if not member.is_port:
                    source, sink = (inner, flipped(outer)) if member.flow == Out else (
                        flipped(outer), inner)  # fmt: skip
                    wiring.connect(m, source, sink)
                elif member.flow == In:
                    m.d.comb += inner.eq(outer)
                else:
                    m.d.comb += outer.eq(inner)
        return m


class PacedStream(wiring.Component):
    """The two with a consumer of a known pace, and counters: runs of 100,000s of cycles.

    Members
    -------
    seek, end, end_valid, wake_mark, may_sleep
        See `WeightCache`.
    wakeup : In(16)
        See `StreamModel`.
    period : In(16)
        The consumer wants a word every so many cycles; 0: a random number of cycles from 4 to 63,
        log-uniform by octaves.
    pause : In(1)
        It wants none.
    counting : In(1)
        Count in this cycle; while 0 the counters are 0.
    words, stalls, active, bursts, reads, bank_cycles, wrong : Out(32)
        Words taken; cycles in which a word before `end` was wanted and none on offer; cycles with a
        bank awake or waking up; how often that began; words requested (of the stream, not reset);
        sum over the banks of ``active``; words that were not those of their address.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        counters = ("words", "stalls", "active", "bursts", "reads", "bank_cycles", "wrong")
        super().__init__(
            {
                "seek": In(stream.Signature(unsigned(config.mram_address_bits))),
                "end": In(config.mram_address_bits),
                "end_valid": In(1),
                "wake_mark": In(7),
                "may_sleep": In(1),
                "wakeup": In(WAKE_BITS),
                "period": In(16),
                "pause": In(1),
                "counting": In(1),
                **{name: Out(32) for name in counters},
            }
        )

    def elaborate(self, platform) -> Module:
        """Build the consumer and the counters."""
        m = Module()
        m.submodules.cached = cached = CachedStream(self.config)
        wiring.connect(m, flipped(self.seek), cached.seek)
        for name in ("end", "end_valid", "wake_mark", "may_sleep", "wakeup"):
            m.d.comb += getattr(cached, name).eq(getattr(self, name))

        # Galois LFSR of maximal length; x^16 + x^14 + x^13 + x^11 + 1.
        noise = Signal(16, init=0xACE1)
        m.d.sync += noise.eq((noise >> 1) ^ Mux(noise[0], 0xB400, 0))
        octave = Signal(6)
        m.d.comb += octave.eq(Const(4, 3) << noise[:2])
        interval, left = Signal(16), Signal(16)
        due, taken = Signal(), Signal()
        m.d.comb += [
            interval.eq(Mux(self.period == 0, octave + (noise[4:10] & (octave - 1)), self.period)),
            due.eq((left == 0) & ~self.pause),
            cached.o.ready.eq(due),
            taken.eq(due & cached.o.valid),
            self.reads.eq(cached.reads),
        ]
        with m.If(taken):
            m.d.sync += left.eq(interval - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        word = Cat(((cached.address + 1) * Const(factor, 32))[:32] for factor in FACTORS)
        awake, awake_before = cached.wanted.any(), Signal()
        m.d.sync += awake_before.eq(awake)
        for counter, amount in (
            (self.words, taken),
            (self.stalls, due & ~cached.o.valid & (cached.address != self.end)),
            (self.active, awake),
            (self.bursts, awake & ~awake_before),
            (self.bank_cycles, sum(cached.wanted)),
            (self.wrong, taken & (cached.o.payload != word)),
        ):
            m.d.sync += counter.eq(Mux(self.counting, counter + amount, 0))
        assert len(word) == MRAM_WORD_BITS
        return m
