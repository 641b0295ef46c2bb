"""Weight cache: a prefetching ring buffer between the MRAM and the engine."""

from amaranth.hdl import Assert, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import ChipConfig
from hdl.engine.descriptor import WAKE_UNIT, Header
from hdl.mram.signals import MRAM_WORD_BITS, ReadError, ReadStream

__all__ = ["WAKE_MARGIN", "RingControl", "WeightCache"]

WAKE_MARGIN = 8
"""Cycles by which the next bank is woken earlier than its macro's own time: for its sequencer."""


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

    Words are requested in bursts, and only in a burst.  A seek begins one; `stop`, an error, and
    the end of what there is to request while `may_sleep` is 1 end it.  The next one begins when
    the ring holds no more words than the mark, and a quarter of it is free: then a burst is long
    against the time in which the MRAM wakes up and falls asleep.  A ring that has kept words does
    not wait for the quarter, as they leave no room until they have been read for the last time; so
    one with nothing to offer never waits: its words are kept ones, or it is empty.

    Members
    -------
    seek, stop, keep, rewind, address, clear, reads, wake_mark, may_sleep
        See `WeightCache`.
    failed, error_kind, error_address
        See `WeightCache`.
    valid : Out(1)
        The word at ``address`` is on the ring's read port.
    ready : In(1)
        Takes it.
    wake, wake_next, mram_ready, enable, request, arrived, arrived_error, mram_failed
        The stream's ``wake``, ``wake_next``, ``ready``, ``enable``, ``address``, ``valid``,
        ``error`` and ``failed``.
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
                "wake_mark": In(Header.as_shape()["wake_mark"].shape),
                "may_sleep": In(1),
                "failed": Out(1),
                "error_kind": Out(ReadError),
                "error_address": Out(address),
                "valid": Out(1),
                "ready": In(1),
                "wake": Out(1),
                "wake_next": Out(1),
                "mram_ready": In(1),
                "enable": Out(1),
                "request": Out(address),
                "arrived": In(1),
                "arrived_error": In(1),
                "mram_failed": In(1),
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

        active, more, full, burst = Signal(), Signal(), Signal(), Signal()
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
        bad, lost = Signal(), Signal()
        m.d.comb += [
            self.seek.ready.eq(1),
            held.eq(requested - base),
            full.eq(held == capacity),
            more.eq(active & ~(self.end_valid & (requested >= self.end))),
            self.wake.eq(burst | (in_flight != 0)),
            self.enable.eq(burst & more & self.mram_ready & ~seek & ~full),
            self.request.eq(requested),
            self.write.eq(self.arrived & (abandoned == 0) & ~self.arrived_error),
            bad.eq(self.arrived & (abandoned == 0) & self.arrived_error),
            # Reads before it may still bring an error of their own, at an earlier address.
            lost.eq(burst & more & ~full & self.mram_failed & (in_flight == 0)),
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
        self.gate(m, burst=burst, more=more, full=full, held=held, base=base, read=read,
                  stored=stored, requested=requested)  # fmt: skip
        with m.If(self.stop | bad | lost):
            m.d.sync += [active.eq(0), burst.eq(0)]
        with m.If(self.clear):
            m.d.sync += [self.failed.eq(0), self.error_kind.eq(ReadError.NONE)]
        with m.If(bad | lost):
            m.d.sync += [
                self.failed.eq(1),
                self.error_kind.eq(Mux(bad, ReadError.UNCORRECTABLE, ReadError.NO_WAKE)),
                self.error_address.eq(stored),
                # What has been requested behind the word is as good as a stream that was left.
                requested.eq(stored),
                abandoned.eq(in_flight + self.enable - self.arrived),
            ]
        with m.If(seek):
            m.d.sync += [pointer.eq(self.seek.payload) for pointer in (base, read, stored)]
            m.d.sync += [
                requested.eq(self.seek.payload),
                self.valid.eq(0),
                abandoned.eq(in_flight - self.arrived),
                active.eq(1),
                burst.eq(1),
                self.failed.eq(0),
                self.error_kind.eq(ReadError.NONE),
            ]

        to_read, to_stored, arriving = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            to_read.eq(read - base),
            to_stored.eq(stored - base),
            arriving.eq(requested - stored),
        ]
        # The consumer could have had a word for a cycle: time enough to begin a burst.
        waiting, waited = Signal(), Signal()
        m.d.comb += waiting.eq(more & ~full & ~self.valid)
        m.d.sync += waited.eq(waiting)
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
            Assert(~burst | active, "a burst of no stream"),
            Assert(~self.enable | burst, "read outside of a burst"),
            Assert(self.wake | (in_flight == 0), "asleep with reads in flight"),
            Assert(self.wake | ~(waiting & waited), "asleep while the consumer waits"),
            Assert(~self.wake_next | self.wake, "wakes the next bank, and not this one"),
            Assert(self.failed == (self.error_kind != ReadError.NONE), "an error of no kind"),
            Assert(~self.failed | ~active, "fetches after an error"),
            Assert(~self.failed | (arriving == 0), "expects words after an error"),
            Assert(~self.failed | (stored == self.error_address), "stored words after an error"),
        ]
        return m

    def gate(self, m, *, burst, more, full, held, base, read, stored, requested) -> None:
        """Begin and end bursts, and wake the next bank ahead of the crossing."""
        config, bits = self.config, self.config.mram_address_bits
        capacity, bank_bits = config.cache_words, config.mram_bank_address_bits

        ahead = Signal(bits)
        room, hungry = Signal(), Signal()
        m.d.comb += [
            ahead.eq(stored - read),
            room.eq((held <= capacity - capacity // 4) | (base != read)),
            hungry.eq(more & ~full & room & (ahead <= self.wake_mark * WAKE_UNIT)),
        ]
        with m.If(hungry):
            m.d.sync += burst.eq(1)
        with m.Elif(self.may_sleep & (full | ~more)):
            m.d.sync += burst.eq(0)

        # Words before the next bank, and its first address: one bit more, not to wrap around.
        before = Signal(range((1 << bank_bits) + 1))
        boundary = Signal(bits + 1)
        m.d.comb += [
            before.eq((1 << bank_bits) - requested[:bank_bits]),
            boundary.eq((requested[bank_bits:] + 1) << bank_bits),
            self.wake_next.eq(
                burst
                & more
                & (before <= config.mram_wakeup + WAKE_MARGIN)
                & (before < capacity - held)
                & ~(self.end_valid & (boundary >= self.end))
            ),
        ]


class WeightCache(wiring.Component):
    """Prefetch a linear stream of MRAM words, and repeat stretches of it without fetching again.

    In the steady state one word a cycle moves from the MRAM to ``o``.  From ``seek`` to the first
    word it takes ``config.mram_latency + 3`` cycles when the MRAM is awake, and the time that it
    takes to wake up more when it sleeps.  It may sleep between bursts: see `RingControl`.

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
        While valid: read no word from MRAM address `end` on.
    wake_mark : In(7)
        A burst begins when at most ``wake_mark * WAKE_UNIT`` words are left to be taken, see
        `hdl.engine.descriptor.Header`.  May change at any time.
    may_sleep : In(1)
        The burst ends in a cycle in which this is 1 and the ring is full or everything before
        ``end`` has been requested.  Constantly 1 for gating per burst, a pulse at the end of each
        layer for gating per layer, 0 for an MRAM that is awake from seek to stop.
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
    failed : Out(1)
        A word of the stream cannot be read: nothing more is fetched until a seek.  The words before
        it stay on offer, it and what follows never are.  A seek or ``clear`` resets it.
    error_kind : Out(ReadError)
        Why; NONE unless ``failed``.
    error_address : Out(config.mram_address_bits)
        While ``failed``: MRAM address of that word.
    mram : Out(ReadStream(config))
        Towards the controller; ``wake`` is 1 during bursts, and until all reads have returned.
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
                "wake_mark": In(Header.as_shape()["wake_mark"].shape),
                "may_sleep": In(1),
                "failed": Out(1),
                "error_kind": Out(ReadError),
                "error_address": Out(config.mram_address_bits),
                "mram": Out(ReadStream(config)),
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
            control.wake_mark.eq(self.wake_mark),
            control.may_sleep.eq(self.may_sleep),
            self.failed.eq(control.failed),
            self.error_kind.eq(control.error_kind),
            self.error_address.eq(control.error_address),
            self.mram.wake.eq(control.wake),
            self.mram.wake_next.eq(control.wake_next),
            self.mram.enable.eq(control.enable),
            self.mram.address.eq(control.request),
            control.mram_ready.eq(self.mram.ready),
            control.arrived.eq(self.mram.valid),
            control.arrived_error.eq(self.mram.error),
            control.mram_failed.eq(self.mram.failed),
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
