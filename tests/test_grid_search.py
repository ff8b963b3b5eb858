"""The grid search against scikit-learn's own."""

from typing import Any

import numpy as np
import pytest
from joblib import Parallel
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from mgr_cli import grid_search
from mgr_cli.errors import TrainingError
from mgr_cli.models import registry
from mgr_cli.models.grids import GRIDS, Candidate, Grid, Search, Values

GRID = Grid({"c": (0.01, 1.0, 100.0), "gamma": (1e-4, 1e-2)})


def table(n_tracks: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make two segments a track, of three classes that overlap."""
    x, y = make_blobs(n_tracks, 6, centers=3, cluster_std=5.0, random_state=1)
    groups = np.array([f"track {number}" for number in range(n_tracks)])
    noise = np.random.default_rng(0).normal(size=x.shape)
    return np.concatenate([x, x + noise]), np.concatenate([y, y]), np.concatenate([groups] * 2)


def build(values: Values) -> Any:
    return SVC(C=values["c"], gamma=values["gamma"])


def test_search_finds_what_scikit_learn_finds() -> None:
    x, y, groups = table()
    found = grid_search.search(GRID, build, x, y, groups, pool=Parallel(n_jobs=1), seed=3)
    rival = GridSearchCV(
        Pipeline([("svc", SVC())]),
        {"svc__C": GRID.tried["c"], "svc__gamma": GRID.tried["gamma"]},
        cv=StratifiedGroupKFold(10, shuffle=True, random_state=3),
    ).fit(x, y, groups=groups)
    means = [candidate.accuracy for candidate in found.candidates]
    np.testing.assert_allclose(means, rival.cv_results_["mean_test_score"], atol=1e-6)
    deviations = [candidate.deviation for candidate in found.candidates]
    np.testing.assert_allclose(deviations, rival.cv_results_["std_test_score"], atol=1e-6)
    assert found.n_folds == 10
    best = rival.best_params_
    assert found.best.values == {"c": best["svc__C"], "gamma": best["svc__gamma"]}
    assert len(set(means)) > 2  # else the grid would decide nothing


def test_workers_change_nothing_and_every_fit_is_told() -> None:
    x, y, groups = table()
    told: list[tuple[int, int, str]] = []
    alone, together = (
        grid_search.search(
            GRID, build, x, y, groups, pool=Parallel(n_jobs=n, return_as="generator"), seed=0,
            progress=lambda *said: told.append(said),
        )
        for n in (1, 2)
    )  # fmt: skip
    assert alone == together
    assert told == [(done, 60, "fits") for done in range(1, 61)] * 2


def test_segments_of_a_track_are_never_divided() -> None:
    x, y, groups = table()
    y = np.random.default_rng(0).permutation(y[:60])  # nothing to learn but the track itself
    grid = Grid({"n_neighbors": (1,)})

    def nearest(values: Values) -> Any:
        return registry.build_pipeline("knn", seed=0, changes=values).steps[-1][1]

    args = (grid, nearest, x, np.concatenate([y, y]))
    pool = Parallel(n_jobs=1)
    known = grid_search.search(*args, np.arange(120).astype(str), pool=pool, seed=0)
    kept = grid_search.search(*args, groups, pool=pool, seed=0)
    assert known.best.accuracy > 0.8  # its twin is in another fold
    assert kept.best.accuracy < 0.5


def test_few_tracks_are_dealt_to_fewer_folds_and_a_single_one_to_none() -> None:
    x, y, groups = table()
    chosen = np.concatenate([np.flatnonzero(y[:60] == label)[:3] for label in range(3)])
    few = np.concatenate([chosen, chosen + 60])
    search = grid_search.search(
        GRID, build, x[few], y[few], groups[few], pool=Parallel(n_jobs=1), seed=0
    )
    assert search.n_folds == 3
    one = groups.copy()
    one[y == 0] = "the only artist"
    with pytest.raises(TrainingError, match="a single training track, or artist"):
        grid_search.search(GRID, build, x, y, one, pool=Parallel(n_jobs=1), seed=0)


def test_first_of_equals_is_the_best() -> None:
    points = (Candidate({"c": 1}, 0.5, 0.0), Candidate({"c": 2}, 0.7, 0.0))
    equal = Candidate({"c": 3}, 0.7, 0.0)
    assert Search(10, (*points, equal)).best.values == {"c": 2}


@pytest.mark.parametrize("name", GRIDS)
def test_every_point_of_every_grid_can_be_built(name: str) -> None:
    grid = GRIDS[name]
    for key, values in grid.tried.items():
        for value in values:
            registry.build_pipeline(name, seed=0, changes={**grid.fixed, key: value})


def test_grids_are_those_of_the_seed() -> None:
    # Seed 002, "ML classifiers tuning"; its third gamma is printed as 0.000, in its tables 1e-4.
    assert GRIDS["linear-svc"].tried == {"c": (0.01, 0.1, 1, 10)}
    assert GRIDS["svc-rbf"].tried == {"c": (0.01, 0.1, 1, 10), "gamma": (0.01, 0.001, 0.0001)}
    assert GRIDS["mlp"].tried == {
        "layers": ("512,256", "512,32", "512"),
        "alpha": (0.01, 0.03, 0.05),
    }
    assert GRIDS["mlp"].fixed == {"learning_rate": 1e-4, "batch_size": 32, "early_stopping": True}
