"""What crews are told to do by tests; a module that is light, because workers import it."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mgr_cli.errors import AudioError
from mgr_cli.zoo.card import Card


def obey(path: Path) -> Iterator[Any]:
    """Give the name of a file, and end as it says."""
    yield path.name
    match path.stem.split("-"):
        case ["signal", number]:
            os.kill(os.getpid(), int(number))
        case ["exit", code]:
            os._exit(int(code))
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["refuse", *_]:
            raise AudioError(f"{path}: refused")
        case ["fail", *_]:
            raise RuntimeError("no one\nforesaw this")
        case ["large", size]:
            for _ in range(10):
                yield np.zeros(int(size), np.uint8)
    yield "done"


def tell(path: Path) -> Iterator[Any]:
    """Give the worker's number, its group, and how many threads NumPy may take."""
    yield os.getpid()
    yield os.getpgrp() if sys.platform != "win32" else 0
    yield os.environ["OMP_NUM_THREADS"]


def print_loudly(path: Path) -> Iterator[Any]:
    os.write(1, b"x" * 1000)
    print("in the way", flush=True)
    yield "done"


def count_up(path: Path, *, folder: Path) -> Iterator[Any]:
    """Give large pieces, and leave a file for each."""
    for number in range(100):
        (folder / f"{number}").touch()
        yield np.zeros(2**20, np.uint8)


def crashing(path: Path, *, card: Card, at_once: int) -> Iterator[Any]:
    """Read a song as `bulk` does, and die over one of them after its first segments."""
    from mgr_cli.bulk import segments_of

    for thing in segments_of(path, card=card, at_once=at_once):
        yield thing
        if path.name == "3.wav":
            os._exit(11)
