"""What one STFT tells about each frame: shape of the spectrum, tuning, chroma, zero crossings.

Every function takes the magnitudes of a track, `(n_frames, 1 + N_FFT // 2)`, a frame a row, and
returns `(n_numbers, n_frames)`. The numbers are those of librosa's functions of the same name,
with librosa's defaults unless a constant here says otherwise. Written again is only what costs
librosa most of its time: it estimates the tuning over all 1,025 bins although it looks for
pitches below 4 kHz; it finds the roll-off by way of an array of NaN; it spreads a track into
overlapping frames to count its changes of sign; and each of its functions makes its own power.
The rest (transform, mel and chroma filters, histogram of the tuning, dB) is librosa's.

`sample_rate` is the rate that the bins' frequencies are derived from, in Hz.

References
----------
B. McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
D.-N. Jiang et al., "Music type classification by spectral contrast feature", ICME 2002.
"""

from collections.abc import Callable

import numpy as np

N_FFT = 2_048
HOP_LENGTH = 512
N_CHROMA = 12
PITCH_HZ = (150.0, 4_000.0)  # where the tuning looks for pitches
PITCH_FLOOR = 0.1  # a pitch is louder than this share of its frame's loudest bin
ROLLOFF = 0.85  # share of the magnitudes that lies below the roll-off
LOWEST_BAND_HZ = 200.0  # upper edge of the lowest contrast band; each of the next is an octave
N_OCTAVES = 6  # contrast bands above the lowest one
QUANTILE = 0.02  # share of a band's bins that make its peak, and its valley
NEXT_TO_ZERO = 1e-10  # a sample as small has no sign
BLOCK = 512  # frames at a time: 2 MB of magnitudes stay in the cache


