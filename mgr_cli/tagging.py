"""Tagging: what of an entry's answers is written into tags, and where tags and answers differ.

Only an answer is written: a song that the entry is unsure of, or that is speech, noise or silence,
keeps what it has. What the tag has is then either kept, replaced, or added to:

=========  =============================  ====================================
mode       a file without a genre         one with a genre
=========  =============================  ====================================
fill       gets the answer                is left
replace    gets the answer                gets the answer in place of its own
append     gets the answer                gets the answer behind its own
=========  =============================  ====================================

`decide` and `compared` are pure; files are read and written by `tags.genres`, and the log of a run
by `tags.log`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from mgr_cli.config import TagMode
from mgr_cli.files import state_folder
from mgr_cli.records import Record
from mgr_cli.tags import genres
from mgr_cli.tags.genres import Edit
from mgr_cli.tags.log import Log
from mgr_cli.tags.names import Names

MODE: TagMode = "fill"

Doubt = Literal["error", "unsure", "no music"]
Verdict = Literal["agrees", "disagrees", "no tag", "unknown"] | Doubt
Reason = Literal["has a genre", "says so already"] | Doubt


@dataclass(frozen=True)
class Change:
    """The genres of a file before and after.

    Attributes
    ----------
    old, new : tuple of str
        As a player shows them.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """Why a file is left as it is.

    Attributes
    ----------
    reason : {"error", "unsure", "no music", "has a genre", "says so already"}
        ``error``: there is no answer.
    """

    reason: Reason


@dataclass(frozen=True)
class Disagreement:
    """A song whose tag says something else than the entry.

    Attributes
    ----------
    path : str
        As it was given.
    tag : tuple of str
        What its tag says.
    answer : str
        What the entry says.
    confidence : float
        How sure it is.
    """

    path: str
    tag: tuple[str, ...]
    answer: str
    confidence: float


def decide(
    record: Record,
    old: Sequence[str],
    *,
    names: Names,
    mode: TagMode = MODE,
    min_confidence: float | None = None,
) -> Change | Kept:
    """Decide what becomes of a file's genres.

    Parameters
    ----------
    record : Record
        What is said of it.
    old : sequence of str
        What its tag says.
    names : Names
        What classes are called.
    mode : {"fill", "replace", "append"}
        What becomes of a genre that is there.
    min_confidence : float, optional
        Below it nothing is written; the entry's own threshold holds in any case.
    """
    doubt = _doubt(record)
    if doubt:
        return Kept(doubt)
    if min_confidence is not None and not record.confidence >= min_confidence:
        return Kept("unsure")
    said = names.of[record.answer]
    if not old:
        return Change((), said)
    if mode == "fill":
        return Kept("has a genre")
    new = said
    if mode == "append":
        folded = _folded(old)
        new = (*old, *(genre for genre in said if not _folded([genre]) <= folded))
    if genres.parts(new) == genres.parts(old):
        return Kept("says so already")
    return Change(tuple(old), tuple(new))


def write(
    record: Record,
    *,
    names: Names,
    mode: TagMode = MODE,
    min_confidence: float | None = None,
    log: Log | None = None,
) -> tuple[Change | Kept, Edit | None]:
    """Write the genre of a file into its tag.

    Parameters
    ----------
    log : Log, optional
        Told of each change before it is made; without it nothing is written, as if it were.

    Returns
    -------
    Change or Kept
        What was decided.
    Edit, optional
        What was written.

    Raises
    ------
    TagError
        If the tag cannot be read or written.
    LogError
        If the log cannot be written.
    """
    doubt = _doubt(record)
    if doubt:  # nobody has to look at the tag
        return Kept(doubt), None
    path = Path(record.path)
    decided = decide(
        record, genres.read(path), names=names, mode=mode, min_confidence=min_confidence
    )
    if isinstance(decided, Kept):
        return decided, None
    if log is None:
        genres.check(path, decided.new)
        return decided, None
    return decided, genres.write(path, decided.new, log=log)


def compared(record: Record, tag: Sequence[str], names: Names) -> Verdict:
    """Compare what a tag says with what the entry says of a file."""
    doubt = _doubt(record)
    if doubt:
        return doubt
    if not tag:
        return "no tag"
    meant = names.meant(tag)
    if not meant:
        return "unknown"
    return "agrees" if record.answer in meant else "disagrees"


def ranked(found: Sequence[Disagreement]) -> list[Disagreement]:
    """Return disagreements, the most confident first, then by path."""
    return sorted(found, key=lambda each: (-each.confidence, each.path))


def new_log(entry: str) -> Log:
    """Begin the log of a run; it lies in the user's state folder, or in ``MGR_STATE``."""
    folder = state_folder() / "tags"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    header = {"version": version("mgr-cli"), "entry": entry, "started": now}
    return Log(folder, now.replace(":", ""), header)


def _folded(texts: Sequence[str]) -> set[str]:
    """Return the parts of genres without case."""
    return {part.casefold() for part in genres.parts(texts)}


def _doubt(record: Record) -> Doubt | None:
    """Say why a record gives no genre to write; None if it gives one."""
    if record.is_answered:
        return None
    if record.status != "ok":
        return "error"
    return "unsure" if record.content == "music" else "no music"
