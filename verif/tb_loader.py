"""cocotb bench: `hdl.engine.loader.Loader` against programs of `verif.program_stream`."""

from collections import Counter
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.config import CONFIGS
from hdl.engine.descriptor import WeightFormat
from verif.bench import coin, parameters, start
from verif.program_stream import CacheModel, Event, Program, random_program

PROGRAMS = 12
MOST_PROGRAMS = 10 * PROGRAMS
"""However long it takes until everything has happened."""
JOBS = 10
TAKEN_PROBABILITY = 0.1
KINDS = ("seek", "rewind", "descriptor", "parameters", "tiles", "table", "end")
"""Kinds of events, see `verif.program_stream.Event`."""
TILE_FORMAT, TILE_ONES, TILE_LAST = 128, 130, 131
"""Bits of a tile word."""


class Bench:
    """Cache, sinks and sequencer around the loader; compares every action with the program's."""

    def __init__(self, dut, rng: np.random.Generator, idle: float, stall: float):
        self.dut, self.rng = dut, rng
        self.cache = CacheModel(rng, idle)
        self.stalls: dict[str, Iterator[bool]] = {
            name: coin(rng, stall) for name in ("parameters", "tiles", "table")
        }
        self.seen: Counter = Counter()
        for port in (dut.start, dut.taken, dut.running, dut.words__valid):
            port.value = 0

    async def run(self, program: Program, *, takes: float) -> None:
        """Run a program to its end; a job is taken with probability ``takes`` in a cycle."""
        dut = self.dut
        self.cache.load(program)
        self.expected, self.jobs = iter(program.events), iter(program.jobs)
        self.running = self.ended = self.had_job = False
        self.end = program.here
        dut.program.value = program.start
        dut.start.value = 1
        self.started = True  # in this cycle, the end is still that of the program before
        while not self.ended:
            await self.cycle(takes)
            dut.start.value = 0
            self.started = False
            dut.program.value = int(self.rng.integers(0, 64))  # sampled with start
        await RisingEdge(dut.clk)
        assert dut.ended.value == 1
        assert next(self.expected, None) is None
        assert dut.words__ready.value == 0, "takes words after the end"

    async def cycle(self, takes: float) -> None:
        """Drive one cycle, sample it, and account for what happened in it."""
        dut, cache = self.dut, self.cache
        dut.words__valid.value = cache.valid
        # Whoever looks at a word that is not offered shall find another one each time.
        noise = int.from_bytes(self.rng.bytes(16), "little")
        dut.words__payload.value = cache.payload if cache.valid else noise
        dut.address.value = cache.address
        for name, stall in self.stalls.items():
            dut[f"{name}__ready"].value = not next(stall)
        dut.taken.value = self.had_job and not self.running and self.rng.random() < takes
        dut.running.value = self.running
        await RisingEdge(dut.clk)

        seek = dut.seek__payload.value.to_unsigned() if dut.seek__valid.value == 1 else None
        rewind, ready = dut.rewind.value == 1, dut.words__ready.value == 1
        keep = dut.keep.value == 1
        self.account(moved=ready and cache.valid, seek=seek, rewind=rewind)
        self.follow_job()
        cache.cycle(seek=seek, rewind=rewind, ready=ready, keep=keep)

    def account(self, *, moved: bool, seek: int | None, rewind: bool) -> None:
        """Compare this cycle's action, of which there is one at most, with the program's next."""
        dut, cache = self.dut, self.cache
        happened: list[Event] = []
        if seek is not None:
            happened.append(Event("seek", seek))
        if rewind:
            happened.append(Event("rewind"))
        if dut.stop.value == 1:
            happened.append(Event("end"))
            self.ended = True
        sinks = [
            name
            for name in self.stalls
            if dut[f"{name}__valid"].value == 1 and dut[f"{name}__ready"].value == 1
        ]
        keep = moved and dut.keep.value == 1
        for name in sinks:
            happened.append(self.transfer(name, moved)._replace(keep=keep))
        if moved and not sinks:
            assert not self.had_job, "reads a descriptor over one that was not taken"
            happened.append(Event("descriptor", cache.address, keep=keep))
        assert len(happened) <= 1, happened
        for event in happened:
            expected = next(self.expected)
            assert event == expected
            self.seen[event.kind, event.ones] += 1
            self.seen["kept"] += event.kind in ("descriptor", "table", "parameters") and event.keep
            self.seen[event.weight_format] += event.kind == "tiles" and not event.ones

    def transfer(self, name: str, moved: bool) -> Event:
        """What moved into a sink, with its payload checked."""
        payload = self.dut[f"{name}__payload"].value.to_unsigned()
        if name != "tiles":
            assert moved
            assert payload == self.cache.payload
            return Event(name, self.cache.address)
        ones, last = bool(payload >> TILE_ONES & 1), bool(payload >> TILE_LAST & 1)
        weight_format = WeightFormat(payload >> TILE_FORMAT & 0b11)
        assert moved != ones
        assert ones or payload & ((1 << TILE_FORMAT) - 1) == self.cache.payload
        return Event(name, self.cache.address, weight_format, ones=ones, last=last)

    def follow_job(self) -> None:
        """Check the job on offer and let the sequencer go on."""
        dut = self.dut
        valid = dut.job_valid.value == 1
        if dut.end_valid.value == 1 and not self.started:
            assert dut.end.value.to_unsigned() == self.end
        assert not valid or dut.end_valid.value == 1, "a job, but no end of the program"
        if valid and not self.had_job:
            self.offered = next(self.jobs)
        if valid:
            assert dut.job.value.to_unsigned() == self.offered
        else:
            assert not self.had_job, "the job vanished before it was taken"
        taken = dut.taken.value == 1
        self.had_job = valid and not taken
        self.running = taken or (self.running and self.rng.random() >= TAKEN_PROBABILITY)
        self.seen["taken"] += taken


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def words_reach_their_sinks(dut, idle: float, stall: float) -> None:
    """Programs one after another: each word in order to its sink, tiles again for each stripe."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    config = CONFIGS[parameters()["config"]]
    bench = Bench(dut, rng, idle, stall)
    await start(dut)
    needed = {("tiles", True), "kept", "moved", *WeightFormat}
    needed |= {(kind, False) for kind in KINDS}
    count = 0
    while count < (PROGRAMS if needed <= set(+bench.seen) else MOST_PROGRAMS):
        program = random_program(rng, config, int(rng.integers(1, JOBS)), int(rng.integers(0, 999)))
        bench.seen["moved"] += any(turn for _, turn in program.offers)
        await bench.run(program, takes=float(rng.choice([0.05, 1.0])))
        while bench.had_job or bench.running:  # a restart comes when everything is done
            await bench.cycle(1.0)
        assert next(bench.jobs, None) is None
        count += 1
    dut._log.info("seed %d: %s", cocotb.RANDOM_SEED, dict(bench.seen))
    missing = needed - set(+bench.seen)
    assert not missing, f"never happened: {missing}"
