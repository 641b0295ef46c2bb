"""Plots as SVG inside a page: in its colours, light and dark, with tool tips and no script.

Matplotlib draws with stand-ins for colours; `to_svg` puts variables of page.css in their place.
"""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from mmsp.simulator.cache import cache_root

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CSS_COLOURS", "SERIES", "TINTS", "colour", "new_figure", "to_svg"]

WIDTH = 10.2
"""Inches; the page is a little more than a thousand pixels wide."""

CSS_COLOURS = (
    "ink", "muted", "line", "paper", "busy", "weights", "drain", "other", "mram",
    "s0", "s1", "s2", "s3", "s4", "s5", "t0", "t1", "t2", "t3", "t4", "t5",
)  # fmt: skip
STAND_IN = re.compile(r"#fe01([0-9a-f]{2})")
BETWEEN = re.compile(r">\s+<")
FONTS = re.compile(r"font-family: [^;\"]*; ")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"


def colour(name: str) -> str:
    """What to draw with to get variable ``name`` of page.css."""
    return f"#fe01{CSS_COLOURS.index(name):02x}"


SERIES = [colour(f"s{index}") for index in range(6)]
"""Lines and dots that must be told apart."""
TINTS = [colour(f"t{index}") for index in range(6)]
"""Areas with text on them."""


@contextmanager
def new_figure(height: float) -> Iterator["Figure"]:
    """A figure as wide as the page and ``height`` inches high, to be drawn and saved inside."""
    # Fonts are listed once, in the build directory instead of the user's.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_root().parent / "matplotlib"))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib import rc_context  # noqa: PLC0415  (slow to import)
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    ink, muted = colour("ink"), colour("muted")
    style: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "mmsp", "font.family": "sans-serif",
        "font.size": 9, "text.color": ink, "axes.labelcolor": muted, "axes.edgecolor": muted,
        "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
        "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
        "xtick.color": muted, "ytick.color": muted, "grid.color": colour("line"),
        "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False,
        "text.parse_math": False, "axes.unicode_minus": False,
        "figure.constrained_layout.use": True,
    }  # fmt: skip
    with rc_context(style):
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasSVG(figure)
        yield figure


def to_svg(figure: "Figure", name: str, label: str, tips: Mapping[str, str] | None = None) -> str:
    """The figure as an ``svg`` element.

    Parameters
    ----------
    figure : Figure
        From `new_figure`, and within it.
    name : str
        What to put before ids, so that several figures may be on one page.
    label : str
        What is to be seen, for those who do not see it.
    tips : mapping, optional
        By the ``gid`` of an artist, what to show while a mouse rests on it.
    """
    tips = tips or {}
    text = StringIO()
    nothing: Any = None
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"), nothing)
    with warnings.catch_warnings():
        # Its own font need not have every letter of a name: the browser's draws them.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(text, format="svg", metadata=metadata)
    root = ElementTree.fromstring(text.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)
    used = set(REFERENCE.findall(text.getvalue()))
    used |= {link.removeprefix("#") for element in root.iter() if (link := element.get(HREF))}
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        identity = element.attrib.pop("id", "")
        if identity in tips:
            title = ElementTree.Element("title")
            title.text = tips[identity]
            element.insert(0, title)
        if identity in used:
            element.set("id", f"{name}-{identity}")
        if link := element.attrib.pop(HREF, None):
            element.set("href", f"#{name}-{link.removeprefix('#')}")
        for key, value in element.attrib.items():
            element.set(key, REFERENCE.sub(rf"url(#{name}-\1)", value))
    inner = "".join(ElementTree.tostring(child, "unicode") for child in root)
    inner = BETWEEN.sub("><", FONTS.sub("", inner))
    inner = STAND_IN.sub(lambda found: f"var(--{CSS_COLOURS[int(found[1], 16)]})", inner)
    return (
        f'<svg class="plot" role="img" aria-label="{escape(label)}" '
        f'viewBox="{root.get("viewBox")}">{inner}</svg>'
    )
