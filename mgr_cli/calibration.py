"""Calibration: whether a classifier that says 70 % is right seven times in ten.

The confidence of an answer is the probability of its winner. Tracks are sorted into bins by
confidence, and in each the mean confidence is held against the share that is right [1]_ [2]_.
The *expected calibration error* (ECE) is the mean of these gaps, each weighed by its tracks; the
*maximum* one (MCE) is the widest. Both are shares, 0 at best. A bin holds its upper edge and not
its lower one, (low, high], as in [2]_.

Few tracks make gaps by chance: on the 197 of GTZAN's validation split an honest classifier would
show an ECE of 8 points in 15 bins. So an ECE is to be read beside `chance_ece`, what it would be on
average if every confidence were true [3]_. Log loss and Brier score [4]_ need no bins, and mix
calibration with skill.

*Temperature scaling* [2]_ divides the logits by one number T: above 1 it softens, below 1 it
sharpens. No segment changes its mind; only how sure it is changes, and where segments disagree
their pooled answer may. Guo fits T on single examples. Ours is fitted on tracks: each segment is
tempered, the segments of a track vote, and T is what minimises the log loss of the votes, for the
confidence of a track is what people read. The two differ. A mean of sure segments that disagree is
unsure, so that tracks are often too modest where their segments are too bold, and T is below the
one that the segments alone would ask for.

Probabilities are enough: the logits of a softmax are their logarithms, but for a constant.
Fit on the validation split, and judge on another: on the tracks it was fitted to, T flatters.

References
----------
.. [1] M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining Well Calibrated Probabilities Using
   Bayesian Binning", AAAI 2015: ECE and MCE.
.. [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
   ICML 2017: equations 2, 3 and 5 (ECE, 15 bins of equal width), 9 (temperature scaling).
.. [3] J. Bröcker, L. A. Smith, "Increasing the Reliability of Reliability Diagrams", Weather and
   Forecasting 22(3), 2007: consistency resampling.
.. [4] G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather
   Review 78(1), 1950, equation 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from mgr_cli import metrics, votes
from mgr_cli.config import N_BOOTSTRAP, VOTE, VoteRule

N_BINS = 15
TEMPERATURES = (0.05, 20.0)  # lowest and highest that are tried

_STARTS = 13  # temperatures tried first, 1 among them: the loss of a vote may have several minima
# What float32 still tells from zero, as in `votes`: no segment says "impossible".
_FLOOR = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Bin:
    """The tracks of about one confidence.

    Attributes
    ----------
    low, high : float
        Confidences in (low, high] belong to it.
    n : int
        Tracks in it, one at least.
    confidence, accuracy : float
        Their mean confidence, and the share that is right.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How far confidences can be relied on.

    Attributes
    ----------
    ece, mce : float
        Expected and maximum calibration error, in [0, 1].
    log_loss : float
        In nats.
    brier : float
        Mean squared distance of a track's probabilities from the truth, summed over the classes,
        in [0, 2].
    bins : tuple of Bin
        Those that hold a track, by confidence.
    """

    ece: float
    mce: float
    log_loss: float
    brier: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Calibration:
    """What a temperature does for a classifier.

    Attributes
    ----------
    temperature : float
        By which its logits are divided, besides any by which they already were.
    n_tracks_fitted : int
        Tracks that it was fitted to.
    before, after : Reliability
        Of the judged tracks.
    """

    temperature: float
    n_tracks_fitted: int
    before: Reliability
    after: Reliability


def reliability(probs: np.ndarray, truth: np.ndarray, *, n_bins: int = N_BINS) -> Reliability:
    """Hold the confidences of answers against how often they are right.

    Parameters
    ----------
    probs : np.ndarray [shape=(n, n_classes)]
        Probabilities of tracks (or segments). The winner of a row is its first maximum; where
        a majority is tied, `votes.decide` may name another.
    truth : np.ndarray [shape=(n,)]
        Class indices in [0, n_classes).
    n_bins : int
        Of equal width over (0, 1].

    Raises
    ------
    ValueError
        If there are no rows, the lengths differ, an index is out of range, a probability is
        outside [0, 1], or `n_bins` is not positive.
    """
    log_loss = metrics.log_loss(probs, truth)  # which looks at both
    probs = np.asarray(probs, dtype=np.float64)
    confidence = probs.max(axis=1)
    bins = _sorted_in(confidence, metrics.top_k(probs, truth, k=1), _edges(n_bins))
    gaps = np.array([abs(each.accuracy - each.confidence) for each in bins])
    shares = np.array([each.n for each in bins]) / len(probs)
    return Reliability(
        ece=float(gaps @ shares),
        mce=float(gaps.max()),
        log_loss=log_loss,
        brier=float(((probs - np.eye(probs.shape[1])[truth]) ** 2).sum(axis=1).mean()),
        bins=bins,
    )


def chance_ece(
    probs: np.ndarray,
    *,
    rng: np.random.Generator,
    n_bins: int = N_BINS,
    n_resamples: int = N_BOOTSTRAP,
) -> float:
    """Return the ECE that these confidences would show on average if they were all true.

    Parameters
    ----------
    probs : np.ndarray [shape=(n, n_classes)]
        Probabilities of tracks, one at least.
    rng : np.random.Generator
        Draws which of them are right.
    n_bins : int
        As in `reliability`.
    n_resamples : int
        How often that is drawn.
    """
    confidence = np.asarray(probs, dtype=np.float64).max(axis=1)
    place = np.digitize(confidence, _edges(n_bins)[1:-1], right=True)
    total = 0.0
    for _ in range(n_resamples):
        excess = (rng.random(len(confidence)) < confidence) - confidence
        total += float(np.abs(np.bincount(place, excess)).sum())
    return total / len(confidence) / n_resamples


def tempered(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Make probabilities softer (above 1) or sharper (below 1), as if their logits were divided.

    Parameters
    ----------
    probs : np.ndarray [shape=(..., n_classes)]
        Probabilities. Those below what float32 tells from zero are lifted to that.
    temperature : float
        Positive.

    Returns
    -------
    np.ndarray [shape=(..., n_classes)]
        float64, ``p ** (1 / temperature)`` scaled to sum to one.

    Raises
    ------
    ValueError
        If the temperature is not positive, or a probability is outside [0, 1].
    """
    probs = np.asarray(probs, dtype=np.float64)
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is {temperature}, expected a positive number")
    if not ((probs >= 0) & (probs <= 1)).all():
        raise ValueError("probs has values outside [0, 1]: apply softmax to logits first")
    logits = np.log(np.maximum(probs, _FLOOR)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def pooled(
    segment_probs: Sequence[np.ndarray], *, temperature: float = 1.0, rule: VoteRule = VOTE
) -> np.ndarray:
    """Temper the segments of each track, and let them vote.

    Parameters
    ----------
    segment_probs : sequence of np.ndarray [shape=(n_segments, n_classes)]
        One array a track; every row sums to one.
    temperature : float
        Positive; 1 changes nothing.
    rule : {"mean", "majority", "product"}
        As in `votes.pool`.

    Returns
    -------
    np.ndarray [shape=(n_tracks, n_classes)]
        float64; rows sum to one.

    Raises
    ------
    ValueError
        If there is no track, or something is no probability.
    """
    if not len(segment_probs):
        raise ValueError("there is no track to pool the segments of")
    return np.stack(
        [votes.pool(tempered(probs, temperature), rule=rule) for probs in segment_probs]
    )


def fit_temperature(
    segment_probs: Sequence[np.ndarray], truth: np.ndarray, *, rule: VoteRule = VOTE
) -> float:
    """Find the temperature of the segments that minimises the log loss of their tracks.

    On the tracks that it is fitted to the loss is never above that of temperature 1. A majority
    counts winners, which no temperature changes: then it is 1.

    Parameters
    ----------
    segment_probs : sequence of np.ndarray [shape=(n_segments, n_classes)]
        One array a track; every row sums to one.
    truth : np.ndarray [shape=(n_tracks,)]
        Class indices in [0, n_classes).
    rule : {"mean", "majority", "product"}
        As in `votes.pool`.

    Returns
    -------
    float
        In `TEMPERATURES`. It is an end of these where no best one lies between, as when every
        track is right.

    Raises
    ------
    ValueError
        If there is no track, the lengths differ, or something is no probability.
    """

    def loss(exponent: float) -> float:
        return metrics.log_loss(
            pooled(segment_probs, temperature=float(np.exp(exponent)), rule=rule), truth
        )

    low, high = np.log(TEMPERATURES)
    starts = np.linspace(low, high, _STARTS)
    starts[_STARTS // 2] = 0.0  # temperature 1, not nearly 1
    losses = [loss(start) for start in starts]
    best = int(np.argmin(losses))
    around = starts[max(0, best - 1)], starts[min(_STARTS - 1, best + 1)]
    found = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-4})
    tried = zip((*losses, found.fun), (*starts, found.x), strict=True)
    exponent = min(tried, key=lambda each: (each[0], abs(each[1])))[1]  # 1 if nothing matters
    return float(np.clip(np.exp(exponent), *TEMPERATURES))


