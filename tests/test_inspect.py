"""What `mmsp inspect` says about an image is what the compiler put into it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from judge import activation, convolution, network, random_int8, small_network
from judge import constant as make_constant
from random_operators import OPERATORS
from recurrent_networks import lstm, random_svdf
from rich.console import Console

from hdl.config import ECP5, FULL, SMALL
from hdl.engine.descriptor import DESCRIPTOR_WORDS, WAKE_UNIT, Descriptor
from mmsp.compiler import compile_graph
from mmsp.compiler.lower.jobs import LAYOUTS
from mmsp.compiler.lower.weights import weight_words
from mmsp.compiler.placement import Placement
from mmsp.description import Description, StoredTensor, describe
from mmsp.errors import InputError
from mmsp.image import read_image, write_image
from mmsp.importers.tflite import read_tflite
from mmsp.inspection import disassemble, draw_memory, print_image
from mmsp.inspection.disassembly import decode_jobs
from mmsp.inspection.memory_map import legend
from mmsp.inspection.streams import layer_streams
from mmsp.inspection.summary import mram_use
from mmsp.zoo import digits_model


def plain(value):
    """A descriptor's constant as integers and mappings."""
    shape = getattr(value, "shape", None)
    if shape is None:
        return getattr(value, "value", value)
    return {name: plain(value[name]) for name, _ in shape()}


def members(value):
    """A decoded field as integers and mappings."""
    if isinstance(value, dict):
        return {name: members(member) for name, member in value.items()}
    return plain(value)


def check_jobs(program):
    """Every job of the image against the compiler's."""
    image = read_image(write_image(program))
    decoded = disassemble(image)
    assert len(decoded) == len(program.jobs)
    ends = [*program.job_offsets[1:], len(program.words) - DESCRIPTOR_WORDS]
    for job, compiled, end in zip(decoded, program.jobs, ends, strict=True):
        assert job.offset + job.words == end
        form = compiled.fields.get("weight_format")
        tiles = [tile for group in compiled.tiles for tile in group]
        assert job.weight_words == sum(weight_words(tile, form) for tile in tiles)
        assert (job.layer, job.op) == (
            program.layers[compiled.layer].name,
            program.layers[compiled.layer].op,
        )
        layout = LAYOUTS.get(compiled.fields["operation"], Descriptor)
        expected = plain(layout.const(compiled.fields))
        for name in compiled.fields:
            assert members(job.fields[name]) == expected[name], name
        assert all(job.lines())
    assert sum(mram_use(image, decoded).values()) == program.config.mram_words
    return decoded


@pytest.mark.parametrize("config", [FULL, ECP5, SMALL], ids=lambda config: config.name)
def test_jobs_of_the_digit_network(config):
    jobs = check_jobs(compile_graph(read_tflite(digits_model(), "digits"), config))
    assert {job.kind for job in jobs} >= {"packed", "window", "dense", "softmax"}


@pytest.mark.parametrize("config", [FULL, SMALL], ids=lambda config: config.name)
def test_jobs_of_loops_and_of_the_vector_unit(config, rng):
    jobs = check_jobs(compile_graph(lstm(rng, steps=5, inputs=3, units=20), config))
    operations = [job.fields["operation"].name for job in jobs]
    assert operations.count("LOOP") == operations.count("AGAIN") == 1
    assert "VECTOR" in operations
    first, second = jobs[operations.index("LOOP")].lines()
    assert first == "what follows, 5 turns in all"
    assert second == ("kept in the cache" if config is FULL else "fetched in every turn")
    check_jobs(compile_graph(random_svdf(rng, 1)[0], config))  # int16 weights


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_jobs_of_random_operators(op, rng):
    done = 0
    for _ in range(5):
        graph = OPERATORS[op](rng, "NONE", True)
        try:
            program = compile_graph(graph, FULL)
        except InputError:
            continue
        check_jobs(program)
        done += 1
    assert done or op == "RESHAPE"


