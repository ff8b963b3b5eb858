"""A prepared dataset: its tracks, and the way to their features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mgr_cli.config import SPLITS, FeatureSpec, Normalise, SegmentSpec, Split
from mgr_cli.data import splits
from mgr_cli.data.store import OK, ShardReader
from mgr_cli.errors import DatasetError
from mgr_cli.features.normalisation import LARGEST, SMALLEST, Normalisation
from mgr_cli.inputs import Inputs
from mgr_cli.plans import AUDIO_KINDS, VECTORS, Kind, Plan

FRAMES_AT_ONCE = 8_192  # of a track, where all of them are gone through
SAMPLES_AT_ONCE = 2**20
COLUMNS = (
    "track_id", "path", "genre", "genres", "artist", "album", "title",
    "seconds", "sample_rate", "codec", "split", "fold", "status", "digest", "decoder",
)  # fmt: skip


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset that can be trained on.

    Attributes
    ----------
    root : Path
        Its folder.
    name, layout : str
        What it is called, and the source it was read with.
    genres : tuple of str
        In class order.
    plan : Plan
        What was computed of its tracks.
    tracks : pd.DataFrame
        One row a track in the order of the shards, with the columns of `COLUMNS`.
    normalisations : dict of Normalisation
        By kind of features, from the training split.
    columns : tuple of str
        Names of the features that are one row a track; empty where there are none.
    origin : str
        Who computed those; empty where it was this program.
    source : str
        Where the tracks lie.
    drawn : tuple of int, optional
        Numbers of the training tracks that are trained on, from `thinning.thinned`; all by default.
    """

    root: Path
    name: str
    layout: str
    genres: tuple[str, ...]
    plan: Plan
    tracks: pd.DataFrame = field(repr=False, compare=False)
    normalisations: Mapping[Kind, Normalisation] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    origin: str = ""
    source: str = ""
    drawn: tuple[int, ...] | None = None

    @property
    def spec(self) -> FeatureSpec:
        """Front end of the log-mels.

        Raises
        ------
        DatasetError
            If there are none.
        """
        self._expect("log-mel")
        return self.plan.spec

    @property
    def n_folds(self) -> int:
        """How many folds the tracks were dealt out to; 0 if to none."""
        folds = self.tracks.fold[self.tracks.fold != ""]
        return int(folds.astype(int).max()) + 1 if len(folds) else 0

    @property
    def split_digest(self) -> str:
        """SHA-256 of which track is in which split."""
        return splits.digest(dict(zip(self.tracks.track_id, self.tracks.split, strict=True)))

    @property
    def tested_fold(self) -> int | None:
        """The fold that is the test split; None where the tracks were not dealt out to folds."""
        tested = self.tracks.fold[self.tracks.split == "test"]
        return int(tested.iloc[0]) if self.n_folds and len(tested) else None

    def numbers(self, split: Split) -> np.ndarray:
        """Return the numbers (rows of `tracks`) of a split's usable tracks, of training the drawn.

        Raises
        ------
        DatasetError
            If there are none.
        """
        numbers = self._usable(split)
        if not len(numbers):
            bad = self.tracks[self.tracks.split == split]
            found = (
                f"all {len(bad)} are bad, the first, {bad.track_id.iloc[0]}: {bad.status.iloc[0]}"
                if len(bad)
                else "no track belongs to it"
            )
            raise DatasetError(
                f"{self.root}: no usable track in the {split} split, {found}; deal out another "
                f"one with `mgr prepare {self.source} --split random`"
            )
        return numbers

    def labels(self, numbers: np.ndarray) -> np.ndarray:
        """Return the classes of tracks, int64 [shape=(n_tracks,)]."""
        index = {genre: label for label, genre in enumerate(self.genres)}
        return np.array([index[genre] for genre in self.tracks.genre.iloc[numbers]], np.int64)

    def reader(self, kind: Kind = "log-mel") -> ShardReader:
        """Open one kind of features; they are found by the tracks' numbers.

        Raises
        ------
        DatasetError
            If the dataset was prepared without them.
        """
        self._expect(kind)
        return ShardReader(self.root / kind)

    def vectors(self) -> np.ndarray:
        """Read the features that are one row a track.

        Returns
        -------
        np.ndarray [shape=(n_tracks, n_columns)]
            float32, not a number where a track's status is not "ok".

        Raises
        ------
        DatasetError
            If the dataset was prepared without any.
        """
        kind = vector_kind(self.plan)
        if kind is None:
            raise DatasetError(
                f"{self.root}: no features of one row a track; prepare it again with "
                "`--features handcrafted`"
            )
        reader = self.reader(kind)
        values = np.full((len(self.tracks), len(self.columns)), np.nan, np.float32)
        for number in np.flatnonzero((self.tracks.status == OK).to_numpy()).tolist():
            values[number] = reader.rows(number)[0]
        return values

    def tested_on(self, fold: int) -> "PreparedDataset":
        """Return the dataset with another fold as its test split; see `splits.split_of_fold`.

        Raises
        ------
        DatasetError
            If it was prepared without folds, or has no such one.
        """
        n_folds = self.n_folds
        if not 0 <= fold < n_folds:
            raise DatasetError(
                f"{self.root}: no fold {fold}, it has {n_folds or 'none'}; folds are made by "
                "`mgr prepare --folds`, and counted from 0"
            )
        split = [
            splits.split_of_fold(int(own), tested=fold, n_folds=n_folds) if own else ""
            for own in self.tracks.fold
        ]
        return normalised(replace(self, tracks=self.tracks.assign(split=split), drawn=None))

    def inputs(
        self,
        kinds: Sequence[Kind],
        segments: SegmentSpec | None,
        *,
        normalise: Normalise = "band",
    ) -> Inputs:
        """Say how tracks are cut into what a net takes.

        Parameters
        ----------
        kinds : sequence of Kind
            What it takes; a table of features does where hand-crafted ones are asked for.
        segments : SegmentSpec, optional
            None takes a track as a whole.
        normalise : {"band", "whole"}
            Whether each band of a log-mel is brought to mean 0 and standard deviation 1, or all
            of them together, so that they keep their differences and what a decibel is.

        Raises
        ------
        DatasetError
            If the dataset was prepared without some of them; the message says how it gets them.
        """
        own = vector_kind(self.plan)
        found = tuple(own if own and kind in VECTORS else kind for kind in kinds)
        for kind in found:
            self._expect(kind)
        normalisations = dict(self.normalisations)
        if normalise == "whole" and "log-mel" in found:
            normalisations["log-mel"] = normalisations["log-mel"].whole
        return Inputs(found, self.plan.spec, segments, normalisations)

    def track(self, number: int) -> "StoredTrack":
        """Return the features of a track by its number."""
        return StoredTrack(self._readers, number)

    @cached_property
    def _readers(self) -> dict[Kind, ShardReader]:
        return {kind: ShardReader(self.root / kind) for kind in self.plan.kinds}

    def _expect(self, kind: Kind) -> None:
        if kind in self.plan.kinds:
            return
        wanted = ",".join((*(own for own in self.plan.kinds if own in AUDIO_KINDS), kind))
        advice = (
            f"make them with `mgr prepare {self.source} --features {wanted}`"
            if self.plan.kinds[0] in AUDIO_KINDS and self.layout != "images"
            else f"make them of the sound itself, with `mgr prepare FOLDER --features {kind}`"
        )
        raise DatasetError(
            f"{self.root}: no {kind} features, it has {', '.join(self.plan.kinds)}; {advice}"
        )

    def counts(self) -> dict[Split, int]:
        """Return how many usable tracks each split has, of training those that are drawn."""
        return {split: len(self._usable(split)) for split in SPLITS}

    def _usable(self, split: Split) -> np.ndarray:
        own = (self.tracks.split == split) & (self.tracks.status == OK)
        numbers = np.flatnonzero(own.to_numpy())
        if split != "train" or self.drawn is None:
            return numbers
        return np.intersect1d(numbers, self.drawn)


