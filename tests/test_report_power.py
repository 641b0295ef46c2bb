"""The power timeline and the gating table of a run's page."""

from dataclasses import replace

import numpy as np
import pytest
from html_page import Page
from judge import small_network
from test_gating import fake_ablation
from test_report_page import made_up_report

from hdl.config import SMALL
from hdl.power import PowerState, power_domains
from mmsp.bench.gating_table import cells
from mmsp.html import run_page
from mmsp.html.power import pieces, power_figure
from mmsp.simulator import DomainPower, PowerEvents

DOMAINS = power_domains(SMALL)
NAMES = [domain.name for domain in DOMAINS]


def with_power(run, cycles, states, dropped=0):
    """The run with these events, and the counts that follow from them."""
    lengths = np.diff([*cycles, run.cycles])
    power = {
        name: DomainPower(
            int(lengths[states[:, at] == PowerState.ON.value].sum()),
            int(lengths[states[:, at] == PowerState.RETAIN.value].sum()),
            int((np.diff((states[:, at] == PowerState.ON.value).astype(int)) > 0).sum()),
        )
        for at, name in enumerate(NAMES)
    }
    events = PowerEvents(np.array(cycles, np.uint64), states.astype(np.uint8), dropped)
    return replace(run, power=power, events=events)


def random_events(rng, run, count):
    cycles = [0, *np.sort(rng.choice(np.arange(1, run.cycles), count, replace=False)).tolist()]
    return cycles, rng.integers(0, 3, (count + 1, len(NAMES)))


@pytest.mark.parametrize("count", [0, 1, 50])
def test_pieces_are_the_cycles_in_a_state(rng, count):
    run = made_up_report(small_network(), rng)[0].result.first
    cycles, states = random_events(rng, run, count)
    run = with_power(run, cycles, states)
    each = np.repeat(states, np.diff([*cycles, run.cycles]), axis=0)
    for domain in range(len(NAMES)):
        for state in PowerState:
            inside = np.zeros(run.cycles, bool)
            for begin, end in pieces(run, domain, state):
                assert begin < end
                assert not inside[max(begin - 1, 0) : end].any(), "pieces touch"
                inside[begin:end] = True
            assert (inside == (each[:, domain] == state.value)).all()


def test_pieces_that_are_close_are_one(rng):
    run = made_up_report(small_network(), rng)[0].result.first
    states = np.zeros((6, len(NAMES)), int)
    states[[1, 3, 5], 2] = PowerState.ON.value
    run = with_power(run, [0, 10, 20, 24, 30, 40], states)
    assert pieces(run, 2, PowerState.ON) == [(10, 20), (24, 30), (40, run.cycles)]
    assert pieces(run, 2, PowerState.ON, 5) == [(10, 30), (40, run.cycles)]
    assert pieces(run, 2, PowerState.ON, 11) == [(10, run.cycles)]
    assert pieces(run, 2, PowerState.RETAIN) == []


def test_page_has_timeline_and_policies(rng):
    report, image, batch = made_up_report(small_network(), rng)
    run = with_power(report.result.first, *random_events(rng, report.result.first, 30), 7)
    report = replace(report, result=replace(report.result, first=run))
    ablation = fake_ablation()
    page = Page(run_page(report, image, batch, ablation))
    for domain in DOMAINS:
        assert domain.name in page.texts
        power = run.power[domain.name]
        (tip,) = [text for text in page.texts if text.startswith(f"{domain.name}, ")]
        assert f"on {power.on_cycles / run.cycles:.1%}, retained" in tip
        assert tip.endswith(f", {power.wakeups:,} wake-ups")
    assert "The last 7 changes are not shown." in page.texts
    for cost in ablation.costs:
        assert cost.gating.name.lower() in page.texts
        for value in cells(cost):
            assert value in page.texts
    text = run_page(report, image, batch, ablation)
    assert text == run_page(report, image, batch, ablation)
    assert (
        "Power" not in Page(run_page(made_up_report(small_network(), rng)[0], image, batch)).texts
    )


def test_domains_that_are_to_come_have_no_row(rng):
    run = made_up_report(small_network(), rng)[0].result.first
    states = np.full((1, len(NAMES)), PowerState.ON.value)
    absent = [at for at, domain in enumerate(DOMAINS) if not domain.present]
    assert absent
    states[:, absent] = PowerState.OFF.value
    run = with_power(run, [0], states)
    texts = Page(power_figure(run, [], [], SMALL)).texts
    for at, name in enumerate(NAMES):
        assert (name in texts) == (at not in absent)
