"""Writing that loses nothing, digests, and a look into folders.

A file is written beside its place under a temporary name and moved there when it is
whole, so that a reader never sees half a file and a killed run leaves the old one.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike


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


STATE = "MGR_STATE"  # names another state folder


def state_folder() -> Path:
    """Return the folder that runs keep a journal and logs in: the user's, or `MGR_STATE`."""
    named = os.environ.get(STATE)
    if named:
        return Path(named)
    from platformdirs import user_state_path

    return user_state_path("mgr")


def read_yaml(path: Path, *, limit: int = 2**20) -> object:
    """Read what a small YAML file says, plain values alone.

    Raises
    ------
    ValueError
        If it cannot be read, is no YAML, or has more bytes than the limit; in one line.
    """
    import yaml

    try:
        if not path.is_file():  # a pipe could be waited for, and a device read, for ever
            raise ValueError(f"{path}: no such file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ValueError(f"{path}: larger than {limit} bytes")
        text = data.decode()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not YAML ({error})") from error
    try:
        return yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not YAML ({said})") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(
    root: Path,
    suffixes: Iterable[str],
    *,
    on_problem: Callable[[OSError], None] | None = None,
) -> list[Path]:
    """List the files below a folder that end in one of the suffixes, sorted by path.

    Hidden files and folders are passed over, and links to folders are not followed, so
    that a circle of links ends. A link that leads nowhere is listed: who opens it says so.

    Parameters
    ----------
    root : Path
        The folder.
    suffixes : iterable of str
        With their dots, in lower case; the case of the files does not matter.
    on_problem : callable, optional
        Called with the error for every folder that cannot be read, its path in ``filename``;
        the others are listed. Without it the first such error is raised.

    Raises
    ------
    OSError
        If the folder, or one below it, cannot be read, and nobody else is told.
    """
    wanted = frozenset(suffixes)
    found, waiting = [], [root]
    while waiting:  # os.walk calls itself, and ends at a thousand folders in one another
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not _is_folder(entry):
                        found.append(Path(entry.path))
                    elif not entry.is_symlink():
                        waiting.append(Path(entry.path))
        except OSError as error:
            if on_problem is None:
                raise
            on_problem(error)
    return sorted(path for path in found if path.suffix.lower() in wanted)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where we may not look
        return False


def is_plain_name(name: str) -> bool:
    """Tell whether a name stays in its folder, is printable and not hidden."""
    return name.isprintable() and name != "" and not {"/", "\\"} & set(name) and name[0] != "."


class Spool:
    """Rows of numbers that are kept in memory while they are few, and on disk beyond.

    A context manager; the file has no name and is gone when it ends.

    Parameters
    ----------
    width : int
        Values in a row.
    dtype : np.dtype or type, optional
        How they are kept, float32 by default; what is appended is converted to it.
    """

    MEMORY = 32 * 2**20  # bytes; 11 hours at 128 values and 12.9 rows a second take 257 MB

    def __init__(self, width: int, *, dtype: DTypeLike = np.float32) -> None:
        self._width = width
        self._dtype = np.dtype(dtype)
        self._file = tempfile.SpooledTemporaryFile(max_size=self.MEMORY)  # noqa: SIM115
        self._n_rows = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the rows."""
        with suppress(OSError):  # what a full disk did not take, and is thrown away
            self._file.close()

    def __len__(self) -> int:
        return self._n_rows

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end, np.ndarray [shape=(n_rows, width)]."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self._n_rows += len(rows)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows, np.ndarray [shape=(stop - start, width)]."""
        size = self._width * self._dtype.itemsize
        self._file.seek(start * size)
        data = self._file.read((stop - start) * size)
        return np.frombuffer(data, self._dtype).reshape(-1, self._width)
