"""cocotb bench: `hdl.mram.WeightCache` on a behavioural controller against a model of the stream.

The design under test is `tests.read_stream.CachedStream`, the two together, with the members of
both; the ports between the two are outputs.
"""

import cocotb

from hdl.mram.signals import ReadError
from verif.cache_stream import Bench, Episode, Surroundings

RANDOM_CYCLES = 24000
EPISODE_CYCLES = 200
SEEK_PROBABILITY = 0.005
EARLY_SEEK_PROBABILITY = 0.1
STOP_PROBABILITY = 0.003
MIN_EVENTS = 4
FIRST_WORD_CYCLES = 3
"""From seek to the first word, without the latency and the wake-up time of the MRAM."""


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_use_matches_model(dut) -> None:
    """Any mixture of seek, stop, keep, rewind, stalls, sleep and errors gives the right words."""
    bench = Bench(dut)
    rng = bench.rng
    around = Surroundings(bench)
    await bench.start()
    events = ["moved", "seek", "early_seek", "rewind", "stop", "sleep", "crossing", "next_awake"]
    count = dict.fromkeys([*events, "dropped_error", *(kind.name for kind in ReadError)], 0)
    episode = Episode.draw(rng)
    since_seek, wake_before, failed = -1, False, False
    for cycle in range(RANDOM_CYCLES):
        if cycle % EPISODE_CYCLES == 0:
            episode = Episode.draw(rng)
            around.draw()
        chance = rng.random(5).tolist()
        # A seek soon after another one finds reads in flight; one soon after a stop, too.
        early = since_seek < 2 * bench.config["latency"]
        seek = chance[0] < (EARLY_SEEK_PROBABILITY if early else SEEK_PROBABILITY) or cycle == 0
        rewind = chance[1] < episode.rewind
        stop = chance[2] < STOP_PROBABILITY
        count["early_seek"] += seek and 0 < since_seek < bench.config["latency"]
        since_seek = 0 if seek else since_seek + 1
        address = bench.random_address()
        around.cycle()
        before = bench.read
        moved = await bench.cycle(
            seek=address if seek else None,
            ready=chance[3] < episode.ready and not rewind,
            keep=chance[4] < episode.keep,
            rewind=rewind,
            stop=stop,
        )
        failed_now = around.check(since_seek)
        count["dropped_error"] += (
            dut.mram__error.value == 1 and since_seek < bench.config["latency"]
        )
        if failed_now and not failed:
            count[around.kind.name] += 1
        failed = failed_now
        wake = dut.mram__wake.value == 1
        count["sleep"] += wake_before and not wake
        count["crossing"] += moved and before // bench.bank != bench.read // bench.bank
        count["next_awake"] += dut.mram__wake_next.value == 1
        wake_before = wake
        if seek:
            around.seek(address)
        count["moved"] += moved
        for name, happened in (("seek", seek), ("rewind", rewind), ("stop", stop)):
            count[name] += happened
    dut._log.info("seed %d: %s", cocotb.RANDOM_SEED, count)
    del count[ReadError.NONE.name]
    assert count.pop("moved") > RANDOM_CYCLES // 10
    assert count.pop("early_seek") > 0
    assert count.pop("dropped_error") > 0
    assert min(count.values()) >= MIN_EVENTS


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def streams_one_word_a_cycle(dut) -> None:
    """N words take N cycles after the first one, also across banks, asleep or awake before."""
    bench = Bench(dut)
    count = min(2 * bench.bank, 4 * bench.config["capacity"])
    first = FIRST_WORD_CYCLES + bench.config["latency"]
    address = 3 * bench.bank - count // 2
    await bench.start()
    for asleep in (True, False):
        assert dut.mram__wake.value == (not asleep)
        await bench.cycle(seek=address, clear=True)
        wakeup = bench.config["wakeup"] if asleep else 0
        # The seek's own cycle is one of those that pass before the first word.
        assert await bench.take(count) == first - 1 + wakeup + count
        await bench.cycle(seek=address)  # its bank is awake before the next round begins
        await bench.take(1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def kept_words_are_read_once(dut) -> None:
    """A kept stretch that fits the ring repeats at full speed, and costs no further reads."""
    bench = Bench(dut)
    capacity = bench.config["capacity"]
    await bench.start()
    await bench.cycle(seek=3, clear=True)
    await bench.take(5)
    await bench.take(capacity, keep=True)
    # The ring holds nothing but kept words: nothing moves, nothing is read.
    assert await bench.cycles(20, ready=True, keep=True) == 0
    assert bench.reads() == 5 + capacity
    for _ in range(3):
        await bench.cycle(rewind=True)
        assert await bench.take(capacity, keep=True) == capacity
    assert bench.reads() == 5 + capacity
    # The last time without keeping: the ring refills while the stretch is read.
    await bench.cycle(rewind=True)
    assert await bench.take(2 * capacity) <= 2 * capacity + 1
    await bench.cycles(capacity + 20)
    assert bench.reads() == 5 + 3 * capacity
    await bench.cycle(clear=True)
    await bench.cycle()
    assert bench.reads() == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stop_lets_the_mram_sleep(dut) -> None:
    """After a stop the reads in flight return, the power falls, and the ring stays on offer."""
    bench = Bench(dut)
    taken, latency = 10, bench.config["latency"]
    await bench.start()
    await bench.cycle(seek=0, clear=True)
    await bench.take(taken)
    await bench.cycle(stop=True)
    await bench.cycles(latency + 1)
    assert dut.mram__wake.value == 0
    reads = bench.reads()
    assert reads > taken
    assert await bench.cycles(2 * reads, ready=True) == reads - taken
    assert dut.mram__wake.value == 0
    assert bench.reads() == reads
    await bench.cycle(seek=50)
    await bench.take(taken)
    assert dut.mram__wake.value == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_is_read_beyond_the_end(dut) -> None:
    """All words before the end arrive and none behind it; the MRAM may sleep until a seek back."""
    bench = Bench(dut)
    taken = 3
    count = 20 + 2 * bench.config["latency"]  # the end is told before it is reached
    first = bench.bank - count  # not even the bank behind it is woken
    await bench.start()
    dut.may_sleep.value = 1
    dut.end.value = bench.bank
    await bench.cycle(seek=first, clear=True)
    await bench.take(taken)
    dut.end_valid.value = 1  # as a descriptor tells it: after the stream has begun
    await bench.cycle()
    for _ in range(bench.config["latency"] + count):
        await bench.cycle()
        assert dut.mram__wake_next.value == 0
    assert bench.reads() == count
    assert dut.mram__wake.value == 0
    assert await bench.cycles(2 * count, ready=True) == count - taken
    await bench.cycle(seek=first)
    await bench.take(count)
    assert bench.reads() == 2 * count
    assert not any([await bench.cycle(ready=True) for _ in range(count)])
    assert dut.mram__wake.value == 0
    # While it may not sleep it stays awake behind the end.
    dut.may_sleep.value = 0
    await bench.cycle(seek=first)
    await bench.take(count)
    await bench.cycles(count)
    assert dut.mram__wake.value == 1
    dut.may_sleep.value = 1  # a pulse is enough
    await bench.cycle()
    dut.may_sleep.value = 0
    await bench.cycles(2)
    assert dut.mram__wake.value == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_mark_hides_the_wakeup(dut) -> None:
    """A mark of as many words as the formula of docs/mram.md says is enough, one less is not."""
    bench = Bench(dut)
    capacity, latency = bench.config["capacity"], bench.config["latency"]
    await bench.start()
    dut.may_sleep.value = 1
    for units in (1, 2, capacity // 16):
        hidden = 8 * units - latency - 3
        for wakeup, gap in ((hidden, 0), (hidden + 1, 1)):
            if wakeup < 0:
                continue
            await bench.cycle(stop=True)
            await bench.cycles(latency + 1)
            dut.wakeup.value = wakeup
            dut.wake_mark.value = units
            await bench.cycle(seek=0)
            await bench.cycles(wakeup + capacity + 2 * latency + 3)
            assert dut.mram__wake.value == 0
            # The last unmarked word leaves; the bank wakes up while the marked ones do.
            assert await bench.take(capacity - 8 * units) == capacity - 8 * units
            assert dut.mram__wake.value == 0
            assert await bench.take(capacity) == capacity + gap


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bursts_are_long_unless_words_are_kept(dut) -> None:
    """Below the mark the MRAM sleeps until a quarter of the ring is free, but not if it starves."""
    bench = Bench(dut)
    capacity = bench.config["capacity"]
    quarter = capacity // 4
    settle = bench.config["wakeup"] + capacity + 2 * bench.config["latency"] + 3
    await bench.start()
    dut.wake_mark.value = 127  # more than all
    dut.may_sleep.value = 1
    for keep in (False, True):
        await bench.cycle(seek=0, clear=True)
        await bench.cycles(settle)
        assert bench.reads() == capacity
        await bench.take(quarter - 1)
        if keep:  # no more room comes while words are kept
            await bench.take(1, keep=True)
        await bench.cycles(settle)
        assert bench.reads() == capacity + (quarter - 1 if keep else 0)
        await bench.take(1, keep=keep)
        await bench.cycles(settle)
        assert bench.reads() == capacity + (quarter - 1 if keep else quarter)
        assert dut.mram__wake.value == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_next_bank_wakes_only_if_it_is_reached(dut) -> None:
    """A ring that is full at the end of a bank leaves the next one asleep; a word more does not."""
    bench = Bench(dut)
    capacity = bench.config["capacity"]
    settle = bench.config["wakeup"] + capacity + 2 * bench.config["latency"]
    await bench.start()
    for beyond in (0, 1):
        await bench.cycle(seek=bench.bank - capacity + beyond)
        woken = 0
        for _ in range(settle):
            await bench.cycle()
            woken += dut.mram__wake_next.value == 1
        assert (woken > 0) == (beyond > 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_error_stays_until_clear_or_seek(dut) -> None:
    """The words before a bad one move, the MRAM sleeps, and nothing is fetched until a seek."""
    bench = Bench(dut)
    good = 5
    await bench.start()
    dut.bad.value = good
    for again in ("clear", "seek"):
        dut.bad_valid.value = 1
        await bench.cycle(seek=0)
        await bench.cycles(bench.config["wakeup"] + good + 3 * bench.config["latency"] + 3)
        assert dut.failed.value == 1
        assert dut.error_kind.value.to_unsigned() == ReadError.UNCORRECTABLE.value
        assert dut.error_address.value.to_unsigned() == good
        assert dut.mram__wake.value == 0
        assert await bench.cycles(3 * good, ready=True) == good
        dut.bad_valid.value = 0
        await bench.cycle(clear=True) if again == "clear" else await bench.cycle(seek=0)
        await bench.cycle()
        assert dut.failed.value == 0
        assert dut.error_kind.value.to_unsigned() == ReadError.NONE.value
        assert dut.mram__wake.value == (again == "seek")
    await bench.take(2 * good)
