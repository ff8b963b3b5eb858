"""Fitting pipelines of scikit-learn: the classical rivals of nets, and what judges borrowed nets.

They eat one row a track where a dataset has such features; where it has log-mels, one row a
segment of 3 s, summed up over time; or one row a segment from a borrowed net. The segments of a
track vote as those of a net do. The whole table is in memory: 6,400 tracks of 30 s take 230 MB as
log-mels' statistics, 640 MB as the 25,088 values of a picture's inner layer.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from joblib import Parallel
from sklearn.pipeline import Pipeline

from mgr_cli import batches, grid_search, tables
from mgr_cli.config import SEED, SEGMENTS, Progress, SegmentSpec, silent
from mgr_cli.data.dataset import PreparedDataset, vector_kind
from mgr_cli.errors import TrainingError
from mgr_cli.features.normalisation import identity
from mgr_cli.inputs import Inputs, tabulated
from mgr_cli.models import registry
from mgr_cli.models.fitted import probabilities
from mgr_cli.models.grids import GRIDS, Grid, Search, Values
from mgr_cli.zoo.backbones import Backbone
from mgr_cli.zoo.weights import Judge


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, and how it came about.

    Attributes
    ----------
    judge : Judge
        The pipeline, and the borrowed net before it if there is one.
    architecture : str
        Its row in the registry.
    hyperparameters : dict
        All of them, defaults and what was found included.
    inputs : Inputs
        What it takes of a track.
    segments : SegmentSpec or None
        How tracks are cut; None where that is not done.
    seed : int
        Of what it drew.
    seconds : float
        That fitting took, after the search and what a borrowed net computed.
    search : Search or None
        The grid that was searched before.
    notes : tuple of str
        What scikit-learn remarked, one line each, as that it has not converged.
    """

    judge: Judge
    architecture: str
    hyperparameters: dict[str, Any]
    inputs: Inputs
    segments: SegmentSpec | None
    seed: int
    seconds: float
    search: Search | None = None
    notes: tuple[str, ...] = ()

    @property
    def pipeline(self) -> Pipeline:
        """What was fitted."""
        return self.judge.pipeline


def fit(
    dataset: PreparedDataset,
    architecture: str,
    *,
    hyperparameters: Mapping[str, Any] | None = None,
    backbone: Backbone | None = None,
    segments: SegmentSpec | None = None,
    seed: int = SEED,
    pool: Parallel | None = None,
    progress: Progress = silent,
) -> Fitted:
    """Fit a pipeline to a dataset's training split; see `Fitter` and `Fitter.fit`."""
    fitter = Fitter(dataset, backbone=backbone, segments=segments, seed=seed, progress=progress)
    return fitter.fit(architecture, hyperparameters, pool=pool, progress=progress)


