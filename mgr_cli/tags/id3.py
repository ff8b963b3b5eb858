"""ID3v2 tags: the frames of an MP3, and of the ID3 chunk of a WAV or AIFF.

A tag keeps its version. The genre is the frame TCON, in v2.2 TCO, a text: v2.4 has real multiple
values, and before it they are one text, joined by ``/``, which is therefore also read as several
values ("Hip-Hop/Rap" are two). The text is UTF-8 in v2.4, and before it, where UTF-8 is unknown,
Latin-1 if that suffices and UTF-16 with a byte order mark if not. New tags are v2.3, which every
player reads; car radios and old Windows do not read v2.4.

Not written: tags with an extended header or a footer, which hold checksums or lengths of the whole.

References
----------
M. Nilsson, id3.org: ID3 tag version 2.2, 2.3.0 and 2.4.0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO, Self

from mutagen.id3 import ID3, TCON, Encoding, ID3NoHeaderError
from mutagen.id3._util import BitPaddedInt, unsynch

from mgr_cli.tags.tag import MAX_ITEMS, TagError, exactly

HEADER = 10  # bytes
_UNSYNCHRONISED, _EXPERIMENTAL = 0x80, 0x20
_NAME = re.compile(rb"[A-Z][A-Z0-9]{2,3}\Z")
_LARGEST = 2**28 - 1


@dataclass(frozen=True)
class Frames:
    """An ID3v2 tag.

    Attributes
    ----------
    version : {2, 3, 4}
        Of ID3v2.
    flags : int
        Of the header.
    items : tuple of bytes
        Frames with their headers.
    tail : bytes
        What follows them: padding.
    """

    version: int = 3
    flags: int = 0
    items: tuple[bytes, ...] = ()
    tail: bytes = b""

    def is_genre(self, item: bytes) -> bool:
        """Tell whether a frame is TCON."""
        return item[: _width(self.version)] == (b"TCO" if self.version == 2 else b"TCON")

    def texts(self) -> tuple[str, ...]:
        """Return the genres, numbers of the list of ID3v1 as the names that they stand for."""
        return tuple(
            part.strip()
            for item in self.items
            if self.is_genre(item)
            for frame in _read(self.holding([item]))
            for text in frame.genres
            for part in (text.split("/") if self.version < 4 else [text])
            if part.strip()
        )

    def made(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make the frame TCON."""
        if self.version == 4:
            frame = TCON(encoding=Encoding.UTF8, text=list(genres))
        else:
            joined = "/".join(genres)
            narrow = all(ord(letter) < 256 for letter in joined)
            frame = TCON(encoding=Encoding.LATIN1 if narrow else Encoding.UTF16, text=[joined])
        tag = ID3()
        tag.add(frame)
        file = BytesIO()
        tag.save(file, v2_version=max(self.version, 3), v23_sep=None, padding=lambda _: 0)
        (item,) = parsed(file.getvalue()).items
        if self.version == 2:
            text = item[10:]
            item = b"TCO" + len(text).to_bytes(3, "big") + text
        return (item,)

    def added(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make the frame TCON, of which a tag has one, with the genres that are there before."""
        return self.made((*self.texts(), *genres))

    def holding(self, items: Sequence[bytes]) -> Self:
        """Return the same tag with other frames."""
        return replace(self, items=tuple(items))

    def render(self) -> bytes:
        """Return the tag with its header."""
        body = b"".join(self.items) + self.tail
        if self.flags & _UNSYNCHRONISED and self.version < 4:
            body = unsynch.encode(body)
        if len(body) > _LARGEST:
            raise TagError("its tag would be longer than ID3 can say")
        head = bytes([self.version, 0, self.flags])
        return b"ID3" + head + BitPaddedInt.to_str(len(body), width=4) + body


def read(file: BinaryIO) -> bytes | None:
    """Read the ID3v2 tag that begins where a file stands; None if none does."""
    head = file.read(HEADER)
    if len(head) < HEADER or head[:3] != b"ID3":
        return None
    return head + exactly(file, body_length(head))


def body_length(head: bytes) -> int:
    """Return how many bytes follow the header of a tag.

    Raises
    ------
    TagError
        If it does not say.
    """
    if len(head) < HEADER or head[:3] != b"ID3" or max(head[6:HEADER]) > 127:
        raise TagError("its ID3 tag has no length")
    return int(BitPaddedInt(head[6:HEADER]))


def parsed(data: bytes) -> Frames:
    """Cut a tag into its frames.

    Raises
    ------
    TagError
        If it is of a version, or has flags, that are not written here.
    """
    version, flags, body = data[3], data[5], data[HEADER:]
    if version not in (2, 3, 4):
        raise TagError(f"its tag is ID3v2.{version}; v2.2, v2.3 and v2.4 are known")
    if flags & ~(_UNSYNCHRONISED | _EXPERIMENTAL):
        raise TagError("its ID3 tag has an extended header, a footer, or is compressed")
    if flags & _UNSYNCHRONISED and version < 4:
        body = unsynch.decode(body)
    items, position = [], 0
    while size := _frame_length(body, position, version):
        items.append(body[position : position + size])
        position += size
        if len(items) > MAX_ITEMS:
            raise TagError(f"its tag has more than {MAX_ITEMS:,} frames")
    tail = body[position:]
    if tail.strip(b"\0"):
        raise TagError(f"its ID3 tag is damaged behind {len(items)} frames")
    return Frames(version, flags, tuple(items), tail)


def _width(version: int) -> int:
    return 3 if version == 2 else 4


def _frame_length(body: bytes, start: int, version: int) -> int:
    """Return the length of the frame that begins there, with its header; 0 if none does."""
    width = _width(version)
    header = 6 if version == 2 else 10
    field = body[start + width : start + 2 * width]
    if not _NAME.match(body[start : start + width]) or start + header > len(body):
        return 0
    sizes = [int.from_bytes(field, "big")]
    if version == 4 and max(field) < 128:
        # As the standard has it; iTunes long wrote the plain number that v2.3 has.
        sizes.insert(0, int(BitPaddedInt(field)))
    for size in sizes:
        stop = start + header + size
        follows = body[stop : stop + width]
        if stop <= len(body) and (not follows.strip(b"\0") or _NAME.match(follows)):
            return header + size
    return 0


def _read(tag: Frames) -> list[TCON]:
    try:
        return list(ID3(BytesIO(tag.render()), load_v1=False).getall("TCON"))
    except ID3NoHeaderError:
        return []
