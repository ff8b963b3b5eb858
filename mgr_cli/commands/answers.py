"""What `mgr predict` shows of its records: a table, JSON, CSV, and labels for Audacity.

Records come as files finish. JSON is printed at once; tables and CSV keep the order of the input,
and hold a line back until all before it are there.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from mgr_cli.commands import console

if TYPE_CHECKING:
    from mgr_cli.records import Record, Stretch
    from mgr_cli.zoo.card import Card

BAR = 30  # characters
SHORT_BAR = 10
TOP = 5  # genres that are shown of a song
CANDIDATES = 3  # behind a song that the entry is unsure of
COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
COLUMNS = (
    "path", "answer", "genre", "confidence", "content", "vote", "seconds", "padded", "model",
    "decoder",
)  # fmt: skip


class Taker(Protocol):
    """Takes records, each with its place in the input, and does something with them."""

    def __call__(self, place: int, record: "Record") -> None:
        """Take a record, also one of an error."""

    def finish(self) -> bool:
        """End, also where the run is interrupted; tell whether something failed."""


class InOrder:
    """Writes texts in the order of their places, whatever the order they come in."""

    def __init__(self, write: Callable[[str | Text], None]) -> None:
        self._write = write
        self._held: dict[int, list[str] | list[Text]] = {}
        self._next = 0

    def put(self, place: int, texts: list[str] | list[Text]) -> None:
        """Take the texts of a place, none at all included."""
        self._held[place] = texts
        while self._next in self._held:
            self._give(self._next)
            self._next += 1

    def finish(self) -> None:
        """Write what waits for places that do not come any more."""
        for place in sorted(self._held):
            self._give(place)

    def _give(self, place: int) -> None:
        for text in self._held.pop(place):
            self._write(text)


class Json:
    """An object a line, as files finish."""

    def __init__(self, *, top: int | None, timeline: bool) -> None:
        self._top = top
        self._timeline = timeline

    def __call__(self, place: int, record: "Record") -> None:
        """Print a record."""
        import json

        from mgr_cli import records

        said = records.described(record)
        if record.status == "ok":
            said["probabilities"] = dict(_ranked(record)[: self._top])
            if self._timeline:
                said["timeline"] = [vars(each) for each in records.merged(record.segments)]
        console.data(json.dumps(said) + "\n")

    def finish(self) -> bool:
        """Do nothing more."""
        return False


class Csv:
    """A header, then a row a song."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._rows = InOrder(lambda row: console.data(str(row)))
        self._begun = False

    def __call__(self, place: int, record: "Record") -> None:
        """Print a record when it is its turn."""
        self._begin()
        self._rows.put(place, [self._row(record)] if record.status == "ok" else [])

    def finish(self) -> bool:
        """Print what was held back."""
        self._begin()
        self._rows.finish()
        return False

    def _begin(self) -> None:
        if not self._begun:
            console.data(_joined([*COLUMNS, *self._classes]))
        self._begun = True

    def _row(self, record: "Record") -> str:
        shares = record.probabilities or {}
        said = [getattr(record, column) for column in COLUMNS]
        return _joined([*said, *(shares.get(genre, 0.0) for genre in self._classes)])


def _joined(cells: Sequence[object]) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


class Table:
    """A line a song, and its candidates or its timeline where they are asked for."""

    def __init__(self, classes: Sequence[str], *, top: int | None, timeline: bool) -> None:
        self._width = max(map(len, (*classes, *MARKS)))
        self._top = top
        self._timeline = timeline
        self._lines = InOrder(console.out.print)

    def __call__(self, place: int, record: "Record") -> None:
        """Print a song when it is its turn."""
        self._lines.put(place, self._of(record) if record.status == "ok" else [])

    def finish(self) -> bool:
        """Print what was held back."""
        self._lines.finish()
        return False

    def _of(self, record: "Record") -> list[Text]:
        line = Text(console.plain(record.answer).ljust(self._width), style=_style(record))
        if record.content == "music":
            share = f" {100 * record.confidence:5.1f} %  {_bar(record.confidence, SHORT_BAR)}  "
        else:
            share = " " * (SHORT_BAR + 12)
        line.append(share, style="not bold default")
        line.append(_shown(record), style="not bold default")
        top = self._top or (CANDIDATES if record.answer == "unsure" else 0)
        said = [f"{console.plain(genre)} {100 * p:.0f} %" for genre, p in _ranked(record)[:top]]
        marks = ["padded"] if record.padded else []
        if said or marks:
            line.append(f"  ({', '.join([*said, *marks])})", style="not bold dim default")
        if not self._timeline:
            return [line]
        return [line, *(Text("  ").append(each) for each in timeline(record.segments, {}))]


