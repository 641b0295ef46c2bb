"""The frame of a page, and the pieces of HTML that several sections are made of.

Functions take text and escape it, unless a parameter is called ``html``.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

__all__ = ["bar", "definition_list", "legend", "make_page", "section", "table_row", "tiles"]


def make_page(title: str, html: Iterable[str]) -> str:
    """The document."""
    style = files("mmsp.html").joinpath("page.css").read_text()
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(html)
        + "\n</body>\n</html>\n"
    )


def section(title: str, html: Iterable[str]) -> str:
    """A part of the page with its heading."""
    body = "\n".join(html)
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """The figures that matter most: ``(value, what it is)``."""
    made = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>'
        for value, what in figures
    )
    return f'<div class="tiles">{made}</div>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """What colours mean: ``(class of page.css, text)``."""
    made = "".join(
        f'<span><i class="{colour}"></i>{escape(text)}</span>' for colour, text in entries
    )
    return f'<div class="legend">{made}</div>'


def bar(parts: Sequence[tuple[str, float]], title: str) -> str:
    """A bar of coloured parts: ``(class, share of the full width)``."""
    made = "".join(
        f'<i class="{colour}" style="width:{100 * share:.2f}%"></i>'
        for colour, share in parts
        if share > 0
    )
    return f'<div class="bar" role="img" aria-label="{escape(title)}" title="{escape(title)}">{made}</div>'  # noqa: E501


def table_row(html: Iterable[tuple[str, str]], kind: str = "") -> str:
    """A row of ``(class, cell)``."""
    cells = "".join(
        f'<td class="{name}">{cell}</td>' if name else f"<td>{cell}</td>" for name, cell in html
    )
    return f'<tr class="{kind}">{cells}</tr>' if kind else f"<tr>{cells}</tr>"


def definition_list(entries: Iterable[tuple[str, str]]) -> str:
    """What the words on the page mean."""
    made = "".join(f"<li><b>{escape(word)}</b>: {escape(text)}</li>" for word, text in entries)
    return f"<ul>{made}</ul>"
