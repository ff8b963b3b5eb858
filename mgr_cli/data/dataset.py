"""A prepared dataset: its tracks, and the way to their features."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mgr_cli.config import SPLITS, FeatureSpec, Split
from mgr_cli.data import splits
from mgr_cli.data.store import OK, ShardReader
from mgr_cli.errors import DatasetError
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.plans import Kind, Plan

FRAMES_AT_ONCE = 8_192  # of a track, where all of them are gone through
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
    bands : Normalisation or None
        Of the log-mels, from the training split; None where there are none.
    columns : tuple of str
        Names of the features that are one row a track; empty where there are none.
    origin : str
        Who computed those; empty where it was this program.
    """

    root: Path
    name: str
    layout: str
    genres: tuple[str, ...]
    plan: Plan
    tracks: pd.DataFrame = field(repr=False, compare=False)
    bands: Normalisation | None = None
    columns: tuple[str, ...] = ()
    origin: str = ""

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
    def normalisation(self) -> Normalisation:
        """Mean and deviation of the log-mels' bands, from the training split.

        Raises
        ------
        DatasetError
            If there are no log-mels.
        """
        self._expect("log-mel")
        assert self.bands is not None
        return self.bands

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
        """Return the numbers (rows of `tracks`) of a split's usable tracks.

        Raises
        ------
        DatasetError
            If there are none.
        """
        chosen = (self.tracks.split == split) & (self.tracks.status == OK)
        numbers = np.flatnonzero(chosen.to_numpy())
        if not len(numbers):
            raise DatasetError(f"{self.root}: no usable track in the {split} split")
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
        turned = replace(self, tracks=self.tracks.assign(split=split))
        if self.bands is None:
            return turned
        return replace(turned, bands=normalisation_of(self.reader(), turned.numbers("train")))

    def _expect(self, kind: Kind) -> None:
        if kind not in self.plan.kinds:
            raise DatasetError(
                f"{self.root}: no {kind} features, it has {', '.join(self.plan.kinds)}; "
                f"prepare it again, from audio or pictures, with `--features {kind}`"
            )

    def counts(self) -> dict[Split, int]:
        """Return how many usable tracks each split has."""
        usable = self.tracks[self.tracks.status == OK]
        return {split: int((usable.split == split).sum()) for split in SPLITS}


def vector_kind(plan: Plan) -> Kind | None:
    """Return the kind of a plan's features that are one row a track, if there is one."""
    return next((kind for kind in ("handcrafted", "table") if kind in plan.kinds), None)


def normalisation_of(reader: ShardReader, numbers: Sequence[int] | np.ndarray) -> Normalisation:
    """Compute the band-wise mean and standard deviation over some tracks' frames.

    Parameters
    ----------
    reader : ShardReader
        Of the features.
    numbers : sequence of int
        Tracks of the training split.

    Returns
    -------
    Normalisation
        Sums are in float64; a band that never changes gets a standard deviation of 1.
    """
    total = square = np.zeros(1)
    n_frames = 0
    for number in map(int, numbers):
        for start in range(0, reader.n_rows(number), FRAMES_AT_ONCE):
            levels = reader.frames(number, start, start + FRAMES_AT_ONCE).astype(np.float64)
            total = total + levels.sum(axis=1)
            square = square + (levels**2).sum(axis=1)
            n_frames += levels.shape[1]
    mean = total / n_frames
    std = np.sqrt(np.maximum(square / n_frames - mean**2, 0))
    std[std < 1e-6] = 1.0
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()))
