# amaranth: UnusedElaboratable=no

"""docs/power.md says what hdl/power/domains.py and the sequencer do."""

from pathlib import Path

import pytest
from amaranth.sim import Simulator
from sequencer_bench import Bench

from hdl.config import FULL
from hdl.power.domains import MODES, Level, PowerState, Retention, coarse_domains, power_domains

PAGE = Path(__file__).parents[1] / "docs" / "power.md"
COLUMNS = 30


def domain_table():
    rows = [
        "| domain | switched | clock | kept without supply | switches | holds |",
        "|" + "---|" * 6,
    ]
    for domain in power_domains(FULL):
        contents = domain.contents + ("" if domain.present else " (to come)")
        clock = "core" if domain.clock == "sync" else domain.clock
        rows.append(
            f"| `{domain.name}` | {domain.level.value} | {clock} | {domain.retention.value} "
            f"| {domain.steps} | {contents} |"
        )
    return "\n".join(rows)


def mode_table():
    names = [domain.name for domain in coarse_domains(FULL)]
    rows = [
        "| mode | core clock | " + " | ".join(names) + " | act, mram |",
        "|" + "---|" * (len(names) + 3),
    ]
    for mode, entry in MODES.items():
        cells = []
        for domain in coarse_domains(FULL):
            retained = domain.retention in (Retention.REGISTERS, Retention.ARRAY)
            off = "retained" if retained else "off"
            cells.append("on" if domain.name in entry.on else off)
        permits = "permitted" if entry.permits else "retained or off"
        clock = "runs" if entry.core else "stopped"
        rows.append(f"| {mode.name} | {clock} | " + " | ".join(cells) + f" | {permits} |")
    return "\n".join(rows)


def diagram(retention):
    """A domain goes on, is retained (or off), and comes back."""
    bench = Bench(retention, steps=2, delay=1)
    control, request = bench.dut.control, bench.dut.request
    rows = {}

    async def testbench(ctx):
        for cycle in range(COLUMNS):
            wanted = PowerState.RETAIN if 11 <= cycle < 20 else PowerState.ON
            bench.want(ctx, wanted)
            marks = {state: state.name for state in PowerState}
            for name, value in (
                ("target", marks[wanted]),
                ("state", marks[ctx.get(request.state)]),
                ("ramp", ctx.get(bench.dut.ramp)),
                ("granted", ctx.get(bench.dut.granted)),
                ("switches", f"{ctx.get(control.switches):02b}"),
                ("good", ctx.get(control.good)),
                *((wire, ctx.get(getattr(control, wire))) for wire in WIRES[retention]),
            ):
                rows.setdefault(name, []).append(str(value)[:3])
            await ctx.tick()

    sim = Simulator(bench.top)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    rows = {"cycle": range(COLUMNS)} | rows
    return "\n".join(f"{name:9}" + "".join(f"{x:>4}" for x in row) for name, row in rows.items())


WIRES = {
    Retention.REGISTERS: ("isolate", "clock", "save", "restore", "reset"),
    Retention.ARRAY: ("isolate", "clock", "retain", "reset"),
    Retention.NON_VOLATILE: ("isolate", "clock", "reset"),
}


@pytest.mark.parametrize("table", [domain_table, mode_table], ids=["domains", "modes"])
def test_table_in_documentation(table):
    assert table() in PAGE.read_text(), f"docs/power.md must have\n{table()}"


@pytest.mark.parametrize("retention", WIRES, ids=lambda kind: kind.name.lower())
def test_diagram_in_documentation(retention):
    drawn = diagram(retention)
    assert drawn in PAGE.read_text(), f"docs/power.md must have\n{drawn}"


def test_every_level_is_described():
    page = PAGE.read_text()
    assert all(level.value in page for level in Level)
