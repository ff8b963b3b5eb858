"""MP4 files (m4a, m4b): atoms; those of ``moov.udta.meta.ilst`` are the tag.

The genre is ``©gen``, a text for each; in old files ``gnre``, a number of the list of ID3v1 plus
one, whose place a text takes. Where the list grows and the audio stands behind it, all that points
into the audio (``stco``, ``co64``) is moved by as much. Not written: files in fragments (``moof``),
which point in other ways too.

References
----------
ISO/IEC 14496-12, "ISO base media file format". Apple, "QuickTime File Format", 2001: user data.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple, Self

from mutagen.id3 import TCON

from mgr_cli.tags.tag import MAX_ITEMS, Located, TagError, exactly, length, spliced

_TEXT, _NUMBER = b"\xa9gen", b"gnre"
_PATH = (b"udta", b"meta", b"ilst")
_TABLES = {b"stco": 4, b"co64": 8}  # bytes of an offset
_AROUND_TABLES = (b"trak", b"mdia", b"minf", b"stbl")
_VERSION = 4  # bytes that stand before the atoms in meta
_HANDLER = b"\0" * 8 + b"mdirappl" + b"\0" * 9


class Atom(NamedTuple):
    """Where an atom begins, its data begin, and it ends."""

    name: bytes
    start: int
    inside: int
    stop: int


@dataclass(frozen=True)
class Atoms:
    """The atoms of ``ilst``.

    Attributes
    ----------
    items : tuple of bytes
        With their heads.
    """

    items: tuple[bytes, ...] = ()

    def is_genre(self, item: bytes) -> bool:
        """Tell whether an atom is ``©gen`` or ``gnre``."""
        return item[4:8] in (_TEXT, _NUMBER)

    def texts(self) -> tuple[str, ...]:
        """Return the genres, numbers as the names that they stand for; texts go before numbers."""
        named: dict[bytes, list[str]] = {_TEXT: [], _NUMBER: []}
        for item in filter(self.is_genre, self.items):
            for data in _walk(item, 8, len(item)):
                value = item[data.inside + 8 : data.stop]  # behind its type and its language
                if data.name == b"data":
                    named[item[4:8]].append(_text(item[4:8], value))
        return tuple(text for text in named[_TEXT] or named[_NUMBER] if text)

    def made(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make the atom ``©gen``."""
        utf8 = b"\0\0\0\1\0\0\0\0"
        texts = (_atom(b"data", utf8 + genre.encode()) for genre in genres)
        return (_atom(_TEXT, b"".join(texts)),)

    def added(self, genres: Sequence[str]) -> tuple[bytes, ...]:
        """Make the atom ``©gen``, with the genres that are there before."""
        return self.made((*self.texts(), *genres))

    def holding(self, items: Sequence[bytes]) -> Self:
        """Return another list."""
        return replace(self, items=tuple(items))

    def render(self) -> bytes:
        """Return what is in ``ilst``."""
        return b"".join(self.items)


def located(file: BinaryIO) -> Located:
    """Find the tag of an MP4.

    Raises
    ------
    TagError
        If it has none of ours, or is in fragments.
    """
    outer = list(_top(file))
    names = [atom.name for atom in outer]
    if b"moof" in names or names.count(b"moov") != 1:
        raise TagError("no tags can be written to an MP4 in fragments, or without `moov`")
    moov = outer[names.index(b"moov")]
    file.seek(moov.start)
    data = exactly(file, moov.stop - moov.start)
    path = _path(data)
    ilst = path[-1] if len(path) == len(_PATH) + 1 else None
    atoms = _walk(data, ilst.inside, ilst.stop) if ilst else ()
    items = tuple(data[atom.start : atom.stop] for atom in atoms)

    def copy(target: BinaryIO, new: bytes | None) -> None:
        changed = _changed(data, path, new)
        delta = len(changed) - len(data)
        changed = _moved(changed, moov.start, delta)
        spliced(file, target, [(moov.start, moov.stop, changed)])

    return Located("mp4", Atoms(items), ilst is not None, copy)


def _text(name: bytes, value: bytes) -> str:
    if name == _TEXT:
        return value.decode("utf-8", "replace").strip()
    number = int.from_bytes(value, "big") - 1
    return TCON.GENRES[number] if 0 <= number < len(TCON.GENRES) else ""


def _atom(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data) + 8, name) + data


