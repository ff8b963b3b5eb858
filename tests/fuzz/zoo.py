"""Import thousands of broken entries, and count what comes of them.

    python -m tests.fuzz.zoo --n 2000 --seed 0
    python -m tests.fuzz.zoo --seed 0 --only 1234      one of them again, with its text

A case is decided by the seed and its number alone. Digests are those of the broken files, as a
stranger would write them, so that it is the readers that are tried. Each case is imported in a
process of its own with little memory, and what comes of it is an entry that computes what it says,
or one line that says why not. A crash, a hang, another error, or a file outside the zoo is printed
in capitals, and the run exits 1.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch  # noqa: F401 (once, before processes part)

from mgr_cli.errors import ArchitectureError, ZooError
from mgr_cli.zoo import arrivals, graphs, pipelines, sessions  # noqa: F401
from tests.fuzz import strangers

MEMORY = 3 * 2**30  # bytes of addresses beside those that are taken already
FILE_SIZE = 2**30  # bytes
SECONDS = 60.0


def judge(given: Path, away: Path) -> tuple[str, str]:
    """Import what was given into an empty zoo; return what came of it, and the text."""
    away.mkdir()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            _confine(away)
            os.write(writing, json.dumps(_admitted(given, away / "zoo")).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if said and not os.WIFSIGNALED(status):
        kind, text = json.loads(said)
    elif os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        kind = "HANG" if number == signal.SIGALRM else f"CRASH {signal.Signals(number).name}"
        text = ""
    else:
        kind, text = "EXIT", "without an answer"
    strays = _strays(away, kind == "sound")
    return ("WROTE", f"{strays}; {kind} {text}") if strays else (kind, text)


def _admitted(given: Path, zoo: Path) -> tuple[str, str]:
    try:
        arrivals.admit(given, [zoo])
    except (ZooError, ArchitectureError) as error:
        text = str(error)
        if not text.isprintable() or len(text) > 2_000:
            return "NOT ONE LINE", ascii(text)[:2_000]
        return "refused", text
    except BaseException as error:
        import traceback

        text = "".join(traceback.format_exception(error))
        return f"FOREIGN {type(error).__name__}".upper(), text[-3_000:]
    return "sound", ""


def _confine(away: Path) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(away)
    (away / "tmp").mkdir()
    tempfile.tempdir = str(away / "tmp")
    signal.setitimer(signal.ITIMER_REAL, SECONDS)  # its default is to kill
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _strays(away: Path, is_sound: bool) -> list[str]:
    """List what a case has left where nothing may be left."""
    left = {path.relative_to(away) for path in away.rglob("*")} - {Path("tmp"), Path("zoo")}
    inside = {path for path in left if path.parts[0] == "zoo"}
    entries = {path.parts[1] for path in inside}
    if is_sound and len(entries) == 1 and not min(entries).startswith("."):
        left -= inside
    return sorted(map(str, left))


def run(numbers: Sequence[int], seed: int, *, show: bool = False) -> Counter[str]:
    """Try some cases, and count what came of them, by what was broken."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="mgr-fuzz-") as root:
        wholes = strangers.entries(Path(root) / "whole")
        for number in numbers:
            case = Path(root) / "case"
            case.mkdir()
            rng = np.random.default_rng([seed, number])
            recipe, given = strangers.given(rng, wholes, case / "given")
            begun = time.perf_counter()
            kind, text = judge(given, case / "away")
            taken = time.perf_counter() - begun
            counts[f"{recipe.split()[0]}: {kind}"] += 1
            if kind.isupper() or show:
                print(f"{number} {recipe}: {kind} ({taken:.1f} s) {text}", flush=True)
            shutil.rmtree(case)
    return counts


def main() -> int:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2_000, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case, with its text")
    parser.add_argument("--show", action="store_true", help="every case, with its text")
    asked = parser.parse_args()
    numbers = range(asked.n) if asked.only is None else [asked.only]
    counts = run(numbers, asked.seed, show=asked.show or asked.only is not None)
    for kind, count in sorted(counts.items()):
        print(f"{count:6d}  {kind}")
    print(f"{sum(counts.values()):6d}  in all")
    return int(any(kind.split(": ")[1].isupper() for kind in counts))


if __name__ == "__main__":
    sys.exit(main())
