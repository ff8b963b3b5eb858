import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgr_cli.explanation.mapping import Map
from mgr_cli.explanation.projections import Trust
from mgr_cli.judging import Judged
from mgr_cli.prediction import Prediction
from mgr_cli.reports import scatter

EVIL = "<img src=x onerror=alert(1)>"


def judged(place: int, truth: str, said: str, genres: tuple[str, ...], name: str = "") -> Judged:
    probs = np.full(len(genres), 0.2 / max(1, len(genres) - 1))
    probs[genres.index(said)] = 0.8
    prediction = Prediction(genres, probs, said, "mean", probs[None], (0.0,), 3.0, 3.0, False)
    return Judged(name or f"t{place}", f"a/{place}.mp3", truth, prediction)


def made(n_dimensions: int = 2, genres: tuple[str, ...] = ("jazz", "rock"), name: str = "") -> Map:
    """Make a map of two tracks a genre, the second one of the first genre judged wrong."""
    truths = [genre for genre in genres for _ in range(2)]
    says = [genres[1] if place == 1 else truth for place, truth in enumerate(truths)]
    tracks = tuple(
        judged(place, truth, said, genres, name)
        for place, (truth, said) in enumerate(zip(truths, says, strict=True))
    )
    coordinates = np.arange(len(tracks) * n_dimensions, dtype=float).reshape(-1, n_dimensions)
    axes = tuple(f"component {place + 1} (10.0 % of the variance)" for place in range(n_dimensions))
    trust = Trust(5, 0.75, 0.5, 0.25)
    return Map("pca", "features", 9, genres, tracks, coordinates, axes, "What it is.", trust)


def traces(document: str) -> list[dict[str, Any]]:
    """Read the traces out of a page, as a browser does."""
    text = document[document.index('Plotly.newPlot("map"') :]
    found = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["data"]
    assert isinstance(found, list)
    return found


def test_page_has_each_track_at_its_place_with_what_it_is() -> None:
    page = scatter.document(made(), title="a map")
    points = [
        (x, y, words)
        for trace in traces(page)
        for x, y, words in zip(trace["x"], trace["y"], trace["hovertext"], strict=True)
    ]
    assert sorted(points) == [
        (0.0, 1.0, "t0<br>a/0.mp3<br>genre: jazz<br>predicted: jazz, 80.0 %"),
        (2.0, 3.0, "t1<br>a/1.mp3<br>genre: jazz<br>predicted: rock, 80.0 % (wrong)"),
        (4.0, 5.0, "t2<br>a/2.mp3<br>genre: rock<br>predicted: rock, 80.0 %"),
        (6.0, 7.0, "t3<br>a/3.mp3<br>genre: rock<br>predicted: rock, 80.0 %"),
    ]
    assert all(trace["hoverinfo"] == "text" for trace in traces(page))


def test_page_of_three_dimensions_has_three() -> None:
    found = traces(scatter.document(made(3), title="a map"))
    assert {trace["type"] for trace in found} == {"scatter3d"}
    points = [
        point for trace in found for point in zip(trace["x"], trace["y"], trace["z"], strict=True)
    ]
    assert sorted(points) == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]


@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_names_of_strangers_are_only_text(n_dimensions: int) -> None:
    evil = ("jazz", EVIL, "</script><script>alert(2)</script>")
    page = scatter.document(made(n_dimensions, evil, name=EVIL), title=EVIL)
    for trace in traces(page):
        for words in (trace["name"], *trace["hovertext"]):
            assert "<" not in str(words).replace("<br>", "")
    assert "&lt;img src=x onerror=alert(1)&gt;" in json.dumps(traces(page))
    own = page[: page.index("<script")] + page[page.index('Plotly.newPlot("map"') :]
    assert "<img" not in own
    assert "<script>alert" not in page


def test_page_asks_nothing_of_the_net_and_sends_nothing() -> None:
    page = scatter.document(made(), title="a map")
    assert "default-src 'none'" in page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="?http', page)
    settings = page[page.index('Plotly.newPlot("map"') :]
    assert '"showSendToCloud": false' in settings
    assert '"displaylogo": false' in settings
    assert "plot.ly" not in settings
    assert "plotly.com" not in settings


def test_same_map_gives_the_same_page() -> None:
    assert scatter.document(made(), title="a") == scatter.document(made(), title="a")


def test_genres_differ_in_colour_and_shape_for_as_many_as_fma_has() -> None:
    genres = tuple(f"g{place}" for place in range(16))
    found = traces(scatter.document(made(2, genres), title=""))
    looks = {
        trace["legendgroup"]: (trace["marker"]["color"], trace["marker"]["symbol"])
        for trace in found
    }
    assert len(set(looks.values())) == len(looks) == 16
    shapes = {
        (
            np.asarray(each.get_facecolor()).tobytes(),
            np.asarray(each.get_paths()[0].vertices).tobytes(),
        )
        for each in scatter.draw(made(2, genres), title="").axes[0].collections
        if len(np.asarray(each.get_offsets()))
    }
    assert len(shapes) == 16


def test_wrong_tracks_have_a_black_edge() -> None:
    found = scatter.draw(made(), title="").axes[0].collections
    edges = {
        tuple(np.asarray(each.get_offsets())[0]): tuple(np.asarray(each.get_edgecolor())[0, :3])
        for each in found
        if len(np.asarray(each.get_offsets()))
    }
    dark = [place for place, colour in edges.items() if max(colour) < 0.1]
    assert dark == [(2.0, 3.0)]
    wrong = [
        trace for trace in traces(scatter.document(made(), title=""))
        if trace["marker"]["line"]["color"] == "#111111"
    ]  # fmt: skip
    assert [trace["x"] for trace in wrong] == [[2.0]]


def test_picture_of_three_dimensions_has_three_sides() -> None:
    figure = scatter.draw(made(3), title="")
    labels = [(axes.get_xlabel()[:11], axes.get_ylabel()[:11]) for axes in figure.axes]
    one, two, three = (f"component {place}" for place in (1, 2, 3))
    assert labels == [(one, two), (one, three), (two, three)]
    offsets = [np.asarray(figure.axes[1].collections[place].get_offsets()) for place in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(offsets), [[0, 2], [3, 5]])


def test_picture_says_what_it_is_and_how_far_it_can_be_trusted(tmp_path: Path) -> None:
    figure = scatter.draw(made(), title="$\\frac{1}$")
    assert "What it is." in figure.get_supxlabel()
    words = " ".join(figure.get_supxlabel().split())
    assert (
        "tell the genre of 75.0 % of the tracks in all dimensions, of 50.0 % on this map" in words
    )
    figure.savefig(tmp_path / "x.png")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["jazz (2)", "rock (2)", "black edge: predicted\nwrong (1)"]
