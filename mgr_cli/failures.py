"""Failures: which genres a classifier misses, and what it takes them for, in counts and in words.

One accuracy hides who pays for it: of ten genres one may hardly ever be recognised. So a card keeps
of each genre how many of its tracks were recognised, its *recall*, and the most frequent
*confusions*, and says both in words, as "of 31 country tracks 9 were taken for rock".

The counts are of tracks, after the vote. Confusions are ranked by their number, not by their share:
where genres are of different sizes, those of the large ones come first, and the recalls tell of the
small ones.

References
----------
M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, sections 4.4 and 4.7: the kinds of
error that a confusion matrix shows, group by group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mgr_cli.config import ON_CARDS

KEPT = 20  # confusions that a card keeps: a thousand genres would have a million
TOLD = 5  # of them, in words
NAMED = 3  # genres that share a recall, by their names


@dataclass(frozen=True)
class Recall:
    """How many tracks of a genre were recognised.

    Attributes
    ----------
    genre : str
        The true one.
    n_right, n_tracks : int
        How many were recognised, of how many.
    """

    genre: str
    n_right: int
    n_tracks: int
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        if not 0 <= self.n_right <= self.n_tracks:
            raise ValueError(f"n_right is {self.n_right}, outside 0 to {self.n_tracks}")

    @property
    def share(self) -> float:
        """Share that was recognised, in [0, 1]; of no tracks 0."""
        return self.n_right / max(self.n_tracks, 1)


@dataclass(frozen=True)
class Confusion:
    """How many tracks of a genre were taken for another.

    Attributes
    ----------
    truth, said : str
        The genre that they have, and the one that was said.
    n_taken, n_tracks : int
        How many were taken for it, of how many that have the true one.
    """

    truth: str
    said: str
    n_taken: int
    n_tracks: int
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        if self.truth == self.said:
            raise ValueError("a genre is no confusion with itself")
        if not 1 <= self.n_taken <= self.n_tracks:
            raise ValueError(f"n_taken is {self.n_taken}, outside 1 to {self.n_tracks}")


@dataclass(frozen=True)
class Failures:
    """How a classifier fails on the tracks of a split.

    Attributes
    ----------
    recalls : tuple of Recall
        Of each genre, in class order; one without a track has none of none.
    confusions : tuple of Confusion
        The `KEPT` most frequent ones, those first.
    """

    recalls: tuple[Recall, ...]
    confusions: tuple[Confusion, ...]
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        wrong = {each.genre: each.n_tracks - each.n_right for each in self.recalls}
        sizes = {each.genre: each.n_tracks for each in self.recalls}
        for each in self.confusions:
            if each.said not in sizes or sizes.get(each.truth) != each.n_tracks:
                raise ValueError("a confusion and the recalls differ in genres, or in n_tracks")
            wrong[each.truth] -= each.n_taken
        if min(wrong.values(), default=0) < 0:
            raise ValueError("more tracks of a genre were confused than were not recognised")

    @property
    def genres(self) -> tuple[str, ...]:
        """In class order."""
        return tuple(each.genre for each in self.recalls)

    @property
    def n_tracks(self) -> int:
        """Of all genres."""
        return sum(each.n_tracks for each in self.recalls)


def count(counts: np.ndarray, genres: Sequence[str]) -> Failures:
    """Read the failures off a confusion matrix.

    Parameters
    ----------
    counts : np.ndarray [shape=(n_classes, n_classes)]
        Of tracks, as of `metrics.confusion`: rows are the truth.
    genres : sequence of str
        In class order.

    Returns
    -------
    Failures
        Equally frequent confusions in class order.

    Raises
    ------
    ValueError
        If the matrix has not a row and a column a genre.
    """
    if counts.shape != (len(genres), len(genres)):
        raise ValueError(f"counts has shape {counts.shape}, expected one row a genre, and column")
    sizes = counts.sum(axis=1).tolist()
    recalls = map(Recall, genres, counts.diagonal().tolist(), sizes)
    wrong = np.argwhere((counts > 0) & ~np.eye(len(genres), dtype=bool)).tolist()
    wrong.sort(key=lambda cell: -counts[cell[0], cell[1]])  # stable
    confusions = (
        Confusion(genres[truth], genres[said], int(counts[truth, said]), sizes[truth])
        for truth, said in wrong[:KEPT]
    )
    return Failures(tuple(recalls), tuple(confusions))


def sentences(found: Failures, *, limit: int = TOLD) -> tuple[str, ...]:
    """Say how a classifier fails: what it recognises least and best, and what it confuses.

    Parameters
    ----------
    found : Failures
        Of at least one track.
    limit : int
        Confusions that are told. Those of a single track are, only where there are no others.

    Returns
    -------
    tuple of str
        Without capitals and full stops, to be set in a table or in prose.
    """
    repeated = [each for each in found.confusions if each.n_taken > 1]
    absent = [each.genre for each in found.recalls if not each.n_tracks]
    return (
        *_extremes([each for each in found.recalls if each.n_tracks]),
        *(_taken(each) for each in (repeated or found.confusions)[:limit]),
        *([f"of {_listed(absent)} there was no track: nobody knows"] if absent else []),
    )


def _extremes(recalls: list[Recall]) -> list[str]:
    """Say which genres are recognised least, and which best."""
    shares = [each.share for each in recalls]
    if not recalls:
        return []
    if min(shares) == max(shares):
        return [f"each genre is recognised as often as any other ({_proportion(recalls)})"]
    extremes = ((min(shares), "least"), (max(shares), "best"))
    return [_recognised([r for r in recalls if r.share == share], how) for share, how in extremes]


def _recognised(recalls: list[Recall], how: str) -> str:
    verb = "is" if len(recalls) == 1 else "are"
    named = _listed([each.genre for each in recalls])
    return f"{named} {verb} recognised {how} ({_proportion(recalls)})"


def _proportion(recalls: list[Recall]) -> str:
    """Say of how many tracks which share was recognised; no share but all of them reads 100 %."""
    n_right, n_tracks = (sum(each.n_right for each in recalls), sum(r.n_tracks for r in recalls))
    if n_right in (0, n_tracks):
        share = "all" if n_right else "none"
    else:
        share = f"{min(max(round(100 * n_right / n_tracks), 1), 99)} %"
    return f"{share} of {n_tracks:,} track{'s' * (n_tracks > 1)}"


def _taken(found: Confusion) -> str:
    if found.n_tracks == 1:
        return f"the one {found.truth} track was taken for {found.said}"
    taken = f"{found.n_taken:,} {'was' if found.n_taken == 1 else 'were'} taken for {found.said}"
    return f"of {found.n_tracks:,} {found.truth} tracks {taken}"


def _listed(genres: list[str]) -> str:
    """Name a few genres, and say how many others there are."""
    n_others = len(genres) - NAMED
    if n_others > 0:
        return f"{', '.join(genres[:NAMED])} and {n_others} other{'s' * (n_others > 1)}"
    return " and ".join(filter(None, (", ".join(genres[:-1]), genres[-1])))
