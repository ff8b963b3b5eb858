"""What a piece of sound holds: music, speech, noise or nothing.

A net gives a genre to whatever it is handed. This listener hears the same blocks as the features
do, and marks what is no music. It is no net: seven numbers a second, two weighted sums of them,
and thresholds, all written below; ``tests/benchmarks/content.py`` measures and fits them.

What is heard. Samples are averaged in runs so that 8 to 16 kHz are left, and cut into frames of
25 ms, 40 in a second, that do not overlap; a Hann window and a Fourier transform give bins 40 Hz
apart, of which those between 100 Hz and 3.9 kHz count. What lies above is folded down by the
averaging, weaker; it does no harm here. Of each second are taken

- *modulation*: how much of the movement of eight bands' amplitudes is at 3 to 6 Hz, the rate of
  syllables [1]_, a share;
- *level*: deviation of the level over the frames, dB. Speech pauses between words; this stands
  for the share of low-energy frames in [1]_ and [2]_, and needs no threshold;
- *onsets*: deviation of the spectral flux over the frames, dB. Drums and plucked strings start
  all at once and then change little, speech changes always;
- *shape*: deviation of the bands' levels against each other, dB: vowels and consonants;
- *tones*: log share of the spectrum's fine structure that stays over the second: notes are held,
  the harmonics of a voice that speaks glide;
- *memory*: correlation of a bin's level with itself one frame before, what all bins do together
  set aside. The frames of noise have nothing to do with each other: 0;
- *roughness*: mean step from bin to bin of the second's mean spectrum, dB. That of noise is
  smooth, 40 frames leave about 0.8 dB.

Each is of a second against itself, so loudness and a DC offset do not matter. The first five tell
speech, by weights of a logistic regression: they give the log odds of speech against music.
*memory*, *roughness* and *level* tell noise likewise: stationary, without tones and rhythm.

How it is decided. A second is silent below −60 dB of full scale, as the root mean square, DC
apart. The log odds of the others are added up over seven seconds, the three before and after, or
those nearest the end; a second is speech where the sum is above `SPEECH_NEEDED`, noise above
`NOISE_NEEDED`, else music. Sums, not means: where there is little to hear, as in a track of one
second, it takes more to be sure. The thresholds are set for few false alarms, since a song that is
wrongly called speech loses its genre. A segment is what most of its time is, music in a tie.

What it cannot do. Singing and rapping without accompaniment may count as speech, speech over
music is music. Less than two seconds of speech are seldom told. A hum is a tone, and so music;
rain and surf are noise where they are even. One tone alone that is keyed, trembles or glides as
fast as syllables, as of a siren or a bird, passes for speech. The weights come of synthetic speech
(espeak-ng in 15 languages), synthesised noise and drums, and half of the music at hand.

References
----------
.. [1] E. Scheirer and M. Slaney, "Construction and evaluation of a robust multifeature
   speech/music discriminator", ICASSP 1997.
.. [2] J. Saunders, "Real-time discrimination of broadcast speech/music", ICASSP 1996.
"""

from array import array
from typing import Literal, get_args

import numpy as np

Content = Literal["music", "speech", "noise", "silence"]
CONTENTS: tuple[Content, ...] = get_args(Content)

FEATURES = ("modulation", "level", "onsets", "shape", "tones", "memory", "roughness")
"""What is measured of a second, in order."""

SPEECH_WEIGHTS = np.array([26.1, 0.994, -2.28, 3.20, -3.75, 0, 0], np.float32)
SPEECH_BIAS = -35.2
SPEECH_NEEDED = 20.0  # log odds, added up over the seconds
NOISE_WEIGHTS = np.array([0, -2.69, 0, 0, 0, -27.0, -2.27], np.float32)
NOISE_BIAS = 9.24
NOISE_NEEDED = 14.0

LOWEST_RATE = 8_000  # Hz
N_FRAMES = 40  # in a second
SYLLABLES = slice(3, 7)  # Hz: bins of a transform over the 40 frames of a second
LOWEST, HIGHEST = 3, 98  # bins of 40 Hz: 120 Hz to 3,880 Hz
N_BANDS = 8
BANDS = np.searchsorted(
    np.arange(LOWEST, HIGHEST), np.geomspace(LOWEST, HIGHEST, N_BANDS + 1)[:-1]
)  # where each begins
APART = 3  # kept bins, 240 Hz: neighbours that fine structure is set against
CONTEXT = 3  # seconds before one that are judged with it
N_TOGETHER = 2 * CONTEXT + 1  # in all, as far as the track has them
AT_ONCE = 2**19  # samples that are measured together, or a second if that is more
SILENCE = 1e-6  # power: −60 dB of full scale
LEVEL_FLOOR = 1e-4  # of a second's mean power: 40 dB below it; what is below counts as this
BIN_FLOOR = 1e-5  # of the mean power of its bins, likewise
BAND_FLOOR = 1e-6
PEAK_FLOOR = 1e-4  # of the strongest bin: bins below have no say in the roughness
SMALLEST = np.float32(1e-20)  # keeps logarithms and quotients of nothing finite
DECIBELS = np.float32(10 / np.log(10))  # in a neper of power


