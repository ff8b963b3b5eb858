from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mgr_cli.config import METHODS, FeatureSpec
from mgr_cli.explanation.result import Attribution, Explanation, Faithfulness
from mgr_cli.prediction import Prediction
from mgr_cli.reports import explanation, figures

SPEC = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=16)  # 20 frames a second
GENRES = ("pop", "rock", "jazz")
ORANGE, BLUE = "#d55e00", "#0072b2"


def prediction(*winners: int, confidence: float = 0.6) -> Prediction:
    """Make up a song whose segments of 3 s are taken for these classes."""
    rest = (1 - confidence) / 2 - 0.01 * np.arange(3)
    probs = np.stack([np.where(np.arange(3) == each, confidence, rest) for each in winners])
    starts = tuple(3.0 * n for n in range(len(winners)))
    return Prediction(
        GENRES, probs.mean(axis=0), "rock", "mean", probs, starts, 3.0, 3.0 * len(winners),
        padded=False,
    )  # fmt: skip


def made_up(
    *, n_methods: int = 3, checked: bool = True, winners: tuple[int, ...] = (0, 1, 1, 2)
) -> Explanation:
    rng = np.random.default_rng(0)
    shares = np.linspace(0, 1, 3)
    methods = METHODS[:n_methods]
    return Explanation(
        Path("x.mp3"), prediction(*winners), 3.0, 9.0, rng.uniform(-80, 0, (16, 120)), SPEC,
        tuple(
            Attribution(method, genre, rng.standard_normal((16, 120)))
            for method in methods for genre in ("rock", "pop")
        ),
        tuple(
            Faithfulness(
                method, "rock", shares, np.array([1, 0, 0]), np.array([0, 1, 1]),
                np.array([1, 0.5, 0]), np.array([0, 0.5, 1]), number,
            )
            for method, number in zip(methods, (0.25, -0.004, None), strict=False)
        ) * checked,
    )  # fmt: skip


@pytest.fixture(scope="module")
def figure() -> Figure:
    return explanation.draw(made_up(), title="x.mp3 · net")


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_a_row_a_method_with_winner_runner_up_and_curves(figure: Figure) -> None:
    assert figure.get_suptitle() == "x.mp3 · net"
    # Three of four segments agree by half on rock: (0.6 · 2 + 0.19 + 0.19) / 4, and so on.
    probs = dict(made_up().prediction.ranked())
    rock, pop = (f"{100 * probs[genre]:.0f} %" for genre in ("rock", "pop"))
    assert titles(figure) == [
        "1  the whole song",
        f"2  integrated gradients: rock, {rock}", f"3  integrated gradients: pop, {pop}",
        "4  faithfulness, r = 0.25",
        f"5  Grad-CAM: rock, {rock}", f"6  Grad-CAM: pop, {pop}", "7  faithfulness, r = 0.00",
        f"8  occlusion: rock, {rock}", f"9  occlusion: pop, {pop}", "10  faithfulness",
    ]  # fmt: skip


def test_unchecked_explanation_has_no_curves_and_says_nothing_of_them(figure: Figure) -> None:
    unchecked = explanation.draw(made_up(checked=False, n_methods=1), title="")
    assert len(unchecked.axes) == 3
    assert "deletion" not in unchecked.get_supxlabel()
    assert "2–3  " in unchecked.get_supxlabel()
    assert "deletion" in figure.get_supxlabel()


def test_strip_joins_neighbours_of_one_genre(figure: Figure) -> None:
    timeline = figure.axes[0]
    strip = [
        (box.x0, box.x1, to_hex(np.asarray(each.get_facecolor())[0]))
        for each in timeline.collections
        if isinstance(each, PolyCollection)
        for path in each.get_paths()
        if (box := path.get_extents()).y0 > 1
    ]
    assert sorted(strip) == [(0, 3, "#e69f00"), (3, 9, "#0072b2"), (9, 12, "#009e73")]
    legend = timeline.get_legend()
    assert legend is not None
    assert [text.get_text().split()[0] for text in legend.get_texts()] == ["rock", "pop", "jazz"]


