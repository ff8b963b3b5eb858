"""How good a classifier is, and how sure we are of that.

Everything is computed from confusion counts: an integer matrix with a row for each true
class and a column for each predicted one. Counts add up, so a resampled test set is a
weighted sum of the tracks' own matrices, and a thousand of them are one matrix product.

Two figures go by the name of accuracy in the field. ``accuracy`` is the share of right
answers. ``ovr_accuracy`` is the average over the k classes of "is it this one or not",
which counts true negatives and so equals ``1 - 2 (1 - accuracy) / k``: with eight classes
an ordinary 0.60 reads as 0.90. Both are given, under their own names.

``precision``, ``recall`` and ``f1_macro`` are plain averages over the classes that occur
in the truth or in the predictions, and ``f1_weighted`` weighs F1 by how often a class is
true, as ``precision_weighted`` weighs precision. Recall weighted so is the share of right
answers, the accuracy over again, and has no name here. A share of nothing (precision of a
class that is never predicted) is zero. These are the conventions of scikit-learn with
``zero_division=0``.

Intervals are 95 % percentile bootstraps [1]_ over tracks, not over segments: the segments
of a recording resemble each other, and to draw them one by one would pretend to more
evidence than there is.

References
----------
.. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall,
   1993, chapter 13.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mgr_cli import config

SCORES = (
    "accuracy", "ovr_accuracy", "precision", "recall", "f1_macro", "f1_weighted",
    "precision_weighted",
)  # fmt: skip
NAMES = {
    "accuracy": "accuracy",
    "top2": "top-2 accuracy",
    "top3": "top-3 accuracy",
    "f1_macro": "F1 macro",
    "f1_weighted": "F1 weighted",
    "precision": "precision macro",
    "precision_weighted": "precision weighted",
    "recall": "recall macro",
    "ovr_accuracy": "one-versus-rest accuracy",
}
"""What scores are called where people read them, in the order in which they read."""

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


@dataclass(frozen=True)
class ClassScores:
    """How well one class is told from the others.

    Attributes
    ----------
    precision, recall, f1 : float
        In [0, 1]; a share of nothing is zero.
    support, predicted : int
        How often the class was true, and how often it was said.
    """

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


def confusion(truth: np.ndarray, predicted: np.ndarray, *, n_classes: int) -> np.ndarray:
    """Count how often each class was taken for each.

    Parameters
    ----------
    truth, predicted : np.ndarray [shape=(n,)]
        Class indices in [0, n_classes).
    n_classes : int
        Size of the matrix.

    Returns
    -------
    np.ndarray [shape=(n_classes, n_classes)]
        int64; rows are true classes, columns predicted ones.

    Raises
    ------
    ValueError
        If there is nothing to count, the lengths differ, or an index is out of range.
    """
    together = np.zeros(np.shape(truth), dtype=np.int64)
    return np.asarray(confusion_by_track(truth, predicted, together, n_classes=n_classes)[0])


def confusion_by_track(
    truth: np.ndarray, predicted: np.ndarray, tracks: np.ndarray, *, n_classes: int
) -> np.ndarray:
    """Count the confusions of each track on its own, as `bootstrap` takes them.

    Parameters
    ----------
    truth, predicted : np.ndarray [shape=(n,)]
        Class indices in [0, n_classes), one a segment (or one a track).
    tracks : np.ndarray [shape=(n,)]
        Which track each belongs to: any numbers or names.
    n_classes : int
        Size of the matrices.

    Returns
    -------
    np.ndarray [shape=(n_tracks, n_classes, n_classes)]
        int64; tracks in sorted order, rows are true classes, columns predicted ones.

    Raises
    ------
    ValueError
        If there is nothing to count, the lengths differ, or an index is out of range.
    """
    truth = _indices("truth", truth, n_classes)
    predicted = _indices("predicted", predicted, n_classes)
    if not truth.shape == predicted.shape == np.shape(tracks):
        shapes = f"{truth.shape}, {predicted.shape} and {np.shape(tracks)}"
        raise ValueError(f"truth, predicted and tracks differ in shape: {shapes}")
    names, position = np.unique(np.asarray(tracks), return_inverse=True)
    cells = (position * n_classes + truth) * n_classes + predicted
    counts = np.bincount(cells, minlength=len(names) * n_classes**2)
    return counts.reshape(len(names), n_classes, n_classes).astype(np.int64, copy=False)


def scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Compute every score of one confusion matrix, or of many at once.

    Parameters
    ----------
    counts : np.ndarray [shape=(..., k, k)]
        Non-negative counts, rows are true classes; no matrix may be empty.

    Returns
    -------
    dict of str to np.ndarray [shape=(...)]
        In the order of `SCORES`, each in [0, 1].

    Raises
    ------
    ValueError
        If the matrices are not square, or one has a negative count or none at all.
    """
    counts = _checked(counts)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    true, claimed = counts.sum(axis=-1), counts.sum(axis=-2)
    total = true.sum(axis=-1)
    if not (total > 0).all():
        raise ValueError("a confusion matrix without any count has no scores")
    n_occurring = (true + claimed > 0).sum(axis=-1)
    precision, f1 = _share(hits, claimed), _share(2 * hits, true + claimed)
    accuracy = hits.sum(axis=-1) / total
    found = {
        "accuracy": accuracy,
        "ovr_accuracy": 1 - 2 * (1 - accuracy) / counts.shape[-1],
        "precision": precision.sum(axis=-1) / n_occurring,
        "recall": _share(hits, true).sum(axis=-1) / n_occurring,
        "f1_macro": f1.sum(axis=-1) / n_occurring,
        "f1_weighted": (f1 * true).sum(axis=-1) / total,
        "precision_weighted": (precision * true).sum(axis=-1) / total,
    }
    return {name: np.asarray(found[name]) for name in SCORES}


