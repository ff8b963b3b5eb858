"""Playlists: which songs are meant by what somebody wrote.

A word of the command line names, and the first of these that fits is it:

- ``-``: names on stdin;
- a file or a folder that is there, whatever its name looks like; a ``.m3u`` or ``.m3u8`` file is a
  playlist, in a folder all audio files are meant, by their suffixes;
- ``@list.txt``: the names in a file;
- a pattern with ``*``, ``?``, ``[…]``, or ``**`` for folders of any depth, which reaches us where
  it is quoted, or too long for the shell. A folder that fits is searched as one that is named;
  other files than audio are passed over unless the pattern says their suffix.

Names in a list stand one a line, or between NULs, as ``find -print0`` writes them. They are
relative to the current folder, or else to that of the list. Those of an m3u playlist are relative
to the playlist; it may hold comments, backslashes and ``file://`` addresses. A name is bytes, and
need not be UTF-8. Lists in lists are not followed.

A file that is named twice is meant once, and all come in the order of the words, those of a folder
sorted. What cannot be used costs one problem, and the rest goes on. A list may come from a
stranger: `MAX_BYTES` and `MAX_NAMES` bound it, and a playlist may not name a folder.
"""

import codecs
import fnmatch
import glob
import os
import re
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mgr_cli import files

STDIN = "-"
PLAYLISTS = frozenset({".m3u", ".m3u8"})
MAX_BYTES = 256 * 2**20  # of a list
MAX_NAMES = 1_000_000  # in a list
MAX_NAME = 4_096  # bytes; no system takes longer paths

_ADDRESS = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Named:
    """A file that is meant, or what is wrong with a name.

    Attributes
    ----------
    path : Path
        The file; the list, where one of its lines is no use.
    problem : str
        Why it cannot be used, empty for a file.
    """

    path: Path
    problem: str = ""


def collect(words: Sequence[str], suffixes: Set[str], *, stdin: IO[bytes]) -> list[Named]:
    """List the files that are meant.

    Parameters
    ----------
    words : sequence of str
        Files, folders, playlists, ``@`` lists, patterns, ``-``.
    suffixes : set of str
        Of audio files, with their dots, in lower case.
    stdin : binary file
        Read once, where a word asks for it.
    """
    found: dict[tuple[str, str], Named] = {}
    for word in words:
        for each in _meant(word, suffixes, stdin):
            found.setdefault((os.path.abspath(each.path), each.problem), each)  # noqa: PTH100
    return list(found.values())


def _meant(word: str, suffixes: Set[str], stdin: IO[bytes]) -> Iterator[Named]:
    path = Path(word)
    if word == STDIN:
        yield from _list(stdin, path, suffixes)
    elif not word:
        yield Named(path, "an empty name; leave it out")
    elif os.path.lexists(path):
        yield from _there(path, suffixes)
    elif word.startswith("@"):
        yield from _file(Path(word[1:]), suffixes)
    elif glob.has_magic(word):
        yield from _pattern(_at_home(word), suffixes)
    else:
        yield Named(path)  # who reads it says that it is missing


def _there(path: Path, suffixes: Set[str]) -> Iterator[Named]:
    if os.path.isdir(path):  # noqa: PTH112, Path.is_dir raises where a folder may not be entered
        yield from _folder(path, suffixes)
    elif path.suffix.lower() in PLAYLISTS:
        yield from _file(path, suffixes)
    else:
        yield Named(path)


def _at_home(word: str) -> Path:
    with suppress(RuntimeError):  # nobody of that name
        return Path(word).expanduser()
    return Path(word)


def _folder(path: Path, suffixes: Set[str]) -> Iterator[Named]:
    inside = _inside(path, suffixes)
    yield from inside or [Named(path, "no audio files in this folder")]


def _inside(path: Path, suffixes: Set[str]) -> list[Named]:
    unreadable: list[Named] = []

    def note(error: OSError) -> None:
        unreadable.append(Named(Path(error.filename or path), _unreadable(error)))

    return [*map(Named, files.find(path, suffixes, on_problem=note)), *unreadable]


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error})"


# Patterns.


def _pattern(path: Path, suffixes: Set[str]) -> Iterator[Named]:
    last = path.suffix.lower()
    wanted = suffixes if glob.has_magic(last) or not last else suffixes | {last}
    n_named = n_other = 0
    for each in _expanded(Path(path.anchor), path.parts[bool(path.anchor) :]):
        if os.path.isdir(each):  # noqa: PTH112
            inside = _inside(each, suffixes)
            n_named += len(inside)
            yield from inside
        elif each.suffix.lower() in wanted:
            n_named += 1
            yield Named(each)
        else:
            n_other += 1
    if not n_named and n_other:
        yield Named(path, f"none of the {n_other} files that fit this pattern is audio")
    elif not n_named:
        yield Named(path, "no file fits this pattern")


