"""A prepared dataset, read back from disk.

```
prepared/<name>/
  dataset.json                          genres in class order, front end, normalisation, counts
  tracks.csv                            a row a track: what it is, its split, its status
  log-mel/shard-00000.safetensors …     features, float16
```

`dataset.json` is written last: where it stands, the dataset is whole.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mgr_cli.config import SPLITS, FeatureSpec, Split
from mgr_cli.data import splits
from mgr_cli.data.store import OK, ShardReader
from mgr_cli.errors import DatasetError
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.files import write_text

FORMAT_VERSION = 1
DESCRIPTION = "dataset.json"
TRACKS = "tracks.csv"
FEATURES_FOLDER = "log-mel"
COLUMNS = (
    "track_id", "path", "genre", "genres", "artist", "album", "title",
    "seconds", "sample_rate", "codec", "split", "status", "digest", "decoder",
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
    spec : FeatureSpec
        Front end of its features.
    normalisation : Normalisation
        From the training split.
    tracks : pd.DataFrame
        One row a track in the order of the shards, with the columns of `COLUMNS`.
    """

    root: Path
    name: str
    layout: str
    genres: tuple[str, ...]
    spec: FeatureSpec
    normalisation: Normalisation
    tracks: pd.DataFrame = field(repr=False, compare=False)

    @property
    def split_digest(self) -> str:
        """SHA-256 of which track is in which split."""
        return splits.digest(dict(zip(self.tracks.track_id, self.tracks.split, strict=True)))

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

    def reader(self) -> ShardReader:
        """Open the features; they are found by the tracks' numbers."""
        return ShardReader(self.root / FEATURES_FOLDER)

    def counts(self) -> dict[Split, int]:
        """Return how many usable tracks each split has."""
        usable = self.tracks[self.tracks.status == OK]
        return {split: int((usable.split == split).sum()) for split in SPLITS}


def save(dataset: PreparedDataset, *, details: dict[str, Any]) -> None:
    """Write the table and the description of a dataset, the description last.

    Parameters
    ----------
    dataset : PreparedDataset
        Its shards are on disk already.
    details : dict
        What else the description shall hold.
    """
    (dataset.root / DESCRIPTION).unlink(missing_ok=True)
    write_text(dataset.root / TRACKS, dataset.tracks.to_csv(index=False, lineterminator="\n"))
    description = {
        "format_version": FORMAT_VERSION,
        "name": dataset.name,
        "layout": dataset.layout,
        "genres": dataset.genres,
        "features": asdict(dataset.spec),
        "normalisation": asdict(dataset.normalisation),
        "split_digest": dataset.split_digest,
        "counts": dataset.counts(),
        **details,
    }
    write_text(dataset.root / DESCRIPTION, json.dumps(description, indent=1) + "\n")


def load(root: Path) -> PreparedDataset:
    """Read a prepared dataset.

    Raises
    ------
    DatasetError
        If there is none, or it is damaged or of another version.
    """
    path = root / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {description['format_version']}")
        text = set(COLUMNS) - {"seconds", "sample_rate"}
        tracks = pd.read_csv(
            root / TRACKS, dtype=dict.fromkeys(text, str), keep_default_na=False, usecols=COLUMNS
        )
        dataset = PreparedDataset(
            root=root,
            name=description["name"],
            layout=description["layout"],
            genres=tuple(description["genres"]),
            spec=FeatureSpec(**description["features"]),
            normalisation=Normalisation(
                tuple(description["normalisation"]["mean"]),
                tuple(description["normalisation"]["std"]),
            ),
            tracks=tracks,
        )
        if dataset.split_digest != description["split_digest"]:
            raise ValueError(f"{TRACKS} was changed after it was prepared")
    except FileNotFoundError as error:
        raise DatasetError(f"{root}: no prepared dataset; make one with `mgr prepare`") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: damaged ({error}); run `mgr prepare` again") from error
    return dataset


def newest(folder: Path) -> Path:
    """Return the folder of the dataset that was prepared last.

    Raises
    ------
    DatasetError
        If there is none.
    """
    found = sorted(folder.glob(f"*/{DESCRIPTION}"), key=lambda path: (path.stat().st_mtime, path))
    if not found:
        raise DatasetError(f"{folder}: no prepared dataset; make one with `mgr prepare FOLDER`")
    return found[-1].parent


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
    for number in numbers:
        levels = reader.frames(int(number)).astype(np.float64)
        total = total + levels.sum(axis=1)
        square = square + (levels**2).sum(axis=1)
        n_frames += levels.shape[1]
    mean = total / n_frames
    std = np.sqrt(np.maximum(square / n_frames - mean**2, 0))
    std[std < 1e-6] = 1.0
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()))
