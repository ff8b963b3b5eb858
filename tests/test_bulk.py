"""Many files: each gets its record, as it would alone, whatever befalls the others."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgr_cli import bulk
from mgr_cli.bulk import Order, predict_all
from mgr_cli.errors import EngineError, ZooError
from mgr_cli.prediction import Predictor
from mgr_cli.records import Record
from mgr_cli.zoo.card import load_card, save_card
from tests import audio_files, tiny
from tests.crews import crashing
from tests.test_engines import Cluster, cluster

__all__ = ["cluster"]  # a fixture


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.entry(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Songs of 0.3 s to 7 s, and what is none, mixed."""
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    songs = [folder / f"{number}.wav" for number in range(6)]
    for number, path in enumerate(songs):
        n_samples = round((0.3 + 1.3 * number) * 8_000)
        audio_files.write(path, rng.uniform(-0.5, 0.5, (n_samples, 1)).astype(np.float32), 8_000)
    (text := folder / "text.mp3").write_text("not audio")
    (empty := folder / "empty.wav").touch()
    half = audio_files.cut(songs[5], 0.5, folder / "half.wav")
    gone = folder / "gone\n.wav"
    return [text, songs[0], gone, *songs[1:4], folder, half, *songs[4:], empty, songs[0]]


def by_index(found: Iterator[tuple[int, Record]], n: int) -> list[Record]:
    """Return the records in the order of the paths, each of which must have one."""
    numbered = list(found)
    assert Counter(index for index, _ in numbered) == dict.fromkeys(range(n), 1)
    return [record for _, record in sorted(numbered, key=lambda pair: pair[0])]


def judged(paths: list[Path], entry: Path, **wishes: Any) -> list[Record]:
    order = Order(entry, device="cpu", **wishes)
    return by_index(predict_all(paths, order), len(paths))


def almost(one: Record, two: Record) -> bool:
    """Tell whether two records say the same, but for the last digit of shares."""

    def words(record: Record) -> tuple[object, ...]:
        return (
            record.path, record.status, record.error, record.answer, record.seconds, record.padded,
            record.decoder, record.model, record.vote, *(record.probabilities or {}),
            *((each.start, each.stop, each.genre, each.content) for each in record.segments),
        )  # fmt: skip

    def shares(record: Record) -> list[float]:
        pooled = (record.probabilities or {}).values()
        return [record.confidence, *pooled, *(each.confidence for each in record.segments)]

    return words(one) == words(two) and shares(one) == pytest.approx(shares(two), abs=3e-6)


# One record each.


def test_a_crew_says_of_each_file_what_one_process_says(paths: list[Path], entry: Path) -> None:
    told: list[tuple[int, int, str]] = []
    alone = judged(paths, entry, n_jobs=1)
    order = Order(entry, device="cpu", n_jobs=2)
    crewed = by_index(predict_all(paths, order, progress=lambda *now: told.append(now)), 12)
    assert [record.path for record in crewed] == [str(path) for path in paths]
    assert [record.status == "ok" for record in alone] == [
        path.stem.isdecimal() for path in paths
    ]  # fmt: skip
    assert all(map(almost, alone, crewed))
    assert told == [(done, 12, "files") for done in range(1, 13)]


def test_a_record_is_that_of_the_file(paths: list[Path], entry: Path) -> None:
    song = paths[9]
    (record,) = judged([song], entry)
    predicted = Predictor.load(entry, device="cpu").from_file(song)
    assert record.genre == predicted.genre
    assert record.seconds == round(predicted.seconds, 3) == 6.8
    assert len(record.segments) == len(predicted.segment_probs) == 14
    assert record.probabilities == {g: round(p, 6) for g, p in predicted.ranked()}


def test_the_vote_is_the_orders(paths: list[Path], entry: Path) -> None:
    songs = [path for path in paths if path.stem.isdecimal()]
    for n_jobs in (1, 2):
        assert {r.vote for r in judged(songs, entry, vote="product", n_jobs=n_jobs)} == {"product"}


def test_no_paths_are_no_work(tmp_path: Path) -> None:
    assert judged([], tmp_path) == []


