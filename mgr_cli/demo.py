"""The track that ships with the package, so that a newcomer has something to predict.

Disco in A minor, composed here and played by our own synthesiser: two bars of intro, eight of
tune, a last chord. ``python -m mgr_cli.demo`` makes the file again.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from mgr_cli.config import SEED
from mgr_cli.files import replacing
from mgr_cli.instruments import (
    SAMPLE_RATE,
    Instrument,
    bass,
    brass,
    guitar,
    hihat,
    keys,
    kick,
    snare,
    strings,
)
from mgr_cli.synthesis import VELOCITIES, Note, master, play, reverberate

DEMO = Path(__file__).parent / "assets" / "demo.mp3"
DEMO_BPM = 118.0

_CHORDS: dict[str, tuple[int, ...]] = {  # the bass's root, and four close voices
    "Am": (33, 57, 60, 64, 67),
    "Dm": (38, 57, 60, 62, 65),
    "E": (28, 56, 59, 62, 64),
    "Em": (28, 55, 59, 62, 64),
    "F": (29, 53, 57, 60, 64),
    "G": (31, 55, 59, 62, 67),
}
_BARS = ("Am", "Am", "Am", "F", "G", "Em", "Am", "F", "Dm", "E", "Am")

_TUNE = (  # a bar a line: (pitch, beats) one after the other from the third bar on, 0 rests
    *((76, 1.5), (74, 0.5), (72, 0.5), (74, 0.5), (76, 1.0)),
    *((77, 1.0), (76, 0.5), (72, 1.5), (69, 0.5), (72, 0.5)),
    *((74, 1.5), (71, 0.5), (74, 1.0), (79, 1.0)),
    *((76, 2.0), (0, 0.5), (71, 0.5), (74, 0.5), (75, 0.5)),
    *((76, 1.5), (79, 0.5), (81, 1.0), (79, 0.5), (76, 0.5)),
    *((77, 1.0), (79, 0.5), (77, 1.0), (76, 0.5), (72, 1.0)),
    *((74, 1.0), (77, 1.0), (81, 1.0), (77, 1.0)),
    *((80, 1.5), (76, 0.5), (80, 1.0), (83, 1.0)),
    (81, 1.5),
)

# How loud everyone is, and how much of it goes into the room; set so that the mean log-mel
# profile is that of GTZAN's disco.
_LEVELS: dict[Instrument, tuple[float, float]] = {
    kick: (0.75, 0.02),
    snare: (0.65, 0.2),
    hihat: (0.22, 0.05),
    bass: (0.7, 0.0),
    guitar: (0.6, 0.15),
    keys: (0.14, 0.2),
    brass: (0.2, 0.3),
    strings: (0.35, 0.4),
}

# Who plays in which bars, counted from 0; which sixteenths, and how loud; a pitch, or voices
# of the bar's chord, and by how much it is raised; and how many beats a note is held.
_ALL, _BASS, _LIFT, _END = range(10), range(1, 10), range(6, 10), (10,)
_ROOT, _CHORD, _TOP = slice(0, 1), slice(1, 5), slice(2, 5)
_PATTERNS: tuple[tuple[Instrument, Iterable[int], str, int | slice, int, float], ...] = (
    (kick, _ALL, "X...X...X...X...", 31, 0, 0.6),
    (snare, _ALL, "....X.......X..o", 55, 0, 0.5),
    (snare, (1, 5, 9), ".............xxX", 55, 0, 0.4),
    (hihat, _ALL, "xo.oxo.oxo.oxo.o", 117, 0, 0.15),
    (hihat, _ALL, "..X...X...X...X.", 115, 0, 0.5),
    (hihat, (2, 6, 10), "X", 112, 0, 3.0),
    (bass, _BASS, "X...X...X...X.x.", _ROOT, 0, 0.42),
    (bass, _BASS, "..x...x..xx....x", _ROOT, 12, 0.3),
    (guitar, _ALL, "..X..xX...X.xoX.", _TOP, 12, 0.3),
    (guitar, _ALL, "oo.oo..oo.o....o", _TOP, 12, 0.06),  # muted
    (keys, _ALL, "X..x..X..x..x...", _CHORD, 0, 0.6),
    (strings, _BASS, "p", _CHORD, 12, 3.9),
    (brass, _LIFT, "......X..X......", _CHORD, 12, 0.3),
    (kick, _END, "X", 31, 0, 0.8),
    (snare, _END, "X", 55, 0, 0.6),
    (bass, _END, "X", _ROOT, 0, 1.5),
    (guitar, _END, "X", _CHORD, 12, 0.5),
    (keys, _END, "X", _CHORD, 0, 1.5),
    (brass, _END, "X", _CHORD, 0, 0.5),
    (strings, _END, "o", _CHORD, 0, 1.5),
)


def _score() -> dict[Instrument, list[Note]]:
    score: dict[Instrument, list[Note]] = {instrument: [] for instrument in _LEVELS}
    for instrument, bars, marks, voices, rise, beats in _PATTERNS:
        for bar in bars:
            chord = _CHORDS[_BARS[bar]]
            pitches = chord[voices] if isinstance(voices, slice) else (voices,)
            score[instrument] += [
                Note(4 * bar + step / 4, pitch + rise, beats, VELOCITIES[mark])
                for step, mark in enumerate(marks)
                if mark != "."
                for pitch in pitches
            ]
    beat = 8.0
    for pitch, beats in _TUNE:
        if pitch:
            both = Note(beat, pitch, beats - 0.05), Note(beat, pitch + 12, beats - 0.05, 0.5)
            score[strings] += both
        beat += beats
    return score


def render_demo(rng: np.random.Generator) -> np.ndarray:
    """Render the demo track: two bars of intro, eight of tune, a last chord.

    Parameters
    ----------
    rng : np.random.Generator
        Draws every noise, phase and inaccuracy; `DEMO` was made with ``default_rng(SEED)``.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        float32 at `SAMPLE_RATE`, mono, 22.2 s, its peak at `PEAK`.
        The same bits for the same seed, as far as NumPy keeps its random streams.
    """
    n_samples = round((4 * _END[0] * 60.0 / DEMO_BPM + 1.9) * SAMPLE_RATE)
    mix, sent = np.zeros(n_samples), np.zeros(n_samples)
    for instrument, notes in _score().items():
        level, send = _LEVELS[instrument]
        wave = level * play(notes, instrument, rng, bpm=DEMO_BPM, n_samples=n_samples)
        mix += wave
        sent += send * wave
    mix += reverberate(sent, rng, seconds=1.4)
    mix[-SAMPLE_RATE:] *= np.linspace(1.0, 0.0, SAMPLE_RATE)
    return master(mix)


def write_demo(path: Path = DEMO) -> None:
    """Render the demo track and write it, so that its file and score cannot part.

    Parameters
    ----------
    path : Path
        Replaced when the new file is whole.
    """
    write_mp3(path, render_demo(np.random.default_rng(SEED)))


def write_mp3(path: Path, wave: np.ndarray) -> None:
    """Write a waveform of the synthesiser as mp3 at 112 kbit/s, whole or not at all.

    Parameters
    ----------
    path : Path
        Where to; missing parent folders are made.
    wave : np.ndarray [shape=(n_samples,)]
        float32 at `SAMPLE_RATE`.
    """
    with replacing(path) as part, part.open("wb") as file:
        soundfile.write(
            file, wave, SAMPLE_RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=0.7
        )


if __name__ == "__main__":
    write_demo(*map(Path, sys.argv[1:2]))
