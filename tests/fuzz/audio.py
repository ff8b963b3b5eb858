"""Read thousands of broken audio files, and count what comes of them.

    python -m tests.fuzz.audio --n 2000 --seed 0 [--real FOLDER] [--jobs 2]
    python -m tests.fuzz.audio --seed 0 --only 1234      one of them again, with its text
    python -m tests.fuzz.audio --seed 0 --only flac_of_silence

A case is decided by the seed and its number alone. Each is read as prediction reads a song, in
a process of its own with little memory, see `trial`. What may come of it is a song or one line
that says why not; all else is printed in capitals, and the run exits 1.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import mgr_cli
from mgr_cli.zoo.card import Card, load_card
from tests.fuzz import songs as whole
from tests.fuzz.changes import BOMBS, CHANGES, Change
from tests.fuzz.damage import DAMAGES
from tests.fuzz.songs import Song
from tests.fuzz.traps import TRAPS
from tests.fuzz.trial import Outcome, judge

ENTRIES = {
    "log-mel": "short-chunk-resnet-gtzan",
    "waveform": "wave-cnn1d-emotify",
    "handcrafted": "logistic-regression-emotify",
}
WAVEFORM_EVERY, HANDCRAFTED_EVERY = 10, 25  # cases
TRAP_SHARE, CHANGE_SHARE = 0.2, 0.03
N_REAL = 3  # recordings that are encoded in every format
SECONDS = 60.0
BOMB_SECONDS = 600.0


@dataclass(frozen=True)
class Case:
    """A file to be read, and what happens to it meanwhile."""

    recipe: str
    song: str
    path: Path
    change: Change | None = None


def build(number: int | str, seed: int, songs: Sequence[Song], folder: Path) -> Case:
    """Make the file of a case in an empty folder."""
    if isinstance(number, str):
        return Case(number, "", BOMBS[number](folder))
    rng = np.random.default_rng([seed, number])
    chance = rng.random()
    if chance < TRAP_SHARE:
        name = str(rng.choice(list(TRAPS)))
        return Case(name, "", TRAPS[name](rng, folder, songs))
    song = songs[int(rng.integers(len(songs)))]
    if chance < TRAP_SHARE + CHANGE_SHARE:
        name = str(rng.choice(list(CHANGES)))
        path = folder / f"a.{song.suffix}"
        path.write_bytes(song.data)
        return Case(name, song.name, path, CHANGES[name])
    name = str(rng.choice(list(DAMAGES)))
    data = DAMAGES[name](rng, song.data, songs)
    if rng.random() < 0.1:  # and once more
        data = DAMAGES[str(rng.choice(list(DAMAGES)))](rng, data or b"\0", songs)
    path = folder / f"a.{song.suffix}"
    path.write_bytes(data)
    return Case(name, song.name, path)


def kind_of(number: int | str) -> str:
    """Say which features a case is read for."""
    if isinstance(number, int) and number % HANDCRAFTED_EVERY == 3:
        return "handcrafted"
    if isinstance(number, int) and number % WAVEFORM_EVERY == 7:
        return "waveform"
    return "log-mel"


def run(
    number: int | str, *, seed: int, songs: Sequence[Song], cards: dict[str, Card], root: Path
) -> tuple[int | str, str, str, Outcome]:
    """Make a case, read it, and clear it away."""
    folder = root / str(number)
    folder.mkdir()
    folder.chmod(0o755)
    try:
        case = build(number, seed, songs, folder)
        change = case.change
        rng = np.random.default_rng([seed, 1])
        data = case.path.read_bytes() if change else b""
        outcome = judge(
            case.path,
            cards[kind_of(number)],
            away=root / f"{number}.away",
            seconds=SECONDS if isinstance(number, int) else BOMB_SECONDS,
            change=(lambda path: change(rng, path, data)) if change else None,
            as_nobody=case.recipe == "unreadable" and os.geteuid() == 0,
        )
        return number, case.recipe, case.song, outcome
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(root / f"{number}.away", ignore_errors=True)
        (root / f"{number}.away.said").unlink(missing_ok=True)


def outcomes(
    numbers: Sequence[int | str], *, seed: int, real: Path | None, jobs: int, light: bool = False
) -> Iterator[tuple[int | str, str, str, Outcome]]:
    """Run the cases, some at a time, and yield number, recipe, song and outcome of each."""
    zoo = Path(mgr_cli.__file__).parent.parent / "zoo"
    cards = {kind: load_card(zoo / name) for kind, name in ENTRIES.items()}
    if light:
        cards["handcrafted"] = cards["log-mel"]
    songs = whole.tones() if real is None else [*whole.tones(), *whole.real(real, N_REAL)]
    with tempfile.TemporaryDirectory(prefix="mgr-fuzz-") as name:
        Path(name).chmod(0o755)
        work = partial(run, seed=seed, songs=songs, cards=cards, root=Path(name))
        if jobs == 1:
            yield from map(work, numbers)
            return
        with get_context("fork").Pool(jobs) as pool:
            yield from pool.imap_unordered(work, numbers, chunksize=1)


def table(counts: dict[str, Counter[str]]) -> str:
    """Lay out how often each recipe had each outcome."""
    kinds = sorted({kind for row in counts.values() for kind in row})
    lines = [f"{'':24}" + "".join(f"{number:>6}" for number in range(len(kinds)))]
    for recipe in sorted(counts):
        row = counts[recipe]
        lines.append(f"{recipe:24}" + "".join(f"{row[kind] or '':>6}" for kind in kinds))
    sums = [sum(row[kind] for row in counts.values()) for kind in kinds]
    lines.append(f"{'all':24}" + "".join(f"{number:>6}" for number in sums))
    return "\n".join([*lines, *(f"{number:6} = {kind}" for number, kind in enumerate(kinds))])


def main() -> int:
    """Run the cases and print what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, help="folder of recordings to break as well")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="number of a case, or name of a bomb")
    parser.add_argument("--no-bombs", action="store_true")
    parser.add_argument("--light", action="store_true", help="log-mels and waveforms alone")
    asked = parser.parse_args()
    numbers: list[int | str] = list(range(asked.n))
    if not asked.no_bombs:
        numbers = [*BOMBS, *numbers]
    if asked.only:
        numbers = [int(asked.only) if asked.only.isdecimal() else asked.only]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    longest, largest, n_faults, n_loud = (0.0, ""), (0, ""), 0, 0
    for number, recipe, song, outcome in outcomes(
        numbers, seed=asked.seed, real=asked.real, jobs=asked.jobs, light=asked.light
    ):
        counts[recipe][outcome.kind] += 1
        label = f"{number} {recipe} {song}".strip()
        longest = max(longest, (outcome.seconds, label))
        largest = max(largest, (outcome.peak, label))
        n_faults += outcome.is_fault
        n_loud += bool(outcome.chatter)
        if outcome.is_fault or asked.only or isinstance(number, str):
            spent = f"{outcome.seconds:.1f} s, {outcome.peak / 2**20:.0f} MB"
            print(f"{label}: {outcome.kind} {outcome.text[-1500:]} ({spent})", flush=True)
    print(table(counts))
    print(f"longest {longest[0]:.1f} s: {longest[1]}")
    print(f"most memory {largest[0] / 2**20:.0f} MB: {largest[1]}")
    print(f"{n_loud} of them made a decoder write to stderr")
    print(f"{sum(sum(row.values()) for row in counts.values())} files, {n_faults} faults")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main())
