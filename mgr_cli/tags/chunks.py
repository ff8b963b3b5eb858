"""WAV and AIFF files: chunks, one of which may hold an ID3v2 tag.

A chunk has a name, a length and, where that is odd, a byte more. A WAV may tell a genre in its INFO
chunk too, which is shown where there is no other, and left as it is.

References
----------
Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991: RIFF.
Apple, "Audio Interchange File Format AIFF-C", 1991.
"""

from collections.abc import Iterator
from typing import BinaryIO, Literal

from mgr_cli.tags import id3
from mgr_cli.tags.tag import MAX_ITEMS, Located, Patch, TagError, exactly, length, spliced

_NAMES = (b"id3 ", b"ID3 ")
_HEAD = 8  # bytes of a chunk before its data

Chunk = tuple[bytes, int, int]
"""Name, and where the data begin and end."""


def located(file: BinaryIO, order: Literal["little", "big"]) -> Located:
    """Find the tag of a WAV, whose numbers are little-endian, or of an AIFF, whose are big-endian.

    Raises
    ------
    TagError
        If the file is cut off, or does not tell its length.
    """
    n_bytes = length(file)
    file.seek(4)
    end = _HEAD + int.from_bytes(file.read(4), order)
    if end > n_bytes:
        raise TagError("it is cut off, or does not tell its length")
    chunks = list(_walk(file, 12, end, order))
    if chunks and chunks[-1][2] > end:
        raise TagError("its last chunk is cut off, or does not tell its length")
    # A file may end in a byte or more that are no chunk; what is new stands behind them.
    found = next((chunk for chunk in chunks if chunk[0] in _NAMES), None)
    held = id3.Frames()
    start, stop = end, end
    if found:
        name, begin, finish = found
        file.seek(begin)
        held = _parsed(exactly(file, finish - begin))
        start, stop = begin - _HEAD, min(finish + finish % 2, end)
    else:
        name = _NAMES[0 if order == "little" else 1]

    def copy(target: BinaryIO, new: bytes | None) -> None:
        data = b""
        if new is not None:
            data = name + len(new).to_bytes(4, order) + new + b"\0" * (len(new) % 2)
            data = b"\0" * (start % 2) + data
        whole = end - _HEAD - (stop - start) + len(data)
        patches: list[Patch] = [(4, 8, whole.to_bytes(4, order)), (start, stop, data)]
        spliced(file, target, patches)

    told = _info(file, chunks, order) if not held.texts() else ()
    kind = "wav" if order == "little" else "aiff"
    return Located(kind, held, found is not None, copy, told)


def _parsed(data: bytes) -> id3.Frames:
    """Read the tag of a chunk."""
    if id3.HEADER + id3.body_length(data) != len(data):
        raise TagError("its ID3 chunk and the tag in it differ in length")
    return id3.parsed(data)


def _walk(file: BinaryIO, start: int, end: int, order: Literal["little", "big"]) -> Iterator[Chunk]:
    for _ in range(MAX_ITEMS):
        file.seek(start)
        head = file.read(_HEAD)
        if start + _HEAD > end or len(head) < _HEAD:
            return
        stop = start + _HEAD + int.from_bytes(head[4:], order)
        yield head[:4], start + _HEAD, stop
        start = stop + stop % 2
    raise TagError(f"it has more than {MAX_ITEMS:,} chunks")


def _info(file: BinaryIO, chunks: list[Chunk], order: Literal["little", "big"]) -> tuple[str, ...]:
    """Return the genre of an INFO chunk."""
    for name, start, stop in chunks:
        file.seek(start)
        if name == b"LIST" and file.read(4) == b"INFO":
            for inner, begin, finish in _walk(file, start + 4, stop, order):
                if inner == b"IGNR":
                    file.seek(begin)
                    text = exactly(file, min(finish, stop) - begin).split(b"\0")[0]
                    return (text.decode("utf-8", "replace").strip(),) if text.strip() else ()
    return ()
