import json
import shutil
from pathlib import Path

from tests.commands.workspace import run, write_songs
from tests.data.pictures import write_set


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
    assert "fma, gtzan, images, table, folder" in result.stderr


def test_audit_names_copies_and_writes_them_down(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    shutil.copy(songs / "hum" / "0.wav", songs / "hiss" / "copy.wav")
    args = ("prepare", songs, "--prepared", tmp_path / "out", "--jobs", 1)
    result = run(*args, "--audit")
    assert result.exit_code == 0
    found = [line for line in result.stdout.splitlines() if line.startswith("bytes: ")]
    assert len(found) == 1
    assert "hiss/copy.wav" in found[0]
    assert "hum/0.wav" in found[0]
    assert "conflict" in found[0]
    table = (tmp_path / "out/songs/audit.csv").read_text().splitlines()
    assert len([line for line in table if ",bytes," in line]) == 2


def test_leak_is_told_without_being_asked_for(tmp_path: Path) -> None:
    pictures = write_set(tmp_path / "raw", n_tracks=4)
    lines = (pictures / "tracks.csv").read_text().splitlines()
    lines[1:] = [f"{line},the same" for line in lines[1:]]
    (pictures / "tracks.csv").write_text("\n".join([lines[0] + ",artist", *lines[1:]]))
    result = run("prepare", pictures, "--prepared", tmp_path / "out", "--jobs", 1)
    assert "tracks leak across the splits" in result.stderr
    result = run("prepare", pictures, "--prepared", tmp_path / "out", "--split", "random")
    assert "leak" not in result.stderr


def test_random_split_of_gtzan_is_warned_of(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    for number in range(3):
        target = tmp_path / "gtzan" / "genres" / "pop" / f"pop.0000{number}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(songs / "hum" / f"{number}.wav", target)
    args = ("prepare", tmp_path / "gtzan", "--prepared", tmp_path / "out", "--split", "random")
    assert "10 to 20 points too high" in run(*args).stderr


def test_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    (tmp_path / "file").touch()
    result = run("prepare", songs, "--prepared", tmp_path / "file", "--jobs", 1)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "File exists" in result.stderr
