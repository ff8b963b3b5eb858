"""Whole songs in every format that is read, for the fuzz to break."""

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests import audio_files

SECONDS = 3.0
RATE = 22_050
OPUS_RATE = 48_000

# suffix, libsndfile's format and subtype
_WRITTEN = (
    ("wav", "WAV", "PCM_U8"), ("wav", "WAV", "PCM_16"), ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "PCM_32"), ("wav", "WAV", "FLOAT"), ("wav", "WAV", "DOUBLE"),
    ("wav", "WAV", "ALAW"), ("wav", "WAV", "IMA_ADPCM"), ("wav", "WAV", "MS_ADPCM"),
    ("wav", "WAVEX", "PCM_16"), ("wav", "RF64", "PCM_16"), ("w64", "W64", "PCM_16"),
    ("flac", "FLAC", "PCM_16"), ("flac", "FLAC", "PCM_24"), ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"), ("mp3", "MP3", "MPEG_LAYER_III"), ("aiff", "AIFF", "PCM_16"),
    ("aiff", "AIFF", "FLOAT"), ("au", "AU", "PCM_16"), ("caf", "CAF", "PCM_16"),
    ("caf", "CAF", "ALAC_16"),
)  # fmt: skip

# suffix, FFmpeg's container, codec and options
_ENCODED: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("mp3", "mp3", "libmp3lame", {}),
    ("mp3", "mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
    ("mp2", "mp2", "mp2", {}),
    ("m4a", "ipod", "aac", {}),
    ("m4a", "ipod", "aac", {"movflags": "faststart"}),
    ("m4a", "ipod", "alac", {}),
    ("aac", "adts", "aac", {}),
    ("flac", "flac", "flac", {}),
    ("ogg", "ogg", "flac", {}),
    ("mka", "matroska", "aac", {}),
    ("mka", "matroska", "pcm_s24le", {}),
    ("wma", "asf", "wmav2", {}),
    ("wv", "wv", "wavpack", {}),
    ("tta", "tta", "tta", {}),
    ("aiff", "aiff", "pcm_s24be", {}),
    ("wav", "wav", "adpcm_ms", {}),
    ("wav", "wav", "pcm_s64le", {}),
)


@dataclass(frozen=True)
class Song:
    """A whole file: what it is called in the tables, its suffix without a dot, its bytes."""

    name: str
    suffix: str
    data: bytes


def made(samples: np.ndarray) -> list[Song]:
    """Encode samples, float32 [shape=(n_samples, 2)] at `RATE`, in every format."""
    songs = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "song")
        for suffix, form, subtype in _WRITTEN:
            rate = OPUS_RATE if subtype == "OPUS" else RATE
            soundfile.write(path, samples, rate, format=form, subtype=subtype)
            songs.append(Song(f"{form} {subtype}", suffix, path.read_bytes()))
        soundfile.write(path, samples, RATE, format="MP3", bitrate_mode="VARIABLE")
        songs.append(Song("MP3 VBR", "mp3", path.read_bytes()))
        for suffix, container, codec, options in _ENCODED:
            audio_files.encode(
                path, samples, RATE, codec=codec, container=container, options=options
            )
            name = " ".join([container, codec, *options])
            songs.append(Song(name, suffix, path.read_bytes()))
    return songs + [_tagged(song) for song in songs if song.suffix == "mp3"]


def real(folder: Path, n_songs: int) -> list[Song]:
    """Cut some recordings of a folder to `SECONDS` and encode them; take some as they are."""
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix in {".mp3", ".ogg", ".wav", ".flac"}
    )
    songs = []
    for path in paths[:: max(1, len(paths) // n_songs)][:n_songs]:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        start = len(samples) // 2
        samples = samples[start : start + round(SECONDS * rate), [0, -1]]
        songs += made(_paced(samples))
        songs.append(Song(f"real {path.suffix[1:]}", path.suffix[1:], path.read_bytes()))
    return songs


def _paced(samples: np.ndarray) -> np.ndarray:
    """Bring samples to the length that `SECONDS` has at `RATE`; the pitch does not matter."""
    wanted = round(SECONDS * RATE)
    return np.resize(samples, (wanted, 2))


def _tagged(song: Song) -> Song:
    """Put an ID3v2.3 tag with a title and a picture of some bytes in front of an MP3."""
    title = b"TIT2" + struct.pack(">IH", 6, 0) + b"\0title"
    picture = b"APIC" + struct.pack(">IH", 2_015, 0) + b"\0image/png\0\3\0\0" + bytes(2_000)
    tag = b"ID3\3\0\0" + synchsafe(len(title + picture)) + title + picture
    return Song(f"{song.name} ID3", song.suffix, tag + song.data)


def synchsafe(size: int) -> bytes:
    """Write a size as ID3v2 does, seven bits a byte."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def tones() -> Sequence[Song]:
    """Encode a synthesised song in every format."""
    return made(audio_files.tones(SECONDS, RATE))
