"""Seeded faults in the MRAM's cells during whole inferences: corrected and counted, or reported.

Retention flips and stuck bits, one or two in a code word.  Every inference either has the outputs
of the golden model and has corrected as many bits as were wrong in what it read, or ends with the
error that names the first word with two.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from published import MODELS

from hdl.config import FULL, SMALL
from mmsp.golden import run_golden
from mmsp.inputs import random_batch
from mmsp.loading import load_model
from mmsp.simulator import ChipError
from mmsp.simulator.mram_contents import CODE_BYTES
from mmsp.simulator.simulator import Simulator
from mmsp.zoo import digits_model
from models.mram import secded

HALF_BITS = 72
"""Bits of a code word, of which a word of the MRAM has two."""
INPUTS = 8
KWS = MODELS / "kws_ref_model.tflite"


@dataclass(frozen=True)
class Faults:
    """Wrong bits by address of the word; ``stuck`` ones had another value before, or the same."""

    bits: dict[int, list[int]]
    kinds: Counter


def draw_faults(rng, stored, first, words):
    """Faults of one campaign; ``stored`` are the right words of the whole MRAM.

    A tenth of the faults is in words around the program, which are not read.
    """
    kinds = Counter()
    count = int(np.exp(rng.uniform(0, np.log(words / 4))))
    addresses = rng.choice(words, count, replace=False) + first
    beside = [address for address in range(first + words + 8) if address < first]
    beside += [*range(first + words, first + words + 8)]
    addresses = [*addresses.tolist(), *rng.choice(beside, 1 + count // 10).tolist()]
    doubles = set()
    if rng.random() < 0.5:
        doubles = set(rng.choice(addresses, min(len(addresses), int(rng.integers(1, 4)))).tolist())
    bits = {}
    for address in addresses:
        half = int(rng.integers(0, 2))
        wanted = 2 if address in doubles else 1
        chosen = (rng.choice(HALF_BITS, wanted, replace=False) + HALF_BITS * half).tolist()
        if wanted == 1 and rng.random() < 0.2:
            chosen.append(int(rng.integers(0, HALF_BITS)) + HALF_BITS * (1 - half))
            kinds["one in each half"] += 1
        kinds["double" if wanted == 2 else "single"] += 1
        kinds["check bit"] += any(bit % HALF_BITS >= 64 for bit in chosen)
        if rng.random() < 0.3:  # stuck: wrong only if the other value was stored
            values = np.unpackbits(stored[address], bitorder="little")
            stuck = [(bit, int(rng.integers(0, 2))) for bit in chosen]
            chosen = [bit for bit, value in stuck if values[bit] != value]
            kinds["stuck"] += 1
            kinds["stuck at the right value"] += len(chosen) < len(stuck)
        kinds["not read"] += not first <= address < first + words
        bits[address] = chosen
    return Faults(bits, kinds)


def expected_of(faults, stored, first, words):
    """Corrected bits of one pass over the program, and the first word that cannot be read."""
    wrong = stored[first : first + words].copy()
    for address, bits in faults.bits.items():
        if first <= address < first + words:
            for bit in bits:
                wrong[address - first, bit // 8] ^= 1 << bit % 8
    decoded = secded.decode(wrong)
    bad = np.flatnonzero(decoded.uncorrectable)
    return int(decoded.corrected.sum()), int(bad[0]) + first if bad.size else None


def run_or_error(simulator, batch):
    """What a run returned, or what the chip ended it with."""
    try:
        return simulator.run(batch, reset_state=True), None
    except ChipError as error:
        return None, error


def campaign(source, config, seed, count):
    """Run ``count`` campaigns on one chip; return what happened, and how often."""
    model = load_model(source)
    seen = Counter()
    with Simulator(model, config) as simulator:
        assert simulator.chip.contents.stored_bytes == CODE_BYTES, "an MRAM without check bits"
        program, description = simulator.image.program, simulator.description
        first, words = program.first_word, program.words
        stored = simulator.chip.contents.stored.copy()
        batches = [random_batch(description.inputs, seed + n) for n in range(INPUTS)]
        goldens = [
            run_golden(model.graph, model.layers, {k: v[0] for k, v in batch.values.items()})
            for batch in batches
        ]
        clean = simulator.run(batches[0], reset_state=True)
        assert clean.mram_reads == words, "words are read more than once: corrections are, too"
        assert clean.first.corrected == 0

        for number in range(count):
            rng = np.random.default_rng([seed, number])
            faults = draw_faults(rng, stored, first, words)
            corrected, bad = expected_of(faults, stored, first, words)
            which = int(rng.integers(0, INPUTS))
            for address, bits in faults.bits.items():
                simulator.chip.flip(address, bits)
            what = f"campaign {number} of seed {seed}"
            result, error = run_or_error(simulator, batches[which])
            if error is not None:
                assert bad is not None, f"{what}: {error}, and no word is beyond correction"
                assert (error.kind, error.address) == ("uncorrectable", bad), what
                seen["reported"] += 1
            else:
                assert bad is None, f"{what}: nobody reported word {bad}"
                for name, values in goldens[which].items():
                    np.testing.assert_array_equal(result.int8_outputs[name], values, what)
                assert result.first.corrected == corrected, what
                seen["corrected"] += 1
                seen["corrected bits"] += corrected
            seen += faults.kinds
            for address in faults.bits:
                simulator.chip.flip(address)
        clean = simulator.run(batches[0], reset_state=True)
        for name, values in goldens[0].items():
            np.testing.assert_array_equal(clean.int8_outputs[name], values, "after all campaigns")
        assert clean.first.corrected == 0
    return seen


def check_coverage(seen, count):
    assert seen["corrected"] + seen["reported"] == count
    assert min(seen["corrected"], seen["reported"]) >= count // 5
    for kind in ("single", "double", "one in each half", "check bit", "stuck",
                 "stuck at the right value", "not read", "corrected bits"):  # fmt: skip
        assert seen[kind], f"no campaign had {kind}"


@pytest.mark.sim
def test_faults_in_inferences():
    """Short form: the digit network on SMALL."""
    seen = campaign(digits_model(), SMALL, seed=1, count=20)
    check_coverage(seen, 20)


@pytest.mark.sim
@pytest.mark.long
@pytest.mark.skipif(not KWS.exists(), reason="the MLPerf Tiny networks are not there")
def test_faults_in_keyword_spotting(capsys):
    """1,000 campaigns on the keyword spotter of MLPerf Tiny, on FULL."""
    seen = campaign(KWS, FULL, seed=1, count=1000)
    with capsys.disabled():
        print(f"\n1000 fault campaigns on KWS: {dict(seen)}")
    check_coverage(seen, 1000)
