import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import av
import mutagen
import pytest
from mutagen.id3 import ID3, TCON, TXXX

from mgr_cli.tags import comments, genres, id3
from mgr_cli.tags.genres import Edit
from mgr_cli.tags.tag import TagError
from tests.tags import songs

NAMES = ("Électro", "Jazz")


def copy(path: Path, folder: Path) -> Path:
    return Path(shutil.copyfile(path, folder / f"song.{path.name.split('.')[-1]}"))


def decoded(path: Path) -> str:
    """Digest the samples."""
    digest = hashlib.sha256()
    with av.open(str(path)) as opened:
        for frame in opened.decode(opened.streams.audio[0]):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()


def played(path: Path) -> str:
    """Return the genre that FFmpeg shows."""
    with av.open(str(path)) as opened:
        said = {**opened.streams.audio[0].metadata, **opened.metadata}
    return {key.lower(): text for key, text in said.items()}["genre"]


def others(path: Path) -> dict[str, object]:
    """Return all that mutagen reads of a tag, but the genre."""
    tags = dict(mutagen.File(path).tags or {})
    return {key: tags[key] for key in tags if key.lower() not in ("tcon", "genre", "\xa9gen")}


@pytest.mark.parametrize("kind", songs.KINDS)
def test_a_genre_is_written_and_nothing_else(originals: Path, tmp_path: Path, kind: str) -> None:
    before = originals / kind
    path = copy(before, tmp_path)
    assert genres.read(path) == ()
    edit = genres.write(path, NAMES)
    assert genres.read(path) == NAMES
    # FFmpeg joins Vorbis comments by ";", and shows the first value of ID3v2.4 and MP4.
    joined = {"flac": "Électro;Jazz", "ogg": "Électro;Jazz", "mp4": "Électro"}
    v24 = kind in ("v24.mp3", "wav", "aiff")
    assert played(path) == joined.get(edit.kind, "Électro" if v24 else "Électro/Jazz")
    assert decoded(path) == decoded(before)
    if kind not in songs.UNTAGGED:
        assert others(path) == others(before) != {}
    assert genres.restore(path, edit) == "restored"
    assert path.read_bytes() == before.read_bytes()
    assert genres.restore(path, edit) == "already"


@pytest.mark.parametrize(
    ("kind", "genre", "shown"),
    [
        ("v23.mp3", ["(17)"], ("Rock",)),
        ("v23.mp3", ["17"], ("Rock",)),
        ("v23.mp3", ["(4)Eurodisco"], ("Disco", "Eurodisco")),
        ("v23.mp3", ["Hip-Hop/Rap"], ("Hip-Hop", "Rap")),
        ("v24.mp3", ["Hip-Hop/Rap", "Pop"], ("Hip-Hop/Rap", "Pop")),
    ],
)
def test_genres_are_read_as_players_show_them(
    originals: Path, tmp_path: Path, kind: str, genre: list[str], shown: tuple[str, ...]
) -> None:
    path = copy(originals / kind, tmp_path)
    version = int(kind[2])
    songs.tag(version, genre).save(path, v2_version=version)
    assert genres.read(path) == shown


