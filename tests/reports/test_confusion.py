from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mgr_cli.reports import confusion, figures

SIXTEEN = (
    "Blues", "Classical", "Country", "Easy Listening", "Electronic", "Experimental", "Folk",
    "Hip-Hop", "Instrumental", "International", "Jazz", "Old-Time / Historic", "Pop", "Rock",
    "Soul-RnB", "Spoken",
)  # fmt: skip
SMALL = np.array([[3, 1, 0], [0, 199, 1], [0, 0, 0]])
SMALL_GENRES = ("Folk", "Rock", "Pop")


def cells(figure: Figure) -> dict[tuple[int, int], str]:
    """Read the texts of the matrix back, by row and column."""
    texts = [text for text in figure.axes[0].texts if text.get_text() != "n"]
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
            for text in texts}  # fmt: skip


def random_counts(k: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    # About ten confusions a genre: of sixty genres, few are taken for each other.
    counts: np.ndarray = rng.integers(0, 400, (k, k)) * (rng.random((k, k)) < 10 / k)
    return np.asarray(counts + 9_000 * np.eye(k, dtype=int))


def laid_out(figure: Figure) -> FigureCanvasAgg:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return canvas


def test_cells_show_the_share_of_their_row_and_empty_ones_nothing() -> None:
    figure = confusion.draw(SMALL, SMALL_GENRES, title="")
    assert cells(figure) == {(0, 0): "0.75", (0, 1): "0.25", (1, 1): "0.99", (1, 2): "0.01"}


def test_a_few_in_a_thousand_are_not_shown_as_nothing() -> None:
    figure = confusion.draw(np.array([[999, 1], [0, 5]]), ("a", "b"), title="")
    assert cells(figure)[0, 1] == "0.00"


def test_rows_are_true_columns_predicted_and_counted_at_the_right() -> None:
    axes = confusion.draw(10 * SMALL, SMALL_GENRES, title="cnn on demo").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(SMALL_GENRES)
    assert [text.get_text() for text in axes.get_xticklabels()] == list(SMALL_GENRES)
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    (right,) = axes.child_axes
    assert [text.get_text() for text in right.get_yticklabels()] == ["40", "2,000", "0"]
    assert axes.get_title() == "cnn on demo"


def test_colour_is_the_share_on_a_scale_from_nothing_to_all() -> None:
    (image,) = confusion.draw(SMALL, SMALL_GENRES, title="").axes[0].images
    shares = np.array([[0.75, 0.25, 0], [0, 0.995, 0.005], [0, 0, 0]])
    np.testing.assert_allclose(np.asarray(image.get_array()), shares)
    assert image.get_clim() == (0, 1)


def test_every_cell_has_ink_that_stands_out() -> None:
    # WCAG asks for 3:1 between large type and its ground; all hundredths are tried.
    counts = np.diag(np.arange(1, 101)) + np.fliplr(np.diag(np.arange(99, -1, -1)))
    figure = confusion.draw(counts, [str(i) for i in range(100)], title="")
    ground = mpl.colormaps["Blues"](counts / counts.sum(axis=1, keepdims=True))[..., :3]
    linear = np.where(ground <= 0.04045, ground / 12.92, ((ground + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    for text in figure.axes[0].texts[:-1]:
        column, row = (round(place) for place in text.get_position())
        ink = {"black": 0.0, "white": 1.0}[str(text.get_color())]
        dark, light = sorted((ink, float(luminance[row, column])))
        assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize("k", [2, 8, 10, 16, 60])
def test_nothing_overlaps_or_leaves_the_picture(k: int) -> None:
    genres = [SIXTEEN[i] if k <= 16 else f"{i} Old-Time / Historic" for i in range(k)]
    genres[k // 2] = "Old-Time / Historic"
    figure = confusion.draw(random_counts(k), genres, title="cnn1d-lstm on fma-large, test")
    canvas = laid_out(figure)
    axes = figure.axes[0]
    every: list[Text] = [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
    every += [*axes.get_xticklabels(), *axes.get_yticklabels()]
    every += axes.child_axes[0].get_yticklabels()
    for text in every:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    cell = axes.get_window_extent().width / k
    for text in axes.texts:
        assert text.get_text() == "n" or text.get_window_extent().width < cell
    for lower, upper in pairwise(text.get_window_extent() for text in axes.get_yticklabels()):
        assert lower.y0 > upper.y1
    for text in axes.get_xticklabels():
        apart = cell * np.sin(np.radians(text.get_rotation()))  # from one slanted line to the next
        assert apart > float(text.get_fontsize()) * figure.dpi / 72
    assert canvas.get_width_height()[0] < 4_000


@pytest.mark.parametrize("k", [8, 10, 16])
def test_type_stays_legible_at_half_size(k: int) -> None:
    figure = confusion.draw(random_counts(k), SIXTEEN[:k], title="")
    sizes = [float(text.get_fontsize()) for text in figure.axes[0].texts]
    # 10 pixels of type height is what screens use for their smallest captions.
    assert min(sizes) / 72 * figure.dpi / 2 >= 10


def test_genres_are_text_and_not_formulas() -> None:
    figure = confusion.draw(np.eye(2), ("$\\frac$", "A_$AP$"), title="$\\oops$")
    laid_out(figure)
    assert figure.axes[0].get_xticklabels()[0].get_text() == "$\\frac$"


def test_endless_genre_is_cut_short() -> None:
    figure = confusion.draw(np.eye(2), ("x" * 300, "y"), title="")
    assert figure.axes[0].get_yticklabels()[0].get_text() == "x" * 27 + "…"


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        (np.eye(2), r"\(2, 2\), expected one row for each of"),
        (np.ones((3, 2)), r"\(3, 2\)"),
        (np.ones((1, 3, 3)), r"\(1, 3, 3\)"),
        (-np.eye(3), "negative"),
    ],
)
def test_what_does_not_fit_the_genres_is_refused(counts: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        confusion.draw(counts, SMALL_GENRES, title="")


def test_same_counts_give_the_same_bytes_without_a_version(tmp_path: Path) -> None:
    paths = [tmp_path / "new" / "a.png", tmp_path / "b.png"]
    for path in paths:
        figures.save(confusion.draw(SMALL, SMALL_GENRES, title="x"), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    with Image.open(paths[0]) as image:
        assert set(image.info) == {"dpi"}


def test_written_picture_shows_the_matrix(tmp_path: Path) -> None:
    figures.save(confusion.draw(np.eye(2), ("a", "b"), title=""), tmp_path / "a.png")
    pixels = mpl.image.imread(tmp_path / "a.png")[..., :3]
    darkest, lightest = (np.array(mpl.colormaps["Blues"](end)[:3]) for end in (1.0, 0.0))
    dark = np.argwhere(np.abs(pixels - darkest).max(axis=-1) < 0.005)
    light = np.argwhere(np.abs(pixels - lightest).max(axis=-1) < 0.005)
    # Two of the four cells each, the dark ones less the type that stands on them.
    assert 0.9 < len(dark) / len(light) < 1
    # The dark half of the first rows is at the left.
    top = dark[dark[:, 0] < dark[:, 0].mean()]
    assert top[:, 1].mean() < light[:, 1].mean()


def test_failed_write_leaves_the_old_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        figures.save(confusion.draw(SMALL, SMALL_GENRES, title=""), path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"
