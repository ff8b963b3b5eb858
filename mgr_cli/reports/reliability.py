"""Reliability diagrams: how often a classifier is right where it is so and so sure.

Two panels, before and after a temperature. In each a bar is a bin of confidences: its height is
the share of its tracks that is right, and it belongs on the diagonal. What lacks is hatched, from
the bar to the mean confidence of the bin: above the bar the classifier is too bold, inside it too
modest. The counts below say what a bar is worth; a gap over three tracks is an accident. Right of
the line in the second panel answers are believed, left of it they are unsure.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from mgr_cli.calibration import Calibration, Reliability

_DPI = 150
_SIZE = (9.0, 5.4)  # inches
_BLUE, _ORANGE, _GREEN = "#56B4E9", "#D55E00", "#009E73"  # Okabe and Ito's
_GREY, _INK = "#999999", "#333333"


def draw(found: Calibration, *, title: str) -> Figure:
    """Draw two reliability diagrams side by side, with a histogram below each.

    Parameters
    ----------
    found : Calibration
        Of the tracks, without and with a temperature.
    title : str
        What was judged, on what.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.
    """
    figure = Figure(_SIZE, dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.06)
    figure.suptitle(title, fontsize=12, parse_math=False, wrap=True)
    rows = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
    for (upper, lower), name, each in zip(
        rows.T, ("before", "after"), (found.before, found.after), strict=True
    ):
        _draw_bars(upper, each)
        _draw_counts(lower, each)
        upper.set_title(
            f"{name}: ECE {100 * each.ece:.1f} points, log loss {each.log_loss:.2f}", fontsize=11
        )
    rows[0, 0].set_ylabel("tracks that are right", fontsize=10)
    rows[1, 0].set_ylabel("tracks", fontsize=10)
    figure.align_ylabels(rows[:, 0])
    if found.trust.coverage:
        for axes in rows[:, 1]:
            axes.axvline(found.trust.threshold, color=_GREEN, linewidth=2, zorder=6,
                         label="believed from here")  # fmt: skip
    handles, labels = rows[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels),
                  fontsize=10, frameon=False)  # fmt: skip
    return figure


def _draw_bars(axes: Axes, found: Reliability) -> None:
    lows, widths, _ = _columns(found)
    accuracy = np.array([each.accuracy for each in found.bins])
    confidence = np.array([each.confidence for each in found.bins])
    axes.plot([0, 1], [0, 1], "--", color=_INK, linewidth=1, label="as sure as right", zorder=5)
    axes.bar(lows, accuracy, widths, align="edge", color=_BLUE, edgecolor="white",
             label="share that is right", zorder=3)  # fmt: skip
    axes.bar(lows, np.abs(confidence - accuracy), widths, np.minimum(confidence, accuracy),
             align="edge", facecolor="none", edgecolor=_ORANGE, hatch="////", linewidth=1.2,
             label="gap to the mean confidence", zorder=4)  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    _quieten(axes)


def _draw_counts(axes: Axes, found: Reliability) -> None:
    lows, widths, counts = _columns(found)
    axes.bar(lows, counts, widths, align="edge", color=_GREY, edgecolor="white", zorder=3)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_xlabel("confidence, the probability of the winner", fontsize=10)
    _quieten(axes)


def _columns(found: Reliability) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where the bins begin, how wide they are, and how many tracks they hold."""
    table = np.array([(each.low, each.high - each.low, each.n) for each in found.bins])
    lows, widths, counts = table.T
    return lows, widths, counts


def _quieten(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=10)
    axes.grid(axis="y", alpha=0.3)
