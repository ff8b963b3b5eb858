"""Regridding: log-mels of one front end, translated to what another would have computed.

An entry that was trained on pictures of one set is to be tried on those of another, and there is
no sound to compute them anew. What can be done is this.

- *Levels* are taken back to dB below the track's loudest value. A min-max picture does not say
  what range was stretched; it is taken to be `top_db`, which it is in most tracks.
- *Bands.* Mel filters have equal area, so a band's value is the density of power about its
  centre. Between the centres of the source's bands it is interpolated. A target band that is as
  narrow as those, or narrower, is read off at its own centre: the source has smoothed already, and
  a grid is translated to itself unchanged. A wider one is averaged over the triangle that makes up
  the difference: widths add up as their squares do, so its half-width is the root of the
  difference of the squares. All this is done in power. What the source has not heard, above its
  highest frequency for one, is silent.
- *Reference.* 0 dB stays what it was, the track's loudest value, for Slaney's bands of another
  rate or width give the same level to the same density. Where the loudest band lies outside what
  the target hears, the loudest inside takes its place.
- *Time.* Each column of the target is one of the source's, by the centres of their frames: the
  nearest where the target has fewer. A picture keeps single frames and no means of them, so a mean
  of two, smoother than any, would be another sort of music. Where the target has more, the nearest
  again and again would be held notes. There a column is taken from up to 1.5 · (1 − 1/r) source
  columns before or after, the target having r times as many, by turns that the golden ratio deals
  out: neighbours differ as they do in music, and that is no detail. With r = 3, five nets said
  57 times in 105 of the nearest what they said of the sound, and 68 times of these.

References
----------
M. Slaney, "Auditory Toolbox", Interval Research Technical Report 1998-010, for the filters.
P. W. Jones, "First- and Second-Order Conservative Remapping Schemes for Grids in Spherical
Coordinates", Monthly Weather Review 127, 1999: shares by overlap. Ours differ where grids are
alike: overlap alone would smooth there a second time.
"""

from functools import lru_cache

import numpy as np

from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import hz_to_mel, mel_to_hz

NO_POWER = 1e-30  # −300 dB, the lowest that a front end may reach
FURTHEST = 1.5  # source columns that a column is taken from away, times 1 − 1/r
GOLDEN = (5**0.5 - 1) / 2  # its multiples fill the unit interval evenly, in no short period


def regrid(levels: np.ndarray, source: FeatureSpec, target: FeatureSpec) -> np.ndarray:
    """Translate the log-mels of a track from one front end to another.

    Parameters
    ----------
    levels : np.ndarray [shape=(n_mels, n_frames)]
        Of the whole track, as `source` computes them: its loudest band is looked for.
    source, target : FeatureSpec
        What they were computed with, and what is wanted.

    Returns
    -------
    np.ndarray [shape=(target.n_mels, n_target_frames)]
        float32, as `target` scales them: in [-top_db, 0] or in [0, 1]. A track without any range
        is 0 throughout. The levels themselves where the two front ends are equal.

    Raises
    ------
    ValueError
        If the levels have another number of bands than `source`, or no column, or the two hear no
        frequency in common.
    """
    if source == target:
        return levels
    if levels.ndim != 2 or levels.shape[0] != source.n_mels or not levels.shape[1]:
        raise ValueError(f"levels have the shape {levels.shape}, expected ({source.n_mels}, n)")
    shared = shared_bands(source, target)
    if not shared.any():
        raise ValueError("the two front ends hear no frequency in common")
    columns = source_columns(levels.shape[1], source, target)
    if levels.max() == levels.min():
        return np.zeros((target.n_mels, len(columns)), np.float32)
    below = _decibel(levels.astype(np.float64), source)
    below -= below[shared].max() - below.max()
    power = band_weights(source, target) @ 10 ** (below[:, columns] / 10)
    found = 10 * np.log10(np.maximum(power, NO_POWER))
    return _scaled(np.clip(found, -target.top_db, 0), target).astype(np.float32)