def test_a_file_that_is_all_there_is_needs_no_processes(
    paths: list[Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert judged(paths[1:2], entry, alone=True)[0].status == "ok"
    assert judged(paths[1:2] * 2, entry, n_jobs=1)[1].status == "ok"


def test_an_entry_that_hears_no_sound_is_refused_before_any_file(
    paths: list[Path], tmp_path: Path
) -> None:
    folder = tiny.entry(tmp_path)
    card = load_card(folder)
    table = card.model_copy(
        update={
            "eats": ("table",), "segments": None, "columns": tuple(map(str, range(16))),
            "normalisation": {"table": tiny.NORMALISATION},
        }
    )  # fmt: skip
    save_card(folder, table)
    with pytest.raises(ZooError, match="hears no sound"):
        next(predict_all(paths, Order(folder, n_jobs=2)))


@pytest.mark.parametrize("n_jobs", [0, -2])
def test_a_number_of_processes_that_is_none_is_refused(n_jobs: int, entry: Path) -> None:
    with pytest.raises(ValueError, match="n_jobs"):
        Order(entry, n_jobs=n_jobs)


# Workers that die.


def test_a_file_that_crashes_its_decoder_costs_itself(
    paths: list[Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = judged(paths, entry, n_jobs=1)
    monkeypatch.setattr(bulk, "segments_of", crashing)
    crewed = judged(paths, entry, n_jobs=2)
    place = [path.name for path in paths].index("3.wav")
    assert crewed[place].status == "error"
    assert "its decoder crashed (exit code 11)" in crewed[place].error
    others = [n for n in range(len(paths)) if n != place]
    assert all(almost(alone[n], crewed[n]) for n in others)


def test_the_last_file_of_a_run_may_crash_too(
    paths: list[Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "segments_of", crashing)
    (left,) = judged([path for path in paths if path.name == "3.wav"], entry)
    assert "its decoder crashed (exit code 11)" in left.error


PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
import sys
from pathlib import Path
from mgr_cli.bulk import Order, predict_all
print("once", flush=True)
paths = [Path(name) for name in sys.argv[2:]] * 500
for index, record in predict_all(paths, Order(Path(sys.argv[1]), device="cpu", n_jobs=2)):
    if index < 4:
        print(record.status, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_ctrl_c_in_a_script_without_a_guard_ends_all_and_leaves_nothing(
    paths: list[Path], entry: Path, tmp_path: Path
) -> None:
    (script := tmp_path / "script.py").write_text(PROGRAM)
    (temporary := tmp_path / "tmp").mkdir()
    songs = [str(path) for path in paths if path.stem in "2345"]
    with subprocess.Popen(
        [sys.executable, str(script), str(entry), *songs],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert [program.stdout.readline() for _ in range(3)] == ["once\n", "ok\n", "ok\n"]
        threads = Path(f"/proc/{program.pid}/task").glob("*/children")
        pids = [pid for children in threads for pid in children.read_text().split()]
        os.killpg(program.pid, signal.SIGINT)
        said, errors = program.communicate(timeout=20)
    assert len(pids) == 2
    assert program.returncode == -signal.SIGINT
    assert "once" not in said  # by a worker that imports the script
    assert errors.count("Traceback") == 1  # that of the script itself
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not list(temporary.iterdir())


def test_closing_ends_the_processes(
    paths: list[Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*arguments: Any, **wishes: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **wishes))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    with closing(predict_all(paths * 100, Order(entry, device="cpu", n_jobs=2))) as found:
        next(found)
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


# Clusters.


def test_a_cluster_says_of_each_file_what_one_process_says(
    cluster: Cluster, paths: list[Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "FILES_IN_TASK", 5)
    monkeypatch.chdir(paths[0].parent)  # where the workers are not
    names = [Path(os.path.relpath(path)) for path in paths]
    near = Path(os.path.relpath(entry))
    alone = judged(names, near, n_jobs=1)
    there = judged(names, near, engine="dask", scheduler=cluster.address)
    assert [record.error for record in there] == [record.error for record in alone]
    assert all(map(almost, alone, there))
    damaged = tiny.entry(entry.parent, name="damaged")
    (damaged / load_card(damaged).weights.file).write_bytes(b"no weights")
    with pytest.raises(ZooError, match="damaged"):
        judged(names, damaged, engine="dask", scheduler=cluster.address)


def test_what_a_cluster_gives_up_is_tried_once_more_file_by_file(
    paths: list[Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Pool:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None: ...
        def __call__(self, calls: Iterator[Any]) -> Iterator[Any]:
            for function, arguments, wishes in calls:
                asked.append(len(arguments[0]))
                if paths[4] in arguments[0]:
                    raise RuntimeError("KilledWorker\nof four")
                yield function(*arguments, **wishes)

    monkeypatch.setattr("mgr_cli.engines.workers", Pool)
    monkeypatch.setattr(bulk, "FILES_IN_TASK", 3)
    monkeypatch.setattr(bulk, "TASKS_AGAIN", 2)
    six = paths[:6]
    found = judged(six, entry, engine="dask")
    assert asked == [3, 3, 1, 1, 1]
    assert [record.status for record in found] == ["error", "ok", "error", "ok", "error", "ok"]
    assert "lost twice by the cluster (RuntimeError: KilledWorker of four);" in found[4].error


def test_a_cluster_that_does_not_answer_is_an_error(paths: list[Path], entry: Path) -> None:
    with pytest.raises(EngineError, match="no address was given"):
        next(predict_all(paths, Order(entry, engine="dask")))
