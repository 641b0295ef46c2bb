# amaranth: UnusedElaboratable=no

"""The MRAM's error-correcting code: model, hardware, and every single and double error."""

from itertools import combinations

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl.mram import secded as rtl
from hdl.mram.signals import MRAM_CODE_BITS, MRAM_WORD_BITS
from models.mram import secded as model
from verif.sim import simulation_seed

BLOCK = 72


def random_words(count):
    return np.random.default_rng(simulation_seed()).integers(0, 256, (count, 16), dtype=np.uint8)


def flips(*bits):
    """(18,): the given bits of a stored word."""
    return np.frombuffer(sum(1 << int(bit) for bit in bits).to_bytes(18, "little"), np.uint8)


def as_int(row):
    return int.from_bytes(row.tobytes(), "little")


def test_columns():
    assert model.COLUMNS == rtl.COLUMNS
    assert model.CHECK_INVERSION == rtl.CHECK_INVERSION
    assert len(set(model.COLUMNS)) == len(model.COLUMNS) == BLOCK
    assert all(column.bit_count() % 2 for column in model.COLUMNS)
    assert [sum(c >> row & 1 for c in model.COLUMNS[:64]) for row in range(8)] == [26] * 8
    assert model.COLUMNS[64:] == tuple(1 << k for k in range(8))


def test_code_words_do_not_change():
    """Images in the field hold them: the code, bit for bit."""
    words = np.frombuffer(bytes(range(16)) + b"\xff" * 16, np.uint8).reshape(2, 16)
    codes = model.encode(words)
    assert codes[0, :8].tolist() == list(range(8))
    assert codes[0, 9:17].tolist() == list(range(8, 16))
    assert codes[:, [8, 17]].tolist() == [[0x33, 0x44], [0x55, 0x55]]


def test_round_trip():
    words = random_words(17_000)
    decoded = model.decode(model.encode(words))
    assert (decoded.words == words).all()
    assert not decoded.corrected.any()
    assert not decoded.uncorrectable.any()


@pytest.mark.parametrize("half", [0, 1])
def test_every_single_error_is_corrected(half):
    words = random_words(BLOCK)
    wrong = np.stack([flips(BLOCK * half + bit) for bit in range(BLOCK)])
    decoded = model.decode(model.encode(words) ^ wrong)
    assert (decoded.words == words).all()
    assert (decoded.corrected == 1).all()
    assert not decoded.uncorrectable.any()


@pytest.mark.parametrize("half", [0, 1])
def test_every_double_error_is_detected(half):
    pairs = list(combinations(range(BLOCK * half, BLOCK * half + BLOCK), 2))
    assert len(pairs) == BLOCK * (BLOCK - 1) // 2
    words = random_words(len(pairs))
    decoded = model.decode(model.encode(words) ^ np.stack([flips(*pair) for pair in pairs]))
    assert decoded.uncorrectable.all()
    assert not decoded.corrected.any()


def test_one_error_in_each_half_is_corrected():
    words = random_words(BLOCK)
    wrong = np.stack([flips(bit, BLOCK + (bit * 5 + 3) % BLOCK) for bit in range(BLOCK)])
    decoded = model.decode(model.encode(words) ^ wrong)
    assert (decoded.words == words).all()
    assert (decoded.corrected == 2).all()


def test_nothing_but_zeros_or_ones_is_an_error():
    dead = np.array([[0] * 18, [0xFF] * 18], np.uint8)
    assert model.decode(dead).uncorrectable.all()
    half_dead = model.encode(random_words(2))
    half_dead[0, :9], half_dead[1, 9:] = 0, 0xFF
    assert model.decode(half_dead).uncorrectable.all()


def test_detects_what_a_triple_error_does():
    """Some triples are taken for single errors, as with any such code: how many is known."""
    triples = np.array(list(combinations(model.COLUMNS, 3)), np.uint8)
    syndromes = np.bitwise_xor.reduce(triples, axis=1)
    missed = np.isin(syndromes, model.COLUMNS).mean()
    assert 0.5 < missed < 0.6


@pytest.mark.parametrize(
    "array", [np.zeros((2, 17), np.uint8), np.zeros((2, 16), np.int8), np.zeros(16, np.uint8)]
)
def test_refuses_other_shapes_and_types(array):
    with pytest.raises(ValueError, match=r"expected uint8 of shape \(n, 16\), not"):
        model.encode(array)


class Code(wiring.Component):
    """Encoder and decoder with the errors of a channel between them."""

    word: In(MRAM_WORD_BITS)
    wrong: In(MRAM_CODE_BITS)
    code: Out(MRAM_CODE_BITS)
    data: Out(MRAM_WORD_BITS)
    corrected: Out(2)
    error: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = rtl.Decoder()
        stored = Signal(MRAM_CODE_BITS)
        m.d.comb += [
            self.code.eq(rtl.encode(self.word)),
            stored.eq(self.code ^ self.wrong),
            decoder.code.eq(stored),
            self.data.eq(decoder.data),
            self.corrected.eq(decoder.corrected),
            self.error.eq(decoder.error),
        ]
        return m


def test_hardware_matches_model():
    """All single and double errors of one half, random numbers of errors in both."""
    rng = np.random.default_rng(simulation_seed())
    wrong = [flips(), flips(*range(MRAM_CODE_BITS))]
    wrong += [flips(bit) for bit in range(MRAM_CODE_BITS)]
    wrong += [flips(*pair) for pair in combinations(range(BLOCK), 2)]
    wrong += [
        flips(*rng.choice(MRAM_CODE_BITS, size=int(2 ** rng.uniform(0, 7)), replace=False))
        for _ in range(1000)
    ]
    words, wrong = random_words(len(wrong)), np.stack(wrong)
    codes = model.encode(words)
    expected = model.decode(codes ^ wrong)
    dut, found = Code(), {}

    async def testbench(ctx):
        for n in range(len(words)):
            ctx.set(dut.word, as_int(words[n]))
            ctx.set(dut.wrong, as_int(wrong[n]))
            assert ctx.get(dut.code) == as_int(codes[n])
            assert ctx.get(dut.data) == as_int(expected.words[n]), f"errors {wrong[n]}"
            outcome = ctx.get(dut.corrected), ctx.get(dut.error)
            assert outcome == (expected.corrected[n], expected.uncorrectable[n])
            found[outcome] = found.get(outcome, 0) + 1

    sim = Simulator(dut)
    sim.add_testbench(testbench)
    sim.run()
    assert {(0, 0), (1, 0), (2, 0), (0, 1)} == set(found)
    assert found[2, 0] > 10


def test_refuses_other_widths():
    with pytest.raises(ValueError, match="a word has 128 bits, not 64"):
        rtl.encode(Signal(64))
