"""Preparing: from somebody's tracks to features, splits and a table.

Features are computed in shards (`data.computation`), so that a run that was killed takes up
where it was and ends with the same bytes; features that are asked for later are added to those
that are there. A bad track gets a status, never an exception. One run at a time works on a
dataset.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from mgr_cli.config import SEED, SPLIT_RATIOS, Engine, Progress, silent
from mgr_cli.data import dataset as datasets
from mgr_cli.data import prepared, splits, store
from mgr_cli.data.computation import Work, compute
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.remarks import remarks
from mgr_cli.data.sources import Scan, Wishes, recognise
from mgr_cli.data.store import OK, Outcome
from mgr_cli.engines import workers
from mgr_cli.errors import DatasetError
from mgr_cli.features import handcrafted

NOTHING_SPECIAL = Wishes()


@dataclass(frozen=True)
class Dealing:
    """How tracks are dealt out where the dataset's own split is not taken.

    Attributes
    ----------
    ratios : tuple of float
        Of train, valid and test.
    n_folds : int
        Folds instead, if not 0: the first is the test split, the second the validation split.
    seed : int
        Of the dealing.
    """

    ratios: tuple[float, float, float] = SPLIT_RATIOS
    n_folds: int = 0
    seed: int = SEED


DEALING = Dealing()


@dataclass(frozen=True)
class Preparation:
    """What `prepare` made.

    Attributes
    ----------
    dataset : PreparedDataset
        With a status for each track.
    n_reused : int
        Tracks of which everything was there already.
    n_renewed : int
        Tracks that were read again, because their files or what is computed have changed.
    n_gone : int
        Tracks that the last run had found, and this one has not.
    notes : tuple of str
        What else is to be known of it, a line each.
    """

    dataset: PreparedDataset
    n_reused: int
    n_renewed: int
    n_gone: int
    notes: tuple[str, ...] = ()

    @property
    def bad(self) -> list[tuple[str, str]]:
        """Return (path, reason) of every track that could not be used."""
        table = self.dataset.tracks
        rows = table[table.status != OK]
        named = rows.path.where(rows.path != "", rows.track_id)
        return list(zip(named, rows.status, strict=True))


def prepare(
    root: Path,
    *,
    target: Path,
    name: str | None = None,
    layout: str | None = None,
    wishes: Wishes = NOTHING_SPECIAL,
    dealing: Dealing = DEALING,
    engine: Engine = "local",
    scheduler: str | None = None,
    n_jobs: int = -1,
    progress: Progress = silent,
) -> Preparation:
    """Make a prepared dataset.

    Parameters
    ----------
    root : Path
        A folder, or a table of features.
    target : Path
        Folder of the prepared datasets; this one gets a folder `name` in it.
    name : str, optional
        That of `root` by default.
    layout : str, optional
        Name of a source; recognised by default.
    wishes : Wishes
        What is asked of the source: which features, another front end, a subset …
    dealing : Dealing
        How tracks are split where the dataset has no split of its own. Folds are dealt even
        where it has one.
    engine : {"local", "dask", "ray", "spark"}
        Where the work is done, see `engines.workers`.
    scheduler : str, optional
        Address of a cluster.
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
        If there is no dataset, no track of it can be trained on, it does not have the features
        that are asked for, or another run is at work on it.
    EngineError
        If the cluster cannot be reached.
    """
    if dealing.n_folds:
        wishes = replace(wishes, own_split=False)
    source = recognise(root, layout=layout)
    scan = source.scan(root, wishes)
    _check_ids(root, scan)
    whole = root.resolve()
    folder = target / (name or (whole.name if root.is_dir() else whole.stem))
    base = root if root.is_dir() else root.parent
    with _alone(folder), workers(engine, scheduler=scheduler, n_jobs=n_jobs) as pool:
        _check_source(folder, whole)
        gone = prepared.track_ids(folder) - {_one_line(track.track_id) for track in scan.tracks}
        done = compute(Work(source, base, scan, folder), pool, progress)
        _remove_leftovers(folder, scan)
        dataset = _describe(folder, whole, source.name, scan, _table(scan, done.outcomes, dealing))
        prepared.save(
            dataset,
            details={
                "seed": dealing.seed,
                "versions": {package: version(package) for package in ("mgr-cli", "numpy")},
            },
        )
    notes = (*scan.notes, *remarks(dataset))
    return Preparation(dataset, done.n_reused, done.n_renewed, len(gone), notes)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other runs away from a dataset; a run that dies lets go of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise DatasetError(
            f"{folder}: another `mgr prepare` is at work on it; wait for it, or choose another "
            "--name"
        ) from error


def _check_source(folder: Path, root: Path) -> None:
    """Refuse to put one dataset in the place of another."""
    older = prepared.source_of(folder)
    if older not in (None, str(root)):
        raise DatasetError(
            f"{folder}: was prepared from {older}, not from {root}; choose another --name, or "
            "delete it"
        )


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


def _remove_leftovers(folder: Path, scan: Scan) -> None:
    """Delete what earlier runs left behind: pieces, halves of files, shards of a longer list."""
    for part in (*folder.glob(".*.part"), *folder.glob("*/.*.part")):
        part.unlink(missing_ok=True)
    n_shards = -(-len(scan.tracks) // store.TRACKS_IN_SHARD)
    for kind in scan.plan.kinds:
        for number in count(n_shards):
            path = store.shard_path(folder / kind, number)
            if not path.exists():
                break
            path.unlink()


def _table(scan: Scan, outcomes: list[Outcome], dealing: Dealing) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {"fold": ""}
        | {key: _one_line(value) for key, value in (vars(track) | vars(outcome)).items()}
        for track, outcome in zip(scan.tracks, outcomes, strict=True)
    ]
    if all(track.split is None for track in scan.tracks):
        _deal([row for row in rows if row["status"] == OK], dealing)
    table = pd.DataFrame(rows, columns=list(datasets.COLUMNS))
    return table.fillna({"split": ""})


def _deal(rows: list[dict[str, Any]], dealing: Dealing) -> None:
    """Give each track its split, and its fold."""
    genres = [row["genre"] for row in rows]
    groups = [row["artist"] or row["album"] for row in rows]
    rng = np.random.default_rng(dealing.seed)
    if not dealing.n_folds:
        dealt = splits.deal(genres, groups, rng=rng, ratios=dealing.ratios)
        for row, split in zip(rows, dealt, strict=True):
            row["split"] = split
        return
    folds = splits.fold(genres, groups, rng=rng, n_folds=dealing.n_folds)
    for row, fold in zip(rows, folds, strict=True):
        row["fold"] = str(fold)
        row["split"] = splits.split_of_fold(fold, tested=0, n_folds=dealing.n_folds)


def _one_line(value: object) -> object:
    """Escape what a UTF-8 table cannot hold: control characters, undecodable bytes of names."""
    if not isinstance(value, str):
        return value
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", lambda hit: ascii(hit[0])[1:-1], value)


def _describe(
    folder: Path, root: Path, layout: str, scan: Scan, table: pd.DataFrame
) -> PreparedDataset:
    if not ((table.split == "train") & (table.status == OK)).any():
        bad = table[table.status != OK]
        named = bad.path.where(bad.path != "", bad.track_id)
        found = "; deal out another split with --split random"
        if len(bad):
            found = f"; the first bad one, {named.iloc[0]}: {bad.status.iloc[0]}"
        raise DatasetError(f"{folder.name}: no track to train on among {len(table)}{found}")
    vectors = scan.vectors
    computed = handcrafted.NAMES if "handcrafted" in scan.plan.kinds else ()
    dataset = PreparedDataset(
        root=folder,
        name=folder.name,
        layout=layout,
        genres=tuple(sorted(set(table.genre[table.status == OK]))),
        plan=scan.plan,
        tracks=table,
        columns=vectors.columns if vectors else computed,
        origin=vectors.origin if vectors else "",
        source=str(root),
    )
    return datasets.normalised(dataset)
