"""Tracks whose log-mels say that they are one recording.

First the equal ones, by a digest of their features; one of each goes on. Of those the nearest
are aligned, and what agrees is tied into groups, with the equal ones behind them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mgr_cli.config import Progress, silent
from mgr_cli.data.fingerprint import (
    LISTENED_SECONDS,
    MIN_SCORE,
    Sketch,
    align,
    describe,
    sketch,
)
from mgr_cli.data.nearest import candidates
from mgr_cli.data.store import ShardReader

_FRAMES_AT_ONCE = 16_384


@dataclass(frozen=True)
class Repeat:
    """Numbers of tracks that are one recording, and the lowest correlation that ties them."""

    numbers: tuple[int, ...]
    similarity: float = 1.0


def find(
    reader: ShardReader,
    numbers: Sequence[int] | np.ndarray,
    *,
    frame_rate: float,
    progress: Progress = silent,
) -> tuple[list[Repeat], list[Repeat]]:
    """Group tracks that are one recording.

    Parameters
    ----------
    reader : ShardReader
        Of log-mels.
    numbers : sequence of int
        The tracks to compare, in ascending order.
    frame_rate : float
        Frames a second of the features.
    progress : callable
        Told of the tracks read, of those compared, and of the pairs aligned.

    Returns
    -------
    equal : list of Repeat
        Features that are the same bit for bit.
    near : list of Repeat
        Groups that an alignment ties together; the equal ones of each member are in them.

    Raises
    ------
    DatasetError
        If a shard is missing or damaged.
    """
    sketches = Sketches(partial(_sketch, reader, frame_rate))
    copies: dict[str, list[int]] = defaultdict(list)
    descriptions = np.empty((len(numbers), 0), np.float32)
    for done, number in enumerate(map(int, numbers)):
        same = copies[digest(reader, number)]
        same.append(number)
        if len(same) == 1:
            description = describe(sketches[number])
            if not descriptions.size:
                descriptions = np.empty((len(numbers), len(description)), np.float32)
            descriptions[len(copies) - 1] = description
        progress(done + 1, len(numbers), "listening to tracks")
    unlike = np.array([same[0] for same in copies.values()], np.int64)
    pairs = unlike[candidates(descriptions[: len(unlike)], progress=progress)]
    equal = [Repeat(tuple(same)) for same in copies.values() if len(same) > 1]
    return equal, _tied(equal, _linked(sketches, pairs, progress))


def digest(reader: ShardReader, number: int) -> str:
    """Return a digest of a track's features, read a block at a time."""
    n_frames = reader.n_rows(number)
    seen = hashlib.blake2b(repr(n_frames).encode(), digest_size=16)
    for start in range(0, n_frames, _FRAMES_AT_ONCE):
        block = reader.frames(number, start, start + _FRAMES_AT_ONCE)
        seen.update(np.ascontiguousarray(block).tobytes())
    return seen.hexdigest()


class Sketches:
    """The sketches of tracks by number, the last ones used kept within a budget of bytes.

    Parameters
    ----------
    read : callable
        Makes the sketch of a track by its number.
    """

    BUDGET = 256 * 2**20  # bytes; all of GTZAN's 999 tracks are 50 MB

    def __init__(self, read: Callable[[int], Sketch]) -> None:
        self._read = read
        self._kept: dict[int, Sketch] = {}  # the one used last stands last
        self._bytes = 0

    def __getitem__(self, number: int) -> Sketch:
        found = self._kept.pop(number, None)
        if found is None:
            found = self._read(number)
            self._bytes += found.contrast.nbytes
            while self._kept and self._bytes > self.BUDGET:
                oldest = next(iter(self._kept))
                self._bytes -= self._kept.pop(oldest).contrast.nbytes
        self._kept[number] = found
        return found


def _sketch(reader: ShardReader, frame_rate: float, number: int) -> Sketch:
    listened = round(LISTENED_SECONDS * frame_rate)
    return sketch(reader.frames(number, 0, listened), frame_rate=frame_rate)


def _linked(
    sketches: Sketches, pairs: np.ndarray, progress: Progress
) -> list[tuple[float, int, int]]:
    """Return the pairs that are one recording, each behind its correlation, best first."""
    links = []
    for done, (first, second) in enumerate(pairs.tolist()):
        alignment = align(sketches[first], sketches[second])
        if alignment.score >= MIN_SCORE:
            links.append((min(alignment.similarity, 1.0), first, second))
        progress(done + 1, len(pairs), "aligning tracks")
    return sorted(links, key=lambda link: -link[0])


def _tied(equal: list[Repeat], links: list[tuple[float, int, int]]) -> list[Repeat]:
    """Join linked tracks, and what equals them, into groups."""
    group_of: dict[int, set[int]] = {}
    weakest: dict[int, float] = {}  # by the identity of a group
    for repeat in equal:
        group = set(repeat.numbers)  # one set, that all its members share
        group_of.update((number, group) for number in group)
    for similarity, first, second in links:
        a = group_of.setdefault(first, {first})
        b = group_of.setdefault(second, {second})
        if a is b:
            continue
        small, large = sorted((a, b), key=len)
        large |= small
        group_of.update((number, large) for number in small)
        weakest[id(large)] = similarity  # the best came first, so none before was weaker
    joined = {id(group): group for group in group_of.values() if id(group) in weakest}
    return [Repeat(tuple(sorted(group)), weakest[key]) for key, group in joined.items()]
