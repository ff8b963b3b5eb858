"""A split of a dataset as one table in memory, a row a segment or a track."""

from dataclasses import dataclass

import numpy as np

from mgr_cli.config import Progress, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.inputs import Inputs
from mgr_cli.zoo.backbones import Rows


@dataclass(frozen=True)
class Table:
    """What is fitted to.

    Attributes
    ----------
    rows : np.ndarray [shape=(n_rows, n_values)]
        One a segment, or a track.
    labels : np.ndarray [shape=(n_rows,)]
        Their classes.
    groups : np.ndarray [shape=(n_rows,)]
        What a fold does not divide: artists where they are known, else tracks, as text.
    """

    rows: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


def read(
    dataset: PreparedDataset,
    inputs: Inputs,
    rows_of: Rows,
    *,
    split: Split = "train",
    progress: Progress = silent,
) -> Table:
    """Read all tracks of a split.

    Parameters
    ----------
    dataset : PreparedDataset
        What is read.
    inputs : Inputs
        How its tracks are cut.
    rows_of : callable
        Makes one row of each segment.
    split : {"train", "valid", "test"}
        Which tracks.
    progress : callable
        Called after each of them.
    """
    numbers = dataset.numbers(split)
    rows, owners = [], []
    for done, number in enumerate(numbers.tolist(), start=1):
        track = dataset.track(number)
        starts = inputs.starts(track.n_rows(inputs.kinds[0]))
        rows.append(rows_of(inputs.batch(inputs.segment(track, first) for first in starts)))
        owners += [number] * len(starts)
        progress(done, len(numbers), "tracks")
    artists = dataset.tracks.artist.iloc[owners]
    groups = [artist or f"\0{owner}" for artist, owner in zip(artists, owners, strict=True)]
    return Table(np.concatenate(rows), dataset.labels(np.array(owners)), np.array(groups))
