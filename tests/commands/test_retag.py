import csv
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mgr_cli.commands import retag
from mgr_cli.config import TagMode
from mgr_cli.records import Record, failed
from mgr_cli.tags import genres, log
from mgr_cli.tags.tag import TagError
from tests import audio_files
from tests.tags import songs

CLASSES = ("hiphop", "rock")


@pytest.fixture(scope="session")
def untagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("untagged") / "song.mp3"
    return audio_files.write(path, audio_files.tones(0.3, songs.RATE), songs.RATE, format="MP3")


@pytest.fixture
def music(untagged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make two songs without a genre, one of Rock, and one that is none; logs go beside them."""
    monkeypatch.setenv("MGR_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(os, "fsync", lambda _: None)
    folder = tmp_path / "music"
    folder.mkdir()
    for name in ("a.mp3", "b.mp3", "rock.mp3"):
        shutil.copyfile(untagged, folder / name)
    genres.write(folder / "rock.mp3", ["Rock"])
    (folder / "none.mp3").write_bytes(b"none")
    return folder


def said(path: Path, confidence: float = 0.9) -> Record:
    return Record(str(path), answer="hiphop", genre="hiphop", confidence=confidence)


def retagger(*, mode: TagMode = "fill", dry_run: bool = False) -> retag.Retagger:
    return retag.Retagger(
        mode=mode, names=None, min_confidence=None, dry_run=dry_run, classes=CLASSES, entry="net"
    )


def test_a_run_writes_says_so_and_is_undone(music: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in music.iterdir()}
    write = retagger()
    for name in ("a.mp3", "rock.mp3", "none.mp3"):
        write(said(music / name))
    write(replace(said(music / "b.mp3"), answer="unsure"))
    write(failed("gone.mp3", "said by others"))
    assert write.finish()
    out, err = capfd.readouterr()
    (log,) = (music.parent / "state" / "tags").iterdir()
    assert out == ""
    assert err.splitlines() == [
        f"error: {music / 'none.mp3'}: no tags can be written to a file of this kind",
        "tags: 1 written, 1 had a genre, 1 unsure, 1 failed",
        f"log: {log}",
        f"to undo: mgr predict --undo {log}",
    ]
    assert genres.read(music / "a.mp3") == ("Hip-Hop",)
    assert not retag.undo(log)
    assert capfd.readouterr() == ("", "tags: 1 restored\n")
    assert not retag.undo(log)
    assert capfd.readouterr() == ("", "tags: 1 as they were\n")
    assert {path.name: path.read_bytes() for path in music.iterdir()} == before


def test_undo_leaves_what_somebody_changed(music: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write = retagger()
    write(said(music / "a.mp3"))
    assert not write.finish()
    genres.write(music / "a.mp3", ["Polka"])
    capfd.readouterr()
    (log,) = (music.parent / "state" / "tags").iterdir()
    assert not retag.undo(log)
    assert capfd.readouterr().err == (
        f"{music / 'a.mp3'}: changed since, and left as it is\ntags: 1 changed since\n"
    )
    assert genres.read(music / "a.mp3") == ("Polka",)


def test_a_dry_run_shows_old_and_new_and_writes_nothing(
    music: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = music / "o\n\x1b.mp3"
    shutil.copyfile(music / "a.mp3", odd)
    before = {path.name: path.read_bytes() for path in music.iterdir()}
    show = retagger(mode="append", dry_run=True)
    for name in ("a.mp3", "rock.mp3", odd.name):
        show(said(music / name))
    assert not show.finish()
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        f"{music}/a.mp3: – → Hip-Hop  (90.0 %)",
        f"{music}/rock.mp3: Rock → Rock; Hip-Hop  (90.0 %)",
        f"{music}/o\\n\\x1b.mp3: – → Hip-Hop  (90.0 %)",
    ]
    assert err == "tags: 3 would be written\n"
    assert {path.name: path.read_bytes() for path in music.iterdir()} == before
    assert not (music.parent / "state").exists()


def test_other_names_of_a_file_are_counted(music: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (music.parent / "other.mp3").hardlink_to(music / "a.mp3")
    write = retagger()
    write(said(music / "a.mp3"))
    write.finish()
    assert "1 of them had other names (hard links), which keep" in capfd.readouterr().err


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_an_audit_lists_what_disagrees(
    music: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    audit = retag.Audit(names=None, classes=CLASSES)
    shutil.copyfile(music / "rock.mp3", music / "more.mp3")
    audit(said(music / "rock.mp3", 0.7))
    audit(said(music / "more.mp3", 0.8))
    audit(said(music / "a.mp3"))
    audit(replace(said(music / "rock.mp3"), answer="rock", genre="rock"))
    audit(replace(said(music / "rock.mp3"), answer="unsure"))
    assert not audit.finish(json=form == "json", csv=form == "csv")
    out, err = capfd.readouterr()
    assert err == "tags: 1 agree, 2 disagree, 1 without a genre, 1 unsure\n"
    paths = [str(music / name) for name in ("more.mp3", "rock.mp3")]
    if form == "json":
        assert [json.loads(line) for line in out.splitlines()] == [
            {"path": path, "tag": ["Rock"], "answer": "hiphop", "confidence": p}
            for path, p in zip(paths, (0.8, 0.7), strict=True)
        ]
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [(row["path"], row["tag"], row["confidence"]) for row in rows] == [
            (paths[0], "Rock", "0.8"), (paths[1], "Rock", "0.7"),
        ]  # fmt: skip
    else:
        lines = out.splitlines()
        assert [line.split()[-1] for line in lines[2:]] == paths
        assert lines[2].startswith("80.0 %")


def test_an_audit_says_which_tags_cannot_be_read(
    music: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    audit = retag.Audit(names=None, classes=CLASSES)
    audit(said(music / "none.mp3"))
    assert audit.finish()
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("of this kind\ntags: 1 failed\n")


def test_names_that_cannot_be_used_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "names.yaml"
    path.write_text("polka: Polka\n")
    with pytest.raises(TagError, match="no genre 'polka'"):
        retag.Audit(names=path, classes=CLASSES)


def test_a_class_that_is_no_genre_ends_the_run_before_it_begins() -> None:
    with pytest.raises(TagError, match="--genre-names"):
        retag.Retagger(
            mode="fill", names=None, min_confidence=None, dry_run=True, classes=["80"], entry="net"
        )
    retag.Audit(names=None, classes=["80"])


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_fails_where_a_run_does(
    music: Path, capfd: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    (music / "a.mp3").chmod(0o444)
    write = retagger(dry_run=dry_run)
    write(said(music / "a.mp3"))
    assert write.finish()
    assert "it is read-only" in capfd.readouterr().err


def test_a_log_that_cannot_be_written_ends_the_run(
    music: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MGR_STATE", str(music / "rock.mp3"))
    write = retagger()
    with pytest.raises(log.LogError, match="nothing more is written; set MGR_STATE to another"):
        write(said(music / "a.mp3"))
    assert capfd.readouterr().err == "tags: 0 written\n"
    assert genres.read(music / "a.mp3") == ()


def test_a_full_disk_ends_the_run_and_says_how_to_undo_it(
    music: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write = retagger()
    write(said(music / "a.mp3"))
    assert write._log is not None
    assert write._log._file is not None
    opened = write._log._file
    write._log._file = Full()
    with pytest.raises(log.LogError, match="No space left"):
        write(said(music / "b.mp3"))
    opened.close()
    (kept,) = (music.parent / "state" / "tags").iterdir()
    err = capfd.readouterr().err
    assert err == f"tags: 1 written\nlog: {kept}\nto undo: mgr predict --undo {kept}\n"
    assert not retag.undo(kept)
    assert genres.read(music / "a.mp3") == ()


class Full(io.StringIO):
    """A file on a full disk."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        self.flush()
