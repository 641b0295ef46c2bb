"""Gating policies compared: figures, table, page, and the digits on the RTL."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bench_stub import fake_measurement
from html_page import Page
from judge import small_network
from published import MODELS
from rich.console import Console

import mmsp.cli.bench_gating
from hdl.config import FULL, SMALL
from hdl.power import Gating
from mmsp.bench.gating import BARS, Ablation, ablate, measure_gating, policy_cost
from mmsp.bench.gating_table import TITLES, cells, print_ablations
from mmsp.bench.mlperf_tiny import NETWORKS
from mmsp.cli import main
from mmsp.html import gating_page
from mmsp.importers.tflite_writer import write_tflite
from mmsp.inputs import random_batch
from mmsp.simulator import DomainPower, SimulationError
from mmsp.simulator.simulator import Simulator
from mmsp.zoo import digits_model

POLICIES = [policy.name.lower() for policy in Gating]


def fake_result(gating, **counts):
    """A result with these counts in place of those of `bench_stub`."""
    result = fake_measurement(cycles=counts.get("cycles", 50_000)).result
    power = {
        "aon": DomainPower(50_000, 0, 0),
        "act0": DomainPower(100, 20, 3), "act1": DomainPower(1000, 400, 5),
        "mram0": DomainPower(11, 0, 1), "mram1": DomainPower(13, 0, 1),
    }  # fmt: skip
    return replace(result, gating=gating, first=replace(result.first, power=power, **counts))


def fake_ablation(model="some.tflite", config=FULL):
    costs = [
        policy_cost(
            fake_result(gating, cycles=50_000 + 1234 * gating.value, mram_reads=1000,
                        mram_active_cycles=1100, mram_bank_cycles=1300, mram_wakeups=4),
            fake_result(Gating.ALWAYS_ON),
        )
        for gating in Gating
    ]  # fmt: skip
    return Ablation(model=model, network=NETWORKS[1], config=config, costs=costs)


def test_figures_of_a_policy():
    cost = fake_ablation().costs[Gating.PER_BURST.value]
    assert cost.gating is Gating.PER_BURST
    assert (cost.act_on_cycles, cost.act_retain_cycles, cost.act_wakeups) == (1100, 420, 8)
    assert cost.mram_on_cycles == 24
    assert cost.cycles_ratio == (50_000 + 3 * 1234) / 50_000
    assert cost.active_ratio == 1.1
    assert cost.bank_ratio == (1300 - 4 * 50) / 1000


def test_network_without_words_has_figures():
    cost = policy_cost(fake_result(Gating.PER_LAYER, mram_reads=0), fake_result(Gating.ALWAYS_ON))
    assert cost.active_ratio == 20


def test_table_and_page_have_all_figures():
    console = Console(record=True, width=30, force_terminal=False)
    ablations = [fake_ablation(), fake_ablation("a<b.tflite", replace(FULL, mram_wakeup=5))]
    print_ablations(console, ablations)
    text = console.export_text()
    page = Page(gating_page(FULL, ablations, seed=3))
    for cost in ablations[0].costs:
        values = cells(cost)
        assert len(values) == len(TITLES)
        for value in [*values, cost.gating.name.lower()]:
            assert value in text, "cut on a narrow terminal"
            assert value in page.texts
    for ablation in ablations:
        assert ablation.model.removesuffix(".tflite") in text
        assert ablation.model in page.texts
        assert f"{ablation.wakeup_us:g}" in page.texts


class Disagreeing:
    """A simulator whose outputs depend on the policy."""

    config = FULL

    def run(self, batch, *, reset_state, gating, progress):
        result = fake_result(gating)
        return replace(result, int8_outputs={"y": [gating is Gating.PER_LAYER]})


def test_policy_that_changes_an_output_is_a_failure():
    batch = random_batch([], 1)
    with pytest.raises(SimulationError, match="'y' of net with gating per_layer differs from that"):
        ablate(Disagreeing(), batch, model="net")


def test_bench_command(monkeypatch, tmp_path, capsys):
    asked = []

    def measure(source, config, *, name, wakeup, seed, progress):
        asked.append((name, config.name, wakeup, seed))
        progress(3, 0)
        return fake_ablation(name, replace(config, mram_wakeup=wakeup))

    monkeypatch.setattr(mmsp.cli.bench_gating, "measure_gating", measure)
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    arguments = ["bench", "--gating", "--config", "small", "--wakeup-us", "0.1", "1", "10",
                 "--seed", "4", "--json", str(out), "--report", str(page)]  # fmt: skip
    assert main(arguments) == 0
    assert asked == [("digits.tflite", "SMALL", cycles, 4) for cycles in (5, 50, 500)]
    document = json.loads(out.read_text())
    assert [entry["wakeup_us"] for entry in document["gating"]] == [0.1, 1, 10]
    assert [entry["wakeup_cycles"] for entry in document["gating"]] == [5, 50, 500]
    for entry in document["gating"]:
        assert [policy["gating"] for policy in entry["policies"]] == POLICIES
        assert entry["policies"][0]["mram_bank_cycles"] == 1300
    assert "per_burst" in capsys.readouterr().out
    assert "per_burst" in page.read_text()


def test_networks_of_the_suite_alone(monkeypatch, tmp_path):
    for network in NETWORKS:
        (tmp_path / network.file).write_bytes(write_tflite(small_network()))
    asked = []

    def measure(source, config, *, name, **_):
        asked.append(name)
        return fake_ablation(name)

    monkeypatch.setattr(mmsp.cli.bench_gating, "measure_gating", measure)
    assert main(["bench", "--gating", "--config", "SMALL", "--models", str(tmp_path)]) == 0
    assert asked == [network.file for network in NETWORKS]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--gating", "--wakeup-us", "0"], "--wakeup-us must be 0.02 (one cycle) to 2000 micro"),
        (["--gating", "--wakeup-us", "1", "nan"], "and is 'nan'"),
        (["--gating", "--wakeup-us", "fast"], "and is 'fast'"),
        (["--wakeup-us", "1"], "--wakeup-us is for --gating, which is not given"),
        (["--gating", "--layers"], "--gating compares policies, and --layers is given, too"),
        (["--operators", "--gating"], "--operators measures layers of its own, and --gating is"),
    ],
)
def test_bad_benchmarks(capsys, arguments, sentence):
    assert main(["bench", *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["sometimes", "", "PER-BURST"])
def test_bad_policy(capsys, tmp_path, policy):
    path = tmp_path / "small.tflite"
    path.write_bytes(write_tflite(small_network()))
    assert main(["run", str(path), "--gating", policy]) == 2
    said = capsys.readouterr().err
    assert f"--gating must be {', '.join(POLICIES)}, and is {policy!r}" in said
    assert said.count("\n") == 1


@pytest.mark.sim
def test_policies_on_the_chip():
    with Simulator(digits_model(), SMALL) as simulator:
        batch = random_batch(simulator.description.inputs, 1)
        ablation = ablate(simulator, batch, model="digits")
        result = simulator.run(batch, gating=Gating.PER_NETWORK)
    assert [cost.gating for cost in ablation.costs] == list(Gating)
    words = {cost.mram_reads for cost in ablation.costs}
    assert words == {simulator.image.program.words}
    always, network, layer, burst = ablation.costs
    assert result.gating is Gating.PER_NETWORK
    assert result.cycles == network.cycles, "the same run again"
    segments, banks = SMALL.activation_segments, SMALL.mram_banks
    assert always.act_on_cycles == segments * always.cycles
    assert always.mram_bank_cycles == banks * always.cycles
    assert always.mram_wakeups == 0
    # The program lies in one bank.
    assert network.mram_wakeups == 1
    assert network.mram_bank_cycles == network.mram_active_cycles <= network.cycles
    assert burst.mram_wakeups >= layer.mram_wakeups >= 1
    assert max(burst.mram_active_cycles, layer.mram_active_cycles) <= network.mram_active_cycles
    assert burst.act_on_cycles <= layer.act_on_cycles <= network.act_on_cycles < always.cycles * 2
    assert burst.act_retain_cycles > 0


@pytest.mark.sim
@pytest.mark.parametrize("policy", list(Gating), ids=lambda policy: policy.name.lower())
def test_reset_ends_a_run_anywhere(policy):
    """Reads in flight, a burst, ramps: all may be cut, and the next run is as any other."""
    with Simulator(digits_model(), SMALL) as simulator:
        batch = random_batch(simulator.description.inputs, 1)
        expected = simulator.run(batch, gating=policy)
        chip, first = simulator.chip, simulator.image.program.first_word
        for cut in (1, 7, 60, 333, 2718):
            chip.set_policy(policy, *[(1 << SMALL.activation_segments) - 1] * 2)
            with pytest.raises(SimulationError, match=f"has not ended after {cut} cycles"):
                chip.run(first, max_cycles=cut)
            chip.reset()
            again = simulator.run(batch, gating=policy)
            assert again.cycles == expected.cycles
            for name, outputs in expected.int8_outputs.items():
                assert np.array_equal(again.int8_outputs[name], outputs)


@pytest.mark.sim
@pytest.mark.long
@pytest.mark.skipif(not MODELS.exists(), reason="the MLPerf Tiny networks are not there")
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.key)
def test_bars(capsys, network):
    """What per_burst may cost at most, on FULL at a wake-up of 1 us."""
    ablation = measure_gating(MODELS / network.file, FULL)
    assert ablation.network is network
    assert ablation.wakeup_us == 1
    burst = ablation.costs[Gating.PER_BURST.value]
    with capsys.disabled():
        print(f"\n{network.key}: {burst}")
    for ratio, most in BARS.items():
        assert getattr(burst, ratio) <= most, ratio
