import csv
import json
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from mgr_cli.commands.app import app
from mgr_cli.demo import DEMO
from mgr_cli.errors import MgrError
from tests.audio_files import encode, tones
from tests.commands.workspace import GENRES, SAMPLE_RATE, run


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that runs keep their state in."""
    monkeypatch.setenv("MGR_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_every_sound_is_called_by_its_name(inside: Path) -> None:
    result = run("predict", "-j", 2, "--json", "songs")
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
        "path", "status", "answer", "genre", "confidence", "content", "probabilities", "vote",
        "seconds", "padded", "segments", "model", "decoder",
    }  # fmt: skip
    assert set(record) == fields
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert all(f"`{field}`" in readme for field in fields)


def test_csv_can_be_read_back(inside: Path) -> None:
    result = run("predict", "-j", 1, "--csv", "songs/hum", "songs/hiss/3.wav")
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
    shown = lines(run("predict", "-j", 1, "songs/hum").stdout)
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
    result = run(
        "predict", "-j", 1, "--json", tmp_path, tmp_path / "nothing", tmp_path / "missing.mp3"
    )
    assert result.exit_code == 1
    records = {
        Path(record["path"]).name: record for record in map(json.loads, lines(result.stdout))
    }
    assert [name for name, record in records.items() if record["status"] == "ok"] == ["good.wav"]
    failed = {"nan.wav", "silent.wav", "empty.mp3", "text.mp3", "cut.wav", "nothing", "missing.mp3"}
    assert {name for name, record in records.items() if record["status"] == "error"} == failed
    *errors, summary = lines(result.stderr)
    assert len(errors) == len(failed)
    assert all(line.startswith("error: ") for line in errors)
    assert summary.startswith(f"{len(records)} songs, {len(failed)} failed (")


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


# Several songs: what is meant, kept, and taken up again.


def table(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return lines(result.stdout)


def test_lists_patterns_and_names_on_stdin_are_followed(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("songs/hum/1.wav\n")
    (tmp_path / "my.m3u").write_text(f"#EXTM3U\n{inside}/songs/hum/0.wav\n")
    shown = CliRunner().invoke(
        app,
        ["predict", "-j", "1", f"@{tmp_path}/list.txt", f"{tmp_path}/my.m3u", "songs/h?m/[12].wav",
         "-"],
        input=b"songs/hum/3.wav\0songs/hum/0.wav\0",
    )  # fmt: skip
    places = [line.split()[-1].removeprefix(f"{inside}/") for line in table(shown)]
    assert places == [f"songs/hum/{number}.wav" for number in (1, 0, 2, 3)]


def test_a_line_that_is_no_use_costs_that_line(inside: Path) -> None:
    result = CliRunner().invoke(
        app, ["predict", "-j", "1", "--csv", "-"], input=b"http://x/y.mp3\nsongs/hum/3.wav\ngone\n"
    )
    assert result.exit_code == 1
    assert len(lines(result.stdout)) == 2
    assert "http://x/y.mp3 is an address" in result.stderr
    assert "gone: no such file" in result.stderr


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--timeline"], ["--top", 2]])
def test_a_run_that_is_taken_up_again_prints_what_a_whole_one_prints(
    inside: Path, tmp_path: Path, form: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("predict", "-j", 1, *form, "songs/hum", "songs/hiss")
    monkeypatch.setenv("MGR_STATE", str(tmp_path / "another"))
    assert "known" not in run("predict", "-j", 1, "songs/hum/3.wav", "songs/hiss").stderr
    rest = run("predict", "-j", 1, "--resume", *form, "songs/hum", "songs/hiss")
    assert "16 songs, 9 of them known from an earlier run" in rest.stderr
    if form == ["--json"]:  # as they are done
        assert sorted(lines(rest.stdout)) == sorted(lines(whole.stdout))
    else:
        assert rest.stdout == whole.stdout


def test_resume_judges_nothing_that_is_done_and_unchanged(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mgr_cli import bulk

    songs = tmp_path / "songs"
    songs.mkdir()
    for number in range(3):
        copyfile(inside / f"songs/hum/{number}.wav", songs / f"{number}.wav")
    first = table(run("predict", "-j", 1, songs))
    judged: list[str] = []
    really = bulk.predict_all

    def watched(paths: Sequence[Path], order: bulk.Order) -> Generator[bulk.Numbered, None, None]:
        judged.extend(path.name for path in paths)
        return really(paths, order)

    monkeypatch.setattr(bulk, "predict_all", watched)
    assert table(run("predict", "-j", 1, "--resume", songs)) == first
    assert judged == []
    copyfile(inside / "songs/hiss/1.wav", songs / "1.wav")
    assert table(run("predict", "-j", 1, "--resume", songs)) != first
    assert judged == ["1.wav"]
    run("predict", "-j", 1, "--resume", "--vote", "product", songs)
    assert judged == ["1.wav", "0.wav", "1.wav", "2.wav"]
    run("predict", "-j", 1, songs)  # without --resume nothing is known
    assert judged[4:] == ["0.wav", "1.wav", "2.wav"]


def test_a_single_song_is_not_kept_unless_that_is_asked_for(inside: Path, state: Path) -> None:
    run("predict", "songs/hum/0.wav")
    assert not state.exists()
    run("predict", "--resume", "songs/hum/0.wav")
    assert (state / "predictions.sqlite").is_file()


def test_a_journal_that_is_no_use_ends_only_what_needs_it(inside: Path, state: Path) -> None:
    state.mkdir()
    (state / "predictions.sqlite").write_text("no database" * 1000)
    result = run("predict", "-j", 1, "songs/hum")
    assert len(table(result)) == 8
    assert "is not kept" in result.stderr
    result = run("predict", "-j", 1, "--resume", "songs/hum")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "MGR_STATE" in result.stderr
    assert len(lines(result.stderr)) == 1


def test_a_journal_that_fails_in_a_run_costs_a_note(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MgrError("predictions.sqlite: disk is full")

    monkeypatch.setattr("mgr_cli.journal.Journal.keep", full)
    result = run("predict", "-j", 1, "songs/hum")
    assert len(table(result)) == 8
    assert result.stderr.count("disk is full") == 1


def test_ctrl_c_shows_and_keeps_what_is_done(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mgr_cli import bulk

    really = bulk.predict_all

    def interrupted(
        paths: Sequence[Path], order: bulk.Order
    ) -> Generator[bulk.Numbered, None, None]:
        for number, record in really(paths, order):
            if number == 0:  # the first one takes long
                continue
            if number == 4:
                raise KeyboardInterrupt
            yield number, record

    monkeypatch.setattr(bulk, "predict_all", interrupted)
    result = run("predict", "-j", 1, "songs/hum")
    assert result.exit_code == 130
    assert [line[-5] for line in lines(result.stdout)] == ["1", "2", "3"]
    assert "3 of 8 songs are done; the same command with --resume goes on" in result.stderr
    monkeypatch.setattr(bulk, "predict_all", really)
    assert "8 songs, 3 of them known" in run("predict", "-j", 1, "--resume", "songs/hum").stderr


# What is done with the answers.


def test_labels_are_written_for_each_song(inside: Path, tmp_path: Path) -> None:
    result = run("predict", "-j", 1, "--labels", tmp_path / "labels", "songs/hum")
    assert len(table(result)) == 8
    assert (tmp_path / "labels/3.txt").read_text() == "0.000000\t3.022000\thum\n"
    result = run("predict", "-j", 1, "--labels", tmp_path / "labels", "songs/hiss")
    assert result.exit_code == 1
    assert result.stderr.count("something else is there") == 8
    assert (tmp_path / "labels/3.txt").read_text() == "0.000000\t3.022000\thum\n"


def test_tags_are_written_and_known_songs_stay_known(inside: Path, tmp_path: Path) -> None:
    for number in range(2):
        copyfile(inside / f"songs/hum/{number}.wav", tmp_path / f"{number}.wav")
    shown = run("predict", "-j", 1, "--write-tags", "--dry-run", tmp_path)
    assert shown.exit_code == 0
    assert [line.partition(": ")[2][:9] for line in lines(shown.stdout)] == ["– → Hum  "] * 2
    written = run("predict", "-j", 1, "--resume", "--write-tags", tmp_path)
    assert "2 of them known" in written.stderr
    assert len(table(written)) == 2
    log = next(line for line in lines(written.stderr) if line.startswith("log: "))
    again = run("predict", "-j", 1, "--resume", "--write-tags", "--mode", "append", tmp_path)
    assert "2 of them known" in again.stderr  # though the files have changed
    audit = run("predict", "-j", 1, "--resume", "--audit", tmp_path)
    assert (audit.exit_code, audit.stdout) == (0, "")
    undone = run("predict", "--undo", log.removeprefix("log: ").partition(";")[0])
    assert undone.exit_code == 0
    assert "2 restored" in undone.stderr
    whole = [(tmp_path / f"{number}.wav").read_bytes() for number in range(2)]
    assert whole == [(inside / f"songs/hum/{number}.wav").read_bytes() for number in range(2)]


def test_an_audit_lists_the_tags_that_say_something_else(inside: Path, tmp_path: Path) -> None:
    copyfile(inside / "songs/hum/0.wav", tmp_path / "0.wav")
    (tmp_path / "names.yaml").write_text("hum: Hiss\n")
    names = ("--genre-names", tmp_path / "names.yaml")
    run("predict", "--write-tags", *names, "--labels", tmp_path, tmp_path / "0.wav")
    assert (tmp_path / "0.txt").read_text() == "0.000000\t3.022000\tHiss\n"
    (line,) = lines(run("predict", "--audit", "--json", tmp_path).stdout)
    assert (json.loads(line)["tag"], json.loads(line)["answer"]) == (["Hiss"], "hum")
    assert run("predict", "--audit", "--json", *names, tmp_path).stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--json --csv a.mp3", "--json and --csv exclude each other"),
        ("--audit --write-tags a.mp3", "--audit and --write-tags exclude each other"),
        ("--csv --top 3 a.mp3", "--csv and --top exclude each other"),
        ("--write-tags --dry-run --json a.mp3", "--dry-run and --json exclude each other"),
        ("--dry-run a.mp3", "--dry-run means nothing without --write-tags"),
        ("--mode append a.mp3", "--mode means nothing without --write-tags"),
        ("--min-confidence 0.5 a.mp3", "--min-confidence means nothing without --write-tags"),
        ("--genre-names x a.mp3", "without --write-tags or --audit or --labels"),
        ("--scheduler x --engine local a.mp3", "--scheduler is of a cluster"),
        ("--undo log a.mp3", "--undo takes nothing but its log; leave out the songs"),
        ("--undo log --json", "--undo takes nothing but its log; leave out --json"),
        ("-j 0 a.mp3", "--jobs is 0"),
        ("", "no songs; name files or folders"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(
    inside: Path, words: str, said: str
) -> None:
    result = run("predict", *words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(lines(result.stderr)) == 1
