"""From the tracks of a source to shards of features.

Tracks are worked through in shards of fixed membership. What is there already, under the digest
of what would go into it, is not computed again: whole shards, and, of a shard at which a run was
killed, the tracks that were finished. What is missing of a track is computed in one pass over
its file.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from mgr_cli.audio import shown
from mgr_cli.config import Progress
from mgr_cli.data import store
from mgr_cli.data.prepared import DESCRIPTION
from mgr_cli.data.sources import RawTrack, ReadTrack, Scan, Source, Vectors
from mgr_cli.data.store import OK, Outcome
from mgr_cli.errors import DatasetError, MgrError
from mgr_cli.features.normalisation import LARGEST
from mgr_cli.files import sha256
from mgr_cli.plans import Kind, Plan

REVISION = 1
"""Of what is computed. Another one makes everything anew: raise it when numbers change."""

NAMED_COLUMNS = 3  # of those in which a track has no number

Made = dict[Kind, store.Made]
"""What became of one track."""


@dataclass(frozen=True)
class Work:
    """What is to be computed, and where it goes.

    Attributes
    ----------
    source : Source
        How tracks are read.
    root : Path
        Of the tracks' paths.
    scan : Scan
        The tracks, and what is computed of them.
    folder : Path
        Of the prepared dataset.
    """

    source: Source
    root: Path
    scan: Scan
    folder: Path


@dataclass(frozen=True)
class Computed:
    """What came of all tracks.

    Attributes
    ----------
    outcomes : list of Outcome
        One a track: the first that is not "ok" among those of its features, else theirs.
    n_reused : int
        Tracks of which everything was there.
    n_renewed : int
        Tracks of which something was there that is not valid any more.
    """

    outcomes: list[Outcome]
    n_reused: int
    n_renewed: int


def compute(work: Work, pool: Parallel, progress: Progress) -> Computed:
    """Write all shards that are missing.

    Parameters
    ----------
    work : Work
        What is to be done.
    pool : Parallel
        Runs the workers, and yields their results in order.
    progress : callable
        Called after each track.

    Returns
    -------
    Computed
        What came of them.
    """
    outcomes: list[Outcome] = []
    n_reused = n_renewed = 0
    n_tracks = len(work.scan.tracks)
    for first in range(0, n_tracks, store.TRACKS_IN_SHARD):
        numbers = range(first, min(first + store.TRACKS_IN_SHARD, n_tracks))
        shard = _Shard(work, first // store.TRACKS_IN_SHARD, numbers)
        found = shard.found()
        missing = tuple(kind for kind, known in found.items() if known is None)
        if missing:
            # What stands there describes features that are about to be replaced.
            (work.folder / DESCRIPTION).unlink(missing_ok=True)
            n_renewed += len(numbers) * any(shard.path(kind).exists() for kind in missing)
            made, n_known = shard.make(missing, pool, progress)
            found |= made
            n_reused += n_known
        else:
            n_reused += len(numbers)
        outcomes += [_worst(each) for each in zip(*filter(None, found.values()), strict=True)]
        progress(len(outcomes), n_tracks, "tracks")
    return Computed(outcomes, n_reused, n_renewed)


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    return min(outcomes, key=lambda outcome: outcome.status == OK)


@dataclass(frozen=True)
class _Shard:
    work: Work
    place: int
    numbers: range

    def path(self, kind: Kind) -> Path:
        """Return where one kind of its features stands."""
        return store.shard_path(self.work.folder / kind, self.place)

    @property
    def _tracks(self) -> tuple[RawTrack, ...]:
        return self.work.scan.tracks[self.numbers.start : self.numbers.stop]

    @cached_property
    def _looks(self) -> list[tuple[object, ...]]:
        """What tells a track from another or a changed one, as it is before anything is read."""
        # A problem is known before reading: it goes in, so that a mended table is read again.
        if self.work.scan.vectors is not None:
            return [(track.problem,) for track in self._tracks]
        return [(*_look(self.work.root, track), track.problem) for track in self._tracks]

    @cached_property
    def _inputs(self) -> dict[Kind, str]:
        """The digest of all that determines each kind's shard."""
        vectors = self.work.scan.vectors
        values: list[object] = [self._looks]
        if vectors is not None:
            rows = np.ascontiguousarray(vectors.values[self.numbers.start : self.numbers.stop])
            values += [vectors.columns, hashlib.sha256(rows.tobytes()).hexdigest()]
        return {kind: self._digest(kind, values) for kind in self.work.scan.plan.kinds}

    @cached_property
    def _names(self) -> list[dict[Kind, str]]:
        """The digest of all that determines each kind of features, track by track."""
        kinds = self.work.scan.plan.kinds
        return [{kind: self._digest(kind, look)[:32] for kind in kinds} for look in self._looks]

    def _digest(self, kind: Kind, *values: object) -> str:
        record = [REVISION, self.work.source.name, kind, self._plans[kind], values]
        return hashlib.sha256(json.dumps(record).encode()).hexdigest()

    @cached_property
    def _plans(self) -> dict[Kind, dict[str, Any]]:
        plan = self.work.scan.plan
        return {kind: plan.of(kind) for kind in plan.kinds}

    def found(self) -> dict[Kind, list[Outcome] | None]:
        """Return what stands on disk, for each kind of features; None where it is not valid."""
        return {
            kind: store.read_outcomes(self.path(kind), inputs=self._inputs[kind])
            for kind in self.work.scan.plan.kinds
        }

    def make(
        self, kinds: tuple[Kind, ...], pool: Parallel, progress: Progress
    ) -> tuple[dict[Kind, list[Outcome]], int]:
        """Compute some kinds of features and write their shards; count what was known already."""
        made: list[Made] = []
        known = self._known(kinds)
        for track in self._made(kinds, known, pool):
            made.append(track)
            progress(self.numbers.start + len(made), len(self.work.scan.tracks), "tracks")
        for kind in kinds:
            store.write_shard(
                self.path(kind),
                kind=kind,
                inputs=self._inputs[kind],
                outcomes=[track[kind][0] for track in made],
                pieces=[track[kind][1] for track in made],
            )
        for kind in kinds:  # those of workers that were lost too
            store.remove_pieces(self.work.folder / kind)
        outcomes = {kind: [track[kind][0] for track in made] for kind in kinds}
        return outcomes, sum(len(track) == len(kinds) for track in known)

    def _known(self, kinds: tuple[Kind, ...]) -> list[Made]:
        """Return what a run that was killed has left of each track."""
        work = self.work
        if work.scan.vectors is not None:
            return []
        found = [
            {kind: store.read_piece(work.folder / kind, kind, names[kind]) for kind in kinds}
            for names in self._names
        ]
        return [{kind: made for kind, made in track.items() if made is not None} for track in found]

    def _made(self, kinds: tuple[Kind, ...], known: list[Made], pool: Parallel) -> Iterator[Made]:
        work = self.work
        for kind in kinds:
            (work.folder / kind).mkdir(parents=True, exist_ok=True)
        vectors = work.scan.vectors
        if vectors is not None:
            for number, track in zip(self.numbers, self._tracks, strict=True):
                yield _take(vectors.values[number], vectors, track)
            return
        # Absolute, because a worker may have been started elsewhere.
        root, folder = work.root.absolute(), work.folder.absolute()
        read = iter(
            pool(
                delayed(_read)(
                    work.source, root, track, replace(work.scan.plan, kinds=missing), folder, name
                )
                for track, name, found in zip(self._tracks, self._names, known, strict=True)
                if (missing := tuple(kind for kind in kinds if kind not in found))
            )
        )
        for found in known:
            yield found if len(found) == len(kinds) else found | next(read)


