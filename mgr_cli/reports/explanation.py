"""An explanation as a picture: what of a song spoke for the winner and for the runner-up.

On top the whole song: a strip of what each segment was taken for, and below it the probabilities of
the two genres, the explained part framed. Then a row a method: the log-mel picture of that part in
grey, loud is dark, and over it in orange what spoke for the genre and in blue what spoke against
it, the stronger the more opaque; full opacity is a high percentile of all values, for each panel
its own. Orange and blue are told apart by everybody. To the right the curves of deletion and
insertion, where they were measured, with those of random orders dashed.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Patch

from mgr_cli.explanation.faithfulness import area
from mgr_cli.explanation.result import Attribution, Explanation, Faithfulness
from mgr_cli.prediction import Prediction
from mgr_cli.reports import drawing

OPAQUE = 99.0  # percentile of what an attribution's values are, without their signs
COLUMNS = 600  # of a panel at the most; neighbours are averaged

_DPI = 150
_PANEL, _CURVES = 4.3, 3.2  # inches, widths
_TIMELINE, _ROW, _TITLES = 2.0, 2.5, 1.9  # inches, heights; of titles and captions together
_FOR, _AGAINST, _INK = "#D55E00", "#0072B2", "#333333"  # Okabe and Ito's
_WINNER, _RUNNER_UP = "#0072B2", "#E69F00"
_OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
_MANY = "#BBBBBB"  # of all genres for which there is no colour left
_DARKEST = 0.45  # how light the loudest cell is, so that colours can be seen over it
_LETTERS = 12.5  # of a legend, to an inch
_TITLE = 45  # letters of room that its title, the grey one and margins take
_AROUND = 9  # letters that a colour and a probability take beside a name
_NAME = 16  # letters of a genre that are shown
_MARKED = 60  # segments, up to which each has a mark
_STRIP = (1.04, 1.2)  # where it lies, in units of the axis of probabilities


def draw(explanation: Explanation, *, title: str) -> Figure:
    """Draw an explanation.

    Parameters
    ----------
    explanation : Explanation
        With one attribution at least.
    title : str
        Which song, by which entry.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.

    Raises
    ------
    ValueError
        If nothing was attributed.
    """
    methods = list(dict.fromkeys(each.method for each in explanation.attributions))
    genres = list(dict.fromkeys(each.genre for each in explanation.attributions))
    if not methods:
        raise ValueError("an explanation without any attribution")
    checks = {each.method: each for each in explanation.faithfulness}
    widths = [_PANEL] * len(genres) + [_CURVES] * bool(checks)
    heights = [_TIMELINE, *[_ROW] * len(methods)]
    figure = Figure((max(sum(widths), 8.0), sum(heights) + _TITLES), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
    figure.suptitle(title, fontsize=13, parse_math=False, wrap=True)
    grid = GridSpec(len(heights), len(widths), figure, width_ratios=widths, height_ratios=heights)
    known = colours(
        explanation.prediction, genres, letters=_LETTERS * figure.get_figwidth() - _TITLE
    )
    _draw_timeline(figure.add_subplot(grid[0, :]), explanation, known)
    for row, method in enumerate(methods, start=1):
        for column, genre in enumerate(genres):
            axes = figure.add_subplot(grid[row, column])
            number = 2 + (row - 1) * len(widths) + column
            _draw_attribution(axes, explanation, explanation.of(method, genre), number)
            _label(axes, explanation, is_first=column == 0, is_last=row == len(methods))
        if method in checks:
            axes = figure.add_subplot(grid[row, -1])
            _draw_curves(axes, checks[method], row * len(widths) + 1, is_last=row == len(methods))
    _write_captions(figure, len(methods), len(widths), with_curves=bool(checks))
    return figure


def colours(prediction: Prediction, genres: Sequence[str], *, letters: float) -> dict[str, str]:
    """Return a colour for those that are explained, and for each genre that wins a segment.

    Parameters
    ----------
    prediction : Prediction
        Of the song.
    genres : sequence of str
        That are explained, the winner first.
    letters : float
        Room of the legend; genres that win few segments and do not fit in share a grey.
    """
    known = dict(zip(genres, (_WINNER, _RUNNER_UP), strict=False))
    room = letters - sum(len(_shortened(genre)) + _AROUND for genre in known)
    left = list(_OTHERS)
    winners = prediction.segment_probs.argmax(axis=1)
    counts = np.bincount(winners, minlength=len(prediction.genres))
    for label in np.argsort(-counts, kind="stable"):
        name = prediction.genres[label]
        if not counts[label] or name in known:
            continue
        room -= len(_shortened(name)) + _AROUND
        known[name] = left.pop(0) if left and room > 0 else _MANY
    return known


def _draw_timeline(axes: Axes, explanation: Explanation, known: dict[str, str]) -> None:
    prediction, span = explanation.prediction, (explanation.start, explanation.stop)
    starts = np.array(prediction.starts)
    stops = np.minimum(starts + prediction.segment_seconds, prediction.seconds)
    _draw_strip(axes, prediction, np.append(starts, stops[-1]), known)
    single = len(starts) == 1  # a line, even so
    seconds = np.array([starts[0], stops[0]]) if single else (starts + stops) / 2
    explained = dict.fromkeys(each.genre for each in explanation.attributions)
    for genre, style in zip(explained, ("o-", "s-"), strict=False):
        probs = prediction.segment_probs[:, prediction.genres.index(genre)]
        axes.plot(
            seconds, np.repeat(probs, 2) if single else probs,
            style if len(probs) < _MARKED else "-", color=known[genre], linewidth=1.6, markersize=4,
        )  # fmt: skip
    axes.fill_between(span, -0.03, 1, color=_INK, alpha=0.1, linewidth=0)
    for edge in span:
        axes.axvline(edge, color=_INK, linewidth=1.2, linestyle=":")
    axes.set_title("1  the whole song", fontsize=11, loc="left")
    axes.set_ylim(-0.03, _STRIP[1])
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlim(0, max(prediction.seconds, stops[-1]))
    axes.set_xlabel("seconds", fontsize=10)
    axes.set_ylabel("probability", fontsize=10)
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _add_legend(axes, prediction, known)


def _draw_strip(
    axes: Axes, prediction: Prediction, edges: np.ndarray, known: dict[str, str]
) -> None:
    """Draw what segments were taken for, those of one genre in a row as one bar."""
    winners = prediction.segment_probs.argmax(axis=1)
    firsts = np.flatnonzero(np.diff(winners, prepend=-1))
    bars: dict[str, list[tuple[float, float]]] = {}
    for first, after in zip(firsts, [*firsts[1:], len(winners)], strict=True):
        colour = known[prediction.genres[winners[first]]]
        bars.setdefault(colour, []).append((edges[first], edges[after] - edges[first]))
    for colour, spans in bars.items():  # few artists, however long the song is
        axes.broken_barh(spans, (_STRIP[0], _STRIP[1] - _STRIP[0]), color=colour, linewidth=0)


def _add_legend(axes: Axes, prediction: Prediction, known: dict[str, str]) -> None:
    probs = dict(prediction.ranked())
    shown = {genre: colour for genre, colour in known.items() if colour != _MANY}
    handles = [Patch(color=colour) for colour in shown.values()]
    labels = [f"{_shortened(genre)} {100 * probs[genre]:.0f} %" for genre in shown]
    if len(shown) < len(known):
        handles.append(Patch(color=_MANY))
        labels.append("others")
    legend = axes.legend(
        handles, labels, fontsize=10, loc="lower right", bbox_to_anchor=(1.0, 1.0),
        ncols=len(handles), frameon=False, handlelength=1, columnspacing=1.2, borderaxespad=0.1,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw_attribution(
    axes: Axes, explanation: Explanation, found: Attribution, number: int
) -> None:
    spec, n_bands = explanation.spec, len(explanation.levels)
    n_frames = explanation.levels.shape[1]
    # Column j is centred on a multiple of the hop; see `features.mel`.
    left = explanation.start - spec.hop_length / spec.sample_rate / 2
    extent = (left, left + n_frames / spec.frame_rate, -0.5, n_bands - 0.5)
    layers = (_grey(_pooled(explanation.levels)), _overlay(_pooled(found.values)))
    for layer in layers:
        axes.imshow(layer, origin="lower", aspect="auto", extent=extent)
    prob = dict(explanation.prediction.ranked())[found.genre]
    name = found.method.replace("-", " ").replace("grad cam", "Grad-CAM")
    axes.set_title(
        f"{number}  {name}: {_shortened(found.genre)}, {100 * prob:.0f} %",
        fontsize=11, loc="left", parse_math=False,
    )  # fmt: skip
    axes.set_xlim(explanation.start, explanation.stop)


def _label(axes: Axes, explanation: Explanation, *, is_first: bool, is_last: bool) -> None:
    axes.tick_params(labelsize=10, labelbottom=is_last)
    places, labels = drawing.hz_ticks(explanation.spec)
    axes.set_yticks(places, labels if is_first else [])
    if is_first:
        axes.set_ylabel("Hz", fontsize=10)
    if is_last:
        axes.set_xlabel("seconds", fontsize=10)


def _grey(levels: np.ndarray) -> np.ndarray:
    """Paint levels, loud is dark, [shape=(n_bands, n_columns, 3)]."""
    low, high = float(levels.min()), float(levels.max())
    shares = (levels - low) / (high - low) if high > low else np.zeros_like(levels)
    return np.repeat((1 - (1 - _DARKEST) * shares)[..., None], 3, axis=2)


def _overlay(values: np.ndarray) -> np.ndarray:
    """Paint an attribution, [shape=(n_bands, n_columns, 4)]."""
    limit = np.percentile(np.abs(values), OPAQUE) or np.abs(values).max() or 1.0
    painted = np.empty((*values.shape, 4))
    painted[..., :3] = np.where((values > 0)[..., None], to_rgb(_FOR), to_rgb(_AGAINST))
    painted[..., 3] = np.minimum(np.abs(values) / limit, 1)
    return painted


def _pooled(values: np.ndarray) -> np.ndarray:
    """Average neighbouring columns, so that no more are left than a panel shows."""
    n = values.shape[1]
    starts = np.linspace(0, n, min(n, COLUMNS), endpoint=False).astype(np.int64)
    means: np.ndarray = np.add.reduceat(values, starts, axis=1) / np.diff([*starts, n])
    return means


def _draw_curves(axes: Axes, check: Faithfulness, number: int, *, is_last: bool) -> None:
    for name, colour in (("insertion", _FOR), ("deletion", _AGAINST)):
        own, random = getattr(check, name), getattr(check, f"random_{name}")
        label = f"{name} {area(own, check.shares):.2f} ({area(random, check.shares):.2f})"
        axes.plot(100 * check.shares, own, color=colour, linewidth=1.8, label=label)
        axes.plot(100 * check.shares, random, "--", color=colour, linewidth=1.2)
    axes.set_title(f"{number}  {_in_words(check.randomised)}", fontsize=11, loc="left")
    axes.set_ylim(-0.03, 1.45)  # room for the legend
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlim(0, 100)
    axes.set_ylabel(f"P({_shortened(check.genre)})", fontsize=10, parse_math=False)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=10, labelbottom=is_last)
    axes.spines[["top", "left"]].set_visible(False)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.legend(fontsize=9.5, loc="upper left", frameon=False, handlelength=1.6, borderpad=0.1)
    if is_last:
        axes.set_xlabel("% of the cells", fontsize=10)


def _in_words(randomised: float | None) -> str:
    return "faithfulness" if randomised is None else f"faithfulness, r = {randomised:z.2f}"


def _write_captions(figure: Figure, n_methods: int, n_columns: int, *, with_curves: bool) -> None:
    last = 1 + n_methods * n_columns
    captions = [
        "1  Strip: what each segment was taken for. Lines: probabilities of the winner and the "
        "runner-up. Framed: the part that is explained.",
        f"2–{last}  In grey the log-mel picture, loud is dark; orange spoke for the genre of the "
        "title, blue against it.",
    ]
    if with_curves:
        captions.append(
            "Curves: cells are taken away (deletion, should fall early) or brought back "
            "(insertion, should rise early), those that spoke most first; dashed: in random order. "
            "Numbers: areas, in brackets at random. r: rank correlation with the picture of the "
            "same net with random weights, near 0 if it shows what was learnt."
        )
    letters = round(figure.get_figwidth() * 14.5)
    text = "\n".join(textwrap.fill(caption, letters) for caption in captions)
    figure.supxlabel(text, x=0.01, ha="left", fontsize=9.5, color=_INK)


def _shortened(genre: str) -> str:
    return genre if len(genre) <= _NAME else genre[: _NAME - 1] + "…"
