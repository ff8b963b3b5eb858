"""Figures of `mgr predict`: one song from a cold start, many songs, and memory.

    python -m tests.benchmarks.predict                   on songs that are synthesised
    python -m tests.benchmarks.predict --audio FOLDER    on four minutes each of real music

`cold` and `bulk` are parts of `python -m tests.benchmarks` too. *memory* is the peak of resident
memory of this process and of the largest of its workers, over songs, over one long file, and over
many short ones.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import soundfile

from mgr_cli.bulk import Order, predict_all
from mgr_cli.cores import n_cores
from mgr_cli.files import STATE
from mgr_cli.prediction import Predictor
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo.card import load_card
from tests.benchmarks import machine, music, rivals
from tests.benchmarks.course import Course
from tests.benchmarks.pools import pools
from tests.benchmarks.tables import Pace, Table, compared
from tests.benchmarks.turns import UnfairError, take_turns, timed

ROOT = Path(__file__).parents[2]  # of the repository
N_DIFFERENT = 4  # songs; more are the same again
TOLERANCE = 0.02  # of a pooled probability
OURS, RIVAL = "mgr predict", "librosa and torch"

MEMORY = """
import json, resource, sys
from pathlib import Path
from mgr_cli.bulk import Order, predict_all
folder, n_jobs, times, *names = sys.argv[1:]
paths = [Path(name) for name in names] * int(times)
order = Order(Path(folder), device="cpu", n_jobs=int(n_jobs))
bad = sum(record.status != "ok" for _, record in predict_all(paths, order))
# Of this process Linux would count what the one that started it had.
own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([len(paths), bad, int(own) // 1024, child // 1024]))
"""


def call(*arguments: object, state: Path | None = None) -> str:
    """Run Python, see that it ends well, and return what it prints.

    `state` is where it keeps journals; not in the folder of whoever measures.
    """
    command = [sys.executable, *map(str, arguments)]
    env = {**os.environ, **({STATE: str(state)} if state else {})}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=env
    ).stdout


def songs(course: Course) -> list[Path]:
    """Return the songs of a course, which are made once; some are there more than once."""
    folder = course.folder / "songs"
    n = min(course.n_songs, N_DIFFERENT)
    if not folder.exists():
        folder.mkdir()
        for number in range(n):
            path = folder / f"song-{number}.mp3"
            music.song(path, course.files, course.seconds, first=7 * number)
    return [folder / f"song-{number % n}.mp3" for number in range(course.n_songs)]


def cold(course: Course) -> Table:
    """Compare `mgr predict song.mp3` with `import torch`, and with a script, whole processes.

    The bound is a process that imports torch and does nothing: who needs torch cannot be faster.
    The rival is a script: `librosa.load`, `melspectrogram`, the same net by torch. Fair, because
    both judge the same song by the same entry from the same standing start, files being in the
    system's cache, and it is checked that both name the same genre.
    """
    song, entry = songs(course)[0], course.entry.resolve()
    ours = ("-m", "mgr_cli", "predict", song, "--model", entry, "--device", "cpu")
    rival = ("-c", rivals.COLD_SCRIPT, entry, song)
    state = course.made("state")
    run = partial(call, state=state)
    genre = json.loads(run(*ours, "--json"))["genre"]
    theirs = load_card(entry).classes[int(np.argmax(json.loads(run(*rival))))]
    if genre != theirs:
        raise UnfairError(f"{song.name} is {genre}, by librosa and torch {theirs}")
    turns = take_turns(
        {
            "import torch alone": timed(lambda: run("-c", "import torch")),
            OURS: timed(lambda: run(*ours)),
            RIVAL: timed(lambda: run(*rival)),
        },
        course.n_rounds,
    )
    return compared(
        "predict, cold",
        f"One song of {course.seconds:g} s, whole processes, `{entry.name}`; same genre.",
        turns,
        against=("import torch alone", RIVAL),
    )


@lru_cache(maxsize=1)
def _judge(entry: Path) -> tuple[object, object]:
    card = load_card(entry)
    return card, weights.load_net(entry, card)


def bulk(course: Course) -> Table:
    """Compare predicting many songs with decoding alone, and with a loop of a script.

    The bound decodes, averages channels and resamples, in as many processes. There are two
    rivals, which are told by time: the script's loop, one song after the other in one process
    whose net has all cores, and the same loop in as many processes as ours has, a thread each.
    Ours also alone in this process. Imports and the loading of the net are not counted for the
    rivals; of ours its processes start anew in every turn, as in every run. Fair, because the
    same songs are judged by the same net, and genres and probabilities are checked on each.
    """
    paths, entry, n_jobs = songs(course), course.entry, course.n_jobs
    worst = check(sorted(set(paths)), entry)
    judge = partial(judged, entry=entry)
    with pools(n_jobs) as pool:
        turns = take_turns(
            {
                "decoding alone": pool(rivals.decode, paths),
                OURS: timed(lambda: predicted(paths, entry, n_jobs)),
                f"{OURS} --jobs 1": timed(lambda: predicted(paths, entry, 1)),
                f"{RIVAL}, in {n_jobs} processes": pool(judge, paths),
                RIVAL: timed(lambda: [judge(path) for path in paths]),
            },
            course.n_rounds,
        )
    return compared(
        "predict, bulk",
        f"{len(paths)} songs of {course.seconds:g} s, {n_jobs} processes, `{entry.name}`; the "
        f"same genres, probabilities within {worst:.3f}.",
        turns,
        against=("decoding alone", RIVAL),
        pace=Pace(len(paths), "songs a minute"),
    )


def predicted(paths: Sequence[Path], entry: Path, n_jobs: int) -> None:
    """Predict as `mgr predict` does.

    Raises
    ------
    RuntimeError
        If a song was not judged: what fails is fast.
    """
    for _, record in predict_all(paths, Order(entry, device="cpu", n_jobs=n_jobs)):
        if record.status != "ok":
            raise RuntimeError(record.error)


def judged(path: Path, entry: Path) -> np.ndarray:
    """Judge a song as the rival does; the net is loaded once a process."""
    card, net = _judge(entry)
    return rivals.probabilities(path, card, net)  # type: ignore[arg-type]


def check(paths: Sequence[Path], entry: Path) -> float:
    """Return by how much our probabilities and the rival's differ at the most.

    Raises
    ------
    UnfairError
        If that is more than roundings do, or the genre is another one.
    """
    predictor = Predictor.load(entry, device="cpu")
    worst = 0.0
    for path in paths:
        ours = predictor.from_file(path).segment_probs.mean(axis=0)
        theirs = judged(path, entry)
        worst = max(worst, float(np.abs(ours - theirs).max()))
        if ours.argmax() != theirs.argmax() or worst > TOLERANCE:
            raise UnfairError(f"{path.name}: probabilities differ by {worst:.3f}")
    return worst


def memory(course: Course, hours: float) -> None:
    """Print peaks of memory."""
    paths, n_jobs, entry = songs(course), course.n_jobs, course.entry.resolve()
    samples, rate = soundfile.read(paths[0], dtype="int16", always_2d=True)
    with soundfile.SoundFile(course.folder / "long.flac", "w", rate, samples.shape[1]) as file:
        for _ in range(round(hours * 3600 * rate / len(samples))):
            file.write(samples)
    soundfile.write(course.folder / "short.flac", samples[: 2 * rate], rate)
    cases: dict[str, tuple[int, int, Sequence[Path]]] = {
        f"{len(paths)} songs": (n_jobs, 1, paths),
        f"{hours:g} h, this process alone": (1, 1, [course.folder / "long.flac"]),
        f"{hours:g} h, twice, with a crew": (n_jobs, 2, [course.folder / "long.flac"]),
        "10,000 of 2 s": (n_jobs, 10_000, [course.folder / "short.flac"]),
    }
    for name, (jobs, times, files) in cases.items():
        start = time.perf_counter()
        n, bad, own, child = json.loads(call("-c", MEMORY, entry, jobs, times, *files))
        assert not bad
        print(
            f"  {name:32} {own:6} MiB here, {child:6} in a worker, {n} files in "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--audio", type=Path, help="folder of real music, of any length")
    parser.add_argument("--entry", type=Path, help="default: the zoo's")
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=n_cores())
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument(
        "--parts", nargs="+", choices=("cold", "bulk", "memory"), default=["cold", "bulk", "memory"]
    )
    chosen = parser.parse_args()
    print(machine.told(machine.describe()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        course = Course(
            Path(folder), tuple(music.pieces(Path(folder), chosen.audio)),
            chosen.entry or entries.default_entry(), chosen.jobs,
            n_rounds=chosen.rounds, n_songs=chosen.songs,
        )  # fmt: skip
        for part in [each for each in (cold, bulk) if each.__name__ in chosen.parts]:
            print(part(course).markdown(), flush=True)
        if "memory" in chosen.parts:
            memory(course, chosen.hours)


if __name__ == "__main__":
    main()
