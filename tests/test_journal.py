import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mgr_cli import journal, records
from mgr_cli.errors import MgrError
from mgr_cli.files import state_folder
from mgr_cli.journal import opened
from mgr_cli.records import Record, Stretch
from mgr_cli.zoo.card import Assessment, Card
from tests import tiny

CARD = tiny.card()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the journal is in."""
    monkeypatch.setenv("MGR_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"sound")
    return path


def said(path: Path, genre: str = "jazz") -> Record:
    return Record(
        str(path), answer=genre, genre=genre, confidence=0.5, probabilities={genre: 0.5},
        vote="mean", seconds=3.0, segments=(Stretch(0.0, 3.0, genre, 0.5),), model="tiny",
    )  # fmt: skip


def keep(path: Path, record: Record | None = None, *, card: Card = CARD) -> None:
    with opened(card) as book:
        book.keep(journal.look(path), record or said(path))


def recalled(path: Path, *, card: Card = CARD) -> Record | None:
    with opened(card) as book:
        return book.recall(path)


def test_what_was_said_of_a_file_comes_back_in_the_next_run(song: Path, state: Path) -> None:
    assert recalled(song) is None
    keep(song)
    assert recalled(song) == said(song)
    assert [path.name for path in state.iterdir()] == [journal.FILE]


def test_a_file_that_has_changed_is_unknown(song: Path) -> None:
    keep(song)
    seen = song.stat()
    song.write_bytes(b"other")
    os.utime(song, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))  # of the same size
    assert recalled(song) is None
    os.utime(song, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert recalled(song) == said(song)
    song.write_bytes(b"longer than before")
    os.utime(song, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert recalled(song) is None
    song.unlink()
    assert recalled(song) is None


def test_what_is_kept_is_of_the_file_as_it_was_before_it_was_judged(song: Path) -> None:
    state = journal.look(song)
    song.write_bytes(b"grown while it was read")
    with opened(CARD) as book:
        book.keep(state, said(song))
    assert recalled(song) is None


def test_another_entry_or_vote_says_something_else(song: Path) -> None:
    keep(song)
    weights = CARD.weights.model_copy(update={"sha256": "1" * 64})
    for changes in ({"name": "other"}, {"weights": weights}, {"temperature": 2.0}):
        assert recalled(song, card=CARD.model_copy(update=changes)) is None
    with opened(CARD, vote="product") as book:
        assert book.recall(song) is None
    with opened(CARD, vote="mean") as book:  # the card's own
        assert book.recall(song) == said(song)
    figures = {"test": Assessment(1, 1, "mean", {}, {})}
    assert recalled(song, card=CARD.model_copy(update={"figures": figures})) == said(song)


def test_another_way_to_make_records_makes_all_files_unknown(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(song)
    monkeypatch.setattr(records, "VERSION", records.VERSION + 1)
    assert recalled(song) is None


def test_a_row_takes_the_place_of_the_one_before(song: Path, state: Path) -> None:
    retrained = CARD.model_copy(update={"temperature": 2.0})
    keep(song)
    song.write_bytes(b"another song")
    keep(song, said(song, "rock"))
    keep(song, said(song, "blues"), card=retrained)
    database = sqlite3.connect(state / journal.FILE)
    assert database.execute("SELECT count(*) FROM records").fetchone() == (1,)
    database.close()
    assert recalled(song) is None
    assert recalled(song, card=retrained) == said(song, "blues")


def test_the_oldest_rows_go_beyond_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_ROWS", 2)
    songs = [tmp_path / f"{number}.mp3" for number in range(3)]
    for path in [*songs, songs[0]]:
        path.touch()
        keep(path)
    assert [recalled(path) is not None for path in songs] == [True, False, True]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", [b"caf\xe9.mp3", b"two\nlines.mp3", "♪ '\".mp3".encode()])
def test_names_are_bytes(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.touch()
    keep(path)
    assert recalled(path) == said(path)


def test_a_file_may_be_named_in_another_way(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(song)
    monkeypatch.chdir(song.parent)
    assert recalled(Path("a.mp3")) == said(Path("a.mp3"))


def test_what_failed_is_tried_again(song: Path) -> None:
    keep(song, records.failed(str(song), f"{song}: killed for want of memory"))
    keep(song.with_name("gone.mp3"))
    assert recalled(song) is recalled(song.with_name("gone.mp3")) is None


def test_rows_are_written_at_the_latest_with_the_hundredth(
    song: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def n_rows() -> int:
        database = sqlite3.connect(state / journal.FILE)
        (n,) = database.execute("SELECT count(*) FROM records").fetchone()
        database.close()
        return int(n)

    with opened(CARD) as book:
        for number in range(journal.EVERY_ROWS):
            assert n_rows() == 0
            path = song.with_name(f"{number}.mp3")
            path.touch()
            book.keep(journal.look(path), said(path))
        assert n_rows() == journal.EVERY_ROWS
        clock = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: clock + journal.EVERY_SECONDS + 1)
        book.keep(journal.look(song), said(song))
        assert n_rows() == journal.EVERY_ROWS + 1


def test_an_error_in_a_run_loses_nothing(song: Path) -> None:
    def interrupted() -> None:
        with opened(CARD) as book:
            book.keep(journal.look(song), said(song))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert recalled(song) == said(song)


KILLED = """
import os, signal
from pathlib import Path
from mgr_cli import journal, records
from mgr_cli.zoo.card import Card
journal.EVERY_ROWS = 10
with journal.opened(Card.model_validate_json(Path("card.json").read_text())) as book:
    for number in range(1000):
        path = Path(f"{number}.mp3")
        path.touch()
        book.keep(journal.look(path), records.Record(str(path), probabilities={}))
        if number == 55:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_run_has_kept_what_it_had_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card.json").write_text(CARD.model_dump_json())
    root = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=env, check=False)
    monkeypatch.chdir(tmp_path)
    with opened(CARD) as book:
        known = [number for number in range(56) if book.recall(Path(f"{number}.mp3"))]
    assert known == list(range(50))


