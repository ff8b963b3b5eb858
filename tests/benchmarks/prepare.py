"""Figures of `mgr prepare`: how near it comes to decoding alone, and how much memory it takes.

    python -m tests.benchmarks.prepare speed AUDIO...        ratios of several runs, side by side
    python -m tests.benchmarks.prepare handcrafted AUDIO...  the same for the 518 features
    python -m tests.benchmarks.prepare where AUDIO...        where a track's time goes, one process
    python -m tests.benchmarks.prepare tracks 100000         bookkeeping for so many tracks
    python -m tests.benchmarks.prepare files 100000          so many short files
    python -m tests.benchmarks.prepare long 3                one file of so many hours

`speed` compares three ways to get through the same files with as many processes: the bound,
which only decodes (soundfile), averages and resamples (soxr); the rival, `librosa.load` and
`librosa.feature.melspectrogram`; and `prepare`, which also makes the splits and the table,
takes the digest of each file and writes its shards. All processes are warm.
"""

import argparse
import cProfile
import os
import pstats
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from joblib import Parallel, delayed

from mgr_cli.data import extraction
from mgr_cli.data.sources import Wishes
from mgr_cli.plans import Kind, Plan
from mgr_cli.preparation import Preparation, prepare

ROUNDS = 3
RATE = 22_050


def decode(path: Path) -> int:
    """Do what cannot be left out."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        mono += samples[:, channel]
    mono /= samples.shape[1]
    return len(soxr.resample(mono, rate, RATE, quality="HQ") if rate != RATE else mono)


def with_librosa(path: Path) -> np.ndarray:
    """Do what a tutorial does."""
    import librosa

    waveform, rate = librosa.load(path, sr=RATE)
    power = librosa.feature.melspectrogram(y=waveform, sr=rate)
    levels: np.ndarray = librosa.power_to_db(power, ref=np.max)
    return levels.astype(np.float16)


def features_with_librosa(path: Path) -> np.ndarray:
    """Do what FMA's script does, at the file's own rate."""
    from tests.benchmarks.handcrafted import plain_librosa, read

    features: np.ndarray = plain_librosa(*read(path), "corrected")
    return features


def laid_out(root: Path, files: Sequence[Path], n_tracks: int) -> list[Path]:
    """Make a folder of two genres with so many tracks, links to the files."""
    paths = []
    for number in range(n_tracks):
        file = files[number % len(files)]
        path = root / ("a", "b")[number % 2] / f"{number:06d}{file.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(file.resolve())
        paths.append(path)
    return paths


def run(root: Path, kinds: tuple[Kind, ...], n_jobs: int) -> Preparation:
    with tempfile.TemporaryDirectory() as target:
        wishes = Wishes(features=kinds)
        return prepare(root, target=Path(target), name="set", wishes=wishes, n_jobs=n_jobs)


def speed(
    files: Sequence[Path], *, kinds: tuple[Kind, ...], rival: Callable[[Path], object],
    n_tracks: int, n_jobs: int,
) -> None:  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = laid_out(root, files, n_tracks)

        def pooled(work: Callable[[Path], object]) -> None:
            Parallel(n_jobs=n_jobs)(delayed(work)(path) for path in paths)

        ways: dict[str, Callable[[], object]] = {
            "bound": lambda: pooled(decode),
            "prepare": lambda: run(root, kinds, n_jobs),
            "librosa": lambda: pooled(rival),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():  # the first time, processes start and import
            way()
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
    hours = sum(soundfile.info(path).duration for path in files) / len(files) * n_tracks / 3600
    print(f"{n_tracks} tracks, {hours:.2f} h, {n_jobs} processes, median of {ROUNDS}")
    for name, each in seconds.items():
        middle = statistics.median(each)
        ratios = [own / bound for own, bound in zip(each, seconds["bound"], strict=True)]
        print(
            f"{name:8} {middle:7.2f} s  {60 * n_tracks / middle:8.0f} tracks a minute  "
            f"{statistics.median(ratios):5.2f} of the bound [{min(ratios):.2f}, {max(ratios):.2f}]"
        )


PARTS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "log-mel": {
        "decoding": ("_cdata_io",),
        "resampling": ("resample_chunk",),
        "Fourier transform": ("_raw_fft",),
        "the rest of the log-mel": ("_transform",),
    },
    "handcrafted": {
        "decoding": ("_cdata_io",),
        "constant-Q and what follows": ("_tonal",),
        "STFT of the other families": ("magnitudes",),
        "MFCC": ("_mfcc",),
        "contrast": ("contrast",),
        "roll-off": ("rolloff",),
    },
}
"""Functions whose time, with all that they call, is shown; a part is less what stands above it."""


def where(files: Sequence[Path]) -> None:
    """Print the milliseconds a track of the main parts, by the profiler."""
    for kind, parts in PARTS.items():
        plan = Plan((kind,))

        def go(plan: Plan = plan) -> None:
            for path in files:
                for rows in extraction.read(path, plan).features.values():
                    for _ in rows:
                        pass

        go()  # imports
        profile = cProfile.Profile()
        profile.runcall(go)
        spent: dict[str, float] = {}
        for (_, _, function), row in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
            spent[function] = spent.get(function, 0.0) + row[3]
        print(f"{kind}: {1e3 * spent['go'] / len(files):.1f} ms a track")
        for part, functions in parts.items():
            seconds = sum(spent.get(function, 0.0) for function in functions)
            if functions == ("_transform",):
                seconds -= spent["_raw_fft"]
            print(f"    {part:30} {1e3 * seconds / len(files):6.1f} ms")


def peak() -> float:
    """Return the largest resident memory so far, of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tracks(n_tracks: int) -> None:
    """Prepare a table of so many made-up tracks, and audit it."""
    from mgr_cli.data.audit import audit

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        with table.open("w") as file:
            file.write("track_id,genre,artist," + ",".join(f"x{n}" for n in range(8)) + "\n")
            for number in range(n_tracks):
                values = ",".join(f"{value:.4f}" for value in rng.normal(size=8))
                file.write(f"{number},genre {number % 16},artist {number // 10},{values}\n")
        before, start = peak(), time.perf_counter()
        made = prepare(table, target=Path(folder), name="set", n_jobs=1)
        middle, after = time.perf_counter(), peak()
        found = audit(made.dataset.tracks, None, handcrafted=made.dataset.vectors())
        end = time.perf_counter()
    print(f"{n_tracks} tracks: manifest, splits, shards and table in {middle - start:.1f} s")
    print(f"audit by name, digest and features in {end - middle:.1f} s: {len(found.findings)}")
    print(f"peak: {before:.0f} MiB at the start, {after:.0f} prepared, {peak():.0f} audited")