@lru_cache(maxsize=8)
def band_weights(source: FeatureSpec, target: FeatureSpec) -> np.ndarray:
    """Say how much of each of the source's bands there is in each of the target's.

    Returns
    -------
    np.ndarray [shape=(target.n_mels, source.n_mels)]
        Of power. Rows sum to one, or to the share of the band that the source has heard.
    """
    own, wanted = band_edges(source), band_edges(target)
    centres, middles = own[1:-1], wanted[1:-1]
    widths = np.interp(middles, centres, (own[2:] - own[:-2]) / 2)
    more = np.sqrt(np.maximum(0, ((wanted[2:] - wanted[:-2]) / 2) ** 2 - widths**2))
    # A triangle of half-width `more` about each middle, at points closer than any two bands.
    along = np.linspace(-1, 1, 4 * source.n_mels + 1)
    hz = middles[:, None] + more[:, None] * along
    heard = (hz >= source.fmin) & (hz <= source.highest)
    shares = (1 - np.abs(along)) / (1 - np.abs(along)).sum() * heard
    place = np.interp(hz, centres, np.arange(len(centres)))
    lower = np.floor(place).astype(np.int64)
    weights = np.zeros((target.n_mels, source.n_mels))
    rows = np.broadcast_to(np.arange(target.n_mels)[:, None], hz.shape)
    np.add.at(weights, (rows, lower), shares * (1 - (place - lower)))
    np.add.at(weights, (rows, np.minimum(lower + 1, len(centres) - 1)), shares * (place - lower))
    weights.flags.writeable = False
    return weights


def band_edges(spec: FeatureSpec) -> np.ndarray:
    """Return the edges of mel bands in Hz [shape=(n_mels + 2,)]; band m ends at m and m + 2."""
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))
    return mel_to_hz(np.linspace(low, high, spec.n_mels + 2))


def shared_bands(source: FeatureSpec, target: FeatureSpec) -> np.ndarray:
    """Tell which of the source's bands lie in what the target hears, bool [shape=(n_mels,)]."""
    centres = band_edges(source)[1:-1]
    inside: np.ndarray = (centres >= target.fmin) & (centres <= target.highest)
    return inside


def source_columns(n_frames: int, source: FeatureSpec, target: FeatureSpec) -> np.ndarray:
    """Say which of the source's columns stands for each of the target's.

    Parameters
    ----------
    n_frames : int
        Columns of the track in the source.
    source, target : FeatureSpec
        The track has the same length in both, as far as columns go.

    Returns
    -------
    np.ndarray [shape=(n_target_frames,)]
        int64; the earlier one of two that are as near.
    """
    rate = source.frame_rate
    n = max(1, round(n_frames / rate * target.frame_rate))
    away = FURTHEST * max(0.0, 1 - rate / target.frame_rate) / rate
    turns = 2 * (np.arange(n) * GOLDEN % 1) - 1
    own, wanted = column_times(n_frames, source), column_times(n, target) + away * turns
    found: np.ndarray = np.searchsorted((own[1:] + own[:-1]) / 2, wanted).astype(np.int64)
    return found


def column_times(n_frames: int, spec: FeatureSpec) -> np.ndarray:
    """Return the centres of the first columns, in seconds [shape=(n_frames,)]."""
    frames = np.floor((np.arange(n_frames) + 0.5) * spec.decimation)
    seconds: np.ndarray = frames * spec.hop_length / spec.sample_rate
    return seconds


def describe(source: FeatureSpec, target: FeatureSpec) -> str:
    """Say in a line what was translated to what, and what cannot be known thereby."""
    said = []
    if _bands(source) != _bands(target):
        said.append(f"{_bands(source)} were shared out to {_bands(target)}")
    n_silent = int((band_weights(source, target).sum(axis=1) < 0.5).sum())
    if n_silent:
        said.append(f"{n_silent} of these lie where nothing was heard, and are silent")
    rates = f"pictures of {source.frame_rate:.3g} columns a second"
    if target.frame_rate > source.frame_rate:
        said.append(f"{rates} were stretched to {target.frame_rate:.3g}, which adds no detail")
    elif target.frame_rate < source.frame_rate:
        said.append(f"{rates} were thinned out to {target.frame_rate:.3g}")
    if "minmax" in (source.scale, target.scale):
        said.append(f"loudest and faintest are taken to be {source.top_db:g} dB apart")
    return "; ".join(said)


def _bands(spec: FeatureSpec) -> str:
    return f"{spec.n_mels} bands of {spec.fmin:,.0f}-{spec.highest:,.0f} Hz"


def _decibel(levels: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Take levels back to dB below the loudest."""
    return levels if spec.scale == "decibel" else (levels - 1) * spec.top_db


def _scaled(below: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Bring dB below the loudest, -top_db at the least, to the scale of a front end."""
    return below if spec.scale == "decibel" else 1 + below / spec.top_db
