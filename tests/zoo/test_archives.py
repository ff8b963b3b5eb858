import gzip
import io
import os
import stat
import struct
import tarfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from mgr_cli import files
from mgr_cli.errors import ZooError
from mgr_cli.zoo import archives, arrivals, entries, weights
from mgr_cli.zoo.card import CARD, WeightsFile, load_card, save_card
from mgr_cli.zoo.contents import LIMITS
from tests import tiny

Pack = Callable[[Path, list[tuple[str, bytes]]], Path]


def zipped(target: Path, members: list[tuple[str, bytes]]) -> Path:
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(ZipInfo(name), data)
    return target


def tarred(target: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(target, "w:") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target


def gzipped(target: Path, members: list[tuple[str, bytes]]) -> Path:
    target.write_bytes(gzip.compress(tarred(target, members).read_bytes()))
    return target


PACKS = pytest.mark.parametrize("pack", [zipped, tarred, gzipped])


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.entry(tmp_path_factory.mktemp("zoo"))
    entries.add_graph(folder)
    return folder


@pytest.fixture(scope="module")
def members(entry: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(entry.iterdir())]


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[Path]:
    """A zoo beside which, and in which, nothing may be left by what is refused."""
    (tmp_path / "zoo").mkdir()
    yield tmp_path / "zoo"
    strays = {path.name for path in tmp_path.iterdir()} - {"zoo"}
    assert all(name.startswith("given") for name in strays), strays
    assert not [path for path in (tmp_path / "zoo").iterdir() if path.name.startswith(".")]


def refused(given: Path, zoo: Path, match: str) -> None:
    with pytest.raises(ZooError, match=match) as caught:
        arrivals.admit(given, [zoo])
    assert str(caught.value).isprintable()
    assert list(zoo.iterdir()) == []


# What is taken.


@PACKS
@pytest.mark.parametrize("top", ["", "./", "tiny/", "./tiny/", "another name/"])
def test_an_entry_arrives_as_it_left(
    pack: Pack, top: str, members: list[tuple[str, bytes]], zoo: Path
) -> None:
    given = pack(zoo.parent / "given", [(top + name, data) for name, data in members])
    folder = arrivals.admit(given, [zoo])
    assert folder == zoo / "tiny"
    assert [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())] == members
    assert folder.stat().st_mode & 0o111 == (folder / CARD).stat().st_mode >> 2 & 0o111


def test_a_folder_arrives_without_what_is_no_file_of_an_entry(entry: Path, zoo: Path) -> None:
    given = arrivals.admit(entry, [zoo], name="copy")
    (given / "notes.txt").write_text("mine")
    (given / ".git").mkdir()
    (given / "history.csv").write_text("epoch\n")
    folder = arrivals.admit(given, [zoo], name="third")
    assert {path.name for path in folder.iterdir()} == {
        CARD, weights.WEIGHTS, "model.onnx", "golden.safetensors", "history.csv",
    }  # fmt: skip
    assert load_card(folder).name == "third"
    entries.verify(folder)


@PACKS
def test_what_tools_of_the_shell_pack_is_taken(pack: Pack, entry: Path, zoo: Path) -> None:
    given = zoo.parent / "given.archive"
    if pack is zipped:
        with ZipFile(given, "w", ZIP_DEFLATED) as archive:
            archive.write(entry, "tiny/")
            for path in entry.iterdir():
                archive.write(path, f"tiny/{path.name}")
    else:
        with tarfile.open(given, "w:gz" if pack is gzipped else "w:") as bundle:
            bundle.add(entry, arcname=".")
    assert arrivals.admit(given, [zoo]) == zoo / "tiny"


def test_a_taken_name_is_refused_in_every_zoo(entry: Path, zoo: Path) -> None:
    with pytest.raises(ZooError, match="'tiny' already"):
        arrivals.admit(entry, [zoo, entry.parent])
    assert list(zoo.iterdir()) == []


@pytest.mark.parametrize("name", ["..", "a/b", ".hidden", ""])
def test_a_name_that_is_no_folder_is_refused(name: str, entry: Path, zoo: Path) -> None:
    with pytest.raises(ZooError, match="cannot be the name"):
        arrivals.admit(entry, [zoo], name=name)


# Paths that lead elsewhere, and names that no entry has.


@PACKS
@pytest.mark.parametrize(
    "name",
    [
        "../card.json", "/card.json", "/etc/card.json", "a/../card.json", "a/b/card.json",
        "..\\card.json", "C:\\card.json", "card.json\n", "CARD.JSON", "model.pth", "data.pkl",
        "run.sh", "default.txt", "a/.git/card.json", "\x1b[2J", "é" * 200,
    ],
)  # fmt: skip
def test_a_member_that_is_no_file_of_an_entry_is_refused(
    pack: Pack, name: str, members: list[tuple[str, bytes]], zoo: Path
) -> None:
    refused(
        pack(zoo.parent / "given", [*members, (name, b"x")]), zoo, "no file of an entry|several"
    )


