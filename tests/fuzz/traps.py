"""What is not a song broken at random but made to harm.

Headers that lie as far as they can, files that are no files, texts that name other files, files
that change while they are read, names that hurt a terminal or a shell, and, once a run, zip bombs:
hours of silence in little room and holes of a terabyte.

Every trap takes a generator and an empty folder and returns the path to be read.
"""

import os
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests import audio_files
from tests.fuzz.damage import EXTREMES
from tests.fuzz.songs import RATE, SECONDS, Song

Trap = Callable[[np.random.Generator, Path, Sequence[Song]], Path]

NAMES = (
    b"new\nline.mp3", b"\xf0\x9f\x8e\xb5.mp3", b"quote'\".mp3", b"-i.mp3", b"--help.mp3", b"- .mp3",
    b"\xff\xfe.mp3", b"caf\xe9.mp3", b"$(touch x).mp3", b"%s%n%d.mp3", b"\x1b[31mred.mp3",
    b"\xe2\x80\xaecod.mp3", b" .mp3", b"a" * 251 + b".mp3", b"concat:a|b.mp3", b"file:a.mp3",
    b"a*?[b].mp3", b"\r\t.mp3", b"con.mp3", b"a\\b.mp3", b"~.mp3", b"@list.mp3", b"[bold]b.mp3",
)  # fmt: skip
SUFFIXES = ("mp3", "wav", "flac", "ogg", "m4a", "aiff", "wma", "ape", "opus", "caf", "w64", "wv")
TEXTS = (
    "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile '{}'\n",
    "[playlist]\nFile1={}\nNumberOfEntries=1\n",
    "v=0\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na=control:{}\n",
    "<?xml version='1.0'?><MPD><Period><BaseURL>{}</BaseURL></Period></MPD>",
    'FILE "{}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
)


def _extreme(rng: np.random.Generator, size: int) -> int:
    value: int = int(rng.choice(np.array(EXTREMES, np.uint64))) % (1 << 8 * size)
    return value


def _some(rng: np.random.Generator, usual: int, size: int) -> int:
    """Pick the usual value four times in five, else an extreme one."""
    return usual if rng.random() < 0.8 else _extreme(rng, size)


def _put(folder: Path, name: str, *parts: bytes) -> Path:
    path = folder / name
    path.write_bytes(b"".join(parts))
    return path


