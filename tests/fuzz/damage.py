"""Ways to damage the bytes of a file, each decided by a generator alone.

Every one takes a whole file and others to borrow from, and returns the bytes of a broken one.
"""

import struct
from collections.abc import Callable, Sequence

import numpy as np

from tests.fuzz.songs import Song, synchsafe

Damage = Callable[[np.random.Generator, bytes, Sequence[Song]], bytes]

HEADER = 256  # bytes at the beginning that hold most of what a decoder believes
EXTREMES = (
    0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFF_FFFF,
    0x3FFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF, 2**40, 2**63 - 1, 2**64 - 1,
)  # fmt: skip
# What stands before the numbers that say how long, how wide and how many.
MARKS = (
    b"fmt ", b"data", b"fact", b"LIST", b"ds64", b"riff", b"COMM", b"SSND", b".snd", b"caff",
    b"desc", b"pakt", b"kuki", b"fLaC", b"OggS", b"\x01vorbis", b"\x03vorbis", b"\x05vorbis",
    b"OpusHead", b"OpusTags", b"Xing", b"Info", b"LAME", b"ID3", b"APIC", b"TIT2", b"ftyp",
    b"moov", b"mvhd", b"tkhd", b"mdhd", b"stsd", b"mp4a", b"alac", b"esds", b"stts", b"stsc",
    b"stsz", b"stco", b"mdat", b"udta", b"\x1a\x45\xdf\xa3", b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\x30\x26\xb2\x75", b"\xa1\xdc\xab\x8c",
    b"\x91\x07\xdc\xb7", b"wvpk", b"TTA1",
)  # fmt: skip


def _spot(rng: np.random.Generator, data: bytes) -> int:
    return int(rng.integers(0, max(1, len(data))))


def _run(rng: np.random.Generator, data: bytes) -> tuple[int, int]:
    """Pick a run of bytes, short ones as often as long ones."""
    start = _spot(rng, data)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 16)))


def truncated(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Keep the beginning; every other time of the header only."""
    return data[: _spot(rng, data[:HEADER] if rng.random() < 0.5 else data)]


def beheaded(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Keep the end."""
    return data[_spot(rng, data[:HEADER] if rng.random() < 0.5 else data) :]


def _flipped(rng: np.random.Generator, data: bytes, first: int, last: int, n: int) -> bytes:
    broken = bytearray(data)
    for at in rng.integers(first, max(first + 1, last), n) if len(data) > first else ():
        broken[at] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def flipped_in_header(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Flip up to eight bits near the beginning."""
    return _flipped(rng, data, 0, min(HEADER, len(data)), int(rng.integers(1, 9)))


def flipped_in_body(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Flip up to 64 bits behind the header."""
    return _flipped(rng, data, HEADER, len(data), int(2 ** rng.uniform(0, 6)))


def flipped_everywhere(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Flip up to a bit in a hundred bytes."""
    return _flipped(rng, data, 0, len(data), int(2 ** rng.uniform(0, np.log2(len(data) / 100))))


def zeroed(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Set a run to zero, or to ones."""
    start, stop = _run(rng, data)
    return data[:start] + (b"\0" if rng.random() < 0.5 else b"\xff") * (stop - start) + data[stop:]


def removed(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Leave a run out."""
    start, stop = _run(rng, data)
    return data[:start] + data[stop:]


def doubled(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Say a run twice, or ten times."""
    start, stop = _run(rng, data)
    return data[:start] + data[start:stop] * int(rng.choice([2, 10])) + data[stop:]


def inserted(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Put random bytes in."""
    start, stop = _run(rng, data)
    return data[:start] + rng.bytes(stop - start) + data[start:]


def swapped_header(rng: np.random.Generator, data: bytes, others: Sequence[Song]) -> bytes:
    """Put another file's first bytes in the place of one's own."""
    other = others[int(rng.integers(len(others)))].data
    n_bytes = int(2 ** rng.uniform(2, 10))
    return other[:n_bytes] + data[n_bytes:]


def spliced(rng: np.random.Generator, data: bytes, others: Sequence[Song]) -> bytes:
    """Go on with another file in the middle, or begin with the whole of it."""
    other = others[int(rng.integers(len(others)))].data
    if rng.random() < 0.3:
        return other + data
    return data[: _spot(rng, data)] + other[_spot(rng, other) :]


def _number(rng: np.random.Generator) -> bytes:
    size = int(rng.choice([1, 2, 4, 4, 8]))
    value: int = int(rng.choice(np.array(EXTREMES, np.uint64))) % (1 << 8 * size)
    return value.to_bytes(size, "little" if rng.random() < 0.5 else "big")


def _overwritten(data: bytes, at: int, number: bytes) -> bytes:
    return data[:at] + number + data[at + len(number) :]


def extreme_in_header(rng: np.random.Generator, data: bytes, __: Sequence[Song]) -> bytes:
    """Write one to three extreme numbers near the beginning."""
    for _ in range(int(rng.integers(1, 4))):
        data = _overwritten(data, _spot(rng, data[:HEADER]), _number(rng))
    return data


def extreme_field(rng: np.random.Generator, data: bytes, __: Sequence[Song]) -> bytes:
    """Write an extreme number beside one of the marks that numbers stand behind."""
    for _ in range(int(rng.integers(1, 3))):
        found = [at for at in (data.find(mark) for mark in MARKS) if at >= 0]
        at = int(rng.choice(found)) if found else 0
        data = _overwritten(data, max(0, at + int(rng.integers(-8, 48))), _number(rng))
    return data


def tag_announced(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Put an ID3v2 tag in front that announces up to 256 MB, or a picture of up to 4 GB."""
    size = int(rng.choice([0, 100, 10**6, 250 * 10**6, 2**28 - 1]))
    head = b"ID3" + bytes([int(rng.choice([2, 3, 4])), 0, int(rng.choice([0, 0x40, 0x80]))])
    picture = b"APIC" + struct.pack(">IH", int(rng.choice([10, 10**8, 2**32 - 1])), 0)
    return head + synchsafe(size) + picture + b"\0image/png\0\3\0\0" + data


def random_bytes(rng: np.random.Generator, data: bytes, _: Sequence[Song]) -> bytes:
    """Keep a few first bytes and nothing else."""
    return data[: int(rng.integers(0, 64))] + rng.bytes(int(2 ** rng.uniform(0, 18)))


DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (
        truncated, beheaded, flipped_in_header, flipped_in_body, flipped_everywhere, zeroed,
        removed, doubled, inserted, swapped_header, spliced, extreme_in_header, extreme_field,
        tag_announced, random_bytes,
    )
}  # fmt: skip
