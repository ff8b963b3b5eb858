"""What all tags have in common: a list of items, some of which tell the genre.

An item is a frame of an ID3 tag, a Vorbis comment, or an atom of an MP4's list, byte for byte as it
stands in the file. To write a genre is to put other items in the place of those that tell it; the
rest of the list, what lies around it (padding, checksums of pages), and the audio are copied, not
read and written anew. So the files of other programs stay as those programs wrote them: two frames
of one name, frames that nobody knows, encrypted ones, texts that are no UTF-8, ID3v2.2. mutagen
reads such tags too, but what it saves is what it understood. It is asked here for what has to be
understood: the texts of ID3 genres, the pages of Ogg, where MPEG audio begins.

``Held`` is a list of items in one of the three dialects, and ``Located`` the place of such a list
in a file, with the way to copy that file with another list in it. The padding of a tag stays as
long as it is, and the file grows or shrinks by what its genre does: with the old items back in
their places, an undone file is the old one, byte for byte (an Ogg, packet for packet).
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from mgr_cli.errors import MgrError

MAX_TAG_BYTES = 64 * 2**20  # of a tag with its pictures; a longer one is refused
MAX_ITEMS = 100_000  # of a list, of a file's blocks or of its chunks
_BLOCK = 2**20  # bytes that are copied at a time

Patch = tuple[int, int, bytes]
"""Where bytes begin and end that others take the place of, and those."""


class TagError(MgrError):
    """A tag cannot be read or written."""


class Held(Protocol):
    """A list of items."""

    @property
    def items(self) -> tuple[bytes, ...]:
        """The items, in order."""

    def is_genre(self, item: bytes) -> bool:
        """Tell whether an item tells the genre."""

    def texts(self) -> tuple[str, ...]:
        """Return the genres as a player shows them."""

    def made(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make the items that tell these genres."""

    def added(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make the items that tell the genres that are there, and behind them these."""

    def holding(self, items: Sequence[bytes]) -> Self:
        """Return the same list with other items."""

    def render(self) -> bytes:
        """Return the bytes of the whole list as they stand in a file."""


@dataclass(frozen=True)
class Located:
    """Where a file keeps its tag.

    Attributes
    ----------
    kind : str
        Of the file: ``mp3``, ``wav``, ``aiff``, ``flac``, ``ogg`` or ``mp4``.
    held : Held
        The tag; where there is none, what one would begin with.
    exists : bool
        Whether there is one.
    copy : callable
        Called as ``copy(target, data)``: copies the file with those bytes as its tag, or with none.
    elsewhere : tuple of str
        Genres that stand where only some players look, and that are not written here: ID3v1,
        APEv2, the INFO chunk of a WAV, an ID3 tag before a FLAC.
    """

    kind: str
    held: Held
    exists: bool
    copy: Callable[[BinaryIO, bytes | None], None]
    elsewhere: tuple[str, ...] = ()

    @property
    def genres(self) -> tuple[str, ...]:
        """What a player shows."""
        return self.held.texts() or self.elsewhere


def opened(path: Path) -> BinaryIO:
    """Open a file to read; never a pipe or a device, which may wait or go on for ever.

    Raises
    ------
    TagError
        If it is no regular file.
    OSError
        If it cannot be opened.
    """
    _expect_file(path.stat())  # opening a device can do things to it
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    try:
        _expect_file(os.fstat(file.fileno()))  # another may have taken its place since
    except BaseException:
        file.close()
        raise
    return file


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _expect_file(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise TagError("it is no regular file")


def spliced(source: BinaryIO, target: BinaryIO, patches: Sequence[Patch]) -> None:
    """Copy a file with patches, which are in order and do not overlap."""
    source.seek(0)
    for start, stop, data in patches:
        copied(source, target, start - source.tell())
        target.write(data)
        source.seek(stop)
    copied(source, target, None)


def copied(source: BinaryIO, target: BinaryIO, n_bytes: int | None) -> None:
    """Copy so many bytes from where a file stands, or all that are left."""
    while n_bytes is None or n_bytes > 0:
        block = source.read(_BLOCK if n_bytes is None else min(_BLOCK, n_bytes))
        if not block:
            if n_bytes:
                raise TagError("it ended while it was copied")
            return
        target.write(block)
        if n_bytes is not None:
            n_bytes -= len(block)


def length(file: BinaryIO) -> int:
    """Return the length of a file in bytes."""
    return file.seek(0, 2)


def exactly(file: BinaryIO, n_bytes: int) -> bytes:
    """Read so many bytes.

    Raises
    ------
    TagError
        If there are less, or they are more than a tag may have.
    """
    if n_bytes > MAX_TAG_BYTES:
        raise TagError(
            f"its tag says that it has {n_bytes:,} bytes, {MAX_TAG_BYTES:,} are the most"
        )
    data = file.read(n_bytes)
    if len(data) < n_bytes:
        raise TagError("its tag is cut off")
    return data
