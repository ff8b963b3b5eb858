"""What a prepared dataset holds twice, and whether that lies on both sides of a split.

Five kinds of findings, from the strictest down; all but the first two are repeats of a
recording, and every repeat is found, whether it crosses splits or not:

- *artist*, *album*: an artist (where none is known, an album) in more than one split.
- *bytes*: files that are equal byte for byte.
- *equal audio*: features that are equal bit for bit: the same audio in another container,
  lossless codec or with other tags. Rows of hand-crafted features that are equal are
  *equal features*.
- *near-equal audio*: the same recording at another level, encoding, with noise, or cut at
  another place; `fingerprint` says how it is told.

A finding *leaks* if its tracks stand in more than one of train, valid and test; tracks that
are left out of the splits do not. A repeat whose tracks carry unlike genres is a *conflict*:
one of the labels is wrong, or both are right and no model can be.

A group that a stricter kind has named already is not named again, unless it has grown.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mgr_cli.config import SPLITS, Progress, silent
from mgr_cli.data import repeats
from mgr_cli.data.store import OK, ShardReader

Kind = Literal[
    "artist", "album", "bytes", "equal audio", "equal features", "near-equal audio"
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
REPEATS: tuple[Kind, ...] = KINDS[2:]

_N_TIMED = 64  # tracks whose lengths tell the frame rate


@dataclass(frozen=True)
class Finding:
    """Tracks that have something in common that they should not, or not across splits.

    Attributes
    ----------
    kind : {"artist", "album", "bytes", "equal audio", "equal features", "near-equal audio"}
        What they have in common.
    what : str
        Name of the artist or album; else empty.
    tracks, splits, genres : tuple of str
        Track ids in the order of the table, and the split (may be empty) and genre of each.
    similarity : float
        Lowest correlation that ties the group together for near-equal audio; else 1.
    """

    kind: Kind
    what: str
    tracks: tuple[str, ...]
    splits: tuple[str, ...]
    genres: tuple[str, ...]
    similarity: float = 1.0

    @property
    def leaks(self) -> bool:
        """Whether tracks of it stand in more than one of train, valid and test."""
        return len(set(self.splits) & set(SPLITS)) > 1

    @property
    def conflicts(self) -> bool:
        """Whether a repeated recording carries more than one genre."""
        return self.kind in REPEATS and len(set(self.genres)) > 1


@dataclass(frozen=True)
class Audit:
    """All findings about a dataset.

    Attributes
    ----------
    findings : tuple of Finding
        By kind in the order of `KINDS`, then by first track.
    n_tracks : int
        Tracks looked at: those whose status is "ok".
    listened : bool
        Whether the audio was compared, not the table alone.
    """

    findings: tuple[Finding, ...]
    n_tracks: int
    listened: bool

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Findings that lie on both sides of a split."""
        return tuple(finding for finding in self.findings if finding.leaks)

    @property
    def conflicts(self) -> tuple[Finding, ...]:
        """Repeats under more than one genre."""
        return tuple(finding for finding in self.findings if finding.conflicts)

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        """Return the findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def n_affected(self, kind: Kind, *, among: Sequence[Finding] | None = None) -> int:
        """Count the tracks in findings of a kind, each once.

        Parameters
        ----------
        kind : str
            One of `KINDS`.
        among : sequence of Finding, optional
            ``leaks`` or ``conflicts``; all findings by default.
        """
        chosen = self.findings if among is None else among
        return len({track for found in chosen if found.kind == kind for track in found.tracks})

    def table(self) -> pd.DataFrame:
        """Return a row a track and finding, with a number for each finding."""
        rows = [
            (number, found.kind, found.what, track, split, genre, found.leaks,
             found.conflicts, round(found.similarity, 3))
            for number, found in enumerate(self.findings)
            for track, split, genre in zip(found.tracks, found.splits, found.genres, strict=True)
        ]  # fmt: skip
        columns = ["finding", "kind", "what", "track_id", "split", "genre", "leaks",
                   "conflicts", "similarity"]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class _Group:
    kind: Kind
    numbers: tuple[int, ...]
    what: str = ""
    similarity: float = 1.0


def audit(
    tracks: pd.DataFrame,
    reader: ShardReader | None,
    *,
    handcrafted: np.ndarray | None = None,
    progress: Progress = silent,
) -> Audit:
    """Find what a dataset holds twice.

    Parameters
    ----------
    tracks : pd.DataFrame
        A row a track, with the columns track_id, genre, split, status, digest and, to hear
        the audio, seconds; artist and album if there are any. An empty text is unknown.
        Rows whose status is not "ok" are passed over.
    reader : ShardReader or None
        Of the log-mels by row number; without it the audio is not compared.
    handcrafted : np.ndarray [shape=(n_tracks, n_features)], optional
        A row a row of `tracks`; equal rows are reported.
    progress : callable
        Told of the tracks done, twice over: first all are read, then all are compared.

    Raises
    ------
    DatasetError
        If a shard is missing or damaged.
    """
    usable = np.flatnonzero((tracks.status == OK).to_numpy())
    groups = [*_shared_names(tracks, usable), *_equal("bytes", tracks.digest, usable)]
    if reader is not None:
        rate = _frame_rate(tracks, reader, usable)
        equal, near = repeats.find(reader, usable, frame_rate=rate, progress=progress)
        groups += [_Group("equal audio", repeat.numbers) for repeat in equal]
        groups += [
            _Group("near-equal audio", repeat.numbers, similarity=repeat.similarity)
            for repeat in near
        ]
    if handcrafted is not None:
        digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in handcrafted]
        rows = pd.Series(digests, dtype=object)
        groups += _equal("equal features", rows, usable)
    findings = _told(tracks, _without_echoes(groups))
    findings.sort(key=lambda found: KINDS.index(found.kind))
    return Audit(tuple(findings), len(usable), listened=reader is not None)


def _shared_names(tracks: pd.DataFrame, usable: np.ndarray) -> list[_Group]:
    """Group tracks by artist, those without one by album, and keep what crosses splits."""
    blank = pd.Series("", index=tracks.index)
    artist = tracks.get("artist", blank).fillna("").astype(str).str.strip()
    album = tracks.get("album", blank).fillna("").astype(str).str.strip().where(artist == "", "")
    split = tracks.split.to_numpy()
    kinds: tuple[tuple[Kind, pd.Series], ...] = (("artist", artist), ("album", album))
    return [
        _Group(kind, numbers, what=names.iloc[numbers[0]])
        for kind, names in kinds
        for numbers in _alike(names, usable)
        if len({split[number] for number in numbers} & set(SPLITS)) > 1
    ]


def _equal(kind: Kind, keys: "pd.Series[str]", usable: Iterable[int]) -> list[_Group]:
    return [_Group(kind, numbers) for numbers in _alike(keys, usable)]


def _alike(keys: "pd.Series[str]", numbers: Iterable[int]) -> list[tuple[int, ...]]:
    """Return the runs of numbers, two at least, under the same key that is not empty."""
    groups: dict[str, list[int]] = defaultdict(list)
    values = keys.to_numpy()
    for number in numbers:
        if isinstance(values[number], str) and values[number]:
            groups[values[number]].append(int(number))
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _frame_rate(tracks: pd.DataFrame, reader: ShardReader, usable: np.ndarray) -> float:
    """Return the frames a second of the front end that all tracks share."""
    seconds = tracks.seconds.to_numpy()
    rates = [
        reader.n_rows(int(number)) / seconds[number]
        for number in usable[:_N_TIMED]
        if seconds[number] > 0
    ]
    return float(np.median(rates)) if rates else 1.0


def _without_echoes(groups: list[_Group]) -> list[_Group]:
    """Leave out a repeat of exactly the tracks that a stricter kind has named."""
    named: set[tuple[int, ...]] = set()
    kept = []
    for group in sorted(groups, key=lambda group: (KINDS.index(group.kind), group.numbers)):
        if group.kind in REPEATS:
            if group.numbers in named:
                continue
            named.add(group.numbers)
        kept.append(group)
    return kept


def _told(tracks: pd.DataFrame, groups: list[_Group]) -> list[Finding]:
    ids, splits, genres = (
        tracks[name].fillna("").astype(str).to_numpy() for name in ("track_id", "split", "genre")
    )
    findings = []
    for group in groups:
        rows = list(group.numbers)
        findings.append(
            Finding(
                kind=group.kind,
                what=group.what,
                tracks=tuple(ids[rows].tolist()),
                splits=tuple(splits[rows].tolist()),
                genres=tuple(genres[rows].tolist()),
                similarity=group.similarity,
            )
        )
    return findings
