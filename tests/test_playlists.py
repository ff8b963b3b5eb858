import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mgr_cli import playlists
from mgr_cli.playlists import Named, collect

SUFFIXES = frozenset({".mp3", ".wav"})


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, with two albums, a cover and a hidden song."""
    for name in ("a/2.mp3", "a/1.mp3", "a/cover.jpg", "b/deep/3.WAV", "b/.4.mp3", "5.mp3"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*words: str, stdin: bytes = b"") -> list[str]:
    """Return the files as text, a problem behind its path."""
    return [
        f"{each.path}: {each.problem}" if each.problem else str(each.path)
        for each in collect(words, SUFFIXES, stdin=io.BytesIO(stdin))
    ]


# Files, folders, patterns.


def test_files_stand_as_they_are_named_and_folders_are_sorted(music: Path) -> None:
    assert found("5.mp3", "a", "b") == ["5.mp3", "a/1.mp3", "a/2.mp3", "b/deep/3.WAV"]


def test_any_file_may_be_named_and_a_missing_one_is_left_to_who_reads_it(music: Path) -> None:
    assert found("a/cover.jpg", "gone.mp3", "-x.mp3") == ["a/cover.jpg", "gone.mp3", "-x.mp3"]


def test_a_file_that_is_named_twice_is_meant_once_and_by_its_first_name(music: Path) -> None:
    assert found("./a/../5.mp3", str(music / "5.mp3"), "a/2.mp3", "a") == [
        "a/../5.mp3", "a/2.mp3", "a/1.mp3",
    ]  # fmt: skip


def test_a_folder_without_audio_is_a_problem_and_the_rest_goes_on(music: Path) -> None:
    (music / "none").mkdir()
    assert found("none", "5.mp3", "") == [
        "none: no audio files in this folder",
        "5.mp3",
        ".: an empty name; leave it out",
    ]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_costs_one_problem(music: Path) -> None:
    (music / "a").chmod(0)
    try:
        said = found(str(music))
    finally:
        (music / "a").chmod(0o700)
    assert sorted(Path(each).name for each in said if "cannot" not in each) == ["3.WAV", "5.mp3"]
    (problem,) = (each for each in said if "cannot" in each)
    assert problem.startswith(f"{music / 'a'}: cannot be read (Permission denied")


def test_an_error_of_the_disk_costs_one_problem(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def broken(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "a":
            raise OSError(5, "Input/output error", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    assert found(".") == ["5.mp3", "b/deep/3.WAV", "a: cannot be read (Input/output error)"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.mp3", ["5.mp3"]),
        ("a/*", ["a/1.mp3", "a/2.mp3"]),  # the cover is passed over
        ("a/*.jpg", ["a/cover.jpg"]),  # unless the pattern says so
        ("**/*.mp3", ["5.mp3", "a/1.mp3", "a/2.mp3"]),
        ("**/[13].*", ["a/1.mp3", "b/deep/3.WAV"]),
        ("**", ["5.mp3", "a/1.mp3", "a/2.mp3", "b/deep/3.WAV"]),
        ("**/**/deep/*", ["b/deep/3.WAV"]),
        ("?", ["a/1.mp3", "a/2.mp3", "b/deep/3.WAV"]),  # folders are searched
        ("b/.*", ["b/.4.mp3"]),
        ("./*/deep/../../5.mp[3]", ["b/deep/../../5.mp3"]),
        ("*/nothing*", ["*/nothing*: no file fits this pattern"]),
        ("a/c*", ["a/c*: none of the 1 files that fit this pattern is audio"]),
        ("5.mp3/*", ["5.mp3/*: no file fits this pattern"]),
    ],
)
def test_patterns_are_expanded(music: Path, pattern: str, names: list[str]) -> None:
    assert found(pattern) == names
    absolute = found(str(music / pattern))
    assert absolute == [str(music / name) for name in names]


def test_a_name_that_is_there_wins_over_what_it_could_mean(music: Path) -> None:
    for name in ("[live] *.mp3", "@home.mp3", "what?.m3u.mp3"):
        (music / name).touch()
    assert found("[live] *.mp3", "@home.mp3", "what?.m3u.mp3") == [
        "[live] *.mp3", "@home.mp3", "what?.m3u.mp3",
    ]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_circles_of_links_end(music: Path) -> None:
    (music / "a/up").symlink_to(music)
    (music / "b/self").symlink_to("self")
    names = ["5.mp3", "a/1.mp3", "a/2.mp3", "b/deep/3.WAV"]
    assert found(".") == names
    assert found("**") == names
    assert found("**/*.mp3") == names[:3]


# Lists.


def test_a_list_names_files_and_folders_one_a_line(music: Path) -> None:
    (music / "my.txt").write_bytes(b"b\r\n\r\n 5.mp3\na/2.mp3\n#1.mp3\n-\n@my.txt\na*\n")
    assert found("@my.txt") == [
        "b/deep/3.WAV", " 5.mp3", "a/2.mp3", "#1.mp3", "-", "@my.txt", "a*",
    ]  # fmt: skip
    assert found("-", stdin=b"5.mp3\nb") == ["5.mp3", "b/deep/3.WAV"]


def test_names_of_a_list_are_those_of_the_current_folder_else_of_its_own(music: Path) -> None:
    (music / "a/5.mp3").touch()
    (music / "a/list").write_text("5.mp3\n1.mp3\ngone.mp3\n")
    assert found("@a/list") == ["5.mp3", "a/1.mp3", "gone.mp3"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_are_bytes(music: Path) -> None:
    names = [b"caf\xe9.mp3", "♪ 'x' \"y\".mp3".encode(), b"-x.mp3"]
    listed = collect(["-"], SUFFIXES, stdin=io.BytesIO(b"\n".join(names)))
    assert [os.fsencode(each.path) for each in listed] == names
    listed = collect(["-"], SUFFIXES, stdin=io.BytesIO(b"two\nlines.mp3\0 b \0"))
    assert [str(each.path) for each in listed] == ["two\nlines.mp3", " b "]


def test_marks_of_byte_order_are_no_part_of_a_name(music: Path) -> None:
    assert found("-", stdin=b"\xef\xbb\xbf5.mp3") == ["5.mp3"]
    assert found("-", stdin="a/1.mp3\r\n5.mp3\r\n".encode("utf-16")) == ["a/1.mp3", "5.mp3"]


def test_lists_that_are_none_are_problems(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (music / "a.txt").write_text("\n\n")
    assert found("@a.txt", "@gone.txt", "@a/1.mp3", "@a") == [
        "a.txt: no names in this list",
        "gone.txt: no list that can be read (No such file or directory)",
        "a/1.mp3: audio where a list of names was expected; leave out the @",
        "a: no list that can be read (Is a directory)",
    ]
    assert found("-", stdin=b"x" * 4097 + b"\n5.mp3") == [
        "-: line 1: 4,097 bytes are no name of a file", "5.mp3",
    ]  # fmt: skip
    monkeypatch.setattr(playlists, "MAX_NAMES", 2)
    assert found("-", stdin=b"1\n2\n3") == ["-: 3 names, more than 2; cut the list in two"]
    monkeypatch.setattr(playlists, "MAX_BYTES", 2**20)
    assert found("-", stdin=b"\n" * 2**20 + b"1") == ["-: longer than 1 MB, no list of songs is"]


# Playlists.


def test_a_playlist_is_relative_to_itself(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (music / "#9.mp3").touch()
    (music / "a/my.m3u8").write_bytes(
        b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:123,Somebody - Something\r\n1.mp3\r\n\r\n"
        b"..\\b\\deep\\3.WAV\r\n../#9.mp3\r\n# 2.mp3\r\ngone.mp3\r\n"
    )
    names = ["a/1.mp3", "a/../b/deep/3.WAV", "a/../#9.mp3", "a/gone.mp3"]
    assert found("a/my.m3u8") == found("@a/my.m3u8") == names
    monkeypatch.chdir(music / "b")
    assert found("../a/my.m3u8") == [f"../{name}" for name in names]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_playlist_in_latin_1_names_files_in_either_way(music: Path) -> None:
    (music / "café.mp3").touch()
    (music / "old.m3u").write_bytes("café.mp3\nélan.mp3\n".encode("latin-1"))
    assert found("old.m3u")[0] == "café.mp3"
    Path(os.fsdecode(b"caf\xe9.mp3")).touch()
    (first, second) = collect(["old.m3u"], SUFFIXES, stdin=io.BytesIO())
    assert os.fsencode(first.path) == b"caf\xe9.mp3"
    assert os.fsencode(second.path) == b"\xe9lan.mp3"


def test_addresses_are_files_of_this_machine_or_a_problem_each(music: Path) -> None:
    (music / "x.m3u").write_text(
        f"file://{music}/5%2Emp3\nFILE://localhost{music}/a/1.mp3\nfile://nas/1.mp3\n"
        "http://radio.example/a.mp3\n"
    )
    assert found("x.m3u") == [
        f"{music}/5.mp3",
        f"{music}/a/1.mp3",
        "x.m3u: line 3: a file of nas, another machine",
        "x.m3u: line 4: http://radio.example/a.mp3 is an address, and no file; fetch it first",
    ]


def test_a_strangers_playlist_names_no_folders_and_no_other_playlists(music: Path) -> None:
    (music / "x.m3u").write_text("a\nx.m3u\n/\n@x.m3u\n*.mp3\n")
    assert found("x.m3u") == [
        "x.m3u: line 1: a is a folder; a playlist names songs",
        "x.m3u",
        "x.m3u: line 3: / is a folder; a playlist names songs",
        "@x.m3u",
        "*.mp3",
    ]


def test_fifty_thousand_names_are_read_in_order() -> None:
    names = [f"{number}.mp3" for number in range(50_000)]
    listed = collect(["-"], SUFFIXES, stdin=io.BytesIO("\n".join(names).encode()))
    assert listed == [Named(Path(name)) for name in names]


def test_a_pattern_of_an_unknown_user_fits_nothing() -> None:
    (found,) = playlists.collect(["~nobody-of-that-name/*.mp3"], {".mp3"}, stdin=io.BytesIO())
    assert found.problem == "no file fits this pattern"


def test_a_list_of_too_many_lines_is_refused_before_it_is_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playlists, "MAX_NAMES", 10)
    monkeypatch.setattr(playlists, "_lines", None)
    (tmp_path / "list").write_bytes(b"\n" * 11)
    (found,) = playlists.collect([f"@{tmp_path / 'list'}"], {".mp3"}, stdin=io.BytesIO())
    assert found.problem == "11 names, more than 10; cut the list in two"
