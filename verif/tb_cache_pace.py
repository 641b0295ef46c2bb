"""cocotb bench: what gating per burst costs and saves, for consumers of a known pace.

The design under test is `tests.read_stream.PacedStream`, which counts by itself.  The figures go to
the file that the parameter ``figures`` names.
"""

import json
from pathlib import Path

import cocotb
from cocotb.triggers import RisingEdge, Timer

from verif.bench import CLOCK_NS, parameters, start

FIRST_WORD_CYCLES = 3
"""From ``ahead <= mark`` to the first new word, without latency and wake-up time."""
WAKE_UNIT = 8
MARK_LIMIT = 127
FASTEST_RANDOM = 4
"""Cycles a word of the random consumer, at least."""


def hiding_mark(config: dict, wakeup: int, period: int) -> int:
    """The mark that just hides a wake-up from a consumer, in units: formula of docs/mram.md."""
    window = wakeup + config["latency"] + FIRST_WORD_CYCLES
    words = -(-window // (period or FASTEST_RANDOM))
    return min(-(-words // WAKE_UNIT), MARK_LIMIT)


async def run(dut, *, words: int, wakeup: int, period: int, mark: int) -> dict[str, int]:
    """Stream ``words`` words from a sleeping MRAM to the last one's leaving; return the counters.

    The consumer begins when the ring is full and the MRAM asleep, as behind a long computation.
    """
    config = parameters()
    ring_cycles = wakeup + config["capacity"] + 2 * config["latency"] + FIRST_WORD_CYCLES
    # Time for the last ring to drain and for the bank to fall asleep before the next run.
    dut.pause.value = 1
    dut.counting.value = 0
    dut.wakeup.value = wakeup
    dut.period.value = period
    dut.wake_mark.value = mark
    dut.may_sleep.value = 1
    dut.end.value = words
    dut.end_valid.value = 1
    await Timer(2 * CLOCK_NS, "ns")
    await RisingEdge(dut.clk)
    reads_before = dut.reads.value.to_unsigned()
    dut.counting.value = 1
    dut.seek__payload.value = 0
    dut.seek__valid.value = 1
    await RisingEdge(dut.clk)
    dut.seek__valid.value = 0
    await Timer(CLOCK_NS * ring_cycles, "ns")
    assert dut.words.value.to_unsigned() == 0
    dut.pause.value = 0
    # The random consumer wants 64 cycles a word at most.
    cycles = 0
    while dut.words.value.to_unsigned() < words:
        assert cycles < words * (period or 64) + 100 * ring_cycles, "the stream stands still"
        step = config["capacity"] // 2
        await Timer(CLOCK_NS * step, "ns")
        cycles += step
    await RisingEdge(dut.clk)
    names = ("words", "stalls", "active", "bursts", "bank_cycles", "wrong")
    counts = {name: getattr(dut, name).value.to_unsigned() for name in names}
    assert counts["words"] == words
    assert counts["wrong"] == 0
    assert dut.reads.value.to_unsigned() - reads_before == words
    return counts


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def a_slow_consumer_lets_the_mram_sleep(dut) -> None:
    """Per burst, a word every 4 to 63 cycles: at most 1.25 active cycles a word, no stall."""
    config = parameters()
    for name in ("seek__valid", "seek__payload", "pause"):
        dut[name].value = 0
    await start(dut)
    mark = hiding_mark(config, config["wakeup"], 0)
    counts = await run(dut, words=config["words"], wakeup=config["wakeup"], period=0, mark=mark)
    ratio = counts["active"] / counts["words"]
    dut._log.info("%s: %.3f active cycles a word", counts, ratio)
    assert ratio <= config["bound"]
    assert counts["bank_cycles"] <= config["bound"] * counts["words"]
    assert counts["stalls"] == 0
    assert counts["bursts"] > 1


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def figures_of_steady_consumers(dut) -> None:
    """Words a burst, active cycles a word and stalls at several paces and wake-up times."""
    config = parameters()
    for name in ("seek__valid", "seek__payload", "pause"):
        dut[name].value = 0
    await start(dut)
    rows = []
    for wakeup in config["wakeups"]:
        for period in config["periods"]:
            row = {"wakeup": wakeup, "period": period}
            for hidden in (True, False):
                mark = hiding_mark(config, wakeup, period) if hidden else 0
                counts = await run(
                    dut, words=config["words"], wakeup=wakeup, period=period, mark=mark
                )
                if hidden:
                    row |= {"mark": mark, **counts}
                    assert counts["stalls"] == 0, row
                    # A burst is awake for its words, the wake-up, and the latency.
                    extra = wakeup + config["latency"]
                    assert counts["active"] == config["words"] + counts["bursts"] * extra, row
                else:
                    row["unmarked_stalls"] = counts["stalls"]
            rows.append(row)
    Path(config["figures"]).write_text(json.dumps(rows))