class Fitter:
    """Fits pipelines to the training split of a dataset, whose rows are read once for all.

    Parameters
    ----------
    dataset : PreparedDataset
        What to learn.
    backbone : Backbone, optional
        Makes the rows, from `zoo.borrowing.borrow`.
    segments : SegmentSpec, optional
        How log-mels and waveforms are cut; 3 s, or what suits the backbone, by default.
    seed : int
        Of all that is drawn.
    progress : callable
        Called after each track that was read.

    Attributes
    ----------
    table : Table
        The training split.
    inputs : Inputs
        What is taken of a track.
    segments : SegmentSpec or None
        How it is cut.

    Raises
    ------
    DatasetError
        If a split is empty, or what is eaten is not there.
    TrainingError
        If a genre has no training track, or segments are asked for of what is one row a track.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        *,
        backbone: Backbone | None = None,
        segments: SegmentSpec | None = None,
        seed: int = SEED,
        progress: Progress = silent,
    ) -> None:
        batches.check(dataset)
        self._backbone, self._seed = backbone, seed
        self.inputs, self.segments = _eaten(dataset, backbone, segments)
        rows_of = tabulated if backbone is None else backbone.rows
        self.table = tables.read(dataset, self.inputs, rows_of, progress=progress)
        self._scaled: dict[str, tuple[list[tuple[str, Any]], np.ndarray, float]] = {}

    def fit(
        self,
        architecture: str,
        hyperparameters: Mapping[str, Any] | None = None,
        *,
        pool: Parallel | None = None,
        progress: Progress = silent,
    ) -> Fitted:
        """Fit a pipeline.

        Parameters
        ----------
        architecture : str
            Name of a row of `registry.CLASSICAL`, or of the backbone's.
        hyperparameters : mapping, optional
            Those that differ from its defaults.
        pool : Parallel, optional
            Of `engines.workers`: search the row's grid first, over those hyper-parameters that
            are not given.
        progress : callable
            Called after each fit of that search.

        Raises
        ------
        ArchitectureError
            If the architecture or a hyper-parameter is unknown.
        TrainingError
            If there is no grid, too little to search it on, or scikit-learn finds the data
            unfit.
        """
        given = dict(hyperparameters or {})
        values = registry.hyperparameters(architecture, given)
        found = None
        if pool is not None and (grid := grid_of(architecture, given)).tried:
            values |= grid.fixed
            found = self._search(architecture, values, grid, pool, progress)
            values |= found.best.values
        steps = registry.build_pipeline(architecture, seed=self._seed, changes=values).steps
        labels = self.table.labels
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always")
            try:
                before, rows, seconds = self._before(steps[:-1])
                start = perf_counter()
                steps[-1][1].fit(rows, labels)
                seconds += perf_counter() - start
            except ValueError as error:  # as of too few rows of a genre to hold some back
                said = " ".join(str(error).split())
                raise TrainingError(f"{architecture} cannot be fitted: {said}") from error
        notes = dict.fromkeys(" ".join(str(each.message).split()) for each in remarks)
        return Fitted(
            judge=Judge(Pipeline([*before, steps[-1]]), self._backbone),
            architecture=architecture,
            hyperparameters=values,
            inputs=self.inputs,
            segments=self.segments,
            seed=self._seed,
            seconds=seconds,
            search=found,
            notes=tuple(notes),
        )

    def accuracy(self, fitted: Fitted) -> float:
        """Return the share of the training rows that a pipeline judges right."""
        return float(fitted.pipeline.score(self.table.rows, self.table.labels))

    def _search(
        self, architecture: str, values: Values, grid: Grid, pool: Parallel, progress: Progress
    ) -> Search:
        """Search a grid over rows that are scaled and reduced once: neither knows the genres."""

        def build(point: Values) -> Any:
            changes = {**values, **point}
            pipeline = registry.build_pipeline(architecture, seed=self._seed, changes=changes)
            return pipeline.steps[-1][1]

        steps = registry.build_pipeline(architecture, seed=self._seed, changes=values).steps
        _, rows, _ = self._before(steps[:-1])
        return grid_search.search(
            grid, build, rows, self.table.labels, self.table.groups,
            pool=pool, seed=self._seed, progress=progress,
        )  # fmt: skip

    def _before(
        self, steps: list[tuple[str, Any]]
    ) -> tuple[list[tuple[str, Any]], np.ndarray, float]:
        """Fit what stands before a classifier, or find it as it was fitted for the last one."""
        key = repr(steps)
        if key not in self._scaled:
            rows = self.table.rows
            start = perf_counter()
            for _, step in steps:
                rows = step.fit_transform(rows)
            self._scaled = {key: (steps, rows, perf_counter() - start)}
        return self._scaled[key]


def pace(fitted: Fitted, dataset: PreparedDataset, *, n_tracks: int = 8) -> tuple[float, float]:
    """Time what a judge does with a track: a borrowed net's part, and the pipeline's.

    Returns
    -------
    tuple of float
        Seconds a track each, the median of some of the validation split, nothing being kept.
    """
    judge = fitted.judge.uncached()
    spent = []
    for number in dataset.numbers("valid")[:n_tracks].tolist():
        track = dataset.track(number)
        starts = fitted.inputs.starts(track.n_rows(fitted.inputs.kinds[0]))
        arrays = fitted.inputs.batch(fitted.inputs.segment(track, first) for first in starts)
        start = perf_counter()
        rows = judge.rows(arrays)
        between = perf_counter()
        probabilities(fitted.pipeline, rows, n_classes=len(dataset.genres))
        spent.append((between - start, perf_counter() - between))
    extraction, classification = np.median(spent, axis=0).tolist()
    return extraction, classification


def grid_of(architecture: str, given: Mapping[str, Any]) -> Grid:
    """Return the grid of a row, or of its classifier, without what is given; it may be empty."""
    row = registry.BORROWED.get(architecture)
    classifier = str(given.get(registry.CLASSIFIER, row.classifier)) if row else architecture
    whole = GRIDS.get(classifier, Grid({}))
    return Grid(
        {key: tried for key, tried in whole.tried.items() if key not in given},
        {key: value for key, value in whole.fixed.items() if key not in given},
    )


def _eaten(
    dataset: PreparedDataset, backbone: Backbone | None, segments: SegmentSpec | None
) -> tuple[Inputs, SegmentSpec | None]:
    """Say what is taken of a track, and how it is cut."""
    if backbone is not None:
        row = registry.BORROWED[backbone.architecture]
        segments = segments or row.segments
        dataset.inputs(row.eats, segments)  # raises where it is not there
        raw = {kind: identity(1 if kind == "waveform" else dataset.plan.spec.n_mels)
               for kind in row.eats}  # fmt: skip
        return Inputs(row.eats, dataset.plan.spec, segments, raw), segments
    if vector_kind(dataset.plan) is None:
        segments = segments or SEGMENTS
        return dataset.inputs(("log-mel",), segments), segments
    if segments is not None:
        raise TrainingError("the features are one row a track; leave segments out")
    return dataset.inputs(("handcrafted",), None), None
