"""A crew: processes that read files side by side, and of which any may die.

Decoders are C code, and files come from strangers: one of them may crash its process, or hold it
for ever. So each file is read in a worker, a Python process of its own, and

    a worker that dies         costs the file that it had, and is replaced
    a worker that stands still costs the file that it had, is killed, and is replaced
    a worker whose parent dies ends by itself

A worker runs a generator over one path after the other and sends what it yields through a pipe.
When the parent is behind, the pipe is full and the worker waits. What the parent holds is bounded,
whatever the files: two things a worker, one that is at hand and one that was just read.

What a worker is, and how it is spoken to: see `worker`. A pool of `concurrent.futures` or joblib
would end with its run where one of its processes is killed.
"""

import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mgr_cli import audio
from mgr_cli.errors import EngineError
from mgr_cli.worker import End, Work, Worker

PATIENCE = 60.0  # seconds without a sign of life after which a worker is killed
BEAT = 1.0  # seconds between two signs of life
TRIES = 3  # workers in a row that may die before they have taken a file


class Crew:
    """Workers that run over files, to be iterated over once inside a ``with``.

    Iterating yields (index, thing): of each path, by its index, all that the work yielded in
    order, then one `End`; the files mixed, as they come.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    work : callable
        What is done with each, a function that the workers can import by its name, or a `partial`
        of one. A `MgrError` of it ends a file, and so does any other exception.
    n_workers : int
        Processes, no more than there are files.
    patience : float
        Seconds without a sign of life after which a worker is killed.

    Raises
    ------
    EngineError
        While iterating, if no worker can be started.
    """

    def __init__(
        self, paths: Sequence[Path], work: Work, *, n_workers: int, patience: float = PATIENCE
    ) -> None:
        n_workers = min(n_workers, len(paths))
        self._todo = iter(enumerate(paths))
        self._work = work
        self._patience = patience
        self._beat = min(BEAT, patience / 4)
        self._lock = threading.Lock()
        self._is_closed = False
        self._heard: queue.Queue[tuple[int, Any] | Exception | None] = queue.Queue(n_workers)
        self._seats = [_Seat() for _ in range(n_workers)]

    def __enter__(self) -> Self:
        for seat in self._seats:
            seat.thread = threading.Thread(target=self._tend, args=(seat,), daemon=True)
            seat.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is at hand, and the next thing would have to be waited for."""
        return self._heard.empty()

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        n_seats, looked = len(self._seats), time.monotonic()
        while n_seats:
            heard: tuple[int, Any] | Exception | tuple[()] | None = ()
            with suppress(queue.Empty):
                heard = self._heard.get(timeout=self._beat)
            passed = time.monotonic() - looked
            if passed >= self._beat:
                self._look_after(passed)
                looked = time.monotonic()
            if heard is None:
                n_seats -= 1
            elif isinstance(heard, Exception):
                raise heard
            elif heard:
                yield heard

    def close(self) -> None:
        """End all workers at once, and what they were at."""
        with self._lock:
            self._is_closed = True
            for seat in self._seats:
                if seat.worker:
                    seat.worker.process.kill()
        for seat in self._seats:
            while seat.thread and seat.thread.is_alive():
                while not self._heard.empty():  # else it would wait for ever to add to them
                    self._heard.get_nowait()
                seat.thread.join(0.01)

    def _look_after(self, passed: float) -> None:
        """Kill those who stand still; time in which this process stood still itself is no one's."""
        for seat in self._seats:
            worker = seat.worker
            if worker is None or not worker.is_awaited or worker.n_signs != seat.n_seen:
                seat.silence = 0.0
                seat.n_seen = worker.n_signs if worker else 0
                continue
            seat.silence += min(passed, 2 * self._beat)
            if seat.silence > max(self._patience, 0.0 if worker.is_up else PATIENCE):
                worker.is_given_up = True
                worker.process.kill()

    def _tend(self, seat: "_Seat") -> None:
        """Keep a worker on a seat, and feed it; runs in a thread of its own."""
        try:
            while (job := self._next()) is not None:
                self._do(seat, *job)
        except Exception as error:
            self._heard.put(error)
        finally:
            if seat.worker:
                seat.worker.dismiss()
            self._heard.put(None)

    def _next(self) -> tuple[int, Path] | None:
        with self._lock:
            return None if self._is_closed else next(self._todo, None)

    def _do(self, seat: "_Seat", index: int, path: Path) -> None:
        worker = self._at_work_on(path, seat)
        if worker is None:
            return
        said: Any = None
        while not isinstance(said, End):
            said = worker.hear()
            if said is None:
                seat.worker = None
                said = End(self._loss(worker, path))
            self._heard.put((index, said))

    def _at_work_on(self, path: Path, seat: "_Seat") -> Worker | None:
        """Find a worker who takes the file; None when the crew is closed."""
        for attempt in range(TRIES):
            worker = seat.worker or self._hire(seat)
            if worker is None or worker.take(path) or attempt == TRIES - 1:
                break
            worker.wait()  # it died with empty hands, which costs nothing
            seat.worker = None
        return worker

    def _hire(self, seat: "_Seat") -> Worker | None:
        with self._lock:
            if self._is_closed:
                return None
            worker = seat.worker = Worker()
        if not worker.is_ready(self._work, self._beat) and not self._is_closed:
            raise EngineError(
                f"no process can be started to read files (exit code {worker.wait()}); "
                "take --jobs 1, which needs none"
            )
        return worker

    def _loss(self, worker: Worker, path: Path) -> str:
        code, name = worker.wait(), audio.shown(path)
        if worker.is_given_up:
            return (
                f"{name}: its decoder hangs, no sign of life for {self._patience:g} s; "
                "it is damaged: fetch the file again"
            )
        if code == -signal.SIGTERM or (sys.platform != "win32" and code == -signal.SIGKILL):
            return (
                f"{name}: the process that read it was killed (signal {-code}), maybe for want of "
                "memory; take fewer --jobs"
            )
        what = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{name}: its decoder crashed ({what}); it is damaged: fetch the file again"


@dataclass
class _Seat:
    """A place in the crew: its thread, the worker that holds it, and how long that was silent."""

    thread: threading.Thread | None = None
    worker: Worker | None = None
    n_seen: int = 0
    silence: float = 0.0
