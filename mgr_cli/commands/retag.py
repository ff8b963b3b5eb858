"""Tags on the screen: what is written into them, what is undone, and where they disagree."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console

if TYPE_CHECKING:
    from mgr_cli.config import TagMode
    from mgr_cli.records import Record
    from mgr_cli.tagging import Change, Disagreement
    from mgr_cli.tags.names import Names

NOTHING = "–"  # a tag without a genre
_KEPT = {
    "has a genre": "had a genre",
    "says so already": "said so already",
    "unsure": "unsure",
    "no music": "no music",
}


class Retagger:
    """Writes the genre of every song that comes into its tag, or shows what it would write.

    Parameters
    ----------
    mode : {"fill", "replace", "append"}
        What becomes of a genre that is there.
    names : Path, optional
        A file with the user's names of genres.
    min_confidence : float, optional
        Below it nothing is written.
    dry_run : bool
        Write nothing.
    classes : sequence of str
        Of the entry.
    entry : str
        Its name.

    Raises
    ------
    TagError
        If the names cannot be used.
    """

    def __init__(
        self,
        *,
        mode: "TagMode",
        names: Path | None,
        min_confidence: float | None,
        dry_run: bool,
        classes: Sequence[str],
        entry: str,
    ) -> None:
        from mgr_cli import tagging

        self._mode: TagMode = mode
        self._names = _names(names, classes)
        self._names.check()
        self._min_confidence = min_confidence
        self._log = None if dry_run else tagging.new_log(entry)
        self._count: Counter[str] = Counter()
        self._n_names = 0

    def __call__(self, record: "Record") -> None:
        """Take the next song.

        Raises
        ------
        LogError
            If the log cannot be written; what was done has been printed.
        """
        from mgr_cli import tagging
        from mgr_cli.tags.log import LogError
        from mgr_cli.tags.tag import TagError

        if record.status == "error":
            return  # that has been said
        try:
            decided, edit = tagging.write(
                record, names=self._names, mode=self._mode,
                min_confidence=self._min_confidence, log=self._log,
            )  # fmt: skip
        except TagError as error:
            self._count["failed"] += 1
            console.error(str(error))
            return
        except LogError:
            self.finish()
            raise
        if isinstance(decided, tagging.Kept):
            self._count[decided.reason] += 1
            return
        self._count["written"] += 1
        self._n_names += edit is not None and edit.n_names > 1
        if self._log is None:
            _show(record, decided)

    def finish(self) -> bool:
        """Print what was done, and return whether a file failed."""
        done = "would be written" if self._log is None else "written"
        said = [f"{self._count['written']:,} {done}"]
        said += [f"{n:,} {text}" for why, text in _KEPT.items() if (n := self._count[why])]
        if self._count["failed"]:
            said.append(f"{self._count['failed']:,} failed")
        console.note(f"tags: {', '.join(said)}")
        if self._n_names:
            console.note(
                f"{self._n_names:,} of them had other names (hard links), which keep the old tag"
            )
        if self._log is not None:
            self._log.close()
            if self._log.path is not None:
                console.note(f"log: {_line(str(self._log.path))}")
                console.note(f"to undo: mgr predict --undo {_quoted(self._log.path)}")
        return self._count["failed"] > 0


class Audit:
    """Collects the songs whose tag says something else than the entry.

    Parameters
    ----------
    names : Path, optional
        A file with the user's names of genres.
    classes : sequence of str
        Of the entry.

    Raises
    ------
    TagError
        If the names cannot be used.
    """

    def __init__(self, *, names: Path | None, classes: Sequence[str]) -> None:
        self._names = _names(names, classes)
        self._count: Counter[str] = Counter()
        self._found: list[Disagreement] = []

    def __call__(self, record: "Record") -> None:
        """Take the next song."""
        from mgr_cli import tagging
        from mgr_cli.tags import genres
        from mgr_cli.tags.tag import TagError

        if record.status == "error":
            return
        try:
            tag = genres.read(Path(record.path))
        except TagError as error:
            self._count["failed"] += 1
            console.error(str(error))
            return
        verdict = tagging.compared(record, tag, self._names)
        self._count[verdict] += 1
        if verdict == "disagrees":
            self._found.append(
                tagging.Disagreement(record.path, tag, record.answer, record.confidence)
            )

    def finish(self, *, json: bool = False, csv: bool = False) -> bool:
        """Print the list, the most confident first, and return whether a tag was unreadable."""
        from mgr_cli import tagging

        found = tagging.ranked(self._found)
        if json:
            _print_json(found)
        elif csv:
            _print_csv(found)
        elif found:
            rows = [(each.path, each.tag, each.answer, each.confidence) for each in found]
            console.columns(
                "tags that the entry disagrees with",
                ("confidence", "the tag says", "the entry says", "file"),
                [
                    (f"{100 * sure:.1f} %", _joined(tag), said, path)
                    for path, tag, said, sure in rows
                ],
            )
        texts = {
            "agrees": "agree", "disagrees": "disagree", "no tag": "without a genre",
            "unknown": "of a genre that the entry does not know", "unsure": "unsure",
            "no music": "no music", "failed": "failed",
        }  # fmt: skip
        said = [f"{n:,} {text}" for why, text in texts.items() if (n := self._count[why])]
        console.note(f"tags: {', '.join(said) or 'none'}")
        return self._count["failed"] > 0


def undo(log: Path) -> bool:
    """Restore the tags that a run has changed, print what was done; return whether some failed."""
    from mgr_cli.tags import log as logs

    count: Counter[str] = Counter()
    for each in logs.undo(log):
        count[each.status] += 1
        if each.status == "error":
            console.error(each.error)
        elif each.status == "changed":
            console.note(f"{_line(each.path)}: changed since, and left as it is")
    texts = {
        "restored": "restored", "already": "as they were", "changed": "changed since",
        "error": "failed",
    }  # fmt: skip
    said = [f"{n:,} {text}" for why, text in texts.items() if (n := count[why])]
    console.note(f"tags: {', '.join(said) or 'none were written'}")
    return count["error"] > 0


def _names(path: Path | None, classes: Sequence[str]) -> "Names":
    from mgr_cli.tags import names

    return names.read(path, classes) if path else names.default(classes)


def _show(record: "Record", change: "Change") -> None:
    sure = f"{100 * record.confidence:.1f} %"
    console.data(f"{_line(record.path)}: {_joined(change.old)} → {_joined(change.new)}  ({sure})\n")


def _print_json(found: "Sequence[Disagreement]") -> None:
    import json
    from dataclasses import asdict

    for each in found:
        console.data(json.dumps(asdict(each)) + "\n")


def _print_csv(found: "Sequence[Disagreement]") -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "tag", "answer", "confidence"])
    writer.writerows((each.path, _joined(each.tag), each.answer, each.confidence) for each in found)
    console.data(text.getvalue())


def _joined(genres: Sequence[str]) -> str:
    return _line("; ".join(genres)) if genres else NOTHING


def _line(text: str) -> str:
    """Return a text on one printable line, as `audio.shown` does a path."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
