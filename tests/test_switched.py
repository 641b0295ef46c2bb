# amaranth: UnusedElaboratable=no

"""What is switched off is lost, what is isolated is clamped, and what is retained comes back."""

import random

import pytest
from amaranth.hdl import ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from switched_toy import (
    CLAMPS,
    RESET,
    TABLE,
    WORDS,
    WORKED,
    Inner,
    Toy,
    contents,
    domain,
    power_down,
    power_up,
    simulate,
    state,
    switched,
    wait,
    work,
)

from hdl.power.domains import Retention
from hdl.power.scramble import SwitchModel
from hdl.power.signals import DomainControl
from hdl.power.switched import Switched
from hdl.power.tamper import Tamper, tampered

SEEDS = range(1, 9)


def after_cycle(seed, retention=Retention.NONE, *, tamper=(), power_aware=True):
    """Power up, work, lose the supply, power up: the state, and memory and ROM, after that."""
    dut = switched(retention, power_aware=power_aware)
    result = {}

    async def testbench(ctx):
        if power_aware:
            ctx.set(dut.seed, seed)
        ctx.set(dut.control.isolate, 1)
        await wait(ctx, 4)
        await power_up(ctx, dut)
        await work(ctx, dut)
        assert state(ctx, dut) == WORKED
        save = retention is Retention.REGISTERS and "keep" not in tamper
        retain = retention is Retention.ARRAY and "retain" not in tamper
        await power_down(ctx, dut, save=save, retain=retain)
        await power_up(ctx, dut, reset="reset" not in tamper, restore=save)
        result.update(state(ctx, dut))
        result["memory"], result["table"] = await contents(ctx, dut)

    simulate(dut, testbench)
    return result


@pytest.mark.parametrize("retention", Retention)
def test_only_what_is_reset_or_retained_comes_back(retention):
    results = [after_cycle(seed, retention) for seed in SEEDS]
    array = retention is Retention.ARRAY
    registers = retention is Retention.REGISTERS
    for found in results:
        assert found["table"] == TABLE
        assert found["o.payload"] == 0
        assert found["count"] == 7
        assert found["threshold"] == (257 * WORDS[3] if registers else 0x1234)
        assert (found["memory"] == WORDS) == array
        assert found["upper"] == 0
        assert found["coefficient"] == TABLE[9]  # has been read by then
    # What is not reset is another value with each seed.
    assert len({found["last"] for found in results}) >= len(SEEDS) // 2
    if not array:
        assert len({tuple(found["memory"]) for found in results}) == len(SEEDS)


def test_without_reset_all_state_is_garbage():
    results, asserted = [], 0
    for seed in SEEDS:
        try:
            results.append(after_cycle(seed, tamper={"reset"}))
        except AssertionError as failure:
            asserted += "alive only after a reset" in str(failure)
    assert 0 < asserted < len(SEEDS), "a bit is wrong half of the time"
    assert len(results) == len(SEEDS) - asserted, "another assertion fired"
    for name in ("o.payload", "count", "threshold", "last"):
        values = {found[name] for found in results}
        assert len(values) == len(results), f"{name}: {values}"
        assert not values & {WORKED[name], RESET[name]}, f"{name} survived"
    assert any(found["upper"] for found in results)


@pytest.mark.parametrize(
    ("retention", "fault", "name"),
    [(Retention.REGISTERS, "keep", "threshold"), (Retention.ARRAY, "retain", "memory")],
)
def test_without_retention_it_is_lost(retention, fault, name):
    kept = after_cycle(1, retention)
    results = [after_cycle(seed, retention, tamper={fault}) for seed in SEEDS]
    assert all(found[name] != kept[name] for found in results)
    if name == "threshold":
        assert all(found[name] == 0x1234 for found in results)


def test_hardware_has_isolation_and_reset_only():
    found = after_cycle(0, power_aware=False)
    assert found == RESET | {"memory": WORDS, "table": TABLE}


@pytest.mark.parametrize("retention", [Retention.NONE, Retention.REGISTERS])
def test_supply_of_an_array_that_is_not_there_keeps_nothing(retention):
    dut = switched(retention)

    async def testbench(ctx):
        await power_up(ctx, dut)
        await work(ctx, dut)
        await power_down(ctx, dut, retain=True)
        await power_up(ctx, dut)
        memory, _ = await contents(ctx, dut)
        assert memory != WORDS

    simulate(dut, testbench)


