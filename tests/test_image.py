"""The MRAM image: what is written is what is read, and anything else is refused."""

import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from judge import activation, convolution, network, random_int8, small_network
from judge import constant as make_constant

from hdl.config import CONFIGS, ECP5, FULL, MRAM_WORD_BYTES, SMALL
from mmsp import image as module
from mmsp.compiler import compile_graph
from mmsp.description import Description, describe
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.image import ENTRY, HEADER, MAGIC, configuration_hash, read_image, write_image
from mmsp.importers.host_conversion import extract_host_conversions
from mmsp.simulator import ChipModel

VERSION_AT, COUNT_AT, SIZE_AT, RESIDENT_AT = 8, 10, 12, 16
HASH_AT, FORMAT_AT, CRC_AT = 40, 48, 60


@pytest.fixture(scope="module")
def program():
    return compile_graph(small_network(), SMALL)


@pytest.fixture(scope="module")
def data(program):
    return write_image(program)


def with_crcs(data):
    """``data`` with the checksums that its contents ask for: a forgery rather than damage."""
    forged = bytearray(data)
    (count,) = struct.unpack_from("<H", forged, COUNT_AT)
    for index in range(count):
        at = HEADER.size + index * ENTRY.size
        _, _, first, size, _ = ENTRY.unpack_from(forged, at)
        padded = forged[first * 16 : first * 16 + size + -size % 16]
        struct.pack_into("<I", forged, at + 20, zlib.crc32(padded))
    end = HEADER.size + count * ENTRY.size
    crc = zlib.crc32(forged[HEADER.size : end], zlib.crc32(forged[:CRC_AT]))
    struct.pack_into("<I", forged, CRC_AT, crc)
    return bytes(forged)


def patched(data, at, form, value):
    forged = bytearray(data)
    struct.pack_into(form, forged, at, value)
    return with_crcs(forged)


def with_description(data, change):
    """``data`` with another description, its sizes and checksums right."""
    image = read_image(data)
    network = image.segments[1]
    value = json.loads(network.data)
    change(value)
    raw = json.dumps(value).encode()
    start = network.first_word * MRAM_WORD_BYTES
    forged = bytearray(data[:start] + raw + bytes(-len(raw) % 16))
    struct.pack_into("<I", forged, HEADER.size + ENTRY.size + 16, len(raw))
    struct.pack_into("<I", forged, SIZE_AT, len(forged))
    return with_crcs(forged)


def test_layout_of_the_header():
    # docs/mram-image.md promises these, and a boot loader relies on them.
    assert (HEADER.size, ENTRY.size) == (64, 32)
    assert HEADER.unpack(bytes(range(64)))[-1] == struct.unpack("<I", bytes(range(60, 64)))[0]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=lambda config: config.name)
def test_round_trip(config):
    program = compile_graph(small_network(), config)
    data = write_image(program, sequence=7)
    image = read_image(data)
    assert image.config == config
    assert image.sequence == 7
    assert image.description == describe(program)
    np.testing.assert_array_equal(image.program_words, program.words)
    at = image.program.first_word
    np.testing.assert_array_equal(
        np.frombuffer(image.resident, np.uint8).reshape(-1, 16)[at:], program.words
    )
    assert image.resident == data[: len(image.resident)]
    assert [job.offset for job in image.description.jobs] == program.job_offsets
    assert write_image(program, sequence=7) == data
    assert len(data) % MRAM_WORD_BYTES == 0


def test_host_conversions_survive(rng):
    inside, hidden = activation("inside", (1, 4, 4, 2), 0.05, 3), activation("hidden", (1, 4, 4, 2))
    weights = make_constant("weights", random_int8(rng, (2, 1, 1, 2)), (0.5, 0.25))
    real = replace(inside, name="real", dtype=np.dtype(np.float32), quantization=None)
    result = replace(hidden, name="result", dtype=np.dtype(np.float32), quantization=None)
    graph = extract_host_conversions(
        network(
            ("QUANTIZE", (real,), inside, {}),
            convolution(inside, weights, None, hidden),
            ("DEQUANTIZE", (hidden,), result, {}),
        )
    )
    assert len(graph.host_conversions) == 2
    image = read_image(write_image(compile_graph(graph, SMALL)))
    (source,), (sink,) = image.description.inputs, image.description.outputs
    assert (source.name, source.dtype, sink.name, sink.dtype) == (
        "real", "float32", "result", "float32",
    )  # fmt: skip
    values = rng.normal(0, 3, (1, 4, 4, 2)).astype(np.float32)
    first, second = graph.host_conversions
    np.testing.assert_array_equal(source.to_inside(values), first.to_inside(values))
    codes = random_int8(rng, (1, 4, 4, 2))
    np.testing.assert_array_equal(sink.to_outside(codes), second.to_outside(codes))