def test_lines_of_a_job():
    image = read_image(write_image(compile_graph(small_network(), SMALL)))
    first, dense, softmax = disassemble(image)
    assert first.lines() == (
        "dense: 5 x 4 at 0+0 -> 3 x 2 at 8+2",
        "1 group of 4 x 1 stripe of 6 x 3 x 3 x 1 passes, 9 words of weights",
    )
    assert dense.kind == "dense"
    mark = first.fields["wake_mark"] * WAKE_UNIT
    assert first.power_line() == f"segments 0 used, 0 kept, MRAM wakes at {mark} words"
    assert softmax.lines() == ("softmax of 1 x 1 pixels, 4 channels", "table of 64 words")


def test_weights_that_are_fetched_again(rng):
    weights = make_constant("weights", random_int8(rng, (64, 3, 3, 32)), (0.01,))
    graph = network(
        convolution(activation("x", (1, 14, 14, 32)), weights, None,
                    activation("y", (1, 12, 12, 64))),
    )  # fmt: skip
    (job,) = disassemble(read_image(write_image(compile_graph(graph, replace(FULL, cache_kib=16)))))
    assert not job.fields["refetch"]
    assert job.weight_words_read == job.weight_words == 64 * 3 * 3 * 32 // 16
    tight = replace(FULL, name="TIGHT", cache_kib=1)
    (job,) = disassemble(read_image(write_image(compile_graph(graph, tight)), tight))
    assert job.fields["refetch"]
    assert (job.groups, job.stripes) == (4, 3)
    assert job.weight_words_read == 3 * job.weight_words
    assert job.lines()[1].endswith("1,152 words of weights read 3 times")
    (stream,) = layer_streams([job])
    assert (stream.words, stream.streamed) == (job.words, job.words + 2 * 1152)


@pytest.mark.parametrize("config", [FULL, SMALL], ids=lambda config: config.name)
def test_streams_of_layers(config, rng):
    """Without repeats they are the program; a loop that is not kept is fetched in every turn."""
    program = compile_graph(lstm(rng, steps=5, inputs=3, units=20), config)
    jobs = disassemble(read_image(write_image(program)))
    streams = layer_streams(jobs)
    assert sum(stream.words for stream in streams) == len(program.words) - DESCRIPTOR_WORDS
    assert sum(stream.jobs for stream in streams) == len(program.jobs)
    operations = [job.fields["operation"].name for job in jobs]
    first, last = operations.index("LOOP"), operations.index("AGAIN")
    assert jobs[first].fields["keep"] == (config is FULL)
    again = 0 if config is FULL else 4 * sum(job.words for job in jobs[first + 1 : last + 1])
    difference = sum(stream.streamed - stream.words for stream in streams)
    assert difference == again
    assert max(stream.mark for stream in streams) == WAKE_UNIT * max(
        job.fields["wake_mark"] for job in program.jobs
    )


def test_damaged_programs_are_refused():
    program = compile_graph(small_network(), SMALL)
    description, words = describe(program), program.words
    assert len(decode_jobs(words, description, SMALL)) == 3

    def refused(sentence, words=words, jobs=description.jobs):
        with pytest.raises(InputError, match=sentence):
            decode_jobs(words, replace(description, jobs=jobs), SMALL)

    end = len(words) - DESCRIPTOR_WORDS
    second = program.job_offsets[1]
    refused("job 1 of the program, at word .*, is END", zeroed(words, second))
    again = np.array(words)
    again[end:] = words[:DESCRIPTOR_WORDS]
    refused("does not end with END, but JOB", again)
    refused("its descriptor asks for", words[:-1])
    refused("descriptor at word 0 of the program: 7 is not a valid", ones(words, 0))
    refused(f"job 0 of the program has {end} words from word 0, "
            f"and its descriptor asks for {second}$", jobs=[description.jobs[0]])  # fmt: skip
    refused("has 0 words at word 0, and a descriptor takes", words[:2], description.jobs[:1])
    assert decode_jobs(zeroed(words, end), description, SMALL)
    flipped = np.array(words)
    flipped[end] = 0xFF
    refused(r"is not a valid|does not end with END", flipped)


