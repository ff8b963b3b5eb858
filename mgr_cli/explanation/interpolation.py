"""From the grid of a picture to that of a spectrum.

A mask lies on mel bands and frames, a short-time spectrum on bins and steps. Between the two it is
interpolated: from bands to bins between the centres of the bands, in mels, and from frames to steps
between their times, so that no edge is sharper than the picture can show.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import hz_to_mel


@dataclass(frozen=True)
class Between:
    """Where points lie among knots: linear interpolation, constant beyond both ends.

    Attributes
    ----------
    lower, upper : Tensor [shape=(n_points,)]
        Indices of the knots beside each point.
    share : Tensor [shape=(n_points,)]
        Of the upper one, 0 to 1.
    """

    lower: Tensor
    upper: Tensor
    share: Tensor

    @classmethod
    def of(cls, points: np.ndarray, knots: np.ndarray) -> "Between":
        """Find points (n_points,) among knots (n_knots,) that rise."""
        place = np.interp(points, knots, np.arange(len(knots)))
        lower = np.minimum(place.astype(np.int64), max(0, len(knots) - 2))
        upper = np.minimum(lower + 1, len(knots) - 1)
        share = torch.from_numpy((place - lower).astype(np.float32))
        return cls(torch.from_numpy(lower), torch.from_numpy(upper), share)

    def rows(self, values: Tensor) -> Tensor:
        """Interpolate (..., n_knots, n) to (..., n_points, n)."""
        place = values.device
        share = self.share.to(place)[:, None]
        low = values.index_select(-2, self.lower.to(place))
        return low + share * (values.index_select(-2, self.upper.to(place)) - low)

    def columns(self, values: Tensor) -> Tensor:
        """Interpolate (..., n, n_knots) to (..., n, n_points)."""
        return self.rows(values.transpose(-1, -2)).transpose(-1, -2)


def bands_of(frequencies: np.ndarray, spec: FeatureSpec) -> Between:
    """Say where frequencies lie among the mel bands of a picture.

    Parameters
    ----------
    frequencies : np.ndarray [shape=(n,)]
        In Hz.
    spec : FeatureSpec
        Front end of the picture.
    """
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))
    centres = np.linspace(low, high, spec.n_mels + 2)[1:-1]
    return Between.of(hz_to_mel(frequencies), centres)


def frames_of(seconds: np.ndarray, spec: FeatureSpec, n_frames: int) -> Between:
    """Say where times lie among the frames of a picture.

    Parameters
    ----------
    seconds : np.ndarray [shape=(n,)]
        From the picture's beginning.
    spec : FeatureSpec
        Its front end.
    n_frames : int
        Of the picture.
    """
    return Between.of(seconds, column_seconds(n_frames, spec))


def column_seconds(n_frames: int, spec: FeatureSpec, *, start: float = 0.0) -> np.ndarray:
    """Return when the columns of a part of a picture are heard, the middle of their windows.

    Parameters
    ----------
    n_frames : int
        Columns of the part.
    spec : FeatureSpec
        Front end of the picture.
    start : float
        Where the part begins in the song, in seconds.

    Returns
    -------
    np.ndarray [shape=(n_frames,)]
        Seconds from the start of the part.
    """
    columns = round(start * spec.frame_rate) + np.arange(n_frames)
    frames = np.floor((columns + 0.5) * spec.decimation)
    seconds: np.ndarray = frames * (spec.hop_length / spec.sample_rate) - start
    return seconds
