"""Preparing: from a folder of somebody's tracks to features, splits and a table.

The tracks are worked through in shards of fixed membership. A shard is written when all its
tracks are done, under a digest of what went into it (paths, sizes, times, front end), so a
run that was killed takes up at the first shard that is missing and ends with the same
bytes. A bad track gets a status, never an exception.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from mgr_cli.config import SEED, SPLIT_RATIOS, FeatureSpec, Progress, silent
from mgr_cli.data import dataset as datasets
from mgr_cli.data import splits
from mgr_cli.data.dataset import FEATURES_FOLDER, PreparedDataset
from mgr_cli.data.sources import RawTrack, Scan, Source, Wishes, recognise
from mgr_cli.data.store import (
    OK,
    TRACKS_IN_SHARD,
    Outcome,
    ShardReader,
    read_outcomes,
    shard_path,
    write_shard,
)
from mgr_cli.errors import DatasetError, MgrError
from mgr_cli.files import sha256

NOTHING_SPECIAL = Wishes()


@dataclass(frozen=True)
class Preparation:
    """What `prepare` made: the dataset, and the tracks that could not be used."""

    dataset: PreparedDataset
    n_reused: int

    @property
    def bad(self) -> list[tuple[str, str]]:
        """Return (path, reason) of every track that could not be used."""
        table = self.dataset.tracks
        rows = table[table.status != OK]
        return list(zip(rows.path, rows.status, strict=True))


def prepare(
    root: Path,
    *,
    target: Path,
    name: str | None = None,
    layout: str | None = None,
    wishes: Wishes = NOTHING_SPECIAL,
    ratios: tuple[float, float, float] = SPLIT_RATIOS,
    seed: int = SEED,
    n_jobs: int = -1,
    progress: Progress = silent,
) -> Preparation:
    """Make a prepared dataset of a folder.

    Parameters
    ----------
    root : Path
        The folder.
    target : Path
        Folder of the prepared datasets; this one gets a folder `name` in it.
    name : str, optional
        That of `root` by default.
    layout : str, optional
        Name of a source; recognised by default.
    wishes : Wishes
        What is asked of the source: another front end, a subset …
    ratios : tuple of float
        Of train, valid and test, where the dataset has no split of its own.
    seed : int
        Of that split.
    n_jobs : int
        Processes; -1 is one a core.
    progress : callable
        Called after each track.

    Returns
    -------
    Preparation
        The dataset and what was wrong with it.

    Raises
    ------
    DatasetError
        If the folder is no dataset, or no track of it can be trained on.
    """
    source = recognise(root, layout=layout)
    scan = source.scan(root, wishes)
    _check_ids(root, scan)
    folder = target / (name or root.resolve().name)
    shards = [
        scan.tracks[first : first + TRACKS_IN_SHARD]
        for first in range(0, len(scan.tracks), TRACKS_IN_SHARD)
    ]
    outcomes: list[Outcome] = []
    n_reused = 0
    with Parallel(n_jobs=n_jobs, return_as="generator") as workers:
        for number, tracks in enumerate(shards):
            path = shard_path(folder / FEATURES_FOLDER, number)
            inputs = _inputs_digest(root, tracks, scan.spec, source)
            done = read_outcomes(path, inputs=inputs)
            if done is None:
                # What stands there describes features that are about to be replaced.
                (folder / datasets.DESCRIPTION).unlink(missing_ok=True)
                done = []
                features = []
                for outcome, levels in workers(
                    delayed(_read_one)(source, root, track, scan.spec) for track in tracks
                ):
                    done.append(outcome)
                    features.append(levels)
                    progress(len(outcomes) + len(done), len(scan.tracks), "tracks")
                write_shard(path, inputs=inputs, outcomes=done, features=features)
            else:
                n_reused += len(tracks)
            outcomes += done
            progress(len(outcomes), len(scan.tracks), "tracks")
    _remove_leftovers(folder / FEATURES_FOLDER, keep=len(shards))
    table = _table(scan, outcomes, ratios=ratios, rng=np.random.default_rng(seed))
    dataset = _describe(folder, source, scan, table)
    datasets.save(
        dataset,
        details={
            "source": str(root.resolve()),
            "seed": seed,
            "versions": {package: version(package) for package in ("mgr-cli", "numpy")},
        },
    )
    return Preparation(dataset, n_reused)


def _check_ids(root: Path, scan: Scan) -> None:
    if not scan.tracks:
        raise DatasetError(f"{root}: the dataset lists no track")
    seen: set[str] = set()
    for track in scan.tracks:
        if not track.track_id or not (track.genre or track.problem):
            raise DatasetError(f"{root}: {track.path or 'a track'} lacks a track_id or a genre")
        if track.track_id in seen:
            raise DatasetError(f"{root}: track {track.track_id} is listed twice")
        seen.add(track.track_id)


def _inputs_digest(
    root: Path, tracks: tuple[RawTrack, ...], spec: FeatureSpec, source: Source
) -> str:
    def look(track: RawTrack) -> tuple[str, int, int]:
        try:
            status = (root / track.path).stat()
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            return track.path, -1, -1
        return track.path, status.st_size, status.st_mtime_ns

    # A problem is known before reading: it goes in, so that a mended table is read again.
    record = [source.name, asdict(spec), [(*look(track), track.problem) for track in tracks]]
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def _read_one(
    source: Source, root: Path, track: RawTrack, spec: FeatureSpec
) -> tuple[Outcome, np.ndarray | None]:
    path = root / track.path
    try:
        if track.problem:
            raise DatasetError(track.problem)
        if not _stays_below(track.path):
            raise DatasetError("its path leads out of the dataset's folder, or nowhere")
        read = source.read(path, spec)
        digest = sha256(path)
    except MgrError as error:
        return Outcome(status=str(error)), None
    except OSError as error:
        return Outcome(status=f"cannot be read: {error.strerror}"), None
    if not read.features.shape[1]:
        return Outcome(status="too short for one frame"), None
    outcome = Outcome(
        OK, round(read.seconds, 3), read.sample_rate, read.codec, read.decoder, digest
    )
    return outcome, read.features


def _stays_below(path: str) -> bool:
    """Tell whether a table's path names something in its own folder, links followed."""
    parts = PurePath(path)
    return not parts.is_absolute() and ".." not in parts.parts and "\0" not in path


