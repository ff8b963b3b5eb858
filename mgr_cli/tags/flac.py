"""FLAC files: blocks of metadata before the audio, one of which holds Vorbis comments.

References
----------
RFC 9639, "Free Lossless Audio Codec", section 8.
"""

from typing import BinaryIO

from mgr_cli.tags import comments, id3
from mgr_cli.tags.tag import MAX_ITEMS, Located, TagError, exactly, length, spliced

_COMMENTS = 4
_LAST = 0x80
_HEAD = 4  # bytes of a block before its data


def located(file: BinaryIO) -> Located:
    """Find the comments of a FLAC; an ID3 tag before it is read, and left as it is.

    Raises
    ------
    TagError
        If its blocks are damaged.
    """
    file.seek(0)
    front = id3.read(file) or b""
    before = len(front)
    file.seek(before)
    if file.read(4) != b"fLaC":
        raise TagError("it is no FLAC file")
    blocks = _blocks(file, before + 4)
    found = next((block for block in blocks if block[0] & ~_LAST == _COMMENTS), None)
    kind, start, stop = blocks[0]
    held = comments.Comments()
    if found:
        file.seek(found[1] + _HEAD)
        held = comments.parsed(exactly(file, found[2] - found[1] - _HEAD))

    def copy(target: BinaryIO, new: bytes | None) -> None:
        if new is not None and len(new) >= 2**24:
            raise TagError("its comments would be longer than FLAC can say")
        if found and new is not None:
            spliced(file, target, [(found[1], found[2], _block(found[0], new))])
        elif new is not None:  # behind the first block, which then is not the last any more
            spliced(file, target, [
                (start, start + 1, bytes([kind & ~_LAST])),
                (stop, stop, _block(kind & _LAST | _COMMENTS, new)),
            ])  # fmt: skip
        elif found:
            place = blocks.index(found)
            kind_before, start_before, _ = blocks[place - 1]
            spliced(file, target, [
                (start_before, start_before + 1, bytes([kind_before | found[0] & _LAST])),
                (found[1], found[2], b""),
            ])  # fmt: skip

    elsewhere = id3.parsed(front).texts() if front and not held.texts() else ()
    return Located("flac", held, found is not None, copy, elsewhere)


def _blocks(file: BinaryIO, position: int) -> list[tuple[int, int, int]]:
    """List the blocks: first byte, and where they begin and end."""
    end = length(file)
    blocks: list[tuple[int, int, int]] = []
    while not blocks or not blocks[-1][0] & _LAST:
        file.seek(position)
        head = exactly(file, _HEAD)
        stop = position + _HEAD + int.from_bytes(head[1:], "big")
        if stop > end or len(blocks) > MAX_ITEMS:
            raise TagError("its blocks of metadata are damaged")
        blocks.append((head[0], position, stop))
        position = stop
    if blocks[0][0] & ~_LAST != 0:
        raise TagError("its blocks of metadata are damaged")
    return blocks


def _block(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + len(data).to_bytes(3, "big") + data
