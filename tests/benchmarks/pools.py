"""Processes of the rivals and the bounds, which stay from turn to turn.

A pool of Python's own for each of them, and not joblib's, which `mgr prepare` runs in: that one is
shared by all who ask for it, and starts a worker anew when it has grown, in whoever's turn that is.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from mgr_cli.cores import n_cores
from tests.benchmarks.turns import Contestant, timed

Pool = Callable[[Callable[[Path], object], Sequence[Path]], Contestant]
"""Makes a contestant of what is done to each of some files."""


@contextmanager
def pools(n_jobs: int) -> Iterator[Pool]:
    """Give what makes contestants of so many processes each; end these afterwards.

    Cores are shared out, as joblib does: more threads than cores wait for each other.
    """
    threads = {"OMP_NUM_THREADS": str(max(1, n_cores() // n_jobs))}
    started: list[ProcessPoolExecutor] = []

    def pool(work: Callable[[Path], object], paths: Sequence[Path]) -> Contestant:
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(n_jobs, mp_context=context)
        started.append(executor)

        def run() -> None:
            with mock.patch.dict(os.environ, threads):  # the first turn starts the processes
                for _ in executor.map(work, paths):
                    pass

        return timed(run)

    try:
        yield pool
    finally:
        for executor in started:
            executor.shutdown()
