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
sharpens. Guo takes the logits of single examples. Ours are the logarithms of what the segments of
a track pool to, for the confidence of a track is what people read:

- No answer changes, and no score of answers, as it may where each segment is tempered before they
  vote. Only how sure an answer is does.
- It mends what pooling does. A mean of sure segments that disagree is unsure, so that tracks are
  often too modest where their segments are too bold; then T is below 1.
- It is the same for a net and for a pipeline: probabilities are enough, for the logits of a
  softmax are their logarithms, but for a constant.

The log loss is convex in 1 / T, so there is one best. But there is none worth having where a vote
gave some track's own genre exactly 0, as votes that count do: of that the logarithm is what floats
can say, not what an entry thinks, and T would be about nothing else. Then it stays 1.

Fit on the validation split, and judge on another: on the tracks it was fitted to, T flatters.
On which of the tempered confidences to believe, see `trust`.

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

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from mgr_cli import metrics, trust, votes
from mgr_cli.config import N_BOOTSTRAP, PRECISION
from mgr_cli.trust import Trust

N_BINS = 15
# Lowest and highest that are believed: where all validation tracks are right, each sharper one
# would do better on them.
TEMPERATURES = (0.2, 20.0)

_NOTHING = 2 * float(np.finfo(np.float32).tiny)  # what `votes` lifts zeros to is below


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
        Of the pooled probabilities, besides any that they were tempered with already.
    n_tracks_fitted : int
        Tracks that it was fitted to.
    trust : Trust
        Which of the tempered confidences are to be believed, as those tracks have it.
    before, after : Reliability
        Of the judged tracks.
    """

    temperature: float
    n_tracks_fitted: int
    trust: Trust
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


def fit_temperature(probs: np.ndarray, truth: np.ndarray) -> float:
    """Find the temperature that minimises the log loss of tracks.

    On the tracks that it is fitted to the loss is never above that of temperature 1.

    Parameters
    ----------
    probs : np.ndarray [shape=(n_tracks, n_classes)]
        What the segments of each track pool to.
    truth : np.ndarray [shape=(n_tracks,)]
        Class indices in [0, n_classes).

    Returns
    -------
    float
        In `TEMPERATURES`; an end of these where the best lies beyond, as when every track is
        right. 1 where a track's own class was given nothing.

    Raises
    ------
    ValueError
        If there is no track, the lengths differ, an index is out of range, or something is no
        probability.
    """
    metrics.log_loss(probs, truth)  # which looks at both
    rows = np.arange(len(truth))
    if np.asarray(probs)[rows, truth].min() < _NOTHING:
        return 1.0
    logs = votes.logarithms(probs)

    def loss(exponent: float) -> float:
        logits = logs * np.exp(-exponent)
        return float((logsumexp(logits, axis=1) - logits[rows, truth]).mean())

    low, high = (float(np.log(end)) for end in TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-5})
    best = min((0.0, float(found.x), low, high), key=loss)  # 1 if nothing matters
    return float(np.clip(np.exp(best), *TEMPERATURES))


def calibrate(
    probs: np.ndarray,
    truth: np.ndarray,
    *,
    judged: tuple[np.ndarray, np.ndarray] | None = None,
    wanted: float = PRECISION,
    n_bins: int = N_BINS,
) -> Calibration:
    """Fit a temperature and a threshold to tracks, and judge others before and after.

    Parameters
    ----------
    probs : np.ndarray [shape=(n_tracks, n_classes)]
        What the segments of each validation track pool to.
    truth : np.ndarray [shape=(n_tracks,)]
        Class indices in [0, n_classes).
    judged : tuple of np.ndarray, optional
        The same two of the tracks that are judged; the validation tracks by default.
    wanted : float
        Share of right answers, as of `trust.choose`.
    n_bins : int
        As in `reliability`.

    Raises
    ------
    ValueError
        As `fit_temperature` does, of either tracks.
    """
    temperature = fit_temperature(probs, truth)
    fitted = votes.tempered(probs, temperature)
    right = metrics.top_k(probs, truth, k=1)
    own_probs, own_truth = (probs, truth) if judged is None else judged
    return Calibration(
        temperature=temperature,
        n_tracks_fitted=len(truth),
        trust=trust.choose(fitted.max(axis=1), right, wanted=wanted),
        before=reliability(own_probs, own_truth, n_bins=n_bins),
        after=reliability(votes.tempered(own_probs, temperature), own_truth, n_bins=n_bins),
    )


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
