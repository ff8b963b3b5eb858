"""Figures as Markdown tables, ready to be quoted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.benchmarks.turns import Spread, Turns, exponent


@dataclass(frozen=True)
class Table:
    """The answer to one question.

    Attributes
    ----------
    title : str
        The question.
    text : str
        What was compared, and what of it was checked.
    header : tuple of str
        Of the columns.
    rows : tuple of tuple of str
        A cell a column.
    turns : Turns
        The seconds behind it.
    """

    title: str
    text: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    turns: Turns

    def markdown(self) -> str:
        """Write it as Markdown."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"### {self.title}\n\n{self.text}\n\n{table}\n"

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, seconds of each round included."""
        return {
            "title": self.title,
            "text": self.text,
            "header": list(self.header),
            "rows": [list(row) for row in self.rows],
            "seconds": {name: list(each) for name, each in self.turns.seconds.items()},
        }


@dataclass(frozen=True)
class Pace:
    """How many of what are done in a turn, and in how many seconds they are counted."""

    n: float
    unit: str
    seconds: float = 60.0

    def of(self, seconds: float) -> str:
        """Say how many are done where a turn takes so long."""
        found = self.seconds * self.n / seconds
        return f"{found:,.0f}" if found >= 100 else f"{found:.2f}"


def compared(
    title: str, text: str, turns: Turns, *, against: Sequence[str], pace: Pace | None = None
) -> Table:
    """Put contestants side by side.

    Parameters
    ----------
    title, text : str
        See `Table`.
    turns : Turns
        What they took.
    against : sequence of str
        With whose time everyone's is compared: a column each.
    pace : Pace, optional
        Adds a column of how many are done in a minute, or a second.
    """
    rows = []
    for name in turns.seconds:
        median = turns.median(name)
        done = [pace.of(median)] if pace else []
        ratios = [str(turns.ratio(name, other)) for other in against]
        rows.append((name, f"{median:.2f}", *done, *ratios))
    units = [pace.unit] if pace else []
    header = ("", "s", *units, *(f"of the time of {other}" for other in against))
    return Table(title, text, header, tuple(rows), turns)


@dataclass(frozen=True)
class Growth:
    """How seconds of one kind of work are told at several sizes.

    Attributes
    ----------
    name : str
        Of the work.
    unit : str
        That one of is told of.
    units : dict of float
        From a contestant's name to how many of the unit it does, the smallest size first.
    sizes : dict of float
        From a contestant's name to what grows.
    linear : {1, -1}
        The exponent that one hopes for: time grows as its music does, and falls as workers come.
    """

    name: str
    unit: str
    units: dict[str, float]
    sizes: dict[str, float]
    linear: Literal[1, -1] = 1

    def cells(self, turns: Turns, who: str) -> tuple[str, str]:
        """Write milliseconds a unit, and seconds beside those that one hopes for."""
        first = next(iter(self.sizes))
        ratio, scale = turns.ratio(who, first), (self.sizes[first] / self.sizes[who]) ** self.linear
        own = Spread(ratio.median * scale, ratio.lowest * scale, ratio.highest * scale)
        return f"{1e3 * turns.median(who) / self.units[who]:.1f}", str(own)

    def exponent(self, turns: Turns) -> float:
        """Return e of seconds ∝ sizeᵉ."""
        return exponent(list(self.sizes.values()), [turns.median(who) for who in self.sizes])


def grown(
    title: str, text: str, turns: Turns, *, labels: Sequence[str], works: Sequence[Growth]
) -> Table:
    """Show how the cost of some kinds of work grows; `labels` are those of the sizes, in order."""
    header = [""]
    for work in works:
        header += [f"{work.name}, ms a {work.unit}", "to linear"]
    rows = []
    for number, label in enumerate(labels):
        row = [label]
        for work in works:
            names = list(work.sizes)
            row += work.cells(turns, names[number]) if number < len(names) else ("–", "–")
        rows.append(tuple(row))
    last = ["exponent"]
    for work in works:
        last += ["", f"{work.exponent(turns):.2f}" if len(work.sizes) > 1 else "–"]
    return Table(title, text, tuple(header), (*rows, tuple(last)), turns)
