from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mgr_cli import genre_maps
from mgr_cli.errors import DatasetError
from mgr_cli.genre_maps import GenreMap
from mgr_cli.prediction import Prediction

CLASSES = ("country", "hiphop", "metal", "pop", "rock")
GENRES = ("Folk", "Hip-Hop", "Old-Time", "Pop", "Rock")


def read(folder: Path, text: str) -> GenreMap:
    (folder / "map.yaml").write_text(text)
    return genre_maps.read(folder / "map.yaml", GENRES, CLASSES)


def prediction(rows: list[list[float]], *, vote: str = "mean") -> Prediction:
    probs = np.array(rows)
    return Prediction(
        genres=CLASSES, probs=probs.mean(axis=0), genre="pop", vote=vote,  # type: ignore[arg-type]
        segment_probs=probs, starts=(0.0,) * len(rows), segment_seconds=3.0, seconds=9.0,
        padded=False,
    )  # fmt: skip


def test_probabilities_of_what_means_a_genre_are_added_and_the_rest_is_scaled(
    tmp_path: Path,
) -> None:
    found = read(tmp_path, "Rock: [rock, metal]\nHip-Hop: hiphop\n")
    assert found.genres == ("Hip-Hop", "Rock")
    assert found.class_of == {"Hip-Hop": 0, "Rock": 1}
    # country 0.2 and pop 0.2 are left out; hiphop 0.1 stands against metal 0.2 + rock 0.3.
    mapped = found.applied(prediction([[0.2, 0.1, 0.2, 0.2, 0.3], [0.0, 1.0, 0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(mapped.segment_probs, [[1 / 6, 5 / 6], [1.0, 0.0]])
    np.testing.assert_allclose(mapped.probs, [7 / 12, 5 / 12])
    assert mapped.genre == "Hip-Hop"
    assert mapped.confidence == pytest.approx(7 / 12)


def test_names_that_are_exchanged_are_mapped(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("pop: rock\nrock: pop\n")
    found = genre_maps.read(tmp_path / "map.yaml", ("pop", "rock"), ("pop", "rock"))
    given = prediction([[0.9, 0.1]])
    mapped = found.applied(replace(given, genres=("pop", "rock")))
    assert (mapped.genre, mapped.genres) == ("rock", ("pop", "rock"))
    np.testing.assert_allclose(mapped.probs, [0.1, 0.9])


def test_segment_that_is_none_of_them_says_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "Rock: rock\nPop: pop\n")
    mapped = found.applied(prediction([[1, 0, 0, 0, 0], [0, 0, 0, 0.6, 0.4]]))
    np.testing.assert_allclose(mapped.segment_probs, [[0.5, 0.5], [0.6, 0.4]])


def test_votes_are_held_anew_by_the_rule_of_the_prediction(tmp_path: Path) -> None:
    found = read(tmp_path, "Rock: [rock, metal]\nPop: pop\n")
    rows = [[0.0, 0, 0.3, 0.4, 0.3], [0.0, 0, 0.3, 0.4, 0.3], [0.0, 0, 0, 1, 0]]
    assert found.applied(prediction(rows)).genre == "Pop"
    mapped = found.applied(prediction(rows, vote="majority"))
    assert mapped.genre == "Rock"
    np.testing.assert_allclose(mapped.probs, [1 / 3, 2 / 3])


def test_votes_are_tempered_as_those_of_the_prediction_were(tmp_path: Path) -> None:
    found = read(tmp_path, "Rock: [rock, metal]\nPop: pop\n")
    given = replace(prediction([[0, 0, 0.1, 0.2, 0.7]]), temperature=2.0, is_unsure=True)
    mapped = found.applied(given)
    np.testing.assert_allclose(mapped.probs, [1 / 3, 2 / 3])  # 0.2 and 0.8 are as 1 to 4
    np.testing.assert_allclose(mapped.segment_probs, [[0.2, 0.8]])
    assert (mapped.temperature, mapped.is_unsure) == (2.0, True)


def test_two_genres_that_mean_the_same_are_judged_as_one(tmp_path: Path) -> None:
    found = read(tmp_path, "Old-Time: country\nPop: pop\nFolk: country\n")
    assert found.genres == ("Folk + Old-Time", "Pop")
    assert found.class_of == {"Folk": 0, "Old-Time": 0, "Pop": 1}
    assert found.columns == ((0,), (3,))


def test_same_names_are_mapped_in_the_order_of_the_entry() -> None:
    names = ("data", "entry")
    found = genre_maps.same(("pop", "jazz"), ("jazz", "pop"), names=names)
    assert (found.genres, found.columns) == (("jazz", "pop"), ((0,), (1,)))
    given = prediction([[0.1, 0.2, 0.3, 0.2, 0.2]])
    assert genre_maps.same(CLASSES, CLASSES, names=names).applied(given) is given
    with pytest.raises(DatasetError, match="data and entry differ in their genres, in 'blues'"):
        genre_maps.same(("pop", "blues"), ("jazz", "pop"), names=names)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("- Rock\n", "expected lines such as"),
        ("Rokc: rock\nPop: pop\n", "the dataset has no genre 'Rokc', it has Folk, Hip-Hop"),
        ("Rock: rokc\nPop: pop\n", "the entry has no genre 'rokc', it has country"),
        ("Rock: {a: b}\nPop: pop\n", "the entry has no genre"),
        ("Rock: [[rock]]\nPop: pop\n", "the entry has no genre"),
        ("Rock: []\nPop: pop\n", "'Rock' means nothing"),
        ("Rock: rock\n", "1 genres are left"),
        ("Rock: [rock, pop]\nPop: pop\n", "'pop' is given to 'Pop' and to 'Rock'"),
        ("Rock: [rock\n", "not YAML"),
        ("a: !!python/object/apply:os.system [true]\n", "not YAML"),
        ("[" * 100_000, "not YAML"),
        ("#" * (2**20 + 1), "larger than"),
    ],
)
def test_bad_maps_are_refused_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, text)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_map_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no\.yaml: no such file"):
        genre_maps.read(tmp_path / "no.yaml", GENRES, CLASSES)
