import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mgr_cli.demo import DEMO
from tests.audio_files import encode, tones
from tests.commands.workspace import GENRES, SAMPLE_RATE, run


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_every_sound_is_called_by_its_name(inside: Path) -> None:
    result = run("predict", "--json", "songs")
    assert result.exit_code == 0
    records = [json.loads(line) for line in lines(result.stdout)]
    assert len(records) == 24
    right = [Path(record["path"]).parent.name == record["genre"] for record in records]
    assert np.mean(right) >= 0.9


def test_json_holds_what_the_readme_says(inside: Path) -> None:
    record = json.loads(run("predict", "--json", "songs/hum/0.wav").stdout)
    assert record["status"] == "ok"
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert set(record["probabilities"]) == set(GENRES)
    assert record["confidence"] == max(record["probabilities"].values())
    assert (record["seconds"], record["padded"], record["model"]) == (4.0, False, "sounds")
    assert record["segments"][0]["start"] == 0.0
    assert record["decoder"].startswith("libsndfile")
    fields = {
        "path", "status", "genre", "confidence", "probabilities", "vote", "seconds", "padded",
        "segments", "model", "decoder",
    }  # fmt: skip
    assert set(record) == fields
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert all(f"`{field}`" in readme for field in fields)


def test_csv_can_be_read_back(inside: Path) -> None:
    result = run("predict", "--csv", "songs/hum", "songs/hiss/3.wav")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert len(rows) == 9
    for row in rows:
        probs = {genre: float(row[genre]) for genre in GENRES}
        assert max(probs, key=lambda genre: probs[genre]) == row["genre"]


def test_terminal_shows_bars_and_timeline(inside: Path) -> None:
    shown = run("predict", "songs/hum/0.wav").stdout
    assert "hum" in shown
    assert "█" in shown
    assert "0:00.0" in shown


def test_several_files_get_a_line_each(inside: Path) -> None:
    shown = lines(run("predict", "songs/hum").stdout)
    assert len(shown) == 8
    assert shown[0].split()[0] in GENRES
    assert shown[0].endswith("songs/hum/0.wav")


@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [("m4a", "aac", "ipod"), ("opus", "libopus", "ogg"), ("wma", "wmav2", "asf")],
)
def test_other_containers_are_read(
    inside: Path, tmp_path: Path, suffix: str, codec: str, container: str
) -> None:
    path = encode(
        tmp_path / f"a.{suffix}", tones(4, 48_000), 48_000, codec=codec, container=container
    )
    assert run("predict", "--json", path).exit_code == 0


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats_of_libsndfile_agree(inside: Path, tmp_path: Path, suffix: str) -> None:
    wave, rate = soundfile.read(inside / "songs/hum/0.wav")
    soundfile.write(tmp_path / f"a.{suffix}", wave, rate)
    path = tmp_path / f"a.{suffix}"
    assert json.loads(run("predict", "--json", path).stdout)["genre"] == "hum"


def test_bad_files_cost_a_line_each_and_the_others_are_predicted(
    inside: Path, tmp_path: Path
) -> None:
    good = tones(4, SAMPLE_RATE, n_channels=1)
    holed = good.copy()
    holed[100] = np.nan
    soundfile.write(tmp_path / "good.wav", good, SAMPLE_RATE)
    soundfile.write(tmp_path / "nan.wav", holed, SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "silent.wav", 0 * good, SAMPLE_RATE)
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "text.mp3").write_text("not audio\n" * 500)
    whole = (tmp_path / "good.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "nothing").mkdir()
    result = run("predict", "--json", tmp_path, tmp_path / "nothing", tmp_path / "missing.mp3")
    assert result.exit_code == 1
    records = {
        Path(record["path"]).name: record for record in map(json.loads, lines(result.stdout))
    }
    assert [name for name, record in records.items() if record["status"] == "ok"] == ["good.wav"]
    failed = {"nan.wav", "silent.wav", "empty.mp3", "text.mp3", "cut.wav", "nothing", "missing.mp3"}
    assert {name for name, record in records.items() if record["status"] == "error"} == failed
    assert len(lines(result.stderr)) == len(failed)
    assert all(line.startswith("error: ") for line in lines(result.stderr))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name", [b"a\nb.wav", b"caf\xe9.wav", "♪ 'x' \"y\".wav".encode(), b"-x.wav"]
)
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_strange_names_are_predicted(
    inside: Path, tmp_path: Path, name: bytes, form: list[str]
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes((inside / "songs/hum/0.wav").read_bytes())
    result = run("predict", *form, path)
    assert result.exit_code == 0
    if form == ["--json"]:
        assert json.loads(result.stdout)["path"] == str(path)


def test_padded_track_is_flagged(inside: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", tones(1, SAMPLE_RATE), SAMPLE_RATE)
    assert json.loads(run("predict", "--json", tmp_path / "short.wav").stdout)["padded"] is True
    assert "padded" in run("predict", tmp_path / "short.wav").stderr


@pytest.mark.parametrize("rule", ["mean", "majority", "product"])
def test_vote_is_the_one_asked_for(inside: Path, rule: str) -> None:
    record = json.loads(run("predict", "--json", "--vote", rule, "songs/hum/0.wav").stdout)
    assert record["vote"] == rule


def test_two_formats_at_once_are_a_wrong_command(inside: Path) -> None:
    result = run("predict", "--json", "--csv", "songs")
    assert result.exit_code == 2
    assert len(lines(result.stderr)) == 1


def test_gpu_that_is_not_there_is_one_line(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = run("predict", "--device", "cuda", "songs/hum/0.wav")
    assert result.exit_code == 2
    assert "no GPU" in result.stderr


def test_unknown_entry_is_a_wrong_command_that_offers_close_names(inside: Path) -> None:
    result = run("predict", "--model", "soundz", "songs")
    assert result.exit_code == 2
    assert "sounds" in result.stderr
    assert len(lines(result.stderr)) == 1


def test_damaged_entry_is_refused_before_any_file_is_read(inside: Path, tmp_path: Path) -> None:
    entry = tmp_path / "sounds"
    entry.mkdir()
    for file in (inside / "zoo/sounds").iterdir():
        (entry / file.name).write_bytes(file.read_bytes())
    weights = bytearray((entry / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (entry / "model.safetensors").write_bytes(weights)
    result = run("predict", "--zoo", tmp_path, "--model", "sounds", "songs/hum/0.wav")
    assert result.exit_code == 2
    assert "digest" in result.stderr
    assert not result.stdout
    card = json.loads((entry / "card.json").read_text())
    (entry / "card.json").write_text(json.dumps(card | {"surprise": 1}))
    result = run("predict", "--zoo", tmp_path, "--model", "sounds", "songs/hum/0.wav")
    assert result.exit_code == 2
    assert "surprise" in result.stderr


def test_shipped_entry_is_the_default_and_knows_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MGR_ZOO", str(tmp_path / "none"))
    record = json.loads(run("predict", "--json", DEMO).stdout)
    default = Path(__file__).parents[2] / "zoo" / "default.txt"
    assert record["model"] == default.read_text().strip()
    assert record["genre"] == "disco"  # what it was composed as
