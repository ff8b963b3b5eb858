"""Predict a library of broken files in one run, as `mgr predict` does, and count the records.

    python -m tests.fuzz.library --n 2000 --seed 0 [--real FOLDER] [--jobs 2] [--entry NAME]

The files are those of `tests.fuzz.audio`, but for those that change while they are read. Every
file must get one record and the run must end; what the records say is counted.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import mgr_cli
from mgr_cli import audio, bulk
from mgr_cli.bulk import Order
from tests.fuzz import songs as whole
from tests.fuzz import trial
from tests.fuzz.audio import ENTRIES, N_REAL, build


def main() -> int:
    """Make the files, predict them all, and print what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, help="folder of recordings to break as well")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--entry", default=ENTRIES["log-mel"])
    asked = parser.parse_args()
    songs = [*whole.tones(), *(whole.real(asked.real, N_REAL) if asked.real else [])]
    with tempfile.TemporaryDirectory(prefix="mgr-fuzz-") as name:
        paths = []
        for number in range(asked.n):
            folder = Path(name, str(number))
            folder.mkdir()
            paths.append(build(number, asked.seed, songs, folder).path)
        order = Order(Path(mgr_cli.__file__).parent.parent / "zoo" / asked.entry, n_jobs=asked.jobs)
        begun = time.perf_counter()
        answered = Counter[int]()
        kinds = Counter[str]()
        for index, record in bulk.predict_all(paths, order):
            answered[index] += 1
            kinds[_kind(paths[index], record.error)] += 1
        taken = time.perf_counter() - begun
    for kind, count in sorted(kinds.items()):
        print(f"{count:6} {kind}")
    n_right = sum(answered[index] == 1 for index in range(asked.n))
    print(f"{n_right} of {asked.n} files have one record, {len(answered)} answered, {taken:.0f} s")
    return 0 if n_right == asked.n == answered.total() else 1


def _kind(path: Path, error: str | None) -> str:
    if not error:
        return "ok"
    return "error: " + trial.kind_of(error.removeprefix(f"{audio.shown(path)}: "))


if __name__ == "__main__":
    sys.exit(main())
