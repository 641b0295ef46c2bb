"""cocotb bench: `hdl.mram.MramMacro` against a dictionary and a delay line."""

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from verif.bench import parameters, start

CYCLES = 10_000
READ_PROBABILITY = 0.7
WRITE_PROBABILITY = 0.2
MIN_SLEEPS = 20


def reset_inputs(dut) -> None:
    """Drive every input to a defined, idle value."""
    dut.read__power.value = 0
    dut.read__enable.value = 0
    dut.read__address.value = 0
    dut.write__enable.value = 0
    dut.write__address.value = 0
    dut.write__data.value = 0


def random_word(rng: np.random.Generator) -> int:
    """128 random bits."""
    return int.from_bytes(rng.bytes(16), "little")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def matches_model(dut) -> None:
    """Random power, reads and writes: data, latency and wake-up time are exact."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    latency, wakeup = parameters()["latency"], parameters()["wakeup"]
    reset_inputs(dut)
    await start(dut)

    contents = dict.fromkeys(range(1 << len(dut.read__address)), 0)
    for address in contents:
        contents[address] = random_word(rng)
        dut.write__enable.value = 1
        dut.write__address.value = address
        dut.write__data.value = contents[address]
        await RisingEdge(dut.clk)

    returning: deque[int | None] = deque([None] * latency)
    awake_for, stay, power = 0, 0, False
    reads = writes = sleeps = longest_burst = burst = 0
    for _ in range(CYCLES):
        in_flight = {word for word in returning if word is not None}
        if stay == 0 and not (power and in_flight):
            power = not power
            sleeps += not power
            stay = int(2 ** rng.uniform(0, 9))
        stay = max(0, stay - 1)

        ready = power and awake_for >= wakeup
        enable = ready and stay > 0 and bool(rng.random() < READ_PROBABILITY)
        address = int(rng.integers(len(contents)))
        written = int(rng.integers(len(contents)))
        write = bool(rng.random() < WRITE_PROBABILITY) and written not in in_flight | {address}
        data = random_word(rng)
        dut.read__power.value = power
        dut.read__enable.value = enable
        dut.read__address.value = address
        dut.write__enable.value = write
        dut.write__address.value = written
        dut.write__data.value = data
        await RisingEdge(dut.clk)

        assert dut.read__ready.value == ready
        expected = returning.popleft()
        assert dut.read__valid.value == (expected is not None)
        if expected is not None:
            assert dut.read__data.value.to_unsigned() == contents[expected]
        returning.append(address if enable else None)
        if write:
            contents[written] = data
        awake_for = awake_for + 1 if power else 0
        reads, writes = reads + enable, writes + write
        burst = burst + 1 if enable else 0
        longest_burst = max(longest_burst, burst)

    assert reads > CYCLES // 8
    assert writes > CYCLES // 10
    assert sleeps > MIN_SLEEPS, "the macro hardly slept"
    assert longest_burst > latency, "reads never filled the pipeline"
