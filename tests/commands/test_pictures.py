from pathlib import Path

import pytest
from PIL import Image

from mgr_cli.commands import pictures
from tests.commands.workspace import run

IDS = ["000002", "000140", "pop/007.mp3", "rock/007.mp3", "jazz.00054", "a-10", "a-010"]


def look(*args: object) -> tuple[int, str]:
    done = run("explain", *args)
    assert done.stdout == ""
    return done.exit_code, done.stderr


@pytest.mark.parametrize("by", ["path", "id"])
def test_song_is_drawn_and_named_after_what_is_seen(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    song = inside / "songs" / "hum" / "0.wav" if by == "path" else "hum/0.wav"
    monkeypatch.chdir(tmp_path)
    views = ("--picture", "waveform", "--picture", "mel", "--picture", "waveform")
    name = "0-waveform-mel.png" if by == "path" else "hum-0-waveform-mel.png"
    said = look(song, *views, "--prepared", inside / "prepared")
    assert said == (0, f"picture: {name}\n")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with Image.open(name) as picture:
        assert picture.size == (1_350, 765)  # 9 by 0.8 + 1.5 + 2.8 inches
        assert len(set(picture.convert("RGB").tobytes())) > 50  # it is not blank


def test_file_is_meant_before_a_track_of_that_name(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hum").mkdir()
    (tmp_path / "hum" / "0.wav").write_bytes((inside / "songs" / "hum" / "1.wav").read_bytes())
    said = look("hum/0.wav", "--picture", "mel", "--prepared", inside / "prepared")
    assert said == (0, "picture: 0-mel.png\n")


def test_all_views_fit_on_one_picture(inside: Path, tmp_path: Path) -> None:
    views = [word for view in ("spectrogram", "mel", "waveform") for word in ("--picture", view)]
    target = tmp_path / "new" / "x.png"
    assert look("hum/1.wav", *views, "--png", target) == (0, f"picture: {target}\n")
    with Image.open(target) as picture:
        assert picture.size == (1_350, 1_185)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("000002", 0), ("2", 0), ("140", 1), ("pop/007.mp3", 2), ("pop/7", 2), ("jazz.54", 4),
        ("a-10", 5), ("a-010", 6),
    ],
)  # fmt: skip
def test_track_is_found_by_its_id_or_without_its_zeros(asked: str, found: int) -> None:
    assert pictures._number(asked, IDS, "songs") == found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("3", "3: no such file, and none of the 7 tracks of songs; its ids are such as 000002"),
        ("14", "14: no such file"),  # zeros behind count
        ("jazz.00055", "none of the 7 tracks of songs; nearest: jazz.00054"),
        ("a-0010", "a-0010: could be any of 2 tracks of songs: a-10, a-010"),
    ],
)
def test_track_that_is_not_there_is_told_what_is(asked: str, said: str) -> None:
    from mgr_cli.errors import DatasetError

    with pytest.raises(DatasetError, match=said):
        pictures._number(asked, IDS, "songs")


def test_names_of_tracks_make_names_of_files() -> None:
    named = ["000002", "pop/007.mp3", "jazz.00054", "../../x.wav", "/a/b"]
    assert [pictures._bare_file(each) for each in named] == [
        "000002", "pop-007", "jazz.00054", "x", "a-b"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("nobody", "--picture", "mel"), "nobody: no such file, and none of the 24 tracks"),
        (("nobody.mp3", "--picture", "mel"), "nobody.mp3: no such file; check the path"),
        (("songs", "--picture", "mel"), "songs: a folder where an audio file was expected"),
        (("hum/0.wav", "--picture", "cat"), "cat"),
        (("hum/0.wav", "--picture", "mel", "--data", "other"), "other: no prepared dataset"),
        (("trained.txt", "--picture", "mel"), "trained.txt: not readable as audio"),
    ],
)
def test_wrong_command_is_one_line_and_no_picture(
    inside: Path, args: tuple[object, ...], word: str
) -> None:
    code, said = look(*args)
    assert code == 2
    assert word in said
    assert len(said.splitlines()) == 1
    assert not list(inside.glob("*.png"))


def test_without_any_dataset_a_name_is_said_to_be_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = look("2", "--picture", "mel", "--prepared", "none")
    assert (code, said.startswith("error: 2: no such file, and no track: none: ")) == (2, True)


def test_song_is_not_overwritten(inside: Path) -> None:
    song = inside / "songs" / "hum" / "0.wav"
    before = song.read_bytes()
    code, said = look(song, "--picture", "waveform", "--png", song)
    assert (code, said) == (2, f"error: --png {song} is the song itself; name another file\n")
    assert song.read_bytes() == before


def test_sound_that_is_gone_leaves_what_was_prepared(inside: Path) -> None:
    song = inside / "songs" / "hiss" / "3.wav"
    away = song.rename(song.with_suffix(".away"))
    try:
        assert look("hiss/3.wav", "--picture", "mel", "--png", inside / "mel.png")[0] == 0
        code, said = look("hiss/3.wav", "--picture", "waveform")
    finally:
        away.rename(song)
        (inside / "mel.png").unlink(missing_ok=True)
    assert code == 2
    assert "songs holds no sound of its tracks to draw waveform of, only log-mel, and " in said
    assert said.endswith("3.wav is gone; only --picture mel can be drawn\n")
