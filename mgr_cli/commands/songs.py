"""The songs of `mgr predict`: which they are, what is known of them already, and what comes in."""

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console
from mgr_cli.errors import MgrError

if TYPE_CHECKING:
    from mgr_cli.bulk import Order
    from mgr_cli.config import VoteRule
    from mgr_cli.journal import Journal, State
    from mgr_cli.playlists import Named
    from mgr_cli.records import Record
    from mgr_cli.zoo.card import Card

ANSWERS = 10  # that a summary counts one by one


def collect(words: Sequence[str]) -> "list[Named]":
    """List the songs that are meant, and what is wrong with the others."""
    import io
    import sys

    from mgr_cli import audio, playlists

    stdin = sys.stdin.buffer if sys.stdin else io.BytesIO()  # some services have none
    return playlists.collect(words, audio.SUFFIXES, stdin=stdin)


def open_journal(
    stack: ExitStack, card: "Card", vote: "VoteRule | None", *, must: bool
) -> "Journal | None":
    """Open the journal; without one a run goes on, unless it must be there."""
    from mgr_cli import journal

    try:
        return stack.enter_context(journal.opened(card, vote=vote))
    except MgrError as error:
        if must:
            raise
        console.note(f"{error}; what this run finds is not kept")
        return None


class Run:
    """Judges songs; of what is known already the record is taken.

    Parameters
    ----------
    named : sequence of Named
        The songs.
    order : Order
        Who judges, and where.
    journal : Journal, optional
        Where records are kept.
    resume : bool
        Whether those are taken that are there.
    changes : bool
        Whether who gets a record may write to its file.

    Attributes
    ----------
    tally : Tally
        What has come in.
    """

    def __init__(
        self,
        named: "Sequence[Named]",
        order: "Order",
        *,
        journal: "Journal | None" = None,
        resume: bool = False,
        changes: bool = False,
    ) -> None:
        self.tally = Tally(len(named))
        self._named = named
        self._order = order
        self._journal = journal
        self._resume = resume
        self._changes = changes

    def arrivals(self) -> "Generator[tuple[int, Record], None, None]":
        """Yield the place of a song and its record: what is known first, then as they finish.

        A record is kept when the next one is asked for, with its file as it was before it was
        judged, or as it is now where that has changed it.
        """
        from mgr_cli import audio, bulk, records

        unknown = []
        for place, each in enumerate(self._named):
            if each.problem:
                said = f"{audio.shown(each.path)}: {each.problem}"
                yield place, self.tally.take(records.failed(str(each.path), said))
            elif (known := self._recalled(each.path)) is not None:
                self.tally.n_known += 1
                before = self._look(each.path)
                yield place, self.tally.take(known)
                if self._changes:
                    self._keep_changed(each.path, before, before, known)
            else:
                unknown.append((place, self._look(each.path)))
        paths = [self._named[place].path for place, _ in unknown]
        with closing(bulk.predict_all(paths, self._order)) as judged:
            for number, record in judged:
                place, state = unknown[number]
                before = self._look(paths[number]) if self._changes else state
                yield place, self.tally.take(record)
                if self._changes:
                    self._keep_changed(paths[number], state, before, record)
                else:
                    self._keep(state, record)

    def _keep_changed(
        self, path: Path, judged: "State | None", before: "State | None", record: "Record"
    ) -> None:
        """Keep a record with its file as who got it has left it, unless others changed it too."""
        if judged == before:
            self._keep(self._look(path), record)

    @property
    def is_kept(self) -> bool:
        """Whether what is found is kept."""
        return self._journal is not None

    def finish(self) -> None:
        """Write what is kept; a journal that cannot be written costs a note."""
        if self._journal is not None:
            try:
                self._journal.flush()
            except MgrError as error:
                self._give_up(error)

    def _look(self, path: Path) -> "State | None":
        if self._journal is None:
            return None
        from mgr_cli import journal

        return journal.look(path)

    def _recalled(self, path: Path) -> "Record | None":
        return self._journal.recall(path) if self._journal and self._resume else None

    def _keep(self, state: "State | None", record: "Record") -> None:
        if self._journal is not None:
            try:
                self._journal.keep(state, record)
            except MgrError as error:
                self._give_up(error)

    def _give_up(self, error: MgrError) -> None:
        self._journal = None
        console.note(f"{error}; what this run finds from here on is not kept")


class Tally:
    """Counts what has come in.

    Parameters
    ----------
    n_songs : int
        That are to come.
    """

    def __init__(self, n_songs: int) -> None:
        self.n_songs = n_songs
        self.n_known = 0
        self.n_failed = 0
        self._answers: Counter[str] = Counter()
        self._begun = time.monotonic()

    @property
    def n_done(self) -> int:
        """Songs that have come in, failed ones included."""
        return self._answers.total() + self.n_failed

    def take(self, record: "Record") -> "Record":
        """Count a record and give it back."""
        if record.status == "error":
            self.n_failed += 1
        else:
            self._answers[record.answer] += 1
        return record

    def pace(self) -> str:
        """Say how fast songs are judged; those that were known do not count."""
        minutes = (time.monotonic() - self._begun) / 60
        return f"{(self.n_done - self.n_known) / minutes:,.0f} a minute" if minutes else ""

    def summary(self) -> str:
        """Say in one line what came of the songs."""
        counted = self._answers.most_common()
        answers = [f"{console.plain(answer)} {n:,}" for answer, n in counted[:ANSWERS]]
        if counted[ANSWERS:]:
            answers.append(f"others {sum(n for _, n in counted[ANSWERS:]):,}")
        said = [f"{self.n_done:,} songs"]
        if self.n_known:
            said.append(f"{self.n_known:,} of them known from an earlier run")
        if self.n_failed:
            said.append(f"{self.n_failed:,} failed")
        took = f"{time.monotonic() - self._begun:,.0f} s"
        if self.n_known < self.n_done:
            took = f"{took}, {self.pace()}"
        return f"{', '.join(said)} ({took}){': ' * bool(answers)}{', '.join(answers)}"
