"""Reading and writing the genres of one file.

A file is written beside its place and moved there when three things have been seen: its tag holds
the genres, everything else in the tag is byte for byte what it was, and so are the packets of its
audio (their digest by FFmpeg, which takes them out of the file without decoding). What a genre was
is said before the move, see `Edit`, so that it can be put back.

A written file keeps its permissions, and its owner where we may set one. Its time of change is new,
so that players and backups see it. A symbolic link stays one, and what it points to is written. A
file with several names (hard links) is written under this name; the others keep what they had.
"""

import hashlib
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from mutagen import MutagenError

from mgr_cli.tags import kinds
from mgr_cli.tags.tag import Located, TagError, opened

Pieces = tuple[tuple[int, bytes], ...]
"""Items that tell the genre, and their places among all items."""

Restored = Literal["restored", "already", "changed"]

MAX_GENRE = 1_000  # letters of all genres together that are written to a file

# What a damaged tag makes mutagen, and arithmetic with its numbers, raise.
_DAMAGE = (
    MutagenError, struct.error, ValueError, LookupError, ArithmeticError, EOFError, TypeError,
    AttributeError, AssertionError, RecursionError, MemoryError,
)  # fmt: skip
_SIGNS = ("CR", "RX")  # Cover and Remix, to what reads ID3
MAX_OLD = 2**16  # bytes that tell a genre; what is longer tells something else


@dataclass(frozen=True)
class Edit:
    """What was done to a file.

    Attributes
    ----------
    path : Path
        Of the file itself, where a link was named.
    kind : str
        ``mp3``, ``wav``, ``aiff``, ``flac``, ``ogg`` or ``mp4``.
    old, new : tuple of (int, bytes)
        What told the genre before and after, with its places.
    had_tag : bool
        Whether there was a tag at all.
    others : str
        SHA-256 of all other items after it.
    size, mtime_ns : int
        Of the file after it, in bytes and nanoseconds.
    n_names : int
        How many names (hard links) the file had.
    """

    path: Path
    kind: str
    old: Pieces
    new: Pieces
    had_tag: bool
    others: str
    size: int
    mtime_ns: int
    n_names: int = 1


def read(path: Path) -> tuple[str, ...]:
    """Return the genres of a file as a player shows them.

    Raises
    ------
    TagError
        If no tags can be written to such a file, or its tag is damaged.
    """
    with _said(path), opened(path) as file:
        return kinds.located(file).genres


def write(path: Path, genres: Sequence[str], *, log: Callable[[Edit], None] | None = None) -> Edit:
    """Write the genres of a file in place of those that it has.

    Parameters
    ----------
    path : Path
        The file.
    genres : sequence of str
        One at least. Where they begin with all that the file has, these stay what they are, even
        where `is_genre` would refuse them.
    log : callable, optional
        Called with what is about to be done, just before the file takes its place.

    Raises
    ------
    TagError
        If it cannot be written; it stays as it was.
    """
    with _said(path):
        return _rewritten(path.resolve(strict=True), lambda tag: _chosen(tag, genres), log=log)


def check(path: Path, genres: Sequence[str]) -> None:
    """See whether `write` would take these genres for a file; nothing is written.

    Raises
    ------
    TagError
        If it would not.
    """
    with _said(path), opened(path.resolve(strict=True)) as file:
        _check_writable(os.fstat(file.fileno()))
        tag = kinds.located(file)
        _check_length(_parted(tag)[0])
        _chosen(tag, genres)


def restore(path: Path, edit: Edit) -> Restored:
    """Put back what told the genre of a file before an edit, if nobody changed it since.

    Returns
    -------
    {"restored", "already", "changed"}
        ``already``: it is there; ``changed``: the genre is another by now, and is left.

    Raises
    ------
    TagError
        If the file cannot be written, or what is to be put back tells no genre.
    """
    with _said(path):
        with opened(path) as file:
            tag = kinds.located(file)
            now, others = _parted(tag)
        held = [item for _, item in now]
        if held == [item for _, item in edit.old]:
            return "already"
        if held != [item for _, item in edit.new] or tag.kind != edit.kind:
            return "changed"
        if not all(tag.held.is_genre(item) for _, item in edit.old):
            raise TagError("what should be put back tells no genre")
        alone = not edit.had_tag and _digest(others) == edit.others
        _rewritten(path.resolve(strict=True), lambda _: edit.old, without_tag=alone)
    return "restored"


def is_genre(text: str) -> bool:
    """Tell whether a text can be a genre: printable, and no number or sign of an old list."""
    encodable = text.isprintable() and text.strip() == text != ""
    return encodable and not text.isdigit() and text[0] != "(" and text not in _SIGNS


