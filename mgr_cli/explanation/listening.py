"""An explanation to be heard: the song, with what did not matter turned down.

A picture of what spoke for a genre has to be read; the same can be heard. The attribution becomes
a mask, 1 where the song stays as it is and 0 where it is turned down by 30 dB, and the mask is
applied to the complex STFT of the song itself:

    attribution (n_mels, n_frames) → mask in [0, 1] → gains of the STFT's bins and frames
    samples → STFT · gains → overlap-add → samples

Only magnitudes change. Phases stay those of the recording, and so it sounds like the song and not
like a synthesiser that plays a spectrogram. Between mask and gain lies a straight line in dB.

It is meant for ears. The entry may well take it for another genre: no song that it was trained on
sounds like this one.

What spoke against the genre is turned down like what did not matter. So is what lies outside the
frequencies of the entry's front end: it has not heard them.

The transform is that of SciPy, with a Hann window of some 93 ms (10.8 Hz between bins: the lowest
mel bands are no wider), a hop of a quarter of it and the canonical dual window, so that gains of
one give back the samples. It is done piece by piece; memory is that of the samples.

References
----------
D. W. Griffin and J. S. Lim, "Signal Estimation from Modified Short-Time Fourier Transform",
IEEE Trans. ASSP 32(2), 1984: the overlap-add (eq. 6) of a modified STFT.
V. Haunschmid, E. Manilow and G. Widmer, "audioLIME: Listenable Explanations Using Source
Separation", arXiv 2008.00582: why explanations of music should be listened to.
"""

import numpy as np
import torch

from mgr_cli.config import FeatureSpec, Method
from mgr_cli.explanation.faithfulness import area
from mgr_cli.explanation.interpolation import Between, bands_of, column_seconds
from mgr_cli.explanation.result import Explanation, Faithfulness

FLOOR_DB = -30.0  # gain of what did not matter
SMOOTH_BANDS = 1.5  # deviations of the bell that a mask is smoothed by, lest it chirps
SMOOTH_SECONDS = 0.1
UNTOUCHED = 95.0  # percentile of the positive values from which on nothing is turned down
WINDOW_SECONDS = 2_048 / 22_050
HOPS = 4  # in a window
PIECE = 2**18  # samples that are transformed at a time; a multiple of every hop


def lead(check: Faithfulness) -> float:
    """Return by how much the area under the insertion curve is above that of deletion."""
    return area(check.insertion, check.shares) - area(check.deletion, check.shares)


def random_lead(check: Faithfulness) -> float:
    """Return the same of the curves in random orders."""
    return area(check.random_insertion, check.shares) - area(check.random_deletion, check.shares)


def most_faithful(explanation: Explanation) -> Method:
    """Return the method that is believed where only one can be heard, or told of.

    That with the largest area between the curves of insertion and deletion; where nothing was
    checked, integrated gradients, or else the first method that there is.

    Raises
    ------
    ValueError
        If there is no attribution.
    """
    methods = [each.method for each in explanation.attributions]
    if not methods:
        raise ValueError("an explanation without any attribution")
    checked = [each for each in explanation.faithfulness if each.method in methods]
    if checked:
        return max(checked, key=lead).method
    return "integrated-gradients" if "integrated-gradients" in methods else methods[0]


def mask(values: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Make a mask of an attribution.

    Its positive part is smoothed over neighbouring bands and frames and divided by a high
    percentile of itself, so that a few glaring cells do not silence all others.

    Parameters
    ----------
    values : np.ndarray [shape=(n_mels, n_frames)]
        Of an attribution.
    spec : FeatureSpec
        Front end of its picture.

    Returns
    -------
    np.ndarray [shape=(n_mels, n_frames)]
        1 where the song stays as it is, 0 where it is turned down; all 0 where nothing spoke for
        the genre.
    """
    from scipy.ndimage import gaussian_filter

    width = (SMOOTH_BANDS, SMOOTH_SECONDS * spec.frame_rate)
    positive = np.maximum(np.asarray(values, np.float64), 0)
    smooth = gaussian_filter(positive, width, mode="nearest")
    spoke = smooth[smooth > 0]
    if not len(spoke):
        return np.zeros_like(smooth)
    shares: np.ndarray = np.minimum(smooth / np.percentile(spoke, UNTOUCHED), 1)
    return shares


def turn_down(
    samples: np.ndarray, sample_rate: int, mask: np.ndarray, spec: FeatureSpec, *, start: float
) -> np.ndarray:
    """Turn down what a mask hides of a part of a song.

    Parameters
    ----------
    samples : np.ndarray [shape=(n_samples, n_channels)]
        The part, at the file's own rate.
    sample_rate : int
        Of the samples, in Hz; it need not be that of the front end.
    mask : np.ndarray [shape=(n_mels, n_frames)]
        In [0, 1], on the grid of the picture.
    spec : FeatureSpec
        Front end of that picture.
    start : float
        Where the part begins in the song, in seconds.

    Returns
    -------
    np.ndarray [shape=(n_samples, n_channels)]
        float32. It may be a little louder than what went in where partials no longer cancel.

    Raises
    ------
    ValueError
        If the mask has other bands than the front end, or no frame.
    """
    if mask.shape[0] != spec.n_mels or not mask.size:
        raise ValueError(f"a mask of shape {mask.shape}, expected ({spec.n_mels}, n_frames)")
    n_fft = 2 ** max(4, round(np.log2(WINDOW_SECONDS * sample_rate)))
    seconds = column_seconds(mask.shape[1], spec, start=start)
    result = np.empty(samples.shape, np.float32)
    for first in range(0, len(samples), PIECE):
        # The frames of a piece lie where those of the whole would; beyond its ends are enough.
        begin, stop = max(0, first - n_fft), min(first + PIECE + n_fft, len(samples))
        done = _filtered(samples[begin:stop], n_fft, sample_rate, begin, mask, spec, seconds)
        result[first : first + PIECE] = done[first - begin : first - begin + PIECE]
    return result


def _filtered(
    samples: np.ndarray,
    n_fft: int,
    sample_rate: int,
    begin: int,
    mask: np.ndarray,
    spec: FeatureSpec,
    seconds: np.ndarray,
) -> np.ndarray:
    """Turn down one piece (n, n_channels), which begins at the sample `begin` of the part."""
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    transform = ShortTimeFFT(
        hann(n_fft, sym=False), n_fft // HOPS, sample_rate, fft_mode="onesided"
    )
    n_samples = len(samples)
    padded = np.pad(samples, ((0, max(0, n_fft - n_samples)), (0, 0)))
    spectrum = transform.stft(padded.T)
    times = begin / sample_rate + transform.t(len(padded))
    spectrum *= _gains(mask, spec, seconds, hz=transform.f, times=times)
    result: np.ndarray = transform.istft(spectrum, k1=len(padded)).real.T[:n_samples]
    return result


def _gains(
    mask: np.ndarray, spec: FeatureSpec, seconds: np.ndarray, *, hz: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Spread a mask to bins and frames of an STFT, [shape=(n_bins, n_times)]."""
    rows = bands_of(hz, spec).rows(torch.from_numpy(mask))
    shares = Between.of(times, seconds).columns(rows).numpy()
    shares[(hz < spec.fmin) | (hz > spec.highest)] = 0
    gains: np.ndarray = 10 ** (FLOOR_DB / 20 * (1 - shares))
    return gains
