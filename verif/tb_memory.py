"""cocotb bench: `hdl.engine.memory.ActivationMemory` against four arrays."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.config import ACT_BANKS, ChipConfig
from verif.bench import parameters, start
from verif.stream import StreamPort, check_stream_rules

EPISODES = 30
EPISODE_CYCLES = 200
MIN_EVENTS = 20
HOT_WORDS = 4
"""Addresses of an episode, few so that reads meet recent writes."""


@dataclass
class Episode:
    """What happens for a while: which words are touched, and how often."""

    addresses: list[int]
    read: float
    write: float

    @classmethod
    def draw(cls, rng: np.random.Generator, words: int) -> "Episode":
        """A few words, the first and the last more often than chance would have it."""
        hot = rng.integers(words, size=HOT_WORDS)
        hot[:2] = np.where(rng.random(2) < 1 / 2, [0, words - 1], hot[:2])
        return cls(hot.tolist(), float(rng.choice([0, 0.3, 0.8, 1])), float(rng.choice([0.3, 1])))


@dataclass(frozen=True)
class Write:
    """A word offered to the write port."""

    bank: int
    address: int
    number: int
    mask: int

    def over(self, old: int) -> int:
        """What the word becomes: bytes whose mask bit is clear stay."""
        octets = [i for i in range(self.mask.bit_length()) if self.mask >> i & 1]
        chosen = sum(0xFF << 8 * i for i in octets)
        return (self.number & chosen) | (old & ~chosen)


class Bench:
    """Contents, what each read port shows, and the write that waits."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.config = ChipConfig(**parameters()["config"])
        self.contents: list[dict[int, int]] = [{} for _ in range(ACT_BANKS)]
        self.shown: list[int | None] = [None] * ACT_BANKS
        self.segment_read: list[int | None] = [None] * ACT_BANKS
        self.on: set[int] = set()
        self.pending: Write | None = None
        self.waited = 0
        self.seen: Counter[str] = Counter()
        self.written_last: set[tuple[int, int]] = set()

    async def start(self) -> None:
        """Reset, with nothing going on."""
        dut = self.dut
        dut.host__enable.value = 0
        dut.write__word__valid.value = 0
        dut.host_ready.value = 1
        self.switch_on(range(self.config.bank_words))
        for bank in range(ACT_BANKS):
            dut[f"reads__{bank}__enable"].value = 0
        cocotb.start_soon(check_stream_rules(StreamPort(dut, "write__word")))
        await start(dut)

    def switch_on(self, addresses: Iterable[int]) -> None:
        """Only the segments of ``addresses`` are on, and that of the write that waits."""
        waiting = [] if self.pending is None else [self.pending.address]
        size = self.config.segment_words
        self.on = {address // size for address in (*addresses, *waiting)}
        self.dut.on.value = sum(1 << segment for segment in self.on)

    def random_word(self) -> int:
        """Contents of one word."""
        return int.from_bytes(self.rng.bytes(self.config.rows), "little")

    def expected(self, bank: int, address: int) -> int:
        """Contents; a word never written is zero."""
        return self.contents[bank].get(address, 0)

    def drive_write(self, episode: Episode) -> None:
        """Offer the word that waits, or perhaps a new one."""
        word = self.dut.write__word__payload
        if self.pending is None and self.rng.random() < episode.write:
            bank, rows = int(self.rng.integers(ACT_BANKS)), self.config.rows
            everything = (1 << rows) - 1
            mask = everything if self.rng.integers(2) else int(self.rng.integers(1 << rows))
            self.seen["some bytes"] += 0 < mask < everything
            address = int(self.rng.choice(episode.addresses))
            self.pending = Write(bank, address, self.random_word(), mask)
        self.dut.write__word__valid.value = self.pending is not None
        if self.pending is not None:
            pending, rows = self.pending, self.config.rows
            bits = pending.number | pending.mask << 8 * rows
            word.value = (
                pending.bank | (pending.address | bits << self.config.bank_address_bits) << 2
            )

    async def cycle(self, episode: Episode) -> None:
        """Random reads of all banks and at most one write; check what the ports show."""
        dut, seen = self.dut, self.seen
        self.drive_write(episode)
        self.switch_on(episode.addresses)
        reads: list[int | None] = [None] * ACT_BANKS
        for bank in range(ACT_BANKS):
            address = int(self.rng.choice(episode.addresses))
            enable = bool(self.rng.random() < episode.read)
            dut[f"reads__{bank}__enable"].value = enable
            dut[f"reads__{bank}__address"].value = address
            reads[bank] = address if enable else None
        await RisingEdge(dut.clk)

        for bank, shown in enumerate(self.shown):
            if shown is not None:
                received = dut[f"reads__{bank}__data"].value.to_unsigned()
                assert received == shown, f"bank {bank}: {received:#x}, not {shown:#x}"
        for bank, address in enumerate(reads):
            if address is not None:
                self.shown[bank] = self.expected(bank, address)
                segment = address // self.config.segment_words
                seen["other segment"] += self.segment_read[bank] not in (segment, None)
                self.segment_read[bank] = segment
                seen["read after write"] += (bank, address) in self.written_last
            else:
                seen["hold"] += self.shown[bank] is not None
        self.written_last = set()
        if self.pending is not None:
            self.check_write(reads)

    def check_write(self, reads: list[int | None]) -> None:
        """A write waits exactly while its bank is read; accepted, it is there in the next cycle."""
        assert self.pending is not None
        bank, address = self.pending.bank, self.pending.address
        assert self.dut.write__word__ready.value == (reads[bank] is None)
        if reads[bank] is not None:
            self.seen["conflict"] += 1
            self.seen["same word"] += reads[bank] == address
            self.waited += 1
            return
        self.contents[bank][address] = self.pending.over(self.expected(bank, address))
        self.written_last = {(bank, address)}
        self.seen["beside reads"] += any(read is not None for read in reads)
        self.seen["written after waiting"] += self.waited > 0
        self.pending, self.waited = None, 0

    async def host(self, bank: int, address: int, data: int | None = None) -> None:
        """One access of the host; the data of a read are in ``host.q`` in the next cycle."""
        dut = self.dut
        self.switch_on([address])
        dut.host__enable.value = 1
        dut.host__write.value = data is not None
        dut.host__bank.value = bank
        dut.host__address.value = address
        dut.host__data.value = data if data is not None else self.random_word()
        await RisingEdge(dut.clk)
        if data is not None:
            self.contents[bank][address] = data

    async def check_contents(self) -> None:
        """Read back every word ever written, and their neighbours, one a cycle."""
        dut = self.dut
        words = self.config.bank_words
        places = [
            (bank, (address + offset) % words)
            for bank, contents in enumerate(self.contents)
            for address in contents
            for offset in (0, 1)
        ]
        self.rng.shuffle(places)
        previous = None
        for place in [*places, places[0]]:
            await self.host(*place)
            if previous is not None:
                assert dut.host__q.value.to_unsigned() == self.expected(*previous), previous
            previous = place
        dut.host__enable.value = 0
        await RisingEdge(dut.clk)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def random_accesses_match_model(dut) -> None:
    """Reads of all banks against writes: every word arrives, once, at its place."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(EPISODES):
        episode = Episode.draw(bench.rng, bench.config.bank_words)
        for _ in range(EPISODE_CYCLES):
            await bench.cycle(episode)
    # The last write, if it waits, and an end to the reads.
    for _ in range(2):
        await bench.cycle(Episode([0], read=0, write=0))
    await bench.check_contents()
    dut._log.info("seed %d: %s", cocotb.RANDOM_SEED, dict(bench.seen))
    seen = bench.seen
    expected = {
        "hold", "read after write", "conflict", "same word", "beside reads",
        "written after waiting", "some bytes", "other segment",
    }  # fmt: skip
    if bench.config.segment_words >= bench.config.bank_words:  # there is one only
        assert seen.pop("other segment") == 0
        expected.remove("other segment")
    assert set(seen) == expected
    assert min(seen.values()) >= MIN_EVENTS, "something hardly happened"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def host_reaches_every_bank(dut) -> None:
    """The host's words are where the read ports find them, and the other way round."""
    bench = Bench(dut)
    await bench.start()
    words, size = bench.config.bank_words, bench.config.segment_words
    ends = {end for first in range(0, words, size) for end in (first, min(first + size, words) - 1)}
    places = [(bank, address) for bank in range(ACT_BANKS) for address in sorted(ends)]
    for place in places:
        await bench.host(*place, bench.random_word())
    dut.host__enable.value = 0
    for address in ends:
        await bench.cycle(Episode([address], read=1, write=0))
    await bench.cycle(Episode([0], read=0, write=0))
    await bench.check_contents()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def writes_move_every_cycle(dut) -> None:
    """A stream of writes to banks that are not read is never held up."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(EPISODE_CYCLES):
        await bench.cycle(Episode([0, 1], read=0, write=1))
        assert bench.pending is None
