"""cocotb bench: controller, scrubber and self-test on banks with faults (`FaultyMram`)."""

from collections import Counter

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram.signals import MRAM_CODE_BITS, WordOperation, WordStatus
from hdl.mram.word_unit import MAX_RETRIES
from verif.bench import parameters
from verif.faulty_bench import FaultyBench, decode, encode, half_of

READ, WRITE = WordOperation.READ, WordOperation.WRITE
DOUBLES = 150
WRITES = 120
BURST = 16
"""Of the scrubber, by default."""
MIN_EVENTS = 8
MOST_BITS = 6
"""Of a mask."""


def random_mask(rng: np.random.Generator, bits: int) -> int:
    """A mask of so many stored bits."""
    return sum(1 << int(bit) for bit in rng.choice(MRAM_CODE_BITS, bits, replace=False))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def corrects_every_single_bit(dut) -> None:
    """Each of the 144 stored bits, lost in some word: right data on both ways, and counted."""
    bench = FaultyBench(dut)
    await bench.start()
    corrected = 0
    for bit in range(MRAM_CODE_BITS):
        address, word = bench.random_address(), bench.random_word()
        await bench.program({address: encode(word)})
        await bench.flip(address, 1 << bit)
        status, data = await bench.operate(READ, address)
        assert (status, data) == (WordStatus.CORRECTED, word)
        assert await bench.stream_word(address) == (word, False)
        corrected += 2
        assert bench.count("corrected") == corrected
    assert bench.count("uncorrectable") == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def reports_every_double(dut) -> None:
    """Two wrong bits: reported if in one code word, corrected if in two; never taken for right."""
    bench = FaultyBench(dut)
    await bench.start()
    corrected = lost = 0
    for _ in range(DOUBLES):
        address, word = bench.random_address(), bench.random_word()
        first, second = bench.rng.choice(MRAM_CODE_BITS, 2, replace=False).tolist()
        await bench.program({address: encode(word)})
        await bench.flip(address, 1 << first | 1 << second)
        status, data = await bench.operate(READ, address)
        streamed = await bench.stream_word(address)
        if half_of(first) == half_of(second):
            assert status is WordStatus.UNCORRECTABLE
            assert streamed is not None
            assert streamed[1]
            lost += 2
        else:
            assert (status, data) == (WordStatus.CORRECTED, word)
            assert streamed == (word, False)
            corrected += 4
        assert bench.count("corrected") == corrected
        assert bench.count("uncorrectable") == lost
    assert min(corrected, lost) > DOUBLES // 3


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def retries_writes_that_fail(dut) -> None:
    """Some write pulses leave bits as they were: repeated, `MAX_RETRIES` times at most."""
    bench = FaultyBench(dut)
    await bench.start()
    seen: Counter[tuple[int, WordStatus]] = Counter()
    retries = 0
    wear = [0] * bench.banks
    for _ in range(WRITES):
        address = bench.random_address()
        bank = address // bench.bank_words
        old, word = bench.random_code(), bench.random_word()
        failing = int(bench.rng.integers(MAX_RETRIES + 3))
        mask = random_mask(bench.rng, int(bench.rng.integers(1, MOST_BITS)))
        await bench.program({address: old})
        await bench.fail(address, failing, mask)
        status, _ = await bench.operate(WRITE, address, word)
        # A pulse only fails to be seen if it leaves a bit that differs.
        bad = failing if (old ^ encode(word)) & mask else 0
        assert status is (WordStatus.OK if bad <= MAX_RETRIES else WordStatus.VERIFY_FAILED)
        retries += min(bad, MAX_RETRIES)
        wear[bank] += 1 + min(bad, MAX_RETRIES)
        assert bench.count("retries") == retries
        assert bench.count(f"wear__{bank}") == wear[bank]
        await bench.fail(address, 0, 0)
        seen[min(bad, MAX_RETRIES + 1), status] += 1
        if status is WordStatus.OK:
            assert await bench.operate(READ, address) == (WordStatus.OK, word)
    assert len(seen) == MAX_RETRIES + 2, seen
    assert min(seen.values()) >= MIN_EVENTS // 2, seen


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def finds_stuck_bits(dut) -> None:
    """A stuck bit: VERIFY_FAILED where it differs from what is written; READ corrects one."""
    bench = FaultyBench(dut)
    await bench.start()
    seen: Counter[tuple[WordStatus, WordStatus]] = Counter()
    for round_ in range(WRITES):
        address, word = bench.random_address(), bench.random_word()
        bank, offset = divmod(address, bench.bank_words)
        mask, value = random_mask(bench.rng, 1), bench.random_code()
        if round_ % 2:  # two, in one code word
            half = MRAM_CODE_BITS // 2
            bits = bench.rng.choice(half, 2, replace=False) + half * bench.rng.integers(2)
            mask = sum(1 << int(bit) for bit in bits)
            if round_ % 4 == 1:  # both differ from what is written
                value = encode(word) ^ mask
        bench.fault(bank, "stuck_address__1", offset)
        bench.fault(bank, "stuck_mask__1", mask)
        bench.fault(bank, "stuck_value__1", value)
        status, _ = await bench.operate(WRITE, address, word)
        code = encode(word)
        stored = code & ~mask | value & mask
        differs = stored != code
        assert status is (WordStatus.VERIFY_FAILED if differs else WordStatus.OK)
        expected, corrected, error = decode(stored)
        read, data = await bench.operate(READ, address)
        if error:
            assert read is WordStatus.UNCORRECTABLE
        else:
            assert expected == word == data
            assert read is (WordStatus.CORRECTED if corrected else WordStatus.OK)
        bench.fault(bank, "stuck_mask__1", 0)
        seen[status, read] += 1
    assert set(seen) == {
        (WordStatus.OK, WordStatus.OK),
        (WordStatus.VERIFY_FAILED, WordStatus.CORRECTED),
        (WordStatus.VERIFY_FAILED, WordStatus.UNCORRECTABLE),
    }, seen
    assert min(seen.values()) > MIN_EVENTS, seen


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def goes_on_around_a_deaf_bank(dut) -> None:
    """A bank that does not wake up fails on both ways; slow ones and all others do not."""
    bench = FaultyBench(dut)
    await bench.start()
    spare = parameters()["time_out"] - parameters()["wakeup"]
    for deaf in range(bench.banks):
        bench.fault(deaf, "deaf", 1)
        slow = (deaf + 1 + int(bench.rng.integers(bench.banks - 1))) % bench.banks
        bench.fault(slow, "slow", spare - 2)
        for bank in bench.rng.permutation(bench.banks).tolist():
            address = bank * bench.bank_words + int(bench.rng.integers(bench.bank_words))
            word = bench.random_word()
            written, _ = await bench.operate(WRITE, address, word)
            read = await bench.operate(READ, address)
            streamed = await bench.stream_word(address)
            if bank == deaf:
                assert written is read[0] is WordStatus.NO_WAKE
                assert streamed is None
            else:
                assert written is WordStatus.OK
                assert read == (WordStatus.OK, word)
                assert streamed == (word, False)
        bench.fault(deaf, "deaf", 0)
        bench.fault(slow, "slow", 0)
        # It is tried again, and works.
        assert (await bench.operate(READ, deaf * bench.bank_words))[0] is not WordStatus.NO_WAKE


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def scrubs_lost_bits(dut) -> None:
    """One pass writes single lost bits back and leaves doubles; after it the cells are right."""
    bench = FaultyBench(dut)
    await bench.start()
    codes = [encode(bench.random_word()) for _ in range(bench.words)]
    await bench.program(dict(enumerate(codes)))
    struck = bench.rng.permutation(bench.words)[: bench.words // 4].tolist()
    singles, doubles = struck[: len(struck) - 4], struck[len(struck) - 4 :]
    for address in singles:
        await bench.flip(address, 1 << int(bench.rng.integers(MRAM_CODE_BITS)))
    expected = list(codes)
    for address in doubles:
        expected[address] ^= 3
        await bench.flip(address, 3)
    dut.scrub.value = dut.idle.value = 1
    while bench.count("scrubbed") < bench.words:
        # The host comes in between, and its word is not overwritten with what was there before.
        for _ in range(int(bench.rng.integers(1, 400))):
            await RisingEdge(dut.clk)
        address, word = bench.random_address(), bench.random_word()
        expected[address] = encode(word)
        status, _ = await bench.operate(WRITE, address, word)
        assert status is WordStatus.OK
    dut.scrub.value = 0
    while dut.busy.value:
        await RisingEdge(dut.clk)
    assert await bench.peek_all() == expected
    assert bench.count("unrepaired") == 0
    # Those that the host wrote before were not found; some doubles were seen in a second pass.
    assert len(singles) * 3 // 4 < bench.count("repaired") <= len(singles)
    assert 1 <= bench.count("lost") <= 2 * len(doubles)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def scrubs_at_the_stated_rate(dut) -> None:
    """Cycles a word back to back, without errors, as docs/mram.md has them."""
    bench = FaultyBench(dut)
    await bench.start()
    await bench.program({a: encode(bench.random_word()) for a in range(bench.words)})
    dut.scrub.value = dut.idle.value = 1
    cycles = 0
    while bench.count("scrubbed") < bench.words:
        await RisingEdge(dut.clk)
        cycles += 1
    # Between two bursts the bank falls asleep.
    bursts = bench.words // BURST
    rest = cycles - bench.words * (parameters()["latency"] + 4)
    assert 0 <= rest <= bursts * (parameters()["wakeup"] + 4), rest


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def self_test_through_the_controller(dut) -> None:
    """A stuck bit in the cells is found at its address; protected and deaf banks are not tested."""
    bench = FaultyBench(dut)
    await bench.start()

    cycles = 0

    async def run(bank: int) -> tuple[bool, WordStatus, int]:
        dut.test_bank.value, dut.test_start.value = bank, 1
        await RisingEdge(dut.clk)
        dut.test_start.value = 0
        nonlocal cycles
        cycles = 0
        while not dut.test_done.value:
            await RisingEdge(dut.clk)
            cycles += 1
        await RisingEdge(dut.clk)
        status = WordStatus(dut.test_status.value.to_unsigned())
        return bool(dut.test_passed.value), status, dut.test_address.value.to_unsigned()

    before = await bench.peek_all()
    bank = int(bench.rng.integers(bench.banks))
    first = bank * bench.bank_words
    assert (await run(bank))[:2] == (True, WordStatus.OK)
    # As docs/mram.md has it; the rest is the wake-up.
    given = parameters()
    read_and_write = given["latency"] + 3 + given["write_cycles"] + 4
    rest = cycles - 5 * bench.bank_words * read_and_write
    assert 0 <= rest <= given["wakeup"] + MOST_BITS, rest
    after = await bench.peek_all()
    assert set(after[first : first + bench.bank_words]) == {0}, "the test left something else"
    del before[first : first + bench.bank_words], after[first : first + bench.bank_words]
    assert before == after, "the test has touched another bank"
    for value in (0, (1 << MRAM_CODE_BITS) - 1):
        offsets = sorted(bench.rng.choice(bench.bank_words, 2, replace=False).tolist())
        for slot, offset in enumerate(reversed(offsets)):
            bench.fault(bank, f"stuck_address__{slot}", offset)
            bench.fault(bank, f"stuck_mask__{slot}", random_mask(bench.rng, 1))
            bench.fault(bank, f"stuck_value__{slot}", value)
        assert await run(bank) == (False, WordStatus.OK, first + offsets[0])
    for slot in range(2):
        bench.fault(bank, f"stuck_mask__{slot}", 0)
    dut.protect.value = 1 << bank
    assert await run(bank) == (False, WordStatus.PROTECTED, first)
    dut.protect.value = 0
    bench.fault(bank, "deaf", 1)
    assert await run(bank) == (False, WordStatus.NO_WAKE, first)