def magnitudes(waveform: np.ndarray) -> np.ndarray:
    """Transform a waveform; frames are centred on multiples of the hop and padded with zeros.

    Parameters
    ----------
    waveform : np.ndarray [shape=(n_samples,)]
        float32.

    Returns
    -------
    np.ndarray [shape=(1 + n_samples // HOP_LENGTH, 1 + N_FFT // 2)]
        float32 magnitudes.
    """
    import librosa

    padded = np.pad(waveform, N_FFT // 2)
    n_frames = 1 + len(waveform) // HOP_LENGTH
    result = np.empty((n_frames, 1 + N_FFT // 2), np.float32)
    for first in range(0, n_frames, BLOCK):
        last = min(first + BLOCK, n_frames) - 1
        samples = padded[first * HOP_LENGTH : last * HOP_LENGTH + N_FFT]
        spectrum = librosa.stft(samples, n_fft=N_FFT, hop_length=HOP_LENGTH, center=False)
        np.abs(spectrum.T, out=result[first : last + 1])
    return result


def _in_blocks(function: Callable[[np.ndarray], np.ndarray], frames: np.ndarray) -> np.ndarray:
    """Apply a function of (n, n_bins) frames that returns (…, m), and join along the last axis."""
    blocks = [function(frames[i : i + BLOCK]) for i in range(0, len(frames), BLOCK)]
    return np.concatenate(blocks, axis=-1)


def frequencies(sample_rate: float) -> np.ndarray:
    """Return the frequency of every bin in Hz."""
    return np.fft.rfftfreq(N_FFT, 1 / sample_rate)


def centroid_and_bandwidth(frames: np.ndarray, sample_rate: float) -> np.ndarray:
    """Compute mean and standard deviation in Hz of the frequency, weighted by magnitude.

    Both are 0 where a frame is silent.
    """
    hz = frequencies(sample_rate)
    moments = np.stack([np.ones_like(hz), hz, hz**2], axis=1)

    def block(part: np.ndarray) -> np.ndarray:
        total, first, second = (part.astype(np.float64) @ moments).T  # float64: second − first²
        total[total < np.finfo(np.float32).tiny] = 1
        centroid = first / total
        return np.stack([centroid, np.sqrt(np.maximum(second / total - centroid**2, 0))])

    return _in_blocks(block, frames)


def rolloff(frames: np.ndarray, sample_rate: float) -> np.ndarray:
    """Find the lowest frequency in Hz up to which a frame has `ROLLOFF` of its magnitudes."""

    def block(part: np.ndarray) -> np.ndarray:
        running = np.cumsum(part, axis=1)
        below = running < np.float32(ROLLOFF) * running[:, -1:]
        bins: np.ndarray = np.count_nonzero(below, axis=1)[None]
        return bins

    hz: np.ndarray = _in_blocks(block, frames) * (sample_rate / N_FFT)
    return hz


def contrast_bands(sample_rate: float) -> list[tuple[slice, int]]:
    """Return each contrast band: its bins, and how many of them make a peak or a valley.

    A band shares the bin below it with its neighbour and gives up its highest, as librosa has
    it; the last one reaches up to half the rate.
    """
    edges = LOWEST_BAND_HZ * 2.0 ** np.arange(N_OCTAVES + 1)
    if edges[-2] >= sample_rate / 2:
        raise ValueError(f"no contrast band of {edges[-2]:.0f} Hz at a rate of {sample_rate} Hz")
    hz = frequencies(sample_rate)
    bands = []
    for k, (low, high) in enumerate(zip((0.0, *edges[:-1]), edges, strict=True)):
        inside = np.flatnonzero((hz >= low) & (hz <= high))
        start = inside[0] - (k > 0)
        stop = len(hz) if k == N_OCTAVES else inside[-1] + 1
        n_extreme = max(int(np.rint(QUANTILE * (stop - start))), 1)
        bands.append((slice(start, stop - (k < N_OCTAVES)), n_extreme))
    return bands


def contrast(frames: np.ndarray, sample_rate: float) -> np.ndarray:
    """Compute how far peaks lie above valleys in each octave, in dB.

    Peak and valley are means of the loudest and of the quietest bins. Both are cut off 80 dB
    below the loudest of the track.
    """
    import librosa

    bands = contrast_bands(sample_rate)

    def block(part: np.ndarray) -> np.ndarray:
        rows = np.empty((2, len(bands), len(part)))
        for k, (bins, n_extreme) in enumerate(bands):
            ordered = np.sort(part[:, bins], axis=1)
            rows[0, k] = ordered[:, -n_extreme:].mean(axis=1)
            rows[1, k] = ordered[:, :n_extreme].mean(axis=1)
        return rows

    peak, valley = _in_blocks(block, frames)
    difference: np.ndarray = librosa.power_to_db(peak) - librosa.power_to_db(valley)
    return difference


def rms(frames: np.ndarray) -> np.ndarray:
    """Compute the root mean square of the windowed samples, by Parseval's theorem."""

    def block(part: np.ndarray) -> np.ndarray:
        power = part * part
        once = (power[:, 0] + power[:, -1]) / 2  # every other bin stands for two
        half: np.ndarray = power.sum(axis=1) - once
        return half[None]

    result: np.ndarray = np.sqrt(2 * _in_blocks(block, frames)) / N_FFT
    return result


def filtered_power(frames: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Sum power under filters, given as `(n_filters, 1 + N_FFT // 2)` float32."""
    return _in_blocks(lambda part: filters @ (part * part).T, frames)


def tuning(frames: np.ndarray, sample_rate: float, *, exponent: int) -> float:
    """Estimate how far a track is tuned from 440 Hz.

    Peaks of the spectrum between 150 Hz and 4 kHz are interpolated by a parabola, and those
    are taken whose height reaches the median. Equals `librosa.estimate_tuning`.

    Parameters
    ----------
    frames : np.ndarray [shape=(n_frames, 1 + N_FFT // 2)]
        Magnitudes.
    sample_rate : float
        In Hz.
    exponent : {1, 2}
        Look at magnitude, or at power. The two come out a few cents apart.

    Returns
    -------
    float
        In [-0.5, 0.5) semitones, in steps of 0.01; 0 without any peak.
    """
    import librosa

    hz = frequencies(sample_rate)
    highest = min(PITCH_HZ[1], sample_rate / 2)
    searched = np.flatnonzero((hz >= PITCH_HZ[0]) & (hz < highest))
    start, stop = searched[0], searched[-1] + 1

    def block(part: np.ndarray) -> np.ndarray:
        floor = np.float32(PITCH_FLOOR) * part.max(axis=1, keepdims=True) ** exponent
        around = part[:, start - 1 : stop + 1] ** exponent
        left, here, right = around[:, :-2], around[:, 1:-1], around[:, 2:]
        where = np.nonzero((here > floor) & (here > left) & (here >= right))
        slope = (right[where].astype(np.float64) - left[where]) / 2
        bend = right[where].astype(np.float64) + left[where] - 2 * here[where]
        shift = np.zeros_like(slope)
        np.divide(-slope, bend, out=shift, where=np.abs(slope) < np.abs(bend))
        height = here[where] + slope * shift / 2
        return np.stack([(start + where[1] + shift) * sample_rate / N_FFT, height])

    pitch, height = _in_blocks(block, frames)
    if len(pitch) == 0:
        return 0.0
    return float(librosa.pitch_tuning(pitch[height >= np.median(height)]))


def chroma(frames: np.ndarray, sample_rate: float) -> np.ndarray:
    """Fold power into the twelve pitch classes; the strongest of a frame is 1, silence is 0."""
    import librosa

    offset = tuning(frames, sample_rate, exponent=2)
    filters = librosa.filters.chroma(sr=sample_rate, n_fft=N_FFT, n_chroma=N_CHROMA, tuning=offset)
    result: np.ndarray = librosa.util.normalize(filtered_power(frames, filters), axis=0)
    return result


def zero_crossings(waveform: np.ndarray) -> np.ndarray:
    """Count changes of sign in each frame of a waveform, as a share of its samples.

    Frames are those of `magnitudes`, but extended by the first and the last sample.
    """
    positive = waveform >= -NEXT_TO_ZERO
    crossings = np.zeros(len(waveform), np.int32)  # up to each sample, from the first on
    np.cumsum(positive[1:] != positive[:-1], out=crossings[1:])
    starts = np.arange(0, len(waveform) + 1, HOP_LENGTH) - N_FFT // 2
    first = np.clip(starts, 0, len(waveform) - 1)
    last = np.clip(starts + N_FFT - 1, 0, len(waveform) - 1)
    return (crossings[last] - crossings[first])[None] / N_FFT