class Alone:
    """A single song: bars, and its timeline."""

    def __init__(self, card: "Card", *, top: int | None) -> None:
        self._card = card
        self._top = top or TOP

    def __call__(self, place: int, record: "Record") -> None:
        """Print the song."""
        if record.status == "error":
            return
        ranked = _ranked(record)[: self._top]
        colours = {genre: COLOURS[rank % len(COLOURS)] for rank, (genre, _) in enumerate(ranked)}
        console.out.print(f"{_shown(record)}  {self._heard(record)}", style="dim", markup=False)
        if not record.is_answered:
            console.out.print(Text(record.answer, style=_style(record)).append(self._why(record)))
        width = max(len(console.plain(genre)) for genre, _ in ranked)
        for genre, share in ranked:
            style = "bold" if genre == record.answer else ""
            line = Text(f"{console.plain(genre):>{width}}  ", style=style)
            line.append(_bar(share, BAR), style=colours[genre])
            line.append(f"  {100 * share:5.1f} %")
            console.out.print(line)
        if self._card.segments:
            console.out.print("timeline", style="dim")
            for line in timeline(record.segments, colours):
                console.out.print(line)
        if record.padded:
            seconds = self._card.segments.seconds if self._card.segments else record.seconds
            console.note(
                f"padded: {record.seconds:.2f} s were repeated to fill a segment of {seconds:.1f} s"
            )

    def finish(self) -> bool:
        """Do nothing more."""
        return False

    def _heard(self, record: "Record") -> str:
        n = len(record.segments)
        cut = f"{n} segment{'s' * (n != 1)}" if self._card.segments else "as a whole"
        vote = f", {record.vote} vote" if self._card.segments else ""
        return f"{record.seconds:.1f} s, {cut}, {record.model}{vote}"

    def _why(self, record: "Record") -> str:
        if record.content != "music":
            return ": most of it is no music; as music it would be"
        trust = self._card.trust
        if trust is None or not trust.coverage:
            return f": no answer of {record.model} is believed"
        return f": {record.model} is believed from {100 * trust.threshold:.1f} % on"


MARKS = ("unsure", "speech", "noise", "silence")


def _style(record: "Record") -> str:
    return "bold" if record.is_answered else "bold yellow"


def _ranked(record: "Record") -> list[tuple[str, float]]:
    return list((record.probabilities or {}).items())


def timeline(segments: "Sequence[Stretch]", colours: Mapping[str, str]) -> list[Text]:
    """Draw what a song is called as it goes on: a square a segment, fewer of a long song."""
    from mgr_cli import records

    starts = [each.start for each in segments]
    squares = min(1.0, BAR / max(1, len(segments)))
    lines = []
    for run in records.merged(tuple(segments)):
        n_segments = bisect_left(starts, run.stop) - bisect_left(starts, run.start)
        line = Text(f"{_clock(run.start)} – {_clock(run.stop)}  ")
        drawn = "■" if run.content == "music" else "□"
        line.append(
            f"{drawn * max(1, round(n_segments * squares))} {console.plain(run.name)}",
            style=colours.get(run.name, "") if run.content == "music" else "yellow",
        )
        if run.content == "music":
            line.append(f"  {100 * run.confidence:.0f} %", style="dim")
        lines.append(line)
    return lines


def _shown(record: "Record") -> str:
    from mgr_cli import audio

    return audio.shown(Path(record.path))


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")
    return bar.ljust(width)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):2d}:{rest:04.1f}"
