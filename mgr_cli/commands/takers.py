"""What `mgr predict` does with the records that come in, as its options say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import answers, labels
from mgr_cli.commands.answers import Taker
from mgr_cli.config import TagMode

if TYPE_CHECKING:
    from mgr_cli.records import Record
    from mgr_cli.zoo.card import Card


@dataclass(frozen=True)
class Wishes:
    """What shall be done; see the options of the same names."""

    top: int | None
    timeline: bool
    json: bool
    csv: bool
    labels: Path | None
    genre_names: Path | None
    audit: bool
    write_tags: bool
    dry_run: bool
    mode: TagMode
    min_confidence: float | None


def make(wishes: Wishes, card: "Card", paths: Sequence[Path]) -> list[Taker]:
    """Make all that takes records, in the order in which each of them goes round.

    Raises
    ------
    TagError
        If the user's names of genres cannot be used.
    """
    takers: list[Taker] = []
    if wishes.write_tags:
        takers.append(_retagger(wishes, card))
    if wishes.audit:
        takers.append(_audit(wishes, card))
    elif not wishes.dry_run:  # which shows what would be written
        takers.append(_answers(wishes, card, alone=len(paths) == 1))
    if wishes.labels is not None:
        called = _called(wishes.genre_names, card.classes)
        takers.append(labels.Labels(wishes.labels, paths, called=called))
    return takers


@dataclass(frozen=True)
class _Unplaced:
    """Gives records to what does not ask for their places."""

    take: Callable[["Record"], None]
    end: Callable[[], bool]

    def __call__(self, place: int, record: "Record") -> None:
        self.take(record)

    def finish(self) -> bool:
        return self.end()


def _answers(wishes: Wishes, card: "Card", *, alone: bool) -> Taker:
    if wishes.json:
        return answers.Json(top=wishes.top, timeline=wishes.timeline)
    if wishes.csv:
        return answers.Csv(card.classes)
    if alone:
        return answers.Alone(card, top=wishes.top)
    timeline = wishes.timeline and card.segments is not None
    return answers.Table(card.classes, top=wishes.top, timeline=timeline)


def _retagger(wishes: Wishes, card: "Card") -> Taker:
    from mgr_cli.commands.retag import Retagger

    retagger = Retagger(
        mode=wishes.mode, names=wishes.genre_names, min_confidence=wishes.min_confidence,
        dry_run=wishes.dry_run, classes=card.classes, entry=card.name,
    )  # fmt: skip
    return _Unplaced(retagger, retagger.finish)


def _audit(wishes: Wishes, card: "Card") -> Taker:
    from mgr_cli.commands.retag import Audit

    audit = Audit(names=wishes.genre_names, classes=card.classes)
    return _Unplaced(audit, lambda: audit.finish(json=wishes.json, csv=wishes.csv))


def _called(path: Path | None, classes: Sequence[str]) -> Callable[[str], str]:
    """Return what genres are called in labels: as the user says, else as the entry does."""
    if path is None:
        return str
    from mgr_cli.tags import names

    of = names.read(path, classes).of
    return lambda genre: "; ".join(of[genre])
