"""cocotb bench: `hdl.engine.vector.Vector` against `models.engine.vector`."""

from collections import Counter
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from hdl.config import ACT_BANKS, CONFIGS, ChipConfig
from hdl.engine.drain import BankWrite
from models.engine.vector import AS_THEY_ARE, FUNCTIONS, locate, output_coordinates, run_vector
from verif.bench import coin, parameters, start
from verif.stream import StreamPort, StreamSource, check_stream_rules
from verif.vector_jobs import KINDS, Stimulus, describe, random_job
from verif.vector_rates import Rate, rates

JOBS_EACH = 16
"""Of every function, in each row of the stall matrix: all combinations of widths, twice."""

CYCLES_PER_ELEMENT = 40
CYCLES_PER_JOB = 2000
"""Limits, far beyond what any job takes."""

MIN_INSIDE = 0.3
"""Of the results of a function, those that are not clamped, as a mean over its jobs."""

MIN_DISTINCT = 20
"""Of the results of a function, summed over its jobs."""


class Memory:
    """Activation banks: reads in the cycle after; a write waits for reads of its bank, and more."""

    def __init__(self, dut, rng: np.random.Generator, config: ChipConfig, refused: Iterator[bool]):
        self.dut, self.config, self.refused = dut, config, refused
        shape = (ACT_BANKS, config.bank_words, config.rows)
        self.words = rng.integers(0, 256, shape).astype(np.uint8)
        self.enables = [dut[f"banks__{b}__enable"] for b in range(ACT_BANKS)]
        self.addresses = [dut[f"banks__{b}__address"] for b in range(ACT_BANKS)]
        self.data = [dut[f"banks__{b}__data"] for b in range(ACT_BANKS)]
        self.reads = self.writes = 0
        self.layout = BankWrite(config).members["word"].signature.members["payload"].shape
        dut.write__word__ready.value = 0
        cocotb.start_soon(check_stream_rules(StreamPort(dut, "write__word")))

    async def cycle(self) -> None:
        """Let a cycle pass."""
        dut, rows = self.dut, self.config.rows
        await FallingEdge(dut.clk)
        enables = [enable.value == 1 for enable in self.enables]
        writing = dut.write__word__valid.value == 1
        bits = dut.write__word__payload.value.to_unsigned() if writing else 0
        ready = not enables[bits % ACT_BANKS] and not next(self.refused)
        dut.write__word__ready.value = ready
        places = [
            self.words[b, address.value.to_unsigned()] if enable else None
            for b, (enable, address) in enumerate(zip(enables, self.addresses, strict=True))
        ]
        await RisingEdge(dut.clk)
        for data, word in zip(self.data, places, strict=True):
            if word is not None:
                data.value = int.from_bytes(word.tobytes(), "little")
                self.reads += 1
        if writing and ready:
            word = self.layout.from_bits(bits)
            mask = np.array([word.mask >> i & 1 for i in range(rows)], bool)
            written = np.frombuffer(word.data.to_bytes(rows, "little"), np.uint8)
            assert mask.any(), "a write of nothing"
            self.words[word.bank, word.address][mask] = written[mask]
            self.writes += 1


async def run_job(dut, memory: Memory, stimulus: Stimulus, words: StreamSource) -> int:
    """Run a job, compare the whole memory; return the cycles that it took."""
    job = stimulus.job
    expected = run_vector(job, memory.words, stimulus.payload)
    dut.job.value = describe(stimulus)
    dut.start.value = 1
    sending = cocotb.start_soon(words.send(stimulus.words))
    await memory.cycle()
    assert dut.busy.value == 0
    dut.start.value = 0
    cycles = 0
    while cycles == 0 or dut.busy.value == 1:
        await memory.cycle()
        cycles += 1
        assert cycles < CYCLES_PER_JOB + CYCLES_PER_ELEMENT * job.elements, stimulus
    assert sending.done(), "words of the payload are left"
    wrong = np.argwhere(memory.words != expected)
    assert not len(wrong), (stimulus, len(wrong), wrong[:4], job.elements)
    return cycles


def results(stimulus: Stimulus, memory: Memory) -> list[int]:
    """What the job has written, int8 or int16."""
    job = stimulus.job
    planes = [memory.words[at] for at in locate(job.out, output_coordinates(job), memory.words)]
    raw = np.stack(planes, axis=1)
    return raw.view("<i2" if job.out.wide else "i1").reshape(-1).tolist()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(word_stall=[0.0, 0.6], write_stall=[0.0, 0.6])
async def matches_model(dut, word_stall: float, write_stall: float) -> None:
    """Jobs of every function and every walk, one after another."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    config = CONFIGS[parameters()["config"]]
    memory = Memory(dut, rng, config, coin(rng, write_stall))
    words = StreamSource(dut, "words", coin(rng, word_stall))
    dut.start.value = 0
    await start(dut)
    kinds, distinct = Counter(), Counter()
    inside = dict.fromkeys(FUNCTIONS, 0.0)
    for turn in rng.permutation(JOBS_EACH * len(FUNCTIONS)).tolist():
        number, function = turn // len(FUNCTIONS), FUNCTIONS[turn % len(FUNCTIONS)]
        kind = KINDS[turn % len(KINDS)]
        stimulus = random_job(rng, config, memory.words, function, kind, number)
        await run_job(dut, memory, stimulus, words)
        job, values = stimulus.job, results(stimulus, memory)
        kinds[kind] += function != "load"
        unclamped = [job.out_min < value < job.out_max for value in values]
        inside[function] += sum(unclamped) / len(unclamped)
        distinct[function] += len(set(values))
        for _ in range(int(rng.integers(0, 3))):
            await memory.cycle()
            assert dut.busy.value == 0
    dut._log.info("seed %d: %s, %s, %s", cocotb.RANDOM_SEED, kinds, inside, distinct)
    assert all(kinds[kind] for kind in KINDS), kinds
    for function in FUNCTIONS:
        assert distinct[function] >= MIN_DISTINCT, (function, distinct)
        if function not in AS_THEY_ARE:
            assert inside[function] > MIN_INSIDE * JOBS_EACH, (function, inside)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(rate=[rate.name for rate in rates()])
async def keeps_its_rate(dut, rate: str) -> None:
    """Cycles of long jobs without stalls but those that their own reads cause."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    config = CONFIGS[parameters()["config"]]
    memory = Memory(dut, rng, config, coin(rng, 0.0))
    words = StreamSource(dut, "words")
    dut.start.value = 0
    await start(dut)
    (chosen,) = (each for each in rates() if each.name == rate)
    cycles = await run_job(dut, memory, chosen.stimulus(rng, config, memory.words), words)
    report(dut, chosen, config, cycles)


def report(dut, rate: Rate, config: ChipConfig, cycles: int) -> None:
    """Log the figure and hold it against its bar."""
    each = (cycles - rate.overhead) / rate.elements
    dut._log.info(
        "rate %s %s: %d cycles, %d elements, %.3f each beyond %d",
        config.name, rate.name, cycles, rate.elements, each, rate.overhead,
    )  # fmt: skip
    assert cycles <= rate.overhead + rate.limit(config) * rate.elements, (rate.name, cycles)
