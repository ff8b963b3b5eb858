import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgr_cli import files
from mgr_cli.files import Spool


@pytest.fixture
def umask() -> Iterator[int]:
    """A umask that is not the usual one."""
    mask = 0o027
    before = os.umask(mask)
    yield mask
    os.umask(before)


def test_file_takes_its_place_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file.txt"
    with files.replacing(target) as part:
        assert part.parent == target.parent  # so that the move is atomic
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_old_file_stays_if_the_block_raises(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")

    def write_half() -> None:
        with files.replacing(target) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_old_file_stays_readable_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with target.open() as reader:
        with files.replacing(target) as part:
            part.write_text("new")
            assert target.read_text() == "old"
        assert reader.read() == "old"  # another file, not the same one overwritten
    assert target.read_text() == "new"


def test_block_may_replace_the_temporary_file_itself(tmp_path: Path) -> None:
    # As libraries do that write a temporary file of their own.
    with files.replacing(tmp_path / "file.txt") as part:
        other = tmp_path / "other"
        other.write_text("theirs")
        other.replace(part)
    assert (tmp_path / "file.txt").read_text() == "theirs"


def test_published_file_follows_the_umask(tmp_path: Path, umask: int) -> None:
    files.write_text(tmp_path / "file.txt", "")
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o666 & ~umask
    assert os.umask(umask) == umask  # and leaves it as it was


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file.txt", "é\nline\n")
    assert (tmp_path / "file.txt").read_bytes() == b"\xc3\xa9\nline\n"


def test_sha256_is_the_published_one_of_abc(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc") == (  # FIPS 180-4, first example
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_sha256_reads_the_whole_file(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(3 * 2**20 + 1)
    (tmp_path / "large").write_bytes(data)
    assert files.sha256(tmp_path / "large") == hashlib.sha256(data).hexdigest()


def tree(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_are_found_at_any_depth_in_any_case_and_sorted(tmp_path: Path) -> None:
    tree(tmp_path, "z.mp3", "a/b/c.MP3", "a/x.Wav", "a/notes.txt", "mp3", "b.mp3.part")
    found = files.find(tmp_path, {".mp3", ".wav"})
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a/b/c.MP3",
        "a/x.Wav",
        "z.mp3",
    ]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, ".hidden.mp3", ".git/a.mp3", "a/.cache/b.mp3", "a/._c.mp3", "a/d.mp3")
    assert files.find(tmp_path, {".mp3"}) == [tmp_path / "a" / "d.mp3"]


def test_circle_of_links_ends(tmp_path: Path) -> None:
    tree(tmp_path, "a/b.mp3")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "linked.mp3").symlink_to(tmp_path / "a" / "b.mp3")
    found = files.find(tmp_path, {".mp3"})
    assert found == [tmp_path / "a" / "b.mp3", tmp_path / "linked.mp3"]


def test_folder_named_like_a_file_is_no_file(tmp_path: Path) -> None:
    tree(tmp_path, "album.mp3/song.mp3")
    assert files.find(tmp_path, {".mp3"}) == [tmp_path / "album.mp3" / "song.mp3"]


def test_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.find(tmp_path / "absent", {".mp3"})


def test_folder_that_cannot_be_read_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a/1.mp3", "b/2.mp3", "c/3.mp3")

    def scandir(path: Path) -> Any:
        if Path(path).name == "b":  # file modes mean nothing to root
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    scan = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    problems: list[OSError] = []
    found = files.find(tmp_path, {".mp3"}, on_problem=problems.append)
    assert found == [tmp_path / "a" / "1.mp3", tmp_path / "c" / "3.mp3"]
    assert [Path(problem.filename) for problem in problems] == [tmp_path / "b"]
    with pytest.raises(PermissionError):
        files.find(tmp_path, {".mp3"})


def test_folder_that_vanishes_is_a_problem(tmp_path: Path) -> None:
    problems: list[OSError] = []
    assert files.find(tmp_path / "absent", {".mp3"}, on_problem=problems.append) == []
    assert [type(problem) for problem in problems] == [FileNotFoundError]


def test_links_that_lead_nowhere_are_listed(tmp_path: Path) -> None:
    (tmp_path / "gone.mp3").symlink_to(tmp_path / "no.mp3")
    (tmp_path / "itself.mp3").symlink_to(tmp_path / "itself.mp3")
    assert files.find(tmp_path, {".mp3"}) == [tmp_path / "gone.mp3", tmp_path / "itself.mp3"]


def test_a_thousand_folders_in_one_another_are_walked(tmp_path: Path) -> None:
    folders = [tmp_path]
    for _ in range(1_500):  # os.makedirs and shutil.rmtree call themselves
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    song = folders[-1] / "a.mp3"
    song.touch()
    found = files.find(tmp_path, {".mp3"})
    song.unlink()
    for folder in reversed(folders[1:]):
        folder.rmdir()
    assert found == [song]


@pytest.mark.parametrize("name", ["gtzan", "a b", "é", "x.y", "a..b", "-rf", "a."])
def test_plain_names_are_taken(name: str) -> None:
    assert files.is_plain_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "../x", "a/b", "/etc", "a\\b", "..\\x", "a\0b", "a\nb", "\x1b[2J"]
)
def test_names_that_leave_their_folder_or_cannot_be_shown_are_not(name: str) -> None:
    assert not files.is_plain_name(name)


@pytest.mark.parametrize("memory", [16, 1_000, 2**20])  # on disk at once, midway, never
def test_spool_gives_back_what_was_appended(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "MEMORY", memory)
    rng = np.random.default_rng(0)
    expected = np.empty((0, 7), np.float32)
    with Spool(7) as spool:
        for _ in range(100):
            rows = rng.standard_normal((int(rng.integers(0, 5)), 7)).astype(np.float32)
            spool.append(rows)
            expected = np.concatenate([expected, rows])
            assert len(spool) == len(expected)
            # A read in between moves the file's position, which must not matter.
            start, stop = np.sort(rng.integers(0, len(expected) + 1, 2))
            np.testing.assert_array_equal(spool.read(start, stop), expected[start:stop])
        np.testing.assert_array_equal(spool.read(0, len(expected)), expected)


def test_spool_takes_any_float_and_any_layout() -> None:
    rows = np.arange(12, dtype=np.float64).reshape(3, 4).T  # (4, 3), not contiguous
    with Spool(3) as spool:
        spool.append(rows)
        np.testing.assert_array_equal(spool.read(1, 3), rows[1:3])
        assert spool.read(0, 4).dtype == np.float32


def test_spool_keeps_the_type_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "MEMORY", 16)
    with Spool(2, dtype=np.int16) as spool:
        spool.append(np.array([[1, -2], [3, 32_767]]))
        spool.append(np.array([[-32_768, 5]]))
        rows = spool.read(1, 3)
        assert rows.dtype == np.int16
        np.testing.assert_array_equal(rows, [[3, 32_767], [-32_768, 5]])


def test_spool_closes_its_file() -> None:
    with Spool(2) as spool:
        spool.append(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="closed"):
        spool.read(0, 1)