def zeroed(words, at):
    """``words`` with a descriptor of zeros, which is END."""
    changed = np.array(words)
    changed[at : at + DESCRIPTOR_WORDS] = 0
    return changed


def ones(words, at):
    """``words`` with a descriptor of ones, which has codes that do not exist."""
    changed = np.array(words)
    changed[at : at + DESCRIPTOR_WORDS] = 0xFF
    return changed


def stored(base, rows, first, last):
    """A tensor of ``rows`` words of each bank: 16 bytes a word over all banks of SMALL."""
    place = Placement(pixels=(4 * rows, 1, 4), word_bytes=4, packed=False, base=base, row0=0)
    return StoredTensor(placement=place, first=first, last=last)


def picture(tensors, width=100):
    description = Description(
        model="m", inputs=[], outputs=[], tensors=tensors, layers=[], jobs=[], footprint=1, held=0
    )  # fmt: skip
    return draw_memory(description, SMALL, width).plain.splitlines()


def test_memory_picture():
    # 16 bytes a word of four banks: 4 words are 64 bytes, the smallest row of the picture.
    tensors = {"in": stored(0, 8, -1, 0), "mid": stored(8, 4, 0, 1), "out": stored(0, 3, 1, 2)}
    assert picture(tensors) == [
        "          -1  0   1   2",
        "   0.00K  AAAAAAAACCCCCCCC",
        "   0.06K  AAAAAAAA........",
        "   0.12K  ....BBBBBBBB....",
        "   0.19K",
    ]
    # One character a step, and two steps a character.
    assert picture(tensors, 15)[1:4] == ["   0.00K  AACC", "   0.06K  AA..", "   0.12K  .BB."]
    assert picture(tensors, 12)[1:4] == ["   0.00K  AC", "   0.06K  A.", "   0.12K  BB"]


def test_no_tensor_is_hidden():
    tensors = {f"t{i}": stored(2 * i, 2, i, i + 1) for i in range(60)}
    tensors["large"] = stored(120, 900, -1, 60)
    lines = picture(tensors)
    assert len(lines) <= 26
    assert max(map(len, lines)) <= 100
    drawn = set("".join(line[10:] for line in lines[1:-1]))
    description = Description(
        model="m", inputs=[], outputs=[], tensors=tensors, layers=[], jobs=[], footprint=1, held=0
    )  # fmt: skip
    letters = {entry.letter for entry in legend(description, SMALL)}
    assert len(letters) == 61
    assert letters <= drawn


def test_more_tensors_than_letters():
    tensors = {f"t{i}": stored(i, 1, i, i) for i in range(100)}
    assert "#" in "".join(picture(tensors))


def test_printed_image():
    image = read_image(write_image(compile_graph(read_tflite(digits_model(), "digits"), SMALL)))
    out = io.StringIO()
    print_image(image, Console(file=out, width=100, highlight=False, markup=False))
    text = out.getvalue()
    assert "\x1b" not in text  # colours are for terminals
    assert max(map(len, text.splitlines())) <= 100
    for expected in (
        "digits for SMALL", "PROGRAM", "NETWORK", f"{image.program.crc:08x}", "image",
        "1 x 8 x 8 x 1", "probabilities", "0.00390625", "-128", "Program: ", " END",
        "Activation memory: ", "weights", "segments 0 used", "Stream: ", "streamed",
    ):  # fmt: skip
        assert expected in text, expected
    for job in image.description.jobs:
        assert f"  {job.offset:>7}  {image.description.layers[job.layer].name}" in text
    colourful = io.StringIO()
    console = Console(file=colourful, width=100, force_terminal=True, color_system="standard")
    print_image(image, console)
    assert "\x1b[" in colourful.getvalue()
