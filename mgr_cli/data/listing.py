"""A dataset's own `tracks.csv`: a row a track, with the paths of its files.

The columns path and genre must be there, a path relative to the table. track_id (else the path
is one), split (train, valid, test or empty), genres, artist, album and title may be; others are
passed over.
"""

import csv
from pathlib import Path

from mgr_cli.config import SPLITS
from mgr_cli.data.sources import RawTrack, Wishes
from mgr_cli.errors import DatasetError

TABLE = "tracks.csv"
COLUMNS = ("path", "genre")
OPTIONAL = ("genres", "artist", "album", "title")


def header(table: Path) -> list[str]:
    """Return the names of a table's columns, none where there is no such table."""
    try:
        with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            return next(csv.reader(file), [])
    except (OSError, csv.Error):
        return []


def first_path(root: Path) -> str:
    """Return the path of the first track of a folder's table, empty if there is none."""
    try:
        with (root / TABLE).open(newline="", encoding="utf-8-sig", errors="replace") as file:
            first = next(csv.DictReader(file), {})
    except (OSError, csv.Error):
        return ""
    return first.get("path") or ""


def read_tracks(root: Path, wishes: Wishes) -> tuple[RawTrack, ...]:
    """List the tracks of a folder's table.

    Parameters
    ----------
    root : Path
        Folder of the table.
    wishes : Wishes
        Without `own_split` the table's split is passed over.

    Returns
    -------
    tuple of RawTrack
        In order of `track_id`.

    Raises
    ------
    DatasetError
        If the table is missing or no CSV, lacks a column, or has an unknown split or no track.
    """
    table = root / TABLE
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read ({error}); expected a CSV file") from error
    if not rows:
        raise DatasetError(f"{table}: lists no track; expected one row a track")
    missing = [column for column in COLUMNS if column not in rows[0]]
    if missing:
        raise DatasetError(f"{table}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    has_split = "split" in rows[0] and wishes.own_split
    has_id = "track_id" in rows[0]
    tracks = [
        RawTrack(
            track_id=row["track_id" if has_id else "path"] or "",
            path=row["path"] or "",
            genre=row["genre"] or "",
            split=known_split(table, row.get("track_id") or row["path"], row["split"] or "")
            if has_split
            else None,
            **{column: row.get(column) or "" for column in OPTIONAL},
        )
        for row in rows
    ]
    return tuple(sorted(tracks, key=lambda track: track.track_id))


def known_split(table: Path, track: str, split: str) -> str:
    """Return a table's split, checked.

    Raises
    ------
    DatasetError
        If it is none of train, valid and test, and not empty.
    """
    if split and split not in SPLITS:
        raise DatasetError(f"{table}: track {track}: split {split!r}, expected {', '.join(SPLITS)}")
    return split