@PACKS
def test_a_member_that_is_there_twice_is_refused(
    pack: Pack, members: list[tuple[str, bytes]], zoo: Path
) -> None:
    with warnings.catch_warnings(action="ignore"):  # of zipfile, which writes it all the same
        given = pack(zoo.parent / "given", [*members, members[0]])
    refused(given, zoo, "twice")


@PACKS
def test_files_in_two_folders_are_refused(
    pack: Pack, members: list[tuple[str, bytes]], zoo: Path
) -> None:
    (first, data), *others = members
    refused(pack(zoo.parent / "given", [(f"a/{first}", data), *others]), zoo, "several folders")


@PACKS
def test_more_members_than_an_entry_has_are_refused(pack: Pack, zoo: Path) -> None:
    many = [(f"{number}/", b"") for number in range(archives.MAX_MEMBERS + 1)]
    refused(pack(zoo.parent / "given", many), zoo, "more than 32|no file")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
     tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE],
)  # fmt: skip
@pytest.mark.parametrize("name", ["model.safetensors", "tiny"])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, name: str, zoo: Path) -> None:
    given = zoo.parent / "given.tar"
    with tarfile.open(given, "w:") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    refused(given, zoo, "link|not readable")


def test_a_link_in_a_zip_is_refused(members: list[tuple[str, bytes]], zoo: Path) -> None:
    given = zoo.parent / "given.zip"
    with ZipFile(given, "w") as archive:
        info = ZipInfo("history.csv")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
        for name, data in members:
            archive.writestr(name, data)
    refused(given, zoo, "link")


@pytest.mark.skipif(os.name == "nt", reason="Windows makes no links unasked")
def test_links_and_pipes_in_a_folder_are_refused(entry: Path, zoo: Path) -> None:
    secret = zoo.parent / "given-secret"
    secret.write_text("a key")
    given = arrivals.admit(entry, [zoo.parent], name="given")
    (given / "history.csv").symlink_to(secret)
    refused(given, zoo, "is a link")
    (given / "history.csv").unlink()
    os.mkfifo(given / "history.csv")  # which would be waited for
    refused(given, zoo, "is a link or no file")


# Sizes.


@PACKS
def test_each_file_has_a_limit(pack: Pack, zoo: Path) -> None:
    given = pack(zoo.parent / "given", [(CARD, bytes(LIMITS[CARD] + 1))])
    refused(given, zoo, "more than")


def test_a_bomb_in_a_zip_is_refused_by_what_it_states(zoo: Path) -> None:
    given = zoo.parent / "given.zip"
    with ZipFile(given, "w", ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", bytes(2**25))
    refused(given, zoo, "unpacks to")


def test_a_bomb_in_a_zip_that_lies_about_its_size_is_refused(zoo: Path) -> None:
    given = zoo.parent / "given.zip"
    with ZipFile(given, "w", ZIP_DEFLATED) as archive:
        archive.writestr(CARD, bytes(2**25))
    data = given.read_bytes().replace(struct.pack("<L", 2**25), struct.pack("<L", 2**10))
    given.write_bytes(data)
    refused(given, zoo, "not readable|longer")


def test_a_bomb_in_a_gzipped_tar_is_refused_before_it_is_unpacked(zoo: Path) -> None:
    given = zoo.parent / "given.tgz"
    with gzip.open(given, "wb", 9) as file:
        info = tarfile.TarInfo("model.safetensors")
        info.size = 2**26
        file.write(info.tobuf() + bytes(2**26))
    assert given.stat().st_size < 2**17
    refused(given, zoo, "leads to more than|states")


def test_a_gzipped_tar_of_several_that_are_a_bomb_together_is_refused(zoo: Path) -> None:
    halves = [(name, bytes(12 * 2**20)) for name in ("model.safetensors", "model.skops")]
    given = gzipped(zoo.parent / "given.tgz", halves)
    assert archives.FREE + archives.MAX_RATIO * given.stat().st_size < 24 * 2**20
    refused(given, zoo, "leads to more than")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_whose_header_asks_for_gigabytes_is_refused(kind: bytes, zoo: Path) -> None:
    given = zoo.parent / "given.tgz"
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 2**33 - 1
    with gzip.open(given, "wb") as file:
        file.write(info.tobuf() + bytes(2**20))
    refused(given, zoo, "too much at once")


def test_what_is_asked_for_at_once_is_not_read_if_it_is_too_much() -> None:
    class Recording(io.BytesIO):
        asked = 0

        def read(self, size: int | None = -1) -> bytes:
            self.asked = max(self.asked, size or 0)
            return super().read(size)

    file = Recording(bytes(10))
    rationed = archives._Rationed(Path("x"), file, 10)
    with pytest.raises(ZooError, match="too much at once"):
        rationed.read(2**40)
    assert file.asked == 0
    assert rationed.read() == bytes(10)
    assert file.asked == archives.LONGEST_READ + 1


def test_a_tar_with_a_negative_size_ends(zoo: Path) -> None:
    given = zoo.parent / "given.tar"
    info = tarfile.TarInfo(CARD)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # -256 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    given.write_bytes(bytes(header) + bytes(1024))
    refused(given, zoo, "states|more than|not readable")


def test_members_of_a_zip_that_overlap_are_refused(
    members: list[tuple[str, bytes]], zoo: Path
) -> None:
    given = zipped(zoo.parent / "given.zip", members)
    data = bytearray(given.read_bytes())
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]  # where it begins
    given.write_bytes(bytes(data))
    refused(given, zoo, "overlap")


