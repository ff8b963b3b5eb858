"""Small sets of pictures to test with."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = ("track_id", "path", "genre", "split")


def draw(path: Path, *, seed: int, size: tuple[int, int] = (16, 20)) -> Path:
    """Write a grey picture of (rows, columns) pixels of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(grey).save(path)
    return path


def write_table(
    root: Path, rows: Iterable[Sequence[str]], *, header: Sequence[str] = HEADER
) -> Path:
    """Write the `tracks.csv` of a folder."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "tracks.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return root


def write_set(root: Path, *, n_tracks: int = 12, seed: int = 0) -> Path:
    """Write n pictures of two genres, of which every third is for testing, and their table."""
    rows = []
    for number in range(n_tracks):
        genre = ("blues", "rock")[number % 2]
        split = "test" if number % 3 == 2 else "train"
        draw(root / genre / f"{number:02d}.png", seed=seed + number)
        rows.append((f"{number:02d}", f"{genre}/{number:02d}.png", genre, split))
    return write_table(root, rows)
