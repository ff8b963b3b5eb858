"""One self-contained HTML page: title, sections, tables, pictures and notes.

A page is one file that can be mailed, printed and read on a phone. It holds its style and
its pictures, fetches nothing, and runs no script but those that it is made with; its
Content-Security-Policy says so to the browser, and names those scripts by their digests. The
same content gives the same bytes: there is no time on a page, and no version.

Names in a dataset come from strangers. Every function here takes plain text and returns
`Html`, a type of its own, so that mypy finds text that was put on a page without being
escaped; only this module makes `Html`.
"""

import base64
import hashlib
import io
import re
import warnings
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from typing import NewType

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from mgr_cli import files
from mgr_cli.reports.sheet import STYLE

Html = NewType("Html", str)
"""Text that a browser may read as it stands."""

PIXELS_PER_INCH = 96  # of CSS, whatever the screen
_DPI = 100  # of pictures made of pixels: sharp enough at their size, small enough by the dozen
_COLOURS = 128  # of those pictures: a palette takes a quarter of the bytes

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def document(title: str, *parts: Html, scripts: Sequence[str] = ()) -> Html:
    """Make a whole page.

    Parameters
    ----------
    title : str
        Stands at its top and in the browser's tab.
    *parts : Html
        From the functions below, in their order.
    scripts : sequence of str
        JavaScript that is run when the parts are there, in its order.

    Raises
    ------
    ValueError
        If a script would end what holds it.
    """
    name = text(title)
    run = "".join(f"<script>{_whole(script)}</script>\n" for script in scripts)
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n"
    )
    body = "\n".join(parts)
    return Html(f"{head}<body>\n<main>\n<h1>{name}</h1>\n{body}\n</main>\n{run}</body>\n</html>\n")


def section(heading: str, *parts: Html) -> Html:
    """Make a section with a heading."""
    body = "\n".join(parts)
    return Html(f"<section>\n<h2>{text(heading)}</h2>\n{body}\n</section>")


def heading(words: str) -> Html:
    """Make a heading within a section."""
    return Html(f"<h3>{text(words)}</h3>")


def paragraph(words: str) -> Html:
    """Make a paragraph."""
    return Html(f"<p>{text(words)}</p>")


def note(words: str) -> Html:
    """Make a paragraph that nobody overlooks."""
    return Html(f'<p class="note" role="note">{text(words)}</p>')


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    total: Sequence[object] = (),
    at_most: int | None = None,
    figures: Container[str] = (),
) -> Html:
    """Make a table; one that is too wide for the screen scrolls sideways in its own box.

    Parameters
    ----------
    columns : sequence of str
        Names, one a column.
    rows : iterable of sequence
        Cells; a column with a number stands at the right. Thousands are separated, and a
        number that is not whole shows two decimals.
    caption : str
        Above the table.
    total : sequence, optional
        A last row that stands out.
    at_most : int, optional
        Rows that are shown; "and k more" stands below them.
    figures : container of str, optional
        Columns of texts that stand at the right as numbers do, and are not broken into lines.
    """
    rows = list(rows)
    shown = list(islice(rows, at_most))
    right = [
        name in figures or any(_is_number(row[place]) for row in [*shown, total] if row)
        for place, name in enumerate(columns)
    ]
    head = "".join(
        f'<th scope="col"{_at_right(numeric)}>{text(name)}</th>'
        for name, numeric in zip(columns, right, strict=True)
    )
    lines = [f"<tr>{_cells(row, right)}</tr>" for row in shown]
    foot = f"<tfoot>\n<tr>{_cells(total, right)}</tr>\n</tfoot>\n" if total else ""
    above = f"<caption>{text(caption)}</caption>\n" if caption else ""
    # A box that scrolls has to be reached by the keyboard too.
    box = (
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(caption or columns[0])}">'
    )
    inside = f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n"
    more = f"\n<p>and {len(rows) - len(shown):,} more</p>" if len(rows) > len(shown) else ""
    return Html(f"{box}\n<table>\n{above}{inside}{foot}</table>\n</div>{more}")


