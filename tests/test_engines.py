"""Work on a cluster: a real Dask scheduler and its workers, on this machine."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from joblib import delayed

from mgr_cli.data import store
from mgr_cli.data.sources import Wishes
from mgr_cli.engines import ENGINES, workers
from mgr_cli.errors import EngineError
from mgr_cli.preparation import Preparation, prepare
from tests.audio_files import cut, write

N_TRACKS = 40


@dataclass
class Cluster:
    address: str
    workers: list[subprocess.Popen[bytes]]


def start(stack: ExitStack, program: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two workers of one thread each."""
    from distributed import Client

    file = tmp_path / "scheduler.json"
    place = ("--scheduler-file", str(file))
    with ExitStack() as stack:
        start(stack, "scheduler", *place, "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        quiet = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        crew = [start(stack, "worker", *place, *quiet) for _ in range(2)]
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        with Client(address, timeout=60) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)
        yield Cluster(address, crew)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Forty tracks of noise, one of them cut off, in two genres."""
    rng = np.random.default_rng(0)
    for number in range(N_TRACKS):
        folder = tmp_path / "songs" / ("blues", "rock")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        noise = rng.uniform(-0.5, 0.5, (22_050 + 100 * number, 1)).astype(np.float32)
        write(folder / f"{number:02d}.wav", noise, 22_050)
    cut(folder / f"{number:02d}.wav", 0.5, folder / "half.wav")
    return tmp_path / "songs"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_cluster_that_loses_a_worker_makes_the_same_bytes(
    cluster: Cluster, songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "TRACKS_IN_SHARD", 16)
    wishes = Wishes(features=("log-mel", "waveform"))

    def kill(done: int, total: int, what: str) -> None:
        if done == 8 and cluster.workers[0].poll() is None:
            cluster.workers[0].send_signal(signal.SIGKILL)
            cluster.workers[0].wait()

    def make(name: str, **options: object) -> Preparation:
        return prepare(songs, target=tmp_path / name, name="set", wishes=wishes, **options)  # type: ignore[arg-type]

    alone = make("alone", n_jobs=1)
    many = make("many", engine="dask", scheduler=cluster.address, progress=kill)
    assert cluster.workers[0].returncode == -signal.SIGKILL
    assert cluster.workers[1].poll() is None
    assert [path for path, _ in many.bad] == [path for path, _ in alone.bad] == ["rock/half.wav"]
    assert contents(tmp_path / "many" / "set") == contents(tmp_path / "alone" / "set")


def test_results_of_processes_come_in_order() -> None:
    with workers(n_jobs=2) as pool:
        assert list(pool(delayed(pow)(n, 2) for n in range(20))) == [n * n for n in range(20)]


def test_cluster_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mgr_cli.engines._PATIENCE", 0.2)
    with (
        pytest.raises(EngineError, match=r"no dask cluster answers at tcp://127.0.0.1:9 .*start"),
        workers("dask", scheduler="tcp://127.0.0.1:9"),
    ):
        pass


def test_cluster_without_an_address_is_refused() -> None:
    with pytest.raises(EngineError, match="no address was given"), workers("dask"):
        pass


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("spark", "joblibspark")])
def test_engine_that_is_not_installed_says_what_to_install(
    engine: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineError, match=f"pip install .*{package}"), workers(engine):  # type: ignore[arg-type]
        pass


def test_unknown_engine_is_refused_with_the_known_ones() -> None:
    with (
        pytest.raises(EngineError, match=f"known: {', '.join(ENGINES)}"),
        workers("slurm"),  # type: ignore[arg-type]
    ):
        pass
