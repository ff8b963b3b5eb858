import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mgr_cli.config import FeatureSpec
from mgr_cli.data import images, store
from mgr_cli.data import prepared as datasets
from mgr_cli.data.sources import Wishes
from mgr_cli.errors import DatasetError
from mgr_cli.files import sha256
from mgr_cli.plans import Plan
from mgr_cli.preparation import Dealing, Preparation, prepare
from tests.audio_files import cut, tones, write
from tests.data.pictures import draw, write_set, write_table

REPOSITORY = Path(__file__).parents[1]
TRACKS_IN_SHARD = 4
SHARDS = [f"log-mel/shard-0000{number}.safetensors" for number in range(3)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "TRACKS_IN_SHARD", TRACKS_IN_SHARD)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pictures in the order in which they are read."""
    names: list[str] = []
    read = images.read

    def recorded(path: Path, plan: Plan) -> object:
        names.append(path.name)
        return read(path, plan)

    monkeypatch.setattr(images, "read", recorded)
    return names


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make(root: Path, target: Path, **options: Any) -> Preparation:
    return prepare(root, target=target, name="set", n_jobs=1, **options)


def test_prepared_dataset_is_what_the_set_holds(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    made = make(root, tmp_path)
    assert sorted(contents(tmp_path / "set")) == sorted([*SHARDS, "dataset.json", "tracks.csv"])
    assert (made.bad, made.n_reused) == ([], 0)
    dataset = datasets.load(tmp_path / "set")
    assert dataset == made.dataset
    assert dataset.genres == ("blues", "rock")
    assert dataset.counts() == {"train": 8, "valid": 0, "test": 4}
    reader = dataset.reader()
    for number, track in enumerate(dataset.tracks.itertuples()):
        grey = np.asarray(Image.open(root / str(track.path)), np.float32)[::-1] / 255
        np.testing.assert_array_equal(reader.frames(number), grey.astype(np.float16))
        assert track.digest == sha256(root / str(track.path))


def test_two_runs_are_equal_to_the_byte(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    for name in ("a", "b"):
        make(root, tmp_path / name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_audio_in_two_processes_is_equal_to_one_to_the_byte(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / "raw" / ("blues", "rock")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"{number}.wav", tones(1 + number / 10, 22_050), 22_050)
    cut(folder / "5.wav", 0.5, folder / "half.wav")
    for n_jobs in (1, 2):
        target = tmp_path / f"{n_jobs} jobs"
        made = prepare(tmp_path / "raw", target=target, name="set", n_jobs=n_jobs)
        assert [path for path, _ in made.bad] == ["rock/half.wav"]
    assert contents(tmp_path / "1 jobs") == contents(tmp_path / "2 jobs")


def test_second_run_reads_nothing(tmp_path: Path, reads: list[str]) -> None:
    root = write_set(tmp_path / "raw")
    make(root, tmp_path)
    before = contents(tmp_path / "set")
    reads.clear()
    assert make(root, tmp_path).n_reused == 12
    assert reads == []
    assert contents(tmp_path / "set") == before


def test_changed_file_redoes_its_shard_and_no_other(tmp_path: Path, reads: list[str]) -> None:
    root = write_set(tmp_path / "raw")
    make(root, tmp_path)
    before = contents(tmp_path / "set")
    reads.clear()
    draw(root / "rock" / "05.png", seed=99)
    assert make(root, tmp_path).n_reused == 8
    assert sorted(reads) == ["04.png", "05.png", "06.png", "07.png"]
    after = contents(tmp_path / "set")
    assert [name for name in SHARDS if after[name] != before[name]] == [SHARDS[1]]
    make(root, tmp_path / "afresh")
    assert after == contents(tmp_path / "afresh" / "set")


def test_file_that_was_missing_is_read_when_it_appears(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    (root / "rock" / "05.png").rename(tmp_path / "05.png")
    assert [path for path, _ in make(root, tmp_path).bad] == ["rock/05.png"]
    (tmp_path / "05.png").rename(root / "rock" / "05.png")
    again = make(root, tmp_path)
    assert (again.bad, again.n_reused) == ([], 8)


def test_another_front_end_redoes_everything(tmp_path: Path, reads: list[str]) -> None:
    root = write_set(tmp_path / "raw")
    make(root, tmp_path)
    reads.clear()
    assert make(root, tmp_path, wishes=Wishes(spec=FeatureSpec(n_mels=16))).n_reused == 0
    assert len(reads) == 12


def test_damaged_shard_is_made_again(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    make(root, tmp_path)
    before = contents(tmp_path / "set")
    cut(tmp_path / "set" / SHARDS[2], 0.9, tmp_path / "half")
    (tmp_path / "half").replace(tmp_path / "set" / SHARDS[2])
    assert make(root, tmp_path).n_reused == 8
    assert contents(tmp_path / "set") == before


def test_shards_of_tracks_that_are_gone_are_removed(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    make(root, tmp_path)
    write_set(root, n_tracks=3)
    make(root, tmp_path)
    assert sorted(contents(tmp_path / "set")) == ["dataset.json", SHARDS[0], "tracks.csv"]
    assert len(datasets.load(tmp_path / "set").tracks) == 3


def test_halves_of_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    make(root, tmp_path)
    before = contents(tmp_path / "set")
    (tmp_path / "set" / "log-mel" / ".shard-00001.safetensors.x.part").write_bytes(b"half")
    (tmp_path / "set" / ".tracks.csv.x.part").write_bytes(b"half")
    make(root, tmp_path)
    assert contents(tmp_path / "set") == before


def test_bad_tracks_get_a_status_and_the_run_goes_on(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw", n_tracks=2)
    draw(tmp_path / "outside.png", seed=0)
    Image.new("L", (20, 16), 7).save(root / "blank.png")
    Image.new("RGB", (20, 16)).save(root / "colour.png")
    draw(root / "flat.png", seed=0, size=(15, 20))
    cut(root / "rock" / "01.png", 0.5, root / "half.png")
    (root / "folder.png").mkdir()
    (root / "loop.png").symlink_to("loop.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    reasons = {
        "blank.png": "blank, every pixel is 7",
        "colour.png": "blank, every pixel is 0",
        "flat.png": "15 rows, expected 16 mel bands",
        "half.png": "not a readable picture",
        "folder.png": "not a readable picture",
        "absent.png": "not a readable picture",
        "": "not a readable picture",
        "loop.png": "not a readable picture",
        "zero\0byte.png": "its path leads out",
        "../outside.png": "its path leads out",
        "rock/../../outside.png": "its path leads out",
        str(tmp_path / "outside.png"): "its path leads out",
    }
    good = [
        ("00", "blues/00.png", "blues", "train"),
        ("01", "rock/01.png", "rock", "train"),
        ("02", "link.png", "rock", "train"),  # people keep their music elsewhere, and link to it
    ]
    odd = [(f"x{n:02d}", path, "rock", "train") for n, path in enumerate(reasons)]
    made = make(write_table(root, [*good, *odd]), tmp_path)
    names = [path.replace("\0", "\\x00") or "x06" for path in reasons]  # x06 has no path
    assert [path for path, _ in made.bad] == names
    for (path, reason), expected in zip(made.bad, reasons.values(), strict=True):
        assert expected in reason, path
        assert "\n" not in reason
    dataset = datasets.load(tmp_path / "set")
    assert dataset.numbers("train").tolist() == [0, 1, 2]


def test_audio_that_cannot_be_used_gets_a_status(tmp_path: Path) -> None:
    rock = tmp_path / "raw" / "rock"
    rock.mkdir(parents=True)
    write(rock / "good.wav", tones(1, 8_000), 8_000)
    write(rock / "silent.wav", np.zeros((8_000, 1), np.float32), 8_000)
    write(rock / "short.wav", tones(0.01, 8_000), 8_000)
    (rock / "empty.mp3").touch()
    (rock / "text.mp3").write_text("no audio\n" * 100)
    reasons = dict(make(tmp_path / "raw", tmp_path, dealing=Dealing(seed=1)).bad)
    assert sorted(reasons) == [
        "rock/empty.mp3", "rock/short.wav", "rock/silent.wav", "rock/text.mp3"
    ]  # fmt: skip
    assert "empty (0 bytes)" in reasons["rock/empty.mp3"]
    assert "silent" in reasons["rock/silent.wav"]


def test_track_too_short_for_one_column_gets_a_status(tmp_path: Path) -> None:
    for number, seconds in enumerate((1.0, 0.2)):
        (tmp_path / "raw" / "rock").mkdir(parents=True, exist_ok=True)
        write(tmp_path / f"raw/rock/{number}.wav", tones(seconds, 8_000), 8_000)
    # A column every 8,000 samples, of which the first one stands at 4,000.
    spec = FeatureSpec(sample_rate=8_000, hop_length=100, decimation=80.0)
    made = make(tmp_path / "raw", tmp_path, wishes=Wishes(spec=spec))
    assert made.bad == [("rock/1.wav", "too short for one frame")]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_a_table_cannot_hold_are_escaped(tmp_path: Path) -> None:
    rock = tmp_path / "raw" / "rock"
    rock.mkdir(parents=True)
    write(tmp_path / "a.wav", tones(1, 8_000), 8_000)
    for name in (b"a\xff.wav", b"b\r.wav", b"c\n.wav", b"d,\"'.wav", "é\u00a0.wav".encode()):
        shutil.copy(tmp_path / "a.wav", rock / os.fsdecode(name))
    made = make(tmp_path / "raw", tmp_path)
    assert made.bad == []
    assert datasets.load(tmp_path / "set").tracks.path.tolist() == [
        "rock/a\\udcff.wav", "rock/b\\r.wav", "rock/c\\n.wav", 'rock/d,"\'.wav', "rock/é\u00a0.wav"
    ]  # fmt: skip


def test_normalisation_is_that_of_the_training_frames_alone(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    made = make(root, tmp_path).dataset
    reader = made.reader()
    train = [n for n in range(12) if n % 3 != 2]
    frames = np.concatenate([reader.frames(n) for n in train], axis=1).astype(np.float64)
    # Two orders of summation in float64.
    np.testing.assert_allclose(made.normalisations["log-mel"].mean, frames.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(made.normalisations["log-mel"].std, frames.std(axis=1), rtol=1e-12)


@pytest.mark.parametrize(("name", "same"), [("blues/02.png", True), ("rock/03.png", False)])
def test_normalisation_hears_nothing_of_a_test_track(tmp_path: Path, name: str, same: bool) -> None:
    root = write_set(tmp_path / "raw")  # every third track is for testing: 02, 05, …
    before = make(root, tmp_path).dataset.normalisations["log-mel"]
    Image.fromarray(np.tile(np.array([0, 255], np.uint8), (16, 10))).save(root / name)
    after = make(root, tmp_path)
    assert after.n_reused == 8
    assert (after.dataset.normalisations["log-mel"] == before) is same


def test_set_without_splits_is_split_by_genre_and_seed(tmp_path: Path) -> None:
    rows = []
    for number in range(40):
        draw(tmp_path / "raw" / f"{number:02d}.png", seed=number)
        rows.append((f"{number:02d}", f"{number:02d}.png", ("blues", "rock")[number % 2]))
    (tmp_path / "raw" / "00.png").write_bytes(b"bad")
    root = write_table(tmp_path / "raw", rows, header=("track_id", "path", "genre"))
    first = make(root, tmp_path / "a").dataset
    # 19 usable of blues: 15.2, 1.9, 1.9; 20 of rock: 16, 2, 2.
    assert first.counts() == {"train": 31, "valid": 4, "test": 4}
    assert first.tracks.split[0] == ""  # the bad one is in none
    again = make(root, tmp_path / "b").dataset
    other = make(root, tmp_path / "c", dealing=Dealing(seed=1)).dataset
    assert first.split_digest == again.split_digest != other.split_digest
    halves = make(root, tmp_path / "d", dealing=Dealing((0.5, 0.0, 0.5))).dataset
    assert halves.counts() == {"train": 20, "valid": 0, "test": 19}


def test_tracks_that_the_set_leaves_out_stay_out(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw", n_tracks=4)
    table = (root / "tracks.csv").read_text().replace("03.png,rock,train", "03.png,rock,")
    (root / "tracks.csv").write_text(table)
    dataset = make(root, tmp_path).dataset
    assert dataset.counts() == {"train": 2, "valid": 0, "test": 1}
    assert dataset.tracks.status.tolist() == ["ok"] * 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "p.png", "rock", "train"), ("a", "p.png", "rock", "test")], "a is listed twice"),
        ([("", "p.png", "rock", "train")], r"p\.png lacks a track_id or a genre"),
        ([("a", "p.png", "", "train")], r"p\.png lacks a track_id or a genre"),
        ([("a", "p.png", "rock", "test")], "no track to train on among 1; deal out another split"),
        (
            [("a", "p.png", "rock", "test"), ("b", "q.png", "rock", "train")],
            r"no track to train on among 2; the first bad one, q\.png: not a readable",
        ),
    ],
)
def test_set_that_cannot_be_trained_on_is_refused(
    tmp_path: Path, rows: list[tuple[str, ...]], message: str
) -> None:
    draw(tmp_path / "raw" / "p.png", seed=0)
    with pytest.raises(DatasetError, match=message):
        make(write_table(tmp_path / "raw", rows), tmp_path)
    assert not (tmp_path / "set" / "dataset.json").exists()


def test_dataset_is_called_like_its_folder_unless_named(tmp_path: Path) -> None:
    made = prepare(write_set(tmp_path / "raw"), target=tmp_path / "out", n_jobs=1).dataset
    assert (made.name, made.root) == ("raw", tmp_path / "out" / "raw")


def test_progress_counts_every_track_to_the_end(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    calls: list[tuple[int, int, str]] = []
    for _ in range(2):  # the second time, shards are reused
        calls.clear()
        make(root, tmp_path, progress=lambda *call: calls.append(call))
        assert calls == sorted(calls)
        assert calls[-1] == (12, 12, "tracks")
    assert [done for done, _, _ in calls] == [4, 8, 12]


def test_real_gtzan_has_the_published_splits(shared: Path, tmp_path: Path) -> None:
    made = make(shared / "data" / "gtzan_logmel", tmp_path)
    assert made.bad == []
    assert made.dataset.counts() == {"train": 442, "valid": 197, "test": 290}
    assert (made.dataset.tracks.split == "").sum() == 70
    assert len(made.dataset.genres) == 10
    assert (
        made.dataset.labels(np.arange(999)).tolist()
        == sorted(100 * [*range(10)])[:599] + sorted(100 * [*range(10)])[600:]
    )  # blues to rock, and jazz.00054 is missing


# A run that is killed. `strike` runs in a subprocess of its own, which has no threads, and
# forks a child for every death; see `main`.


@pytest.mark.slow
def test_killed_run_is_taken_up_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    program = "import sys, tests.test_preparation as t; t.main(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=REPOSITORY, check=True, timeout=120
    )
    report = json.loads((tmp_path / "report.json").read_text())
    # A run writes five files and opens, moves and deletes some; it dies at each of these steps.
    assert len(report["steps"]) > 20
    assert len(report["moments"]) == 10
    for death in (*report["steps"], *report["moments"]):
        assert death["same"], death
        assert death["n_reused"] >= TRACKS_IN_SHARD * death["n_whole"], death
        assert death["loaded"] in ("nothing", "older", "whole"), death
    assert {death["n_whole"] for death in report["steps"]} >= {0, 1, 2, 3}
    # Every track that was finished is one that need not be read again.
    assert {death["n_reused"] for death in report["steps"]} == set(range(13))
    assert any(death["n_left"] for death in report["steps"])  # halves of files, now gone


def main(folder: str) -> None:
    """Kill runs at every step they take and at random moments; write down what came of it."""
    here = Path(folder)
    setattr(store, "TRACKS_IN_SHARD", TRACKS_IN_SHARD)  # noqa: B010
    write_set(here / "raw", n_tracks=10, seed=100)
    make(here / "raw", here / "older")
    write_set(here / "raw")
    make(here / "raw", here / "whole")
    begun = time.perf_counter()
    make(here / "raw", here / "timed")
    seconds = time.perf_counter() - begun
    steps: list[dict[str, object]] = []
    while death := strike(here, die_at_step(len(steps), here / "struck"), wait=60):
        steps.append(death)
    rng = np.random.default_rng(0)
    moments: list[dict[str, object]] = []
    while len(moments) < 10:
        death = strike(here, lambda: None, wait=float(rng.uniform(0, seconds)))
        moments += [death] if death else []
    (here / "report.json").write_text(json.dumps({"steps": steps, "moments": moments}))


def die_at_step(last: int, folder: Path) -> Callable[[], None]:
    """Make what a child does to kill itself when it touches its nth file of a folder."""

    def arm() -> None:
        n_steps = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal n_steps
            watched = event in ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir")
            if watched and str(arguments[0]).startswith(str(folder)):
                if n_steps == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                n_steps += 1

        sys.addaudithook(count)

    return arm


def strike(here: Path, arm: Callable[[], None], *, wait: float) -> dict[str, object] | None:
    """Kill one run over an older dataset, repeat it; None if it ended before it was killed."""
    target = here / "struck"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(here / "older", target)
    if (child := os.fork()) == 0:
        try:
            arm()
            make(here / "raw", target)
        finally:
            os._exit(0)
    deadline = time.perf_counter() + wait
    status = None
    while status is None and time.perf_counter() < deadline:
        pid, code = os.waitpid(child, os.WNOHANG)
        status = code if pid else None
        time.sleep(0.0005)
    if status is None:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        return None
    whole = contents(here / "whole")
    found = contents(target)
    return {
        "loaded": what_loads(here),
        "n_whole": sum(found.get(f"set/{name}") == whole[f"set/{name}"] for name in SHARDS),
        "n_left": sum(name.endswith(".part") for name in found),
        "n_reused": make(here / "raw", target).n_reused,
        "same": contents(target) == whole,
    }


def what_loads(here: Path) -> str:
    """Say which dataset a reader finds where a run was killed."""
    try:
        datasets.load(here / "struck" / "set")
    except DatasetError:
        return "nothing"
    found = contents(here / "struck")
    for name in ("older", "whole"):
        if found.items() >= contents(here / name).items():
            return name
    return "a mixture"
