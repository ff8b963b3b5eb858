"""Music to measure with: somebody's, or our own demo where there is none.

Real music is better: decoders and listeners take other paths through noise or tones. Files that
are made of it are mp3s of 44.1 kHz, 128 kbit/s, joint stereo.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from mgr_cli.demo import DEMO
from tests import audio_files

RATE = 44_100
SUFFIXES = (".mp3", ".wav", ".flac", ".ogg")
TEMPI = (0.8, 0.9, 1.0, 1.1)


def found(paths: Sequence[Path]) -> list[Path]:
    """List the audio files that are named, or lie in the folders that are.

    Raises
    ------
    SystemExit
        If there is none.
    """
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.suffix in SUFFIXES
    ]
    if not files:
        raise SystemExit(f"no {' or '.join(SUFFIXES)} in {', '.join(map(str, paths))}")
    return files


def pieces(folder: Path, audio: Path | None) -> list[Path]:
    """Return somebody's files, or the demo at four speeds."""
    if audio is not None:
        return found([audio])
    samples = _stereo(DEMO)
    made = []
    for tempo in TEMPI:
        path = folder / f"demo-{tempo}.mp3"
        made.append(_encode(path, soxr.resample(samples, RATE, RATE / tempo)))
    return made


def song(path: Path, files: Sequence[Path], seconds: float, *, first: int = 0) -> Path:
    """Write an mp3 of so many seconds, of some files one after the other.

    Parameters
    ----------
    path : Path
        Of the mp3.
    files : sequence of Path
        Taken in turns, again from the first where they do not suffice.
    seconds : float
        Its length.
    first : int
        Number of the file that it begins with.
    """
    parts: list[np.ndarray] = []
    missing, number = round(seconds * RATE), first
    while missing > 0:
        parts.append(_stereo(files[number % len(files)])[:missing])
        missing, number = missing - len(parts[-1]), number + 1
    return _encode(path, np.concatenate(parts))


def laid_out(root: Path, files: Sequence[Path], n_tracks: int) -> list[Path]:
    """Make a folder of two genres with so many tracks, links to the files.

    A file is of one genre wherever it is linked, so that there is something to be learnt.
    """
    made = []
    for number in range(n_tracks):
        place = number % len(files)
        genre = ("a", "b")[(place if len(files) > 1 else number) % 2]
        path = root / genre / f"{number:06d}{files[place].suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(files[place].resolve())
        made.append(path)
    return made


def seconds_of(files: Sequence[Path]) -> float:
    """Return how long files are, together."""
    return float(sum(soundfile.info(path).duration for path in files))


def _stereo(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    stereo = np.repeat(samples, 2, axis=1)[:, :2] if samples.shape[1] == 1 else samples[:, :2]
    return stereo if rate == RATE else soxr.resample(stereo, rate, RATE)


def _encode(path: Path, samples: np.ndarray) -> Path:
    return audio_files.encode(path, samples, RATE, codec="libmp3lame", container="mp3")
