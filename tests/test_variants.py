"""Configurations with memories of other sizes: names, limits, images, and one on the RTL."""

import dataclasses
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Fragment
from judge import activation, convolution, network, random_int8, small_network
from judge import constant as make_constant

import mmsp.cli.run
from hdl.config import CONFIGS, ECP5, FULL, SMALL
from hdl.soc.chip import Chip
from mmsp.cli import main
from mmsp.compiler import compile_graph
from mmsp.errors import InputError
from mmsp.image import HEADER, choose_config, configuration_hash, read_image, write_image
from mmsp.importers.tflite_writer import write_tflite
from mmsp.variants import base_name, find_config, make_variant

PIXELS = 56
"""Edge of a picture whose activations exceed the 32 KiB of SMALL."""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(write_tflite(small_network()))
    return str(path)


def wide_network(rng):
    """Two convolutions with 56 x 56 x 4 bytes before, between and behind them."""
    tensors = [activation(name, (1, PIXELS, PIXELS, 4), 0.5) for name in ("x", "y", "z")]
    nodes = [
        convolution(
            a, make_constant(f"w{b.name}", random_int8(rng, (4, 1, 1, 4)), (0.01,)), None, b
        )
        for a, b in pairwise(tensors)
    ]
    last = activation("last", (1, PIXELS, PIXELS, 4), 0.5)
    nodes.append(("ADD", (tensors[0], tensors[2]), last, {"activation": "NONE"}))
    return network(*nodes)


@pytest.mark.parametrize(
    ("name", "base", "sizes"),
    [
        ("FULL", FULL, (128, 2048)),
        ("full+ACT64+mram512", FULL, (64, 512)),
        ("ecp5+act1", ECP5, (1, 2048)),
        ("SMALL+mram16384", SMALL, (32, 16384)),
    ],
)
def test_name_and_sizes(name, base, sizes):
    found = find_config(name)
    assert found is not None
    assert (found.activation_kib, found.mram_kib) == sizes
    assert found.name == name.upper().replace("+ACT", "+act").replace("+MRAM", "+mram")
    assert base_name(found) == base.name
    changed = {"name", "activation_kib", "mram_kib"}
    for field in dataclasses.fields(base):
        if field.name not in changed:
            assert getattr(found, field.name) == getattr(base, field.name)
    assert find_config(found.name) == found
    assert make_variant(found) == found
    assert make_variant(found, base.activation_kib, base.mram_kib) is base
    assert (configuration_hash(found) == configuration_hash(base)) == (found == base)


@pytest.mark.parametrize(
    ("name", "cycles"), [("FULL+wake5", 5), ("small+ACT64+mram256+WAKE500", 500)]
)
def test_wakeup(name, cycles):
    found = find_config(name)
    assert found.mram_wakeup == cycles
    assert found.name == name.upper().replace("+ACT", "+act").replace("+MRAM", "+mram").replace(
        "+WAKE", "+wake"
    )
    assert find_config(found.name) == make_variant(found) == found
    assert make_variant(found, wakeup=FULL.mram_wakeup).mram_wakeup == FULL.mram_wakeup
    # A program does not depend on it.
    assert configuration_hash(found) == configuration_hash(
        make_variant(found, wakeup=FULL.mram_wakeup)
    )


@pytest.mark.parametrize("base", CONFIGS.values(), ids=CONFIGS)
def test_limits_are_what_the_hardware_takes(base):
    """One beyond each limit is refused; at the limits the chip can be elaborated."""
    most_act, most_mram = (1 << 16) * 4 * base.rows // 1024, 16384
    for sizes in ((1, 2 * base.cache_kib), (most_act, most_mram)):
        variant = make_variant(base, *sizes)
        if base is SMALL:  # the others differ only in time
            Fragment.get(Chip(variant), None)
    for act_kib in (-1, 0, most_act + 1):
        with pytest.raises(InputError, match=rf"1\.\.{most_act} KiB, and --act-kib is {act_kib}$"):
            make_variant(base, act_kib)
    for mram_kib in (-4, 0, base.cache_kib, 3 * base.cache_kib, 2 * most_mram):
        with pytest.raises(InputError, match=rf"power of two, and --mram-kib is {mram_kib}$"):
            make_variant(base, None, mram_kib)