def test_configuration_hashes_differ():
    hashes = {configuration_hash(config) for config in (FULL, ECP5, SMALL)}
    assert len(hashes) == 3
    assert configuration_hash(replace(SMALL, cache_kib=2)) not in hashes
    # Timing and name are not what a program depends on.
    same = replace(SMALL, name="OTHER", mram_latency=7, mram_wakeup=1, mram_write_cycles=1)
    assert configuration_hash(same) == configuration_hash(SMALL)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: b"", r"not an MRAM image: the file begins with b''"),
        (lambda d: b"TFL3" + d[4:], r"not an MRAM image: the file begins with b'TFL3MRAM'"),
        (lambda d: MAGIC + d[8:40], r"truncated: the header takes 64 bytes, and 40 are there"),
        (lambda d: d[:-16], r"truncated: its header says (\d+) bytes, and the file has \d+"),
        (lambda d: d + b"\0", r"followed by something else: its header says \d+ bytes"),
        (lambda d: patched(d, VERSION_AT, "<H", 2), "has format version 2, and 1 is read"),
        (lambda d: patched(d, COUNT_AT, "<H", 0), r"header has 0 segments, not 1..16"),
        (lambda d: patched(d, COUNT_AT, "<H", 1), r"segment NETWORK|must begin at|segments end"),
        (lambda d: patched(d, RESIDENT_AT, "<I", 9), "header says 9 resident words, and its"),
        (lambda d: patched(d, HASH_AT, "<Q", 1), r"made for configuration SMALL with other sizes"),
        (lambda d: patched(d, FORMAT_AT, "<Q", 1), "has program format 01000000, and this version"),
        (lambda d: d[:CRC_AT] + b"\0\0\0\0" + d[64:], "the CRC-32 of its header is"),
        (lambda d: d[:36] + b"?" + d[37:], "the CRC-32 of its header is"),
        (lambda d: d[:130] + b"\x55" + d[131:], "the CRC-32 of its segment PROGRAM is"),
        (lambda d: d[:-20] + b"\x55" + d[-19:], "the CRC-32 of its segment NETWORK is"),
        (lambda d: patched(d, 64, "<8s", b"OTHER"), "has 0 segments PROGRAM, and needs one"),
        (lambda d: patched(d, 96, "<8s", b"PROGRAM"), "has 2 segments PROGRAM, and needs one"),
        (lambda d: patched(d, 96 + 8, "<I", 1), r"header says \d+ resident words"),
        (lambda d: patched(d, 64 + 8, "<I", 0), r"header says \d+ resident words|must be resident"),
        (lambda d: patched(d, 64 + 12, "<I", 9), "segment PROGRAM of the image takes bytes 144"),
        (lambda d: patched(d, 64 + 16, "<I", 2**31), "segment PROGRAM of the image takes bytes"),
    ],
)  # fmt: skip
def test_refusals(data, change, sentence):
    with pytest.raises(InputError, match=sentence):
        read_image(change(data))


def test_resident_segment_behind_one_that_is_not(data):
    swapped = patched(patched(data, 64 + 8, "<I", 0), 96 + 8, "<I", 1)
    with pytest.raises(InputError, match="NETWORK of the image is resident behind one that is"):
        read_image(swapped)


def test_foreign_configuration(data):
    with pytest.raises(InputError, match=r"made for configuration SMALL .*, and this is FULL"):
        read_image(data, FULL)
    assert read_image(data, replace(SMALL, mram_wakeup=3)).config.mram_wakeup == 3


