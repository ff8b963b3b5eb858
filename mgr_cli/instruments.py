"""The instruments of a small synthesiser.

An instrument is a function ``(frequency, seconds, rng) → waveform``: frequency in Hz;
seconds until the key is let go, after which it may ring on; rng for its noise and phases.
The waveform is float64, mono, at `SAMPLE_RATE`, of a peak near 1. Drums are tuned too: the
frequency is the body's, or the lower edge of a hi-hat.

References
----------
Chowning, "The Synthesis of Complex Audio Spectra by Means of Frequency Modulation",
J. Audio Eng. Soc. 21(7), 1973 (`keys`, `brass`). Karplus, Strong, "Digital Synthesis
of Plucked-String and Drum Timbres", and Jaffe, Smith, "Extensions of the Karplus-Strong
Plucked-String Algorithm", Computer Music J. 7(2), 1983 (`guitar`). Välimäki, Huovilainen,
"Antialiasing Oscillators in Subtractive Synthesis", IEEE Signal Processing Magazine 24(2),
2007 (`sawtooth`).
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

SAMPLE_RATE = 44_100  # Hz

Instrument = Callable[[float, float, np.random.Generator], np.ndarray]


# --- signals ----------------------------------------------------------------------------


def sawtooth(frequency: np.ndarray, *, phase: float = 0.0) -> np.ndarray:
    """Make a sawtooth whose jumps are rounded off (PolyBLEP) so that little of it aliases.

    Parameters
    ----------
    frequency : np.ndarray [shape=(n_samples,)]
        In Hz, at every sample.
    phase : float
        Where it starts, in cycles.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        In [-1, 1], rising once a cycle.
    """
    step = frequency / SAMPLE_RATE
    cycle = (phase + np.cumsum(step)) % 1.0
    after = np.clip(1.0 - cycle / step, 0.0, None)  # 1 at the jump, 0 a sample later
    before = np.clip(1.0 - (1.0 - cycle) / step, 0.0, None)
    return np.asarray(2.0 * cycle - 1.0 + after**2 - before**2)


def times(seconds: float) -> np.ndarray:
    """Return the time of each sample in seconds, from 0."""
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _held(seconds: float, *, attack: float, release: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the times, and an envelope that rises, holds until `seconds`, and falls."""
    t = times(seconds + release)
    points = (0.0, min(attack, seconds), seconds, seconds + release)
    return t, np.interp(t, points, (0.0, 1.0, 1.0, 0.0))


def filtered(
    wave: np.ndarray, edge: float | tuple[float, float], kind: Literal["low", "high", "bandpass"]
) -> np.ndarray:
    """Filter a waveform, second order, at an edge or between two in Hz."""
    return np.asarray(sosfilt(butter(2, edge, kind, fs=SAMPLE_RATE, output="sos"), wave))


# --- instruments ------------------------------------------------------------------------


