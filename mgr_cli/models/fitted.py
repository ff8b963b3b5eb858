"""What a fitted pipeline of `models.classical` says, and what it holds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import VotingClassifier
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline
from sklearn.tree._tree import Tree

TRAINING_ONLY = (
    "_best_coefs", "_best_intercepts", "_feature_subsample_rng", "_loss_function_", "_optimizer",
    "_random_state", "loss_curve_",
)  # fmt: skip
"""Attributes that no prediction needs; a perceptron's are three times as large as its weights."""


def probabilities(pipeline: Pipeline, x: np.ndarray, *, n_classes: int) -> np.ndarray:
    """Give each class its probability, or an honest substitute where a pipeline has none.

    Whatever the row, the largest is that of the class that ``pipeline.predict`` names. Where
    scikit-learn has no `predict_proba` that agrees with its own `predict`, these stand in:

    - support vector machines, ridge, sgd, perceptron: the softmax of the one-versus-rest margins;
    - nearest centroid: the softmax of the negative distances (its own `predict_proba` measures
      in another metric than its `predict`);
    - hard voting: the shares of the votes, so that some are exactly 0.

    None of these is calibrated; dividing their logarithm by a temperature does that.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, one of `models.classical`.
    x : np.ndarray [shape=(n, n_columns)]
        Features, a row each.
    n_classes : int
        Of the problem; a class that the training rows lacked gets 0.

    Returns
    -------
    np.ndarray [shape=(n, n_classes)]
        float64; rows sum to one.

    Raises
    ------
    ValueError
        If the pipeline was fitted to another number of columns, or to labels that are no indices
        of so many classes.
    """
    if x.ndim != 2 or x.shape[1] != pipeline.n_features_in_:
        raise ValueError(f"x is {x.shape}, fitted to {pipeline.n_features_in_} columns")
    *transformers, (_, classifier) = pipeline.steps
    for _, transformer in transformers:
        x = transformer.transform(x)
    labels = np.asarray(classifier.classes_)
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"fitted to the labels {labels}, expected indices of {n_classes} classes")
    probs = np.zeros((len(x), n_classes))
    probs[:, labels] = _shares(classifier, x)
    return probs


def n_parameters(pipeline: Pipeline) -> int:
    """Count the floating-point numbers in the arrays of a fitted pipeline.

    Means and variances of the scaler, weights, support vectors, thresholds, impurities and values
    of trees, the training rows themselves of knn; each array once, whether it serves the
    prediction or tells of the fit, but nothing of `TRAINING_ONLY`.
    """
    return sum(_n_floats(part) for part in parts(pipeline))


def parts(root: object) -> Iterator[object]:
    """Yield an object and whatever it holds, each once, but nothing of `TRAINING_ONLY`."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part
        yield part
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
        elif isinstance(part, np.ndarray) and part.dtype == object:
            waiting.extend(part.flat)
        elif hasattr(part, "__dict__") and not isinstance(part, type):
            held = vars(part).items()
            waiting.extend(value for key, value in held if key not in TRAINING_ONLY)


def _n_floats(part: object) -> int:
    if isinstance(part, Tree):
        state = part.__getstate__()
        return sum(_n_floats(state[name]) for name in ("nodes", "values"))
    if not isinstance(part, np.ndarray):
        return 0
    fields = [part.dtype[name] for name in part.dtype.names or ()] or [part.dtype]
    n: int = part.size * sum(field.kind == "f" for field in fields)
    return n


def _shares(classifier: Any, x: np.ndarray) -> np.ndarray:
    """Return what each of the classes that a fitted classifier knows gets, (n, n_known)."""
    if isinstance(classifier, NearestCentroid):
        margins = -euclidean_distances(x, classifier.centroids_)
    elif isinstance(classifier, VotingClassifier) and classifier.voting == "hard":
        votes: np.ndarray = classifier.transform(x)  # places in its classes_, (n, n_voters)
        return np.stack(
            [(votes == k).mean(axis=1) for k in range(len(classifier.classes_))], axis=1
        )
    elif hasattr(classifier, "predict_proba"):
        return np.asarray(classifier.predict_proba(x))
    else:
        margins = classifier.decision_function(x)
        if margins.ndim == 1:  # of two classes only the second's is given
            margins = np.stack([-margins, margins], axis=1)
    return np.asarray(softmax(margins, axis=1))
