"""Fitting pipelines of scikit-learn: the classical rivals of nets.

They eat one row a track where a dataset has such features; where it has log-mels, one row a
segment of 3 s, summed up over time, and the segments of a track vote as those of a net do. The
whole table is in memory: 6,400 tracks of 30 s take 230 MB as log-mels' statistics.
"""

import warnings
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from mgr_cli import batches
from mgr_cli.config import SEED, SEGMENTS, Progress, SegmentSpec, silent
from mgr_cli.data.dataset import PreparedDataset, vector_kind
from mgr_cli.inputs import Inputs, tabulated
from mgr_cli.models import registry


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, and how it came about.

    Attributes
    ----------
    pipeline : Pipeline
        Takes rows as `inputs.tabulated` makes them.
    architecture : str
        Its row in the registry.
    hyperparameters : dict
        All of them, defaults included.
    inputs : Inputs
        What it takes of a track.
    segments : SegmentSpec or None
        How tracks are cut; None where that is not done.
    seed : int
        Of what it drew.
    seconds : float
        That fitting took.
    notes : tuple of str
        What scikit-learn remarked, one line each, as that it has not converged.
    """

    pipeline: Pipeline
    architecture: str
    hyperparameters: dict[str, Any]
    inputs: Inputs
    segments: SegmentSpec | None
    seed: int
    seconds: float
    notes: tuple[str, ...] = ()


def fit(
    dataset: PreparedDataset,
    architecture: str,
    *,
    hyperparameters: dict[str, Any] | None = None,
    seed: int = SEED,
    progress: Progress = silent,
) -> Fitted:
    """Fit a pipeline to a dataset's training split.

    Parameters
    ----------
    dataset : PreparedDataset
        What to learn.
    architecture : str
        Name of a row of `registry.CLASSICAL`.
    hyperparameters : dict, optional
        Those that differ from its defaults.
    seed : int
        Of what it draws.
    progress : callable
        Called after each track that was read.

    Raises
    ------
    ArchitectureError
        If the architecture or a hyper-parameter is unknown.
    DatasetError
        If a split is empty, or there are neither features of one row a track nor log-mels.
    TrainingError
        If a genre has no training track.
    """
    values = registry.hyperparameters(architecture, hyperparameters or {})
    pipeline = registry.build_pipeline(architecture, seed=seed, changes=values)
    batches.check(dataset)
    segments = None if vector_kind(dataset.plan) else SEGMENTS
    inputs = dataset.inputs(("handcrafted" if segments is None else "log-mel",), segments)
    rows, labels = _table(dataset, inputs, progress)
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        start = perf_counter()
        pipeline.fit(rows, labels)
        seconds = perf_counter() - start
    notes = tuple(dict.fromkeys(" ".join(str(each.message).split()) for each in remarks))
    return Fitted(pipeline, architecture, values, inputs, segments, seed, seconds, notes)


def _table(
    dataset: PreparedDataset, inputs: Inputs, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all training tracks, and their classes."""
    numbers = dataset.numbers("train")
    rows, labels = [], []
    for done, (number, label) in enumerate(
        zip(numbers.tolist(), dataset.labels(numbers).tolist(), strict=True), start=1
    ):
        track = dataset.track(number)
        starts = inputs.starts(track.n_rows(inputs.kinds[0]))
        rows.append(tabulated(inputs.batch(inputs.segment(track, first) for first in starts)))
        labels += [label] * len(starts)
        progress(done, len(numbers), "tracks")
    return np.concatenate(rows), np.array(labels)
