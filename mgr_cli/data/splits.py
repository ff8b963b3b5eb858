"""Who is trained on, who chooses, who is asked once at the end.

Tracks are split before any segment is cut, so that no track speaks on both sides.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from mgr_cli.config import SPLIT_RATIOS, SPLITS


def stratified(
    genres: Sequence[str],
    *,
    rng: np.random.Generator,
    ratios: tuple[float, float, float] = SPLIT_RATIOS,
) -> list[str]:
    """Deal tracks out to train, valid and test, genre by genre.

    Parameters
    ----------
    genres : sequence of str
        One a track.
    rng : np.random.Generator
        Shuffles the tracks of a genre.
    ratios : tuple of float
        Shares of train, valid and test; they need not sum to one.

    Returns
    -------
    list of str
        The split of each track. Counts within a genre are the ratios rounded by largest
        remainder; valid and test get at least one track each where the genre has three.

    Raises
    ------
    ValueError
        If a ratio is negative or the ratio of train is zero.
    """
    if min(ratios) < 0 or ratios[0] == 0:
        raise ValueError(f"split ratios are {ratios}, expected none negative and some to train on")
    splits = np.empty(len(genres), dtype=object)
    names = np.array(genres, dtype=object)
    for genre in sorted(set(genres)):
        members = rng.permutation(np.flatnonzero(names == genre))
        _, n_valid, n_test = _counts(len(members), ratios)
        splits[members] = "train"
        splits[members[:n_valid]] = "valid"
        splits[members[n_valid : n_valid + n_test]] = "test"
    return splits.tolist()


def digest(splits: Mapping[str, str]) -> str:
    """Return the SHA-256 of a split: which track is where.

    Parameters
    ----------
    splits : mapping
        From track_id to train, valid or test; others are passed over.
    """
    lines = sorted(f"{track}\t{split}\n" for track, split in splits.items() if split in SPLITS)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _counts(n: int, ratios: tuple[float, float, float]) -> list[int]:
    exact = np.array(ratios) / sum(ratios) * n
    counts = np.floor(exact).astype(int)
    for split in np.argsort(counts - exact, kind="stable")[: n - counts.sum()]:
        counts[split] += 1
    for split in (1, 2):
        if n >= 3 and ratios[split] > 0 and counts[split] == 0:
            counts[0] -= 1
            counts[split] += 1
    return [int(count) for count in counts]
