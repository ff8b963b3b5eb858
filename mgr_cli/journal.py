"""The journal: what was said of which file, so that nothing has to be said twice.

Every run over several files writes it, an SQLite database in the user's state folder, or in
`MGR_STATE`. A row holds the record of a file with what the file was like when it was judged, its
size and the time it was changed, and with a digest of what judged it. A file that is another one
by any of these is judged again, and so is one that failed, for the reason need not lie in it; the
row of the same file, entry and vote is replaced then.

Rows are written in short transactions, every two seconds or hundred files. A run that is killed
loses no more than that, and two runs at once wait for each other for milliseconds; SQLite's
rollback journal, which is the default, undoes what was half written. A record is compressed: half
an hour of segments takes 2 kB. Beyond `MAX_ROWS` the oldest rows go.
"""

import hashlib
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mgr_cli import records
from mgr_cli.config import VoteRule
from mgr_cli.errors import MgrError
from mgr_cli.files import STATE, state_folder
from mgr_cli.records import Record
from mgr_cli.zoo.card import Card

FILE = "predictions.sqlite"
APPLICATION = 0x6D677231  # "mgr1", by which SQLite knows whose a database is
MAX_ROWS = 1_000_000  # some 2 GB
MAX_RECORD = 64 * 2**20  # bytes of one; a day of segments takes 3 MB
EVERY_SECONDS = 2.0
EVERY_ROWS = 100
BUSY = 30.0  # seconds that another run is waited for

_TABLE = """
CREATE TABLE IF NOT EXISTS records (
    path BLOB, model TEXT, vote TEXT, judge TEXT, size INTEGER, changed INTEGER, record BLOB,
    UNIQUE (path, model, vote)
)"""
_FIND = """
SELECT record FROM records
WHERE path = ? AND model = ? AND vote = ? AND judge = ? AND size = ? AND changed = ?"""
_TRIM = "DELETE FROM records WHERE rowid <= (SELECT max(rowid) FROM records) - ?"


@dataclass(frozen=True)
class State:
    """What a file is like, before it is judged.

    Attributes
    ----------
    path : bytes
        Absolute; it need not be UTF-8.
    size : int
        In bytes.
    changed : int
        When it was changed last, in nanoseconds.
    """

    path: bytes
    size: int
    changed: int


def look(path: Path) -> State | None:
    """Look at a file; None if it is not there."""
    try:
        seen = path.stat()
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return None
    absolute = os.fsencode(os.path.abspath(path))  # noqa: PTH100, links stay as they are
    # SQLite has 63 bits; the year 9999, which some disks can tell, takes 68.
    return State(absolute, seen.st_size, seen.st_mtime_ns % 2**63)


class Journal:
    """A journal that is open, for one entry and one vote.

    Parameters
    ----------
    database : sqlite3.Connection
        With its table.
    path : Path
        Of the database, for what is said of it.
    card : Card
        Of the entry that judges.
    vote : {"mean", "majority", "product"}, optional
        The card's own by default.
    """

    def __init__(
        self, database: sqlite3.Connection, path: Path, card: Card, vote: VoteRule | None
    ) -> None:
        self.path = path
        self._database = database
        self._judge = (card.name, vote or card.vote, _digest(card))
        self._rows: list[tuple[object, ...]] = []
        self._written = time.monotonic()

    def recall(self, path: Path) -> Record | None:
        """Return what was said of a file if it would be said again; its name is today's.

        Raises
        ------
        MgrError
            If the database is damaged.
        """
        state = look(path)
        if state is None:
            return None
        with _answering(self.path):
            key = (state.path, *self._judge, state.size, state.changed)
            row = self._database.execute(_FIND, key).fetchone()
            if row is None:
                return None
            said = records.from_json(_inflated(row[0]))
        return replace(said, path=str(path))

    def keep(self, state: State | None, record: Record) -> None:
        """Keep what was said of a file that was like this.

        An error is not kept: its reason need not lie in the file, and it is tried again.

        Raises
        ------
        MgrError
            If it cannot be written.
        """
        if state is None or record.status != "ok":
            return
        text = zlib.compress(records.to_json(record).encode())
        self._rows.append((state.path, *self._judge, state.size, state.changed, text))
        waited = time.monotonic() - self._written
        if len(self._rows) >= EVERY_ROWS or waited >= EVERY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is kept and not written yet.

        Raises
        ------
        MgrError
            If it cannot be written.
        """
        self._written = time.monotonic()
        rows, self._rows = self._rows, []
        if not rows:
            return
        with _answering(self.path), self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
            self._database.execute(_TRIM, (MAX_ROWS,))


@contextmanager
def opened(card: Card, *, vote: VoteRule | None = None) -> Iterator[Journal]:
    """Open the journal, or make it; in the end everything is written.

    Parameters
    ----------
    card : Card
        Of the entry that judges.
    vote : {"mean", "majority", "product"}, optional
        The card's own by default.

    Raises
    ------
    MgrError
        If it is damaged, no journal of ours, or cannot be written.
    """
    path = state_folder() / FILE
    with _answering(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=BUSY)
    try:
        with _answering(path):
            _prepare(database)
        journal = Journal(database, path, card, vote)
        try:
            yield journal
        except BaseException:
            with suppress(MgrError):  # what ended the run is worth more than what it says
                journal.flush()
            raise
        journal.flush()
    finally:
        database.close()


def _prepare(database: sqlite3.Connection) -> None:
    (owner,) = database.execute("PRAGMA application_id").fetchone()
    (n_tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION and n_tables:
        raise sqlite3.DatabaseError("it holds something else")
    if owner != APPLICATION:
        database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(_TABLE)


@contextmanager
def _answering(path: Path) -> Iterator[None]:
    """Say in one line that a journal is none, or damaged."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, zlib.error) as error:
        said = getattr(error, "strerror", None) or error
        raise MgrError(
            f"{path}: this journal of predictions cannot be used ({said}); move it away, or set "
            f"{STATE} to another folder"
        ) from error


def _inflated(data: object) -> str:
    if not isinstance(data, bytes):
        raise ValueError("a record is of another type")
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, MAX_RECORD)
    if not inflater.eof:
        raise ValueError("a record is cut off, or too long")
    return text.decode()


def _digest(card: Card) -> str:
    """Digest what a record depends on but the file: the entry, and how records are made.

    Its figures only tell of it; `mgr eval` may measure them again.
    """
    said = f"{records.VERSION}\n{card.model_dump_json(exclude={'figures'})}"
    return hashlib.sha256(said.encode()).hexdigest()