def wav_header(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Lie in every field of a WAV."""
    fields = struct.pack(
        "<HHIIHHH",
        int(rng.choice([1, 2, 3, 6, 7, 0x11, 0x31, 0x50, 0x55, 0x161, 0x162, 0xFF, 0xFFFE])),
        _some(rng, 2, 2), _some(rng, RATE, 4), _some(rng, 4 * RATE, 4), _some(rng, 4, 2),
        _some(rng, 16, 2), _some(rng, 0, 2),
    )  # fmt: skip
    fields += rng.bytes(int(rng.choice([0, 2, 22, 32])))
    data = rng.bytes(50_000)
    return _put(
        folder, "a.wav", b"RIFF", struct.pack("<I", _some(rng, 50_036, 4)), b"WAVEfmt ",
        struct.pack("<I", len(fields)), fields, b"data", struct.pack("<I", _some(rng, 50_000, 4)),
        data,
    )  # fmt: skip


def flac_header(rng: np.random.Generator, folder: Path, songs: Sequence[Song]) -> Path:
    """Lie in a FLAC's STREAMINFO, or announce a picture beyond the file."""
    data = bytearray(next(song.data for song in songs if song.suffix == "flac"))
    packed = int.from_bytes(data[18:26], "big")  # rate, channels, bits, samples
    for width, shift in ((20, 44), (3, 41), (5, 36), (36, 0)):
        if rng.random() < 0.2:
            packed ^= int(rng.integers(2**width)) << shift
    data[18:26] = packed.to_bytes(8, "big")
    data[8:12] = struct.pack(">HH", _some(rng, 4_096, 2), _some(rng, 4_096, 2))
    if rng.random() < 0.5:  # type 6 is a picture, its length has 24 bits, those within have 32
        picture = b"\6\xff\xff\xff" + struct.pack(">II", 3, _extreme(rng, 4)) + bytes(100)
        data[42:42] = picture
        data[4] &= 0x7F
    return _put(folder, "a.flac", bytes(data))


def aiff_header(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Lie in an AIFF's COMM chunk; its rate has 80 bits."""
    rate = struct.pack(">HQ", _some(rng, 0x400D, 2), _some(rng, 0xAC44 << 48, 8))
    common = struct.pack(">HIH", _some(rng, 2, 2), _some(rng, 10_000, 4), _some(rng, 16, 2)) + rate
    sound = struct.pack(">III", _some(rng, 40_008, 4), _some(rng, 0, 4), _some(rng, 0, 4))
    return _put(
        folder, "a.aiff", b"FORM", struct.pack(">I", 40_046), b"AIFFCOMM\0\0\0\x12", common,
        b"SSND", sound, rng.bytes(40_000),
    )  # fmt: skip


def au_header(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Lie in an AU's five numbers."""
    head = struct.pack(">3I", _some(rng, 24, 4), _some(rng, 2**32 - 1, 4), int(rng.integers(28)))
    head += struct.pack(">2I", _some(rng, RATE, 4), _some(rng, 2, 4))
    return _put(folder, "a.au", b".snd", head, rng.bytes(40_000))


def caf_header(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Lie in a CAF's description; its rate is a float."""
    rate = float(
        rng.choice([RATE, RATE, RATE, RATE, 0.0, -1.0, 1e300, np.nan, np.inf, 1e-300, 2.0**31])
    )
    kind = bytes(rng.choice([b"lpcm", b"lpcm", b"lpcm", b"alac", b"ulaw", b"aac "]))
    numbers = (_some(rng, 0, 4), _some(rng, 4, 4), _some(rng, 1, 4), _some(rng, 2, 4))
    desc = struct.pack(">d4s5I", rate, kind, *numbers, _some(rng, 16, 4))
    sound = struct.pack(">qI", int(rng.choice([-1, 40_004, 2**62])), 0) + rng.bytes(40_000)
    return _put(folder, "a.caf", b"caff\0\1\0\0desc", struct.pack(">q", 32), desc, b"data", sound)


def tta_header(rng: np.random.Generator, folder: Path, songs: Sequence[Song]) -> Path:
    """Lie in a TTA's header, which has a checksum; a frame is as long as the rate says."""
    data = next(song.data for song in songs if song.suffix == "tta")
    head = b"TTA1" + struct.pack("<HHH", 1, _some(rng, 2, 2), _some(rng, 16, 2))
    head += struct.pack("<II", _some(rng, RATE, 4), _some(rng, round(SECONDS * RATE), 4))
    return _put(folder, "a.tta", head, struct.pack("<I", zlib.crc32(head)), data[22:])


def ape_header(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Lie in a Monkey's Audio header; it says how many samples a frame has."""
    descriptor = struct.pack("<4sHHIIIIIII", b"MAC ", 3_990, 0, 52, 24, 16, 0, 40_000, 0, 0)
    header = struct.pack(
        "<HHIIIHHI", 2_000, 0, _some(rng, 73_728, 4), _some(rng, 73_728, 4),
        int(rng.choice([1, 4, 2**20])), _some(rng, 16, 2), _some(rng, 2, 2), _some(rng, RATE, 4),
    )  # fmt: skip
    table = struct.pack("<4I", 92, 10_000, 20_000, 30_000)
    return _put(folder, "a.ape", descriptor, bytes(16), header, table, rng.bytes(40_000))


def alac_cookie(rng: np.random.Generator, folder: Path, songs: Sequence[Song]) -> Path:
    """Lie in an ALAC's cookie; it says how many samples a frame has."""
    data = bytearray(next(song.data for song in songs if song.name == "ipod alac"))
    at = data.index(b"alac", data.index(b"stsd") + 20) + 8
    data[at : at + 4] = struct.pack(">I", _some(rng, 4_096, 4))
    data[at + 9] = _some(rng, 2, 1)
    data[at + 20 : at + 24] = struct.pack(">I", _some(rng, RATE, 4))
    return _put(folder, "a.m4a", bytes(data))


def text_that_names_a_file(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Name a song, or a secret, in a playlist that has an audio file's suffix."""
    song = audio_files.write(folder / "b.wav", audio_files.tones(1, RATE), RATE)
    other = str(rng.choice([song.name, str(song), "/etc/passwd", "http://127.0.0.1:9/a.mp3"]))
    suffix = str(rng.choice([*SUFFIXES, "m3u8", "txt"]))
    return _put(folder, f"a.{suffix}", str(rng.choice(TEXTS)).format(other).encode())


def no_file(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Give a song's name to a pipe, a socket, a device, a folder, a circle of links, nothing."""
    path = folder / f"a.{rng.choice(SUFFIXES)}"
    match int(rng.integers(9)):
        case 0:
            os.mkfifo(path)
        case 1:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            path.symlink_to("/dev/tty")
        case 4:
            path.mkdir()
        case 5:
            path.symlink_to(path)
        case 6:
            path.symlink_to(folder / "gone.wav")
        case 7:
            path.symlink_to("/proc/self/mem")
        case _:
            path = path / "below" / "nothing.mp3"
    return path


def little(rng: np.random.Generator, folder: Path, _: Sequence[Song]) -> Path:
    """Hold no byte, or a few."""
    return _put(folder, f"a.{rng.choice(SUFFIXES)}", rng.bytes(int(rng.integers(0, 4))))


def strange_name(rng: np.random.Generator, folder: Path, songs: Sequence[Song]) -> Path:
    """Have a name that hurts a terminal, a shell or UTF-8, and whole content."""
    path = folder / os.fsdecode(NAMES[int(rng.integers(len(NAMES)))])
    path.write_bytes(songs[int(rng.integers(len(songs)))].data)
    return path


def wrong_suffix(rng: np.random.Generator, folder: Path, songs: Sequence[Song]) -> Path:
    """Be another format than the name says."""
    return _put(folder, f"a.{rng.choice(SUFFIXES)}", songs[int(rng.integers(len(songs)))].data)


def unreadable(rng: np.random.Generator, folder: Path, songs: Sequence[Song]) -> Path:
    """Be another's, and closed; `trial` reads it as nobody if it may."""
    path = wrong_suffix(rng, folder, songs)
    path.chmod(0)
    return path


TRAPS: dict[str, Trap] = {
    trap.__name__: trap
    for trap in (
        wav_header, flac_header, aiff_header, au_header, caf_header, tta_header, ape_header,
        alac_cookie, text_that_names_a_file, no_file, little, strange_name, wrong_suffix,
        unreadable,
    )
}  # fmt: skip
