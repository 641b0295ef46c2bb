"""Bench of PMU and fast level: random sleep, wake-up, abort, failure, on two unrelated clocks."""

from collections import Counter

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from hdl.config import ChipConfig
from hdl.power.domains import MODES, Mode, coarse_domains, fast_domains
from hdl.power.pmu import Pmu
from hdl.power.sequencer import Sequencer
from verif.bench import CLOCK_NS, parameters
from verif.power_rules import OFF, ON, RETAIN, DomainRules, Wires

SETTLE_PERIODS = 1500
"""Periods of the always-on clock within which every change of modes must have ended."""
PENDING_PERIODS = 12
RESTING = [mode.value for mode, entry in MODES.items() if not entry.core]
QUIET_PERIODS = 25
"""Periods without a change after which nothing is on its way any more."""
NEVER = 0.01
"""Probability that a supply does not come up."""
EVENTS = {
    "request": 0.3, "requests": 0.1, "targets": 0.25, "flurry": 0.15, "wake": 0.1, "run": 0.09,
    "brown-out": 0.01,
}  # fmt: skip
CAMPAIGN = 10_000
"""Sequences from which on everything must have been covered."""
MIN_EVENTS = 50
MAX_DELAY = 18
"""Cycles of its own clock that a supply takes at most, if it comes at all."""


