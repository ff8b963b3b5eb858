"""Vorbis comments: the tags of FLAC, Ogg Vorbis, Opus and Speex.

A list of ``NAME=text`` in UTF-8; a name may stand several times, and its case does not matter. The
genre is ``GENRE``, once for each.

References
----------
Xiph.Org, "Ogg Vorbis I format specification: comment field and header specification".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from mgr_cli.tags.tag import MAX_ITEMS, TagError

_GENRE = b"genre="


@dataclass(frozen=True)
class Comments:
    """A list of Vorbis comments.

    Attributes
    ----------
    vendor : bytes
        What wrote the audio.
    items : tuple of bytes
        ``NAME=text``.
    tail : bytes
        What follows them: a framing bit, padding.
    """

    vendor: bytes = b"mgr"
    items: tuple[bytes, ...] = ()
    tail: bytes = b""

    def is_genre(self, item: bytes) -> bool:
        """Tell whether a comment is GENRE."""
        return item[: len(_GENRE)].lower() == _GENRE

    def texts(self) -> tuple[str, ...]:
        """Return the genres."""
        genres = (item[len(_GENRE) :] for item in self.items if self.is_genre(item))
        texts = (genre.decode("utf-8", "replace").strip() for genre in genres)
        return tuple(text for text in texts if text)

    def made(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make a comment for each."""
        return tuple(b"GENRE=" + genre.encode() for genre in genres)

    def added(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make a comment for each, behind those that are there."""
        return (*filter(self.is_genre, self.items), *self.made(genres))

    def holding(self, items: Sequence[bytes]) -> Self:
        """Return the same list with other comments."""
        return replace(self, items=tuple(items))

    def render(self) -> bytes:
        """Return the list without what a container puts before it."""
        parts = [_counted(self.vendor), len(self.items).to_bytes(4, "little")]
        return b"".join([*parts, *map(_counted, self.items), self.tail])


def parsed(data: bytes) -> Comments:
    """Read a list of comments.

    Raises
    ------
    TagError
        If it is cut off.
    """
    vendor, position = _next(data, 0)
    n_items = int.from_bytes(data[position : position + 4], "little")
    if position + 4 > len(data) or n_items > MAX_ITEMS:
        raise TagError("its Vorbis comments are damaged")
    items, position = [], position + 4
    for _ in range(n_items):
        item, position = _next(data, position)
        items.append(item)
    return Comments(vendor, tuple(items), data[position:])


def _counted(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


def _next(data: bytes, position: int) -> tuple[bytes, int]:
    start = position + 4
    stop = start + int.from_bytes(data[position:start], "little")
    if stop > len(data):
        raise TagError("its Vorbis comments are damaged")
    return data[start:stop], stop
