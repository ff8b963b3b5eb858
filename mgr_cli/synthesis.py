"""Playing a score on the instruments of a small synthesiser, and finishing the recording.

A score is a list of `Note`, in beats counted from 0; `play` makes a waveform of it, and waveforms
are mixed by adding them. Pitches are MIDI numbers: 69 is A4, 440 Hz, and an octave is 12.

References
----------
Moorer, "About This Reverberation Business", Computer Music J. 3(2), 1979 (`reverberate`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from mgr_cli.instruments import SAMPLE_RATE, Instrument, filtered, times

PEAK = 0.84  # of a finished track: mp3 may add 1.5 dB to it and not clip

VELOCITIES = {"p": 0.25, "o": 0.45, "x": 0.7, "X": 1.0}  # of the marks in a rhythm's pattern


@dataclass(frozen=True)
class Note:
    """One tone of a score.

    Attributes
    ----------
    beat : float
        Where it starts, in beats from the start of the track.
    pitch : float
        MIDI number.
    beats : float
        How long it is held.
    velocity : float
        How loud it is; 1 is the instrument's own level.
    """

    beat: float
    pitch: float
    beats: float
    velocity: float = 1.0


def frequency_of(pitch: float) -> float:
    """Return the frequency of a MIDI pitch in Hz, in equal temperament."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def play(
    notes: Iterable[Note],
    instrument: Instrument,
    rng: np.random.Generator,
    *,
    bpm: float,
    n_samples: int,
    looseness: float = 0.004,
) -> np.ndarray:
    """Let one instrument play its notes, not quite in time and not all equally loud.

    Parameters
    ----------
    notes : iterable of Note
        In any order, from beat 0 on; what rings on past the end is cut off.
    instrument : Instrument
        Plays each of them.
    rng : np.random.Generator
        Draws the instrument's noise and the player's inaccuracy.
    bpm : float
        Beats a minute.
    n_samples : int
        Length of the track.
    looseness : float
        How far a note may be off its time, in seconds; its level is up to 15 % down.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        float64, unbounded.
    """
    track = np.zeros(n_samples)
    for note in notes:
        sound = instrument(frequency_of(note.pitch), note.beats * 60.0 / bpm, rng)
        seconds = note.beat * 60.0 / bpm + rng.uniform(-looseness, looseness)
        start = max(0, round(seconds * SAMPLE_RATE))
        room = track[start : start + sound.size]
        room += note.velocity * rng.uniform(0.85, 1.0) * sound[: room.size]
    return track


def reverberate(wave: np.ndarray, rng: np.random.Generator, *, seconds: float) -> np.ndarray:
    """Return the echo of a room, without the direct sound.

    After Moorer: a hall's response is near to white noise that decays exponentially.

    Parameters
    ----------
    wave : np.ndarray [shape=(n_samples,)]
        What sounds in the room.
    rng : np.random.Generator
        Draws the room.
    seconds : float
        Until the echo has fallen by 60 dB.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        As long as `wave`; what rings on past its end is cut off.
    """
    t = times(seconds)
    decay = rng.uniform(-1, 1, t.size) * 10.0 ** (-3.0 * t / seconds)
    room = filtered(decay, 6_000.0, "low")
    return np.asarray(fftconvolve(wave, room / np.linalg.norm(room))[: wave.size])


def tilt(wave: np.ndarray, *, slope: float) -> np.ndarray:
    """Make a recording brighter or duller: raise its level with frequency, around 1 kHz.

    Parameters
    ----------
    wave : np.ndarray [shape=(n_samples,)]
        The recording.
    slope : float
        In dB an octave; below 0 duller. Level below 40 Hz, where a slope would never end.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        Of unchanged phase.
    """
    frequencies = np.maximum(np.fft.rfftfreq(wave.size, 1 / SAMPLE_RATE), 40.0)
    gains = 10.0 ** (slope * np.log2(frequencies / 1_000.0) / 20.0)
    return np.asarray(np.fft.irfft(np.fft.rfft(wave) * gains, wave.size))


def master(mix: np.ndarray, *, drive: float = 0.3) -> np.ndarray:
    """Round the peaks off as tape does, then bring the highest to `PEAK`.

    Parameters
    ----------
    mix : np.ndarray [shape=(n_samples,)]
        Of any level, but not silent.
    drive : float
        Its root mean square before tanh: 0.1 hardly rounds, 0.5 squeezes.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        float32, in [-PEAK, PEAK].
    """
    rounded = np.tanh(mix * (drive / np.sqrt(np.mean(mix**2))))
    return np.asarray(rounded * (PEAK / np.abs(rounded).max()), dtype=np.float32)
