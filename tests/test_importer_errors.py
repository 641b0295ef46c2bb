"""Files that are not what they should be: always one sentence, never a traceback."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from judge import small_network
from operator_examples import EXAMPLES
from published import DATA, needs_data

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import TfliteWriter, write_tflite

SEED = 20241
KWS = DATA / "mlcommons-tiny" / "models" / "kws_ref_model.tflite"
VAD = DATA / "esphome-micro-wake-word-models" / "models" / "vad.tflite"
REAL = (KWS, VAD)


def test_foreign_files():
    with pytest.raises(InputError, match=r"^x has 0 bytes, too few for a .tflite file$"):
        read_tflite(b"", "x")
    with pytest.raises(InputError, match=r"^x is not a .tflite file: its identifier is b'\\r\\n"):
        read_tflite(b"\x89PNG\r\n\x1a\n" + bytes(100), "x")
    data = bytearray(write_tflite(small_network()))
    data[4:8] = b"TFL2"
    with pytest.raises(InputError, match="its identifier is b'TFL2', not b'TFL3'"):
        read_tflite(bytes(data), "x")


def test_every_truncation_of_a_small_file():
    data = write_tflite(small_network())
    for size in range(len(data)):
        with pytest.raises(InputError, match=r"^x (is truncated or corrupt: |has \d bytes, too)"):
            read_tflite(data[:size], "x")


@needs_data
def test_truncations_of_real_files():
    rng = np.random.default_rng(SEED)
    paths = sorted(DATA.glob("*/models/*.tflite"))
    assert len(paths) >= 8
    for path in paths:
        data = path.read_bytes()
        for size in rng.integers(0, len(data), 60).tolist():
            with pytest.raises(InputError, match=r"^x "):
                read_tflite(data[:size], "x")


@pytest.mark.parametrize(
    "source", ["small", *(pytest.param(p, marks=needs_data, id=p.stem) for p in REAL)]
)
def test_corrupt_bytes(source):
    """Reading and legalising corrupt bytes works or raises InputError, and nothing else."""
    rng = np.random.default_rng(SEED)
    data = write_tflite(small_network()) if source == "small" else source.read_bytes()
    # Weights fill most of a real file, so aim at its structure: the converter writes it last.
    reach = np.arange(max(0, len(data) - 12_000), len(data))
    results = Counter()
    for _ in range(2000 if source == "small" else 250):
        corrupt = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            corrupt[rng.choice(reach)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
        try:
            legalize(read_tflite(bytes(corrupt), "x"))
        except InputError as error:
            sentence = str(error)
            assert sentence
            assert "\n" not in sentence
            results["refused"] += 1
            results["corrupt"] += "truncated or corrupt" in sentence
        else:
            results["accepted"] += 1
    print(f"seed {SEED}: {dict(results)}")
    assert min(results["refused"], results["accepted"], results["corrupt"]) > 10


@pytest.mark.parametrize("op", EXAMPLES)
def test_corrupt_options(op):
    """Corrupt bytes in the file of any single operator: a graph or one sentence."""
    rng = np.random.default_rng([SEED, *op.encode()])
    data = write_tflite(EXAMPLES[op](rng))
    refused = 0
    for _ in range(100):
        corrupt = bytearray(data)
        corrupt[rng.integers(8, len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        try:
            read_tflite(bytes(corrupt), "x")
        except InputError as error:
            sentence = str(error)
            assert "\n" not in sentence, f"seed {SEED}"
            refused += 1
    assert refused > 5, f"seed {SEED}"


class OddWriter(TfliteWriter):
    """Writes the one subgraph ``copies`` times."""

    copies = 1

    def subgraph(self, subgraph):
        self.root = super().subgraph(subgraph)
        return self.root

    def offsets(self, children):
        if children == [getattr(self, "root", None)]:
            children = children * self.copies
        return super().offsets(children)


@pytest.mark.parametrize(
    ("copies", "message"),
    [
        (0, r"^x has no subgraphs$"),
        (2, r"^x has 2 subgraphs, and only .* are supported: 1 \(main\) is neither$"),
        (3, r"^x has 3 subgraphs, and only .* are supported: 1 \(main\) is neither$"),
    ],
)
def test_number_of_subgraphs(copies, message):
    writer = OddWriter(small_network())
    writer.copies = copies
    with pytest.raises(InputError, match=message):
        read_tflite(writer.write(), "x")


def test_dynamic_shape():
    graph = small_network()
    graph.tensors["hidden"] = replace(graph.tensors["hidden"], shape=(1, -1, 2, 3))
    with pytest.raises(InputError, match=r"'hidden' of x has the dynamic shape \(1, -1, 2, 3\)"):
        read_tflite(write_tflite(graph), "x")


@needs_data
def test_dynamic_signature():
    """An open batch is read, since its size is 1; any other open dimension is refused."""
    data = KWS.read_bytes()
    signature = np.array([-1, 49, 10, 1], "<i4").tobytes()
    assert data.count(signature) == 1
    assert read_tflite(data, "x").tensors["input_1"].shape == (1, 49, 10, 1)
    odd = data.replace(signature, np.array([1, -1, 10, 1], "<i4").tobytes())
    with pytest.raises(InputError, match=r"'input_1' of x has the dynamic shape \(1, -1, 10, 1\)"):
        read_tflite(odd, "x")


def test_tensor_type():
    data = bytearray(write_tflite(small_network()))
    graph = small_network()
    graph.tensors["image"] = replace(graph.tensors["image"], dtype=np.dtype(np.int16))
    other = write_tflite(graph)
    # The only difference is the type's byte; 13 is RESOURCE.
    (position,) = [i for i, (a, b) in enumerate(zip(data, other, strict=True)) if a != b]
    data[position] = 13
    with pytest.raises(InputError, match="tensor 'image' of x has type RESOURCE, not bool"):
        read_tflite(bytes(data), "x")


def test_constant_of_another_size():
    graph = small_network()
    graph.tensors["dense"] = replace(graph.tensors["dense"], shape=(4, 17))
    message = r"'dense' of x holds 72 bytes, and its shape \(4, 17\) of int8 needs 68"
    with pytest.raises(InputError, match=message):
        read_tflite(write_tflite(graph), "x")


def test_counts_of_scales():
    graph = small_network()
    quantization = replace(graph.tensors["weights"].quantization, zero_point=(0, 0))
    graph.tensors["weights"] = replace(graph.tensors["weights"], quantization=quantization)
    with pytest.raises(InputError, match="tensor 'weights' has 3 scales and 2 zero points"):
        read_tflite(write_tflite(graph), "x")


def test_window_attributes():
    graph = small_network()
    first = graph.nodes[0]
    graph.nodes[0] = replace(first, attributes={**first.attributes, "stride": (0, 1)})
    message = r"node 'conv_2d_0' \(CONV_2D\) has stride \(0, 1\): each must be >= 1"
    with pytest.raises(InputError, match=message):
        read_tflite(write_tflite(graph), "x")


def test_no_outputs():
    with pytest.raises(InputError, match=r"^x has no outputs$"):
        read_tflite(write_tflite(replace(small_network(), outputs=[])), "x")


def test_lengths_beyond_the_file():
    """Extents that no reader would touch are checked all the same."""
    data = write_tflite(small_network())
    length = data.index(b"small") - 4
    assert int.from_bytes(data[length : length + 4], "little") == len("small")
    # The root table starts with the distance back to its vtable, whose second entry is its size.
    root = int.from_bytes(data[:4], "little")
    vtable = root - int.from_bytes(data[root : root + 4], "little", signed=True)
    for position, size in ((length, 4), (vtable + 2, 2)):
        corrupt = bytearray(data)
        corrupt[position : position + size] = len(data).to_bytes(size, "little")
        with pytest.raises(InputError, match=r"^x is truncated or corrupt: it needs"):
            read_tflite(bytes(corrupt), "x")