def test_two_runs_at_once_keep_all_that_they_find(tmp_path: Path) -> None:
    songs = [tmp_path / f"{number}.mp3" for number in range(20)]
    for path in songs:
        path.touch()
    with opened(CARD) as one, opened(CARD, vote="product") as other:
        for path in songs:
            for book in (one, other):
                book.keep(journal.look(path), said(path))
                book.flush()
        assert all(book.recall(path) for path in songs for book in (one, other))


def foreign(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE photos (name TEXT)")
    database.commit()
    database.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be one" * 100)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [foreign, garbage, folder])
def test_what_is_no_journal_is_one_line_and_stays_as_it_is(
    song: Path, state: Path, make: object
) -> None:
    assert callable(make)
    state.mkdir()
    path = state / journal.FILE
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(MgrError, match=r"predictions\.sqlite: .*move it away, or set MGR_STATE"):
        keep(song)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("record", [b"", b"x", b"no record", "text", 3, None])
def test_a_damaged_row_is_one_line(song: Path, state: Path, record: object) -> None:
    keep(song)
    database = sqlite3.connect(state / journal.FILE)
    database.execute("UPDATE records SET record = ?", (record,))
    database.commit()
    database.close()
    with pytest.raises(MgrError, match="MGR_STATE"):
        recalled(song)


def test_a_record_that_inflates_without_end_is_refused(
    song: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(song)
    monkeypatch.setattr(journal, "MAX_RECORD", 100)
    with pytest.raises(MgrError, match="too long"):
        recalled(song)


def test_a_state_folder_that_cannot_be_made_is_one_line(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGR_STATE", str(song / "below"))
    with pytest.raises(MgrError, match="Not a directory"):
        keep(song)


def test_the_state_folder_is_the_users_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MGR_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    if sys.platform == "linux":
        assert state_folder() == Path("/somewhere/mgr")