class Bench:
    """Clocks, supplies that take their time or never come, the rules, and what was covered."""

    def __init__(self, dut):
        self.dut = dut
        self.config = ChipConfig(**parameters()["config"])
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.coarse, self.fast = coarse_domains(self.config), fast_domains(self.config)
        self.domains = (*self.coarse, *self.fast)
        self.rules = [DomainRules(domain) for domain in self.domains]
        self.aon_period = 60
        self.cycle = 0
        self.good = 0
        self.due: dict[int, int] = {}  # domain: cycle in which its supply is good
        self.targets = [OFF] * len(self.fast)
        self.target_since = [0] * len(self.fast)
        self.busy_since = None
        self.request = Mode.SLEEP.value
        self.pulses = 0  # wake-ups on their way
        self.count = Counter()
        self.pairs, self.aborts, self.interrupted, self.wakes = (Counter() for _ in range(4))
        self.settled_in = Mode.SLEEP.value
        self.codes = {}
        for domain in self.domains:
            example = Sequencer(domain, timeout=99)
            example.elaborate(None)
            self.codes[domain.name] = {code: name for name, code in example.encoding.items()}
        pmu = Pmu(self.config)
        pmu.elaborate(None)
        self.pmu_codes = {code: name for name, code in pmu.encoding.items()}

    def chance(self, probability: float) -> bool:
        """Happens sometimes."""
        return self.rng.random() < probability

    def status(self) -> dict[str, int]:
        """What the PMU says."""
        bits = int(self.dut.status.value)
        return {
            "mode": bits & 7, "ready": bits >> 3 & 1, "core": bits >> 4 & 1,
            "error": bits >> 5 & 1, "pending": bits >> 6 & 15, "allowed": bits >> 10 & 1,
        }  # fmt: skip

    async def tick_aon(self) -> None:
        """The always-on clock, whose period and phase change again and again."""
        while True:
            half = self.aon_period / 2
            self.dut.aon_clk.value = 1
            await Timer(round(half * 1000), unit="ps")
            self.dut.aon_clk.value = 0
            await Timer(round(half * 1000), unit="ps")

    async def aon(self, periods: int = 1) -> None:
        """Wait for edges of the always-on clock."""
        for _ in range(periods):
            await RisingEdge(self.dut.aon_clk)

    async def start(self) -> None:
        """Start clocks and rules, and reset."""
        dut = self.dut
        for name in ("good", "targets", "mode_request", "wake_mode", "wake", "wake_mask",
                     "wake_clear", "error_clear", "busy", "pulse", "aon_rst", "rst"):  # fmt: skip
            dut[name].value = 0
        dut.aon_rst.value = dut.rst.value = 1
        Clock(dut.clk, CLOCK_NS, unit="ns").start()
        cocotb.start_soon(self.tick_aon())
        await self.aon(3)
        dut.aon_rst.value = dut.rst.value = 0
        await self.aon(2)
        cocotb.start_soon(self.watch())

    # Supplies and rules, at every edge of the core's clock at its source.

    async def watch(self) -> None:
        """Look whenever a wire has moved, and make supplies good when they are due."""
        dut = self.dut
        edge, moved = RisingEdge(dut.clk), dut.moved
        wires = [Wires(0)] * len(self.domains)
        before, core_before = 0, 0
        while True:
            await edge
            self.cycle += 1
            if int(moved.value):
                words, core = int(dut.words.value), int(dut.status.value) >> 4 & 1
                old, wires = wires, list(wires)
                for index in range(len(self.domains)):
                    word = words >> 16 * index & 0xFFFF
                    if word != wires[index].word:
                        wires[index] = Wires(word)
                if before:
                    self.check(old, wires, core)
                if core_before and not core:
                    self.check_stop(wires)
                before, core_before = words, core
                self.supply(wires)
            elif self.cycle in self.due.values():
                self.supply(wires)

    def check(self, old: list[Wires], new: list[Wires], core: int) -> None:
        """Apply the rules of each domain, and those between them."""
        now = self.cycle * CLOCK_NS
        for index, rules in enumerate(self.rules):
            a, b = old[index], new[index]
            if a is b:
                continue
            name = rules.domain.name
            try:
                rules.sample(a, b, now=now, aon_period=self.aon_period)
                if b.clock and index < len(self.coarse) and rules.domain.clock == "sync":
                    assert core, "a clock that stands still"
                if a.state == ON and b.state != ON and index >= len(self.coarse):
                    self.check_run(index - len(self.coarse), good=a.good)
            except AssertionError as error:
                raise AssertionError(f"{name} at {now} ns: {error}") from error
        ramping = [rules.domain.name for rules in self.rules if rules.ramping]
        assert len(ramping) <= 1, f"{ramping} ramp at once at {now} ns"

    def check_run(self, number: int, *, good: int) -> None:
        """Nothing that a run wants is taken away from it."""
        if self.busy_since is not None and self.busy_since < self.cycle - 2:
            wanted = self.targets[number] == ON and self.target_since[number] < self.cycle - 3
            assert not (wanted and good), "switched off under a run"

    def check_stop(self, wires: list[Wires]) -> None:
        """The core's clock stops: nothing may need it."""
        self.count["clock stops"] += 1
        for domain, wire in zip(self.domains, wires, strict=True):
            assert domain.clock != "sync" or not wire.switches, f"{domain.name} loses its clock"

    def supply(self, wires: list[Wires]) -> None:
        """All switches closed: good after a while, or never; open: no longer."""
        good = self.good
        for index, domain in enumerate(self.domains):
            closed = wires[index].switches == (1 << domain.steps) - 1
            if not closed:
                good &= ~(1 << index)
                self.due.pop(index, None)
            elif index not in self.due:
                ratio = self.aon_period / CLOCK_NS if index < len(self.coarse) else 1
                never = self.chance(NEVER)
                self.count["time-outs"] += never
                delay = 10**9 if never else int(self.rng.integers(0, MAX_DELAY) * ratio)
                self.due[index] = self.cycle + delay
            if index in self.due and self.due[index] == self.cycle:
                good |= 1 << index
        if good != self.good:
            self.good = good
            self.dut.good.value = good

    # Stimulus.

    def set_targets(self) -> None:
        """New wishes for some fast domains; where their sequencers stand is what is aborted."""
        for number, domain in enumerate(self.fast):
            if self.chance(0.5):
                continue
            target = int(self.rng.choice([OFF, RETAIN, ON, ON]))
            if target != self.targets[number]:
                code = int(self.dut.fast[domain.name].state_state.value)
                self.aborts[f"{domain.name[:3]}.{self.codes[domain.name][code]}"] += 1
                self.targets[number] = target
                self.target_since[number] = self.cycle
        self.dut.targets.value = sum(t << 2 * n for n, t in enumerate(self.targets))

    def set_request(self) -> None:
        """Ask for another mode, wherever the PMU and its sequencers are."""
        request = int(self.rng.integers(0, len(MODES)))
        if request != self.request:
            self.interrupted[self.pmu_state()] += 1
            for domain in self.coarse:
                code = int(self.dut.pmu[domain.name].state_state.value)
                self.aborts[f"{domain.name}.{self.codes[domain.name][code]}"] += 1
        self.request = request
        self.dut.mode_request.value = request

    def pmu_state(self) -> str:
        """Where the change of modes stands."""
        return self.pmu_codes[int(self.dut.pmu.change_state.value)]

    async def wake(self) -> None:
        """An event: a pulse of one core cycle, or a level that lasts a little over a period."""
        status = self.status()
        if status["mode"] not in RESTING and self.request in RESTING:
            self.wakes[f"asleep soon: {self.pmu_state()}"] += 1
        self.pulses += 1
        if self.chance(0.5):
            source = 0
            self.dut.pulse.value = 1
            await RisingEdge(self.dut.clk)
            self.dut.pulse.value = 0
        else:
            source = int(self.rng.integers(1, 3))
            self.dut.wake.value = 1 << source
            await Timer(round(self.aon_period * 1.3 * 1000), unit="ps")
            self.dut.wake.value = 0
        for _ in range(PENDING_PERIODS):
            await self.aon()
            if self.status()["pending"] >> source & 1:
                break
        else:
            raise AssertionError(f"event {source} was lost")
        self.pulses -= 1

    async def run(self) -> None:
        """A run, begun in a cycle in which it is allowed."""
        await RisingEdge(self.dut.clk)
        if self.busy_since is None and self.status()["allowed"]:
            self.dut.busy.value = 1
            self.busy_since = self.cycle
            self.count["runs"] += 1
            await Timer(int(self.rng.integers(1, 400)) * CLOCK_NS, unit="ns")
            await RisingEdge(self.dut.clk)
            self.dut.busy.value = 0
            self.busy_since = None

    def brown_out(self) -> None:
        """A supply that was good fails, and stays so."""
        index = int(self.rng.integers(0, len(self.domains)))
        if self.good >> index & 1:
            self.count["supplies lost"] += 1
            self.good &= ~(1 << index)
            self.dut.good.value = self.good

    async def sequence(self) -> None:
        """One random sequence: some events at random times, then peace, and the right mode."""
        dut, rng = self.dut, self.rng
        self.aon_period = float(rng.uniform(2.3, 12)) * CLOCK_NS
        await self.aon(2)
        dut.wake_mode.value = self.wake_mode = int(rng.integers(0, len(MODES)))
        dut.wake_mask.value = self.wake_mask = int(rng.integers(0, 16))
        for _ in range(int(rng.integers(1, 7))):
            await self.event(str(rng.choice(list(EVENTS), p=np.array(list(EVENTS.values())))))
            if self.chance(0.5):
                await Timer(int(rng.integers(1, 20 * CLOCK_NS)), unit="ns")
            else:
                await Timer(int(rng.integers(1, int(60 * self.aon_period))), unit="ns")
        await self.settle()
        if self.chance(0.5) and not self.pulses:
            dut.wake_clear.value = 15
            await self.aon()
            dut.wake_clear.value = 0
        if self.status()["error"]:
            dut.error_clear.value = 1
            await self.aon()
            dut.error_clear.value = 0

    async def event(self, name: str) -> None:
        """Let one of `EVENTS` happen."""
        if name == "request":
            self.set_request()
        elif name == "requests":
            for _ in range(3):
                self.set_request()
                await Timer(int(self.rng.integers(1, int(25 * self.aon_period))), unit="ns")
        elif name == "targets":
            self.set_targets()
        elif name == "flurry":
            if self.chance(0.5):  # so that ramps of both levels meet
                self.set_request()
            for _ in range(16):
                self.set_targets()
                await Timer(int(self.rng.integers(1, 14 * CLOCK_NS)), unit="ns")
        elif name == "wake" and not self.pulses:
            cocotb.start_soon(self.wake())
        elif name == "run":
            cocotb.start_soon(self.run())
        elif name == "brown-out":
            self.brown_out()

    def expected(self, status: dict[str, int]) -> int:
        """The mode that must come of it."""
        if status["error"]:
            return Mode.SLEEP.value
        if self.request in RESTING and status["pending"] & self.wake_mask:
            return self.wake_mode
        return self.request

    async def settle(self) -> None:
        """Nothing changes any more: the mode that is wanted comes, with all that belongs to it."""
        quiet, status = 0, self.status()
        for _ in range(SETTLE_PERIODS):
            await self.aon()
            status = self.status()
            settled = status["ready"] and status["mode"] == self.expected(status)
            quiet = quiet + 1 if settled and not self.pulses and self.busy_since is None else 0
            if quiet == QUIET_PERIODS:
                break
        else:
            raise AssertionError(f"never settles: {status}, in {self.pmu_state()}")
        await RisingEdge(self.dut.clk)
        words, status = int(self.dut.words.value), self.status()
        mode = Mode(status["mode"])
        entry = MODES[mode]
        assert status["core"] == entry.core, f"core clock in {mode}"
        for index, domain in enumerate(self.coarse):
            wire = Wires(words >> 16 * index & 0xFFFF)
            on = wire.state == ON
            assert on == (domain.name in entry.on), f"{domain.name} in {mode}"
            assert on or not wire.switches, f"{domain.name} in {mode}"
        if not entry.core:
            for number in range(len(self.fast)):
                wire = Wires(words >> 16 * (len(self.coarse) + number) & 0xFFFF)
                assert not wire.switches, f"{self.fast[number].name} in {mode}"
        elif self.chance(0.3):
            await self.settle_fast()
        self.pairs[self.settled_in, mode.value] += 1
        self.settled_in = mode.value

    async def settle_fast(self) -> None:
        """All fast domains come to what is wanted of them, or fail."""
        for _ in range(100 * len(self.fast)):
            await RisingEdge(self.dut.clk)
            words = int(self.dut.words.value) >> 16 * len(self.coarse)
            wires = [Wires(words >> 16 * n & 0xFFFF) for n in range(len(self.fast))]
            if all(
                wire.state == ON or wire.error if target == ON else not wire.switches
                for wire, target in zip(wires, self.targets, strict=True)
            ):
                self.count["fast levels settled"] += 1
                return
        raise AssertionError(f"fast domains do not come to {self.targets}")

    def report(self, log) -> None:
        """Print what happened."""
        kinds = sum((Counter(rules.count) for rules in self.rules), Counter())
        pairs = {f"{Mode(a).name}->{Mode(b).name}": n for (a, b), n in self.pairs.items()}
        for name, figures in (
            ("events", self.count), ("domains", kinds), ("pmu interrupted in", self.interrupted),
            ("wakes", self.wakes), ("aborts", self.aborts), ("pairs", pairs),
        ):  # fmt: skip
            log.info("%s: %s", name, dict(sorted(figures.items())))
        log.info("seed %d: %d core cycles", cocotb.RANDOM_SEED, self.cycle)

    def assert_covered(self) -> None:
        """A campaign has been everywhere."""
        missing = [(a, b) for a in MODES for b in MODES if not self.pairs[a.value, b.value]]
        assert not missing, f"changes of modes that never came: {missing}"
        for name in (self.fast[0].name, self.fast[-1].name, "mctl", "engine"):
            states = set(self.codes[name].values())
            been = {state for state in states if self.aborts[f"{name[:3]}.{state}"]}
            been |= {state for state in states if self.aborts[f"{name}.{state}"]}
            assert been == states, f"{name}: nothing changed in {states - been}"
        assert set(self.interrupted) >= set(self.pmu_codes.values()) - {"GIVE", "WITHDRAW"}
        for figure in ("time-outs", "supplies lost", "runs", "clock stops"):
            assert self.count[figure] >= MIN_EVENTS, f"{figure}: {self.count[figure]}"
        assert sum(self.wakes.values()) >= MIN_EVENTS, "too few wake-ups while falling asleep"


@cocotb.test()
async def random_sequences(dut) -> None:
    """Sequences of modes, wishes, wake-ups, runs and failures; none breaks a rule."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(parameters()["sequences"]):
        await bench.sequence()
    bench.report(dut._log)
    if parameters()["sequences"] >= CAMPAIGN:
        bench.assert_covered()
