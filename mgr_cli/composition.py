"""Writing and playing the tracks of a style (`styles`): a score is drawn, then played.

Everything is drawn from one generator, so that the same seed gives the same bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import TypeVar

import numpy as np

from mgr_cli.instruments import SAMPLE_RATE, Instrument, brass, keys, organ, overdriven, sampled
from mgr_cli.styles import MODES, STEPS, Part, Style
from mgr_cli.synthesis import VELOCITIES, Note, master, play, reverberate, tilt

DIGIT_VELOCITY = 0.8
MIN_SECONDS = 1.0
BALANCE = 4.0  # dB that an instrument may be above or below its level
SLOPE = 1.2  # dB an octave that a recording may be too bright or too dull
FADE = SAMPLE_RATE // 20  # samples
# What makes instruments of one level about equally loud, where one is drawn of several.
LOUDNESS: Mapping[Instrument, float] = {keys: 0.55, organ: 0.6, brass: 0.7, overdriven: 0.75}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Piece:
    """A track as it is written down: tempo, key, and who plays which notes.

    Attributes
    ----------
    seconds, bpm, swing : float
        Its length, its tempo in beats a minute, and the place of the off-beat in its beat.
    tonic, mode : int, str
        Its key: a pitch class, 0 is C, and a name in `MODES`.
    chords : tuple of int
        The root of every bar, as a step of the scale.
    players : tuple of (Part, Instrument, tuple of Note)
        The band; its notes start and end within the track.
    """

    seconds: float
    bpm: float
    swing: float
    tonic: int
    mode: str
    chords: tuple[int, ...]
    players: tuple[tuple[Part, Instrument, tuple[Note, ...]], ...]


def _one(rng: np.random.Generator, choices: Sequence[_T]) -> _T:
    return choices[int(rng.integers(len(choices)))]


def _tune(rhythm: str, rng: np.random.Generator) -> str:
    """Draw a digit for every mark of a rhythm: chord tones on the beat, steps between them."""
    digits, at = "", int(rng.choice((1, 3, 5, 8)))
    for step, mark in enumerate(rhythm):
        if mark == ".":
            digits += mark
            continue
        at = int(np.clip(at + rng.choice((-2, -1, -1, 1, 1, 2)), 1, 9))
        if step % STEPS == 0:
            at = min((1, 3, 5, 8), key=lambda tone: abs(tone - at))
        digits += str(at)
    return digits


def _phrase(part: Part, rng: np.random.Generator) -> str:
    a, b = _one(rng, part.patterns), _one(rng, part.patterns)
    if part.role == "tune":
        a, b = _tune(a, rng), _tune(b, rng)
    return a + a + a + b


def _pitches(part: Part, mark: str, scale: tuple[int, ...], root: int) -> list[int]:
    """Return what a mark stands for over a root; the scale is semitones above a C."""
    if part.role == "drum":
        return [part.low]
    base = part.low + (scale[root - 1] - part.low) % 12

    def pitch(digit: str) -> int:
        octaves, degree = divmod(root - 1 + int(digit) - 1, 7)
        return base + scale[degree] + 12 * octaves - scale[root - 1]

    if mark in VELOCITIES:  # close voices, so that chords change without leaping
        return [part.low + (pitch(digit) - part.low) % 12 for digit in part.chord]
    return [pitch(mark)]


def _swung(beat: float, swing: float) -> float:
    whole, place = divmod(beat, 1.0)
    if place < 0.5:
        return whole + 2.0 * swing * place
    return whole + 1.0 - 2.0 * (1.0 - swing) * (1.0 - place)


def _notes(part: Part, piece: Piece, style: Style, rng: np.random.Generator) -> list[Note]:
    """Repeat a part's phrase over the bars, until the track ends."""
    swing, phrase = piece.swing, _phrase(part, rng)
    scale = tuple(piece.tonic + step for step in MODES[piece.mode])
    end = piece.seconds * piece.bpm / 60.0
    notes = []
    for step in range(ceil(end * STEPS)):
        mark = phrase[step % len(phrase)]
        beat = _swung(step / STEPS, swing)
        if mark == "." or beat >= end:
            continue
        rest = phrase[step % len(phrase) + 1 :]
        gap = 1 + len(rest) - len(rest.lstrip("."))
        beats = min(part.hold or gap / STEPS, end - beat)
        root = piece.chords[step // (STEPS * style.beats)]
        velocity = VELOCITIES.get(mark, DIGIT_VELOCITY)
        pitches = _pitches(part, mark, scale, root)
        notes += [Note(beat, pitch, beats, velocity) for pitch in pitches]
    return notes


def write(style: Style, rng: np.random.Generator, *, seconds: float) -> Piece:
    """Draw a track's score.

    Parameters
    ----------
    style : Style
        What to draw from.
    rng : np.random.Generator
        Draws all of it.
    seconds : float
        Length of the track, from `MIN_SECONDS` on.

    Returns
    -------
    Piece
        It starts at a bar's first beat, anywhere in its progression.

    Raises
    ------
    ValueError
        If `seconds` is less than `MIN_SECONDS`, or not finite.
    """
    if not MIN_SECONDS <= seconds < inf:
        raise ValueError(f"seconds is {seconds}, expected {MIN_SECONDS} or more")
    bpm = rng.uniform(*style.bpm)
    mode = _one(rng, tuple(style.progressions))
    progression = _one(rng, style.progressions[mode])
    first = int(rng.integers(len(progression)))
    n_bars = ceil(seconds * bpm / 60.0 / style.beats)
    chords = tuple(int(progression[(first + k) % len(progression)]) for k in range(n_bars))
    piece = Piece(seconds, bpm, rng.uniform(*style.swing), int(rng.integers(12)), mode, chords, ())
    band = [part for part in style.parts if rng.random() < part.chance]
    players = tuple(
        (part, _one(rng, part.instruments), tuple(_notes(part, piece, style, rng))) for part in band
    )
    return replace(piece, players=players)


def render(piece: Piece, rng: np.random.Generator) -> np.ndarray:
    """Play a score: draw the balance, the room, and how the recording was made.

    Parameters
    ----------
    piece : Piece
        What to play.
    rng : np.random.Generator
        Draws what the score leaves open.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        float32 at `SAMPLE_RATE`, mono, its peak at `PEAK`; the last 50 ms fade out.
    """
    n_samples = round(piece.seconds * SAMPLE_RATE)
    mix, sent = np.zeros(n_samples), np.zeros(n_samples)
    for part, instrument, notes in piece.players:
        level = part.level * LOUDNESS.get(instrument, 1.0)
        level *= 10.0 ** (rng.uniform(-BALANCE, BALANCE) / 20.0)
        wave = play(notes, sampled(instrument), rng, bpm=piece.bpm, n_samples=n_samples)
        mix += level * wave
        sent += level * part.send * wave
    mix += rng.uniform(0.3, 1.5) * reverberate(sent, rng, seconds=rng.uniform(0.5, 1.8))
    mix = tilt(mix, slope=rng.uniform(-SLOPE, SLOPE))
    mix[-FADE:] *= np.linspace(1.0, 0.0, FADE)
    return master(mix, drive=rng.uniform(0.1, 0.4))


def compose(style: Style, rng: np.random.Generator, *, seconds: float) -> np.ndarray:
    """Write a track and play it.

    Parameters
    ----------
    style : Style
        One of `STYLES`.
    rng : np.random.Generator
        Draws everything: the same state gives the same bits, as far as NumPy keeps its
        random streams.
    seconds : float
        Length of the track, from `MIN_SECONDS` on.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        float32 at `SAMPLE_RATE`, mono, its peak at `PEAK`.

    Raises
    ------
    ValueError
        If `seconds` is less than `MIN_SECONDS`, or not finite.
    """
    return render(write(style, rng, seconds=seconds), rng)
