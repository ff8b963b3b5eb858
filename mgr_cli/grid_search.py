"""Searching a grid of hyper-parameters by cross-validation on the training tracks.

Every point of the grid is fitted to nine tenths of the tracks and judged on the tenth, ten times;
the point with the highest mean accuracy wins. Folds are stratified by genre, and the segments of a
track, like the tracks of an artist where they are known, are all in one of them, so that no point
wins by knowing the track or the artist. The seed's search dealt tracks out singly.

The tasks are independent of each other, and run wherever `engines` lets them.

References
----------
M. Stone, "Cross-validatory choice and assessment of statistical predictions", JRSS B 36, 1974.
`sklearn.model_selection.GridSearchCV` is the same, without a word on its progress.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import ParameterGrid, StratifiedGroupKFold

from mgr_cli.config import Progress, silent
from mgr_cli.errors import TrainingError
from mgr_cli.models.grids import N_FOLDS, Candidate, Grid, Search, Values


def search(
    grid: Grid,
    build: Callable[[Values], Any],
    x: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    pool: Parallel,
    n_folds: int = N_FOLDS,
    seed: int,
    progress: Progress = silent,
) -> Search:
    """Judge every point of a grid.

    Parameters
    ----------
    grid : Grid
        Names and values.
    build : callable
        Makes an unfitted classifier of a point of the grid.
    x : np.ndarray [shape=(n_rows, n_columns)]
        What it is fitted to.
    labels, groups : np.ndarray [shape=(n_rows,)]
        The class of each row, and what must not be divided.
    pool : Parallel
        Of `engines.workers`; does the work.
    n_folds : int
        At the most; fewer where a class has fewer groups.
    seed : int
        Of how the folds are dealt.
    progress : callable
        Called after each fit.

    Raises
    ------
    TrainingError
        If a class has a single group.
    """
    points = [dict(point) for point in ParameterGrid(dict(grid.tried))]
    fewest = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    n_folds = min(n_folds, fewest)
    if n_folds < 2:
        raise TrainingError(
            "a genre has a single training track, or artist: there is nothing to search a grid "
            "on; say the values with --set, or prepare more tracks"
        )
    dealer = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    folds = list(dealer.split(x, labels, groups))
    tasks = (
        delayed(_accuracy)(build(point), x, labels, train, held_out)
        for point in points
        for train, held_out in folds
    )
    total = len(points) * n_folds
    found = []
    for accuracy in pool(tasks):
        found.append(accuracy)
        progress(len(found), total, "fits")
    accuracies = np.reshape(found, (len(points), n_folds))
    return Search(
        n_folds,
        tuple(
            Candidate(point, round(float(over.mean()), 6), round(float(over.std()), 6))
            for point, over in zip(points, accuracies, strict=True)
        ),
    )


def _accuracy(
    classifier: Any, x: np.ndarray, labels: np.ndarray, train: np.ndarray, held_out: np.ndarray
) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one that has not converged: its accuracy tells
        classifier.fit(x[train], labels[train])
    return float(classifier.score(x[held_out], labels[held_out]))
