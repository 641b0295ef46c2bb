# amaranth: UnusedElaboratable=no

"""Power states, modes, the second clock and errors, on a stub whose behaviour is known."""

import numpy as np
import pytest
from power_stub import MODE_PERIODS, SWITCH_CYCLES, TURN_OFF, PowerStub, power_job

from hdl.config import SMALL
from hdl.power import Gating, Mode, PowerState, power_domains
from mmsp.simulator import ChipError, ChipModel, DomainPower, SimulationError
from models.mram import secded

pytestmark = pytest.mark.sim

OFF, RETAIN, ON = PowerState
NAMES = [domain.name for domain in power_domains(SMALL)]
RATIO = 16


def make(broken="", **options):
    return ChipModel(
        SMALL, design=lambda: PowerStub(SMALL, broken), **({"aon_ratio": RATIO} | options)
    )


@pytest.fixture(scope="module")
def made():
    with make() as model:
        yield model


@pytest.fixture
def chip(made):
    made.set_policy()
    made.reset()
    return made


def put(chip, *jobs, address=0):
    chip.program_codes(np.array(jobs, np.uint8), address)


def random_jobs(rng, count):
    """Jobs with random states and banks, and what must be counted."""
    states = [[PowerState(v) for v in rng.integers(0, 3, len(NAMES))] for _ in range(count)]
    banks = rng.integers(0, 256, count)
    banks[rng.random(count) < 0.3] = 0
    cycles = np.exp(rng.uniform(np.log(2), np.log(500), count)).astype(int)
    jobs = [
        power_job(int(n), last=at == count - 1, banks=int(b), states=s)
        for at, (n, b, s) in enumerate(zip(cycles, banks, states, strict=True))
    ]
    return jobs, cycles, banks, states


def test_every_cycle_of_every_domain_is_counted(chip, rng):
    jobs, cycles, banks, states = random_jobs(rng, 40)
    put(chip, *jobs, address=5)
    chip.set_policy(Gating.PER_LAYER)
    run = chip.run(5)
    # The cycle with start comes first, when nothing is on.
    assert run.cycles == 1 + cycles.sum()
    each = np.repeat(np.array([[s.value for s in row] for row in states]), cycles, axis=0)
    each = np.vstack([np.zeros((1, len(NAMES)), int), each])
    for index, name in enumerate(NAMES):
        column = each[:, index]
        assert run.power[name] == DomainPower(
            int((column == ON.value).sum()),
            int((column == RETAIN.value).sum()),
            int(((column[1:] == ON.value) & (column[:-1] != ON.value)).sum()),
        ), name
    powered = np.concatenate([[0], np.repeat(banks, cycles)])
    assert run.mram_active_cycles == (powered != 0).sum()
    assert run.mram_bank_cycles == sum(int(value).bit_count() for value in powered)
    rising = powered[1:] & ~powered[:-1]
    assert run.mram_wakeups == sum(int(value).bit_count() for value in rising) > 0
    # Expanding the events gives every cycle again.
    lengths = np.diff(np.append(run.events.cycles.astype(int), run.cycles))
    assert (np.repeat(run.events.states, lengths, axis=0) == each).all()
    assert run.events.dropped == 0
    assert chip.run(5) == run


def test_changes_in_every_second_cycle(chip):
    on, off = [[state] * len(NAMES) for state in (ON, OFF)]
    jobs = [power_job(2, states=on if at % 2 else off) for at in range(8191)]
    put(chip, *jobs, power_job(2, last=True, states=on))
    run = chip.run()
    assert len(run.events.cycles) == 8192
    assert run.power["aon"] == DomainPower(8192, 0, 4096)


def test_settled_before_the_run(chip):
    put(chip, power_job(9, last=True))
    for gating, first in ((Gating.ALWAYS_ON, ON), (Gating.PER_NETWORK, OFF)):
        chip.set_policy(gating)
        run = chip.run()
        assert run.events.states[0, 0] == first.value, "the policy had not taken effect"
        assert run.power["aon"].on_cycles == (first is ON)
    assert SWITCH_CYCLES > RATIO