def _expanded(root: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield what fits a pattern, sorted; hidden names must be asked for, links are not walked."""
    if not parts:
        yield root
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        while rest[:1] == ("**",):
            rest = rest[1:]
        yield from _expanded(root, rest)
        for name in _names(root, ""):
            below = root / name
            if os.path.isdir(below) and not below.is_symlink():  # noqa: PTH112
                yield from _expanded(below, parts)
    elif glob.has_magic(part):
        for name in _names(root, part):
            if fnmatch.fnmatch(name, part):
                yield from _expanded(root / name, rest)
    elif os.path.lexists(root / part):
        yield from _expanded(root / part, rest)


def _names(folder: Path, pattern: str) -> list[str]:
    try:
        names = os.listdir(folder)  # noqa: PTH208, Path.iterdir makes a path of each
    except OSError:  # no folder, or none that may be read: nothing in it fits
        return []
    return sorted(name for name in names if pattern.startswith(".") or not name.startswith("."))


# Lists and playlists.


def _file(path: Path, suffixes: Set[str]) -> Iterator[Named]:
    if path.suffix.lower() in suffixes:
        yield Named(path, "audio where a list of names was expected; leave out the @")
        return
    try:
        with path.open("rb") as file:
            yield from _list(file, path, suffixes)
    except OSError as error:
        yield Named(path, f"no list that can be read ({error.strerror or error})")


def _list(file: IO[bytes], source: Path, suffixes: Set[str]) -> Iterator[Named]:
    data = file.read(MAX_BYTES + 1)
    is_playlist = source.suffix.lower() in PLAYLISTS
    if len(data) > MAX_BYTES:
        yield Named(source, f"longer than {MAX_BYTES // 2**20} MB, no list of songs is")
        return
    n = data.count(b"\0") or data.count(b"\n")  # before they are split, which takes memory
    lines = _lines(data) if n <= MAX_NAMES else []
    n = max(n, len(lines))
    if n > MAX_NAMES:
        yield Named(source, f"{n:,} names, more than {MAX_NAMES:,}; cut the list in two")
        return
    n_found = 0
    for number, line in enumerate(lines, start=1):
        if not line or (is_playlist and line.startswith(b"#") and not _is_name(line, source)):
            continue
        n_found += 1
        path, problem = _line(line, source, is_playlist=is_playlist)
        if problem:
            yield Named(source, f"line {number}: {problem}")
        elif not is_playlist and os.path.isdir(path):  # noqa: PTH112
            yield from _folder(path, suffixes)
        else:
            yield Named(path)
    if not n_found:
        yield Named(source, "no names in this list")


def _lines(data: bytes) -> list[bytes]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell's > writes
        data = data.decode("utf-16", "replace").encode("utf-8", "surrogatepass")
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        return data.split(b"\0")
    return [line.removesuffix(b"\r") for line in data.split(b"\n")]


def _is_name(line: bytes, source: Path) -> bool:
    return len(line) <= MAX_NAME and os.path.lexists(source.parent / os.fsdecode(line))


def _line(line: bytes, source: Path, *, is_playlist: bool) -> tuple[Path, str]:
    """Return the file that a line names, and what is wrong with it."""
    if len(line) > MAX_NAME:
        return source, f"{len(line):,} bytes are no name of a file"
    if line.lower().startswith(b"file://"):
        return _from_address(line)
    if _ADDRESS.match(line):
        shown = line.decode("utf-8", "backslashreplace")
        return source, f"{shown} is an address, and no file; fetch it first"
    name = os.fsdecode(line)
    places = [source.parent / name] if is_playlist else [Path(name), source.parent / name]
    if is_playlist:
        places.append(source.parent / name.replace("\\", "/"))
        places.append(source.parent / line.decode("cp1252", "replace"))
    there = (place for place in places if os.path.lexists(place))
    path = next(there, places[0])
    if is_playlist and os.path.isdir(path):  # noqa: PTH112
        return source, f"{name} is a folder; a playlist names songs"
    return path, ""


def _from_address(line: bytes) -> tuple[Path, str]:
    from urllib.parse import unquote_to_bytes

    host, slash, rest = line[len(b"file://") :].partition(b"/")
    path = Path(os.fsdecode(slash + unquote_to_bytes(rest)))
    if host.lower() not in (b"", b"localhost"):
        return path, f"a file of {host.decode('utf-8', 'backslashreplace')}, another machine"
    return path, ""
