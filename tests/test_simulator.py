# amaranth: UnusedElaboratable=no

"""The simulator around a stub of the chip whose behaviour is known to the cycle."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from chip_stub import FETCH_CYCLES, ChipStub, job

from hdl.config import ACT_BANKS, FULL, SMALL
from mmsp.errors import InputError
from mmsp.simulator import BuildError, ChipModel, SimulationError, build, cache

pytestmark = pytest.mark.sim


def words(*jobs: int) -> np.ndarray:
    return np.array([(low, 0) for low in jobs], np.uint64)


@pytest.fixture
def chip():
    with ChipModel(SMALL, design=lambda: ChipStub(SMALL)) as model:
        yield model


@pytest.mark.parametrize("config", [SMALL, FULL], ids=lambda config: config.name)
def test_memories_hold_what_was_written(config, rng):
    with ChipModel(config, design=lambda: ChipStub(config)) as model:
        depth, rows = config.bank_words, config.rows
        for bank in range(ACT_BANKS):
            assert not model.read_activations(bank, 0, depth).any(), "not zero after power-up"
        data = rng.integers(0, 256, (ACT_BANKS, depth, rows), np.uint8)
        for bank in range(ACT_BANKS):
            model.write_activations(bank, 0, data[bank])
        for bank in range(ACT_BANKS):
            assert (model.read_activations(bank, 0, depth) == data[bank]).all()

        banks = rng.integers(0, ACT_BANKS, 100)
        addresses = rng.integers(0, depth, 100)
        assert (model.read_activations(banks, addresses) == data[banks, addresses]).all()
        places = rng.permutation(ACT_BANKS * depth)[:100]
        new = rng.integers(0, 256, (100, rows), np.uint8)
        model.write_activations(places % ACT_BANKS, places // ACT_BANKS, new)
        data[places % ACT_BANKS, places // ACT_BANKS] = new
        model.reset()  # keeps memories
        for bank in range(ACT_BANKS):
            assert (model.read_activations(bank, 0, depth) == data[bank]).all()


def test_run_counts_every_cycle(chip):
    lengths = [5, 1, 300]
    program = [job(n, last=n == lengths[-1]) for n in lengths]
    chip.program(words(*program), address=7)
    result = chip.run(7)
    ends = 1 + np.cumsum([n + FETCH_CYCLES for n in lengths])  # the start cycle comes first
    assert result.layer_cycles == ends.tolist()
    assert result.cycles == ends[-1]
    assert result.mram_reads == result.mram_active_cycles == len(lengths)
    assert [layer.mram_reads for layer in result.layers] == [1, 2, 3]
    assert chip.read_activations(0, 0, 1)[0, 0] == len(lengths)
    assert chip.run(7) == result


def test_run_across_slices(chip):
    program = [job(65000, last=n == 9) for n in range(10)]
    chip.program(words(*program).tobytes())
    seen = []
    result = chip.run(progress=lambda cycles, jobs: seen.append((cycles, jobs)))
    assert result.cycles == 1 + 10 * (65000 + FETCH_CYCLES)
    assert [jobs for _, jobs in seen] == [3, 6, 9]


@pytest.mark.parametrize(
    "lengths", [[1], [3, 700, 20, 90], [16000, 376], [16000, 377], [65000] * 10]
)
def test_samples_are_cumulative_counts_at_equal_distances(chip, lengths):
    chip.program(words(*(job(n, last=at == len(lengths) - 1) for at, n in enumerate(lengths))))
    result = chip.run()
    samples = result.samples
    cycles = samples[:, 0]
    period = 8
    while result.cycles // period >= 2048:
        period *= 2
    assert cycles.tolist() == list(range(period, result.cycles + 1, period))
    # A job's word is fetched in its first cycle, and the count of reads shows it a cycle later.
    fetches = 1 + np.cumsum([0, *(n + FETCH_CYCLES for n in lengths[:-1])])
    assert samples[:, 2].tolist() == [(fetches < cycle).sum() for cycle in cycles]
    assert samples[:, 1].tolist() == [(fetches < cycle - 1).sum() for cycle in cycles]
    assert not samples[:, 3:6].any()  # the stub has no such ports
    assert (samples[:, 6] == samples[:, 2]).all()  # one bank is all there is


def test_timeout_names_address_cycles_and_jobs(chip):
    chip.program(words(job(10), job(1000, last=True)))
    with pytest.raises(SimulationError, match=r"MRAM word 0 has not ended after 500 cycles and 1 "):
        chip.run(max_cycles=500)
    chip.reset()
    assert chip.run().cycles == 1 + 10 + 1000 + 2 * FETCH_CYCLES


def test_assertion_becomes_an_exception(chip):
    chip.program(words(job(10), job(20, fail=True, last=True)))
    # After the start and the first job: two cycles to fetch, 19 to count down from 20 to 1.
    cycle = 1 + (10 + FETCH_CYCLES) + 2 + 19
    with pytest.raises(
        SimulationError, match=rf"assertion failed in chip in cycle {cycle}: told to fail"
    ):
        chip.run()
    with pytest.raises(SimulationError, match="has stopped before: assertion failed"):
        chip.run()


def test_error_port_becomes_an_exception(chip):
    chip.program(words(job(10, error=True, last=True)))
    with pytest.raises(SimulationError, match="the chip reported an error in cycle 12, and ended"):
        chip.run()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda chip: chip.run(SMALL.mram_words), r"address must be in 0\.\.8191, not 8192"),
        (lambda chip: chip.program(words(1), 8192), "1 words at address 8192 do not fit the 8192"),
        (lambda chip: chip.program(b"x" * 17), "whole MRAM words of 16 bytes, not 17 bytes"),
        (lambda chip: chip.program(np.zeros(3)), r"uint64 of shape \(n, 2\), not float64 of"),
        (lambda chip: chip.read_activations(4, 0, 1), r"bank must be in 0\.\.3, not 4"),
        (lambda chip: chip.read_activations(0, 2047, 2), r"address must be in 0\.\.2047, not 2048"),
        (lambda chip: chip.read_activations(0, -1), r"address must be in 0\.\.2047, not -1"),
        (
            lambda chip: chip.write_activations(0, 0, np.zeros((1, 3), np.uint8)),
            r"uint8 of shape \(n, 4\), not uint8 of shape \(1, 3\)",
        ),
    ],
)
def test_refuses_what_does_not_fit(chip, action, message):
    with pytest.raises(ValueError, match=message):
        action(chip)


def test_closed_model_refuses(chip):
    chip.close()
    chip.close()
    with pytest.raises(SimulationError, match="has been closed"):
        chip.run()


def test_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match="no C\\+\\+ compiler: 'no-such-compiler' is not on PATH"):
        build.library(SMALL)


def test_tool_failure_shows_its_words(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('it broke')"]
    with pytest.raises(BuildError, match="failed:\nit broke"):
        build.run(command, cwd=tmp_path)


def test_unwritable_waveform_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot record to '.*x.fst': No such file or directory"):
        ChipModel(SMALL, tmp_path / "none" / "x.fst", design=lambda: ChipStub(SMALL))
    with pytest.raises(InputError, match=r"cannot record to '.*': Is a directory"):
        ChipModel(SMALL, tmp_path, design=lambda: ChipStub(SMALL))


def test_prune_keeps_the_recently_used(tmp_path):
    for age in range(5):
        build_dir = tmp_path / str(age)
        build_dir.mkdir()
        stamp = 1_000_000_000 - age
        cache.os.utime(build_dir, (stamp, stamp))
    (tmp_path / ".unfinished").mkdir()
    cache.prune(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".unfinished", "0", "1"]


def test_digest_separates_its_parts():
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])
    assert cache.digest([b"ab"]) == cache.digest(["ab"])


def test_cached_start_elaborates_nothing(monkeypatch):
    first = build.library(SMALL)

    def refuse(config):
        raise AssertionError(f"{config.name} elaborated again")

    monkeypatch.setattr(build, "chip", refuse)
    assert build.library(SMALL) == first
    with pytest.raises(AssertionError, match="elaborated again"):  # another chip, another key
        build.library(dataclasses.replace(SMALL, mram_wakeup=SMALL.mram_wakeup + 1))


BUILD_STUB = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from chip_stub import ChipStub
from hdl.config import SMALL
from mmsp.simulator import build
build.cache_root = lambda: Path(sys.argv[1])
print(build.library(SMALL, design=lambda: ChipStub(SMALL)))
"""


