"""Datasets that are a table: of audio files, or of features that somebody has computed.

A `tracks.csv` with the columns path and genre says what the audio files beside it are. A
`features.csv`, or a CSV file that is named itself, holds a row a track: track_id, genre, where
known split, artist, album and title, and for the rest features, numbers. As others write
their tables, ``label`` stands for genre and ``filename`` for track_id. A column without a name,
as pandas writes the numbers of the rows, is no feature: rows are often in order of genre.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli import audio
from mgr_cli.data import gtzan, listing
from mgr_cli.data.extraction import read
from mgr_cli.data.remarks import shortened
from mgr_cli.data.sources import RawTrack, Scan, Vectors, Wishes
from mgr_cli.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fits", "read", "scan"]

FEATURES = "features.csv"
GENRE = ("genre", "label")
TRACK_ID = ("track_id", "filename", "path")


def fits(root: Path) -> bool:
    """Tell whether this is a table of audio files, or of features."""
    if root.is_file():
        return root.suffix.lower() == ".csv"
    if (root / FEATURES).is_file():
        return bool(set(GENRE) & set(listing.header(root / FEATURES)))
    return Path(listing.first_path(root)).suffix.lower() in audio.SUFFIXES


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the tracks of a table.

    Parameters
    ----------
    root : Path
        A folder with a `tracks.csv`, whose paths are relative to it, or a `features.csv`; or a
        CSV file with features.
    wishes : Wishes
        Without `own_split` the table's split is passed over.

    Raises
    ------
    DatasetError
        If the table is not what it should be; see `listing.read_tracks` and `columns.read`.
    """
    features = root if root.is_file() else root / FEATURES
    if features.is_file():
        return _scan_features(features, wishes)
    return Scan(listing.read_tracks(root, wishes), wishes.plan())


def _scan_features(table: Path, wishes: Wishes) -> Scan:
    from mgr_cli.data import columns

    plan = wishes.plan(offers=("table",))
    names = columns.header(table)[0]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"{table}: two columns {twice!r}; expected each name once")
    genre, track_id = (_first(table, names, choices) for choices in (GENRE, TRACK_ID))
    known = [name for name in ("split", *listing.OPTIONAL) if name in names]
    text = [name for name in names if name in (*known, *GENRE, *TRACK_ID) or _is_unnamed(name)]
    texts, features, values = columns.read(table, names, skip=1, text=text)
    texts = _with_gtzan(texts.rename(columns={genre: "genre", track_id: "track_id"}))
    order = texts.track_id.argsort(kind="stable").to_numpy()
    own_split = wishes.own_split and "split" in texts
    tracks = tuple(
        RawTrack(
            track_id=row["track_id"],
            path="",
            genre=row["genre"],
            split=listing.known_split(table, row["track_id"], row["split"]) if own_split else None,
            **{name: row[name] for name in listing.OPTIONAL if name in row},
        )
        for row in texts.iloc[order].to_dict("records")
    )
    passed_over = [name for name in names if name not in (*text, *features)]
    notes = (f"columns without a usable number: {shortened(passed_over)}",) if passed_over else ()
    return Scan(tracks, plan, Vectors("table", features, values[order], table.name), notes)


def _with_gtzan(texts: "pd.DataFrame") -> "pd.DataFrame":
    """Give a table of GTZAN without a split GTZAN's own, and keep a track's segments together."""
    tracks = texts.track_id.map(gtzan.track_of)
    if "split" in texts or (tracks == "").any():
        return texts
    return texts.assign(split=tracks.map(gtzan.fault_filtered()).fillna(""), album=tracks)


def _is_unnamed(column: str) -> bool:
    return not column.strip() or column.startswith("Unnamed: ")


def _first(table: Path, names: list[str], choices: tuple[str, ...]) -> str:
    """Return the first of some columns that a table has."""
    for name in choices:
        if name in names:
            return name
    raise DatasetError(f"{table}: no column {choices[0]!r}; expected {' or '.join(choices)}")
