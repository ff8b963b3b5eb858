"""Trust: from which confidence on an answer is believed, and below which it is "unsure".

Who may say "I do not know" is right more often where he answers. *Selective classification* [1]_
names the two sides of that: the *precision*, the share of right answers among those that are
believed (one less the selective risk), and the *coverage*, the share of tracks that get one. The
confidence, the probability of the winner, is what tracks are chosen by, as in [2]_.

A threshold is chosen for a precision that is wanted: the lowest confidence such that enough of the
validation tracks at least as sure are right. On new tracks such a threshold falls short, for of
many it is the one that did well on these. [2]_ guards against that by a bound that holds in nearly
all samples, and gives up nearly all coverage for it where there are 200 tracks. Ours counts one
track more, and that one wrong, as [3]_ do: of n believed tracks r are right, and r / (n + 1) must
reach what is wanted. (Their proof wants a loss that falls with the threshold, and the precision
need not rise with it, so here it is a rule of thumb.)

Measured on the validation tracks of the thirteen entries of our zoo (80 to 800 each; temperature
and threshold by five-fold cross-validation, twenty times), for a wanted precision of 80 %: of the
left out tracks that were believed, thresholds by r / n had 78.1 % right on average over the
entries, 73.6 % for the worst; ours 79.4 %, and 75.9 %. So the precision on a card, which is that on
the very tracks that chose, is two or three points above what comes. And it is of music like theirs:
other music is another matter.

References
----------
.. [1] R. El-Yaniv, Y. Wiener, "On the Foundations of Noise-free Selective Classification", Journal
   of Machine Learning Research 11, 2010: risk and coverage.
.. [2] Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017:
   softmax response, and thresholds for a wanted risk.
.. [3] A. N. Angelopoulos, S. Bates, A. Fisch, L. Lei, T. Schuster, "Conformal Risk Control", ICLR
   2024.
.. [4] E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
   Journal of the American Statistical Association 22 (158), 1927.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mgr_cli.config import ON_CARDS, PRECISION

_DECIMALS = 9  # confidences that differ by less are one
_Z = 1.959964  # deviations of a normal that hold 95 % of it


@dataclass(frozen=True)
class Trust:
    """From which confidence on an entry is believed, as its validation split has it.

    Attributes
    ----------
    wanted : float
        Share of right answers that was asked for, in (0, 1].
    threshold : float
        Lowest confidence that is believed; 1 if none is.
    precision : float
        Share of right answers among the validation tracks that are believed, 0 if there are none.
    coverage : float
        Their share of all.
    n_tracks : int
        All validation tracks that it was measured on.
    """

    wanted: float
    threshold: float
    precision: float
    coverage: float
    n_tracks: int
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        for name in ("wanted", "threshold", "precision", "coverage"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, outside 0 to 1")
        if self.n_tracks < 1:
            raise ValueError(f"n_tracks is {self.n_tracks}, expected at least 1")

    def believes(self, confidence: float) -> bool:
        """Tell whether an answer of some confidence is believed."""
        return self.coverage > 0 and confidence >= self.threshold


def choose(confidence: np.ndarray, right: np.ndarray, *, wanted: float = PRECISION) -> Trust:
    """Choose the threshold that believes the most tracks and keeps a wanted precision.

    Parameters
    ----------
    confidence : np.ndarray [shape=(n_tracks,)]
        Of the answers, in [0, 1]. Equal ones are believed together or not at all.
    right : np.ndarray [shape=(n_tracks,)]
        Whether the answers are.
    wanted : float
        Share of right answers, in (0, 1). It must be reached with one more wrong one.

    Returns
    -------
    Trust
        Its threshold lies halfway to the next lower confidence, or to 0, so that no rounding
        decides. If nothing reaches what is wanted, it is 1 and nothing is believed.

    Raises
    ------
    ValueError
        If there is no track, the lengths differ, or `wanted` is out of its range.
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, bool)
    if confidence.ndim != 1 or confidence.shape != right.shape or not len(right):
        raise ValueError(f"confidence has shape {confidence.shape} and right {right.shape}")
    if not 0 < wanted < 1:
        raise ValueError(f"wanted is {wanted}, outside 0 to 1")
    levels, place = np.unique(confidence.round(_DECIMALS), return_inverse=True)
    # For each level, how many are as sure or surer, and how many of them are right.
    n = np.bincount(place)[::-1].cumsum()[::-1]
    n_right = np.bincount(place, right)[::-1].cumsum()[::-1]
    enough = np.flatnonzero(n_right >= wanted * (n + 1) - 1e-9)  # 4 of 4 and a wrong one are 80 %
    if not len(enough):
        return Trust(wanted, 1.0, 0.0, 0.0, len(right))
    lowest = int(enough[0])
    below = levels[lowest - 1] if lowest else 0.0
    return Trust(
        wanted=wanted,
        threshold=float((levels[lowest] + below) / 2),
        precision=float(n_right[lowest] / n[lowest]),
        coverage=float(n[lowest] / len(right)),
        n_tracks=len(right),
    )


def interval(n_right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of independent answers, by Wilson [4]_.

    Believed tracks may be few and all of them right. To draw of them with replacement, as for
    other scores, would then find no doubt at all.

    Parameters
    ----------
    n_right, n : int
        How many of how many, one at least.
    """
    share, extra = n_right / n, _Z**2 / n
    middle = (share + extra / 2) / (1 + extra)
    reach = np.sqrt(share * (1 - share) * extra + extra**2 / 4) / (1 + extra)
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))
