"""A crew: processes that read files side by side, and of which any may die.

Decoders are C code, and files come from strangers: one of them may crash its process, or hold it
for ever. So each file is read in a worker, a Python process of its own, and

    a worker that dies         costs the file that it had, and is replaced
    a worker that stands still costs the file that it had, is killed, and is replaced
    a worker whose parent dies ends by itself

A worker runs a generator over one path after the other and sends what it yields through a pipe.
When the parent is behind, the pipe is full and the worker waits. What the parent holds is bounded,
whatever the files: two things a worker, one that is at hand and one that was just read.

Signs of life come from outside of the work. A second thread of the worker asks its interpreter,
once a second, to run a handler of a signal; that happens between two steps of the program, and so
tells whether the main thread takes any, or stands in a C function that does not return.

These are no workers of `multiprocessing`, which lets each of them import the program that started
it: the command line with all that it draws with, or a user's script, which would run again. Nor do
they share the parent's group of processes, so that Ctrl-C in a terminal reaches the parent alone,
which ends them. Of them a killed pool of `concurrent.futures` or joblib would end with its run.
"""

import _thread
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, Self

from mgr_cli import audio
from mgr_cli.errors import EngineError, MgrError

PATIENCE = 60.0  # seconds without a sign of life after which a worker is killed
BEAT = 1.0  # seconds between two signs of life
TRIES = 3  # workers in a row that may die before they have taken a file

Work = Callable[[Path], Iterator[Any]]
"""What is done with a file: yields what the parent shall get, all of it picklable."""

_BOOT = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from mgr_cli import crew; crew.serve()"
)
# Each worker computes with one thread: there are as many of them as cores.
_ALONE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


@dataclass(frozen=True)
class End:
    """Nothing more comes of a file.

    Attributes
    ----------
    error : str
        Why, in one line, if it was not read to its end.
    """

    error: str = ""


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

    def _at_work_on(self, path: Path, seat: "_Seat") -> "_Worker | None":
        """Find a worker who takes the file; None when the crew is closed."""
        for attempt in range(TRIES):
            worker = seat.worker or self._hire(seat)
            if worker is None or worker.take(path) or attempt == TRIES - 1:
                break
            worker.wait()  # it died with empty hands, which costs nothing
            seat.worker = None
        return worker

    def _hire(self, seat: "_Seat") -> "_Worker | None":
        with self._lock:
            if self._is_closed:
                return None
            worker = seat.worker = _Worker()
        if not worker.is_ready(self._work, self._beat) and not self._is_closed:
            raise EngineError(
                f"no process can be started to read files (exit code {worker.wait()}); "
                "take --jobs 1, which needs none"
            )
        return worker

    def _loss(self, worker: "_Worker", path: Path) -> str:
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
    worker: "_Worker | None" = None
    n_seen: int = 0
    silence: float = 0.0


class _Worker:
    """A process that reads files, seen from its parent."""

    def __init__(self) -> None:
        self.n_signs = 0
        self.is_awaited = False
        self.is_given_up = False
        self.is_up = False
        apart: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if sys.platform == "win32"
            else {"process_group": 0}
        )
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **_ALONE}, **apart,
        )  # fmt: skip

    def is_ready(self, work: Work, beat: float) -> bool:
        """Tell it its work; False if it dies of that."""
        path = [str(folder) for folder in sys.path]
        self.is_up = self._tell(path, (work, beat)) and self._receive() == _READY
        return self.is_up

    def take(self, path: Path) -> bool:
        """Give it a file; False if it is no more."""
        return self._tell(path) and self._receive() == _READY

    def hear(self) -> Any:
        """Wait for what it says next; None if it dies."""
        said = self._receive()
        return said and said[0]

    def wait(self) -> int:
        """Return its exit code, minus the signal that ended it."""
        self.process.kill()  # of one that is dead that does nothing
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what it never took
                pipe.close()
        return code

    def dismiss(self) -> None:
        """Let it go, it has nothing to do."""
        self.wait()

    def _tell(self, *things: object) -> bool:
        pipe = self.process.stdin
        assert pipe is not None
        try:
            for thing in things:
                pickle.dump(thing, pipe, protocol=5)
            pipe.flush()
        except OSError:
            self.wait()
            return False
        return True

    def _receive(self) -> tuple[Any, ...] | None:
        """Read its next message that is more than a sign of life; None if it is dead."""
        pipe = self.process.stdout
        assert pipe is not None
        self.is_awaited = True
        try:
            while (message := pickle.load(pipe)) is None:
                self.n_signs += 1
        except Exception:  # the end of the pipe, or of half a message: of that, anything
            return None
        finally:
            self.n_signs += 1
            self.is_awaited = False
        return tuple(message)


_READY = ()


class _Line:
    """The way from a worker to its parent, for both of its threads."""

    def __init__(self) -> None:
        self._pipe: IO[bytes] = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what a library prints shall not come between
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Send a message; without a parent there is nothing left to do."""
        try:
            with self._lock:
                pickle.dump(message, self._pipe, protocol=5)
                self._pipe.flush()
        except OSError:
            os._exit(0)


def serve() -> NoReturn:
    """Be a worker: take the work, then a path at a time, until there are no more."""
    line, orders = _Line(), sys.stdin.buffer
    work, beat = pickle.load(orders)
    _beat_from_now_on(line, beat)
    line.send(_READY)
    while True:
        try:
            path = pickle.load(orders)
        except EOFError:
            os._exit(0)
        line.send(_READY)
        try:
            for thing in work(path):
                line.send((thing,))
        except MgrError as error:
            line.send((End(str(error)),))
        except Exception as error:  # a stranger's file may lead to any
            line.send((End(unexpected(path, error)),))
        else:
            line.send((End(),))


def unexpected(path: Path, error: Exception) -> str:
    """Say in one line what no one foresaw of a file."""
    said = "".join(c if c.isprintable() else " " for c in str(error))[:200]
    return f"{audio.shown(path)}: cannot be read ({type(error).__name__}: {said}); is it damaged?"


def _beat_from_now_on(line: _Line, every: float) -> None:
    parent, n_steps = os.getppid(), 0

    def step(*_: object) -> None:
        nonlocal n_steps
        n_steps += 1

    def beat() -> None:
        n_seen = 0
        while True:
            _thread.interrupt_main(signal.SIGINT)  # of no one but this process
            time.sleep(every)
            if os.getppid() != parent:  # killed, while we may stand still
                os._exit(0)
            if n_steps != n_seen:
                n_seen = n_steps
                line.send(None)

    signal.signal(signal.SIGINT, step)
    threading.Thread(target=beat, daemon=True).start()
