"""Counting the tracks of a prepared dataset: by genre, by split, by anything.

Counts are of usable tracks unless a name says otherwise; a usable track that is in none of
train, valid and test is *left out*.
"""

import numpy as np
import pandas as pd

from mgr_cli.config import SPLITS
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import OK

LEFT_OUT, BAD = "left out", "bad"
PLACES = (*SPLITS, LEFT_OUT, BAD)


def by_genre(dataset: PreparedDataset) -> pd.DataFrame:
    """Count tracks by genre and by where they are.

    Returns
    -------
    pd.DataFrame
        A row a genre, those that only bad tracks have at the end, and the columns of
        `PLACES`; every track is counted once.
    """
    tracks = dataset.tracks
    place = places(tracks).where(tracks.status == OK, BAD)
    genre = texts(tracks, "genre")
    names = [*dataset.genres, *sorted(set(genre) - set(dataset.genres))]
    counts = pd.crosstab(genre.to_numpy(), place.to_numpy())
    return counts.reindex(index=names, columns=list(PLACES), fill_value=0)


def picks(tracks: pd.DataFrame, genre: str, n: int) -> list[int]:
    """Choose the numbers of usable tracks of a genre: the first one, others evenly after it."""
    chosen = (tracks.genre == genre) & (tracks.status == OK)
    numbers = np.flatnonzero(chosen.to_numpy())
    n = min(n, len(numbers))
    return [int(numbers[place * len(numbers) // n]) for place in range(n)]


def places(usable: pd.DataFrame) -> "pd.Series[str]":
    """Return the split of each usable track, `LEFT_OUT` where it is in none."""
    return usable.split.where(usable.split.isin(SPLITS), LEFT_OUT)


def texts(tracks: pd.DataFrame, column: str) -> "pd.Series[str]":
    """Return a column as stripped text, empty where there is nothing."""
    values = tracks[column] if column in tracks else pd.Series("", index=tracks.index)
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def numbers(tracks: pd.DataFrame, column: str) -> "pd.Series[float]":
    """Return a column as numbers, 0 where there is none."""
    return pd.to_numeric(tracks[column], errors="coerce").fillna(0.0)


def counted(values: "pd.Series[str]") -> list[tuple[str, int]]:
    """Return each value and how often it is there, the most frequent first."""
    counts = values.value_counts()
    pairs = [(str(value), int(n)) for value, n in counts.items()]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