def vector_kind(plan: Plan) -> Kind | None:
    """Return the kind of a plan's features that are one row a track, if there is one."""
    return next((kind for kind in VECTORS if kind in plan.kinds), None)


class StoredTrack:
    """One track's features, on disk.

    Parameters
    ----------
    readers : mapping
        By kind of features.
    number : int
        Of the track.
    """

    def __init__(self, readers: Mapping[Kind, ShardReader], number: int) -> None:
        self._readers = readers
        self._number = number

    def n_rows(self, kind: Kind) -> int:
        """Return how many frames or samples there are."""
        return 1 if kind in VECTORS else self._readers[kind].n_rows(self._number)

    def read(self, kind: Kind, start: int, stop: int) -> np.ndarray:
        """Return some rows, np.ndarray [shape=(n_bands, stop - start)], fewer at the end."""
        reader = self._readers[kind]
        match kind:
            case "log-mel":
                return reader.frames(self._number, start, stop)
            case "waveform":
                return reader.samples(self._number, start, stop)[None]
            case "handcrafted" | "table":
                return reader.rows(self._number, start, stop).T


def normalised(dataset: PreparedDataset) -> PreparedDataset:
    """Return a dataset with the mean and the deviation of its training split, kind by kind.

    Raises
    ------
    DatasetError
        If the split is empty.
    """
    numbers = dataset.numbers("train").tolist()
    found = {
        kind: moments(kind, [dataset.track(number) for number in numbers])
        for kind in dataset.plan.kinds
    }
    return replace(dataset, normalisations=found)


def moments(kind: Kind, tracks: Sequence[StoredTrack]) -> Normalisation:
    """Compute the mean and standard deviation of each band over all rows of some tracks.

    Sums are in float64, of what is above the first row, so that a band which stands still has no
    deviation at all. It gets the largest there may be: what it does later, no training has seen.
    """
    at_once = SAMPLES_AT_ONCE if kind == "waveform" else FRAMES_AT_ONCE
    total = square = np.zeros(1)
    n_rows = 0
    first = tracks[0].read(kind, 0, 1).astype(np.float64)
    for track in tracks:
        n_own = track.n_rows(kind)
        for start in range(0, n_own, at_once):
            rows = track.read(kind, start, min(start + at_once, n_own)).astype(np.float64) - first
            total = total + rows.sum(axis=1)
            square = square + (rows**2).sum(axis=1)
        n_rows += n_own
    mean = total / n_rows
    std = np.sqrt(np.maximum(square / n_rows - mean**2, 0))
    std = np.where(std == 0, LARGEST, np.where(std < SMALLEST, 1.0, std))
    mean = mean + first[:, 0]
    mean, std = np.clip(mean, -LARGEST, LARGEST), np.minimum(std, LARGEST)
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()))
