"""Six styles of music, as recipes that compose any number of tracks.

All of it is synthetic: nobody composed or played these tracks, and a net that tells them apart
has learnt our recipes, not what people call disco or jazz. They are there so that everything
can be tried without a dataset.

A style is a tempo range, a metre, chord progressions and a band. Each member of the band, a
`Part`, has a few patterns to draw from: a character is a sixteenth, a dot rests, a letter
strikes at the level that `synthesis.VELOCITIES` gives it, and a digit is one tone, counted in
steps of the scale from the chord's root, which is 1 (so 3 and 5 are its third and fifth, and
8 its octave). Two are drawn, and make the phrase ``a a a b``. A tune is drawn as digits over a
rhythm: chord tones on the beat, steps between them. Being relative to the chord it moves with
the harmony, and every tone lies in the key.

Tempo, key, mode, progression, patterns, tunes, who plays at all and on what, the balance, the
room and the colour of the recording are drawn for every track, and every instrument and most
tempi are shared by several styles: what marks a style is how its parts go together.

References
----------
Friberg, Sundström, "Swing Ratios and Ensemble Timing in Jazz Performance", Music Perception
19(3), 2002: about 2 to 1 at middle tempi. Rhythms and progressions are common property.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mgr_cli.instruments import (
    Instrument,
    bass,
    brass,
    guitar,
    hihat,
    keys,
    kick,
    organ,
    overdriven,
    snare,
    strings,
)

STEPS = 4  # of a pattern in a beat
MODES: Mapping[str, tuple[int, ...]] = {  # semitones above the tonic
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}


@dataclass(frozen=True)
class Part:
    """What one member of a band may play.

    Attributes
    ----------
    role : {"drum", "harmony", "tune"}
        A drum has one pitch; a tune's digits are drawn.
    instruments : tuple of Instrument
        One is drawn.
    low : int
        MIDI number of a drum, or the lowest that a root or a chord's voice has.
    level, send : float
        How loud it is, and how much of it goes into the room.
    hold : float
        Beats that a note lasts; 0 holds it until the next one.
    chance : float
        That it takes part at all, in [0, 1].
    patterns : tuple of str
        Of whole bars each.
    chord : str
        The tones of a struck chord, as digits.
    """

    role: Literal["drum", "harmony", "tune"]
    instruments: tuple[Instrument, ...]
    low: int
    level: float
    send: float
    hold: float
    chance: float
    patterns: tuple[str, ...]
    chord: str = "135"


@dataclass(frozen=True)
class Style:
    """A recipe for tracks of one kind.

    Attributes
    ----------
    bpm : tuple of float
        Slowest and fastest, in beats a minute.
    beats : int
        In a bar.
    swing : tuple of float
        Least and most, as the place of the off-beat in its beat: 0.5 is straight, 2/3 a triplet.
    progressions : mapping of str to tuple of str
        By mode: roots as steps of the scale, 1 to 7, one a bar.
    parts : tuple of Part
        The band.
    """

    bpm: tuple[float, float]
    beats: int
    swing: tuple[float, float]
    progressions: Mapping[str, tuple[str, ...]]
    parts: tuple[Part, ...]


def _kick(chance: float, level: float, *patterns: str) -> Part:
    return Part("drum", (kick,), 31, level, 0.02, 0.6, chance, patterns)


def _snare(chance: float, level: float, *patterns: str) -> Part:
    return Part("drum", (snare,), 55, level, 0.2, 0.5, chance, patterns)


def _hat(chance: float, level: float, hold: float, *patterns: str) -> Part:
    return Part("drum", (hihat,), 116, level, 0.05, hold, chance, patterns)


# fmt: off
STYLES: Mapping[str, Style] = {
    "disco": Style((104, 132), 4, (0.5, 0.53), {
        "minor": ("1674", "1475", "1144", "1634"), "dorian": ("1414", "1174"),
        "major": ("1625", "4536", "1465"),
    }, (
        _kick(1.0, 0.75, "X...X...X...X...", "X...X...X...X...", "X...X...X...X.x."),
        _snare(0.95, 0.6, "....X.......X...", "....X.......X..o", "....X..o....XxxX"),
        _hat(0.8, 0.2, 0.15, "xo.oxo.oxo.oxo.o", "x.o.x.o.x.o.x.o.", "xooxxooxxooxxoox"),
        _hat(0.8, 0.2, 0.5, "..X...X...X...X."),
        Part("harmony", (bass,), 28, 0.7, 0.0, 0.36, 1.0,
             ("1.8.1.8.1.8.1.8.", "1..1.81.1..8.58.", "1...8..15...8.78")),
        Part("harmony", (guitar,), 60, 0.6, 0.15, 0.25, 0.75,
             ("..X..xX...X.xoX.", "x.xx.xx.x.xx.xx.", "....X..x....X.xx")),
        Part("harmony", (keys, organ), 55, 0.25, 0.2, 0.6, 0.6,
             ("X..x..X..x..x...", "..X...X...X...X."), "1357"),
        Part("harmony", (strings,), 64, 0.12, 0.4, 0.0, 0.6, ("x...............",)),
        Part("tune", (strings, brass, keys, overdriven), 67, 0.4, 0.35, 0.0, 0.8,
             ("x.....x.x.x.x...", "..x.x.x.x.......", "x...............", "x.x...x...x.x.x.")),
    )),
    "folk": Style((80, 138), 4, (0.5, 0.58), {
        "major": ("1415", "1564", "1145", "1425"), "mixolydian": ("1171", "1741"),
        "dorian": ("1717", "1474"),
    }, (
        Part("harmony", (guitar,), 45, 0.75, 0.2, 1.5, 1.0,
             ("1.5.3.5.8.5.3.5.", "1.3.5.8.1.3.5.8.", "1...8.5.5.3.8.5.", "1.5.8.3.5.1.8.5.")),
        Part("harmony", (guitar,), 55, 0.45, 0.15, 0.7, 0.6,
             ("X...x.xo..xox.xo", "X...x...X...x.o.", "X..xx.x.X..xx.x."), "1358"),
        Part("harmony", (guitar, bass), 33, 0.55, 0.05, 0.0, 0.6,
             ("1.......5.......", "1.......5.....3.", "1..............."),),
        Part("tune", (strings, organ, keys), 62, 0.45, 0.35, 0.0, 0.8,
             ("x...x.x.x...x...", "x.x.x.x.x...x.x.", "x.......x...x...", "x.....x.x.......")),
        Part("harmony", (strings, organ), 50, 0.18, 0.4, 0.0, 0.4, ("x...............",), "15"),
        _kick(0.4, 0.5, "X.......X.......", "X...X...X...X..."),
        _snare(0.2, 0.3, "....x.......x...", "....x.......x.x."),
        _hat(0.5, 0.12, 0.15, "o.x.o.x.o.x.o.x.", "oox.oox.oox.oox.", "..x...x...x...x."),
    )),
    "jazz": Style((104, 190), 4, (0.6, 0.68), {
        "major": ("2511", "1625", "3625", "1425"), "minor": ("2511", "1425"),
        "dorian": ("1111", "1414"),
    }, (
        _hat(0.9, 0.35, 0.8, "x...X.o.x...X.o.", "x...X...x...X.o.", "x.o.X...x.o.X..."),
        _hat(0.7, 0.3, 0.15, "....X.......X..."),
        _kick(0.6, 0.4, "o...o...o...o...", "o.............x.", "o.....o........."),
        _snare(0.7, 0.35, "..............o.", "......o.........", "....p.o.....p.x.",
               "o...x...o...x..."),
        Part("harmony", (bass,), 28, 0.6, 0.05, 0.0, 1.0,
             ("1...3...5...6...", "1...2...3...5...", "8...7...5...3...", "1...5...3...2.1.")),
        Part("harmony", (keys, guitar, organ), 53, 0.4, 0.2, 0.6, 0.9,
             ("x.....x.........", "..x.......x.....", "......x.......x."), "3579"),
        Part("harmony", (brass,), 58, 0.22, 0.3, 0.4, 0.35,
             ("......X.........", "..............x.", "x.....X........."), "1357"),
        Part("tune", (brass, keys, organ), 62, 0.45, 0.25, 0.0, 0.9,
             ("x.x.x.x...x.x...", "..x.x.x.x.....x.", "x.....x.x.x.x...", "x.x.x.x.x.x.x.x.")),
    )),
    "reggae": Style((66, 96), 4, (0.5, 0.6), {
        "minor": ("1144", "1177", "1474", "1167"), "major": ("1145", "1144", "1264", "1564"),
    }, (
        _kick(1.0, 0.7, "........X.......", "X.......X.......", "........X.....x.",
              "X...X...X...X..."),
        _snare(0.9, 0.5, "........X.......", "........X.....oo", "........X..x..x."),
        _hat(0.9, 0.18, 0.15, "x.o.x.o.x.o.x.o.", "x.oox.oox.oox.oo", "..x...x...x...x."),
        Part("harmony", (bass,), 28, 0.95, 0.0, 0.0, 1.0,
             ("1.....1.3.5.....", "..1.1.....5.3.1.", "1..1..5.....3.1.", "....1.3.5...8.5.")),
        Part("harmony", (guitar, keys), 60, 0.8, 0.25, 0.15, 1.0,
             ("..X...X...X...X.", "..X...X...X..xX.", "..Xx..Xx..Xx..Xx")),
        Part("harmony", (organ,), 55, 0.35, 0.2, 0.2, 0.6,
             ("...o.oo....o.oo.", "..x...x...x...x.", ".ooo.ooo.ooo.ooo")),
        Part("harmony", (brass,), 60, 0.2, 0.3, 0.4, 0.35,
             ("x..x......x.....", "............x.x.", "......xx........")),
        Part("tune", (brass, organ, keys, overdriven), 64, 0.4, 0.4, 0.0, 0.6,
             ("x...x.x.x.......", "......x.x.x.x...", "x.x...x.......x.")),
    )),
    "rock": Style((88, 156), 4, (0.5, 0.53), {
        "minor": ("1673", "1647", "1176"), "mixolydian": ("1744", "1747", "1474"),
        "major": ("1564", "1145", "1465"),
    }, (
        _kick(1.0, 0.75, "X.....X.X.......", "X.......X.X.....", "X..x....X.X.....",
              "X.x...x.X.x..x.."),
        _snare(1.0, 0.7, "....X.......X...", "....X.......X..o", "....X.......X.XX"),
        _hat(0.7, 0.2, 0.15, "x.o.x.o.x.o.x.o.", "x...x...x...x..."),
        _hat(0.5, 0.2, 0.8, "x...x...x...x...", "X...............", "x.x.x.x.x.x.x.x."),
        Part("harmony", (bass,), 28, 0.65, 0.0, 0.0, 1.0,
             ("1.1.1.1.1.1.1.1.", "1..1..1.1..1..1.", "1.....1.1...5.7.")),
        Part("harmony", (overdriven,), 40, 0.27, 0.15, 0.0, 0.9,
             ("X.x.x.X.x.x.X.x.", "X.....X.....X...", "X.oox.ooX.oox.oo"), "15"),
        Part("harmony", (guitar, organ, keys), 55, 0.4, 0.2, 0.0, 0.6,
             ("X...x.x.X...x.x.", "X.......x.......", "1.5.8.5.1.5.8.5.")),
        Part("tune", (overdriven, organ), 62, 0.4, 0.3, 0.0, 0.7,
             ("x...x.x.x...x...", "x.......x.x.x...", "x.x.xxx.x.......", "x..x..x.....x.x.")),
    )),
    "waltz": Style((88, 188), 3, (0.5, 0.56), {
        "major": ("1155", "1451", "1645", "1251"), "minor": ("1451", "1155", "1674"),
    }, (
        Part("harmony", (bass, strings), 31, 0.7, 0.1, 0.8, 1.0,
             ("1...........", "1...........5...........", "1...........3...........")),
        Part("harmony", (keys, strings, guitar, organ), 55, 0.42, 0.2, 0.4, 1.0,
             ("....x...x...", "....x...x...", "....X...o...", "....x.o.x...")),
        Part("harmony", (guitar, brass), 52, 0.35, 0.25, 0.4, 0.5,
             ("....x...x...", "x...o...o...")),
        Part("harmony", (strings,), 62, 0.14, 0.4, 0.0, 0.4, ("x...........",), "35"),
        Part("tune", (strings, keys, brass, organ), 64, 0.45, 0.35, 0.0, 0.9,
             ("x.......x...", "x...x...x...", "x.....x.x...", "x...........", "x.x.x.x.x.x.")),
        _kick(0.5, 0.5, "X...........", "x..........."),
        _snare(0.4, 0.3, "....o...o...", "....x...x.x."),
        _hat(0.5, 0.14, 0.2, "....x...x...", "x...o...o...", "x.o.x.o.x.o."),
    )),
}
# fmt: on