def _chosen(tag: Located, genres: Sequence[str]) -> Pieces:
    """Make the items that tell genres, and find their places."""
    own = tag.held.texts()
    kept = own if tuple(genres[: len(own)]) == own else ()
    # What other tags of the file say may be put before what is new, too.
    new = [genre for genre in genres[len(kept) :] if genre not in tag.elsewhere]
    if not genres or not all(map(is_genre, new)) or sum(map(len, new)) > MAX_GENRE:
        raise TagError(f"{_short(new)} cannot be written as genres")
    made = tag.held.added(genres[len(kept) :]) if kept else tag.held.made(genres)
    shown = tag.held.holding(made).texts()
    if parts(shown) != parts(genres):
        raise TagError(f"{_short(genres)} would be read as {_short(shown)}")
    old, _ = _parted(tag)
    place = old[0][0] if old else len(tag.held.items)
    if made[: len(old)] == tuple(item for _, item in old):  # others may stand between them
        behind = old[-1][0] + 1 if old else place
        return old + tuple((behind + n, item) for n, item in enumerate(made[len(old) :]))
    return tuple((place + number, item) for number, item in enumerate(made))


def parts(genres: Sequence[str]) -> tuple[str, ...]:
    """Cut genres where ID3v2.3 does: it gives "Hip-Hop/Rap" back as two."""
    cut = (part.strip() for genre in genres for part in genre.split("/"))
    return tuple(part for part in cut if part)


def _short(genres: Sequence[str]) -> str:
    return ascii(list(genres))[:100]


def _parted(tag: Located) -> tuple[Pieces, tuple[bytes, ...]]:
    """Return the items that tell the genre, with their places, and the others."""
    items = tag.held.items
    told = tuple((n, item) for n, item in enumerate(items) if tag.held.is_genre(item))
    return told, tuple(item for item in items if not tag.held.is_genre(item))


def _digest(items: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(len(item).to_bytes(8, "big") + item)
    return digest.hexdigest()


def _rewritten(
    path: Path,
    choose: Callable[[Located], Pieces],
    *,
    log: Callable[[Edit], None] | None = None,
    without_tag: bool = False,
) -> Edit:
    """Write a file with other items in the place of those that tell its genre."""
    with opened(path) as file, _beside(path) as part:
        before = os.fstat(file.fileno())
        _check_writable(before)
        tag = kinds.located(file)
        old, others = _parted(tag)
        _check_length(old)
        new, items = choose(tag), list(others)
        _check_length(new)  # or it could not be undone
        for place, item in new:
            items.insert(place, item)
        with part.open("w+b") as target:
            tag.copy(target, None if without_tag else tag.held.holding(items).render())
        shutil.copymode(path, part)
        with suppress(OSError):
            os.chown(part, before.st_uid, before.st_gid)
        _check(file, part, tag.kind, None if without_tag else items)
        with part.open("rb+") as target:
            os.fsync(target.fileno())
            after = os.fstat(target.fileno())
        edit = Edit(
            path, tag.kind, old, new, tag.exists, _digest(others),
            after.st_size, after.st_mtime_ns, before.st_nlink,
        )  # fmt: skip
        now = path.stat()
        seen = (before.st_ino, before.st_size, before.st_mtime_ns)
        if (now.st_ino, now.st_size, now.st_mtime_ns) != seen:
            raise TagError("it changed while its tag was written, and is left as it is")
        if log:
            log(edit)
        part.replace(path)
    return edit


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a temporary file in the folder of another, which is gone afterwards."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".mgr-", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _check_writable(status: os.stat_result) -> None:
    if not status.st_mode & 0o222:  # a move would replace it all the same, and root may everything
        raise TagError("it is read-only; allow to write it first")


def _check_length(told: Pieces) -> None:
    if sum(len(item) for _, item in told) > MAX_OLD:
        raise TagError(f"its genre is longer than {MAX_OLD:,} bytes")


def _check(file: BinaryIO, part: Path, kind: str, items: list[bytes] | None) -> None:
    """See that a new file differs from the old one in nothing but what is meant to."""
    with part.open("rb") as written:
        tag = kinds.located(written)
        if (list(tag.held.items) if tag.exists else None) != items:
            raise TagError("its tag would have changed in more than its genre; left as it is")
        if kinds.sound(file, kind) != kinds.sound(written, kind):
            raise TagError("its audio would have changed; left as it is")


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a tag into one line that names the file."""
    # On one line, as `audio.shown` has it.
    name = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in str(path))
    try:
        yield
    except TagError as error:
        raise TagError(f"{name}: {error}") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TagError(f"{name}: its tag cannot be read or written ({reason})") from error
    except _DAMAGE as error:
        said = " ".join(str(error).split())[:100] or type(error).__name__
        raise TagError(f"{name}: its tag is damaged ({said})") from error