def test_restore_wins_over_reset():
    dut = switched(Retention.REGISTERS)

    async def testbench(ctx):
        await power_up(ctx, dut)
        await work(ctx, dut)
        await power_down(ctx, dut, save=True)
        ctx.set(dut.supply, 1)
        ctx.set(dut.control.clock, 1)
        ctx.set(dut.control.restore, 1)
        await wait(ctx, 2)
        ctx.set(dut.control.restore, 0)
        ctx.set(dut.control.reset, 0)
        ctx.set(dut.control.isolate, 0)
        assert ctx.get(dut.threshold) == 257 * WORDS[3]
        assert ctx.get(dut.count) == 7

    simulate(dut, testbench)


def test_loss_of_supply_with_a_running_clock():
    dut = switched()

    async def testbench(ctx):
        for seed in SEEDS:
            ctx.set(dut.seed, seed)
            await power_up(ctx, dut)
            await work(ctx, dut)
            assert ctx.get(dut.control.good)
            ctx.set(dut.supply, 0)
            assert not ctx.get(dut.control.good)
            # Nothing is asserted of what is dead.
            await wait(ctx, 8)
            found = state(ctx, dut)
            assert {name for name in WORKED if found[name] != WORKED[name]} >= {
                "count",
                "o.payload",
            }

    simulate(dut, testbench)


@pytest.mark.parametrize("retention", [Retention.NONE, Retention.ARRAY])
def test_data_of_a_read_before_is_gone(retention):
    dut = switched(retention)
    shown = set()

    async def testbench(ctx):
        await power_up(ctx, dut)
        await work(ctx, dut)
        assert ctx.get(dut.word) == WORDS[9]
        # The port is always enabled: what it held is to be seen before the next edge.
        await power_down(ctx, dut, retain=retention is Retention.ARRAY)
        ctx.set(dut.control.isolate, 0)
        ctx.set(dut.supply, 1)
        ctx.set(dut.control.retain, 0)
        for _ in range(3):
            shown.add((ctx.get(dut.word), ctx.get(dut.coefficient)))
            await ctx.tick()
        ctx.set(dut.control.clock, 1)
        await ctx.tick()
        assert (ctx.get(dut.word) == WORDS[9]) == (retention is Retention.ARRAY)
        assert ctx.get(dut.coefficient) == TABLE[9]

    simulate(dut, testbench)
    ((word, coefficient),) = shown  # all there is: the supply is up, and the noise at rest
    assert word != WORDS[9]
    assert coefficient != TABLE[9]


@pytest.mark.parametrize("power_aware", [True, False])
def test_isolation_clamps_every_output(power_aware):
    dut = switched(power_aware=power_aware)
    outputs = {
        ".".join(path): value
        for path, member, value in dut.component.signature.flatten(dut)
        if member.flow is wiring.Flow.Out
    }
    assert {"i.ready", "o.valid", "o.payload", "word"} <= set(outputs)

    async def testbench(ctx):
        await power_up(ctx, dut)
        await work(ctx, dut)
        ctx.set(dut.i.valid, 1)
        for isolate, supply in [(1, 1), (1, 0), (0, 0), (1, 0)]:
            ctx.set(dut.control.isolate, isolate)
            ctx.set(dut.control.clock, supply)
            ctx.set(dut.supply, supply)
            seen = {name: set() for name in outputs}
            for cycle in range(40):
                await ctx.tick()
                # Inputs do what they want, without effect.
                ctx.set(dut.o.ready, cycle & 1)
                for name, value in outputs.items():
                    seen[name].add(ctx.get(value))
            if isolate:
                assert seen == {name: {CLAMPS.get(name, 0)} for name in outputs}
            elif power_aware:
                for name, values in seen.items():
                    many = min(30, 2 ** len(outputs[name]))
                    assert len(values) >= min(many, 12), f"{name}: {values}"

    simulate(dut, testbench)


@pytest.mark.parametrize("power_aware", [True, False])
def test_while_on_it_is_the_bare_component(power_aware):
    dut, bare = switched(Retention.REGISTERS, power_aware=power_aware), Toy()
    m = Module()
    m.submodules.dut, m.submodules.bare = dut, bare
    ports = list(bare.signature.flatten(bare))
    wrapped = [value for _, _, value in bare.signature.flatten(dut)]
    seed = 20
    rng = random.Random(seed)
    print(f"seed {seed}")
    taken = 0

    async def testbench(ctx):
        nonlocal taken
        # The memories are equal once they are written; registers, once they are reset.
        await power_up(ctx, dut)
        ctx.set(bare.i.valid, 0)
        for toy in (dut, bare):
            await work(ctx, toy)
            ctx.set(toy.o.ready, 0)
        for _ in range(400):
            for (_, member, value), twin in zip(ports, wrapped, strict=True):
                if member.flow is wiring.Flow.In:
                    number = rng.getrandbits(len(value))
                    ctx.set(value, number)
                    ctx.set(twin, number)
            taken += ctx.get(bare.i.valid & bare.i.ready)
            await ctx.tick()
            for (path, member, value), twin in zip(ports, wrapped, strict=True):
                if member.flow is wiring.Flow.Out:
                    assert ctx.get(value) == ctx.get(twin), path

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert 50 < taken < 350


