"""What a net takes of a track: which kinds of features, how long a segment, on which scale.

Every kind is a table of rows by bands, and a segment is a run of rows:

=====================  =============================  =======================
kind                   rows × bands of a track        a net gets
=====================  =============================  =======================
log-mel                frames × mel bands             (batch, n_mels, n_frames)
waveform               samples × 1                    (batch, n_samples)
handcrafted, table     1 × columns                    (batch, n_columns)
=====================  =============================  =======================

A net may take several kinds of the same segment. It is cut by the rows of the first of them, and
the others are read from the same second on.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Protocol

import numpy as np

from mgr_cli import segments as cutting
from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.features.statistics import summarise
from mgr_cli.plans import VECTORS, Kind

Arrays = tuple[np.ndarray, ...]
"""One array a kind, in the order of the kinds."""


class Track(Protocol):
    """The features of one track, to be read piece by piece."""

    def n_rows(self, kind: Kind) -> int:
        """Return how many rows there are."""

    def read(self, kind: Kind, start: int, stop: int) -> np.ndarray:
        """Return some rows, np.ndarray [shape=(n_bands, stop - start)], fewer at the end."""


class Inputs:
    """Cuts tracks into what a net takes.

    Parameters
    ----------
    kinds : sequence of Kind
        What the net takes, the one that is cut by first.
    spec : FeatureSpec
        Front end of log-mels; its sample rate is that of waveforms.
    segments : SegmentSpec, optional
        Length and distance of segments; None takes a track as a whole.
    normalisations : mapping
        From kind to the mean and the deviation of its bands.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        spec: FeatureSpec,
        segments: SegmentSpec | None,
        normalisations: Mapping[Kind, Normalisation],
    ) -> None:
        self.kinds = tuple(kinds)
        self.normalisations = {kind: normalisations[kind] for kind in self.kinds}
        self._edges = {"fmin": round(spec.fmin), "fmax": round(spec.highest)}
        self._rates = tuple(_rate(kind, spec) for kind in self.kinds)
        self._lengths = tuple(
            1 if segments is None else segments.length(rate) for rate in self._rates
        )
        self.hop = 1 if segments is None else segments.hop(self._rates[0])

    @property
    def length(self) -> int:
        """Rows of a segment, of the first kind."""
        return self._lengths[0]

    @property
    def rate(self) -> float:
        """Rows a second, of the first kind; 0 where a track is one row."""
        return 0.0 if self.kinds[0] in VECTORS else self._rates[0]

    @property
    def dimensions(self) -> dict[str, int]:
        """What a net needs to know of what it takes, by the names of `models.registry`."""
        found: dict[str, int] = {}
        for kind, normalisation, length in zip(
            self.kinds, self.normalisations.values(), self._lengths, strict=True
        ):
            n_bands = len(normalisation.mean)
            match kind:
                case "log-mel":
                    found |= {"n_mels": n_bands, "n_frames": length, **self._edges}
                case "waveform":
                    found |= {"n_samples": length}
                case "handcrafted" | "table":
                    found |= {"n_columns": n_bands}
        return found

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of what a net takes of one segment, one a kind."""
        return tuple(
            _shape(kind, len(normalisation.mean), length)
            for kind, normalisation, length in zip(
                self.kinds, self.normalisations.values(), self._lengths, strict=True
            )
        )

    @property
    def n_values(self) -> int:
        """How many numbers a segment has, all kinds together."""
        return sum(map(prod, self.shapes))

    def starts(self, n_rows: int) -> list[int]:
        """Say where the segments of a track begin, in rows of the first kind."""
        return cutting.starts(n_rows, length=self.length, hop=self.hop)

    def segment(self, track: Track, start: int) -> Arrays:
        """Read one segment; where the track ends before it, it is repeated.

        Parameters
        ----------
        track : Track
            That is cut.
        start : int
            First row, of the first kind.

        Returns
        -------
        tuple of np.ndarray [shape=(n_bands, n_rows)]
            As they are stored, one a kind.
        """
        found = []
        for kind, rate, length in zip(self.kinds, self._rates, self._lengths, strict=True):
            n_rows = track.n_rows(kind)
            first = min(round(start * rate / self._rates[0]), max(0, n_rows - length))
            rows = track.read(kind, first, min(first + length, n_rows))
            found.append(cutting.repeated(rows, length=length))
        return tuple(found)

    def batch(self, segments: Iterable[Arrays]) -> Arrays:
        """Put segments together, normalised, in the shapes that a net takes.

        Returns
        -------
        tuple of np.ndarray
            float32, one a kind; the batch is the first axis.
        """
        return tuple(
            normalisation.apply(np.stack(each)).reshape(len(each), *shape)
            for each, normalisation, shape in zip(
                zip(*segments, strict=True), self.normalisations.values(), self.shapes, strict=True
            )
        )


def tabulated(arrays: Arrays) -> np.ndarray:
    """Make one row of each segment, for what eats tables.

    Parameters
    ----------
    arrays : tuple of np.ndarray
        One array, as `Inputs.batch` gives it: columns (n, n_columns) stay as they are, log-mels
        (n, n_mels, n_frames) are summed up over time by the seven statistics of
        `features.statistics`.

    Returns
    -------
    np.ndarray [shape=(n, n_values)]
        float32; 7 · n_mels values where they are statistics.
    """
    (x,) = arrays
    if x.ndim == 2:
        return x
    summed = summarise(x.reshape(-1, x.shape[-1]))
    rows = summed.reshape(len(summed), *x.shape[:2]).swapaxes(0, 1).reshape(len(x), -1)
    return rows.astype(np.float32)


class InMemory:
    """A track whose features are arrays, by kind [shape=(n_bands, n_rows)]."""

    def __init__(self, features: Mapping[Kind, np.ndarray]) -> None:
        self._features = features

    def n_rows(self, kind: Kind) -> int:
        """Return how many rows there are."""
        return int(self._features[kind].shape[1])

    def read(self, kind: Kind, start: int, stop: int) -> np.ndarray:
        """Return some rows, np.ndarray [shape=(n_bands, stop - start)]."""
        return self._features[kind][:, start:stop]


def _rate(kind: Kind, spec: FeatureSpec) -> float:
    match kind:
        case "log-mel":
            return spec.frame_rate
        case "waveform":
            return float(spec.sample_rate)
        case "handcrafted" | "table":
            return 1.0


def _shape(kind: Kind, n_bands: int, length: int) -> tuple[int, ...]:
    match kind:
        case "log-mel":
            return n_bands, length
        case "waveform":
            return (length,)
        case "handcrafted" | "table":
            return (n_bands,)