def test_long_song_needs_no_more_artists_than_colours() -> None:
    found = made_up(n_methods=1, checked=False, winners=(0, 1, 2) * 1_000)
    timeline = explanation.draw(found, title="").axes[0]
    bars = [
        len(each.get_paths())
        for each in timeline.collections
        if each.get_paths()[0].get_extents().y0 > 1
    ]
    assert bars == [1_000] * 3


def test_genres_that_the_legend_has_no_room_for_share_a_grey() -> None:
    names = tuple(f"Old-Time / Historic {n}" for n in range(9))
    probs = np.eye(9)[[0, 0, 0, 1, 2, 2, 2, 2, 3, 4, 4, 4, 5, 6, 7, 8]]
    song = replace(made_up().prediction, genres=names, segment_probs=probs)
    known = explanation.colours(song, names[:2], letters=100)
    # Names are cut to 16 letters and take 25 each, so that the two most frequent others fit in.
    assert [names.index(name) for name in known] == [0, 1, 2, 4, 3, 5, 6, 7, 8]
    colours = list(known.values())
    assert len(set(colours[:3])) == 3
    assert set(colours[3:]) == {"#BBBBBB"}
    assert len(set(explanation.colours(song, names[:2], letters=999).values())) == 2 + 5 + 1


def test_lines_are_probabilities_at_the_middles_of_segments(figure: Figure) -> None:
    timeline = figure.axes[0]
    rock, pop = timeline.lines[:2]
    x, y = (np.asarray(each, float) for each in rock.get_data())
    np.testing.assert_allclose(x, [1.5, 4.5, 7.5, 10.5])
    np.testing.assert_allclose(y, made_up().prediction.segment_probs[:, 1])
    np.testing.assert_allclose(
        np.asarray(pop.get_ydata(), float), made_up().prediction.segment_probs[:, 0]
    )
    assert [line.get_xdata()[0] for line in timeline.lines[2:]] == [3, 9]  # type: ignore[index]


def test_song_judged_as_a_whole_is_a_line_all_along() -> None:
    timeline = explanation.draw(made_up(winners=(1,)), title="").axes[0]
    np.testing.assert_allclose(
        np.asarray(timeline.lines[0].get_data(), float), [[0.0, 3.0], [0.6, 0.6]]
    )


def overlays(axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    grey, painted = (np.asarray(image.get_array()) for image in axes.images)
    return grey, painted


def test_orange_speaks_for_and_blue_against_as_opaque_as_strong() -> None:
    values = np.zeros((16, 120))
    values[3, 10:60], values[8, 50:60] = 4.0, -2.0
    found = replace(made_up(n_methods=1), attributions=(Attribution("occlusion", "rock", values),))
    axes = explanation.draw(found, title="").axes[1]
    _, painted = overlays(axes)
    assert (to_hex(painted[3, 15]), painted[3, 15, 3]) == (ORANGE, 1)
    assert (to_hex(painted[8, 55]), painted[8, 55, 3]) == (BLUE, 0.5)
    assert painted[..., 3].sum() == pytest.approx(50 + 5)


def test_a_few_glaring_cells_do_not_fade_all_others() -> None:
    values = np.ones((16, 120))
    values[0, :2] = 1e6
    painted = explanation._overlay(values)
    assert (painted[..., 3] == 1).all()


def test_attribution_of_nothing_is_drawn_as_nothing() -> None:
    assert not explanation._overlay(np.zeros((16, 120)))[..., 3].any()


def test_loud_is_dark_but_never_black(figure: Figure) -> None:
    grey, _ = overlays(figure.axes[1])
    levels = made_up().levels
    assert grey[np.unravel_index(levels.argmin(), levels.shape)].tolist() == [1, 1, 1]
    assert grey[np.unravel_index(levels.argmax(), levels.shape)].tolist() == pytest.approx(
        [0.45] * 3
    )
    assert (explanation._grey(np.full((2, 2), -80.0)) == 1).all()


def test_panels_are_drawn_over_the_seconds_of_the_part(figure: Figure) -> None:
    axes = figure.axes[1]
    # 120 columns at 20 a second, each half a hop of 0.05 s to both sides of its middle.
    assert axes.images[0].get_extent() == pytest.approx([2.975, 8.975, -0.5, 15.5])
    assert axes.get_xlim() == (3, 9)
    assert axes.get_ylabel() == "Hz"


def test_curves_carry_their_areas_and_those_at_random(figure: Figure) -> None:
    axes = figure.axes[3]
    legend = axes.get_legend()
    assert legend is not None
    # Trapezia over 0, 0.5 and 1: (1 + 0) / 4 and (0 + 1) / 4 + (1 + 1) / 4.
    assert [text.get_text() for text in legend.get_texts()] == [
        "insertion 0.75 (0.50)", "deletion 0.25 (0.50)"
    ]  # fmt: skip
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "-", "--"]
    np.testing.assert_allclose(
        np.asarray(axes.lines[2].get_data(), float), [[0, 50, 100], [1, 0, 0]]
    )


