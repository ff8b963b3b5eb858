"""What `mgr prepare` takes where there are very many tracks or very long ones, and where time goes.

These are commands of `python -m tests.benchmarks.prepare`. There is nobody to compare with.
"""

import cProfile
import pstats
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from mgr_cli.config import FeatureSpec
from mgr_cli.cores import n_cores
from mgr_cli.data import extraction
from mgr_cli.data.audit import audit
from mgr_cli.data.sources import Wishes
from mgr_cli.plans import Kind, Plan
from mgr_cli.preparation import Preparation, prepare
from tests.benchmarks.music import laid_out

RATE = 22_050
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


def run(
    root: Path, kinds: tuple[Kind, ...], n_jobs: int, *, spec: FeatureSpec | None = None
) -> Preparation:
    """Prepare a folder into another that is deleted."""
    with tempfile.TemporaryDirectory() as target:
        wishes = Wishes(features=kinds, spec=spec)
        return prepare(root, target=Path(target), name="set", wishes=wishes, n_jobs=n_jobs)


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
        run(Path(folder) / "set", ("log-mel",), n_cores())
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