class Seconds:
    """Cuts samples into seconds of 40 frames and measures them.

    Parameters
    ----------
    sample_rate : int
        In Hz.

    Attributes
    ----------
    n_samples : int
        In a second, within a frame's rounding.
    """

    def __init__(self, sample_rate: int) -> None:
        self._step = max(1, sample_rate // LOWEST_RATE)
        self._n = max(1, round(sample_rate / self._step / N_FRAMES))  # in a frame, thinned
        self.n_samples = self._n * self._step * N_FRAMES
        self._can_tell = sample_rate >= LOWEST_RATE
        phases = np.pi * (np.arange(self._n) + 0.5) / self._n
        self._window = np.square(np.sin(phases)).astype(np.float32)

    def measure(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measure whole seconds, float32 [shape=(n_seconds * self.n_samples,)].

        Returns
        -------
        power : np.ndarray [shape=(n_seconds,)]
            Mean square without the frames' means, 1 being full scale.
        features : np.ndarray [shape=(n_seconds, 7)]
            `FEATURES`; not a number below 8 kHz.
        """
        thinned = samples[:: self._step].copy()
        for first in range(1, self._step):
            thinned += samples[first :: self._step]
        frames = thinned.reshape(-1, self._n)
        rows = samples.reshape(len(frames), -1)
        means = frames.mean(axis=1) / np.float32(self._step)
        squares = np.einsum("ij,ij->i", rows, rows) / rows.shape[1] - np.square(means)
        power = squares.reshape(-1, N_FRAMES).mean(axis=1)
        if not self._can_tell:
            return power, np.full((len(power), len(FEATURES)), np.nan, np.float32)
        spectrum = np.fft.rfft(frames * self._window)[:, LOWEST:HIGHEST]
        bins = np.square(spectrum.real) + np.square(spectrum.imag)
        return power, measure(bins.reshape(-1, N_FRAMES, HIGHEST - LOWEST))


class Listener:
    """Listens to a track that arrives in blocks.

    What it keeps are three float32 numbers a second, 1 MB in a day, and 2 MB of samples, or a
    second if that is more.

    Parameters
    ----------
    sample_rate : int
        Of the blocks, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._seconds = Seconds(sample_rate)
        self._n_samples = self._seconds.n_samples
        self._length = self._n_samples / sample_rate  # of a second, in seconds
        self._pending = np.zeros(max(1, AT_ONCE // self._n_samples) * self._n_samples, np.float32)
        self._n_pending = 0
        self._kept = array("f")  # power, log odds of speech, log odds of noise; and again
        self._last = 1.0  # share of the last second that is there

    def push(self, block: np.ndarray) -> None:
        """Take the next samples, float32 mono [shape=(n_samples,)], of any length."""
        while len(block):
            taken = block[: len(self._pending) - self._n_pending]
            self._pending[self._n_pending : self._n_pending + len(taken)] = taken
            self._n_pending += len(taken)
            block = block[len(taken) :]
            if self._n_pending == len(self._pending):
                self._listen(self._pending)
                self._n_pending = 0

    def finish(self) -> None:
        """End the track; only then can it be asked."""
        missing = -self._n_pending % self._n_samples
        rest = self._pending[: self._n_pending]
        if len(rest):  # mirrored until it fills a second, which counts for what there is
            self._listen(np.pad(rest, (0, missing), mode="symmetric"))
            self._last = 1 - missing / self._n_samples
            self._n_pending = 0

    def contents(self, starts: tuple[float, ...], seconds: float) -> tuple[Content, ...]:
        """Say what each segment holds.

        Parameters
        ----------
        starts : tuple of float
            Where they begin, in seconds.
        seconds : float
            Length of a segment.

        Returns
        -------
        tuple of {"music", "speech", "noise", "silence"}
            What most of its time is; music in case of a tie.
        """
        kept = np.array(self._kept).reshape(-1, 3)
        shares = np.ones(len(kept))
        shares[-1:] = self._last
        found = _judge(kept, shares)
        edges = np.insert(np.cumsum(shares), 0, 0) * self._length
        begins = np.array(starts)
        held = []
        for content in range(len(CONTENTS)):
            passed = np.insert(np.cumsum(shares * (found == content)), 0, 0)
            held.append(
                np.interp(begins + seconds, edges, passed) - np.interp(begins, edges, passed)
            )
        # Sums in another order differ in their last digits, and a tie is music's.
        return tuple(CONTENTS[most] for most in np.argmax(np.round(held, 6), axis=0))

    def _listen(self, samples: np.ndarray) -> None:
        power, features = self._seconds.measure(samples)
        speech = features @ SPEECH_WEIGHTS + SPEECH_BIAS
        noise = features @ NOISE_WEIGHTS + NOISE_BIAS
        self._kept.frombytes(np.stack([power, speech, noise], axis=1).astype(np.float32).tobytes())


def measure(power: np.ndarray) -> np.ndarray:
    """Measure seconds of sound.

    Parameters
    ----------
    power : np.ndarray [shape=(n_seconds, 40, 95)]
        Of each second's frames in the bins from 120 to 3,880 Hz, float32, in any unit.

    Returns
    -------
    np.ndarray [shape=(n_seconds, 7)]
        `FEATURES`, float32.
    """
    whole = power.sum(axis=2)
    mean = whole.mean(axis=1, keepdims=True) + SMALLEST
    level = _decibels(np.maximum(whole, LEVEL_FLOOR * mean)).std(axis=1)
    some = power[:, :, ::2]  # half of them tell as much
    levels = _decibels(some + (BIN_FLOOR / power.shape[2] * mean)[:, :, None])
    steps = np.diff(levels, axis=1)
    onsets = np.abs(steps, out=steps).mean(axis=2).std(axis=1)
    modulation, shape = _of_bands(power, mean)
    columns = [modulation, level, onsets, shape, _tones(levels), _memory(levels)]
    return np.stack([*columns, _roughness(power.mean(axis=1))], axis=1)


def _decibels(power: np.ndarray) -> np.ndarray:
    decibels: np.ndarray = DECIBELS * np.log(power)
    return decibels


def _of_bands(power: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bands = np.add.reduceat(power, BANDS, axis=2)
    amplitudes = np.sqrt(bands)
    moved = np.fft.rfft(amplitudes - amplitudes.mean(axis=1, keepdims=True), axis=1)
    energy = np.square(np.abs(moved)).sum(axis=2)
    modulation = energy[:, SYLLABLES].sum(axis=1) / (energy.sum(axis=1) + SMALLEST)
    levels = _decibels(bands + (BAND_FLOOR * mean)[:, :, None])
    levels -= levels.mean(axis=2, keepdims=True)
    return modulation, np.sqrt(levels.var(axis=1).mean(axis=1))


def _tones(levels: np.ndarray) -> np.ndarray:
    inner = levels[:, :, APART:-APART]
    fine = inner - (levels[:, :, 2 * APART :] + levels[:, :, : -2 * APART]) / 2
    stays = np.square(fine.mean(axis=1)).sum(axis=1) * N_FRAMES
    share = stays / (np.einsum("ijk,ijk->i", fine, fine) + SMALLEST)
    logs: np.ndarray = np.log(share + 0.02)  # independent frames leave 1 / 40 by chance
    return logs


def _memory(levels: np.ndarray) -> np.ndarray:
    own = levels - levels.mean(axis=1, keepdims=True)
    own -= own.mean(axis=2, keepdims=True)
    together = np.einsum("ijk,ijk->i", own[:, 1:], own[:, :-1])
    correlation: np.ndarray = together / (np.einsum("ijk,ijk->i", own, own) + SMALLEST)
    return correlation


def _roughness(spectrum: np.ndarray) -> np.ndarray:
    heard = spectrum > PEAK_FLOOR * spectrum.max(axis=1, keepdims=True)
    pairs = heard[:, 1:] & heard[:, :-1]
    steps = np.abs(np.diff(_decibels(spectrum + SMALLEST), axis=1))
    mean: np.ndarray = (steps * pairs).sum(axis=1) / np.maximum(pairs.sum(axis=1), 1)
    return mean.astype(np.float32)


def _judge(kept: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Say which of `CONTENTS` each second is, as its index."""
    power, *odds = kept.astype(np.float64).T
    silent = power < SILENCE
    seconds = np.arange(len(kept))
    begins = np.clip(seconds - CONTEXT, 0, max(len(kept) - N_TOGETHER, 0))
    ends = np.minimum(begins + N_TOGETHER, len(kept))

    def gathered(evidence: np.ndarray) -> np.ndarray:
        sums = np.insert(np.cumsum(np.where(silent, 0, evidence * shares)), 0, 0)
        total: np.ndarray = sums[ends] - sums[begins]
        return total

    speech, noise = map(gathered, odds)
    return np.select(
        [silent, noise > NOISE_NEEDED, speech > SPEECH_NEEDED],
        [CONTENTS.index("silence"), CONTENTS.index("noise"), CONTENTS.index("speech")],
    )
