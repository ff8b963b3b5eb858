"""Databases that studies are kept in: SQLite in a study's folder, or one that many machines reach.

Whoever works on a trial says every minute that it is alive, and Optuna tells the others when it
has not for long. What goes wrong with a database is told in one line, without its password.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from mgr_cli.errors import StudyError

DATABASE = "study.db"
HEARTBEAT = 60  # seconds between signs of life
GRACE = 180  # seconds without one until a trial counts as dead
BUSY = 60  # seconds that SQLite waits for another process
POSTGRES = "postgresql+psycopg"  # the driver that `pip install 'mgr-cli[postgres]'` brings

OnDead = Callable[[optuna.Study, FrozenTrial], None]


def lock(folder: Path) -> FileLock:
    """Make what keeps other processes out that are at work on the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def connect(folder: Path, url: str | None, on_dead: OnDead) -> RDBStorage:
    """Connect to a database, and make the tables that it lacks.

    Parameters
    ----------
    folder : Path
        Of the study.
    url : str or None
        Of the database; None is the folder's own.
    on_dead : callable
        Called with each trial whose process has been silent for long.

    Raises
    ------
    StudyError
        If it does not answer, is none, or has the tables of another Optuna.
    """
    wait = {"connect_args": {"timeout": BUSY}} if url is None else None
    with quiet(), answering(folder, url), lock(folder):  # tables are made once
        try:
            return RDBStorage(
                _address(url) if url else f"sqlite:///{folder.absolute() / DATABASE}",
                engine_kwargs=wait,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=on_dead,
            )
        except RuntimeError as error:  # tables of another Optuna
            raise StudyError(f"{place(folder, url)}: {' '.join(str(error).split())}") from error
        except ImportError as error:
            raise StudyError(
                f"{place(folder, url)}: no driver of it is installed ({error.__cause__}); "
                "for PostgreSQL run `pip install 'mgr-cli[postgres]'`"
            ) from error


def _address(url: str) -> str:
    """Name the driver of PostgreSQL that we bring, where none is named."""
    kind, colon, rest = url.partition("://")
    return f"{POSTGRES if kind in ('postgresql', 'postgres') else kind}{colon}{rest}"


def place(folder: Path, url: str | None) -> str:
    """Name a database in a message, without its password."""
    if url is None:
        return str(folder / DATABASE)
    try:
        return make_url(url).render_as_string()
    except SQLAlchemyError:
        return "--storage"


@contextmanager
def answering(folder: Path, url: str | None) -> Iterator[None]:
    """Say in one line that a database does not answer, or is none.

    Raises
    ------
    StudyError
        Where SQLAlchemy has an error, or Optuna one of its tables.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        said = " ".join(str(cause).partition("[SQL")[0].split())
        raise StudyError(
            f"{place(folder, url)}: no database of studies answers here ({said})"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from printing: what it says of a trial, the trial says too."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield
