"""Frames through the image front end as pictures: a page of their own, and in that of a run."""

from collections.abc import Iterable, Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from mmsp.html.page import bar, make_page, section, table_row, tiles
from mmsp.html.tensors import picture
from mmsp.imaging.development import Development
from mmsp.imaging.summary import PHASES, change_sentence, phase_means
from models.image.bayer import COLOUR_OF_PHASE, PIXEL_BITS, PIXEL_MAX, phases
from models.image.scaler import scale_down
from models.image.white_balance import UNITY_GAIN

__all__ = ["development_page", "imaging_section"]

BYTE_MAX = 255
AMPLIFIED = 8
"""Differences of a rendered picture, a few steps of 255, in order to be seen."""
DETAIL = 48
"""Rows and columns of the mosaic that are shown."""
SHOWN_FRAMES = 32
MARK = 2
"""Pixels around a bad one that are marked, too."""
DIMMED = 3
RED = np.array([230, 40, 40])


def development_page(made: Development) -> str:
    """The page of ``mmsp isp --report``."""
    first = made.frames[0]
    title = first.name if len(made.frames) == 1 else f"{first.name} and {len(made.frames) - 1} more"
    said = [*(frame.sentence for frame in made.frames[:SHOWN_FRAMES]), *made.notes]
    notes = "".join(f"<li>{escape(note)}</li>" for note in said)
    verdict = made.verdict or "computed by the golden models"
    kind = "muted" if made.mismatches is None else "bad" if made.mismatches else "good"
    parts = [
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="muted">Through the image front end, target {escape(made.target)}</p>'
        f'<p class="verdict {kind}">{escape(verdict)}</p></header>',
        tiles(headline_figures(made)),
        f'<ul class="muted">{notes}</ul>',
        section(f"Before and after: {first.name}", [side_by_side(made, 0)]),
        section("Statistics", statistics(made)),
    ]
    if made.registers.change is not None:
        parts.append(section("Changes", changes(made)))
    return make_page(f"{title}: image front end", parts)


def imaging_section(pictures: Mapping[str, Development]) -> Iterable[str]:
    """The section of a run's page: every input that came through the image front end."""
    if pictures:
        yield section(
            "Pictures",
            [
                f"<h3>{escape(made.frames[0].name)}, input {escape(name)}</h3>"
                f"{side_by_side(made, 0)}"
                for name, made in pictures.items()
            ],
        )


def headline_figures(made: Development) -> list[tuple[str, str]]:
    """What matters most, of the first frame."""
    first, outputs, pixels = made.frames[0], made.outputs[0], made.registers.pixels
    width, height = first.size
    figures = [
        (f"{width} x {height}", f"pixels of {first.raw_bits} bits, {first.order}"),
        (" ".join(f"{gain / UNITY_GAIN:.2f}" for gain in pixels.gains), "gains of R, Gr, Gb, B"),
        (f"{outputs.statistics.clipped / first.pixels.size:.2%}", "clipped"),
    ]
    if pixels.bad_pixel_threshold < PIXEL_MAX:
        count = int(made.bad_pixels(0).sum())
        figures.append((f"{count:,}", "pixels replaced as bad"))
    if first.original is not None:
        figures.append((decibels(outputs.rgb, first.original), "after against before"))
    if (scaling := made.registers.scaling) is not None:
        channels = 1 if scaling.grey else 3
        figures.append((f"{scaling.width} x {scaling.height} x {channels}", "tensor"))
    if outputs.jpeg is not None:
        bits = 8 * len(outputs.jpeg) / first.pixels.size
        figures.append((f"{len(outputs.jpeg):,}", f"bytes of JPEG, {bits:.2f} bits a pixel"))
    if made.registers.change is not None:
        wakes = sum(bool(each.change and each.change.wake) for each in made.outputs)
        figures.append((f"{wakes} of {len(made.outputs)}", "frames wake"))
    return figures


