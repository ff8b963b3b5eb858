"""Folders and archives that may come from a stranger: what is in them, before any of it is kept.

An entry travels as its folder, as the folder of a Hugging Face repository that holds it, or as a
zip, a tar or a gzipped tar of either. Nothing here trusts what such a thing says of itself.

- A member is one of the files that an entry has, alone or in one folder: no other name, no path
  that leads elsewhere, no link, no device, none twice, none that overlaps another.
- Sizes are bounded before anything is read, and counted while it is: each file has a limit of its
  own (`contents.LIMITS`), and what is packed unpacks to `MAX_RATIO` times its size at the most.
  Zeros shrink to a thousandth, our own files to a fifteenth.
- No single read is longer than `LONGEST_READ`: headers of archives state lengths that Python's
  readers would allocate without a doubt.

Members are then read one block after another, into files that did not exist (`unpack`).
"""

import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from gzip import GzipFile
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from mgr_cli.config import MAX_CARD_BYTES
from mgr_cli.errors import ZooError
from mgr_cli.files import is_plain_name
from mgr_cli.zoo.card import CARD
from mgr_cli.zoo.contents import HUB_ONLY, LIMITS
from mgr_cli.zoo.tensors import one_line

MAX_RATIO = 100  # unpacked to packed
FREE = 2**24  # bytes that anything may unpack to
MAX_MEMBERS = 32
LOCAL_HEADER = 30  # bytes before the name of a zip's member
LONGEST_READ = 2**20  # bytes
PICKLES = frozenset({".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz"})
TAKEN = "expected a folder of the zoo, or a .zip, .tar or .tar.gz of one"


@dataclass(frozen=True)
class Member:
    """A file that waits to be read.

    Attributes
    ----------
    source : Path
        What it lies in.
    size : int
        Bytes that are said to be in it.
    open : callable
        Opens it.
    """

    source: Path
    size: int
    open: Callable[[], IO[bytes]]

    def blocks(self) -> Iterator[bytes]:
        """Read it in blocks of a megabyte at the most.

        Raises
        ------
        ZooError
            If it cannot be read, or is longer or shorter than it is said to be.
        """
        left = self.size
        with _telling(self.source), self.open() as file:
            while block := file.read(min(LONGEST_READ, left + 1)):
                left -= len(block)
                if left < 0:
                    break
                yield block
        if left:
            raise ZooError(f"{self.source}: a file is longer or shorter than it is said to be")


@dataclass(frozen=True)
class _Found:
    """What a folder or an archive lists: a path in it, and whether that is a folder."""

    path: str
    is_folder: bool
    member: Member


@contextmanager
def opened(source: Path) -> Iterator[Mapping[str, Member]]:
    """List the files of an entry that lies in a folder or an archive; none is unpacked.

    Parameters
    ----------
    source : Path
        A folder, a zip, a tar or a gzipped tar.

    Yields
    ------
    Mapping
        From the name of a file, one of `contents.LIMITS`, to how it is read while the block runs.

    Raises
    ------
    ZooError
        If it is something else, or anything in it is not as it must be.
    """
    with ExitStack() as stack:
        with _telling(source):
            if source.is_dir():
                found = _in_folder(source)
            else:
                found = _in_archive(source, stack.enter_context(source.open("rb")))
            members = _sorted_out(source, found)
        yield members


def unpack(members: Mapping[str, Member], target: Path) -> None:
    """Write files into a folder that has none of them.

    Raises
    ------
    ZooError
        If one cannot be read; see `Member.blocks`.
    """
    for name, member in members.items():
        with (target / name).open("xb") as written:
            for block in member.blocks():
                written.write(block)


@contextmanager
def _telling(source: Path) -> Iterator[None]:
    """Say in a line what the reading of a stranger's archive has raised."""
    try:
        yield
    except ZooError:
        raise
    except Exception as error:  # what is made to harm may raise anything
        reason = one_line(error)
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise ZooError(f"{source}: not readable ({reason})") from error


def _sorted_out(source: Path, found: Iterable[_Found]) -> dict[str, Member]:
    """Keep the files of an entry, and refuse what has no place among them."""
    members: dict[str, Member] = {}
    tops = set()
    for number, each in enumerate(found):
        *top, name = each.path.removeprefix("./").removesuffix("/").split("/")
        if number == MAX_MEMBERS:
            raise ZooError(f"{source}: has more than {MAX_MEMBERS} members; no entry has")
        if each.is_folder and not top and (name in ("", ".") or is_plain_name(name)):
            continue
        if len(top) > 1 or not all(map(is_plain_name, top)) or name not in {*LIMITS, *HUB_ONLY}:
            raise ZooError(f"{source}: {_shown(each.path)} is no file of an entry{_advice(name)}")
        if each.is_folder or name in members:
            raise ZooError(f"{source}: {_shown(each.path)} is there twice, or is a folder")
        tops.add(tuple(top))
        limit = LIMITS.get(name, MAX_CARD_BYTES)
        if not 0 <= each.member.size <= limit:
            raise ZooError(f"{source}: {name} has {each.member.size} bytes, more than {limit}")
        members[name] = each.member
    if len(tops) > 1:
        raise ZooError(f"{source}: files lie in several folders; {TAKEN}")
    if CARD not in members:
        raise ZooError(f"{source}: no entry, it has no {CARD}")
    return {name: each for name, each in members.items() if name not in HUB_ONLY}


