"""``mmsp isp``: what the image front end makes of a camera's frames."""

import argparse
import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from mmsp.cli.isp_options import add_isp_options, given_options
from mmsp.cli.output_files import OutputFile, OutputFiles, npy
from mmsp.description import graph_ports
from mmsp.errors import InputError
from mmsp.imaging.development import Development, develop
from mmsp.imaging.frames import FRAME_SUFFIXES, read_frame
from mmsp.imaging.options import FIELDS, IspOptions
from mmsp.imaging.registers import format_of
from mmsp.imaging.summary import frame_lines, to_json
from mmsp.imaging.targets import TARGETS
from mmsp.imaging.viewing import fit_options, only_picture_port
from mmsp.inputs import read_file
from mmsp.loading import load_model
from mmsp.report import make_console
from models.image.quantiser import SHIFTED, TensorFormat

__all__ = ["add_arguments", "main"]

STDOUT = "-"
NUMBER = "{}"
"""Of a frame, from 1, in the name of a file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "frames",
        metavar="FRAME",
        nargs="+",
        help="a RAW file, or a picture (.png, .jpg, .bmp, .pgm, .ppm), which gets a mosaic first; "
        "several are consecutive frames of one camera",
    )
    add_isp_options(parser)
    parser.add_argument(
        "--target",
        choices=tuple(TARGETS),
        default="rtl",
        help="rtl: the simulated hardware, compared with the models; golden: the NumPy models "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.png",
        help="the picture at full size; of several frames, {} in the name is their number",
    )
    parser.add_argument("--jpeg", metavar="OUT.jpg", help="the same as the JPEG encoder writes it")
    parser.add_argument(
        "--tensor",
        metavar="T.npy",
        help="the int8 tensor, height x width x channels, of several frames one more dimension in "
        "front; pixel - 128 without --model",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="make the tensor for the input of this network: its size, channels, scale and zero "
        "point",
    )
    parser.add_argument(
        "--change", action="store_true", help="detect changes from frame to frame, block by block"
    )
    parser.add_argument("--json", metavar="OUT.json", help="what was done; - is standard output")
    parser.add_argument(
        "--report", metavar="OUT.html", help="before, after, difference and blocks as a page"
    )


def main(arguments: argparse.Namespace) -> int:
    """Read, process, write, and say what was done."""
    to_stdout = arguments.json == STDOUT
    paths = [Path(name) for name in arguments.frames]
    check_options(arguments)
    options = given_options(arguments)
    others = (arguments.isp_settings, arguments.model, arguments.gamma)
    with OutputFiles([*paths, *(Path(each) for each in others if each)]) as files:
        pictures = numbered(files, arguments.output, "--output", len(paths))
        jpegs = numbered(files, arguments.jpeg, "--jpeg", len(paths))
        tensor_file = files.add(arguments.tensor, "--tensor")
        json_file = files.add(None if to_stdout else arguments.json, "--json")
        page = files.add(arguments.report, "--report")
        options, tensor = tensor_options(arguments, options)
        frames = [read_frame(path, read_file(path, "frame"), options.layout) for path in paths]
        scaled = bool(arguments.tensor or arguments.model)
        made = develop(
            frames, options, arguments.target,
            scaled=scaled, change=arguments.change, jpeg=bool(jpegs), tensor=tensor,
        )  # fmt: skip
        document = json.dumps(to_json(made), indent=2, allow_nan=False) + "\n"
        write_each(pictures, lambda index: png(made.outputs[index].rgb))
        write_each(jpegs, lambda index: made.outputs[index].jpeg or b"")
        if tensor_file is not None:
            tensor_file.write(npy(tensors(made)))
        if json_file is not None:
            json_file.write(document.encode())
        if page is not None:
            from mmsp.html.imaging import development_page  # noqa: PLC0415  (pictures take time)

            page.write(development_page(made).encode())
    for note in (*(frame.sentence for frame in frames), *made.notes):
        print(note, file=sys.stderr)
    console = make_console(stderr=to_stdout)
    for line in frame_lines(made):
        console.print(Text(line), soft_wrap=True)
    if made.verdict:
        style = "bold red" if made.mismatches else "bold green"
        console.print(Text(made.verdict, style), soft_wrap=True)
    if to_stdout:
        sys.stdout.write(document)
    return 1 if made.mismatches else 0


def check_options(arguments: argparse.Namespace) -> None:
    """Refuse options that nothing would come of, before anything is read."""
    suffix = Path(arguments.output or "").suffix.lower()
    if suffix != ".png" and suffix in FRAME_SUFFIXES:
        raise InputError(
            f"--output {arguments.output!r} is written as PNG, so it cannot be {suffix} (--jpeg "
            "writes JPEG)"
        )
    tensor = bool(arguments.tensor or arguments.model)
    for needed, there, options in (
        ("--jpeg", bool(arguments.jpeg), ("quality", "restart_interval")),
        ("--change", arguments.change, [name for name in FIELDS if name.startswith("change_")]),
        ("--model", bool(arguments.model), ("tensor_range",)),
        ("--tensor or --change", tensor or arguments.change, ("tensor_size", "crop")),
        ("--tensor or --jpeg", tensor or bool(arguments.jpeg), ("grey",)),
    ):
        for name in options:
            if not there and getattr(arguments, name):
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} is about {needed}, which is not there")


def tensor_options(
    arguments: argparse.Namespace, options: IspOptions
) -> tuple[IspOptions, TensorFormat]:
    """Options and registers for the tensor of ``--model``."""
    if arguments.model is None:
        return options, SHIFTED
    model = load_model(arguments.model)
    if model.graph is not None:
        ports = graph_ports(model.graph)[0]
    else:
        assert model.image is not None, "a model is a graph or an image"
        ports = model.image.description.inputs
    port = only_picture_port(arguments.model, ports)
    return fit_options(options, port, Path(arguments.frames[0])), format_of(port, options)


def numbered(files: OutputFiles, name: str | None, option: str, count: int) -> list[OutputFile]:
    """A file for each frame, none if the option was not given."""
    if name is None:
        return []
    if count > 1 and NUMBER not in name:
        raise InputError(
            f"{option} {name!r} is one file for {count} frames: {NUMBER} in the name stands for "
            "their number"
        )
    names = [name.replace(NUMBER, str(index + 1)) if count > 1 else name for index in range(count)]
    return [added for each in names if (added := files.add(each, option))]


def write_each(files: list[OutputFile], contents: Callable[[int], bytes]) -> None:
    """Write the file of each frame."""
    for index, file in enumerate(files):
        file.write(contents(index))


def tensors(made: Development) -> NDArray[np.int8]:
    """``(height, width, channels)``, or ``(frames, ...)`` of several."""
    each = [outputs.tensor for outputs in made.outputs if outputs.tensor is not None]
    return each[0] if len(each) == 1 else np.stack(each)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A .png file."""
    from PIL import Image  # noqa: PLC0415  (slow to import)

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
