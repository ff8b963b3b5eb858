"""Log-mel spectrograms in NumPy: the one front end of training and prediction.

A waveform is cut into overlapping frames, each centred on a multiple of the hop (the
track is extended by half a window of silence on both sides), weighted by a periodic Hann
window and transformed. Power |X|² is summed under triangular filters that are evenly
spaced on Slaney's mel scale and have equal area, and expressed in dB below the loudest
value of the track:

    L = max(10 log10 max(P, 1e-10) − 10 log10 max(P_max, 1e-10), −top_db)

These are librosa's and torchaudio's numbers; the tests hold the code against both. It
runs on blocks, so that a track of any length passes through: the last n_fft samples are
all that is kept between two of them. Levels refer to the whole track and are known only at
its end, hence the two steps, `PowerFrames` and `to_levels`; `log_mel` does both at once.

References
----------
M. Slaney, "Auditory Toolbox", Interval Research Technical Report 1998-010.
B. McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from mgr_cli.config import FeatureSpec

SMALLEST_POWER = 1e-10  # −100 dB: what is below counts as this
FRAMES_AT_ONCE = (
    32  # STFT frames that are transformed together: few enough for OpenBLAS not to share
)
# out their products among threads, which takes longer than to compute them
BANDS_AT_ONCE = 16  # mel bands that are summed together

# Slaney's mel scale is linear up to 1 kHz, three mels in 200 Hz, and logarithmic above,
# 27 mels to a factor of 6.4.
HZ_PER_MEL = 200 / 3
LOG_FROM_HZ = 1_000.0
LOG_FROM_MEL = LOG_FROM_HZ / HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Convert frequencies in Hz to Slaney mels, element by element."""
    hz = np.asarray(hz, dtype=np.float64)
    above = np.log(np.maximum(hz, LOG_FROM_HZ) / LOG_FROM_HZ) / LOG_STEP
    mel: np.ndarray = np.where(hz < LOG_FROM_HZ, hz / HZ_PER_MEL, LOG_FROM_MEL + above)
    return mel


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Convert Slaney mels to frequencies in Hz, element by element."""
    mel = np.asarray(mel, dtype=np.float64)
    above = LOG_FROM_HZ * np.exp(LOG_STEP * (np.maximum(mel, LOG_FROM_MEL) - LOG_FROM_MEL))
    hz: np.ndarray = np.where(mel < LOG_FROM_MEL, mel * HZ_PER_MEL, above)
    return hz


@lru_cache(maxsize=8)
def mel_filters(spec: FeatureSpec) -> np.ndarray:
    """Build the mel filters as a matrix.

    Returns
    -------
    np.ndarray [shape=(n_mels, 1 + n_fft // 2)]
        float32, read-only. Row m is a triangle over the edges of band m, of height
        2 / width in Hz, so that every band passes the same power of white noise.
    """
    bins = np.fft.rfftfreq(spec.n_fft, 1 / spec.sample_rate)
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))
    edges = mel_to_hz(np.linspace(low, high, spec.n_mels + 2))
    ramps = edges[:, None] - bins
    widths = np.diff(edges)[:, None]
    rising, falling = -ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    heights = 2 / (edges[2:] - edges[:-2])
    filters: np.ndarray = (triangles * heights[:, None]).astype(np.float32)
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=8)
def _narrow_filters(spec: FeatureSpec) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """Cut the filters into runs of bands and the bins that these hear.

    Neighbouring bands hear a small part of the spectrum: with 128 of them three quarters of
    the whole matrix's products are with zeros.
    """
    filters = mel_filters(spec)
    runs = []
    for first in range(0, spec.n_mels, BANDS_AT_ONCE):
        bands = slice(first, min(first + BANDS_AT_ONCE, spec.n_mels))
        heard = np.flatnonzero(filters[bands].any(axis=0))
        bins = slice(int(heard[0]), int(heard[-1]) + 1) if len(heard) else slice(0, 1)
        runs.append((bands, bins, np.ascontiguousarray(filters[bands, bins].T)))
    return tuple(runs)


@lru_cache(maxsize=8)
def hann(n: int) -> np.ndarray:
    """Return the periodic Hann window of n samples, float32, read-only."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)
    window.flags.writeable = False
    return window


class PowerFrames:
    """Mel power of a track that arrives in blocks.

    Attributes
    ----------
    highest, lowest : float
        Of the mel power of all STFT frames so far, decimated ones included; None of them
        seen gives 0 and infinity.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._pending = np.zeros(spec.n_fft // 2, np.float32)  # the silence before the track
        self._skip = 0  # samples yet to come that lie before the next frame (hop > n_fft)
        self._n_stft = 0
        self._n_kept = 0
        self.highest = 0.0
        self.lowest = np.inf

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next samples and return the frames that they complete.

        Parameters
        ----------
        block : np.ndarray [shape=(n_samples,)]
            float32 waveform in [-1, 1], of any length.

        Returns
        -------
        np.ndarray [shape=(n_frames, n_mels)]
            float32 mel power, decimated.
        """
        spec = self._spec
        samples = np.concatenate([self._pending, block])
        n_frames = max(0, (len(samples) - self._skip - spec.n_fft) // spec.hop_length + 1)
        kept = [np.empty((0, spec.n_mels), np.float32)]
        for first in range(0, n_frames, FRAMES_AT_ONCE):
            start = self._skip + first * spec.hop_length
            n = min(FRAMES_AT_ONCE, n_frames - first)
            kept.append(self._transform(samples[start:], n))
        start = self._skip + n_frames * spec.hop_length
        self._skip = max(0, start - len(samples))
        self._pending = samples[min(start, len(samples)) :].copy()
        return np.concatenate(kept)

    def finish(self) -> np.ndarray:
        """End the track and return its last frames, like `push`."""
        return self.push(np.zeros(self._spec.n_fft // 2, np.float32))

    def _transform(self, samples: np.ndarray, n: int) -> np.ndarray:
        spec = self._spec
        frames = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft)
        spectrum = np.fft.rfft(frames[: n * spec.hop_length : spec.hop_length] * hann(spec.n_fft))
        squares = spectrum.real**2 + spectrum.imag**2
        power = np.empty((n, spec.n_mels), np.float32)
        for bands, bins, filters in _narrow_filters(spec):
            np.matmul(squares[:, bins], filters, out=power[:, bands])
        self.highest = max(self.highest, float(power.max()))
        self.lowest = min(self.lowest, float(power.min()))
        wanted = self._wanted(n)
        self._n_stft += n
        self._n_kept += len(wanted)
        kept: np.ndarray = power[wanted]
        return kept

    def _wanted(self, n: int) -> np.ndarray:
        """Return which of the next n STFT frames are kept: floor((j + 0.5) · decimation)."""
        last = int((self._n_stft + n) / self._spec.decimation) + 1
        columns = np.arange(self._n_kept, last + 1)
        frames: np.ndarray = np.floor((columns + 0.5) * self._spec.decimation).astype(np.int64)
        return frames[frames < self._n_stft + n] - self._n_stft


def to_levels(power: np.ndarray, spec: FeatureSpec, *, highest: float, lowest: float) -> np.ndarray:
    """Turn mel power into the levels that a net sees.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, n_mels)]
        Some or all frames of a track.
    spec : FeatureSpec
        Its `top_db` and `scale` are used.
    highest, lowest : float
        Largest and smallest mel power of the whole track.

    Returns
    -------
    np.ndarray [shape=(n_mels, n_frames)]
        float32. ``decibel``: in [-top_db, 0]. ``minmax``: in [0, 1]; a track without any
        range, silence for one, is 0 throughout.
    """

    def decibel(values: np.ndarray) -> np.ndarray:
        # Of the same type and by the same routine, or the loudest would not be at 0: on some
        # processors a vector's logarithm is rounded in another way than a number's.
        reference = 10 * np.log10(np.full(1, max(highest, SMALLEST_POWER), power.dtype))
        below = 10 * np.log10(np.maximum(values, SMALLEST_POWER)) - reference
        clipped: np.ndarray = np.clip(below, -spec.top_db, 0)  # rounding may end above 0
        return clipped

    levels = np.ascontiguousarray(decibel(power).T, dtype=np.float32)
    if spec.scale == "decibel":
        return levels
    floor = float(decibel(np.full(1, lowest, power.dtype))[0])
    stretched: np.ndarray = np.zeros_like(levels)
    if floor < 0:
        stretched = np.clip(1 - levels / floor, 0, 1)
    return stretched


def from_blocks(blocks: Iterable[np.ndarray], spec: FeatureSpec) -> np.ndarray:
    """Compute the log-mel spectrogram of a waveform that arrives in blocks.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(n_samples,)]
        Consecutive float32 samples at `spec.sample_rate`.
    spec : FeatureSpec
        What to compute.

    Returns
    -------
    np.ndarray [shape=(n_mels, n_frames)]
        float32 levels, see `to_levels`; band 0 is the lowest.
    """
    frames = PowerFrames(spec)
    power = np.concatenate([*(frames.push(block) for block in blocks), frames.finish()])
    return to_levels(power, spec, highest=frames.highest, lowest=frames.lowest)


def log_mel(waveform: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Compute the log-mel spectrogram of a waveform.

    Parameters
    ----------
    waveform : np.ndarray [shape=(n_samples,)]
        At `spec.sample_rate`.
    spec : FeatureSpec
        What to compute.

    Returns
    -------
    np.ndarray [shape=(n_mels, n_frames)]
        float32 levels, see `to_levels`; band 0 is the lowest.

    Raises
    ------
    ValueError
        If the waveform is not one-dimensional.
    """
    if waveform.ndim != 1:
        raise ValueError(f"a waveform has one dimension, not shape {waveform.shape}")
    return from_blocks([waveform.astype(np.float32)], spec)