def _shown(text: str) -> str:
    return repr(text[:80])


def _advice(name: str) -> str:
    is_pickle = Path(name).suffix.lower() in PICKLES
    return "; a pickle is a program, and none is opened" if is_pickle else ""


def _in_folder(source: Path) -> Iterator[_Found]:
    """List what an entry may have; a folder of one's own may hold more, as .git."""
    for name in LIMITS:
        path = source / name
        try:
            about = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(about.st_mode):
            raise ZooError(f"{path}: is a link or no file; copy the folder with `cp -rL` first")
        yield _Found(name, False, Member(source, about.st_size, partial(_open_file, path)))


def _open_file(path: Path) -> BinaryIO:
    """Open what still is a file; a pipe in its place would be waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    file = open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")  # noqa: SIM115, PTH123
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ZooError(f"{path}: is no file")
    return file


def _in_archive(source: Path, file: BinaryIO) -> Iterator[_Found]:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise ZooError(f"{source}: is no file; {TAKEN}")
    size = source.stat().st_size
    head = file.read(512)
    file.seek(0)
    if head[:4] == b"PK\3\4" and source.suffix.lower() not in PICKLES:
        return _in_zip(source, ZipFile(cast(Any, _Rationed(source, file, size))), size)
    if head[:2] == b"\x1f\x8b":
        stream = cast(BinaryIO, GzipFile(fileobj=file))
        return _in_tar(source, _Rationed(source, stream, FREE + MAX_RATIO * size))
    if head[257:262] == b"ustar":
        return _in_tar(source, _Rationed(source, file, size))
    raise ZooError(f"{source}: no archive of an entry; {TAKEN}{_advice(source.name)}")


def _in_zip(source: Path, archive: ZipFile, size: int) -> Iterator[_Found]:
    infos = sorted(archive.infolist()[: MAX_MEMBERS + 1], key=lambda info: info.header_offset)
    behind = 0
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if (
            kind not in (0, stat.S_IFREG, stat.S_IFDIR)
            or info.flag_bits & 1  # encrypted
            or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED)
            or info.filename != info.orig_filename  # which has a zero byte in it
        ):
            raise ZooError(
                f"{source}: {_shown(info.orig_filename)} is a link, or packed in an unusual way"
            )
        start = info.header_offset
        if start < behind or start + info.compress_size > size:
            raise ZooError(f"{source}: members overlap; it was damaged or made to harm")
        behind = start + LOCAL_HEADER + len(info.filename) + info.compress_size
        if info.file_size > FREE + MAX_RATIO * info.compress_size:
            raise ZooError(f"{source}: {_shown(info.filename)} unpacks to {info.file_size} bytes")
        member = Member(source, info.file_size, partial(archive.open, info))
        yield _Found(info.filename, info.is_dir(), member)


def _in_tar(source: Path, file: "_Rationed") -> Iterator[_Found]:
    archive = tarfile.TarFile(fileobj=cast(Any, file))
    for info in archive:  # one header at a time: what is wrong is found before what follows is read
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or info.sparse:
            raise ZooError(f"{source}: {_shown(info.name)} is a link, or no file")
        if not 0 <= info.size <= file.limit:
            raise ZooError(f"{source}: {_shown(info.name)} states {info.size} bytes")
        member = Member(source, info.size, partial(_extracted, archive, info))
        yield _Found(info.name, info.isdir(), member)


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    if file is None:
        raise ZooError(f"{_shown(info.name)} is no file")
    return file


class _Rationed:
    """A file that gives little at a time, and nothing behind a limit in bytes."""

    def __init__(self, source: Path, file: BinaryIO, limit: int) -> None:
        self._source = source
        self._file = file
        self.limit = limit
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        data = b""
        if size <= LONGEST_READ:
            data = self._file.read(LONGEST_READ + 1 if size < 0 else size)
        if max(size, len(data)) > LONGEST_READ:
            raise ZooError(f"{self._source}: asks for too much at once; it was made to harm")
        self._check(self.tell())
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(offset)
        return self._file.seek(offset, whence)

    def _check(self, place: int) -> None:
        if place > self.limit:
            raise ZooError(
                f"{self._source}: leads to more than {self.limit} bytes; it was damaged, or made "
                "to harm"
            )