def test_two_processes_share_one_build(tmp_path):
    objects = cache.cache_root() / "objects"  # Verilator's library need not be compiled again
    objects.mkdir(parents=True, exist_ok=True)
    (tmp_path / "objects").symlink_to(objects)
    command = [sys.executable, "-c", BUILD_STUB, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [said for _, said in outputs] == ["", ""], "progress on a pipe"
    assert outputs[0] == outputs[1]
    assert len(list((tmp_path / "builds").iterdir())) == 1


def test_waveform_holds_the_run(tmp_path):
    path = tmp_path / "run.fst"
    with ChipModel(SMALL, path, design=lambda: ChipStub(SMALL)) as model:
        model.program(words(job(5), job(7, last=True)))
        result = model.run()
    data = path.read_bytes()
    header, names = read_fst(data)
    assert header["timescale"] == -9
    assert header["end_ns"] // 20 >= result.cycles
    for name in (b"layer_done", b"mram_reads", b"fsm_state"):
        assert name in names
    with ChipModel(SMALL, design=lambda: ChipStub(SMALL)) as model:
        model.program(words(job(5), job(7, last=True)))
        assert model.run() == result, "recording changes the run"


def read_fst(data: bytes) -> tuple[dict[str, int], bytes]:
    """Header fields and the decompressed block of names: blocks are type, size, contents."""
    position, blocks = 0, {}
    while position < len(data):
        kind, size = data[position], int.from_bytes(data[position + 1 : position + 9], "big")
        blocks[kind] = data[position + 9 : position + 1 + size]
        position += 1 + size
    header, hierarchy = blocks[0], blocks[6]
    fields = {
        "end_ns": int.from_bytes(header[8:16], "big"),
        "timescale": int.from_bytes(header[64:65], "big", signed=True),
    }
    names = lz4_decompress(hierarchy[8:])
    assert len(names) == int.from_bytes(hierarchy[:8], "big")
    return fields, names


def lz4_decompress(block: bytes) -> bytes:
    out, at = bytearray(), 0

    def length(nibble: int) -> int:
        nonlocal at
        total = nibble
        while nibble == 15:
            total += block[at]
            at += 1
            if block[at - 1] < 255:
                break
        return total

    while at < len(block):
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            break
        distance = int.from_bytes(block[at : at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-distance])
    return bytes(out)
