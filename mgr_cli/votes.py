"""From the opinions of a track's segments to one opinion of the track.

A model sees a few seconds at a time and gives each segment a probability for every
class. Kittler et al. [1]_ derive the ways to combine such opinions from Bayes' rule:

- ``mean`` (their sum rule) averages the probabilities. It forgives a segment that is
  surely wrong, and was the best rule of their study.
- ``majority`` lets every segment name one class and counts the names.
- ``product`` multiplies the probabilities, which is right if the segments were
  independent. They are not, so its winner is good but its confidence is far too high.

What they pool to says who wins, but seldom how surely. One number an entry, its temperature, makes
a confidence of it that can be relied on: see `calibration`.

References
----------
.. [1] J. Kittler, M. Hatef, R. P. W. Duin, J. Matas, "On combining classifiers", IEEE
   Transactions on Pattern Analysis and Machine Intelligence 20 (3), 1998, 226-239: the
   product, sum and majority vote rules. Their product and sum weigh in the classes'
   prior probabilities; ours take the priors as equal.
"""

from collections.abc import Callable

import numpy as np

from mgr_cli import config
from mgr_cli.config import VoteRule

# What float32 still tells from zero. A softmax that underflowed means "less than this",
# not "impossible", so one segment alone cannot veto a class for ever.
_FLOOR = float(np.finfo(np.float32).tiny)

# Half precision rounds a row of probabilities by up to 2**-11.
_SUM_TOLERANCE = 1e-3


def pool(
    probs: np.ndarray, *, rule: VoteRule = config.VOTE, temperature: float = 1.0
) -> np.ndarray:
    """Combine the probabilities of a track's segments into those of the track.

    Parameters
    ----------
    probs : np.ndarray [shape=(n_segments, n_classes)]
        Probabilities; every row sums to one.
    rule : {"mean", "majority", "product"}
        ``mean``: average probability. ``majority``: share of the segments whose most
        probable class it is (the lowest index, if two are equal). ``product``: product
        of the probabilities, scaled to sum to one.
    temperature : float
        Of what they pool to, as in `tempered`.

    Returns
    -------
    np.ndarray [shape=(n_classes,)]
        float64; sums to one.

    Raises
    ------
    ValueError
        If there is no segment, a row is not a distribution, the rule is unknown, or the
        temperature is not positive.
    """
    if rule not in _RULES:
        raise ValueError(f"unknown vote rule {rule!r}; there are {', '.join(_RULES)}")
    pooled = _RULES[rule](_checked(probs))
    return tempered(pooled / pooled.sum(), temperature)


def tempered(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Make probabilities softer (above 1) or sharper (below 1), as if their logits were divided.

    The probable stays more probable than the improbable: no row gets another winner.

    Parameters
    ----------
    probs : np.ndarray [shape=(..., n_classes)]
        Probabilities. Those below what float32 tells from zero are lifted to that.
    temperature : float
        Positive; 1 leaves them as they are.

    Returns
    -------
    np.ndarray [shape=(..., n_classes)]
        float64, ``p ** (1 / temperature)`` scaled to sum to one.

    Raises
    ------
    ValueError
        If the temperature is not positive, or a probability is outside [0, 1].
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is {temperature}, expected a positive number")
    if temperature == 1:
        return np.asarray(probs, dtype=np.float64)
    logs = logarithms(probs) / temperature
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def logarithms(probs: np.ndarray) -> np.ndarray:
    """Return what a softmax makes these probabilities of, but for a constant.

    Parameters
    ----------
    probs : np.ndarray [shape=(..., n_classes)]
        Probabilities. Those below what float32 tells from zero are lifted to that.

    Raises
    ------
    ValueError
        If one is outside [0, 1].
    """
    probs = np.asarray(probs, dtype=np.float64)
    if not ((probs >= 0) & (probs <= 1)).all():
        raise ValueError("probs has values outside [0, 1]: apply softmax to logits first")
    return np.asarray(np.log(np.maximum(probs, _FLOOR)))


def decide(probs: np.ndarray, *, rule: VoteRule = config.VOTE) -> int:
    """Name the class that a track's segments vote for.

    Equal majorities go to the class with the highest mean probability; what is equal
    even then goes to the lowest index.

    Parameters
    ----------
    probs : np.ndarray [shape=(n_segments, n_classes)]
        Probabilities; every row sums to one.
    rule : {"mean", "majority", "product"}
        As in `pool`.

    Returns
    -------
    int
        Index of the class.

    Raises
    ------
    ValueError
        As in `pool`.
    """
    pooled = pool(probs, rule=rule)
    if rule == "majority":
        tied = pooled == pooled.max()
        pooled = np.where(tied, pool(probs, rule="mean"), -1.0)
    return int(pooled.argmax())


def _mean(probs: np.ndarray) -> np.ndarray:
    return np.asarray(probs.mean(axis=0))


def _majority(probs: np.ndarray) -> np.ndarray:
    return np.bincount(probs.argmax(axis=1), minlength=probs.shape[1]) / len(probs)


def _product(probs: np.ndarray) -> np.ndarray:
    logs = np.log(np.maximum(probs, _FLOOR)).sum(axis=0)
    return np.asarray(np.exp(logs - logs.max()))


_RULES: dict[VoteRule, Callable[[np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "majority": _majority,
    "product": _product,
}


def _checked(probs: np.ndarray) -> np.ndarray:
    probs = np.asarray(probs, dtype=np.float64)
    if probs.ndim != 2 or 0 in probs.shape:
        raise ValueError(f"probs has shape {probs.shape}, expected (n_segments, n_classes)")
    sums = probs.sum(axis=1)
    # Written so that NaN fails too.
    if not ((probs >= 0).all() and (np.abs(sums - 1) <= _SUM_TOLERANCE).all()):
        raise ValueError("the rows of probs are not distributions: apply softmax to logits first")
    return probs
