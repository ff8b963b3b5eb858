"""Logs of written tags: what every run leaves, and what undoes it.

A log is a file of JSON lines. The first says what wrote it; each of the others is an `Edit`: the
items that told a file's genre, as bytes, before and after. A line is on the disk before the file
takes its place, so a run that ends in between leaves a line too many, never one too few; to undo
what was not done is to find it undone.

A log may come from a stranger. Whatever is in it, undoing puts genres into the tags of audio files
that have the very genre that the log says it wrote, and does nothing else.
"""

import json
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from mgr_cli.errors import MgrError
from mgr_cli.tags import genres
from mgr_cli.tags.genres import Edit, Pieces
from mgr_cli.tags.tag import MAX_ITEMS, TagError, opened

FORMAT = 1
MAX_BYTES = 2**28  # of a log; half a million songs
MAX_LINE = 2**20


class LogError(MgrError):
    """A log cannot be written; without it nothing else is."""


@dataclass(frozen=True)
class Undone:
    """What undoing a line came to.

    Attributes
    ----------
    path : str
        Of the file; of the log, with the number of the line, where that is none of ours.
    status : {"restored", "already", "changed", "error"}
        ``already``: the genre was what it had been; ``changed``: it is another than was written,
        and is left.
    error : str
        What went wrong.
    """

    path: str
    status: Literal["restored", "already", "changed", "error"]
    error: str = ""


class Log:
    """A log that is written; there is no file before there is a line.

    Parameters
    ----------
    folder : Path
        Where it shall lie; made where it is missing.
    name : str
        Of the file, without its suffix; a number is added where that is taken.
    header : dict of str
        What is said of the run.
    """

    def __init__(self, folder: Path, name: str, header: dict[str, str]) -> None:
        self._folder = folder
        self._name = name
        self._header = header
        self._file: IO[str] | None = None
        self.path: Path | None = None

    def __call__(self, edit: Edit) -> None:
        """Write a line, and wait until it is on the disk.

        Raises
        ------
        LogError
            If it cannot be written.
        """
        # An OSError would be taken for one of the song, whose turn it is.
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            _append(self._file, _said(edit))
        except OSError as error:
            raise LogError(
                f"the log in {self._folder} cannot be written ({error.strerror or error}); nothing "
                "more is written; set MGR_STATE to another folder"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._file:
            # Every line is on the disk; what a full one did not take is of no written file.
            with suppress(OSError):
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path, file = self._new()
        try:
            _append(file, {"mgr tags": FORMAT, **self._header})
            _sync_folder(self._folder)
        except OSError:  # a log without its first line could not be read
            with suppress(OSError):
                file.close()
            path.unlink(missing_ok=True)
            raise
        self._file, self.path = file, path

    def _new(self) -> tuple[Path, IO[str]]:
        number = 1
        while True:
            path = self._folder / f"{self._name}{f'-{number}' if number > 1 else ''}.jsonl"
            try:
                return path, path.open("x", encoding="ascii", newline="\n")
            except FileExistsError:
                number += 1


def undo(path: Path) -> Iterator[Undone]:
    """Restore what a run has changed, the last file first.

    Raises
    ------
    TagError
        If the file is no log.
    """
    lines = _lines(path)
    for number in range(len(lines), 1, -1):
        try:
            edit = _edit(lines[number - 1])
        except (ValueError, TypeError, LookupError, RecursionError):
            yield Undone(f"{path}:{number}", "error", f"{path}: line {number} is no written tag")
            continue
        try:
            yield Undone(str(edit.path), genres.restore(edit.path, edit))
        except TagError as error:
            yield Undone(str(edit.path), "error", str(error))


def _lines(path: Path) -> list[bytes]:
    """Read a log; a last line that was cut off by a crash was not followed by a written file."""
    try:
        with opened(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TagError(f"{path}: cannot be read ({error.strerror})") from error
    except TagError as error:
        raise TagError(f"{path}: no log of written tags; {error}") from error
    if len(data) > MAX_BYTES:
        raise TagError(f"{path}: larger than {MAX_BYTES} bytes, no log of written tags")
    lines = data.split(b"\n")[:-1]
    try:
        header = json.loads(lines[0][:MAX_LINE])["mgr tags"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise TagError(
            f"{path}: no log of written tags; each run prints where its own is"
        ) from error
    if header != FORMAT:
        raise TagError(f"{path}: a log of format {header!r}, format {FORMAT} is known")
    return lines


def _append(file: IO[str], said: dict[str, Any]) -> None:
    """Write a line, and wait until it is on the disk."""
    file.write(json.dumps(said) + "\n")
    file.flush()
    os.fsync(file.fileno())


def _said(edit: Edit) -> dict[str, Any]:
    return {
        # Bytes that are no UTF-8 are lone surrogates, which JSON has escapes for.
        "path": str(edit.path),
        "kind": edit.kind,
        "old": [[place, b64encode(item).decode()] for place, item in edit.old],
        "new": [[place, b64encode(item).decode()] for place, item in edit.new],
        "had_tag": edit.had_tag,
        "others": edit.others,
        "size": edit.size,
        "mtime_ns": edit.mtime_ns,
        "n_names": edit.n_names,
    }


def _edit(line: bytes) -> Edit:
    """Read a line.

    Raises
    ------
    ValueError, TypeError, LookupError
        If it is something else.
    """
    if len(line) > MAX_LINE:
        raise ValueError("too long")
    said = json.loads(line)
    edit = Edit(
        path=Path(said["path"]), kind=said["kind"], old=_pieces(said["old"]),
        new=_pieces(said["new"]), had_tag=said["had_tag"], others=said["others"],
        size=said["size"], mtime_ns=said["mtime_ns"], n_names=said["n_names"],
    )  # fmt: skip
    os.fsencode(edit.path)
    texts = (said["path"], edit.kind, edit.others)
    numbers = (edit.size, edit.mtime_ns, edit.n_names)
    if (
        not all(type(text) is str for text in texts)
        or not all(type(number) is int for number in numbers)
        or type(edit.had_tag) is not bool
        or not edit.path.is_absolute()
        or "\0" in said["path"]
        or not edit.new
    ):
        raise ValueError("not what a log says")
    return edit


def _pieces(said: list[list[Any]]) -> Pieces:
    pieces = []
    for place, text in said:
        if type(place) is not int or not 0 <= place <= MAX_ITEMS:
            raise ValueError("no place")
        try:
            pieces.append((place, b64decode(text, validate=True)))
        except Base64Error as error:
            raise ValueError("no bytes") from error
    return tuple(pieces)


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # a new name is on the disk only with its folder
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