def decibels(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> str:
    """Peak signal-to-noise ratio of 8 bits."""
    error = np.mean((found.astype(float) - expected) ** 2)
    return "equal" if error == 0 else f"{10 * np.log10(BYTE_MAX**2 / error):.2f} dB"


def side_by_side(made: Development, index: int) -> str:
    """Before, after, their difference, a detail of the mosaic, bad pixels, and the tensor."""
    frame, outputs = made.frames[index], made.outputs[index]
    before = made.unprocessed(index)
    rendered = frame.original is not None
    factor = AMPLIFIED if rendered else 1
    difference = np.abs(outputs.rgb.astype(int) - before) * factor
    detail, place = mosaic_detail(made, index)
    shown = [
        (before, "before", "the picture as it is in the file" if rendered
         else "demosaicked, and nothing else"),
        (outputs.rgb, "after", "8 bits a colour, in front of scaler and JPEG encoder"),
        (clipped(difference), "difference",
         f"{factor} times the difference of each colour" if rendered
         else "the difference of each colour"),
        (detail, "mosaic", f"{DETAIL} x {DETAIL} pixels {place}, each with the one colour it sees"),
    ]  # fmt: skip
    if (bad := marked_pixels(made, index)) is not None:
        shown.append((bad, "bad pixels", "marked where they were replaced"))
    if outputs.tensor is not None:
        low, high = int(outputs.tensor.min()), int(outputs.tensor.max())
        pixels = (outputs.tensor.astype(int) + BYTE_MAX // 2 + 1).astype(np.uint8)
        shown.append((pixels, "tensor", f"int8, {low} to {high}; shown plus 128"))
    made_of = (
        f'<div><figure class="tensor photo"><h3>{title}</h3>'
        f"{picture(pixels, f'{frame.name} {title}')}<figcaption>{escape(what)}</figcaption>"
        "</figure></div>"
        for pixels, title, what in shown
    )
    return f'<div class="runs">{"".join(made_of)}</div>'


def clipped(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Values as a picture's."""
    return np.minimum(values, BYTE_MAX).astype(np.uint8)


def mosaic_detail(made: Development, index: int) -> tuple[NDArray[np.uint8], str]:
    """The middle of what the camera gave, in colours, brightened to the picture's own white."""
    frame = made.frames[index]
    rows, columns = frame.pixels.shape
    top, left = max(0, (rows - DETAIL) // 2), max(0, (columns - DETAIL) // 2)
    part = np.s_[top : top + DETAIL, left : left + DETAIL]
    colour = np.array(COLOUR_OF_PHASE)[phases((rows, columns), frame.order)][part]
    values = frame.pixels[part]
    levels = values * BYTE_MAX // max(1, int(values.max()))
    coloured = np.where(np.arange(3) == colour[:, :, None], levels[:, :, None], 0)
    return coloured.astype(np.uint8), f"from column {left}, row {top}"


def marked_pixels(made: Development, index: int) -> NDArray[np.uint8] | None:
    """The picture in grey, with squares around pixels that were replaced; None without any."""
    if made.registers.pixels.bad_pixel_threshold == PIXEL_MAX:
        return None
    bad = made.bad_pixels(index)
    if not bad.any():
        return None
    padded = np.pad(bad, MARK)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * MARK + 1,) * 2)
    marked = windows.max(axis=(2, 3)) == 1
    grey = made.outputs[index].rgb.mean(axis=2, keepdims=True)
    return np.where(marked[:, :, None], RED, grey).astype(np.uint8)


def statistics(made: Development) -> Iterable[str]:
    """What firmware reads of the first frame: means, gains, histogram."""
    outputs, pixels = made.outputs[0], made.registers.pixels
    yield (
        "<p>What the hardware counts for firmware, behind the correction of bad pixels and in "
        "front of the gains.</p>"
    )
    rows = [
        table_row([
            ("left", name),
            ("", f"{level}"),
            ("", f"{mean:.1f}"),
            ("left", bar([("busy", mean / PIXEL_MAX)], f"{mean:.1f}")),
            ("", f"{gain / UNITY_GAIN:.3f}"),
            ("", f"{mean * gain / UNITY_GAIN:.1f}"),
        ])
        for name, level, mean, gain in zip(
            PHASES, pixels.black_levels, phase_means(outputs), pixels.gains, strict=True
        )
    ]  # fmt: skip
    heads = ("phase", "black level", f"mean of {PIXEL_MAX}", "", "gain", "balanced mean")
    head = "".join(f"<th>{name}</th>" for name in heads)
    yield f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    histogram = outputs.statistics.histogram
    step, most = (PIXEL_MAX + 1) // len(histogram), max(1, *histogram)
    yield "<h3>Histogram, all phases</h3>"
    rows = [
        table_row([
            ("", f"{bin_ * step} to {(bin_ + 1) * step - 1}"),
            ("left", bar([("busy", count / most)], f"{count:,}")),
            ("", f"{count:,}"),
        ])
        for bin_, count in enumerate(histogram)
    ]  # fmt: skip
    yield f'<table class="values">{"".join(rows)}</table>'


def changes(made: Development) -> Iterable[str]:
    """Every frame as change detection sees it, blocks that have not changed dimmed."""
    settings, scaling = made.registers.change, made.registers.scaling
    assert settings is not None, "only with change detection"
    assert scaling is not None, "change detection is behind the scaler"
    side = 1 << settings.block_bits
    unit = 1 << (PIXEL_BITS - 8)
    yield (
        f"<p>Frames at {scaling.width} x {scaling.height}, in blocks of {side} x {side} pixels. A "
        f"block has changed when its mean is further than {settings.mean_threshold / unit:g} of "
        f"{BYTE_MAX} from the reference, or its activity than "
        f"{settings.activity_threshold / unit:g}; {settings.count} of them wake. Blocks that have "
        "not changed are dimmed.</p>"
    )
    if len(made.outputs) > SHOWN_FRAMES:
        yield f"<p>The first {SHOWN_FRAMES} of {len(made.outputs)} frames.</p>"
    yield '<div class="runs">'
    for index, outputs in enumerate(made.outputs[:SHOWN_FRAMES]):
        assert outputs.change is not None, "every frame has been looked at"
        rgb = outputs.rgb.astype(np.int64)
        scaled = scale_down(rgb, scaling.crop, scaling.width, scaling.height)
        blocks = outputs.change.block_map.repeat(side, axis=0).repeat(side, axis=1)
        dimming = np.where(blocks[: scaling.height, : scaling.width, None], 1, DIMMED)
        shown = (scaled // dimming).astype(np.uint8)
        name = made.frames[index].name
        yield (
            f'<div><figure class="tensor"><h3>{escape(name)}</h3>'
            f"{picture(shown, f'{name} blocks')}"
            f"<figcaption>{escape(change_sentence(outputs.change, index))}</figcaption>"
            "</figure></div>"
        )
    yield "</div>"