@pytest.mark.parametrize("name", ["HUGE", "", "FULL+", "FULL+act", "FULL+mram64+act3", "FULL+x"])
def test_unknown_names(name):
    with pytest.raises(InputError, match="there is no configuration "):
        find_config(name)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--act-kib", "0"], "must have 1..4096 KiB, and --act-kib is 0"),
        (["--mram-kib", "100"], "must have 32..16384 KiB and a power of two, and --mram-kib is 1"),
        (["--act-kib", "x"], "argument --act-kib: invalid int value: 'x'"),
        (["--config", "SMALL+wake0"], "must wake up in 1..100000 cycles, and 0 are given"),
        (["--config", "SMALL+act0"], "a variant of SMALL must have 1..1024 KiB, and --act-kib"),
    ],
)
@pytest.mark.parametrize("command", ["run", "compile", "bench", "inspect"])
def test_bad_sizes(capsys, model, tmp_path, command, arguments, sentence):
    output = ["-o", str(tmp_path / "x.mram")] if command == "compile" else []
    assert main([command, model, *arguments, *output]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert sentence in err
    assert not (tmp_path / "x.mram").exists()


def test_image_of_a_variant(capsys, model, tmp_path):
    """It names the variant that it was made for, and only that one runs it."""
    path = str(tmp_path / "x.mram")
    sizes = ["--act-kib", "24", "--mram-kib", "64"]
    assert main(["compile", model, "-o", path, "--config", "small", *sizes]) == 0
    assert "in the MRAM of SMALL+act24+mram64" in capsys.readouterr().out
    data = Path(path).read_bytes()
    variant = make_variant(SMALL, 24, 64)
    assert read_image(data).config == read_image(data, variant).config == variant
    with pytest.raises(InputError, match=r"SMALL\+act24\+mram64 \(.*, and this is SMALL \("):
        read_image(data, SMALL)
    assert main(["inspect", path]) == 0
    assert "for SMALL+act24+mram64" in capsys.readouterr().out
    assert main(["run", path, "--act-kib", "64"]) == 2
    assert "made for configuration SMALL+act24+mram64" in capsys.readouterr().err


def test_sizes_that_are_not_those_of_the_hash():
    """The sizes in a header are a hint; what counts is the hash."""
    good = configuration_hash(make_variant(FULL, 64))
    assert choose_config("FULL", good, (64, 2048), None).name == "FULL+act64"
    assert choose_config("FULL", configuration_hash(FULL), (0, 0), None) is FULL  # as before
    for kib in ((32, 2048), (0, 0), (64, 100), (65535, 65535)):
        with pytest.raises(InputError, match="with other sizes"):
            choose_config("FULL", good, kib, None)
    with pytest.raises(InputError, match="made for configuration OTHER with other sizes"):
        choose_config("OTHER", good, (64, 2048), None)
    assert HEADER.unpack_from(write_image(compile_graph(small_network(), SMALL)))[-3:-1] == (
        SMALL.activation_kib, SMALL.mram_kib
    )  # fmt: skip


def test_reset_state_reaches_target_and_references(monkeypatch, model):
    seen = []

    def record(name):
        def run(loaded, batch, *, reset_state=False):
            seen.append((name, reset_state))
            return {"labels": np.zeros((batch.count, 1, 4), np.int8)}

        return run

    monkeypatch.setitem(mmsp.cli.run.REFERENCES, "golden", record("target"))
    monkeypatch.setattr("mmsp.references.tflm_outputs", record("reference"))
    monkeypatch.setattr("mmsp.references.tflm_available", lambda: True)
    for options, expected in (([], False), (["--reset-state"], True)):
        seen.clear()
        assert main(["run", model, "--target", "golden", *options]) == 0
        assert seen == [("target", expected), ("reference", expected)]


@pytest.mark.sim
def test_network_that_needs_a_variant(capsys, tmp_path, rng):
    """Refused by SMALL, bit-exact with more memory, in a depth that is no power of two."""
    path, report = tmp_path / "wide.tflite", tmp_path / "r.json"
    path.write_bytes(write_tflite(wide_network(rng)))
    assert main(["run", str(path), "--config", "SMALL"]) == 2
    said = capsys.readouterr().err
    assert "do not fit configuration SMALL" in said
    (needed,) = re.findall(r"--act-kib (\d+) would simulate one", said)
    assert int(needed) > SMALL.activation_kib
    assert int(needed) & (int(needed) - 1), "a power of two"
    sizes = ["--act-kib", needed, "--mram-kib", "2"]
    assert main(["run", str(path), "--config", "SMALL", *sizes, "--json", str(report)]) == 0
    document = json.loads(report.read_text())
    assert document["config"] == f"SMALL+act{needed}+mram2"
    assert document["bit_exact"]["mismatches"] == 0
    assert "golden" in document["bit_exact"]["against"]
