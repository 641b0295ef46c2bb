"""Prints an image."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hdl.config import MRAM_WORD_BYTES
from hdl.engine.descriptor import DESCRIPTOR_WORDS
from mmsp.description import Port
from mmsp.image import VERSION, Image, configuration_hash
from mmsp.inspection.disassembly import DecodedJob, disassemble
from mmsp.inspection.memory_map import draw_memory, legend, letter_style
from mmsp.inspection.streams import LayerStream, layer_streams

__all__ = ["mram_use", "print_image"]

BAR_WIDTH = 60
NAME_WIDTH = 32
KIB = 1024


def print_image(image: Image, console: Console) -> None:
    """Print header, tensors, program and memory plan."""
    jobs = disassemble(image)  # before anything is printed: it may refuse the image
    description, config = image.description, image.config
    heading(console, f"{description.model} for {config.name}")
    console.print(
        f"format {VERSION}, sequence {image.sequence}, configuration {config.name} "
        f"({config.macs_per_cycle} MAC/cycle, hash {configuration_hash(config).hex()[:8]})"
    )
    console.print(segment_table(image))
    console.print(port_table(description.inputs, description.outputs))

    heading(console, f"MRAM: {image.resident_words * MRAM_WORD_BYTES / KIB:.1f} of "
            f"{config.mram_kib} KiB")  # fmt: skip
    print_mram(image, jobs, console)

    heading(console, f"Program: {len(jobs)} jobs, {description.macs:,} MACs")
    for job in jobs:
        print_job(job, console)
    end = image.program.words - DESCRIPTOR_WORDS
    console.print(Text(f"{len(jobs):>4}  {end:>7}  END", "dim"))

    streams = layer_streams(jobs)
    total = sum(stream.streamed for stream in streams) + DESCRIPTOR_WORDS
    heading(console, f"Stream: {total * MRAM_WORD_BYTES:,} bytes an inference")
    console.print(stream_table(streams))

    entries = legend(description, config)
    used = max((entry.start + entry.size for entry in entries), default=0)
    heading(console, f"Activation memory: {used / KIB:.1f} of {config.activation_kib} KiB")
    console.print(
        f"Addresses of all banks over steps, which are layers; -1 is before the first, "
        f"{len(description.steps)} after the last.",
        style="dim",
    )
    console.print(draw_memory(description, config, console.width))
    console.print(legend_table(image))


def heading(console: Console, title: str) -> None:
    """A title with a blank line before it."""
    console.print()
    console.print(Text(title, "bold"))


def shorten(name: str) -> str:
    """A name that leaves room for the rest: its end tells more than its middle."""
    if len(name) <= NAME_WIDTH:
        return name
    head = NAME_WIDTH // 2
    return f"{name[:head]}...{name[head + 3 - NAME_WIDTH :]}"


def new_table(*left: str) -> Table:
    """A table that begins with columns ``left``."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in left:
        table.add_column(title, no_wrap=True)
    return table


def segment_table(image: Image) -> Table:
    """The segments."""
    table = new_table("segment", "where")
    for title in ("first word", "words", "bytes", "CRC-32"):
        table.add_column(title, justify="right")
    for segment in image.segments:
        where = "MRAM" if segment.resident else "file only"
        sizes = [f"{segment.words:,}", f"{len(segment.data):,}"]
        crc = f"{segment.crc:08x}"
        table.add_row(Text(segment.kind), where, f"{segment.first_word:,}", *sizes, crc)
    return table


def port_table(inputs: Sequence[Port], outputs: Sequence[Port]) -> Table:
    """Inputs and outputs."""
    table = new_table("", "tensor", "type")
    for title in ("shape", "scale", "zero point"):
        table.add_column(title, justify="right", no_wrap=True)
    for direction, ports in (("input", inputs), ("output", outputs)):
        for port in ports:
            scale = "" if port.scale is None else f"{port.scale:.9g}"
            zero_point = "" if port.zero_point is None else str(port.zero_point)
            shape = " x ".join(map(str, port.shape))
            table.add_row(direction, Text(shorten(port.name)), port.dtype, shape, scale, zero_point)
    return table


def mram_use(image: Image, jobs: Sequence[DecodedJob]) -> dict[str, int]:
    """Words of the MRAM by what they hold."""
    use = {
        "header": image.program.first_word,
        "descriptors": (len(jobs) + 1) * DESCRIPTOR_WORDS,
        "parameters": sum(job.parameter_words for job in jobs),
        "tables": sum(job.table_words for job in jobs),
        "weights": sum(job.weight_words for job in jobs),
    }
    use["other segments"] = image.resident_words - sum(use.values())
    use["free"] = image.config.mram_words - image.resident_words
    return {what: words for what, words in use.items() if words}


def print_mram(image: Image, jobs: Sequence[DecodedJob], console: Console) -> None:
    """A bar for each use of the MRAM."""
    for what, words in mram_use(image, jobs).items():
        share = words / image.config.mram_words
        line = Text(f"{what:<14} {words * MRAM_WORD_BYTES:>10,} bytes {share:>6.1%}  ")
        full = round(share * BAR_WIDTH)
        line.append(("." if what == "free" else "#") * full, "dim" if what == "free" else "cyan")
        console.print(line, no_wrap=True, crop=False)


def print_job(job: DecodedJob, console: Console) -> None:
    """Three lines about a job."""
    first, second = job.lines()
    line = Text(f"{job.index:>4}  {job.offset:>7}  ")
    line.append(f"{shorten(job.layer)} {job.op}", "cyan")
    console.print(line, soft_wrap=True)
    console.print(f"{'':15}{first}", soft_wrap=True)
    console.print(f"{'':15}{second}", style="dim", soft_wrap=True)
    console.print(f"{'':15}{job.power_line()}", style="dim", soft_wrap=True)


def stream_table(streams: Sequence[LayerStream]) -> Table:
    """What each layer takes from the MRAM."""
    table = new_table("layer", "")
    for title in ("jobs", "bytes", "streamed", "wakes at"):
        table.add_column(title, justify="right", no_wrap=True)
    for stream in streams:
        sizes = [f"{n * MRAM_WORD_BYTES:,}" for n in (stream.words, stream.streamed)]
        mark = f"{stream.mark} words"
        table.add_row(Text(shorten(stream.layer)), stream.op, str(stream.jobs), *sizes, mark)
    return table


def legend_table(image: Image) -> Table:
    """What the letters stand for."""
    table = new_table("", "tensor", "")
    for title in ("H x W x C", "KiB", "bank words", "row", "steps"):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in legend(image.description, image.config):
        placement = entry.tensor.placement
        table.add_row(
            Text(entry.letter, letter_style(entry.letter)),
            Text(shorten(entry.name)),
            "packed" if placement.packed else "",
            " x ".join(map(str, placement.pixels)),
            f"{entry.size / KIB:.2f}",
            f"{placement.base}..{placement.base + placement.words - 1}",
            str(placement.row0),
            f"{entry.tensor.first}..{entry.tensor.last}",
        )
    return table
