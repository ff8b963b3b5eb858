"""How good a classifier is.

Everything is computed from confusion counts: an integer matrix with a row for each true
class and a column for each predicted one. How sure we are of a score: see `intervals`.

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
"""

from dataclasses import dataclass

import numpy as np

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
    """Count the confusions of each track on its own, as `intervals.bootstrap` takes them.

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
    counts = checked(counts)
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
    counts = checked(counts)
    if counts.ndim != 2:
        raise ValueError(f"counts has shape {counts.shape}, expected one matrix (k, k)")
    hits, true, claimed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    shares = _share(hits, claimed), _share(hits, true), _share(2 * hits, true + claimed)
    return tuple(
        ClassScores(float(precision), float(recall), float(f1), int(support), int(predicted))
        for precision, recall, f1, support, predicted in zip(*shares, true, claimed, strict=True)
    )


def checked(counts: np.ndarray) -> np.ndarray:
    """Return confusion counts as an array, of one matrix or of many.

    Raises
    ------
    ValueError
        If the matrices are not square, or a count is negative.
    """
    counts = np.asarray(counts)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] or counts.shape[-1] == 0:
        raise ValueError(f"counts has shape {counts.shape}, expected (..., k, k)")
    if not (counts >= 0).all():
        raise ValueError("counts has negative values")
    return counts


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
    counts = checked(counts)
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


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, and call nothing of nothing zero."""
    return np.asarray(part / np.where(whole > 0, whole, 1))


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
