"""A map of tracks as a picture, and as a page that can be pointed at.

A genre has a colour and a shape of its own, so that neither an eye that confuses colours nor a
print in grey loses it. A black ring is around the tracks that the entry gets wrong. A map of three
dimensions is drawn as its three sides: points in a box cannot be placed by eye. On the page it can
be turned.

Plotly reads some HTML in what is shown on hovering and in legends; names come from
strangers, and are escaped.
"""

from html import escape
from itertools import combinations
from textwrap import wrap

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mgr_cli.explanation.mapping import Map
from mgr_cli.explanation.projections import Trust
from mgr_cli.judging import Judged
from mgr_cli.reports import page, plots

_DPI = 150
# Okabe and Ito's, but for their yellow, which is faint on white, and black, which is the rings'.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999")
_INK = "#111111"
# As many shapes as no multiple of the colours: pairs come again after 77 genres only.
# Those of one colour are as unlike as can be.
_SHAPES = ("o", "s", "^", "X", "D", "v", "P", "*", ">", "p", "<")
_SYMBOLS = (
    "circle", "square", "triangle-up", "x", "diamond", "triangle-down", "cross",
    "star", "triangle-right", "pentagon", "triangle-left",
)  # fmt: skip
# In space plotly draws letters of a font, which must be there; these are in all of them.
_SOLIDS = ("circle", "square", "diamond")
_SIDE = 6.2  # inches, of a map of two dimensions
_NAME = 24  # characters of a genre that are shown
_HEIGHT = 720  # pixels, of the map on the page
_MARGIN = {"l": 10, "r": 10, "t": 36, "b": 10}
_TICKS, _LINE = 50, 19  # pixels that labels of ticks are wide, and a line of a caption is high
_IN_A_COLUMN = 26  # genres of the legend

_HELP = (
    "Point at a track to see what it is. A black edge: the entry gets it wrong. Below the map, a "
    "click hides a genre, and a double click shows it alone."
)


def draw(found: Map, *, title: str) -> Figure:
    """Draw a map: one picture of two dimensions, three of three.

    Parameters
    ----------
    found : Map
        One track at least.
    title : str
        Whose map, of what.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.
    """
    sides = list(combinations(range(len(found.axes)), 2))
    width = (_SIDE if len(sides) == 1 else 4.6 * len(sides)) + 2.2
    figure = Figure((width, (_SIDE if len(sides) == 1 else 4.6) + 1.5), dpi=_DPI,
                    facecolor="white")  # fmt: skip
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    figure.suptitle(title, fontsize=13, parse_math=False, wrap=True)
    panels = figure.subplots(1, len(sides), squeeze=False)[0]
    size = float(np.clip(650 / np.sqrt(len(found.tracks)), 12, 50))  # points², less where many
    for axes, (across, up) in zip(panels, sides, strict=True):
        _draw_side(axes, found, across, up, size)
    figure.legend(
        handles=_handles(found), loc="outside right center", fontsize=10, frameon=False,
        title="genre (tracks)", title_fontsize=10, ncols=-(-len(found.genres) // _IN_A_COLUMN),
    )  # fmt: skip
    words = (found.remark, sentence(found.trust))
    figure.supxlabel("\n".join(line for each in words for line in wrap(each, round(13 * width))),
                     fontsize=9.5)  # fmt: skip
    return figure


def document(found: Map, *, title: str) -> page.Html:
    """Make a page of a map, on which a track says what it is.

    Parameters
    ----------
    found : Map
        One track at least.
    title : str
        Whose map, of what.

    Returns
    -------
    Html
        The whole page, for `page.save`; the same map gives the same.
    """
    figure = go.Figure([_trace(found, label, right) for label in range(len(found.genres))
                        for right in (True, False) if _own(found, label, right)])  # fmt: skip
    figure.update_layout(
        {"margin": _MARGIN} | _axes(found),
        template="plotly_white", hovermode="closest", hoverlabel={"align": "left"}, height=_HEIGHT,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom",
                "itemsizing": "constant", "font": {"size": 14}},
    )  # fmt: skip
    return page.document(
        title,
        page.paragraph(f"{found.remark} {sentence(found.trust)}"),
        page.paragraph(_HELP),
        page.place("map"),
        page.paragraph(f"Axes: {'; '.join(found.axes)}."),
        scripts=plots.scripts({"map": figure}),
    )


