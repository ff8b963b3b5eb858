"""Files that change while they are read, and the zip bombs: what is made once a run."""

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from tests import audio_files
from tests.fuzz.songs import RATE

Change = Callable[[np.random.Generator, Path, bytes], None]
HOLE = 2**34  # bytes that take no room on the disk; libsndfile looks through 0.4 GB a second
MOST = 300 * 2**20  # bytes that a growing file reaches


def grows(rng: np.random.Generator, path: Path, data: bytes) -> None:
    """Append the song to itself as fast as the disk takes it."""
    with path.open("ab", buffering=0) as file:
        while file.tell() < MOST:
            file.write(data)


def shrinks(rng: np.random.Generator, path: Path, data: bytes) -> None:
    """Cut and restore the file over and over."""
    while True:
        os.truncate(path, int(rng.integers(0, len(data))))
        time.sleep(float(rng.uniform(0, 0.002)))
        path.write_bytes(data)


def vanishes(rng: np.random.Generator, path: Path, data: bytes) -> None:
    """Delete the file and bring it back, over and over."""
    while True:
        path.unlink(missing_ok=True)
        time.sleep(float(rng.uniform(0, 0.001)))
        path.write_bytes(data)


def becomes_a_pipe(rng: np.random.Generator, path: Path, data: bytes) -> None:
    """Take turns at being a file and a pipe that nobody writes to."""
    pipe, file = path.with_name("pipe"), path.with_name("file")
    while True:
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        pipe.replace(path)
        file.write_bytes(data)
        file.replace(path)


def is_rewritten(rng: np.random.Generator, path: Path, data: bytes) -> None:
    """Write random bytes into the file, over and over."""
    with path.open("r+b", buffering=0) as file:
        while True:
            file.seek(int(rng.integers(0, len(data))))
            file.write(rng.bytes(100))


CHANGES: dict[str, Change] = {
    change.__name__: change for change in (grows, shrinks, vanishes, becomes_a_pipe, is_rewritten)
}


def _silence(path: Path, *, seconds: float, rate: int, channels: int, **options: str) -> Path:
    """Encode digital silence, in blocks."""
    block = np.zeros((rate * 10, channels), np.int16)
    with soundfile.SoundFile(path, "w", rate, channels, **options) as file:
        for _ in range(round(seconds / 10)):
            file.write(block)
    return path


def _with_hole(path: Path, size: int) -> Path:
    os.truncate(path, size)
    return path


def flac_of_silence(folder: Path) -> Path:
    """Four hours in 1 MB."""
    return _silence(folder / "a.flac", seconds=4 * 3600, rate=16_000, channels=1)


def wide_flac_of_silence(folder: Path) -> Path:
    """A minute of eight channels at 655,350 Hz."""
    return _silence(folder / "a.flac", seconds=60, rate=655_350, channels=8)


def opus_of_silence(folder: Path) -> Path:
    """Twenty minutes."""
    return _silence(
        folder / "a.opus", seconds=1200, rate=48_000, channels=1, format="OGG", subtype="OPUS"
    )


def vorbis_of_silence(folder: Path) -> Path:
    """An hour."""
    return _silence(
        folder / "a.ogg", seconds=3600, rate=8_000, channels=1, format="OGG", subtype="VORBIS"
    )


def mp3_of_silence(folder: Path) -> Path:
    """Four hours that no header counts: one silent minute, 240 times."""
    minute = audio_files.encode(
        folder / "a.mp3",
        np.zeros((60 * 8_000, 1), np.float32),
        8_000,
        codec="libmp3lame",
        container="mp3",
        options={"write_xing": "0", "id3v2_version": "0"},
    )
    minute.write_bytes(minute.read_bytes() * 240)
    return minute


def wide_wav(folder: Path) -> Path:
    """64 channels at 768,000 Hz, a hole of 1.9 GB: the most that a header may ask for."""
    return _sparse_wav(folder / "a.wav", channels=64, rate=768_000, size=1_900_000_000)


def slow_wav(folder: Path) -> Path:
    """24 hours at 1,000 Hz, which are resampled to 44 times as much."""
    return _sparse_wav(folder / "a.wav", channels=1, rate=1_000, size=2 * 1_000 * 86_000)


def _sparse_wav(path: Path, *, channels: int, rate: int, size: int) -> Path:
    audio_files.write(path, np.full((1, channels), 0.5), rate, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    data[4:8] = struct.pack("<I", at + size - 4)
    path.write_bytes(data)
    return _with_hole(path, at + 4 + size)


def _before_a_hole(suffix: str, **options: str) -> Callable[[Path], Path]:
    def bomb(folder: Path) -> Path:
        path = folder / f"a.{suffix}"
        audio_files.write(path, audio_files.tones(2, RATE), RATE, **options)
        return _with_hole(path, HOLE)

    return bomb


def nothing_but_a_hole(folder: Path) -> Path:
    """A terabyte of zeros."""
    (folder / "a.mp3").touch()
    return _with_hole(folder / "a.mp3", 2**40)


def _aac_before_a_hole(folder: Path) -> Path:
    path = folder / "a.aac"
    audio_files.encode(path, audio_files.tones(2, RATE), RATE, codec="aac", container="adts")
    return _with_hole(path, HOLE)


BOMBS: dict[str, Callable[[Path], Path]] = {
    bomb.__name__: bomb
    for bomb in (
        flac_of_silence, wide_flac_of_silence, opus_of_silence, vorbis_of_silence, mp3_of_silence,
        wide_wav, slow_wav, nothing_but_a_hole,
    )
} | {
    "mp3_before_a_hole": _before_a_hole("mp3", format="MP3"),
    "wav_before_a_hole": _before_a_hole("wav"),
    "flac_before_a_hole": _before_a_hole("flac"),
    "ogg_before_a_hole": _before_a_hole("ogg"),
    "aiff_before_a_hole": _before_a_hole("aiff"),
    "aac_before_a_hole": _aac_before_a_hole,
}  # fmt: skip
