"""One file read in a process of its own, as prediction reads it, and what came of it.

The child may have so much memory and time, and its working folder, its temporary folder and its
home are empty ones that must stay empty. A warning of Python's is a fault too. What the decoders
say on stderr is counted and no fault: libmpg123 cannot be kept from it.
"""

import gc
import json
import os
import resource
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mgr_cli import audio, intake
from mgr_cli.errors import AudioError
from mgr_cli.zoo.card import Card

MEMORY = 3 * 2**30  # bytes of addresses; Python and the decoders take 1 GB of them when idle
FILE_SIZE = 8 * 2**30  # bytes; what a day of sound leaves in the temporary file
AT_ONCE = 64  # segments
NOBODY = 65_534
SHOWN = 3_000  # characters of a message that are kept; a pipe takes 64 kB at once


@dataclass(frozen=True)
class Outcome:
    """What came of a file.

    Attributes
    ----------
    kind : str
        ``ok``, ``error: `` and its beginning, or in capitals what must never be.
    text : str
        The error's line, or what is known of the fault.
    seconds : float
        Of computing.
    chatter : bytes
        What a decoder wrote to stderr by itself.
    peak : int
        Most memory of the child, in bytes; that of its parent is some 150 MB of it.
    """

    kind: str
    text: str
    seconds: float
    peak: int
    chatter: bytes

    @property
    def is_fault(self) -> bool:
        """Whether nothing of the kind may happen."""
        return self.kind.isupper()


def read(path: Path, card: Card) -> tuple[str, str]:
    """Do the reading half of a prediction; say what came of it and why."""
    try:
        with intake.open_song(path, card) as song:
            for _ in song.batches(AT_ONCE):
                pass
    except AudioError as error:
        text = str(error)
        name = f"{audio.shown(path)}: "
        if not text.isprintable() or not text.startswith(name):
            return "NOT ONE LINE", ascii(text)
        return f"error: {kind_of(text.removeprefix(name))}", text
    except MemoryError as error:
        return "MEMORY", repr(error)
    except Exception as error:
        import traceback

        return f"FOREIGN {type(error).__name__}".upper(), "".join(traceback.format_exception(error))
    return "ok", ""


def kind_of(reason: str) -> str:
    """Return the words of a message that stand for all of its kind."""
    for kind in (
        "truncated", "damaged", "silent", "not readable as audio", "announces", "holds no audio",
        "holds samples", "empty", "a folder", "a pipe or device", "no such file",
        "cannot be opened", "would take",
    ):  # fmt: skip
        if reason.startswith(kind):
            return kind
    for kind in ("h long", "s long", "too short", "hand-crafted"):
        if kind in reason:
            return kind
    return reason[:60]


def judge(
    path: Path,
    card: Card,
    *,
    away: Path,
    seconds: float,
    change: Callable[[Path], None] | None = None,
    as_nobody: bool = False,
) -> Outcome:
    """Read a file in a child process.

    Parameters
    ----------
    path : Path
        The file.
    card : Card
        Says which features.
    away : Path
        An empty folder that the child works in; nothing may be left there.
    seconds : float
        Of computing, after which the child counts as hanging; or ten times as long by the clock.
    change : callable, optional
        Runs beside it in another process until it ends.
    as_nobody : bool
        Whether the child gives up the rights of root.
    """
    away.mkdir()
    said = away.with_name(f"{away.name}.said")
    changing = _forked(lambda: change(path)) if change else None
    results, writing = os.pipe()

    def child() -> None:
        _confine(away, said, seconds, as_nobody=as_nobody)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind, text = read(path, card)
            gc.collect()
        if caught and not kind.isupper():
            kind, text = "WARNED", f"{caught[0].message} ({caught[0].filename}); {kind} {text}"
        os.write(writing, json.dumps([kind, text[-SHOWN:]]).encode())

    reading = _forked(child)
    os.close(writing)
    _, status, usage = os.wait4(reading, 0)
    taken = usage.ru_utime + usage.ru_stime
    if changing is not None:
        os.kill(changing, signal.SIGKILL)
        os.waitpid(changing, 0)
    with os.fdopen(results, "rb") as pipe:
        answer = pipe.read()
    kind, text = json.loads(answer) if answer else _ended(status)
    peak = usage.ru_maxrss * 1024
    left = sorted(map(str, away.rglob("*")))
    if left:
        kind, text = "WROTE", f"{left}; {kind} {text}"
    return Outcome(kind, text, taken, peak, said.read_bytes()[:SHOWN])


def _forked(work: Callable[[], None]) -> int:
    """Do it in a child process, and return its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def _confine(away: Path, said: Path, seconds: float, *, as_nobody: bool) -> None:
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(away)
    os.environ |= {"TMPDIR": str(away), "HOME": str(away)}
    import tempfile

    tempfile.tempdir = str(away)
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)  # the default of both is to kill
    resource.setrlimit(resource.RLIMIT_CPU, (round(seconds), round(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if as_nobody:
        away.chmod(0o777)
        os.setuid(NOBODY)


def _ended(status: int) -> tuple[str, str]:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in {signal.SIGALRM, signal.SIGXCPU}:
            return "HANG", signal.Signals(number).name
        return f"CRASH {signal.Signals(number).name}", ""
    return "EXIT", f"{os.waitstatus_to_exitcode(status)} without an answer"
