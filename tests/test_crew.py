"""A crew at work, and at misfortunes: its workers crash, are killed and stand still."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mgr_cli.crew import Crew
from mgr_cli.errors import EngineError
from mgr_cli.worker import End
from tests.crews import count_up, obey, print_loudly, tell

PATIENCE = 2.0  # seconds; the machine may be busy, and no one else shall be given up
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and groups of POSIX")


def gathered(names: list[str], *, n_workers: int = 2, patience: float = 60.0) -> list[list[Any]]:
    """Run `obey` over files of these names and return what came of each."""
    came: list[list[Any]] = [[] for _ in names]
    with Crew([Path(n) for n in names], obey, n_workers=n_workers, patience=patience) as crew:
        for index, thing in crew:
            came[index].append(thing)
    return came


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if is_alive(pid)]


# What comes of files.


def test_each_file_gives_what_the_work_yields_in_order_and_one_end() -> None:
    names = [f"plain-{number}" for number in range(7)]
    assert gathered(names, n_workers=3) == [[name, "done", End()] for name in names]


def test_a_file_that_is_refused_or_fails_costs_itself_and_no_worker() -> None:
    first, refused, failed, last = gathered(["a", "refuse-it", "fail-it", "z"], n_workers=1)
    assert first == ["a", "done", End()]
    assert refused == ["refuse-it", End("refuse-it: refused")]
    said = "fail-it: cannot be read (RuntimeError: no one foresaw this); is it damaged?"
    assert failed == ["fail-it", End(said)]
    assert last == ["z", "done", End()]


def test_no_files_are_no_work() -> None:
    assert gathered([]) == []


def test_names_of_any_bytes_arrive() -> None:
    names = ["a\nb", "-x", "\udcff\udc80", "‘ü’ 🎵"]
    assert [came[0] for came in gathered(names)] == names


def test_what_the_work_prints_comes_not_between() -> None:
    with Crew([Path("a"), Path("b")], print_loudly, n_workers=1) as crew:
        assert [thing for _, thing in crew] == ["done", End()] * 2


@POSIX
def test_workers_compute_with_one_thread_and_apart_from_our_group() -> None:
    with Crew([Path("a"), Path("b")], tell, n_workers=2) as crew:
        came = [thing for _, thing in crew if not isinstance(thing, End)]
    pids = {pid for pid in came if isinstance(pid, int)}
    assert os.getpid() not in pids
    assert os.getpgrp() not in pids
    assert came.count("1") == 2


# What befalls workers.


@POSIX
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("signal-11", r"signal-11: its decoder crashed \(signal 11\); .*fetch"),
        ("signal-9", r"signal-9: .* was killed \(signal 9\), .*memory; take fewer --jobs"),
        ("exit-3", r"exit-3: its decoder crashed \(exit code 3\)"),
        ("exit-0", r"exit-0: its decoder crashed \(exit code 0\)"),
    ],
)
def test_a_worker_that_dies_costs_one_file(name: str, error: str) -> None:
    names = ["a", "b", name, "c", "d"]
    came = gathered(names, n_workers=1)
    (said, end) = came.pop(2)
    names.remove(name)
    assert said == name
    assert re.match(error, end.error), end.error
    assert came == [[name, "done", End()] for name in names]


def test_a_worker_that_stands_still_is_given_up_and_costs_one_file() -> None:
    names = ["a", "sleep-600", "b", "c"]
    a, asleep, *others = gathered(names, n_workers=1, patience=PATIENCE)
    said = "sleep-600: its decoder hangs, no sign of life for 2 s; it is damaged: fetch the file"
    assert asleep == ["sleep-600", End(said + " again")]
    assert [a, *others] == [[name, "done", End()] for name in ("a", "b", "c")]


def test_a_worker_that_waits_for_us_is_not_given_up() -> None:
    with Crew([Path("large-9000000")], obey, n_workers=1) as crew:
        things = iter(crew)
        came = [next(things)]
        worker = crew._seats[0].worker
        deadline = time.monotonic() + 60
        while worker and (worker.is_awaited or not crew._heard.full()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(100):  # it has more to say than fits anywhere
            crew._look_after(2.0)
        came += list(things)
    assert len(came) == 13
    assert came[-1] == (0, End())


@POSIX
def test_a_worker_that_dies_with_empty_hands_costs_nothing() -> None:
    crew = Crew([Path("a"), Path("b")], obey, n_workers=1)
    seat = crew._seats[0]
    worker = crew._hire(seat)
    assert worker
    worker.process.kill()
    worker.process.wait()
    with crew:
        came = [thing for _, thing in crew]
    assert came == ["a", "done", End(), "b", "done", End()]
    assert seat.worker is not worker


def test_workers_that_cannot_start_are_an_error_not_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mgr_cli.worker._BOOT", "raise SystemExit(7)")
    with (
        pytest.raises(EngineError, match=r"no process can be started .*exit code 7.*--jobs 1"),
        Crew([Path("a"), Path("b")], obey, n_workers=2) as crew,
    ):
        list(crew)


def test_a_worker_waits_when_we_are_behind(tmp_path: Path) -> None:
    with Crew([Path("song")], partial(count_up, folder=tmp_path), n_workers=1) as crew:
        next(iter(crew))
        time.sleep(1.0)
        # We hold one, one is at hand, one is in our hand, and one in its hand.
        assert 2 <= len(list(tmp_path.iterdir())) <= 5


# Endings.


@POSIX
def test_closing_ends_all_workers_at_once() -> None:
    with Crew([Path("sleep-600"), Path("sleep-601")], obey, n_workers=2) as crew:
        things = iter(crew)
        next(things), next(things)
        pids = [seat.worker.process.pid for seat in crew._seats if seat.worker]
        started = time.monotonic()
    assert len(pids) == 2
    assert time.monotonic() - started < 5
    assert not [pid for pid in pids if is_alive(pid)]
    assert not [seat for seat in crew._seats if seat.thread and seat.thread.is_alive()]


PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
import os
from pathlib import Path
from mgr_cli.crew import Crew
from tests.crews import obey
with Crew([Path("sleep-600"), Path("sleep-601")], obey, n_workers=2) as crew:
    things = iter(crew)
    next(things), next(things)
    print(*(seat.worker.process.pid for seat in crew._seats), flush=True)
    next(things)
"""


@POSIX
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_no_worker_outlives_its_parent(number: int, code: int) -> None:
    # As in a terminal the signal goes to the whole group, which the workers are not of.
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, process_group=0,
    ) as program:  # fmt: skip
        assert program.stdout
        pids = [int(pid) for pid in program.stdout.readline().split()]
        os.killpg(program.pid, number)
        assert program.wait(10) == code
    assert len(pids) == 2
    wait_for_end(pids)
