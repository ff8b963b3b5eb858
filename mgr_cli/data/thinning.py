"""Thinning: a part of the training split, for learning curves.

What would more tracks bring? Train on a half, a quarter and an eighth of those that there are, and
see where the curve of their scores points. Validation and test stay whole, so that all points of
the curve are judged on the same tracks. The sets of a curve grow: what one draw gives for 100
tracks is among what it gives for 200.
"""

from dataclasses import replace

import numpy as np

from mgr_cli.data.dataset import PreparedDataset, normalised
from mgr_cli.errors import DatasetError


def thinned(
    dataset: PreparedDataset, n_tracks: int, *, rng: np.random.Generator
) -> PreparedDataset:
    """Return a dataset with so many tracks to train on, the genres in their proportions.

    The split stays what it is, digest and all: the tracks that were not drawn are in it, and
    nobody trains on them. All that is counted or measured of the training tracks is of the drawn
    ones.

    Parameters
    ----------
    dataset : PreparedDataset
        With its whole training split.
    n_tracks : int
        One a genre at least; where it is all of them, the dataset is returned as it is.
    rng : np.random.Generator
        Of the draw. The same state and fewer tracks give a part of the same tracks.

    Raises
    ------
    DatasetError
        If there are too few tracks for all genres, or not so many.
    """
    own = dataset.numbers("train")
    labels = dataset.labels(own)
    n_genres = len(np.unique(labels))
    if not n_genres <= n_tracks <= len(own):
        raise DatasetError(
            f"{dataset.root}: cannot train on {n_tracks} tracks, expected from {n_genres}, one a "
            f"genre, to the {len(own)} of the train split"
        )
    if n_tracks == len(own):
        return dataset
    drawn = np.sort(own[in_proportion(labels, rng=rng)[:n_tracks]])
    return normalised(replace(dataset, drawn=tuple(drawn.tolist())))


def in_proportion(labels: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Draw tracks one after the other, so that the first n have the genres in proportion.

    Parameters
    ----------
    labels : np.ndarray [shape=(n_tracks,)]
        Class of each track, from 0.
    rng : np.random.Generator
        Shuffles the tracks, and decides between genres that are due at the same time.

    Returns
    -------
    np.ndarray [shape=(n_tracks,)]
        Places in `labels`. One track of each genre comes first; from then on, the k-th of a genre
        of m is due at (k - 1/2) / m.

    References
    ----------
    The method of A. Sainte-Laguë, "La représentation proportionnelle et la méthode des moindres
    carrés", Annales de l'ENS 27, 1910, with a first seat for everybody. Largest remainders would
    come closer to the shares, but a genre may then have fewer of 101 tracks than of 100.
    """
    shuffled = rng.permutation(len(labels))
    due = np.empty(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels[shuffled] == label)
        due[own] = (np.arange(len(own)) + 0.5) / len(own)
        due[own[0]] = 0
    return shuffled[np.argsort(due, kind="stable")]
