import pandas as pd

from mgr_cli.reports import tallies
from tests.reports.made_up import MIXED, bad, prepared, row


def test_every_track_is_at_one_place() -> None:
    counts = tallies.by_genre(prepared(MIXED))
    assert counts.to_numpy().sum() == len(MIXED)
    assert counts.index.tolist() == ["jazz", "rock", "", "polka"]  # of bad ones alone: at the end
    assert counts.to_numpy()[1].tolist() == [2, 1, 1, 0, 1]
    assert tallies.places(prepared(MIXED).tracks).tolist()[:4] == [
        "train", "test", "valid", "left out",
    ]  # fmt: skip


def test_nothing_is_empty_text_and_the_number_0() -> None:
    table = pd.DataFrame({"a": [None, float("nan"), " x ", 3], "n": ["", "2.5", None, "x"]})
    assert tallies.texts(table, "a").tolist() == ["", "", "x", "3"]
    assert tallies.texts(table, "absent").tolist() == [""] * 4
    assert tallies.numbers(table, "n").tolist() == [0, 2.5, 0, 0]


def test_the_most_frequent_stands_first_and_equals_by_name() -> None:
    assert tallies.counted(pd.Series(["b", "c", "a", "c", "b"])) == [("b", 2), ("c", 2), ("a", 1)]


def test_tracks_of_a_genre_are_usable_and_spread() -> None:
    tracks = pd.DataFrame([bad(0), *[row(i, "rock" if i % 2 else "jazz") for i in range(1, 21)]])
    assert tallies.picks(tracks, "rock", 1) == [1]
    assert tallies.picks(tracks, "rock", 2) == [1, 11]
    assert tallies.picks(tracks, "jazz", 3) == [2, 8, 14]
    assert tallies.picks(tracks, "jazz", 99) == list(range(2, 21, 2))
    assert tallies.picks(tracks, "polka", 2) == []
