# amaranth: UnusedElaboratable=no

"""Gating policies against a table of what each wants."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.config import SMALL
from hdl.power.domains import Gating, PowerState
from hdl.power.policy import GatingPolicy
from verif.sim import simulation_seed

SEGMENTS = SMALL.activation_segments
STEPS = 400


def wanted(policy, busy, opened, sets, alive):
    """Target of one segment; ``sets``: those of its masks that have it."""
    if policy == Gating.ALWAYS_ON:
        return PowerState.ON
    if not busy:
        on, kept = opened and "held" in sets, "held" in sets
    elif policy == Gating.PER_NETWORK:
        on, kept = bool(sets & {"footprint", "held"}), False
    else:
        live = bool(sets & {"live", "job_live", "next_live"})
        used = bool(sets & {"job_used", "next_used"})
        on, kept = (live, False) if policy == Gating.PER_LAYER else (used, live)
    if on:
        return PowerState.ON
    return PowerState.RETAIN if kept and alive else PowerState.OFF


@pytest.mark.parametrize("policy", Gating)
def test_segments_and_banks(policy):
    seed = simulation_seed()
    print(f"seed {seed}")
    rng = np.random.default_rng([seed, policy.value])
    dut = GatingPolicy(SMALL)
    seen = set()

    async def testbench(ctx):
        ctx.set(dut.gating, policy)
        live, touched = 0, 0
        masks = ("footprint", "held", "job_live", "next_live")
        for _ in range(STEPS):
            busy, opened = int(rng.random() < 0.8), int(rng.random() < 0.5)
            values = {name: int(rng.integers(1 << SEGMENTS)) for name in masks}
            if rng.random() < 0.3:
                values["job_live"] = 0
            states = [PowerState(int(rng.integers(3))) for _ in range(SEGMENTS)]
            on = sum(1 << k for k, state in enumerate(states) if state is PowerState.ON)
            # What the invariants of the design ask of its surroundings.
            values["job_used"] = values["job_live"] & on & int(rng.integers(1 << SEGMENTS))
            values["next_used"] = values["next_live"] & int(rng.integers(1 << SEGMENTS))
            for name, value in values.items():
                ctx.set(getattr(dut, name), value)
            for k, state in enumerate(states):
                ctx.set(dut.states[k], state)
            banks = int(rng.integers(1 << SMALL.mram_banks))
            done = int(rng.integers(2))
            ctx.set(dut.busy, busy)
            ctx.set(dut.host_open, opened & ~busy & 1)
            ctx.set(dut.stream_banks, banks)
            ctx.set(dut.job_done, done)
            for k, state in enumerate(states):
                sets = {name for name, value in values.items() if value >> k & 1}
                if live >> k & 1:
                    sets.add("live")
                expected = wanted(policy, busy, opened, sets, state is not PowerState.OFF)
                assert ctx.get(dut.targets[k]) == expected, (busy, opened, sets, state)
                seen.add(expected)
            assert ctx.get(dut.next_ready) == (not values["next_used"] & ~on)
            ready = opened and not busy and not values["held"] & ~on
            assert ctx.get(dut.host_ready) == ready
            keep = {Gating.ALWAYS_ON: (1 << SMALL.mram_banks) - 1, Gating.PER_NETWORK: touched}
            assert ctx.get(dut.keep_banks) == keep.get(policy, 0)
            sleep = {Gating.PER_LAYER: done, Gating.PER_BURST: 1}
            assert ctx.get(dut.may_sleep) == sleep.get(policy, 0)
            await ctx.tick()
            live = values["job_live"] or live if busy else values["held"]
            touched = touched | banks if busy else 0

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    everything = {
        Gating.ALWAYS_ON: {PowerState.ON},
        Gating.PER_NETWORK: set(PowerState),
        Gating.PER_LAYER: set(PowerState),
        Gating.PER_BURST: set(PowerState),
    }
    assert seen == everything[policy]
