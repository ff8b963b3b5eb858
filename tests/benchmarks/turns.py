"""Taking turns: how figures of speed are measured here.

A machine that others work on too, or that warms up, is not as fast in one minute as in the next.
So contestants are measured in rounds, each once a round, every second round the other way about;
a ratio is taken within a round, between neighbours in time, and what is told is the median of the
rounds' ratios and their range. Seconds beside them are medians too, of the wall clock.

A contestant is a function that does its work once and returns the seconds that count.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Contestant = Callable[[], float]


class UnfairError(Exception):
    """Contestants do not compute the same."""


@dataclass(frozen=True)
class Spread:
    """A median over rounds, and the range."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        """Write the median, and the range where the last digit tells it apart."""
        ends = f"{self.lowest:.2f}", f"{self.highest:.2f}"
        middle = f"{self.median:.2f}"
        return middle if set(ends) == {middle} else f"{middle} ({ends[0]} to {ends[1]})"


@dataclass(frozen=True)
class Turns:
    """Seconds of every contestant, a number a round."""

    seconds: Mapping[str, tuple[float, ...]]

    def median(self, name: str) -> float:
        """Return a contestant's seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> Spread:
        """Compare two, round by round."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        ratios = [own / of for own, of in pairs]
        return Spread(statistics.median(ratios), min(ratios), max(ratios))


def timed(run: Callable[[], object]) -> Contestant:
    """Make a contestant of what is to be timed as a whole."""

    def contestant() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return contestant


def take_turns(contestants: Mapping[str, Contestant], n_rounds: int, *, warm: bool = True) -> Turns:
    """Let contestants take turns.

    Parameters
    ----------
    contestants : mapping
        By name.
    n_rounds : int
        That count.
    warm : bool
        Whether a round that does not count comes first: processes start, code is imported and
        compiled, files are read into memory.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    if warm:
        for contestant in contestants.values():
            contestant()
    for number in range(n_rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            seconds[name].append(contestants[name]())
    return Turns({name: tuple(each) for name, each in seconds.items()})


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Fit seconds ∝ sizeᵉ by least squares of the logarithms, and return e.

    Raises
    ------
    ValueError
        If there are not two different sizes.
    """
    return statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(each) for each in seconds]
    ).slope