def _look(root: Path, track: RawTrack) -> tuple[str, int, int]:
    """Return a file's path, size and time; what is not there has size -1."""
    try:
        status = (root / track.path).stat()
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return track.path, -1, -1
    return track.path, status.st_size, status.st_mtime_ns


def _take(row: np.ndarray, vectors: Vectors, track: RawTrack) -> Made:
    """Take over the features that came with a track."""
    problem = track.problem or _missing(row, vectors.columns)
    if problem:
        return {vectors.kind: (Outcome(status=problem), None)}
    return {vectors.kind: (Outcome(OK), store.take_piece(vectors.kind, row[None]))}


def _missing(row: np.ndarray, columns: Sequence[str]) -> str:
    """Say in which columns a row holds no number that can be used; nothing if in none."""
    places = np.flatnonzero(~np.isfinite(row)).tolist()
    if not places:
        return ""
    named = ", ".join(columns[place] for place in places[:NAMED_COLUMNS])
    more = f" and {len(places) - NAMED_COLUMNS} more" if len(places) > NAMED_COLUMNS else ""
    return (
        f"no number from -{LARGEST:.0e} to {LARGEST:.0e} in {len(places)} of its {len(row)} "
        f"columns: {named}{more}"
    )


def _read(
    source: Source, root: Path, track: RawTrack, plan: Plan, folder: Path, names: dict[Kind, str]
) -> Made:
    """Read one track's file and write what a plan asks for; runs in a worker."""
    path = root / track.path
    try:
        if track.problem:
            raise DatasetError(track.problem)
        if not _stays_below(track.path):
            raise DatasetError("its path leads out of the dataset's folder, or nowhere")
        read = source.read(path, plan)
        digest = sha256(path)
    except MgrError as error:
        # The table has the path in a column of its own.
        reason = str(error).removeprefix(f"{shown(path)}: ").removeprefix(f"{path.name}: ")
        return _bad(plan, reason, folder, names)
    except OSError as error:
        return _bad(plan, f"cannot be read: {error.strerror}", folder, names)
    return _write(read, digest, plan, folder, names)


def _bad(plan: Plan, reason: str, folder: Path, names: dict[Kind, str]) -> Made:
    bad = Outcome(status=reason)
    return {
        kind: store.write_piece(folder / kind, kind, names[kind], bad, []) for kind in plan.kinds
    }


def _write(read: ReadTrack, digest: str, plan: Plan, folder: Path, names: dict[Kind, str]) -> Made:
    good = Outcome(OK, round(read.seconds, 3), read.sample_rate, read.codec, read.decoder, digest)
    made: Made = {}
    for kind in plan.kinds:
        outcome = good
        if kind in read.problems:
            outcome = replace(good, status=read.problems[kind])
        rows = read.features.get(kind, ())
        made[kind] = store.write_piece(folder / kind, kind, names[kind], outcome, rows)
    return made


def _stays_below(path: str) -> bool:
    """Tell whether a table's path names something in its own folder, links followed."""
    parts = PurePath(path)
    return not parts.is_absolute() and ".." not in parts.parts and "\0" not in path
