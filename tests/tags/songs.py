"""Short songs of every kind, with tags that mutagen writes."""

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import mutagen
from mutagen.apev2 import APEv2
from mutagen.id3 import APIC, COMM, ID3, PRIV, TCON, TIT2, TPE1, TXXX
from mutagen.mp4 import MP4Cover

from tests import audio_files

RATE = 48_000
PICTURE = b"\x89PNG" + bytes(range(256)) * 4
KINDS = ("mp3", "v22.mp3", "v23.mp3", "v24.mp3", "v1.mp3", "flac", "ogg", "opus", "oga", "m4a",
         "fast.m4a", "bare.mp4", "wav", "aiff")  # fmt: skip
UNTAGGED = ("mp3", "v1.mp3", "bare.mp4")  # KINDS that begin without a tag of their own


def make(folder: Path) -> Path:
    """Write one of each kind, without a genre."""
    sound = audio_files.tones(0.3, RATE)
    plain = audio_files.write(folder / "mp3", sound, RATE, format="MP3")
    for version in (3, 4):
        path = Path(shutil.copy(plain, folder / f"v2{version}.mp3"))
        tag(version, ()).save(path, v2_version=version, v1=2)
    (folder / "v22.mp3").write_bytes(oldest(b"") + plain.read_bytes())
    (folder / "v1.mp3").write_bytes(plain.read_bytes() + v1(255))
    audio_files.write(folder / "flac", sound, RATE, format="FLAC")
    audio_files.write(folder / "ogg", sound, RATE, format="OGG", subtype="VORBIS")
    audio_files.encode(folder / "opus", sound, RATE, codec="libopus", container="opus")
    audio_files.encode(folder / "oga", sound, RATE, codec="flac", container="ogg")
    for name, options in (("m4a", {}), ("fast.m4a", {"movflags": "faststart"})):
        audio_files.encode(
            folder / name, sound, RATE, codec="aac", container="ipod", options=options
        )
    fast = (folder / "fast.m4a").read_bytes()
    (folder / "bare.mp4").write_bytes(fast.replace(b"udta", b"free"))  # as if it had none
    audio_files.write(folder / "wav", sound, RATE, format="WAV")
    audio_files.write(folder / "aiff", sound, RATE, format="AIFF")
    for name in ("flac", "ogg", "opus", "oga", "m4a", "fast.m4a", "wav", "aiff"):
        _tag(folder / name)
    return folder


def tag(version: int, genres: Sequence[str]) -> ID3:
    """Return a tag with all sorts of frames."""
    made = ID3()
    for frame in (
        TIT2(encoding=3, text=["Ein Lied – ü"]), TPE1(encoding=3, text=["A", "B"]),
        APIC(encoding=0, mime="image/png", type=3, desc="c", data=PICTURE),
        TXXX(encoding=3, desc="x", text=["y"]), PRIV(owner="me", data=b"\xff\xfe\x00\xff\xe0"),
        COMM(encoding=3, lang="eng", desc="", text=["c"]),
    ):  # fmt: skip
        made.add(frame)
    if genres:
        made.add(TCON(encoding=3, text=list(genres)))
    if version == 3:
        made.update_to_v23()
    return made


def oldest(genre: bytes, *, padding: int = 50) -> bytes:
    """Return a tag of ID3v2.2, written by hand."""
    frames = [(b"TT2", b"\0Title"), (b"PIC", b"\0PNG\x03\0" + PICTURE)]
    if genre:
        frames.insert(1, (b"TCO", b"\0" + genre))
    body = b"".join(name + len(data).to_bytes(3, "big") + data for name, data in frames)
    size = len(body) + padding
    return b"ID3\2\0\0" + bytes([0, 0, size >> 7, size & 127]) + body + bytes(padding)


def v1(genre: int) -> bytes:
    """Return an ID3v1 tag."""
    texts = b"Old title".ljust(30, b"\0") + b"Artist".ljust(30, b"\0") + b"Album".ljust(30, b"\0")
    return b"TAG" + texts + b"1999" + bytes(28) + b"\0\7" + bytes([genre])


def ape(path: Path, genre: str) -> None:
    """Put an APEv2 tag behind the audio."""
    made = APEv2()
    made["Genre"] = genre
    made.save(path)


def info(data: bytes, genre: bytes) -> bytes:
    """Return a WAV with two more chunks behind its samples, one of them INFO."""
    inner = b"INFOIGNR" + struct.pack("<I", len(genre)) + genre
    data += b"LIST" + struct.pack("<I", len(inner)) + inner + b"JUNK" + struct.pack("<I", 10)
    data += bytes(10)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def _tag(path: Path) -> None:
    opened = mutagen.File(path)
    assert opened is not None
    if opened.tags is None:
        opened.add_tags()
    if path.name.endswith("m4a"):
        opened["\xa9nam"] = ["T"]
        opened["covr"] = [MP4Cover(PICTURE, MP4Cover.FORMAT_PNG)]
        opened["----:com.x:y"] = [b"z"]
    elif path.name in ("wav", "aiff"):
        for frame in tag(4, ()).values():
            opened.tags.add(frame)
    else:
        opened["title"], opened["artist"] = ["T"], ["Ü"]
    opened.save()