def by_class(counts: np.ndarray) -> tuple[ClassScores, ...]:
    """Score each class of one confusion matrix.

    Parameters
    ----------
    counts : np.ndarray [shape=(k, k)]
        Non-negative counts, rows are true classes.

    Returns
    -------
    tuple of ClassScores
        In class order.

    Raises
    ------
    ValueError
        If it is not one square matrix, or has a negative count.
    """
    counts = _checked(counts)
    if counts.ndim != 2:
        raise ValueError(f"counts has shape {counts.shape}, expected one matrix (k, k)")
    hits, true, claimed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    shares = _share(hits, claimed), _share(hits, true), _share(2 * hits, true + claimed)
    return tuple(
        ClassScores(float(precision), float(recall), float(f1), int(support), int(predicted))
        for precision, recall, f1, support, predicted in zip(*shares, true, claimed, strict=True)
    )


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
        Confusion counts of each track, as `confusion_by_track` makes them.
    rng : np.random.Generator
        Draws the tracks.
    n_resamples : int
        How often a test set is drawn, at least once.

    Returns
    -------
    dict of str to Estimate
        In the order of `SCORES`.

    Raises
    ------
    ValueError
        If there is no track, a track has no count, or `n_resamples` is not positive.
    """
    per_track = _checked(per_track)
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
    gives it; so it serves every share that no confusion matrix has, as of `top_k`.

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


def row_normalised(counts: np.ndarray) -> np.ndarray:
    """Divide each row by its sum: of the tracks of a genre, which share went where.

    Parameters
    ----------
    counts : np.ndarray [shape=(..., k, k)]
        Non-negative counts, rows are true classes.

    Returns
    -------
    np.ndarray [shape=(..., k, k)]
        float64; rows sum to one, and stay zero where a class has no count.

    Raises
    ------
    ValueError
        If the matrices are not square, or a count is negative.
    """
    counts = _checked(counts)
    return _share(counts, counts.sum(axis=-1, keepdims=True))


def top_k(probs: np.ndarray, truth: np.ndarray, *, k: int) -> np.ndarray:
    """Tell whether the true class is among the k most probable ones.

    Of equally probable classes the one of the lowest index comes first, as for `np.argmax`,
    so that the first of all is the winner. (`sklearn.metrics.top_k_accuracy_score` takes the
    highest index first.) A majority vote leaves many classes without a vote, and so equal.

    Parameters
    ----------
    probs : np.ndarray [shape=(n, n_classes)]
        Probabilities, or any scores.
    truth : np.ndarray [shape=(n,)]
        Class indices in [0, n_classes).
    k : int
        At least 1; so many as there are classes, and all are right.

    Returns
    -------
    np.ndarray [shape=(n,)]
        bool.

    Raises
    ------
    ValueError
        If there are no rows, the lengths differ, an index is out of range, a score is not a
        number, or `k` is not positive.
    """
    probs, truth = _scored(probs, truth)
    if k < 1:
        raise ValueError(f"k is {k}, expected at least 1")
    if np.isnan(probs).any():
        raise ValueError("probs has values that are not numbers")
    own = probs[np.arange(len(truth)), truth][:, np.newaxis]
    before = np.arange(probs.shape[1]) < truth[:, np.newaxis]
    rank = ((probs > own) | ((probs == own) & before)).sum(axis=1)
    return np.asarray(rank < k)


def log_loss(probs: np.ndarray, truth: np.ndarray) -> float:
    """Average the negative logarithm of the probability that the true class was given.

    Parameters
    ----------
    probs : np.ndarray [shape=(n, n_classes)]
        Probabilities; kept away from 0 and 1 by the spacing of their floating-point type
        at 1, as scikit-learn does, so that one certain error is not infinitely bad.
    truth : np.ndarray [shape=(n,)]
        Class indices in [0, n_classes).

    Returns
    -------
    float
        In nats; 0 is perfect, log(n_classes) is a guess.

    Raises
    ------
    ValueError
        If there are no rows, the lengths differ, an index is out of range, or a
        probability is outside [0, 1].
    """
    probs, truth = _scored(probs, truth)
    if not ((probs >= 0) & (probs <= 1)).all():
        raise ValueError("probs has values outside [0, 1]: apply softmax to logits first")
    if not np.issubdtype(probs.dtype, np.floating):
        probs = probs.astype(np.float64)
    margin = np.finfo(probs.dtype).eps
    given = np.clip(probs[np.arange(len(truth)), truth], margin, 1 - margin)
    return float(-np.log(given, dtype=np.float64).mean())


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


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, and call nothing of nothing zero."""
    return np.asarray(part / np.where(whole > 0, whole, 1))


def _checked(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] or counts.shape[-1] == 0:
        raise ValueError(f"counts has shape {counts.shape}, expected (..., k, k)")
    if not (counts >= 0).all():
        raise ValueError("counts has negative values")
    return counts


def _scored(probs: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a row of scores and a true class for each of one track or more."""
    probs = np.asarray(probs)
    if probs.ndim != 2:
        raise ValueError(f"probs has shape {probs.shape}, expected (n, n_classes)")
    truth = _indices("truth", truth, probs.shape[1])
    if len(truth) != len(probs):
        raise ValueError(f"there are {len(probs)} rows of probs and {len(truth)} of truth")
    return probs, truth


def _indices(name: str, values: np.ndarray, n_classes: int) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} has shape {values.shape}, expected (n,) with n at least 1")
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{name} is {values.dtype}, expected whole numbers")
    if values.min() < 0 or values.max() >= n_classes:
        raise ValueError(
            f"{name} goes from {values.min()} to {values.max()}, outside 0 to {n_classes - 1}"
        )
    return values.astype(np.int64)