def calibrate(
    segment_probs: Sequence[np.ndarray],
    truth: np.ndarray,
    *,
    temperature: float,
    n_tracks_fitted: int,
    rule: VoteRule = VOTE,
    n_bins: int = N_BINS,
) -> Calibration:
    """Judge a classifier's tracks before and after a temperature.

    Parameters
    ----------
    segment_probs : sequence of np.ndarray [shape=(n_segments, n_classes)]
        One array a judged track; every row sums to one.
    truth : np.ndarray [shape=(n_tracks,)]
        Class indices in [0, n_classes).
    temperature : float
        From `fit_temperature`, on other tracks than these.
    n_tracks_fitted : int
        How many those were.
    rule : {"mean", "majority", "product"}
        As in `votes.pool`.
    n_bins : int
        As in `reliability`.

    Raises
    ------
    ValueError
        If there is no track, the lengths differ, or something is no probability.
    """
    before, after = (
        reliability(pooled(segment_probs, temperature=each, rule=rule), truth, n_bins=n_bins)
        for each in (1.0, temperature)
    )
    return Calibration(temperature, n_tracks_fitted, before, after)


def _edges(n_bins: int) -> np.ndarray:
    if n_bins < 1:
        raise ValueError(f"n_bins is {n_bins}, expected at least 1")
    return np.linspace(0, 1, n_bins + 1)


def _sorted_in(confidence: np.ndarray, right: np.ndarray, edges: np.ndarray) -> tuple[Bin, ...]:
    """Sort answers into the bins between edges, (low, high]; empty ones are left out."""
    place = np.digitize(confidence, edges[1:-1], right=True)
    return tuple(
        Bin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            n=int((place == number).sum()),
            confidence=float(confidence[place == number].mean()),
            accuracy=float(right[place == number].mean()),
        )
        for number in np.unique(place)
    )
