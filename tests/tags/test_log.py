import json
import os
import shutil
from pathlib import Path

import pytest

from mgr_cli.tags import genres, log
from mgr_cli.tags.tag import TagError


def copies(originals: Path, folder: Path, *names: str) -> list[Path]:
    return [Path(shutil.copyfile(originals / "v24.mp3", folder / name)) for name in names]


def written(originals: Path, folder: Path, *names: str) -> tuple[Path, list[Path]]:
    paths = copies(originals, folder, *names)
    with log.Log(folder / "logs", "run", {"entry": "net"}) as kept:
        for path in paths:
            genres.write(path, ["Jazz"], log=kept)
    assert kept.path is not None
    return kept.path, paths


def test_a_log_undoes_what_it_tells_and_twice_does_no_harm(originals: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"o\xff\n'\xf0\x9f\x8e\xb8.mp3")
    path, paths = written(originals, tmp_path, "a.mp3", odd)
    assert json.loads(path.read_text().splitlines()[0]) == {"mgr tags": 1, "entry": "net"}
    for status in ("restored", "already"):
        assert [each.status for each in log.undo(path)] == [status, status]
        for each in paths:
            assert each.read_bytes() == (originals / "v24.mp3").read_bytes()


def test_a_file_that_was_written_twice_is_undone_backwards(originals: Path, tmp_path: Path) -> None:
    (path,) = copies(originals, tmp_path, "a.mp3")
    with log.Log(tmp_path, "run", {}) as kept:
        for genre in ("Jazz", "Rock"):
            genres.write(path, [genre], log=kept)
    assert kept.path is not None
    assert [each.status for each in log.undo(kept.path)] == ["restored", "restored"]
    assert genres.read(path) == ()


def test_a_crash_between_log_and_move_is_harmless(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = copies(originals, tmp_path, "a.mp3")
    kept = log.Log(tmp_path / "logs", "run", {})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with kept, pytest.raises(KeyboardInterrupt):
            genres.write(path, ["Jazz"], log=kept)
    assert kept.path is not None
    assert len(kept.path.read_bytes().splitlines()) == 2
    assert {each.name for each in tmp_path.iterdir()} == {"a.mp3", "logs"}
    assert [each.status for each in log.undo(kept.path)] == ["already"]


def test_a_line_is_on_the_disk_before_the_file_is_moved(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = copies(originals, tmp_path, "a.mp3")
    done: list[str] = []
    move = Path.replace
    monkeypatch.setattr(os, "fsync", lambda _: done.append("sync"))
    monkeypatch.setattr(
        Path, "replace", lambda *a: done.append("move") if a[0].suffix == ".part" else move(*a)
    )
    with log.Log(tmp_path / "logs", "run", {}) as kept:
        genres.write(path, ["Jazz"], log=kept)
    # The new file, the header, the folder of the log, the line.
    assert done == ["sync"] * 4 + ["move"]


def test_two_runs_of_one_second_have_two_logs(originals: Path, tmp_path: Path) -> None:
    paths = [written(originals, tmp_path, "a.mp3")[0] for _ in range(2)]
    assert [path.name for path in paths] == ["run.jsonl", "run-2.jsonl"]


def test_a_run_that_writes_nothing_leaves_no_log(tmp_path: Path) -> None:
    with log.Log(tmp_path / "logs", "run", {}) as kept:
        pass
    assert kept.path is None
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"path": "a.mp3"}, {"path": 3}, {"path": "/a\0b"}, {"path": "/\ud800"}, {"old": [[0, "!"]]},
        {"old": [[-1, ""]]}, {"old": [["0", ""]]}, {"old": [[0.5, ""]]}, {"old": [[True, ""]]},
        {"new": []}, {"new": 5}, {"had_tag": 1},
        {"size": "1"}, {"kind": None}, {"path": None},
    ],
)  # fmt: skip
def test_a_line_that_is_no_edit_is_refused_and_the_others_are_done(
    originals: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    path, (song,) = written(originals, tmp_path, "a.mp3")
    line = json.loads(path.read_text().splitlines()[1])
    with path.open("a") as file:
        file.write(json.dumps({**line, **change}) + "\n[]\nnonsense\n" + "[" * 100_000 + "\n")
        file.write('{"cut o')
    found = list(log.undo(path))
    assert [each.status for each in found] == ["error"] * 4 + ["restored"]
    assert found[3].error == f"{path}: line 3 is no written tag"
    assert song.read_bytes() == (originals / "v24.mp3").read_bytes()


def test_a_song_that_is_gone_gets_one_line(originals: Path, tmp_path: Path) -> None:
    path, (song,) = written(originals, tmp_path, "a.mp3")
    song.unlink()
    (found,) = log.undo(path)
    assert found.status == "error"
    assert "No such file" in found.error


@pytest.mark.parametrize(
    "text", ["", "{}\n", "nonsense\n", '{"mgr tags": 2}\n', "[" * 99_999 + "\n"]
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(TagError, match=r"no log|format 2"):
        list(log.undo(path))
    with pytest.raises(TagError, match="cannot be read"):
        list(log.undo(tmp_path / "none"))


def test_a_pipe_or_a_device_is_no_log(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(TagError, match="no log of written tags; it is no regular file"):
            list(log.undo(path))


def test_no_more_is_read_than_a_log_may_have(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = written(originals, tmp_path, "a.mp3")
    monkeypatch.setattr(log, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(TagError, match="larger than"):
        list(log.undo(path))


def test_a_log_that_cannot_be_written_is_not_blamed_on_the_song(
    originals: Path, tmp_path: Path
) -> None:
    (path,) = copies(originals, tmp_path, "a.mp3")
    (tmp_path / "file").write_text("")
    with pytest.raises(log.LogError, match=r"^the log in .*/file/tags cannot be written \(Not a"):
        genres.write(path, ["Jazz"], log=log.Log(tmp_path / "file" / "tags", "run", {}))
    assert genres.read(path) == ()


def test_a_log_without_its_first_line_is_taken_away(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = copies(originals, tmp_path, "a.mp3")
    kept = log.Log(tmp_path / "logs", "run", {})
    with monkeypatch.context() as patched:
        patched.setattr(log, "_sync_folder", full)
        with pytest.raises(log.LogError, match="No space left"):
            genres.write(path, ["Jazz"], log=kept)
    assert kept.path is None
    assert list((tmp_path / "logs").iterdir()) == []


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")
