"""Figures of speed, side by side, in one run.

    python -m tests.benchmarks --audio FOLDER

Each part answers a question with a Markdown table, to be quoted as it is, under a line that names
the machine. What is compared, and why that is fair, stands in the docstring of each part's
function; what contestants compute is compared before they are timed, and a part whose contestants
do not compute the same is an error. Every round's seconds go to `--json`. By default it takes some
eleven minutes on two cores that have nothing else to do: look at the load in the first line.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mgr_cli.cores import n_cores
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import load_card
from tests.benchmarks import growth, machine, music, predict, prepare, train
from tests.benchmarks.course import Course
from tests.benchmarks.tables import Table

PARTS: dict[str, Callable[[Course], Table]] = {
    "prepare": prepare.log_mels,
    "train": train.table,
    "cold": predict.cold,
    "bulk": predict.bulk,
    "features": prepare.features,
    "length": growth.by_length,
    "number": growth.by_number,
    "workers": growth.by_workers,
}


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--audio", type=Path, help="folder of real music; the demo without")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=Course.n_rounds, help="growth: half of them")
    parser.add_argument("--songs", type=int, default=Course.n_songs, help="and 8 clips for each")
    parser.add_argument("--seconds", type=float, default=Course.seconds, help="of a song")
    parser.add_argument("--lengths", type=float, nargs="+", default=Course.lengths, help="seconds")
    parser.add_argument("--tracks", type=int, nargs="+", default=Course.tracks)
    parser.add_argument("--steps", type=int, default=Course.n_steps, help="of training, a turn")
    parser.add_argument("--jobs", type=int, default=n_cores())
    parser.add_argument("--entry", type=Path, help="default: the zoo's; it must eat log-mels")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the seconds")
    return parser.parse_args(arguments)


def coursed(chosen: argparse.Namespace, folder: Path) -> Course:
    """Say what is measured."""
    return Course(
        folder=folder,
        files=tuple(music.pieces(folder, chosen.audio)),
        entry=(chosen.entry or judging_log_mels()).resolve(),
        n_jobs=chosen.jobs,
        n_rounds=chosen.rounds,
        n_songs=chosen.songs,
        seconds=chosen.seconds,
        n_steps=chosen.steps,
        lengths=tuple(sorted(chosen.lengths)),
        tracks=tuple(sorted(chosen.tracks)),
    )


def judging_log_mels() -> Path:
    """Return the entry that judges unasked.

    Raises
    ------
    SystemExit
        If the rivals could not judge by it.
    """
    folder = entries.default_entry()
    if load_card(folder).eats != ("log-mel",):
        raise SystemExit(f"{folder} does not eat log-mels alone; name another one with --entry")
    return folder


def main() -> None:
    """Measure, and print tables as they are done."""
    chosen, described = parsed(), machine.describe()
    command = machine.command("tests.benchmarks")
    print(f"{machine.told(described)}\n\n    {command}\n", flush=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        course = coursed(chosen, Path(folder))
        for name in chosen.parts:
            start = time.perf_counter()
            table = PARTS[name](course)
            print(table.markdown(), flush=True)
            found[name] = {**table.plain(), "took": round(time.perf_counter() - start, 1)}
    if chosen.json:
        written = {"machine": described, "command": command, "parts": found}
        chosen.json.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
