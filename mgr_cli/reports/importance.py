"""Importances as a picture: the features that count most, and beside them their families.

Bars begin at nothing and may go to the left of it, where shuffling has helped. A whisker is the
standard deviation over the permutations. Where a family was also shuffled as a whole, that is
its bar, and a diamond stands at the sum of its features: apart, they stand in for each other.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mgr_cli.config import Measure
from mgr_cli.importance import Importances

_DPI = 150
_ROW = 0.26  # inches, of one bar
_WIDTHS = (5.6, 5.0)  # inches, of features and of families
_NAME = 30  # characters that are shown
_BLUE, _ORANGE, _INK = "#56B4E9", "#D55E00", "#333333"  # Okabe and Ito's
_UNITS: dict[Measure, str] = {
    "impurity": "decrease in impurity, % of all",
    "permutation": "drop in accuracy, points",
}


def draw(importances: Importances, *, title: str, top: int) -> Figure:
    """Draw the most important features and families, the first one on top.

    Parameters
    ----------
    importances : Importances
        Of an entry.
    title : str
        What was measured, on what.
    top : int
        How many features are shown at the most, and how many families; one at least.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.
    """
    features, families = importances.features[:top], importances.families[:top]
    n_rows = max(len(features), len(families), 6)
    height = 1.2 + _ROW * n_rows
    figure = Figure((sum(_WIDTHS), height), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    figure.suptitle(title, fontsize=12, parse_math=False, wrap=True)
    left, right = figure.subplots(1, 2, width_ratios=_WIDTHS)
    unit = _UNITS[importances.measure]
    shuffled = importances.measure == "permutation"
    left.set_title(_heading(len(features), len(importances.features), "features"), fontsize=11)
    _bars(
        left,
        [_shortened(feature.name) for feature in features],
        [100 * feature.value for feature in features],
        [100 * feature.deviation for feature in features] if shuffled else None,
        unit,
    )
    right.set_title(
        f"{_heading(len(families), len(importances.families), 'families')} · features in each",
        fontsize=11,
    )
    _bars(
        right,
        [f"{_shortened(family.name)} · {family.n_features}" for family in families],
        [100 * family.importance for family in families],
        [100 * family.deviation for family in families] if shuffled else None,
        unit,
    )
    for axes in (left, right):
        axes.set_ylim(n_rows - 0.4, -0.6)  # the first on top, all bars of one thickness
    if shuffled:
        totals = [100 * family.total for family in families]
        right.plot(
            totals, range(len(families)), "D", color=_ORANGE, markeredgecolor=_INK,
            markersize=6, label="sum of its features", zorder=4,
        )  # fmt: skip
        right.legend(fontsize=9, loc="lower right", framealpha=0.9)
    return figure


def _heading(n_shown: int, n_all: int, what: str) -> str:
    return f"{what}, the first {n_shown} of {n_all}" if n_shown < n_all else f"all {n_all} {what}"


def _bars(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    deviations: Sequence[float] | None,
    unit: str,
) -> None:
    places = range(len(names))
    axes.barh(
        places, values, 0.7, color=_BLUE, xerr=deviations,
        error_kw={"ecolor": _INK, "elinewidth": 1.2, "capsize": 2.5}, zorder=3,
    )  # fmt: skip
    axes.set_yticks(places, names, fontsize=10, parse_math=False)
    axes.axvline(0, color=_INK, linewidth=0.8, zorder=3)
    axes.set_xlabel(unit, fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"