def chart(figure: Figure, *, alt: str, caption: Sequence[str] = ()) -> Html:
    """Put a figure of lines and type on the page, as SVG.

    Parameters
    ----------
    figure : Figure
        Whose size in inches is that on the page; a narrow screen shrinks it. Names in it
        have to be `plain`.
    alt : str
        What it shows, for who does not see it.
    caption : sequence of str
        Lines below it, the first one stands out.
    """
    buffer = io.BytesIO()
    # The same ids at every run, and letters as shapes, so that no font has to be there.
    with mpl.rc_context({"svg.hashsalt": "mgr", "svg.fonttype": "path"}), _missing_letters():
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return _figure("svg+xml", buffer.getvalue(), figure, alt, caption)


def picture(figure: Figure, *, alt: str, caption: Sequence[str] = ()) -> Html:
    """Put a figure of many pixels on the page, as PNG with a palette; like `chart`."""
    buffer, small = io.BytesIO(), io.BytesIO()
    with _missing_letters():
        figure.savefig(buffer, format="png", dpi=_DPI)
    with Image.open(buffer) as image:
        # Median cut, the default, would take the type's grey for one of the picture's colours.
        few = image.convert("RGB").quantize(
            _COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    few.save(small, format="PNG", optimize=True)
    return _figure("png", small.getvalue(), figure, alt, caption)


def place(name: str) -> Html:
    """Make room for what a script draws, which finds it by its name."""
    return Html(f'<div class="plot" id="{text(name)}"></div>')


def gallery(*parts: Html) -> Html:
    """Put figures and tables beside each other where there is room."""
    body = "\n".join(parts)
    return Html(f'<div class="gallery">\n{body}\n</div>')


def plain(value: object) -> str:
    """Return a value as one line of text that UTF-8, HTML and SVG can hold."""
    without = re.sub(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]", "\ufffd", str(value))
    return " ".join(without.split())


def text(value: object) -> Html:
    """Return a value as text that stands for itself, also within an attribute's quotes."""
    return Html(escape(plain(value)))


def save(html: Html, path: Path) -> None:
    """Write a page, whole or not at all; missing parent folders are made."""
    files.write_text(path, html)


def _policy(scripts: Sequence[str]) -> str:
    """Allow what a page holds, and no script but these."""
    if not scripts:
        return _POLICY
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    sources = " ".join(f"'sha256-{base64.b64encode(each).decode('ascii')}'" for each in digests)
    # What scripts draw may be kept as a picture, which is a blob.
    return f"{_POLICY.replace('img-src data:', 'img-src data: blob:')}; script-src {sources}"


def _whole(script: str) -> str:
    if re.search("</script|<!--", script, re.IGNORECASE):
        raise ValueError("a script holds </script or <!--, which would end it; write \\u003c")
    return script


def _cells(row: Sequence[object], right: Sequence[bool]) -> str:
    first, *others = (
        (_shown(cell), _at_right(numeric)) for cell, numeric in zip(row, right, strict=True)
    )
    head = f'<th scope="row"{first[1]}>{text(first[0])}</th>'
    return head + "".join(f"<td{where}>{text(cell)}</td>" for cell, where in others)


def _shown(cell: object) -> object:
    if isinstance(cell, Integral):
        return f"{int(cell):,}"
    return f"{float(cell):,.2f}" if isinstance(cell, Real) else cell


def _is_number(cell: object) -> bool:
    return isinstance(cell, Real)


def _at_right(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _figure(kind: str, data: bytes, figure: Figure, alt: str, caption: Sequence[str]) -> Html:
    width, height = (round(inches * PIXELS_PER_INCH) for inches in figure.get_size_inches())
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    lines = "".join(f"<span>{text(line)}</span>" for line in caption)
    below = f"\n<figcaption>{lines}</figcaption>" if caption else ""
    image = f'<img src="{source}" width="{width}" height="{height}" alt="{text(alt)}">'
    return Html(f"<figure>\n{image}{below}\n</figure>")


@contextmanager
def _missing_letters() -> Iterator[None]:
    """Let a name in a script that the font lacks be boxes; the tables have it in letters."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield
