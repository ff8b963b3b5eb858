import json
import shutil
from pathlib import Path

import pytest
import soundfile

from mgr_cli.data import synthetic
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
    assert "4 tracks leak" in result.stderr
    result = run("prepare", pictures, "--prepared", tmp_path / "out", "--split", "random")
    assert "leak" not in result.stderr


def test_repeats_are_counted_after_reading_and_named_if_asked(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    louder, rate = soundfile.read(songs / "hum" / "0.wav")
    soundfile.write(songs / "hum" / "copy.wav", 0.5 * louder, rate)
    args = ("prepare", songs, "--prepared", tmp_path / "out", "--jobs", 1)
    first = run(*args)
    assert "hum/copy.wav" not in first.stdout
    assert "1 repeats, " in first.stderr
    table = (tmp_path / "out/songs/audit.csv").read_text()
    assert "near-equal audio" in table
    assert "hum/copy.wav" in table
    assert "repeats" not in run(*args).stderr  # nothing was read
    assert "near-equal audio" in run(*args, "--audit").stdout
    assert "repeats" not in run(*args, "--n-mels", 64, "--no-audit").stderr


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


def made(root: Path, *args: object) -> dict[str, object]:
    result = run("prepare", *args, "--prepared", root / "out", "--name", "set", "--jobs", 1)
    assert result.exit_code == 0, result.stderr
    description: dict[str, object] = json.loads((root / "out/set/dataset.json").read_text())
    return description


def test_all_kinds_of_features_are_made_in_one_run(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    plan = made(tmp_path, songs, "--features", "handcrafted,log-mel,waveform")["plan"]
    assert isinstance(plan, dict)
    assert plan["kinds"] == ["log-mel", "waveform", "handcrafted"]
    assert {path.name for path in (tmp_path / "out/set").iterdir() if path.is_dir()} == {
        "log-mel", "waveform", "handcrafted"
    }  # fmt: skip


def test_preset_and_what_changes_it_reach_the_dataset(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    plan = made(tmp_path, songs, "--preset", "seed-003", "--n-mels", 64, "--min-seconds", 1)["plan"]
    assert isinstance(plan, dict)
    spec = plan["spec"]
    assert (spec["sample_rate"], spec["n_fft"], spec["hop_length"]) == (44_100, 4_096, 1_024)
    assert (spec["n_mels"], plan["min_seconds"]) == (64, 1.0)


def test_ratios_and_folds_deal_the_tracks_out(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    assert made(tmp_path, songs, "--ratios", "5:2:1")["counts"] == {
        "train": 15, "valid": 6, "test": 3
    }  # fmt: skip
    assert made(tmp_path, songs, "--folds", 4)["counts"] == {"train": 12, "valid": 6, "test": 6}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--ratios", "7:2"), "expected three numbers, as 7:2:1"),
        (("--ratios", "a:b:c"), "expected three numbers, as 7:2:1"),
        (("--ratios", "0:1:1"), "some to train on"),
        (("--ratios", "nan:1:1"), "some to train on"),
        (("--folds", "2"), "--folds wants 3 at least"),
        (("--folds", "5", "--ratios", "7:2:1"), "no --ratios beside it"),
        (("--features", "log-mel,cqt"), "unknown features 'cqt'; known: log-mel"),
        (("--preset", "seed-9"), "unknown preset 'seed-9'; known: gtzan-pictures"),
        (("--n-fft", "1"), "n_fft is 1, outside 16 to 65536"),
        (("--min-seconds", "9", "--max-seconds", "3"), "tracks of 9.0 to 3.0 s are asked for"),
        (("--engine", "dask"), "no dask cluster answers"),
        (("--layout", "images"), "no tracks.csv and no picture in a folder of it"),
    ],
)
def test_wish_that_cannot_be_granted_is_one_line(
    tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    (tmp_path / "songs" / "rock").mkdir(parents=True)
    (tmp_path / "songs" / "rock" / "a.mp3").touch()
    result = run("prepare", tmp_path / "songs", *args, "--prepared", tmp_path / "out")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr


def test_summary_says_how_long_the_tracks_are_and_what_they_are(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    shown = run("prepare", songs, "--prepared", tmp_path / "out", "--jobs", 1).stdout
    assert "length: 4.0 to 4.0 s, median 4.0 s, 0.03 h in all" in shown
    assert "22050 Hz × 24; WAV PCM_16 × 24" in shown


def test_equal_features_are_told_without_being_asked_for(tmp_path: Path) -> None:
    lines = [f"{n},{'ab'[n % 2]},{0.5 * n},{n * n}" for n in range(40)]
    lines += [f"{40 + n},{'ab'[n % 2]},{0.5 * n},{n * n}" for n in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["track_id,genre,x,y", *lines]) + "\n")
    args = ("prepare", tmp_path / "t.csv", "--prepared", tmp_path / "out")
    assert "tracks leak)" in run(*args).stderr
    assert "equal features: 0 (" in run(*args, "--audit").stdout


def test_report_is_a_page_with_pictures_of_the_tracks(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    report = tmp_path / "pages" / "report.html"
    made(tmp_path, songs, "--report", report)
    page = report.read_text()
    assert page.count("<img") == 2 + 3 * 2  # genres and lengths; two tracks of each genre
    assert "hum/0.wav" in page
    assert "http:" not in page.replace("http-equiv", "")


def test_demo_is_composed_prepared_and_called_synthetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(synthetic, "TRACKS_OF_A_STYLE", 3)
    monkeypatch.setattr(synthetic, "SECONDS", 1.5)
    result = run("prepare", "demo", "--jobs", 1)
    assert result.exit_code == 0, result.stderr
    assert "this is synthetic music" in result.stderr
    description = json.loads((tmp_path / "prepared/demo/dataset.json").read_text())
    assert description["layout"] == "demo"
    assert len(description["genres"]) == 6
    assert all(genre.startswith("synthetic ") for genre in description["genres"])
    assert (tmp_path / "demo" / "SYNTHETIC.txt").exists()
    again = run("prepare", "demo", "--jobs", 1)
    assert "18 tracks were prepared already" in again.stderr
    assert "composing" not in again.stderr
