"""The tables of the Free Music Archive: which tracks there are, and the tree of genres.

`tracks.csv` has three header rows: the first two name a column, as in (track, genre_top), the
third names the index. A row names the smallest subset that the track belongs to. `genres.csv`
is a forest: each of the 163 genres has a `parent`, and 0 is no genre. `features.csv` has three
header rows for feature, statistic and number, and one for the index.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mgr_cli.data.sources import Subset
from mgr_cli.errors import DatasetError
from mgr_cli.taxonomy import Tree

if TYPE_CHECKING:
    import numpy as np

SUBSETS: tuple[Subset, ...] = get_args(Subset)  # each one holds those before it
SPLITS = {"training": "train", "validation": "valid", "test": "test", "": ""}
MAX_GENRES = 1_000  # the official table has 163
MAX_GENRES_TEXT = 1_000  # characters of a track's list; the longest official one has 30

_FEATURE_HEADS = ("feature", "statistics", "number", "track_id")
_SPLIT, _SUBSET = ("set", "split"), ("set", "subset")
_TOP, _GENRES = ("track", "genre_top"), ("track", "genres")
_REQUIRED = (_SPLIT, _SUBSET, _TOP, _GENRES)
# What abridged copies of the table lack: the first column that says something is taken.
_OPTIONAL = {
    "artist": (("artist", "name"), ("artist", "id")),
    "album": (("album", "title"), ("album", "id")),
    "title": (("track", "title"),),
}


@dataclass(frozen=True)
class Genre:
    """A genre and the ids of what it hangs below, nearest first, the root last."""

    number: str
    title: str
    ancestors: tuple[str, ...]

    @property
    def root(self) -> str:
        """Id of the genre at the top."""
        return self.ancestors[-1] if self.ancestors else self.number


@dataclass(frozen=True)
class Row:
    """A row of `tracks.csv`; `genres` is None where the cell is no list of ids."""

    track_id: str
    subset: Subset
    split: str
    top: str
    genres: tuple[str, ...] | None
    artist: str
    album: str
    title: str

    @property
    def file(self) -> str:
        """Where the track lies in the tree."""
        return f"{self.track_id[:3]}/{self.track_id}.mp3"


def read_genres(table: Path) -> dict[str, Genre]:
    """Read the forest of genres, by id.

    Raises
    ------
    DatasetError
        If the table cannot be read, lacks a column, names an unknown parent or runs in a
        circle.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read ({error}); expected FMA's table") from error
    if not 0 < len(rows) <= MAX_GENRES:
        raise DatasetError(f"{table}: {len(rows)} genres, expected 1 to {MAX_GENRES}")
    for column in ("genre_id", "parent", "title"):
        if column not in rows[0]:
            raise DatasetError(f"{table}: no column {column!r}; expected FMA's official table")
    for row in rows:
        if not (_is_number(row["genre_id"]) and _is_number(row["parent"]) and row["title"]):
            raise DatasetError(
                f"{table}: genre {row['genre_id']!r} with parent {row['parent']!r} and title "
                f"{row['title']!r}, expected two numbers and a name"
            )
    parents = {row["genre_id"]: row["parent"] for row in rows}
    return {
        row["genre_id"]: Genre(
            row["genre_id"], row["title"], _ancestors(table, row["genre_id"], parents)
        )
        for row in rows
    }


def read_tree(table: Path) -> Tree:
    """Read the forest of genres, by title.

    Raises
    ------
    DatasetError
        As `read_genres` does, or if two genres have the same title.
    """
    genres = read_genres(table)
    lines = {
        genre.title: (genre.title, *(genres[number].title for number in genre.ancestors))
        for genre in genres.values()
    }
    if len(lines) < len(genres):
        raise DatasetError(f"{table}: two genres have one title; expected FMA's official table")
    return Tree(lines)


