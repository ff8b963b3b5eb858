"""Who is trained on, who chooses, who is asked once at the end.

Tracks are split before any segment is cut, so that no track speaks on both sides.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from mgr_cli.config import SPLIT_RATIOS, SPLITS


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
    if min(ratios) < 0 or ratios[0] == 0:
        raise ValueError(f"split ratios are {ratios}, expected none negative and some to train on")
    members: dict[str, list[int]] = {}
    for track, group in enumerate(groups):
        members.setdefault(group or f"\0{track}", []).append(track)
    names, label = np.unique(np.array(genres, dtype=object), return_inverse=True)
    wanted = np.array([_counts(int(n), ratios) for n in np.bincount(label)], dtype=float)
    order = [list(members)[place] for place in rng.permutation(len(members))]
    splits = np.empty(len(genres), dtype=object)
    for group in sorted(order, key=lambda name: -len(members[name])):
        tracks = members[group]
        brings = np.bincount(label[tracks], minlength=len(names))
        # How much of what the group brings each split still wants, as a share of its needs.
        room = np.minimum(wanted, brings[:, None]).clip(0).sum(axis=0)
        split = int(np.lexsort((-wanted[brings > 0].sum(axis=0), -room))[0])
        splits[tracks] = SPLITS[split]
        wanted[:, split] -= brings
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
