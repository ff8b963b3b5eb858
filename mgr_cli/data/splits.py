"""Who is trained on, who chooses, who is asked once at the end.

Tracks are split before any segment is cut, so that no track speaks on both sides.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from mgr_cli.config import SPLIT_RATIOS, SPLITS, Split

MIN_FOLDS = 3


def deal(
    genres: Sequence[str],
    groups: Sequence[str],
    *,
    rng: np.random.Generator,
    ratios: tuple[float, float, float] = SPLIT_RATIOS,
) -> list[str]:
    """Deal tracks out to train, valid and test, genre by genre, groups kept together.

    Parameters
    ----------
    genres, groups : sequence of str
        One a track. Tracks of one group, an artist or an album, end in one split; an empty
        group is a group of its own.
    rng : np.random.Generator
        Shuffles the groups.
    ratios : tuple of float
        Shares of train, valid and test; they need not sum to one.

    Returns
    -------
    list of str
        The split of each track. Groups go, the largest first, to where their genres are
        most wanting, so that where all are small the counts within a genre are the ratios
        rounded; valid and test get a track each where a genre has three groups.

    Raises
    ------
    ValueError
        If a ratio is negative or the ratio of train is zero.

    References
    ----------
    After the greedy rule of K. Sechidis et al., "On the stratification of multi-label data",
    ECML PKDD 2011, with groups in the place of examples.
    """
    if len(ratios) != len(SPLITS) or min(ratios) < 0 or ratios[0] == 0:
        raise ValueError(f"split ratios are {ratios}, expected none negative and some to train on")
    return [SPLITS[hand] for hand in _dealt(genres, groups, ratios, rng)]


def fold(
    genres: Sequence[str], groups: Sequence[str], *, rng: np.random.Generator, n_folds: int
) -> list[int]:
    """Deal tracks out to folds of equal size, genre by genre, groups kept together.

    Parameters
    ----------
    genres, groups, rng
        As for `deal`.
    n_folds : int
        Three at least: one to test, one to choose by, the rest to train on.

    Returns
    -------
    list of int
        The fold of each track, from 0.

    Raises
    ------
    ValueError
        If there are fewer than three folds.
    """
    if n_folds < MIN_FOLDS:
        raise ValueError(f"{n_folds} folds, expected {MIN_FOLDS} at least")
    return _dealt(genres, groups, (1.0,) * n_folds, rng)


def split_of_fold(fold: int, *, tested: int, n_folds: int) -> Split:
    """Return the split of a fold in the round where `tested` is the test split.

    The fold after it is the validation split, all others are trained on.
    """
    if fold == tested:
        return "test"
    return "valid" if fold == (tested + 1) % n_folds else "train"


def _dealt(
    genres: Sequence[str], groups: Sequence[str], ratios: Sequence[float], rng: np.random.Generator
) -> list[int]:
    """Return the number of the hand that each track is dealt to."""
    members: dict[str, list[int]] = {}
    for track, group in enumerate(groups):
        members.setdefault(group or f"\0{track}", []).append(track)
    names, label = np.unique(np.array(genres, dtype=object), return_inverse=True)
    counts = [_counts(int(n), ratios) for n in np.bincount(label)]
    wanted = np.array(counts, dtype=float).reshape(-1, len(ratios))
    if len(set(ratios)) == 1:  # hands that are equal take turns at the genres' remainders
        before = np.cumsum(wanted.sum(axis=1)) - wanted.sum(axis=1)
        wanted = np.array([np.roll(row, int(n)) for row, n in zip(wanted, before, strict=True)])
    listed = list(members)
    order = [listed[place] for place in rng.permutation(len(listed))]
    hands = np.empty(len(genres), dtype=int)
    for group in sorted(order, key=lambda name: -len(members[name])):
        tracks = members[group]
        brings = np.bincount(label[tracks], minlength=len(names))
        # How much of what the group brings each hand still wants, as a share of its needs.
        room = np.minimum(wanted, brings[:, None]).clip(0).sum(axis=0)
        hand = int(np.lexsort((-wanted[brings > 0].sum(axis=0), -room))[0])
        hands[tracks] = hand
        wanted[:, hand] -= brings
    return hands.tolist()


def digest(splits: Mapping[str, str]) -> str:
    """Return the SHA-256 of a split: which track is where.

    Parameters
    ----------
    splits : mapping
        From track_id to train, valid or test; others are passed over.
    """
    lines = sorted(f"{track}\t{split}\n" for track, split in splits.items() if split in SPLITS)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _counts(n: int, ratios: Sequence[float]) -> list[int]:
    exact = np.array(ratios) / sum(ratios) * n
    counts = np.floor(exact).astype(int)
    for hand in np.argsort(counts - exact, kind="stable")[: n - counts.sum()]:
        counts[hand] += 1
    for hand in range(1, len(ratios)):
        if n >= len(ratios) and ratios[hand] > 0 and counts[hand] == 0:
            counts[0] -= 1
            counts[hand] += 1
    return [int(count) for count in counts]
