"""Ogg files: pages of packets; the second packet of a stream holds its Vorbis comments.

The first stream of sound counts. Where the comments need more pages or fewer than before, mutagen
numbers all pages after them anew; what is in the pages stays the same.

References
----------
RFC 3533, "The Ogg Encapsulation Format"; RFC 7845, "Ogg Encapsulation for the Opus Audio Codec".
"""

from typing import BinaryIO

from mutagen.ogg import OggPage

from mgr_cli.tags import comments
from mgr_cli.tags.tag import MAX_TAG_BYTES, Located, TagError, copied

# What a stream's first packet begins with, and what stands before its comments.
_STREAMS = {b"\x01vorbis": b"\x03vorbis", b"OpusHead": b"OpusTags", b"Speex   ": b""}
_FLAC = b"\x7fFLAC"
_BLOCK_HEAD = 4  # bytes, where the comments are a block of FLAC
_MAX_STREAMS = 64


def located(file: BinaryIO) -> Located:
    """Find the comments of an Ogg file.

    Raises
    ------
    TagError
        If no stream of sound is found in it.
    """
    file.seek(0)
    pages, before = _pages(file)
    packets = OggPage.to_packets(pages)
    n_before = _BLOCK_HEAD if before is None else len(before)
    head, data = packets[0][:n_before], packets[0][n_before:]
    if before is None:
        if head[0] & 0x7F != 4 or int.from_bytes(head[1:], "big") != len(data):
            raise TagError("its Vorbis comments are damaged")
    elif head != before:
        raise TagError("its Vorbis comments are damaged")

    def copy(target: BinaryIO, new: bytes | None) -> None:
        new = comments.Comments().render() if new is None else new
        file.seek(0)
        copied(file, target, None)
        own = head if before is not None else head[:1] + len(new).to_bytes(3, "big")
        OggPage.replace(
            target, pages, OggPage.from_packets([own + new, *packets[1:]], pages[0].sequence)
        )

    return Located("ogg", comments.parsed(data), exists=True, copy=copy)


def _pages(file: BinaryIO) -> tuple[list[OggPage], bytes | None]:
    """Return the pages with the comments, and what stands before these; None is FLAC's."""
    serial: int | None = None
    before: bytes | None = None
    for _ in range(_MAX_STREAMS):
        page = OggPage(file)
        packet = page.packets[0] if page.packets else b""
        known = next((head for head in _STREAMS if packet.startswith(head)), None)
        if page.first and (known or packet.startswith(_FLAC)):
            serial, before = page.serial, _STREAMS[known] if known else None
            break
    if serial is None:
        raise TagError("no tags can be written to an Ogg file without Vorbis, Opus, Speex or FLAC")
    pages: list[OggPage] = []
    n_bytes = 0
    while not pages or not (pages[-1].complete or len(pages[-1].packets) > 1):
        page = OggPage(file)
        n_bytes += page.size
        if page.serial == serial:
            pages.append(page)
        if n_bytes > MAX_TAG_BYTES:
            raise TagError(f"its comments have more than {MAX_TAG_BYTES:,} bytes")
    return pages, before
