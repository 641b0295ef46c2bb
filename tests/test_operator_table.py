"""The operator table of docs/engine.md: complete, and true to what is measured."""

from pathlib import Path

import pytest

from hdl.config import FULL
from mmsp.bench.operator_table import ALL_CASES, BEGIN, END, MAPPING, operator_table
from mmsp.bench.operators import Cost
from mmsp.compiler.legalize import LEGALIZERS
from mmsp.compiler.program import compile_graph

PAGE = Path(__file__).parents[1] / "docs" / "engine.md"


def table_of_page():
    text = PAGE.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()


def test_every_operator_is_listed():
    assert set(MAPPING) == set(LEGALIZERS), "what legalisation accepts is what the table lists"
    lines = table_of_page().splitlines()[2:]
    listed = [line.split("|")[1].strip() for line in lines]
    assert [op for op in listed if op] == list(MAPPING)
    assert {case.op for case in ALL_CASES} <= set(MAPPING)


def test_cases_are_what_they_say():
    """Every case compiles, and contains its operator."""
    for case in ALL_CASES:
        program = compile_graph(case.graph(), FULL)
        assert case.op in {layer.op for layer in program.layers}, case
        assert program.jobs, case


def test_table_has_a_line_for_each_case():
    table = operator_table(FULL, measure=lambda case, config: Cost(1000, 5000, 7))
    lines = table.splitlines()[2:]
    unmeasured = len(set(MAPPING) - {case.op for case in ALL_CASES})
    assert len(lines) == len(ALL_CASES) + unmeasured
    assert table.count("| 1,000 | 5.0 MAC/cycle |") == len(ALL_CASES)
    assert "0.01 elements/cycle" in operator_table(FULL, measure=lambda *_: Cost(1000, 0, 7))


@pytest.mark.sim
def test_page_has_what_is_measured():
    """The table printed by ``mmsp bench --operators`` is the one of the page."""
    assert operator_table(FULL) == table_of_page()