def kick(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Play a bass drum: a sine that falls from six times its frequency, and a click."""
    t, envelope = _held(seconds, attack=0.001, release=0.02)
    fall = 0.018  # seconds
    cycles = frequency * (t + 5.0 * fall * (1.0 - np.exp(-t / fall)))
    body = np.sin(2 * np.pi * cycles) * np.exp(-t / 0.12)
    click = filtered(rng.uniform(-1, 1, t.size), (1_500.0, 6_000.0), "bandpass")
    return np.asarray((body + click * np.exp(-t / 0.006)) * envelope)


def snare(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Play a snare drum: a round skin's two lowest modes, and noisy wires."""
    t, envelope = _held(seconds, attack=0.001, release=0.02)
    angle = 2 * np.pi * frequency * t
    skin = (np.sin(angle) + 0.6 * np.sin(1.59 * angle)) * np.exp(-t / 0.05)
    wires = filtered(rng.uniform(-1, 1, t.size), (700.0, 9_000.0), "bandpass")
    return np.asarray((0.4 * skin + 1.1 * wires * np.exp(-t / 0.09)) * envelope)


def hihat(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Play a cymbal: noise above the frequency; short notes are closed, long ones open."""
    t, envelope = _held(seconds, attack=0.001, release=0.02)
    metal = filtered(rng.uniform(-1, 1, t.size), frequency, "high")
    return np.asarray(metal * np.exp(-3.0 * t / seconds) * envelope)


def bass(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Play an electric bass: a sawtooth whose bright part dies away first."""
    t, envelope = _held(seconds, attack=0.004, release=0.04)
    wave = sawtooth(np.full(t.size, frequency), phase=rng.uniform())
    bright = filtered(wave, 2_600.0, "low") * np.exp(-t / 0.06)
    dark = filtered(wave, 420.0, "low") * np.exp(-t / 0.6)
    return np.asarray((0.5 * bright + 0.7 * dark) * envelope)


def guitar(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Pluck a string: noise runs round a loop, one period long, that smooths it.

    After Karplus and Strong, tuned between two samples by the allpass of Jaffe and Smith.
    Unlike theirs the noise has no mean, which would be heard as a thump.
    """
    t, envelope = _held(seconds, attack=0.001, release=0.05)
    delay = SAMPLE_RATE / frequency - 0.5  # the mean of two neighbours takes the half sample
    n_loop = int(delay - 0.1)  # leaves 0.1 to 1.1 samples to the allpass
    allpass = (1.0 - (delay - n_loop)) / (1.0 + (delay - n_loop))
    feedback = np.zeros(n_loop + 3)
    feedback[:2] = 1.0, allpass
    feedback[n_loop:] -= 0.498 * np.convolve((1.0, 1.0), (allpass, 1.0))
    pick = rng.uniform(-1, 1, n_loop)
    string = np.zeros(t.size)
    string[:n_loop] = (pick - pick.mean())[: t.size]
    return np.asarray(lfilter((1.0, allpass), feedback, string) * envelope)


def overdriven(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Pluck a string whose amplifier is turned up too far: clipped, and dull as a cabinet is."""
    _, envelope = _held(seconds, attack=0.001, release=0.05)
    clipped = np.tanh(12.0 * guitar(frequency, seconds, rng))
    return np.asarray(0.8 * filtered(clipped, (90.0, 3_800.0), "bandpass") * envelope)


def keys(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Play an electric piano: Chowning's FM with an index that decays, and a high tine."""
    t, envelope = _held(seconds, attack=0.002, release=0.12)
    angle = 2 * np.pi * (frequency * t + rng.uniform())
    tine = 0.5 * np.exp(-t / 0.05) * np.sin(14.0 * angle)
    mellow = np.sin(angle + 1.6 * np.exp(-t / 0.4) * np.sin(angle) + tine)
    return np.asarray(mellow * np.exp(-t / 0.9) * envelope)


def strings(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Bow a section: four sawtooths, apart in tuning, phase and vibrato, less their top."""
    t, envelope = _held(seconds, attack=0.07, release=0.18)
    section = np.zeros(t.size)
    for cents in (-7.0, -2.0, 2.0, 7.0):
        vibrato = 9.0 * np.sin(2 * np.pi * (rng.uniform(5.0, 6.0) * t + rng.uniform()))
        bent = frequency * 2.0 ** ((cents + vibrato) / 1_200.0)
        section += sawtooth(bent, phase=rng.uniform())
    return np.asarray(0.3 * filtered(section, 5_500.0, "low") * envelope)


def brass(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Blow a horn: Chowning's FM with an index that follows the level, so loud is bright."""
    t, envelope = _held(seconds, attack=0.035, release=0.06)
    swell = envelope * (0.75 + 0.25 * np.exp(-t / 0.12))
    angle = 2 * np.pi * (frequency * t + rng.uniform())
    return np.asarray(swell * np.sin(angle + 4.5 * swell * np.sin(angle)))


def organ(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Hold down an organ key: a sine for each of five drawbars, 8 feet to 1⅓."""
    t, envelope = _held(seconds, attack=0.008, release=0.05)
    drawbars = ((1.0, 0.6), (2.0, 0.3), (3.0, 0.2), (4.0, 0.15), (6.0, 0.1))
    wave = np.zeros(t.size)
    for ratio, level in drawbars:
        wave += level * np.sin(2 * np.pi * (ratio * frequency * t + rng.uniform()))
    return np.asarray(wave * envelope)


def sampled(instrument: Instrument) -> Instrument:
    """Return an instrument that plays a tone once, and repeats that take whenever it recurs.

    It is as a sampler does, and far cheaper. The takes live as long as what is returned.
    """
    takes: dict[tuple[float, float], np.ndarray] = {}

    def repeat(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
        if (frequency, seconds) not in takes:
            takes[frequency, seconds] = instrument(frequency, seconds, rng)
        return takes[frequency, seconds]

    return repeat
