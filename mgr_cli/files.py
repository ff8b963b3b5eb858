"""Writing that loses nothing, digests, and a look into folders.

A file is written beside its place under a temporary name and moved there when it is
whole, so that a reader never sees half a file and a killed run leaves the old one.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np


@contextmanager
def replacing(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path that takes the target's place when the block ends well.

    Parameters
    ----------
    target : Path
        Where the file shall stand; missing parent folders are made.
    durable : bool
        Whether it shall outlive a loss of power. What can be made again, and by the thousand,
        need not wait for the disk.

    Yields
    ------
    Path
        An empty file in the same folder. If the block raises, it is deleted and the
        target stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        if durable:
            with part.open("rb+") as written:
                os.fsync(written.fileno())
        # mkstemp makes private files; what we publish follows the user's umask.
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(target)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def write_text(target: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with Unix line ends on every platform."""
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(root: Path, suffixes: Iterable[str]) -> list[Path]:
    """List the files below a folder that end in one of the suffixes, sorted by path.

    Hidden files and folders are passed over, and links to folders are not followed, so
    that a circle of links ends.

    Parameters
    ----------
    root : Path
        The folder.
    suffixes : iterable of str
        With their dots, in lower case; the case of the files does not matter.

    Raises
    ------
    OSError
        If the folder, or one below it, cannot be read.
    """
    wanted = frozenset(suffixes)

    def refuse(error: OSError) -> None:
        raise error

    found = []
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in wanted
        ]
    return sorted(found)


def is_plain_name(name: str) -> bool:
    """Tell whether a name stays in its folder, is printable and not hidden."""
    return name.isprintable() and name != "" and not {"/", "\\"} & set(name) and name[0] != "."


class Spool:
    """Rows of float32 that are kept in memory while they are few, and on disk beyond.

    A context manager; the file has no name and is gone when it ends.

    Parameters
    ----------
    width : int
        Values in a row.
    """

    MEMORY = 32 * 2**20  # bytes; 11 hours at 128 values and 12.9 rows a second take 257 MB

    def __init__(self, width: int) -> None:
        self._width = width
        self._file = tempfile.SpooledTemporaryFile(max_size=self.MEMORY)  # noqa: SIM115
        self._n_rows = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the rows."""
        self._file.close()

    def __len__(self) -> int:
        return self._n_rows

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end, np.ndarray [shape=(n_rows, width)]."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(rows, np.float32).tobytes())
        self._n_rows += len(rows)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows, np.ndarray [shape=(stop - start, width)]."""
        self._file.seek(start * self._width * 4)
        data = self._file.read((stop - start) * self._width * 4)
        return np.frombuffer(data, np.float32).reshape(-1, self._width)