def test_what_stands_behind_the_audio_is_shown_and_left(originals: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    sound = (originals / "mp3").read_bytes()
    path.write_bytes(sound + songs.v1(17))
    assert genres.read(path) == ("Rock",)
    songs.ape(path, "Blues")
    assert genres.read(path) == ("Blues",)
    behind = path.read_bytes()[len(sound) :]
    genres.write(path, ["Jazz"])
    assert genres.read(path) == ("Jazz",)
    assert path.read_bytes().endswith(behind)


def test_a_new_tag_beside_id3v1_takes_over_its_texts(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "v1.mp3", tmp_path)
    genres.write(path, ["Jazz"])
    tag = ID3(path, load_v1=False)
    assert tag.version == (2, 3, 0)
    assert (str(tag["TIT2"]), str(tag["TPE1"]), str(tag["TCON"])) == ("Old title", "Artist", "Jazz")


def test_info_of_a_wav_is_shown_and_left(originals: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(songs.info((originals / "wav").read_bytes(), b"Blues\0"))
    assert genres.read(path) == ("Blues",)
    genres.write(path, ["Jazz"])
    data = path.read_bytes()
    assert genres.read(path) == ("Jazz",)
    assert b"IGNR\6\0\0\0Blues\0JUNK" in data
    assert int.from_bytes(data[4:8], "little") == len(data) - 8


@pytest.mark.parametrize("version", [2, 3, 4])
def test_id3_keeps_its_version_and_other_frames_byte_for_byte(
    originals: Path, tmp_path: Path, version: int
) -> None:
    path = tmp_path / "song.mp3"
    before = tmp_path / "before.mp3"
    if version == 2:
        path.write_bytes(songs.oldest(b"(17)") + (originals / "mp3").read_bytes())
    else:
        shutil.copyfile(originals / "mp3", path)
        songs.tag(version, ["Rock"]).save(path, v2_version=version)
    # What mutagen would not write back: a frame that stands twice, one that nobody knows, flags.
    old = path.read_bytes()
    frame = b"XYZ\0\0\1\0" if version == 2 else b"XYZW\0\0\0\1\x40\0\0"
    size = 2 * len(frame)
    length = id3.body_length(old) + size
    sizes = bytes([0, 0, length >> 7, length & 127])
    path.write_bytes(old[:6] + sizes + 2 * frame + old[10:])
    shutil.copyfile(path, before)
    assert genres.read(path) == ("Rock",)
    genres.write(path, NAMES)
    with path.open("rb") as file, before.open("rb") as unwritten:
        now, then = id3.parsed(id3.read(file) or b""), id3.parsed(id3.read(unwritten) or b"")
    assert now.version == then.version == version
    assert now.tail == then.tail
    assert [x for x in now.items if not now.is_genre(x)] == [
        x for x in then.items if not then.is_genre(x)
    ]
    told = [now.is_genre(x) for x in now.items]
    assert told == [then.is_genre(x) for x in then.items]
    assert sum(told) == 1
    (item,) = (item for item in now.items if now.is_genre(item))
    # Latin-1, joined, before v2.4; there UTF-8 and a zero between.
    assert item.endswith(b"\0\xc9lectro/Jazz\0" if version < 4 else b"\3\xc3\x89lectro\0Jazz\0")


def test_what_latin_1_cannot_say_is_utf_16_before_id3v24() -> None:
    (item,) = id3.Frames(version=3).made(["Ελληνικά"])
    assert item[10:] == b"\1" + "Ελληνικά".encode("utf-16") + b"\0\0"


def test_an_unsynchronised_tag_stays_one() -> None:
    tag = id3.Frames(3, 0x80, (b"PRIV\0\0\0\5\0\0\0\xff\xe0\xff\0",), b"\0\0")
    data = tag.render()
    assert data[10:] == b"PRIV\0\0\0\5\0\0\0\xff\0\xe0\xff\0\0\0\0"
    assert id3.parsed(data) == tag


def test_a_frame_of_itunes_with_a_plain_size_in_v24_is_measured() -> None:
    frame = b"APIC" + (200).to_bytes(4, "big") + b"\0\0" + bytes([1]) * 200
    tag = id3.Frames(4, 0, (frame, b"TCON\0\0\0\5\0\0\0Rock"), b"")
    assert id3.parsed(tag.render()) == tag
    assert tag.texts() == ("Rock",)


def test_comments_that_are_no_utf_8_and_of_any_case_are_kept() -> None:
    whole = comments.Comments(b"x\xff", (b"Title=\xfe", b"gEnRe=Rock", b"", b"GENRE=Pop"), b"\1\0")
    assert comments.parsed(whole.render()) == whole
    assert whole.texts() == ("Rock", "Pop")


def test_an_old_number_in_an_mp4_gives_way_to_a_text(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "fast.m4a", tmp_path)
    edit = genres.write(path, ["Xy"])
    number = b"\0\0\0\x1agnre\0\0\0\x12data" + bytes(8) + b"\0\x12"  # of 18: one more than Rock
    assert len(number) == len(edit.new[0][1])
    path.write_bytes(path.read_bytes().replace(edit.new[0][1], number))
    assert genres.read(path) == ("Rock",)
    genres.write(path, ["Jazz"])
    assert genres.read(path) == ("Jazz",)
    assert b"gnre" not in path.read_bytes()


def test_a_long_list_of_comments_goes_over_several_pages(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "ogg", tmp_path)
    opened = mutagen.File(path)
    opened["lyrics"] = ["l" * 65_000]
    opened.save()
    before = decoded(path)
    edit = genres.write(path, ["g" * 900])
    assert genres.read(path) == ("g" * 900,)
    assert decoded(path) == before
    assert genres.restore(path, edit) == "restored"
    assert mutagen.File(path)["lyrics"] == ["l" * 65_000]


def test_an_id3_tag_before_a_flac_is_shown_and_left(originals: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    front = id3.Frames(items=id3.Frames().made(["Rock"])).render()
    path.write_bytes(front + (originals / "flac").read_bytes())
    assert genres.read(path) == ("Rock",)
    genres.write(path, ["Jazz"])
    assert genres.read(path) == ("Jazz",)
    assert path.read_bytes().startswith(front)


def test_a_flac_of_one_block_gets_a_second(originals: Path, tmp_path: Path) -> None:
    whole = (originals / "flac").read_bytes()
    at, kind = 4, 0
    while not kind & 0x80:
        kind, at = whole[at], at + 4 + int.from_bytes(whole[at + 1 : at + 4], "big")
    path = tmp_path / "song.flac"
    bare = b"fLaC\x80" + whole[5 : 8 + 34] + whole[at:]
    path.write_bytes(bare)
    edit = genres.write(path, ["Jazz"])
    assert path.read_bytes()[4] == 0
    assert path.read_bytes()[42] == 0x84
    assert played(path) == "Jazz"
    assert decoded(path) == decoded(originals / "flac")
    assert genres.restore(path, edit) == "restored"
    assert path.read_bytes() == bare


def test_a_genre_that_somebody_changed_is_left(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "v24.mp3", tmp_path)
    edit = genres.write(path, ["Jazz"])
    genres.write(path, ["Pop"])
    assert genres.restore(path, edit) == "changed"
    assert genres.read(path) == ("Pop",)


def test_a_new_tag_that_others_wrote_into_loses_its_genre_only(
    originals: Path, tmp_path: Path
) -> None:
    path = copy(originals / "mp3", tmp_path)
    edit = genres.write(path, ["Jazz"])
    tag = ID3(path)
    tag.add(TXXX(encoding=0, desc="rating", text=["5"]))
    tag.update_to_v23()
    tag.save(path, v2_version=3, v23_sep=None)
    with path.open("rb") as file:
        held = id3.parsed(id3.read(file) or b"")
    now = Edit(
        **{**vars(edit), "new": tuple((n, x) for n, x in enumerate(held.items) if held.is_genre(x))}
    )
    assert genres.restore(path, now) == "restored"
    assert list(ID3(path)) == ["TXXX:rating"]


def test_links_permissions_and_names(originals: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = copy(originals / "flac", tmp_path / "a")
    path.chmod(0o640)
    link = tmp_path / "link.flac"
    link.symlink_to(path)
    other = tmp_path / "other.flac"
    other.hardlink_to(path)
    edit = genres.write(link, ["Jazz"])
    assert link.is_symlink()
    assert genres.read(path) == ("Jazz",)
    assert path.stat().st_mode & 0o777 == 0o640
    assert (edit.path, edit.n_names) == (path.resolve(), 2)
    assert (edit.size, edit.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert genres.read(other) == ()
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["song.flac"]


def test_a_read_only_file_is_refused(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "mp3", tmp_path)
    path.chmod(0o444)
    with pytest.raises(TagError, match=r"song\.mp3: it is read-only"):
        genres.write(path, ["Jazz"])
    assert genres.read(path) == ()


def test_a_file_that_changes_meanwhile_is_left(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy(originals / "mp3", tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: path.write_bytes(b"new"))
    logged: list[Edit] = []
    with pytest.raises(TagError, match="changed while"):
        genres.write(path, ["Jazz"], log=logged.append)
    assert path.read_bytes() == b"new"
    assert logged == []
    assert list(tmp_path.iterdir()) == [path]


def test_the_log_is_told_before_the_file_is_replaced(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "mp3", tmp_path)

    def refuse(edit: Edit) -> None:
        assert edit.new[0][1].endswith(b"Jazz\0") or edit.new[0][1].endswith(b"Jazz")
        raise OSError(28, "No space left on device")

    with pytest.raises(TagError, match="No space left"):
        genres.write(path, ["Jazz"], log=refuse)
    assert path.read_bytes() == (originals / "mp3").read_bytes()


def test_sound_that_would_change_is_noticed(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mgr_cli.tags import mpeg
    from mgr_cli.tags.tag import Patch, spliced

    def damaging(source: object, target: object, patches: Sequence[Patch]) -> None:
        ((start, stop, data),) = patches
        spliced(source, target, [(start, stop + 800, data)])  # type: ignore[arg-type]

    path = copy(originals / "v24.mp3", tmp_path)
    monkeypatch.setattr(mpeg, "spliced", damaging)
    with pytest.raises(TagError, match="audio would have changed"):
        genres.write(path, ["Jazz"])
    assert path.read_bytes() == (originals / "v24.mp3").read_bytes()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no tags can be written to a file of this kind"),
        (b"text" * 1000, "no tags can be written to a file of this kind"),
        (b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(100), "268,435,455 bytes, 67,108,864 are the most"),
        (b"ID3\4\0\0\0\0\x10\0" + bytes(10), "cut off"),
        (b"ID3\5\0\0\0\0\0\0" + bytes(900), "this kind|ID3v2.5"),
        (b"fLaC\x84\xff\xff\xff" + bytes(99), "damaged"),
        (b"OggS" + bytes(99), "its tag is damaged"),
        (b"RIFF\xff\xff\xff\xffWAVE" + bytes(99), "does not tell its length"),
        (b"\0\0\0\x10ftypM4A \0\0\0\0\xff\xff\xff\xffmoov", "cut off"),
    ],
)
def test_a_strange_file_gets_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(data)
    for ask in (genres.read, lambda path: genres.write(path, ["Jazz"])):
        with pytest.raises(TagError, match=said) as caught:
            ask(path)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == data


def test_what_is_put_back_can_only_be_a_genre(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "v23.mp3", tmp_path)
    edit = genres.write(path, ["Jazz"])
    written = path.read_bytes()
    genre = edit.new[0][1]
    title = genre.replace(b"TCON", b"TIT2")
    for old in (((0, title),), ((0, genre + title),), ((0, genre[:-1]),)):
        with pytest.raises(TagError):
            genres.restore(path, Edit(**{**vars(edit), "old": old}))
        assert path.read_bytes() == written


@pytest.mark.parametrize("bad", ["", " Jazz", "Ja\nzz", "(17)", "17", "²", "CR", "RX", "\ud800"])
def test_what_players_would_misread_is_no_genre(bad: str) -> None:
    assert not genres.is_genre(bad)


@pytest.mark.parametrize(
    ("kind", "old"),
    [
        ("flac", ["17"]), ("ogg", ["Rock\tPop", "(x"]), ("opus", ["g" * 1_200]),
        ("m4a", ["(Alt) Rock", "80"]), ("v24.mp3", ["(Alt) Rock"]), ("v23.mp3", ["A\tB"]),
    ],
)  # fmt: skip
def test_odd_genres_of_a_file_stay_before_a_new_one(
    originals: Path, tmp_path: Path, kind: str, old: list[str]
) -> None:
    path = copy(originals / kind, tmp_path)
    opened = mutagen.File(path)
    if kind.endswith("mp3"):
        opened.tags.add(TCON(encoding=3, text=old))
        opened.save(v2_version=int(kind[2]))
    else:
        opened["\xa9gen" if kind == "m4a" else "genre"] = old
        opened.save()
    before = path.read_bytes()
    assert genres.read(path) == tuple(old)
    genres.check(path, [*old, "Jazz"])
    assert path.read_bytes() == before
    edit = genres.write(path, [*old, "Jazz"])
    assert genres.read(path) == (*old, "Jazz")
    assert genres.restore(path, edit) == "restored"
    assert genres.read(path) == tuple(old)


def test_comments_stay_byte_for_byte_before_a_new_one(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "flac", tmp_path)
    data = path.read_bytes()
    at = data.index(b"artist=") - 4
    size = int.from_bytes(data[at : at + 4], "little")
    odd = b"gEnRe=" + b"\xff" * (size - 6)  # in the place of a comment of the same length
    path.write_bytes(data[: at + 4] + odd + data[at + 4 + size :])
    (old,) = genres.read(path)
    edit = genres.write(path, [old, "Jazz"])
    assert [item for _, item in edit.new] == [odd, b"GENRE=Jazz"]
    assert genres.read(path) == (old, "Jazz")


@pytest.mark.parametrize("bad", [["17"], ["Rock", "(x"], ["g" * 1_001], []])
def test_what_is_no_genre_is_refused_for_that_file_alone(
    originals: Path, tmp_path: Path, bad: list[str]
) -> None:
    path = copy(originals / "flac", tmp_path)
    for ask in (genres.check, genres.write):
        with pytest.raises(TagError, match=r"song\.flac: .* cannot be written as genres"):
            ask(path, bad)
    assert genres.read(path) == ()


def test_what_would_be_read_as_something_else_is_refused(originals: Path, tmp_path: Path) -> None:
    path = copy(originals / "v24.mp3", tmp_path)
    songs.tag(4, ["(((17) Rock"]).save(path)
    assert genres.read(path) == ("(17) Rock",)
    with pytest.raises(TagError, match="would be read as"):
        genres.write(path, ["(17) Rock", "Jazz"])


def test_a_pipe_is_not_waited_for(originals: Path, tmp_path: Path) -> None:
    edit = genres.write(copy(originals / "mp3", tmp_path), ["Jazz"])
    pipe = tmp_path / "pipe.mp3"
    os.mkfifo(pipe)
    for ask in (
        genres.read, lambda path: genres.restore(path, edit),
        lambda path: genres.write(path, ["Jazz"]),
    ):  # fmt: skip
        with pytest.raises(TagError, match=r"pipe\.mp3: it is no regular file"):
            ask(pipe)


def test_mutagen_reads_the_same_frame() -> None:
    (item,) = id3.Frames(version=4).made(["A", "B"])
    (frame,) = id3._read(id3.Frames(4, 0, (item,)))
    assert frame == TCON(encoding=3, text=["A", "B"])
