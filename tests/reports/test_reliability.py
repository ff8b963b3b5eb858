from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from mgr_cli import calibration
from mgr_cli.calibration import Bin, Calibration, Reliability
from mgr_cli.reports import figures, reliability
from mgr_cli.trust import Trust

BOLD = Reliability(
    ece=0.1234,
    mce=0.3,
    log_loss=1.567,
    brier=0.6,
    bins=(Bin(0.4, 0.6, 1_000, 0.55, 0.6), Bin(0.8, 1.0, 3, 0.9, 0.6)),
)
MODEST = Reliability(0.01, 0.02, 1.0, 0.5, (Bin(0.2, 0.4, 1_003, 0.3, 0.0),))
FOUND = Calibration(1.5, 7, Trust(0.8, 0.35, 0.9, 0.5, 7), BOLD, MODEST)
NOBODY = Trust(0.8, 1.0, 0.0, 0.0, 7)


def boxes(figure: Figure, panel: int, colour: str | None = None) -> list[tuple[float, ...]]:
    """Read bars back: left, right, bottom and top; of one colour, or the hatched ones."""
    found = []
    for bar in figure.axes[panel].patches:
        own = bar.get_hatch() if colour is None else to_hex(bar.get_facecolor()) == colour.lower()
        if own and (colour is None or not bar.get_hatch()):
            box = bar.get_bbox()  # type: ignore[attr-defined]
            found.append(tuple(round(float(x), 6) for x in (box.x0, box.x1, box.y0, box.y1)))
    return found


def real(n: int = 200) -> Reliability:
    return calibration.reliability(*answers(n))


def answers(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(10, 0.2), n), rng.integers(0, 10, n)


def test_bars_reach_the_share_that_is_right() -> None:
    figure = reliability.draw(FOUND, title="")
    assert boxes(figure, 0, reliability._BLUE) == [(0.4, 0.6, 0, 0.6), (0.8, 1.0, 0, 0.6)]
    assert boxes(figure, 1, reliability._BLUE) == [(0.2, 0.4, 0, 0)]


def test_gaps_go_from_the_share_to_the_mean_confidence() -> None:
    # Of the first bin down from 0.6 to 0.55, and of the second up to 0.9.
    figure = reliability.draw(FOUND, title="")
    assert boxes(figure, 0) == [(0.4, 0.6, 0.55, 0.6), (0.8, 1.0, 0.6, 0.9)]
    assert boxes(figure, 1) == [(0.2, 0.4, 0, 0.3)]


def test_histograms_count_the_tracks_on_one_scale() -> None:
    figure = reliability.draw(FOUND, title="")
    assert boxes(figure, 2, reliability._GREY) == [(0.4, 0.6, 0, 1_000), (0.8, 1.0, 0, 3)]
    assert boxes(figure, 3, reliability._GREY) == [(0.2, 0.4, 0, 1_003)]
    assert figure.axes[2].get_ylim() == figure.axes[3].get_ylim()


def test_panels_say_what_they_are() -> None:
    figure = reliability.draw(FOUND, title="cnn on demo, valid")
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        "before: ECE 12.3 points, log loss 1.57",
        "after: ECE 1.0 points, log loss 1.00",
    ]
    assert figure.get_suptitle() == "cnn on demo, valid"
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["tracks that are right", "tracks"]
    assert "confidence" in figure.axes[3].get_xlabel()


def test_diagonal_is_where_bars_belong() -> None:
    for axes in reliability.draw(FOUND, title="").axes[:2]:
        line = axes.lines[0]
        np.testing.assert_array_equal(line.get_xydata(), [[0, 0], [1, 1]])
        assert axes.get_xlim() == (0, 1)
        assert axes.get_ylim()[1] > 1  # a bar that is all right does not touch the frame


def test_line_shows_from_where_on_answers_are_believed_after_the_temperature() -> None:
    figure = reliability.draw(FOUND, title="")
    lines = [[line.get_xydata() for line in axes.lines[1:]] for axes in figure.axes[:2]]
    assert lines[0] == []
    np.testing.assert_array_equal(lines[1], [[[0.35, 0], [0.35, 1]]])
    assert [len(axes.lines) for axes in figure.axes[2:]] == [0, 1]
    assert "believed from here" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_where_nothing_is_believed_there_is_no_line() -> None:
    figure = reliability.draw(replace(FOUND, trust=NOBODY), title="")
    assert [len(axes.lines) for axes in figure.axes] == [1, 1, 0, 0]
    assert len(figure.legends[0].get_texts()) == 3


@pytest.mark.parametrize("found", [BOLD, MODEST, real(), real(100_000)])
def test_nothing_overlaps_or_leaves_the_picture(found: Reliability) -> None:
    both = replace(FOUND, before=found, after=real())
    figure = reliability.draw(both, title="short-chunk-resnet-gtzan on gtzan, valid")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    texts: list[Text] = [*figure.legends[0].get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
        shown = [text for text in axes.get_xticklabels() if text.get_visible()]
        lines = [text.get_window_extent() for text in shown if text.get_text()]
        texts += shown
        assert all(left.x1 < right.x0 for left, right in pairwise(lines))
    for text in (text for text in texts if text.get_text()):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
        # 10 pixels of type height is what screens use for their smallest captions.
        assert float(text.get_fontsize()) / 72 * figure.dpi / 2 >= 10
    legend = figure.legends[0].get_window_extent()
    drawn = [axes.get_tightbbox() for axes in figure.axes]
    assert not any(box is None or legend.overlaps(box) for box in drawn)


def test_title_is_text_and_no_formula() -> None:
    figure = reliability.draw(FOUND, title="$\\oops$")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    assert figure.get_suptitle() == "$\\oops$"


def test_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        drawn = reliability.draw(calibration.calibrate(*answers()), title="x")
        figures.save(drawn, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
