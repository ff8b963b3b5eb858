"""Where an attribution lies, in words and few numbers: by second, by band, and where most of it is.

Whatever is summed is a share of what spoke for the genre, the positive part of the attribution.
What spoke against it is left out: two halves of a second that speak for and against would
otherwise pass for one that says nothing.
"""

from dataclasses import dataclass

import numpy as np

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation.result import Attribution, Explanation
from mgr_cli.features.mel import hz_to_mel, mel_to_hz

N_SPANS = 3
SPAN_SECONDS = 3.0  # of a span of time; of a short part a fifth of it
SPAN_BANDS = 1 / 8  # of all, of a range of frequencies


@dataclass(frozen=True)
class Span:
    """A span of seconds, or a range of frequencies.

    Attributes
    ----------
    start, stop : float
        Seconds of the song, or Hz.
    share : float
        Of all that spoke for the genre.
    """

    start: float
    stop: float
    share: float


def by_second(found: Attribution, explanation: Explanation) -> np.ndarray:
    """Sum an attribution second by second, with its signs.

    Returns
    -------
    np.ndarray [shape=(n_seconds,)]
        Of the part, from its start on; the last second may be cut short.
    """
    columns = found.values.sum(axis=0, dtype=np.float64)
    seconds = (np.arange(len(columns)) / explanation.spec.frame_rate).astype(np.int64)
    return np.bincount(seconds, columns)


def by_band(found: Attribution) -> np.ndarray:
    """Sum an attribution band by band, with its signs, np.ndarray [shape=(n_mels,)]."""
    sums: np.ndarray = found.values.sum(axis=1, dtype=np.float64)
    return sums


def centres(spec: FeatureSpec) -> np.ndarray:
    """Return the middle of each mel band in Hz, [shape=(n_mels,)]."""
    return _edges(spec)[1:-1]


def seconds(found: Attribution, explanation: Explanation) -> list[Span]:
    """Name the seconds that spoke most for the genre, most first."""
    weights = np.maximum(found.values, 0).sum(axis=0, dtype=np.float64)
    rate, whole = explanation.spec.frame_rate, explanation.stop - explanation.start
    width = round(min(SPAN_SECONDS, whole / 5) * rate)
    return [
        Span(
            explanation.start + first / rate,
            min(explanation.start + stop / rate, explanation.stop),
            share,
        )
        for first, stop, share in strongest(weights, width=width)
    ]


def frequencies(found: Attribution, explanation: Explanation) -> list[Span]:
    """Name the frequencies that spoke most for the genre, most first."""
    weights = np.maximum(found.values, 0).sum(axis=1, dtype=np.float64)
    edges = _edges(explanation.spec)
    # Triangles overlap: between two bands lies the middle of their middles, nearly.
    between = np.sqrt(np.maximum(edges[:-1], 1) * np.maximum(edges[1:], 1))
    between[0], between[-1] = edges[0], edges[-1]
    width = round(SPAN_BANDS * len(weights))
    return [
        Span(float(between[first]), float(between[stop]), share)
        for first, stop, share in strongest(weights, width=width)
    ]


def strongest(weights: np.ndarray, *, width: int, n: int = N_SPANS) -> list[tuple[int, int, float]]:
    """Find the runs of weights with the largest sums, none of which overlap.

    Parameters
    ----------
    weights : np.ndarray [shape=(n_weights,)]
        Not negative.
    width : int
        Of a run; 1 at least is taken, and all of them at the most.
    n : int
        How many; fewer where there is no room, or nothing in what is left.

    Returns
    -------
    list of (int, int, float)
        Start and stop (exclusive) of each, and its share of the sum of all; the largest first.
    """
    width = min(max(1, width), len(weights))
    sums = np.convolve(weights, np.ones(width), mode="valid")
    total, found = float(weights.sum()), []
    for _ in range(n):
        first = int(sums.argmax())
        if not sums[first] > 1e-9 * total:
            break
        found.append((first, first + width, float(sums[first]) / total))
        sums[max(0, first - width + 1) : first + width] = -np.inf
    return found


def _edges(spec: FeatureSpec) -> np.ndarray:
    """Return the edges of the mel bands in Hz, [shape=(n_mels + 2,)]."""
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))
    return mel_to_hz(np.linspace(low, high, spec.n_mels + 2))
