"""Predicting for many files: whole libraries, on all cores, or on a cluster.

    paths → crew: decode, features, segments → one batch of several songs → net → rows → records

A crew of processes reads the files, see `crew`. This process judges their segments, those of
several songs together, see `desk`. Records come as the songs are done, not in order; every path
gets one, whatever happens to it.

Memory is bounded, whatever the number of files and their lengths. With p the size of a piece, 8 MB
or one segment of the entry if that is more, this process holds 2 n_jobs + 4 of them; a
worker holds one, and 32 MB of each kind of features of its song, the rest being in a file.

On a cluster a task is a few files. The process that does it has a crew of one, so that a file that
crashes its decoder takes no worker of the cluster along, and keeps the entry for the next task. A
task that is lost all the same is done again by the cluster, and what that gives up, once more, a
file a task. What is wrong with the entry would be so in every task, and ends the run. A worker has
a folder of its own that it runs in, so that names are sent absolute; a record has the user's.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from mgr_cli import audio, intake, records
from mgr_cli.config import (
    PREDICT_BATCH,
    PREDICT_VALUES,
    Device,
    Engine,
    Progress,
    VoteRule,
    silent,
)
from mgr_cli.cores import n_cores
from mgr_cli.crew import Crew
from mgr_cli.desk import Desk
from mgr_cli.errors import MgrError
from mgr_cli.inputs import Arrays
from mgr_cli.intake import Facts
from mgr_cli.prediction import Predictor
from mgr_cli.records import Record
from mgr_cli.worker import unexpected
from mgr_cli.zoo.card import Card, load_card
from mgr_cli.zoo.tensors import one_line

FILES_IN_TASK = 16  # of a cluster
TASKS_AGAIN = 64  # of one file, that are tried again together

Numbered = tuple[int, Record]


@dataclass(frozen=True)
class Order:
    """Who judges, and where.

    Attributes
    ----------
    folder : Path
        Of the entry.
    vote : {"mean", "majority", "product"}, optional
        The card's own by default.
    device : {"auto", "cpu", "cuda"}
        Where a net runs.
    n_jobs : int
        Processes that read files; -1 is one a core, 1 reads them in this process. On a cluster
        tasks at a time, -1 is all it has.
    engine : {"local", "dask", "ray", "spark"}
        Processes here, or a cluster.
    scheduler : str, optional
        Address of the cluster.
    alone : bool
        Whether a crash may end the run: a single file is read in this process.
    """

    folder: Path
    vote: VoteRule | None = None
    device: Device = "auto"
    n_jobs: int = -1
    engine: Engine = "local"
    scheduler: str | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        if self.n_jobs < 1 and self.n_jobs != -1:
            raise ValueError(f"n_jobs is {self.n_jobs}, expected -1 or at least 1")


def predict_all(
    paths: Sequence[Path], order: Order, *, progress: Progress = silent
) -> Generator[Numbered, None, None]:
    """Predict the genres of files, as they are done.

    Close it, with `contextlib.closing`, if it may not be exhausted: that ends the processes.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    order : Order
        Who judges, and where.
    progress : callable, optional
        Called after each file.

    Yields
    ------
    tuple of int and Record
        Index of a path, and what is said of it; each index once.

    Raises
    ------
    ZooError
        If the entry is damaged, or judges what cannot be computed of sound.
    EngineError
        If the cluster cannot be reached, or no process can be started.
    """
    if not paths:
        return
    card = load_card(order.folder)
    _ = card.plan  # is refused here, and not once a file
    if order.engine != "local":
        found = _on_a_cluster(paths, order)
    elif order.n_jobs == 1 or order.alone:
        found = _in_this_process(paths, order)
    else:
        n_workers = n_cores() if order.n_jobs == -1 else order.n_jobs
        found = _with_a_crew(paths, card, partial(_load, order), n_workers=n_workers)
    with closing(found):
        for done, (index, record) in enumerate(found, start=1):
            progress(done, len(paths), "files")
            yield index, record


def segments_of(path: Path, *, card: Card, at_once: int) -> Iterator[Arrays | Facts]:
    """Yield the segments of a file, so many at a time, and then what else is known of it.

    This is the work of a crew.

    Raises
    ------
    AudioError
        If the file cannot be used.
    """
    with intake.open_song(path, card) as song:
        yield from song.batches(at_once)
        yield song.facts


def _load(order: Order) -> Predictor:
    return Predictor.load(order.folder, device=order.device, vote=order.vote)


def _in_this_process(paths: Sequence[Path], order: Order) -> Generator[Numbered, None, None]:
    predictor = _load(order)
    for index, path in enumerate(paths):
        yield index, _judged(path, predictor)


def _judged(path: Path, predictor: Predictor) -> Record:
    try:
        return records.of(str(path), predictor.from_file(path), predictor.card.name)
    except MgrError as error:
        return records.failed(str(path), str(error))
    except Exception as error:  # a stranger's file may lead to any
        return records.failed(str(path), unexpected(path, error))


def _with_a_crew(
    paths: Sequence[Path], card: Card, load: Callable[[], Predictor], *, n_workers: int
) -> Generator[Numbered, None, None]:
    at_once = max(1, min(PREDICT_BATCH, PREDICT_VALUES // card.inputs.n_values))
    work = partial(segments_of, card=card, at_once=at_once)
    with Crew(paths, work, n_workers=n_workers) as crew:
        desk = Desk(paths, load())  # while the crew reads the first files
        for index, thing in crew:
            desk.take(index, thing)
            yield from desk.judge(less=crew.is_idle)
        yield from desk.judge(less=True)


def _on_a_cluster(paths: Sequence[Path], order: Order) -> Generator[Numbered, None, None]:
    from mgr_cli.engines import workers

    order = replace(order, folder=order.folder.absolute())
    with workers(order.engine, scheduler=order.scheduler, n_jobs=order.n_jobs) as pool:
        left = dict(enumerate(paths))
        why = yield from _tasks(pool, list(left), left, order, n_files=FILES_IN_TASK)
        again = list(left)
        for first in range(0, len(again), TASKS_AGAIN):
            some = again[first : first + TASKS_AGAIN]
            why = (yield from _tasks(pool, some, left, order, n_files=1)) or why
        for index, path in left.items():
            lost = f"lost twice by the cluster ({why}); predict it on this machine"
            yield index, records.failed(str(path), f"{audio.shown(path)}: {lost}")


def _tasks(
    pool: Any, indices: Sequence[int], left: dict[int, Path], order: Order, *, n_files: int
) -> Generator[Numbered, None, str]:
    """Give what a cluster says of files, which then are not left; return why it gave up, if so."""
    from joblib import delayed

    there = delayed(judged_there)
    tasks = [indices[first : first + n_files] for first in range(0, len(indices), n_files)]
    calls = (there([left[index].absolute() for index in task], order) for task in tasks)
    try:
        for task, found in zip(tasks, pool(calls), strict=False):
            if isinstance(found, MgrError):
                raise found
            for index, record in zip(task, found, strict=True):
                yield index, _renamed(record, left.pop(index))
    except MgrError:
        raise
    except Exception as error:  # each cluster has its own for what it gives up; files lead to none
        return f"{type(error).__name__}: {one_line(error)}"
    return ""


def _renamed(record: Record, path: Path) -> Record:
    """Call a file as the user did, and not as the cluster does."""
    error, long = record.error, audio.shown(path.absolute())
    if error.startswith(long):
        error = audio.shown(path) + error.removeprefix(long)
    return replace(record, path=str(path), error=error)


def judged_there(paths: Sequence[Path], order: Order) -> list[Record] | MgrError:
    """Judge a few files in a process of a cluster; records in the order of the paths.

    What is wrong with the entry, or with the machine, is returned: clusters wrap what is raised.
    """
    try:
        card = load_card(order.folder)
        load = partial(_kept, order, card.weights.sha256)
        found = _with_a_crew(paths, card, load, n_workers=1)
        return [record for _, record in sorted(found, key=itemgetter(0))]
    except MgrError as error:
        return error


@lru_cache(maxsize=1)
def _kept(order: Order, sha256: str) -> Predictor:
    """Load an entry once a process, and again if it is another one by now."""
    return _load(order)
