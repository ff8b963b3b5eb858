"""Recordings that stand twice in a set, found by their log-mels alone.

A recording comes back with another level, another codec, some noise, cut a little earlier or
later. What such a copy keeps is where and when its spectrum stands out from its own
surroundings. So a track becomes a *contrast*: bands pooled to at most 32, columns to about 13
a second, each band less its running mean over 2 s, each column less its mean and brought to
unit length. Level, tone control and noise floor are gone, and a loud moment counts no more
than a soft one.

Two tracks are compared by sliding one contrast along the other. The correlation r at a lag
over n common columns counts r·√n, about what it would be in standard deviations if unlike
columns were independent: few columns must agree well, many may agree less. Music is not
unlike itself, though: two tracks with the same beat agree at every lag of a bar. So the score
is the best lag's count less 1.5 times the root mean square over all lags, and a repeat is one
lag that stands out. A noiseless copy of 30 s scores about 17, see `MIN_SCORE`.

Sliding every track along every other would be quadratic in the costly step. Each track
therefore also gets a short *description* of its contrast that no shift in time changes: how
far each band moves, which bands move together, rhythm. `nearest` picks by it who is aligned.

What this does not find: another performance of the same piece, two excerpts without a common
part, an excerpt under a third of the other track, a change of speed or pitch. Of tracks under
4 s little more than equal features are found.

The sliding correlation is the plain matched filter; no published fingerprint is followed.
Those that hash spectral peaks need finer columns than the pictures have.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import uniform_filter1d

N_BANDS = 32
COLUMN_RATE = 12.9  # columns a second that are kept of finer features
LISTENED_SECONDS = 180.0  # from the start of a track; bounds the memory of a long one
CONTEXT_SECONDS = 2.0  # running mean that a band is compared with
MIN_OVERLAP_SECONDS = 4.0

RHYTHM_WEIGHT = 1.5  # of the root mean square over the lags, taken off the best one

# Chosen by looking at the aligned pairs of GTZAN and FMA-small from well above down to well
# below it. GTZAN: every pair from 4.23 up is one recording, and the next one stands at 2.78.
# FMA-small: those from 3.5 up share a recording or its backing (a cappella, dub), as far as a
# picture tells; the first that does not stands at 3.35.
MIN_SCORE = 3.4

_COVARIANCE_BANDS = 16
_RHYTHM_BANDS = 4
_RHYTHM_SECONDS = 4.0
_RHYTHM_LAGS = 24


@dataclass(frozen=True)
class Sketch:
    """What is kept of a track to compare it.

    Attributes
    ----------
    contrast : np.ndarray [shape=(n_bands, n_columns)]
        float32; columns of about unit length, zero where nothing stands out.
    rate : float
        Columns a second.
    """

    contrast: np.ndarray
    rate: float


@dataclass(frozen=True)
class Alignment:
    """How well two tracks agree at their best lag.

    Attributes
    ----------
    score : float
        Correlation times the root of the columns in common, less what rhythm alone gives;
        one recording from `MIN_SCORE` on.
    similarity : float
        The correlation itself, at most about 1.
    shift : float
        Seconds by which the second track starts later in the recording than the first.
    """

    score: float
    similarity: float
    shift: float


def sketch(levels: np.ndarray, *, frame_rate: float) -> Sketch:
    """Reduce a track's log-mels to what a copy of it keeps.

    Parameters
    ----------
    levels : np.ndarray [shape=(n_mels, n_frames)]
        On a logarithmic scale of any unit.
    frame_rate : float
        Frames a second.
    """
    n_pooled = max(1, round(frame_rate / COLUMN_RATE))
    n_frames = max(levels.shape[1] // n_pooled, 1) * n_pooled
    pooled = _pool(levels[:, :n_frames], min(N_BANDS, len(levels)))
    if levels.shape[1] >= n_pooled:
        pooled = pooled.reshape(len(pooled), -1, n_pooled).mean(axis=2)
    rate = frame_rate / n_pooled
    context = max(3, round(CONTEXT_SECONDS * rate))
    moving = pooled - uniform_filter1d(pooled, context, axis=1, mode="nearest")
    moving -= moving.mean(axis=0)
    lengths = np.linalg.norm(moving, axis=0)
    usual = lengths.mean()
    # A fifth of the usual length: what hardly stands out is not blown up to unit length.
    contrast = moving / (lengths + 0.2 * usual) if usual > 1e-6 else np.zeros_like(moving)
    return Sketch(contrast, rate)


def describe(track: Sketch) -> np.ndarray:
    """Describe a track by what no shift in time changes.

    Returns
    -------
    np.ndarray [shape=(n_values,)]
        float32: log spread of each band, correlations of 16 pooled bands, and the
        autocorrelation of four groups of bands over 4 s. Without the last, a tenth of
        FMA-small's repeats are not among the neighbours.
    """
    contrast = track.contrast
    spread = np.log(contrast.std(axis=1) + 1e-3)
    coarse = _pool(contrast, min(_COVARIANCE_BANDS, len(contrast)))
    deviation = coarse.std(axis=1) + 1e-6
    products = (coarse @ coarse.T) / contrast.shape[1] / np.outer(deviation, deviation)
    together = products[np.triu_indices(len(coarse), 1)]
    parts = (spread, together, _rhythm(contrast, track.rate))
    return np.concatenate(parts).astype(np.float32)


def align(first: Sketch, second: Sketch) -> Alignment:
    """Slide one track along another and keep the lag where they agree best.

    Parameters
    ----------
    first, second : Sketch
        Of the same front end. They may differ in length; at least `MIN_OVERLAP_SECONDS`, or
        half of the shorter one, must be in common.
    """
    a, b = first.contrast, second.contrast
    n_a, n_b = a.shape[1], b.shape[1]
    fewest = max(1, min(n_a // 2, n_b // 2, round(MIN_OVERLAP_SECONDS * first.rate)))
    size = next_fast_len(n_a + n_b - 1, real=True)
    spectra = rfft(a, size, axis=1) * np.conj(rfft(b, size, axis=1))
    # Column t of the second is column t + lag of the first.
    lags = np.arange(fewest - n_b, n_a - fewest + 1)
    products = irfft(spectra.sum(axis=0), size)[lags % size]
    start, stop = np.maximum(lags, 0), np.minimum(n_a, n_b + lags)
    energy = _energy_between(a, start, stop) * _energy_between(b, start - lags, stop - lags)
    # Where next to nothing moves in common, its agreement proves next to nothing.
    correlation = products / np.maximum(np.sqrt(np.maximum(energy, 0)), 0.3 * (stop - start))
    scores = correlation * np.sqrt(stop - start)
    best = int(scores.argmax())
    score = scores[best] - RHYTHM_WEIGHT * np.sqrt((scores**2).mean())
    return Alignment(float(score), float(correlation[best]), float(lags[best] / first.rate))


def _pool(array: np.ndarray, n: int) -> np.ndarray:
    """Average rows in n runs of as equal a length as can be, [shape=(n, n_columns)]."""
    edges = np.linspace(0, len(array), n + 1).astype(int)
    sums = np.add.reduceat(array.astype(np.float32, copy=False), edges[:-1], axis=0)
    return np.asarray(sums / np.diff(edges)[:, None], np.float32)


def _rhythm(contrast: np.ndarray, rate: float) -> np.ndarray:
    """Return the autocorrelation of groups of bands, averaged in runs of lags, flat."""
    longest = max(1, round(_RHYTHM_SECONDS * rate))
    size = next_fast_len(contrast.shape[1] + longest, real=True)
    power = np.abs(rfft(contrast, size, axis=1)) ** 2
    groups = min(_RHYTHM_BANDS, len(contrast))
    lagged = irfft(_pool(power, groups), size, axis=1)[:, : longest + 1]
    lagged = lagged / (lagged[:, :1] + 1e-6)
    return _pool(lagged[:, 1:].T, min(_RHYTHM_LAGS, longest)).ravel()


def _energy_between(contrast: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum((contrast**2).sum(axis=0, dtype=np.float64))])
    return np.asarray(total[stop] - total[start])