def test_too_large(program, monkeypatch):
    room = SMALL.mram_words - 8  # header and table take eight words
    filler = np.zeros((room - len(program.words), 16), np.uint8)
    fits = replace(program, words=np.concatenate([program.words, filler]))
    assert read_image(write_image(fits)).resident_words == SMALL.mram_words
    large = replace(program, words=np.concatenate([fits.words, filler[:1]]))
    sentence = "too large: it takes 131088 bytes of MRAM with its header, and .* SMALL has 131072"
    with pytest.raises(InputError, match=f"small is {sentence}"):
        write_image(large)
    monkeypatch.setattr(module, "check_size", lambda *_: None)
    data = write_image(large)
    monkeypatch.undo()
    with pytest.raises(InputError, match=f"the image is {sentence}"):
        read_image(data)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda v: v.pop("inputs"), "description has no field 'inputs'"),
        (lambda v: v.update(jobs=3), "field 'jobs' of the image's description is 3, not a list"),
        (lambda v: v["jobs"].append([3]), "an entry of 'jobs' in the image is not a list of 3"),
        (lambda v: v["jobs"][0].__setitem__(2, -3), "loops do not begin and end in pairs"),
        (lambda v: v["jobs"].reverse(), "job offsets do not ascend"),
        (lambda v: v["jobs"].append(v["jobs"][-1]), "job offsets do not ascend"),
        (lambda v: v["jobs"].append([10**6, 0, 0]), r"job offset in the image is 1000000, not"),
        (lambda v: v["layers"].clear(), r"job layer in the image is 0, not one of 0..-1"),
        (lambda v: v["layers"][0].__setitem__(2, -1), "macs in the image is -1"),
        (lambda v: v["layers"][0].__setitem__(0, 5), "a name in the image is '5', not a text"),
        (lambda v: v["inputs"][0].update(dtype="int4"), "input 'image' of the image is 'int4'"),
        (lambda v: v["inputs"][0].update(tensor="x"), "input 'image' of the image is stored now"),
        (lambda v: v["inputs"][0].update(shape=[1, 2]), r"has shape \(1, 2\), and is stored as"),
        (lambda v: v["inputs"][0].update(shape=[0]), "shape in the image is 0, not one of 1"),
        (lambda v: v["inputs"][0].update(scale=-1), "a scale in the image is -1, and must be"),
        (lambda v: v["inputs"][0].update(zero_point=True), "zero_point in the image is True"),
        (lambda v: v["inputs"].append(7), "the image's input is int, not an object"),
        (lambda v: v["tensors"][0].update(base=5000), "base in the image is 5000, not one of 0"),
        (lambda v: v["tensors"][0].update(base=2047), r"of the image ends at word \d+ of a bank"),
        (lambda v: v["tensors"][0].update(pixels=[1]), r"has pixels \(1,\), not three sizes"),
        (lambda v: v["tensors"][0].update(packed=1), "field 'packed' .* is 1, not a flag"),
        (lambda v: v.pop("held"), "description has no field 'held'"),
        (lambda v: v.update(footprint=16), r"footprint in the image is 16, not one of 0\.\.15"),
        (lambda v: v.update(footprint=0), "footprint in the image has segments 0b0, and a tensor"),
        (lambda v: v.update(held=2), "held in the image has segments 0b10, and a tensor"),
        (lambda v: v.update(held=3), "the image holds segments 0b11 and uses only 0b1"),
    ],
)  # fmt: skip
def test_description_is_checked(data, change, sentence):
    with pytest.raises(InputError, match=sentence):
        read_image(with_description(data, change))


def test_description_that_is_no_json(data):
    at = read_image(data).segments[1].first_word * MRAM_WORD_BYTES
    with pytest.raises(InputError, match="segment NETWORK of the image is no JSON"):
        read_image(with_crcs(data[:at] + b"[" * (len(data) - at)))


def test_every_cut_is_refused(data):
    for length in range(len(data)):
        with pytest.raises(InputError):
            read_image(data[:length])


def test_every_flipped_bit_is_refused(data, rng):
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.integers(8)
        with pytest.raises(InputError):
            read_image(bytes(damaged))


def test_forged_images_are_refused_or_read(data, rng):
    """Damage that the checksums agree with: a sentence or an image, never another error."""
    read, refused = 0, 0
    for _ in range(3000):
        forged = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.choice([rng.integers(128), rng.integers(len(data))]))
            forged[at] = rng.integers(256)
        try:
            image = read_image(with_crcs_or_not(forged))
        except InputError:
            refused += 1
        else:
            assert isinstance(image.description, Description)
            read += 1
    assert read > 300
    assert refused > 300


def with_crcs_or_not(forged):
    """Right checksums, unless the table is too broken to have any."""
    try:
        return with_crcs(forged)
    except struct.error:
        return bytes(forged)


@pytest.mark.sim
def test_image_runs_wherever_it_is_programmed(program, data, rng):
    """Slot B: the same bytes behind another image."""
    image = read_image(data)
    (source,), (sink,) = image.description.inputs, image.description.outputs
    values = random_int8(rng, source.shape)
    (expected,) = run_golden(program.graph, program.layers, {source.name: values}).values()
    with ChipModel(SMALL) as chip:
        for slot in (0, 4000, SMALL.mram_words // 2):
            chip.program(image.resident, slot)
            place = image.description.tensors[source.tensor].placement
            chip.write_activations(*place.addresses(), place.pack(values))
            chip.run(slot + image.program.first_word)
            place = image.description.tensors[sink.tensor].placement
            output = place.unpack(chip.read_activations(*place.addresses()))
            np.testing.assert_array_equal(output.reshape(sink.shape), expected)
