"""How cost grows: with the length of a track, with their number, with workers.

Nobody is compared with anybody here; a size takes turns with the others of its kind of work. What
is told is time a unit, the ratio of it to that of the smallest size, which is 1 where cost grows
linearly, and the exponent e of seconds ∝ sizeᵉ by least squares, 1 where it does.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mgr_cli.data import extraction
from mgr_cli.extraction import HANDCRAFTED_SECONDS
from mgr_cli.plans import Kind, Plan
from mgr_cli.prediction import Predictor
from tests.benchmarks import music
from tests.benchmarks.bookkeeping import run
from tests.benchmarks.course import CLIPS_A_SONG, Course
from tests.benchmarks.predict import predicted, songs
from tests.benchmarks.prepare import LIBROSA
from tests.benchmarks.tables import Growth, Table, grown
from tests.benchmarks.turns import Contestant, take_turns, timed

SHORT = 5.0  # seconds of a track where there are many: what each costs besides its music shows
MEL, FEATURES, PREDICT = "log-mels", "518 features", "predict"


def by_length(course: Course) -> Table:
    """Measure what a minute of music costs in tracks of several lengths, in this process.

    The same music, coded alike, is read whole each time: log-mels and the 518 features as
    `mgr prepare` computes them, files being neither digested nor written, and `Predictor` with an
    entry that is loaded. Of the 518 features only lengths that are used whole are measured, up to
    ten minutes, and what is longer costs no more than these.
    """
    folder = course.made("lengths")
    paths = {
        seconds: music.song(folder / f"{seconds:g}.mp3", course.files, seconds)
        for seconds in course.lengths
    }
    predictor = Predictor.load(course.entry, device="cpu", threads=1)
    works: dict[str, Callable[[Path], object]] = {
        MEL: partial(computed, kind="log-mel"),
        FEATURES: partial(computed, kind="handcrafted"),
        PREDICT: predictor.from_file,
    }
    contestants: dict[str, Contestant] = {}
    growths = []
    for name, work in works.items():
        sizes = {}
        for seconds, path in paths.items():
            if name != FEATURES or seconds <= HANDCRAFTED_SECONDS:
                contestants[f"{name}, {seconds:g} s"] = timed(partial(work, path))
                sizes[f"{name}, {seconds:g} s"] = seconds / 60
        growths.append(Growth(name, "minute", sizes, sizes))
    turns = take_turns(contestants, course.fewer_rounds)
    return grown(
        "growth with length",
        f"One track, one process, `{course.entry.name}` where it is judged.",
        turns,
        labels=[length_of(seconds) for seconds in course.lengths],
        works=growths,
    )


def by_number(course: Course) -> Table:
    """Measure what a track costs where there are few or many, short ones.

    `mgr prepare` with all that it does, and `mgr predict`, whose processes start in each turn:
    that is what a track of few costs more.
    """
    folder = course.made("short")
    files = [
        music.song(folder / f"{number}.mp3", course.files, SHORT, first=number)
        for number in range(min(len(course.files), course.tracks[0]))
    ]
    contestants: dict[str, Contestant] = {}
    prepared, judged = {}, {}
    for n in course.tracks:
        root = course.made(f"many-{n}")
        paths = music.laid_out(root, files, n)
        prepared[f"prepare, {n}"] = judged[f"{PREDICT}, {n}"] = float(n)
        contestants[f"prepare, {n}"] = timed(
            partial(run, root, ("log-mel",), course.n_jobs, spec=LIBROSA)
        )
        contestants[f"{PREDICT}, {n}"] = timed(
            partial(predicted, paths, course.entry, course.n_jobs)
        )
    return grown(
        "growth with number",
        f"Tracks of {SHORT:g} s, {course.n_jobs} processes.",
        take_turns(contestants, course.fewer_rounds),
        labels=[f"{n:,} tracks" for n in course.tracks],
        works=(
            Growth("prepare", "track", prepared, prepared),
            Growth(PREDICT, "track", judged, judged),
        ),
    )


def by_workers(course: Course) -> Table:
    """Measure what tracks cost with one process, with two, and so on up to the cores.

    Time should fall as their number grows: the ratio to linear says how many times as long n
    processes take as the n-th part of what one takes, and the exponent is -1 where that is 1.
    """
    root, n_tracks = course.made("shared"), CLIPS_A_SONG * course.n_songs
    told = length_of(music.seconds_of(music.laid_out(root, course.files, n_tracks)) / n_tracks)
    paths = songs(course)
    contestants: dict[str, Contestant] = {}
    workers = list(doubled(course.n_jobs))
    for n in workers:
        contestants[f"prepare, {n}"] = timed(partial(run, root, ("log-mel",), n, spec=LIBROSA))
        contestants[f"{PREDICT}, {n}"] = timed(partial(predicted, paths, course.entry, n))
    works = [
        Growth(name, unit, dict.fromkeys(who, float(n_units)), who, linear=-1)
        for name, unit, n_units, who in (
            ("prepare", "track", n_tracks, {f"prepare, {n}": float(n) for n in workers}),
            (PREDICT, "song", len(paths), {f"{PREDICT}, {n}": float(n) for n in workers}),
        )
    ]
    return grown(
        "growth with workers",
        f"{n_tracks} tracks of {told} prepared, {len(paths)} songs of "
        f"{length_of(course.seconds)} judged.",
        take_turns(contestants, course.fewer_rounds),
        labels=[f"{n} process{'es' * (n > 1)}" for n in workers],
        works=works,
    )


def computed(path: Path, kind: Kind) -> None:
    """Compute what `mgr prepare` does of a file, and let it go."""
    for rows in extraction.read(path, Plan((kind,), LIBROSA)).features.values():
        for _ in rows:
            pass


def doubled(most: int) -> Iterator[int]:
    """Yield 1, 2, 4 … and the most."""
    n = 1
    while n < most:
        yield n
        n *= 2
    yield most


def length_of(seconds: float) -> str:
    """Write a length as people say it."""
    return f"{seconds:.3g} s" if seconds < 60 else f"{seconds / 60:.3g} min"
