"""Figures of the audit: what it finds, how long it takes, how much memory.

    python tests/benchmarks/audit.py search              100,000 synthetic tracks, and the rival
    python tests/benchmarks/audit.py listen PREPARED     a prepared dataset, with planted copies

The rival of `search` computes all cosines at once and sorts each row. The rival of `listen`
aligns all pairs of its first tracks; what the search leaves out shows as lost repeats.
"""

import argparse
import resource
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from mgr_cli.data import prepared as datasets
from mgr_cli.data.audit import audit
from mgr_cli.data.fingerprint import MIN_SCORE, Sketch, align, describe, sketch
from mgr_cli.data.nearest import N_COMPONENTS, N_NEIGHBOURS, candidates, neighbours, whiten
from mgr_cli.data.store import OK

N_VALUES = 248  # of a description
N_PLANTED = 100


def measured(what: str, call: Callable[[], object]) -> None:
    """Print CPU seconds, then the peak of memory in a second run that tracemalloc slows."""
    start = time.process_time()
    call()
    seconds = time.process_time() - start
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f"{what:48} {seconds:8.1f} s CPU {peak:8.0f} MiB", flush=True)


def naive(vectors: np.ndarray) -> np.ndarray:
    cosines = vectors @ vectors.T
    return np.argsort(-cosines, axis=1)[:, : N_NEIGHBOURS + 1]


def search(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    for n in sizes:
        numbers = np.arange(n)
        tracks = pd.DataFrame(
            {
                "track_id": numbers.astype(str), "genre": "rock", "seconds": 30.0, "status": OK,
                "split": rng.choice(["train", "valid", "test"], n),
                "artist": [f"artist {number // 10}" for number in numbers], "album": "",
                "digest": [f"{number % (n - N_PLANTED)}" for number in numbers],
            }
        )  # fmt: skip
        measured(f"{n:7,} tracks: table alone", partial(audit, tracks, None))
        descriptions = rng.normal(size=(n, N_VALUES)).astype(np.float32)
        measured(f"{n:7,} tracks: whitening", partial(whiten, descriptions))
        vectors = whiten(descriptions)[:, :N_COMPONENTS]
        measured(f"{n:7,} tracks: neighbours", partial(neighbours, vectors))
        if n <= 10_000:
            measured(f"{n:7,} tracks: neighbours, rival", partial(naive, vectors))


def listen(root: Path, n_rival: int) -> None:
    dataset = datasets.load(root)
    reader = dataset.reader()
    start = time.process_time()
    found = audit(dataset.tracks, reader)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{found.n_tracks} tracks, {len(found.findings)} findings, {len(found.leaks)} leaks: "
        f"{seconds:.1f} s CPU, {peak:.0f} MiB resident (mapped shards and imports included)"
    )
    numbers = np.flatnonzero((dataset.tracks.status == OK).to_numpy())
    rate = float(reader.n_rows(int(numbers[0])) / dataset.tracks.seconds[numbers[0]])
    levels = [reader.frames(int(number)) for number in numbers]
    sketches = [sketch(track, frame_rate=rate) for track in levels]
    planted(levels, sketches, rate)
    rival(sketches, n_rival)


def copies(levels: np.ndarray, rate: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    def noise(sd: float) -> np.ndarray:
        return rng.normal(0, sd, levels.shape).astype(np.float32)

    n_columns, later = levels.shape[1], round(5 * rate)
    return {
        "6 dB softer": np.clip(levels - 6 / 80, 0, 1),
        "noise of 4 dB on every level": np.clip(levels + noise(4 / 80), 0, 1),
        "noise floor at -56 dB": np.maximum(levels, 0.3),
        "upper quarter of the bands cut off": np.where(np.arange(128)[:, None] < 96, levels, 0),
        "starts 5 s later": levels[:, later:],
        "starts 5 s later, between columns": (levels[:, later:-1] + levels[:, later + 1 :]) / 2,
        "first half": levels[:, : n_columns // 2],
        "10 s from the middle": levels[:, n_columns // 3 : 2 * n_columns // 3],
    }


def planted(levels: list[np.ndarray], sketches: list[Sketch], rate: float) -> None:
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(levels), N_PLANTED, replace=False)
    made = [copies(levels[number], rate, rng) for number in chosen]
    described = np.stack([describe(track) for track in sketches])
    for name in made[0]:
        new = [sketch(row[name], frame_rate=rate) for row in made]
        pairs = candidates(np.concatenate([described, [describe(track) for track in new]]))
        listed = set(map(tuple, pairs.tolist()))
        near = [(int(n), len(levels) + i) in listed for i, n in enumerate(chosen)]
        score = [align(sketches[n], new[i]).score >= MIN_SCORE for i, n in enumerate(chosen)]
        both = np.logical_and(near, score)
        print(
            f"planted, {name:36} candidates {np.mean(near):4.0%}  alignment {np.mean(score):4.0%}"
            f"  found {both.mean():4.0%}"
        )


def rival(sketches: list[Sketch], n: int) -> None:
    some = sketches[:n]
    start = time.process_time()
    listed = set(map(tuple, candidates(np.stack([describe(track) for track in some])).tolist()))
    ours = {pair for pair in listed if align(some[pair[0]], some[pair[1]]).score >= MIN_SCORE}
    middle = time.process_time()
    every = {
        (a, b) for a, b in combinations(range(len(some)), 2)
        if align(some[a], some[b]).score >= MIN_SCORE
    }  # fmt: skip
    end = time.process_time()
    print(
        f"{len(some)} tracks: {len(ours)} pairs in {middle - start:.1f} s CPU; "
        f"all pairs aligned: {len(every)} in {end - middle:.1f} s CPU; lost {len(every - ours)}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("search").add_argument(
        "--sizes", type=int, nargs="+", default=[10_000, 100_000]
    )
    heard = commands.add_parser("listen")
    heard.add_argument("prepared", type=Path)
    heard.add_argument("--rival", type=int, default=1_000, help="tracks that it aligns")
    chosen = parser.parse_args()
    if chosen.what == "search":
        search(chosen.sizes)
    else:
        listen(chosen.prepared, chosen.rival)
