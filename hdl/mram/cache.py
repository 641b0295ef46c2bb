"""Weight cache: a prefetching ring buffer between the MRAM and the engine."""

from amaranth.hdl import Assert, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import ChipConfig
from hdl.mram.macro import MRAM_WORD_BITS, MramReadSignature

__all__ = ["RingControl", "WeightCache"]


def check_sizes(config: ChipConfig) -> None:
    """Refuse sizes with which a place in the ring is not the low bits of an address."""
    for name, size in (("cache_kib", config.cache_kib), ("mram_kib", config.mram_kib)):
        if size & (size - 1):
            raise ValueError(f"{name} must be a power of two, not {size}")
    if config.cache_words > config.mram_words // 2:
        raise ValueError(
            f"cache_kib must be at most half of mram_kib ({config.mram_kib}), "
            f"not {config.cache_kib}"
        )


class RingControl(wiring.Component):
    """Pointers of the ring: what is fetched, stored, offered and kept.

    Every pointer is an MRAM word address, and a word's place in the ring is the low bits of its
    address.  In the order of the stream, without wrapping around::

        base <= read <= stored <= requested <= base + capacity

    ``base`` is where a rewind goes, ``read`` the word on offer, ``stored`` the next word to
    arrive, ``requested`` the next word to ask the MRAM for.

    Members
    -------
    seek, stop, keep, rewind, address, clear, reads
        See `WeightCache`.
    valid : Out(1)
        The word at ``address`` is on the ring's read port.
    ready : In(1)
        Takes it.
    power, mram_ready, enable, request, arrived
        The MRAM's ``power``, ``ready``, ``enable``, ``address`` and ``valid``.
    in_flight : Out(range(config.mram_latency + 1))
        Reads that have not returned yet.
    write : Out(1)
        Store the arriving word: no seek has left its stream.
    write_slot, read_slot : Out(log2(capacity))
        Places in the ring.
    fetch : Out(1)
        Read ``read_slot`` in this cycle.
    """

    def __init__(self, config: ChipConfig):
        check_sizes(config)
        self.config = config
        address, slot = config.mram_address_bits, exact_log2(config.cache_words)
        super().__init__(
            {
                "seek": In(stream.Signature(unsigned(address))),
                "stop": In(1),
                "end": In(address),
                "end_valid": In(1),
                "keep": In(1),
                "rewind": In(1),
                "address": Out(address),
                "clear": In(1),
                "reads": Out(32),
                "valid": Out(1),
                "ready": In(1),
                "power": Out(1),
                "mram_ready": In(1),
                "enable": Out(1),
                "request": Out(address),
                "arrived": In(1),
                "in_flight": Out(range(config.mram_latency + 1)),
                "write": Out(1),
                "write_slot": Out(slot),
                "read_slot": Out(slot),
                "fetch": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the pointers and their invariants."""
        m = Module()
        capacity, bits = self.config.cache_words, self.config.mram_address_bits

        active, more = Signal(), Signal()
        base, read, stored, requested = (
            Signal(bits, name=name) for name in ("base", "read", "stored", "requested")
        )
        # How many of the reads in flight, the oldest ones, belong to a stream that a seek has left.
        in_flight = self.in_flight
        abandoned = Signal.like(in_flight)

        seek = self.seek.valid
        transfer = self.valid & self.ready
        held = Signal(bits)
        next_read = Signal(bits)
        m.d.comb += [
            self.seek.ready.eq(1),
            held.eq(requested - base),
            more.eq(active & ~(self.end_valid & (requested >= self.end))),
            self.power.eq(more | (in_flight != 0)),
            self.enable.eq(more & self.mram_ready & ~seek & (held != capacity)),
            self.request.eq(requested),
            self.write.eq(self.arrived & (abandoned == 0)),
            self.write_slot.eq(stored),
            next_read.eq(Mux(self.rewind, base, read + transfer)),
            # The port reads the next word while this one leaves, and holds its output otherwise.
            self.fetch.eq(transfer | self.rewind | ~self.valid),
            self.read_slot.eq(next_read),
            self.address.eq(read),
        ]

        m.d.sync += [
            requested.eq(requested + self.enable),
            stored.eq(stored + self.write),
            in_flight.eq(in_flight + self.enable - self.arrived),
            abandoned.eq(abandoned - (self.arrived & (abandoned != 0))),
            self.reads.eq(Mux(self.clear, 0, self.reads) + self.enable),
            read.eq(next_read),
            # A word that is being stored at this edge is read at the next one.
            self.valid.eq(next_read != stored),
        ]
        with m.If(transfer & ~self.keep):
            m.d.sync += base.eq(read + 1)
        with m.If(self.stop):
            m.d.sync += active.eq(0)
        with m.If(seek):
            m.d.sync += [pointer.eq(self.seek.payload) for pointer in (base, read, stored)]
            m.d.sync += [
                requested.eq(self.seek.payload),
                self.valid.eq(0),
                abandoned.eq(in_flight - self.arrived),
                active.eq(1),
            ]

        to_read, to_stored, arriving = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            to_read.eq(read - base),
            to_stored.eq(stored - base),
            arriving.eq(requested - stored),
        ]
        # Clocked: settled values, not those in the middle of a simulator's delta cycles.
        m.d.sync += [
            Assert(~(self.rewind & transfer), "rewind in the cycle of a transfer"),
            Assert(~self.enable | self.mram_ready, "read from a sleeping MRAM"),
            Assert(held <= capacity, "more words requested than the ring holds"),
            Assert(to_read <= to_stored, "read pointer outside of the stored words"),
            Assert(to_stored <= held, "more words arrived than were requested"),
            Assert(abandoned <= in_flight, "more reads abandoned than are in flight"),
            Assert(in_flight - abandoned == arriving, "reads in flight do not add up"),
            Assert(~self.valid | (to_read != to_stored), "offers a word that is not there"),
        ]
        return m


class WeightCache(wiring.Component):
    """Prefetch a linear stream of MRAM words, and repeat stretches of it without fetching again.

    In the steady state one word a cycle moves from the MRAM to ``o``.  From ``seek`` to the first
    word it takes ``config.mram_latency + 3`` cycles when the MRAM is awake, and
    ``config.mram_wakeup`` more when it sleeps.

    Parameters
    ----------
    config : ChipConfig
        ``cache_kib`` and ``mram_kib`` must be powers of two, and the cache at most half as large.

    Members
    -------
    seek : In(stream.Signature(unsigned(config.mram_address_bits)))
        Forget everything, and stream from this MRAM word address; always ready.  Reads in flight
        are discarded when they return.  From the next cycle ``o`` belongs to the new stream.
    stop : In(1)
        Pulse: fetch no more, and let the MRAM sleep, until the next seek.  What is in the ring
        stays on offer.  A seek in the same cycle wins.
    end, end_valid : In
        While valid: read no word from MRAM address `end` on.  The MRAM sleeps when all words before
        it have arrived, and until a seek to a lower address.
    o : Out(stream.Signature(unsigned(128)))
        The next word of the stream.  A seek or a rewind withdraws an offer.
    keep : In(1)
        A word that is transferred while ``keep`` is 1 stays in the ring; one that is transferred
        while it is 0 leaves it, with all words before it: it is the new base's predecessor.  When
        the ring is full of kept words, no more arrive.
    rewind : In(1)
        Pulse, not in a cycle with a transfer: the base is the next word of the stream again.  It
        is on offer in the next cycle.
    address : Out(config.mram_address_bits)
        MRAM address of the word on offer, or of the next one to be.
    clear : In(1)
        Pulse: ``reads`` counts from zero again.
    reads : Out(32)
        Words requested from the MRAM.
    mram : Out(MramReadSignature(config))
        Towards the macro; ``power`` is 1 from seek to stop or end, and until all reads have
        returned.
    """

    def __init__(self, config: ChipConfig):
        check_sizes(config)
        self.config = config
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
                "mram": Out(MramReadSignature(config)),
            }
        )

    def elaborate(self, platform):
        """Connect the pointers to the storage and to the ports."""
        m = Module()
        m.submodules.control = control = RingControl(self.config)
        m.submodules.ring = ring = Memory(
            shape=unsigned(MRAM_WORD_BITS), depth=self.config.cache_words, init=[]
        )
        write_port, read_port = ring.write_port(), ring.read_port()

        m.d.comb += [
            control.seek.valid.eq(self.seek.valid),
            control.seek.payload.eq(self.seek.payload),
            self.seek.ready.eq(control.seek.ready),
            control.stop.eq(self.stop),
            control.end.eq(self.end),
            control.end_valid.eq(self.end_valid),
            control.keep.eq(self.keep),
            control.rewind.eq(self.rewind),
            control.clear.eq(self.clear),
            self.address.eq(control.address),
            self.reads.eq(control.reads),
            self.mram.power.eq(control.power),
            self.mram.enable.eq(control.enable),
            self.mram.address.eq(control.request),
            control.mram_ready.eq(self.mram.ready),
            control.arrived.eq(self.mram.valid),
            write_port.en.eq(control.write),
            write_port.addr.eq(control.write_slot),
            write_port.data.eq(self.mram.data),
            read_port.en.eq(control.fetch),
            read_port.addr.eq(control.read_slot),
            self.o.payload.eq(read_port.data),
            self.o.valid.eq(control.valid),
            control.ready.eq(self.o.ready),
        ]
        return m