def _top(file: BinaryIO) -> Iterator[Atom]:
    end, start = length(file), 0
    for _ in range(MAX_ITEMS):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head[:8])
        inside = 8
        if size == 1 and len(head) == 16:
            size, inside = int.from_bytes(head[8:], "big"), 16
        elif size == 0 and name != b"moov":  # to the end of the file
            size = end - start
        if size < inside or start + size > end:
            raise TagError("its atoms are damaged, or it is cut off")
        yield Atom(name, start, start + inside, start + size)
        start += size
    raise TagError(f"it has more than {MAX_ITEMS:,} atoms")


def _walk(data: bytes, start: int, stop: int) -> Iterator[Atom]:
    """Yield the atoms between two places; zeros at the end are QuickTime's."""
    while start + 8 <= stop:
        size, name = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > stop:
            raise TagError("its atoms are damaged")
        yield Atom(name, start, start + 8, start + size)
        start += size
    if data[start:stop].strip(b"\0"):
        raise TagError("its atoms are damaged")


def _path(data: bytes) -> list[Atom]:
    """Return `moov` and, as far as they are there, `udta`, `meta` and `ilst`."""
    long = data[:4] == b"\0\0\0\1"
    path = [Atom(b"moov", 0, 16 if long else 8, len(data))]
    for name in _PATH:
        above = path[-1]
        inside = above.inside + (_VERSION if above.name == b"meta" else 0)
        atoms = list(_walk(data, inside, above.stop))
        if above.name == b"meta":
            _check_handler(data, atoms)
        found = [atom for atom in atoms if atom.name == name]
        if len(found) > 1:
            raise TagError(f"it has {len(found)} atoms `{name.decode()}` where one is expected")
        if not found:
            break
        path.append(found[0])
    return path


def _check_handler(data: bytes, atoms: list[Atom]) -> None:
    for atom in atoms:
        if atom.name == b"hdlr" and data[atom.inside + 8 : atom.inside + 12] != b"mdir":
            raise TagError("its tag is not of iTunes' kind")


def _changed(data: bytes, path: list[Atom], new: bytes | None) -> bytes:
    """Return `moov` with another list, or with none and what would be empty without it."""
    start, stop, put = path[-1].start, path[-1].stop, b""
    if new is not None and len(path) == len(_PATH) + 1:
        put, path = _atom(b"ilst", new), path[:-1]
    elif new is not None:
        put = _atom(b"ilst", new)
        if len(path) < 3:
            put = _atom(b"meta", b"\0" * _VERSION + _atom(b"hdlr", _HANDLER) + put)
        if len(path) < 2:
            put = _atom(b"udta", put)
        # At the end of `moov` or `meta`; `udta` may end in zeros, which are to stay there.
        start = stop = path[-1].inside if len(path) == 2 else path[-1].stop
    else:
        path = path[:-1]
        own = _atom(b"hdlr", _HANDLER)
        meta = path[-1]
        rest = data[meta.inside + _VERSION : start] + data[stop : meta.stop]
        if rest == own:
            start, stop, path = meta.start, meta.stop, path[:-1]
            if (start, stop) == (path[-1].inside, path[-1].stop):
                start, stop, path = path[-1].start, path[-1].stop, path[:-1]
    changed = bytearray(data[:start] + put + data[stop:])
    delta = len(changed) - len(data)
    for atom in path:
        width, at = (8, atom.start + 8) if atom.inside - atom.start == 16 else (4, atom.start)
        size = atom.stop - atom.start + delta
        changed[at : at + width] = size.to_bytes(width, "big")
    return bytes(changed)


def _moved(data: bytes, place: int, delta: int) -> bytes:
    """Add `delta` to all that points behind `moov`, which stands at `place`."""
    moved = bytearray(data)

    def visit(start: int, stop: int) -> None:
        for atom in _walk(data, start, stop):
            if atom.name in _AROUND_TABLES:
                visit(atom.inside, atom.stop)
            elif width := _TABLES.get(atom.name):
                (count,) = struct.unpack_from(">I", data, atom.inside + 4)
                first = atom.inside + 8
                if first + count * width > atom.stop:
                    raise TagError("its table of offsets is damaged")
                form = f">{count}{'I' if width == 4 else 'Q'}"
                offsets = struct.unpack_from(form, data, first)
                new = [offset + delta if offset > place else offset for offset in offsets]
                struct.pack_into(form, moved, first, *new)

    visit(16 if data[:4] == b"\0\0\0\1" else 8, len(data))
    return bytes(moved)