def test_stopped_clock_holds_all():
    dut = switched()

    async def testbench(ctx):
        await power_up(ctx, dut)
        await work(ctx, dut)
        ctx.set(dut.control.clock, 0)
        ctx.set(dut.control.reset, 1)  # needs a clock
        ctx.set(dut.address, 3)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.write, 1)
        for _ in range(5):
            await ctx.tick()
            assert state(ctx, dut) == WORKED | {"async_word": WORDS[3]}

    simulate(dut, testbench)


@pytest.mark.parametrize("fault", [None, "isolate", "reset", "keep", "retain"])
def test_tamper_takes_one_thing_away(fault):
    m = Module()
    of_sequencer = DomainControl(2).create()
    tamper = Signal(Tamper)
    passed = tampered(m, of_sequencer, tamper, domain=domain(Retention.ARRAY))
    wires = ("switches", "isolate", "save", "restore", "retain", "clock", "reset")
    missing = {"keep": {"save", "restore"}}.get(fault, {fault})

    async def testbench(ctx):
        if fault:
            ctx.set(getattr(tamper, fault), 1)
        for wire in wires:
            number = (1 << len(getattr(of_sequencer, wire))) - 1
            ctx.set(getattr(of_sequencer, wire), number)
            await ctx.delay(1e-6)
            for other in wires:
                expected = number if other == wire and wire not in missing else 0
                assert ctx.get(getattr(passed, other)) == expected, (wire, other)
            ctx.set(getattr(of_sequencer, wire), 0)
        assert not ctx.get(of_sequencer.good)
        ctx.set(passed.good, 1)
        await ctx.delay(1e-6)
        assert ctx.get(of_sequencer.good)

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("delay", [1, 5])
def test_supply_follows_its_switches(delay):
    model = SwitchModel(3, delay)

    async def testbench(ctx):
        for closed in (0b000, 0b001, 0b011, 0b101):
            ctx.set(model.switches, closed)
            await wait(ctx, 2 * delay)
            assert not ctx.get(model.good)
        ctx.set(model.switches, 0b111)
        for _ in range(delay):
            assert not ctx.get(model.good)
            await ctx.tick()
        assert ctx.get(model.good)
        await wait(ctx, 3)
        assert ctx.get(model.good)
        ctx.set(model.switches, 0b110)
        assert not ctx.get(model.good)
        await ctx.tick()
        ctx.set(model.switches, 0b111)
        assert not ctx.get(model.good)

    simulate(model, testbench)


class Foreign(wiring.Component):
    q: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.macro = Instance("macro", o_q=self.q)
        return m


class SwitchedInner(wiring.Component):
    supply: In(1)


class OtherClock(wiring.Component):
    q: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.domains += ClockDomain("other")
        m.d.other += self.q.eq(~self.q)
        return m


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SwitchModel(0, 1), "steps and delay must be at least 1, not 0 and 1"),
        (lambda: Switched(SwitchedInner(), domain(Retention.NONE), power_aware=False),
         "domain 'toy' has a port 'supply' of its own"),
        (lambda: Switched(Inner(), domain(Retention.NONE), power_aware=True, clamps={"sum": 1}),
         "clamp 'sum' is no output of domain 'toy'; those are count"),
        (lambda: Switched(Inner(), domain(Retention.NONE), power_aware=True,
                          clamps={"enable": 1}), "clamp 'enable' is no output"),
        (lambda: Switched(Inner(), domain(Retention.NONE), power_aware=True,
                          clamps={"count": 65536}), r"must be in 0\.\.65535, not 65536"),
        (lambda: Switched(Inner(), domain(Retention.ARRAY), power_aware=True,
                          retained=[Signal()]), "domain 'toy' retains no registers"),
        (lambda: Switched(Inner(), domain(Retention.REGISTERS), power_aware=True,
                          retained=[Signal(name="stranger")]).elaborate(None),
         "domain 'toy' has no register stranger to retain"),
        (lambda: Switched(Foreign(), domain(Retention.NONE), power_aware=True).elaborate(None),
         "instance of 'macro', whose state cannot be switched off"),
        (lambda: Switched(OtherClock(), domain(Retention.NONE), power_aware=True).elaborate(None),
         "logic in clock domain other; only sync can be switched off"),
    ],
)  # fmt: skip
def test_refuses_what_it_cannot_do(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