def test_unusual_compression_and_passwords_are_refused(zoo: Path) -> None:
    given = zoo.parent / "given.zip"
    with ZipFile(given, "w", ZIP_BZIP2) as archive:
        archive.writestr(CARD, "{}")
    refused(given, zoo, "unusual")
    data = bytearray(zipped(given, [(CARD, b"{}")]).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    given.write_bytes(bytes(data))
    refused(given, zoo, "unusual")


@PACKS
def test_a_broken_off_archive_is_refused(
    pack: Pack, members: list[tuple[str, bytes]], zoo: Path
) -> None:
    given = pack(zoo.parent / "given", members)
    whole = given.read_bytes()
    last = whole.find(members[-1][1])  # not found where it is packed
    for end in (len(whole) // 5, len(whole) // 2, last + 100 if last > 0 else len(whole) - 100):
        given.write_bytes(whole[:end])
        refused(given, zoo, "given")


# What an archive says of itself.


@PACKS
def test_without_a_card_it_is_no_entry(
    pack: Pack, members: list[tuple[str, bytes]], zoo: Path
) -> None:
    refused(pack(zoo.parent / "given", members[1:]), zoo, "it has no card.json")


def test_a_file_that_the_card_names_must_be_there(
    members: list[tuple[str, bytes]], zoo: Path
) -> None:
    for missing in members[1:]:
        given = zipped(zoo.parent / "given", [each for each in members if each != missing])
        refused(given, zoo, f"names {missing[0]}")


@pytest.mark.parametrize("name", ["history.csv", "notes.txt", CARD, "golden.safetensors"])
def test_a_card_that_names_other_files_than_an_entry_has_is_refused(
    name: str, entry: Path, zoo: Path
) -> None:
    given = arrivals.admit(entry, [zoo.parent], name="given")
    (given / name).touch()
    save_card(given, load_card(given).model_copy(
        update={"weights": WeightsFile(file=name, sha256=files.sha256(given / name))}
    ))  # fmt: skip
    refused(given, zoo, "which no entry has")


def test_what_does_not_compute_what_it_says_is_refused(entry: Path, zoo: Path) -> None:
    given = arrivals.admit(entry, [zoo.parent], name="given")
    other = tiny.entry(zoo.parent / "given-zoo", seed=1)
    (given / weights.WEIGHTS).write_bytes((other / weights.WEIGHTS).read_bytes())
    refused(given, zoo, "given/model.safetensors: its digest")
    changed = WeightsFile(file=weights.WEIGHTS, sha256=files.sha256(given / weights.WEIGHTS))
    save_card(given, load_card(given).model_copy(update={"weights": changed}))
    refused(given, zoo, "differs from its golden sample")


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("given.pth", b"\x80\x02}q\x00.", "none is opened"),
        ("given.pth", b"PK\3\4" + bytes(600), "none is opened"),
        ("given.bin", b"x" * 600, "none is opened"),
        ("given.7z", b"7z\xbc\xaf" + bytes(600), "expected a folder"),
        ("given.zip", b"", "expected a folder"),
        ("given.zip", b"PK\3\4" + bytes(600), "not readable"),
        ("given.tgz", b"\x1f\x8b" + bytes(600), "not readable"),
    ],
)
def test_what_is_no_archive_is_refused_in_a_sentence(
    name: str, data: bytes, match: str, zoo: Path
) -> None:
    (zoo.parent / name).write_bytes(data)
    refused(zoo.parent / name, zoo, match)