def test_policy_reaches_the_chip(chip, rng):
    for _ in range(10):
        gating = Gating(int(rng.integers(0, 4)))
        footprint, held = (int(value) for value in rng.integers(0, 16, 2))
        chip.set_policy(gating, footprint, held)
        word = int.from_bytes(chip.read_activations(3, 0, 1)[0].tobytes(), "little")
        assert word == gating.value | footprint << 2 | held << 6
        chip.reset()
        again = int.from_bytes(chip.read_activations(3, 0, 1)[0].tobytes(), "little")
        assert again == word, "a reset has changed the policy"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (1, "found MRAM word 12 damaged beyond correction in cycle 36"),
        (2, "could not wake the MRAM bank of word 12 in cycle 36"),
        (3, "reported a power domain that did not come up in cycle 36"),
    ],
)
def test_error_names_its_word_and_the_chip_lives_on(chip, kind, sentence):
    put(chip, power_job(5), power_job(30, error=kind), address=11)
    put(chip, power_job(40, last=True, corrected=True), address=100)
    with pytest.raises(ChipError, match=f"the chip {sentence}, and ended the run") as caught:
        chip.run(11)
    assert (caught.value.cycle, caught.value.address) == (36, 12)
    assert chip.cycles == 36
    run = chip.run(100)
    assert (run.cycles, run.corrected) == (41, 1)
    assert run.layers[-1].corrected == 0  # the word's is added with the edge that ends the job


def test_modes_and_the_stopped_core_clock(chip):
    assert chip.mode is Mode.INFER
    put(chip, power_job(50, last=True))
    chip.enter(Mode.SLEEP)
    assert chip.mode is Mode.SLEEP
    chip.enter(Mode.SLEEP)
    chip.wait(100)
    assert chip.mode is Mode.SLEEP
    chip.enter(Mode.INFER)
    assert chip.run().cycles == 51, "the core clock has not come back"
    chip.enter(Mode.AUDIO_WATCH)
    chip.wake(1)
    chip.wait(4)
    assert chip.mode is Mode.INFER
    assert MODE_PERIODS > 4, "the request and not the wake input did it"


@pytest.mark.parametrize("ratio", [1, 2, 7, 1526])
def test_run_does_not_depend_on_the_ratio_of_the_clocks(ratio):
    with make(aon_ratio=ratio) as chip:
        put(chip, power_job(300), power_job(20, last=True))
        assert chip.run().cycles == 321


def test_what_does_not_happen_is_named():
    with pytest.raises(SimulationError, match=r"mode 3 was not reached in 4096 .* in mode 0"):
        make("mode")
    with make("host") as chip, pytest.raises(SimulationError, match="memory was not ready for"):
        chip.read_activations(0, 0, 1)
    with make() as chip:
        put(chip, power_job(5000, last=True, other=TURN_OFF))
        with pytest.raises(SimulationError, match="the core clock stopped in a run"):
            chip.run()


def test_words_are_stored_with_check_bits(chip, rng):
    """The stub runs what is stored: check bits of the first half lie in states, of no matter."""
    words = np.zeros((3, 16), np.uint8)
    words[:, 0] = [20, 30, 40]
    words[2, 2] = 1
    chip.program(words.tobytes(), 4)
    assert (chip.contents.stored[4:7] == secded.encode(words)).all()
    assert chip.run(4).cycles == 91
    chip.flip(5, [0])
    assert chip.run(4).cycles == 92, "bit 0 of 30 was not flipped"
    chip.flip(5, [1, 16])
    assert chip.run(4).cycles == 49, "the first flip is still there, or the second not"
    chip.flip(5)
    assert chip.run(4).cycles == 91, "not restored"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda chip: chip.flip(8192, [0]), r"address must be in 0\.\.8191, not 8192"),
        (lambda chip: chip.flip(0, [144]), r"bit must be in 0\.\.143, not 144"),
        (
            lambda chip: chip.program_codes(np.zeros((2, 16), np.uint8)),
            r"stored words must be uint8 of shape \(n, 18\), not uint8 of shape \(2, 16\)",
        ),
        (lambda chip: chip.program(bytes(32), 8191), "2 words at address 8191 do not fit the 8192"),
    ],
)
def test_refuses_stored_words_that_do_not_fit(chip, action, message):
    with pytest.raises(ValueError, match=message):
        action(chip)


def test_ratio_of_the_clocks_is_checked():
    with pytest.raises(ValueError, match="aon_ratio must be at least 1, not 0"):
        make(aon_ratio=0)
