from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import BarContainer
from PIL import Image

from mgr_cli.features.handcrafted import COLUMNS, FAMILIES, NAMES
from mgr_cli.importance import Family, Feature, Importances
from mgr_cli.reports import figures, importance

SHUFFLED = Importances(
    "permutation",
    (Feature("mfcc.mean.01", "mfcc", 0.05, 0.01), Feature("zcr.std.01", "zcr", -0.01, 0.02)),
    (Family("mfcc", 1, 0.05, 0.06, 0.01), Family("zcr", 1, -0.01, -0.02, 0.005)),
    accuracy=0.7,
)
TREES = Importances(
    "impurity",
    (Feature("mfcc.mean.01", "mfcc", 0.75), Feature("zcr.std.01", "zcr", 0.25)),
    (Family("mfcc", 1, 0.75), Family("zcr", 1, 0.25)),
)


def many(*, shuffled: bool) -> Importances:
    """Make up importances of FMA's 518 columns, in order."""
    values = np.random.default_rng(0).exponential(0.02, len(NAMES)) - 0.005
    features = [
        Feature(name, family, value, 0.02 * shuffled)
        for name, (family, _, _), value in zip(NAMES, COLUMNS, sorted(values)[::-1], strict=True)
    ]
    families = [
        Family(name, 7 * n, 0.002 * n, 0.01 * n if shuffled else None, 0.01)
        for name, n in sorted(FAMILIES.items(), key=lambda item: -item[1])
    ]
    measure = ("impurity", "permutation")[shuffled]
    accuracy = 0.7 if shuffled else None
    return Importances(measure, tuple(features), tuple(families), accuracy)  # type: ignore[arg-type]


def bars(axes: Axes) -> dict[str, float]:
    """Read the lengths of the bars back, by the names beside them."""
    (container,) = [each for each in axes.containers if isinstance(each, BarContainer)]
    names = {place: text.get_text() for place, text in zip(
        axes.get_yticks(), axes.get_yticklabels(), strict=True)}  # fmt: skip
    return {
        names[round(bar.get_y() + bar.get_height() / 2, 6)]: round(bar.get_width(), 9)
        for bar in container
    }


def test_bars_are_drops_in_points_with_a_whisker_of_one_deviation() -> None:
    features, families = importance.draw(SHUFFLED, title="net on demo", top=9).axes
    assert bars(features) == {"mfcc.mean.01": 5, "zcr.std.01": -1}
    assert bars(families) == {"mfcc · 1": 6, "zcr · 1": -2}
    assert {features.get_xlabel(), families.get_xlabel()} == {"drop in accuracy, points"}
    (whiskers,) = features.collections
    ends = [path.vertices for path in whiskers.get_paths()]
    np.testing.assert_allclose([np.asarray(each)[:, 0] for each in ends], [[4, 6], [-3, 1]])


def test_sums_of_single_drops_stand_beside_the_drops_together() -> None:
    families = importance.draw(SHUFFLED, title="", top=9).axes[1]
    (sums,) = [line for line in families.lines if line.get_label() == "sum of its features"]
    np.testing.assert_allclose(np.asarray(sums.get_data(), float), [[5, -1], [0, 1]])


def test_impurities_are_shares_without_whiskers_and_sums() -> None:
    figure = importance.draw(TREES, title="forest", top=9)
    features, families = figure.axes
    assert figure.get_suptitle() == "forest"
    assert bars(features) == {"mfcc.mean.01": 75, "zcr.std.01": 25}
    assert bars(families) == {"mfcc · 1": 75, "zcr · 1": 25}
    assert {axes.get_xlabel() for axes in figure.axes} == {"decrease in impurity, % of all"}
    assert not features.collections
    assert families.get_legend() is None


@pytest.mark.parametrize("top", [1, 20, 100])
def test_only_the_first_are_shown_and_the_heading_says_of_how_many(top: int) -> None:
    features, families = importance.draw(many(shuffled=True), title="", top=top).axes
    assert list(bars(features)) == [importance._shortened(name) for name in NAMES[:top]]
    assert features.get_title() == f"features, the first {top} of 518"
    assert len(bars(families)) == min(top, 11)
    heading = "families, the first 1 of 11" if top == 1 else "all 11 families"
    assert families.get_title() == f"{heading} · features in each"


@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize("top", [1, 5, 20, 100])
def test_nothing_overlaps_or_leaves_the_picture(shuffled: bool, top: int) -> None:
    found = many(shuffled=shuffled)
    figure = importance.draw(found, title="logistic-regression-emotify on emotify, valid", top=top)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    left, right = figure.axes
    for axes in (left, right):
        labels = axes.get_yticklabels()
        low, high = axes.get_xlim()
        ticks = [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]
        for text in (*labels, *ticks, axes.title, axes.xaxis.label):
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
        for upper, lower in pairwise(text.get_window_extent() for text in labels):
            assert lower.y1 <= upper.y0
        for one, next_one in pairwise(text.get_window_extent() for text in ticks):
            assert one.x1 < next_one.x0
    names = [text.get_window_extent().x0 for text in right.get_yticklabels()]
    assert min(names) > left.get_window_extent().x1
    # 10 pixels of type height is what screens use for their smallest captions.
    sizes = [float(text.get_fontsize()) for axes in figure.axes for text in axes.get_yticklabels()]
    assert min(sizes) / 72 * figure.dpi / 2 >= 10


def test_names_are_text_and_cut_short() -> None:
    odd = Importances(
        "impurity", (Feature("$\\frac$", "x" * 99, 1.0),), (Family("x" * 99, 1, 1.0),)
    )
    figure = importance.draw(odd, title="$\\oops$", top=3)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    features, families = figure.axes
    assert features.get_yticklabels()[0].get_text() == "$\\frac$"
    assert families.get_yticklabels()[0].get_text() == "x" * 29 + "… · 1"


def test_written_picture_is_the_same_every_time(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        figures.save(importance.draw(SHUFFLED, title="x", top=5), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as picture:
        assert len(set(picture.convert("RGB").tobytes())) > 50  # it is not blank
