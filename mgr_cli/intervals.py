"""How sure we are of a score: its 95 % interval.

Intervals are 95 % percentile bootstraps [1]_ over tracks, not over segments: the segments
of a recording resemble each other, and to draw them one by one would pretend to more
evidence than there is.

Counts add up, so a resampled test set is a weighted sum of the tracks' own matrices (see
`metrics`), and a thousand of them are one matrix product.

References
----------
.. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall,
   1993, chapter 13.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mgr_cli import config
from mgr_cli.metrics import SCORES, checked, scores

_TAILS = (0.025, 0.975)  # what a 95 % interval leaves out on either side
_SLICE = 4_000_000  # float64 values that a slice of the resampling may hold, 32 MB


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval.

    Attributes
    ----------
    value : float
        Score on the tracks as they are.
    low, high : float
        Ends of the percentile bootstrap interval.
    """

    value: float
    low: float
    high: float


def bootstrap(
    per_track: np.ndarray,
    *,
    rng: np.random.Generator,
    n_resamples: int = config.N_BOOTSTRAP,
) -> dict[str, Estimate]:
    """Estimate every score and its 95 % interval by drawing tracks with replacement.

    A track is drawn whole. With one count a track this is the interval of the track
    scores; with all the segments of a track in its matrix, that of the segment scores.

    Parameters
    ----------
    per_track : np.ndarray [shape=(n_tracks, k, k)]
        Confusion counts of each track, as `metrics.confusion_by_track` makes them.
    rng : np.random.Generator
        Draws the tracks.
    n_resamples : int
        How often a test set is drawn, at least once.

    Returns
    -------
    dict of str to Estimate
        In the order of `metrics.SCORES`.

    Raises
    ------
    ValueError
        If there is no track, a track has no count, or `n_resamples` is not positive.
    """
    per_track = checked(per_track)
    if per_track.ndim != 3 or len(per_track) == 0:
        raise ValueError(f"per_track has shape {per_track.shape}, expected (n_tracks, k, k)")
    if not per_track.any(axis=(1, 2)).all():
        raise ValueError("a track has no count; leave out the tracks without a prediction")
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}, expected at least 1")
    values = scores(per_track.sum(axis=0))
    drawn = [scores(counts) for counts in _resampled(per_track, rng, n_resamples)]
    return {
        name: _estimate(values[name], np.concatenate([part[name] for part in drawn]))
        for name in SCORES
    }


def bootstrap_mean(
    values: np.ndarray,
    tracks: np.ndarray | None = None,
    *,
    rng: np.random.Generator,
    n_resamples: int = config.N_BOOTSTRAP,
) -> Estimate:
    """Estimate the mean of a figure and its 95 % interval by drawing tracks with replacement.

    Of right (1) and wrong (0) answers it is the accuracy, with the interval that `bootstrap`
    gives it; so it serves every share that no confusion matrix has, as of `metrics.top_k`.

    Parameters
    ----------
    values : np.ndarray [shape=(n,)]
        Finite numbers, or booleans: one a track, or one a segment.
    tracks : np.ndarray [shape=(n,)], optional
        Which track each belongs to, any numbers or names; its values are drawn together. By
        default each value is a track.
    rng : np.random.Generator
        Draws the tracks, in their sorted order.
    n_resamples : int
        How often a set is drawn, at least once.

    Raises
    ------
    ValueError
        If there is no value, one is not finite, the lengths differ, or `n_resamples` is not
        positive.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"values has shape {values.shape}, expected (n,), n > 0, all finite")
    tracks = np.arange(len(values)) if tracks is None else np.asarray(tracks)
    if tracks.shape != values.shape:
        raise ValueError(f"values and tracks differ in shape: {values.shape}, {tracks.shape}")
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}, expected at least 1")
    position = np.unique(tracks, return_inverse=True)[1]
    sums = np.stack([np.bincount(position, values), np.bincount(position)], axis=1)
    drawn = np.concatenate(list(_resampled(sums, rng, n_resamples)))
    return _estimate(values.mean(), drawn[:, 0] / drawn[:, 1])


def _resampled(
    per_track: np.ndarray, rng: np.random.Generator, n_resamples: int
) -> Iterator[np.ndarray]:
    """Yield the sums (n, ...) over resampled sets of tracks, a bounded number at a time."""
    n_tracks, *shape = per_track.shape
    # Counts are exact in float64, and float64 is what the fast matrix product is made for.
    flat = per_track.reshape(n_tracks, -1).astype(np.float64)
    step = max(1, _SLICE // (n_tracks + flat.shape[1]))
    even = np.full(n_tracks, 1 / n_tracks)
    for start in range(0, n_resamples, step):
        times = rng.multinomial(n_tracks, even, size=min(step, n_resamples - start))
        yield (times.astype(np.float64) @ flat).reshape(-1, *shape)


def _estimate(value: np.ndarray, drawn: np.ndarray) -> Estimate:
    low, high = np.quantile(drawn, _TAILS)
    return Estimate(float(value), float(low), float(high))
