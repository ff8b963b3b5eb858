import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgr_cli import encoding
from mgr_cli.forms import FORMS
from tests import tiny
from tests.audio_files import tones, write
from tests.commands.workspace import run

WIDE = {"COLUMNS": "160"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the entry zoo/tiny, and two songs whose genres are known."""
    root = tmp_path_factory.mktemp("robust")
    tiny.entry(root / "zoo")
    rng = np.random.default_rng(0)
    for genre, n_channels in (("Blues", 1), ("Rock", 2)):
        (root / "songs" / genre).mkdir(parents=True)
        samples = tones(2.0, tiny.SPEC.sample_rate, n_channels=n_channels)
        samples += rng.normal(0, 0.1, samples.shape).astype(np.float32)
        write(root / "songs" / genre / "a.wav", samples, tiny.SPEC.sample_rate)
    return root


def judged(place: Path, *args: object) -> dict[str, Any]:
    done = run("eval", "--model", place / "zoo" / "tiny", "--robust", *args, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def found(place: Path) -> dict[str, Any]:
    return judged(place, place / "songs")


def test_json_has_a_row_a_form_and_what_each_track_was_called(
    found: dict[str, Any], place: Path
) -> None:
    assert list(found) == ["model", "vote", "n_tracks", "forms", "tracks"]
    assert (found["model"], found["vote"], found["n_tracks"]) == ("tiny", "mean", 2)
    rows, tracks = found["forms"], found["tracks"]
    assert [row["form"] for row in rows] == [form.name for form in FORMS]
    assert [track["truth"] for track in tracks] == ["blues", "rock"]
    for row in rows:  # the rows are what the tracks add up to
        of = [each for each in tracks if row["form"] in each["forms"]]
        same = [each["genre"] == each["forms"][row["form"]]["genre"] for each in of]
        assert (row["n_tracks"], row["n_same"]) == (len(of), sum(same))
        if of:
            assert row["agreement"] == sum(same) / len(of)
            assert row["interval"][0] <= row["agreement"] <= row["interval"][1]
        else:
            assert row["agreement"] is row["interval"] is row["mean_distance"] is None


def test_level_and_channels_are_nothing_to_log_mels_below_the_loudest(
    found: dict[str, Any],
) -> None:
    rows = {row["form"]: row for row in found["forms"]}
    # Levels refer to the loudest, and channels are averaged; a float rounds in the 7th place.
    for form in ("+12 dB", "-12 dB", "mono", "stereo"):
        assert rows[form]["largest_distance"] < 1e-5, form
        assert rows[form]["agreement"] == 1
    assert [rows[form]["n_tracks"] for form in ("mono", "stereo")] == [1, 1]
    assert rows["mp3, 64 kbit/s"]["largest_distance"] > 1e-5


def test_table_has_the_same_figures_and_says_what_they_are(
    found: dict[str, Any], place: Path
) -> None:
    done = run("eval", "-m", place / "zoo" / "tiny", "--robust", place / "songs", env=WIDE)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "tiny: 2 tracks in other forms (mean vote)"
    for row, line in zip(found["forms"], lines[2:], strict=False):
        assert line.startswith(row["form"])
        if row["n_tracks"]:
            assert f"{100 * row['agreement']:.1f} % [" in line
            assert f"{row['largest_distance']:.3f}" in line
        else:
            assert line.split()[-1] == "-"
    assert "2 tracks whose folder is called as a genre" in lines[-1]


def test_one_song_whose_truth_nobody_knows_has_no_column_of_it(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes((place / "songs" / "Blues" / "a.wav").read_bytes())
    done = run("eval", "-m", place / "zoo" / "tiny", "--robust", path, env=WIDE)
    assert done.stdout.startswith("tiny: 1 track in other forms")
    assert "right" not in done.stdout


def test_a_bad_file_is_one_line_and_the_rest_is_judged(place: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes((place / "songs" / "Blues" / "a.wav").read_bytes())
    (tmp_path / "b.wav").write_bytes(b"nothing")
    done = run("eval", "-m", place / "zoo" / "tiny", "--robust", tmp_path, env=WIDE)
    assert done.exit_code == 1
    assert "1 track in other forms" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'b.wav'}: not readable as audio")


def test_a_song_that_is_not_there_is_one_line(place: Path) -> None:
    done = run("eval", "-m", place / "zoo" / "tiny", "--robust", "nowhere.wav")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == ["error: nowhere.wav: no such file; check the path"]


def test_a_folder_without_audio_is_one_line(place: Path, tmp_path: Path) -> None:
    done = run("eval", "-m", place / "zoo" / "tiny", "--robust", tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [f"error: {tmp_path}: no audio files in this folder"]


def test_an_encoder_that_is_missing_costs_a_line_and_not_the_run(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(encoding._FFMPEG, "aac", ("libnothing", "ipod"))
    done = run("eval", "-m", place / "zoo" / "tiny", "--robust", place / "songs" / "Rock", env=WIDE)
    assert done.exit_code == 0
    said = [line for line in done.stdout.splitlines() if line.startswith("m4a")]
    assert said[0].split()[-1] == "-"
    assert "1 could not be judged" in said[1]
    assert "no encoder for aac" in said[1]


@pytest.mark.parametrize(
    ("more", "what"),
    [(["--data", "x"], "--data"), (["other"], "the entry"), (["--record"], "--record"),
     (["--compare", "x"], "--compare"), (["--seed", "3"], "--seed"), (["--errors"], "--errors")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_of_a_dataset_is_refused(more: list[str], what: str, place: Path) -> None:
    done = run("eval", "--robust", place / "songs", *more)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"leave out {what}" in done.stderr