def _remove_leftovers(folder: Path, *, keep: int) -> None:
    """Delete what earlier runs left behind: halves of files, shards of a longer list."""
    for part in (*folder.glob(".*.part"), *folder.parent.glob(".*.part")):
        part.unlink(missing_ok=True)
    for number in count(keep):
        path = shard_path(folder, number)
        if not path.exists():
            return
        path.unlink()


def _table(
    scan: Scan,
    outcomes: list[Outcome],
    *,
    ratios: tuple[float, float, float],
    rng: np.random.Generator,
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {key: _one_line(value) for key, value in (asdict(track) | asdict(outcome)).items()}
        for track, outcome in zip(scan.tracks, outcomes, strict=True)
    ]
    if all(track.split is None for track in scan.tracks):
        usable = [row for row in rows if row["status"] == OK]
        dealt = splits.deal(
            [row["genre"] for row in usable],
            [row["artist"] or row["album"] for row in usable],
            rng=rng,
            ratios=ratios,
        )
        for row, split in zip(usable, dealt, strict=True):
            row["split"] = split
    table = pd.DataFrame(rows, columns=list(datasets.COLUMNS))
    return table.fillna({"split": ""})


def _one_line(value: object) -> object:
    """Escape what a UTF-8 table cannot hold: control characters, undecodable bytes of names."""
    if not isinstance(value, str):
        return value
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", lambda hit: ascii(hit[0])[1:-1], value)


def _describe(folder: Path, source: Source, scan: Scan, table: pd.DataFrame) -> PreparedDataset:
    train = np.flatnonzero(((table.split == "train") & (table.status == OK)).to_numpy())
    if not len(train):
        reasons = table.status[table.status != OK]
        found = f"; the first one: {reasons.iloc[0]}" if len(reasons) else ""
        raise DatasetError(f"{folder.name}: no track to train on among {len(table)}{found}")
    return PreparedDataset(
        root=folder,
        name=folder.name,
        layout=source.name,
        genres=tuple(sorted(set(table.genre[table.status == OK]))),
        spec=scan.spec,
        normalisation=datasets.normalisation_of(ShardReader(folder / FEATURES_FOLDER), train),
        tracks=table,
    )