def short(n_tracks: int) -> None:
    """Prepare so many files of a third of a second."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "short.wav"
        soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal(8_000), RATE)
        laid_out(Path(folder) / "set", [file], n_tracks)
        start = time.perf_counter()
        run(Path(folder) / "set", ("log-mel",), os.cpu_count() or 1)
        print(f"{n_tracks} files: {time.perf_counter() - start:.0f} s, peak {peak():.0f} MiB")


def long(hours: float) -> None:
    """Prepare one long track, all kinds of features, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set" / "a" / "long.flac"
        path.parent.mkdir(parents=True)
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 44_100, 2, subtype="PCM_16") as file:
            for _ in range(round(hours * 60)):
                file.write(0.1 * rng.standard_normal((60 * 44_100, 2)))
        for kinds in (("log-mel",), ("log-mel", "waveform"), ("handcrafted",)):
            start = time.perf_counter()
            made = run(path.parents[1], kinds, 1)
            print(
                f"{made.dataset.tracks.seconds[0] / 3600:.1f} h, {', '.join(kinds)}: "
                f"{time.perf_counter() - start:.1f} s, peak {peak():.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    for name, n_default in (("speed", 240), ("handcrafted", 24)):
        timed = commands.add_parser(name)
        timed.add_argument("audio", type=Path, nargs="+", help="files or folders")
        timed.add_argument("--tracks", type=int, default=n_default)
        timed.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    commands.add_parser("where").add_argument(
        "audio", type=Path, nargs="+", help="files or folders"
    )
    commands.add_parser("tracks").add_argument("n", type=int, nargs="?", default=100_000)
    commands.add_parser("files").add_argument("n", type=int, nargs="?", default=100_000)
    commands.add_parser("long").add_argument("hours", type=float, nargs="?", default=3.0)
    chosen = parser.parse_args()
    if chosen.what == "tracks":
        tracks(chosen.n)
    elif chosen.what == "files":
        short(chosen.n)
    elif chosen.what == "long":
        long(chosen.hours)
    else:
        files = [
            file
            for path in chosen.audio
            for file in (sorted(path.rglob("*.mp3")) if path.is_dir() else [path])
        ]
        if chosen.what == "where":
            where(files)
            raise SystemExit
        mels = chosen.what == "speed"
        speed(
            files,
            kinds=("log-mel",) if mels else ("handcrafted",),
            rival=with_librosa if mels else features_with_librosa,
            n_tracks=chosen.tracks,
            n_jobs=chosen.jobs,
        )