def test_explanation_without_attribution_is_refused() -> None:
    with pytest.raises(ValueError, match="without any attribution"):
        explanation.draw(replace(made_up(), attributions=()), title="")


def shown_texts(figure: Figure) -> list[Text]:
    found = [text for text in (figure._suptitle, figure._supxlabel) if text]  # type: ignore[attr-defined]
    for axes in figure.axes:
        low, high = sorted(axes.get_xlim())
        found += [axes._left_title, axes.xaxis.label, axes.yaxis.label]  # type: ignore[attr-defined]
        found += [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
        found += axes.get_yticklabels()
        legend = axes.get_legend()
        found += legend.get_texts() if legend else []
    return [text for text in found if text.get_visible() and text.get_text()]


@pytest.mark.parametrize(("n_methods", "checked"), [(3, True), (1, False)])
@pytest.mark.parametrize("name", ["rock", "Old-Time / Historic and Other Things"])
def test_nothing_overlaps_or_leaves_the_picture(n_methods: int, checked: bool, name: str) -> None:
    found = made_up(n_methods=n_methods, checked=checked, winners=(0, 1, 1, 2) * 5)
    found = replace(
        found,
        prediction=replace(found.prediction, genres=("pop", name, "jazz"), genre=name),
        attributions=tuple(
            replace(each, genre=name if each.genre == "rock" else each.genre)
            for each in found.attributions
        ),
        faithfulness=tuple(replace(each, genre=name) for each in found.faithfulness),
    )
    figure = explanation.draw(found, title="a song of some length.mp3 · short-chunk-resnet-gtzan")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    texts = shown_texts(figure)
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for n, one in enumerate(boxes):
        for m in range(n):
            assert not one.shrunk(0.98, 0.9).overlaps(boxes[m]), (texts[n], texts[m])
    # 9 points at 150 dots an inch are 19 pixels, 9 at half size.
    assert min(float(text.get_fontsize()) for text in texts) >= 9


def test_legend_of_many_genres_stays_beside_its_title() -> None:
    names = ("pop", "rock", *(f"Old-Time / Historic {n}" for n in range(10)))
    probs = np.random.default_rng(0).dirichlet(np.full(12, 0.3), 40)
    found = made_up(n_methods=1, checked=False)
    song = replace(
        found.prediction, genres=names, probs=probs.mean(axis=0), segment_probs=probs,
        starts=tuple(3.0 * n for n in range(40)), seconds=120.0,
    )  # fmt: skip
    figure = explanation.draw(replace(found, prediction=song), title="")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    title = figure.axes[0]._left_title.get_window_extent()  # type: ignore[attr-defined]
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert len(legend.get_texts()) >= 4
    assert legend.get_texts()[-1].get_text() == "others"
    assert title.x1 < legend.get_window_extent().x0
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_names_of_strangers_are_no_formulas(tmp_path: Path) -> None:
    odd = "$\\frac$"
    found = made_up(n_methods=1)
    found = replace(
        found,
        prediction=replace(found.prediction, genres=("pop", odd, "jazz"), genre=odd),
        attributions=(replace(found.attributions[0], genre=odd),),
        faithfulness=(replace(found.faithfulness[0], genre=odd),),
    )
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        figures.save(explanation.draw(found, title=odd), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as picture:
        assert picture.width > 1_000
