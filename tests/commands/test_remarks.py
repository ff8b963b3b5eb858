"""What `mgr prepare` says of a table beside its counts, and what training then refuses."""

from pathlib import Path

import pytest

from tests.commands.test_bad_tables import COLUMNS, Row, fit, here, prepare, said
from tests.commands.workspace import run
from tests.data.test_fma_features import HEAD, metadata

__all__ = ["here"]  # a fixture


def notes(text: str) -> list[str]:
    lines = text.splitlines()
    return [line for line in lines if not line.startswith(("error: ", "train on it"))]


def test_sound_table_needs_no_word() -> None:
    assert notes(prepare("set").stderr) == []


def test_columns_that_are_of_no_use_are_named() -> None:
    def change(row: Row) -> None:
        row.update(b="7" if row["split"] == "train" else row["c"], c="NaN", d="8", e="1e30")

    made = prepare("set", change, (*COLUMNS, "d", "e"))
    assert notes(made.stderr) == [
        "columns without a usable number: 2, c, e",
        "columns that are the same for all training tracks: 2, b, d",
    ]


def test_genre_of_bad_tracks_alone_is_named() -> None:
    made = prepare("set", lambda row: row["genre"] == "jazz" and row.update(a=""))
    assert notes(made.stderr) == ["no genres of this dataset, as all their tracks are bad: 1, jazz"]


def test_valid_split_of_bad_tracks_alone_is_told_before_training() -> None:
    made = prepare("set", lambda row: row["split"] == "valid" and row.update(a=""))
    assert notes(made.stderr) == [
        "no usable track in the valid split, which training needs; --split random deals one out"
    ]


def test_tracks_that_only_one_of_fmas_tables_has_are_counted() -> None:
    rows = "".join(f"{number},1,{number},3\n" for number in (2, 3, 90, 91, 92, 93))
    metadata(Path(), f"{HEAD}{rows}")
    made = run("prepare", "fma_metadata", "--no-audit", "--jobs", 1)
    assert made.exit_code == 0, made.stderr
    assert notes(made.stderr)[:2] == [
        "2 tracks of tracks.csv are not in features.csv, and are left out; --subset counts those "
        "of a subset as bad",
        "rows of features.csv that tracks.csv does not list: 4, 000090, 000091, 000092 …",
    ]


@pytest.mark.parametrize("architecture", ["gaussian-nb", "adaboost", "ffnn"])
def test_one_genre_and_columns_that_stand_still_are_refused_before_training(
    architecture: str,
) -> None:
    prepare("one", lambda row: row["genre"] != "rock" and row.update(a=""))
    prepare("still", lambda row: row.update(dict.fromkeys(COLUMNS, "0.3")))
    for name, reason in (
        ("one", "no other genre than 'rock' has a usable track; expected two at least"),
        ("still", "every feature is the same for all training tracks; there is nothing to learn"),
    ):
        refused = fit(architecture, name)
        assert refused.exit_code == 2
        assert reason in said(refused)
    assert not Path("zoo").exists()
