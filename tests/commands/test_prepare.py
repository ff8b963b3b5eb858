import json
from pathlib import Path

from tests.commands.workspace import run, write_songs


def test_newcomer_is_told_what_a_dataset_looks_like(tmp_path: Path) -> None:
    result = run("prepare", tmp_path, "--prepared", tmp_path / "out")
    assert result.exit_code == 2
    assert "one folder a genre" in result.stderr
    assert not (tmp_path / "out").exists()


def test_bad_track_is_named_and_fails_only_when_strict(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    (songs / "hum" / "broken.mp3").write_bytes(b"nothing that plays")
    args = ("prepare", songs, "--prepared", tmp_path / "out", "--jobs", 1)
    result = run(*args)
    assert result.exit_code == 0
    assert "hum/broken.mp3" in result.stderr
    assert run(*args, "--strict").exit_code == 1
    description = json.loads((tmp_path / "out/songs/dataset.json").read_text())
    assert sum(description["counts"].values()) == 24
    assert "broken.mp3" in (tmp_path / "out/songs/tracks.csv").read_text()


def test_second_run_reuses_the_first(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    args = ("prepare", songs, "--prepared", tmp_path / "out", "--jobs", 1)
    run(*args)
    assert "24 tracks were prepared already" in run(*args).stderr


def test_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    result = run("prepare", tmp_path, "--layout", "tree")
    assert result.exit_code == 2
    assert "fma, gtzan, images, folder" in result.stderr