def _ancestors(table: Path, number: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    line = [number]
    while (parent := parents[line[-1]]) != "0":
        if parent in line:
            raise DatasetError(f"{table}: genre {parent} is its own ancestor; expected a forest")
        if parent not in parents:
            raise DatasetError(f"{table}: genre {line[-1]} has the unknown parent {parent}")
        line.append(parent)
    return tuple(line[1:])


def _is_number(text: str | None) -> bool:
    return text is not None and re.fullmatch("0|[1-9][0-9]{0,5}", text) is not None


def read_rows(table: Path) -> list[Row]:
    """Read `tracks.csv`.

    Raises
    ------
    DatasetError
        If its header is not the official one, or a row has an unknown subset or split.
    """
    import pandas as pd

    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            heads = [row for _, row in zip(range(3), csv.reader(file), strict=False)]
        columns = _columns(table, heads)
        # The biographies are most of an official table of 260 MB, and are left out here.
        cells = pd.read_csv(
            table,
            skiprows=3,
            header=None,
            names=list(range(len(heads[0]))),
            usecols=[0, *columns.values()],
            index_col=False,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read ({error}); expected FMA's table") from error
    values = {column: cells[number].fillna("").tolist() for column, number in columns.items()}
    ids = cells[0].fillna("").tolist()
    return [
        _row(table, number, {column: values[column][place] for column in columns})
        for place, number in enumerate(ids)
    ]


def read_features(table: Path) -> tuple[tuple[str, ...], dict[str, int], "np.ndarray"]:
    """Read `features.csv`.

    Returns
    -------
    names : tuple of str
        Of the features, as in ``mfcc.mean.01``.
    places : dict
        Row of each track by its id.
    values : np.ndarray [shape=(n_tracks, n_features)]
        float32.

    Raises
    ------
    DatasetError
        If its header is not the official one, or it names a feature that FMA has not, or a track
        twice.
    """
    from mgr_cli.data import columns
    from mgr_cli.features.handcrafted import NAMES

    heads = columns.header(table, n_rows=len(_FEATURE_HEADS))
    found = [row[0] if row else "" for row in heads]
    if found != list(_FEATURE_HEADS):
        raise DatasetError(
            f"{table}: its rows begin with {found}, expected FMA's official table with "
            f"{list(_FEATURE_HEADS)}"
        )
    names = [".".join(parts) for parts in zip(*(row[1:] for row in heads[:3]), strict=False)]
    unknown = [name for name in names if name not in NAMES]
    twice = [name for name in names if names.count(name) > 1]
    if unknown or twice:
        raise DatasetError(f"{table}: {(unknown + twice)[0]!r} is no feature of FMA, or is double")
    texts, kept, values = columns.read(table, ["track_id", *names], skip=4, text=["track_id"])
    ids = [_padded(table, number) for number in texts.track_id]
    places = {track_id: row for row, track_id in enumerate(ids)}
    if len(places) < len(ids):
        raise DatasetError(f"{table}: lists a track twice; expected one row a track")
    return kept, places, values


def _columns(table: Path, heads: Sequence[Sequence[str]]) -> dict[tuple[str, str], int]:
    """Return the place of each column that is read, by its two names."""
    if len(heads) < 3 or not heads[2] or heads[2][0] != "track_id":
        raise DatasetError(
            f"{table}: 'track_id' does not open the third row; expected FMA's official table "
            "with its three header rows"
        )
    found = {names: place for place, names in enumerate(zip(*heads[:2], strict=False))}
    for names in _REQUIRED:
        if names not in found:
            raise DatasetError(
                f"{table}: no column {names} in its first two rows; expected FMA's official table"
            )
    optional = (names for choices in _OPTIONAL.values() for names in choices)
    return {names: found[names] for names in (*_REQUIRED, *optional) if names in found}


def _row(table: Path, number: str, cells: Mapping[tuple[str, str], str]) -> Row:
    track_id = _padded(table, number)
    subset, split = cells[_SUBSET], cells[_SPLIT]
    for value, known in ((subset, (*SUBSETS, "")), (split, tuple(SPLITS))):
        if value not in known:
            expected = ", ".join(filter(None, known))
            raise DatasetError(f"{table}: track {number}: {value!r}, expected {expected}")
    texts = {
        field: next((cells[names] for names in choices if cells.get(names)), "")
        for field, choices in _OPTIONAL.items()
    }
    return Row(
        track_id=track_id,
        subset=next((known for known in SUBSETS if known == subset), SUBSETS[-1]),
        split=SPLITS[split],
        top=cells[_TOP],
        genres=_ids(cells[_GENRES]),
        **texts,
    )


def _padded(table: Path, number: str) -> str:
    if not re.fullmatch("[0-9]{1,6}", number):
        raise DatasetError(f"{table}: track_id {number!r}, expected a number of up to six digits")
    return f"{int(number):06d}"


def _ids(text: str) -> tuple[str, ...] | None:
    """Take a list such as "[21, 5]" apart; None if it is none."""
    is_list = re.fullmatch(r"\[([0-9]{1,6}(, ?[0-9]{1,6})*)?\]", text[:MAX_GENRES_TEXT])
    if not is_list or len(text) > MAX_GENRES_TEXT:
        return None
    return tuple(dict.fromkeys(str(int(digits)) for digits in re.findall("[0-9]+", text)))
