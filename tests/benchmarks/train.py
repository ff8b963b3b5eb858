"""Training steps a second, beside a plain loop, beside forward and backward alone.

    python -m tests.benchmarks.train PREPARED [--arch NAME...] [--steps N] [--rounds N]

`table` is a part of `python -m tests.benchmarks` too; `steps` is what its contestants do.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mgr_cli.data import prepared
from mgr_cli.models import registry
from mgr_cli.preparation import prepare
from tests.benchmarks import music, steps
from tests.benchmarks.course import CLIPS_A_SONG, Course
from tests.benchmarks.tables import Pace, Table, compared
from tests.benchmarks.turns import Turns, UnfairError, take_turns

ROOT = Path(__file__).parents[2]  # of the repository
ARCHITECTURE = "short-chunk-resnet"
FEWEST = 24  # tracks of half a minute that make some full batches an epoch
ENOUGH = 40  # steps after which a loss must have fallen
BOUND, OURS, PLAIN, LOADER = NAMES = (
    "forward and backward alone", "mgr train", "a plain loop", "our loader alone",
)  # fmt: skip


@dataclass
class Runner:
    """A process that does some steps whenever it is asked to."""

    process: "subprocess.Popen[str]"

    def __call__(self) -> float:
        """Let it do its steps, and return the seconds that they took."""
        return float(self._asked("go"))

    def seen(self) -> steps.Seen:
        """Return what its steps were of."""
        return steps.Seen(**json.loads(self._asked("tell")))

    def _asked(self, word: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(word, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a process that trains ended with {self.process.wait()}")
        return answer


@contextmanager
def runner(who: str, folder: Path, name: str, n_steps: int) -> Iterator[Runner]:
    """Start a process of a contestant's own, as its user would; end it afterwards."""
    command = [sys.executable, "-m", "tests.benchmarks.steps", who, str(folder), name]
    with subprocess.Popen(
        [*command, str(n_steps)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield Runner(process)
        finally:
            process.kill()


def raced(folder: Path, name: str, n_steps: int, n_rounds: int) -> Turns:
    """Let all of them train a net on a prepared dataset, in turns."""
    with ExitStack() as stack:
        runners = {
            who: stack.enter_context(runner(key, folder.resolve(), name, n_steps))
            for who, key in zip(NAMES, steps.WHO, strict=True)
        }
        turns = take_turns(runners, n_rounds)
        check({who: each.seen() for who, each in runners.items()})
    return turns


def check(seen: dict[str, steps.Seen]) -> None:
    """See that they did the same.

    Raises
    ------
    UnfairError
        If nets or batches differ in size, or one that should learn does not.
    """
    sizes = {(each.n_parameters, tuple(each.shape)) for each in seen.values() if each.n_parameters}
    shapes = {tuple(each.shape) for each in seen.values()}
    if len(sizes) != 1 or len(shapes) != 1:
        raise UnfairError(f"nets or batches differ: {seen}")
    for who in (OURS, PLAIN):
        losses = np.array(seen[who].losses)
        n = len(losses) // 4
        if len(losses) >= ENOUGH and not losses[-n:].mean() < losses[:n].mean():
            raise UnfairError(f"{who}: after {len(losses)} steps the loss has not fallen")


def table(course: Course) -> Table:
    """Compare a step of `mgr train` with the loop that one writes first, and with its bound.

    The bound is the net's forward and backward pass on one batch that is in memory, as fast as we
    know how: channels-last, in the precision of the trainer, with freed memory kept. The rival
    holds all tracks in memory, takes random crops, in float32 and memory as it lies, with AdamW,
    no augmentation. Ours is the whole of `training.train`'s step: crops read from shards,
    Lightning, masks, mixup, running average, as the recipe has it. Fair, because nets have the
    same parameters and batches the same shape, and the loss of both falls, all of which is
    checked; ours does more. Each is a process of its own, which waits while others have their turn.
    """
    n_tracks = max(FEWEST, CLIPS_A_SONG * course.n_songs)
    music.laid_out(course.made("learnt"), course.files, n_tracks)
    dataset = prepare(course.folder / "learnt", target=course.folder, name="prepared").dataset
    turns = raced(dataset.root, ARCHITECTURE, course.n_steps, course.n_rounds)
    batch = registry.find(ARCHITECTURE).recipe.batch_size
    return compared(
        "train step",
        f"{course.n_steps} steps of `{ARCHITECTURE}` a turn, batches of {batch}.",
        turns,
        against=(BOUND, PLAIN),
        pace=Pace(course.n_steps, "steps a second", 1.0),
    )


def lines(folder: Path, names: Sequence[str], n_steps: int, n_rounds: int) -> Iterator[str]:
    """Yield a row an architecture, those of the README."""
    yield f"| | {OURS} | {PLAIN} | {PLAIN} / ours | ours / bound | loader / ours |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        turns = raced(folder, name, n_steps, n_rounds)
        pace = Pace(n_steps, "steps a second", 1.0)
        cells = [
            f"`{name}`", *(pace.of(turns.median(who)) for who in (OURS, PLAIN)),
            str(turns.ratio(PLAIN, OURS)), str(turns.ratio(OURS, BOUND)),
            str(turns.ratio(LOADER, OURS)),
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the rows of some architectures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--arch", nargs="+", default=[ARCHITECTURE])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    prepared.load(chosen.prepared)  # says in a line what is wrong with it
    for line in lines(chosen.prepared, chosen.arch, chosen.steps, chosen.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