def _axes(found: Map) -> dict[str, object]:
    """Lay out the axes; in space their captions have to be short."""
    axis: dict[str, object] = {"zeroline": False, "gridcolor": "#dddddd"}
    if len(found.axes) == 2:
        captions = [_in_lines(caption, "<br>", 42) for caption in found.axes]
        flat: dict[str, dict[str, object]] = {
            f"{name}axis": {**axis, "title": {"text": text}}
            for name, text in zip("xy", captions, strict=True)
        }
        # Its caption is as wide as it is long: left to find its margin, plotly would draw the axes,
        # which keep their ratio, again and again.
        lines = captions[1].count("<br>") + 1
        flat["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1, "automargin": False}
        return {**flat, "margin": _MARGIN | {"l": _TICKS + _LINE * lines}}
    scene: dict[str, object] = {
        f"{name}axis": {**axis, "title": {"text": caption.partition(" (")[0]}}
        for name, caption in zip("xyz", found.axes, strict=True)
    }
    place = {
        "domain": {"y": [0.12, 1]},
        "aspectmode": "cube",
        "camera": {"eye": dict.fromkeys("xyz", 1.2)},
    }
    return {"scene": scene | place}


def trust_rows(trust: Trust) -> list[tuple[str, float]]:
    """List what a map can be trusted by, as names and shares of the tracks."""
    return [
        ("in all dimensions", trust.in_all),
        ("on the map", trust.on_map),
        ("always the commonest genre", trust.commonest),
    ]


def sentence(trust: Trust) -> str:
    """Say how far a map can be trusted."""
    return (
        f"The {trust.n_neighbours} nearest others tell the genre of {100 * trust.in_all:.1f} % of "
        f"the tracks in all dimensions, of {100 * trust.on_map:.1f} % on this map; "
        f"{100 * trust.commonest:.1f} % are of the commonest genre."
    )


def hover(track: Judged) -> str:
    """Say what a track is, in lines, as plotly reads them."""
    said = track.prediction
    lines = (
        track.track_id,
        track.path,
        f"genre: {track.truth}",
        f"predicted: {said.genre}, {100 * said.confidence:.1f} %"
        + ("" if track.is_right else " (wrong)"),
    )
    return "<br>".join(escape(page.plain(line)) for line in lines if line)


def _trace(found: Map, label: int, right: bool) -> "go.Scatter | go.Scatter3d":
    """Make the points of a genre that the entry gets right, or wrong."""
    own = _own(found, label, right)
    in_space = len(found.axes) == 3
    symbols = _SOLIDS if in_space else _SYMBOLS
    marker = {
        "size": 5 if in_space else 9,
        "color": _COLOURS[label % len(_COLOURS)],
        "symbol": symbols[label % len(symbols)],
        "line": {"width": 0.5 if right else 2, "color": "white" if right else _INK},
    }
    n_all = sum(track.truth == found.genres[label] for track in found.tracks)
    shares = {
        "mode": "markers",
        "marker": marker,
        "hoverinfo": "text",
        "hovertext": [hover(found.tracks[place]) for place in own],
        "legendgroup": str(label),
        "name": f"{escape(_shortened(found.genres[label]))} ({n_all})",
        "showlegend": right or not _own(found, label, True),
    }
    columns = found.coordinates[own].T.tolist()
    if in_space:
        return go.Scatter3d(x=columns[0], y=columns[1], z=columns[2], **shares)
    return go.Scatter(x=columns[0], y=columns[1], **shares)


def _own(found: Map, label: int, right: bool) -> list[int]:
    return [
        place
        for place, track in enumerate(found.tracks)
        if track.truth == found.genres[label] and track.is_right == right
    ]


def _draw_side(axes: Axes, found: Map, across: int, up: int, size: float) -> None:
    for label in range(len(found.genres)):
        for right in (True, False):
            own = _own(found, label, right)
            axes.scatter(
                found.coordinates[own, across], found.coordinates[own, up], s=size,
                marker=_SHAPES[label % len(_SHAPES)], color=_COLOURS[label % len(_COLOURS)],
                edgecolors="white" if right else _INK, linewidths=0.3 if right else 0.9,
                zorder=2 if right else 3,
            )  # fmt: skip
    axes.set_xlabel(_in_lines(found.axes[across], "\n", 70), fontsize=10)
    axes.set_ylabel(_in_lines(found.axes[up], "\n", 70), fontsize=10)
    axes.set_aspect("equal", "datalim")  # a distance is as long both ways
    axes.tick_params(labelsize=9)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _handles(found: Map) -> list[Line2D]:
    """Make the legend: each genre that has a track, then the ring."""
    counts = [sum(track.truth == genre for track in found.tracks) for genre in found.genres]
    handles = [
        Line2D([], [], linestyle="", marker=_SHAPES[label % len(_SHAPES)], markersize=8,
               color=_COLOURS[label % len(_COLOURS)], markeredgecolor="white",
               label=_plain(f"{_shortened(genre)} ({counts[label]})"))
        for label, genre in enumerate(found.genres) if counts[label]
    ]  # fmt: skip
    n_wrong = sum(not track.is_right for track in found.tracks)
    ring = Line2D([], [], linestyle="", marker="o", markersize=8, color="white",
                  markeredgecolor=_INK, markeredgewidth=1.1,
                  label=f"black edge: predicted\nwrong ({n_wrong})")  # fmt: skip
    return [*handles, ring] if n_wrong else handles


def _in_lines(caption: str, break_: str, width: int) -> str:
    """Break a caption before what it adds, and that into lines."""
    head, found, rest = caption.partition(" (")
    lines = [head, *wrap(f"({rest}", width)] if found else [head]
    return break_.join(lines)


def _shortened(genre: str) -> str:
    plain = page.plain(genre)
    return plain if len(plain) <= _NAME else plain[: _NAME - 1] + "…"


def _plain(label: str) -> str:
    """Keep a dollar a dollar, and a name that begins with _ in the legend."""
    label = label.replace("$", r"\$")
    return f"\u200b{label}" if label.startswith("_") else label
