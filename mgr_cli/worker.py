"""A worker: a process that reads files for another one, and what the two say to each other.

Both ends of the way stand here, `Worker` in the parent and `serve` in the process, since they must
agree. All is pickled, and goes through the worker's standard input and output:

    parent                                        worker
    where modules are found, then the work    →
                                              ←   ready
    a path                                    →
                                              ←   ready
                                              ←   what the work yields, a thing at a time
                                              ←   `End`
                                              ←   at any time: a sign of life

Signs of life come from outside of the work. A second thread of the worker asks its interpreter,
once a second, to run a handler of a signal; that happens between two steps of the program, and so
tells whether the main thread takes any, or stands in a C function that does not return.

These are no workers of `multiprocessing`, which lets each of them import the program that started
it: the command line with all that it draws with, or a user's script, which would run again. Nor do
they share the parent's group of processes, so that Ctrl-C in a terminal reaches the parent alone,
which ends them.
"""

import _thread
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from mgr_cli import audio
from mgr_cli.errors import MgrError

Work = Callable[[Path], Iterator[Any]]
"""What is done with a file: yields what the parent shall get, all of it picklable."""

_BOOT = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from mgr_cli import worker; worker.serve()"
)
# Each worker computes with one thread: there are as many of them as cores.
_ALONE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_READY = ()


@dataclass(frozen=True)
class End:
    """Nothing more comes of a file.

    Attributes
    ----------
    error : str
        Why, in one line, if it was not read to its end.
    """

    error: str = ""


class Worker:
    """A process that reads files, seen from its parent.

    Attributes
    ----------
    process : subprocess.Popen
        It.
    is_up : bool
        Whether it has taken its work.
    is_awaited : bool
        Whether it was asked and has not answered yet.
    is_given_up : bool
        Whether it was killed since it stood still; its parent notes it here.
    n_signs : int
        Of life, so far.
    """

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
