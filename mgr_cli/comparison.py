"""Comparison: whether one entry is better than another, or was luckier.

Two entries that judge the same tracks mostly agree. What tells them apart are the tracks that only
one of them gets right. If they are equally good, each such track is a toss of a coin, and McNemar's
test [1]_ asks how odd the tosses came out. It is exact here, from the binomial distribution and two
sided, for the tosses may be few; where there is none, p is 1. Dietterich [2]_ recommends it for
classifiers that were trained once: the two intervals of their accuracies may well overlap, and the
difference be certain all the same.

It says nothing of another training run with another seed. And the more pairs are tried, the surer
is one to look certain by chance, so the p values are also given as adjusted by Holm [3]_: below
0.05 there, all pairs together go wrong one time in twenty.

How large the difference is stands beside it: accuracy of the first minus that of the second, with a
95 % bootstrap interval for which a track is drawn with both answers (paired).

References
----------
.. [1] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
   percentages", Psychometrika 12(2), 1947. His test is the normal approximation of this one.
.. [2] T. G. Dietterich, "Approximate Statistical Tests for Comparing Supervised Classification
   Learning Algorithms", Neural Computation 10(7), 1998, section 3.1.
.. [3] S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
   Statistics 6(2), 1979.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import binomtest

from mgr_cli import intervals


@dataclass(frozen=True)
class Pair:
    """Two entries on the same tracks.

    Attributes
    ----------
    first, second : str
        Their names.
    n_both, n_first, n_second, n_neither : int
        Tracks that both get right, only the first, only the second, and none.
    p_value, p_adjusted : float
        Of McNemar's exact test, alone and as one of all pairs.
    difference : intervals.Estimate
        Accuracy of the first minus that of the second.
    """

    first: str
    second: str
    n_both: int
    n_first: int
    n_second: int
    n_neither: int
    p_value: float
    p_adjusted: float
    difference: intervals.Estimate


def compare(
    names: Sequence[str], right: np.ndarray, *, rng: np.random.Generator
) -> tuple[Pair, ...]:
    """Compare each entry with each that follows it.

    Parameters
    ----------
    names : sequence of str
        Two entries or more.
    right : np.ndarray [shape=(n_entries, n_tracks)]
        bool: whether an entry is right about a track; the tracks are the same for all.
    rng : np.random.Generator
        Draws tracks for the intervals.

    Returns
    -------
    tuple of Pair
        First with second, first with third, … second with third, …

    Raises
    ------
    ValueError
        If there are fewer than two names, no track, or `right` has another shape or type.
    """
    right = np.asarray(right)
    expected = (len(names), right.shape[-1] if right.ndim else 0)
    if right.dtype != np.bool_ or right.shape != expected or len(names) < 2 or not right.size:
        raise ValueError(
            f"right is {right.dtype} of shape {right.shape}, expected bool, a row for each of "
            f"{len(names)} names, two at least, and a column for each track"
        )
    pairs = [
        _pair((names[one], names[other]), right[one], right[other], rng)
        for one, other in combinations(range(len(names)), 2)
    ]
    adjusted = holm(np.array([pair.p_value for pair in pairs]))
    return tuple(
        replace(pair, p_adjusted=float(value)) for pair, value in zip(pairs, adjusted, strict=True)
    )


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p values for being several, by Holm's steps.

    Parameters
    ----------
    p_values : np.ndarray [shape=(n,)]
        In [0, 1].

    Returns
    -------
    np.ndarray [shape=(n,)]
        In the same order; none is smaller than it was.
    """
    order = np.argsort(p_values)
    n_left = np.arange(len(order), 0, -1)  # hypotheses not yet rejected, at each step
    steps = np.minimum(np.maximum.accumulate(p_values[order] * n_left), 1.0)
    adjusted = np.empty(len(order))
    adjusted[order] = steps
    return adjusted


def _pair(
    names: tuple[str, str], one: np.ndarray, other: np.ndarray, rng: np.random.Generator
) -> Pair:
    n_first, n_second = int((one & ~other).sum()), int((other & ~one).sum())
    tosses = n_first + n_second
    p_value = float(binomtest(n_first, tosses).pvalue) if tosses else 1.0
    return Pair(
        *names,
        n_both=int((one & other).sum()),
        n_first=n_first,
        n_second=n_second,
        n_neither=int((~one & ~other).sum()),
        p_value=p_value,
        p_adjusted=p_value,
        difference=intervals.bootstrap_mean(one.astype(int) - other.astype(int), rng=rng),
    )
