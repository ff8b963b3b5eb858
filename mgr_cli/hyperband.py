"""The arithmetic of Hyperband: which trials are trained how far, and what that costs.

A *bracket* starts n trials, trains them for r epochs, keeps the best of them (one in η), trains
these η times as long, and so on until one bracket's last trials have had R epochs: successive
halving. *Hyperband* runs several brackets, from many trials that are stopped early to a few that
are not stopped at all, because nobody knows beforehand how early a good trial can be told.

Three schedules are worked out here. `brackets` is the algorithm as published. Optuna's pruner
(`optuna_brackets`) is told the trials one by one and never waits for the others of a bracket, so
it deals them out by chance, in the same proportions, and stops each by comparison with those that
came before. W&B's `early_terminate` is one bracket of that (`from_early_terminate`).

References
----------
L. Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 18
(185), 2018, algorithm 1; seed 002 shows it.
L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020 (ASHA, which
does not wait).
`optuna.pruners.HyperbandPruner` and `SuccessiveHalvingPruner` of Optuna 5.0.
"""

from binascii import crc32
from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, log
from random import Random

from mgr_cli.config import SEED

ETA = 3  # the paper's, Optuna's and W&B's
MAX_RUNGS = 100  # as many as W&B looks at
N_ORDERS = 100  # in which trials may come, for a mean


@dataclass(frozen=True)
class Rung:
    """A number of trials, and the epochs that each of them has behind it afterwards."""

    n: int
    epochs: float


@dataclass(frozen=True)
class Bracket:
    """One run of successive halving.

    Attributes
    ----------
    s : int
        The paper's index: the higher, the more trials, and the earlier they are compared.
    rungs : tuple of Rung
        In the order of training; the n of one are the best of the one before.
    """

    s: int
    rungs: tuple[Rung, ...]

    @property
    def n(self) -> int:
        """Trials that it starts."""
        return self.rungs[0].n

    @property
    def r(self) -> float:
        """Epochs that each of them has."""
        return self.rungs[0].epochs

    @property
    def epochs(self) -> float:
        """Epochs in all where a trial goes on from rung to rung, as ours do."""
        before = (0.0, *(rung.epochs for rung in self.rungs))
        return sum(
            rung.n * (rung.epochs - done) for rung, done in zip(self.rungs, before, strict=False)
        )


def brackets(max_resource: int, eta: float = ETA) -> tuple[Bracket, ...]:
    """Work out algorithm 1.

    Parameters
    ----------
    max_resource : int
        The paper's R: epochs of a trial that is never stopped.
    eta : float
        The paper's η: one trial in so many goes on.

    Returns
    -------
    tuple of Bracket
        From s_max, of most trials, to 0. Epochs may be fractions, as in the paper.

    Raises
    ------
    ValueError
        If `max_resource` is below 1, or `eta` below 2.
    """
    if max_resource < 1 or eta < 2:
        raise ValueError(f"R is {max_resource} and η {eta}, expected at least 1 and 2")
    factor = Fraction(eta)  # exact: floor(log(243, 3)) is 4 in floating point
    s_max = 0
    while factor ** (s_max + 1) <= max_resource:
        s_max += 1
    return tuple(_halving(s, s_max, max_resource, factor) for s in range(s_max, -1, -1))


def _halving(s: int, s_max: int, max_resource: int, factor: Fraction) -> Bracket:
    n = ceil((s_max + 1) * factor**s / (s + 1))
    return Bracket(
        s,
        tuple(
            Rung(floor(n / factor**i), float(max_resource * factor ** (i - s)))
            for i in range(s + 1)
        ),
    )


@dataclass(frozen=True)
class Resources:
    """What Optuna's HyperbandPruner is made of, under its names.

    Attributes
    ----------
    min_resource, max_resource : int
        Epochs before the first comparison, and of a trial that is never stopped.
    reduction_factor : int
        One trial in so many goes on.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    min_resource: int
    max_resource: int
    reduction_factor: int = ETA

    def __post_init__(self) -> None:
        if not 1 <= self.min_resource <= self.max_resource or self.reduction_factor < 2:
            raise ValueError(
                f"{self}: expected 1 ≤ min_resource ≤ max_resource and a factor of at least 2"
            )


def weights(resources: Resources) -> tuple[int, ...]:
    """Return in which proportion Optuna deals trials out to its brackets.

    They are algorithm 1's n, with its budget counted in units of `min_resource`. Optuna's
    logarithm is in floating point, which we follow: for 243 epochs and a factor of 3 it has five
    brackets, not six.

    Returns
    -------
    tuple of int
        The first is of the bracket that stops trials earliest.
    """
    eta = resources.reduction_factor
    n_brackets = floor(log(resources.max_resource / resources.min_resource, eta)) + 1
    return tuple(ceil(n_brackets * eta**s / (s + 1)) for s in range(n_brackets - 1, -1, -1))


def bracket_of(weights: Sequence[int], study_name: str, number: int) -> int:
    """Return the place in `weights` of the bracket that Optuna puts a trial into.

    It hashes the names, so the same study has the same brackets wherever it runs.

    Parameters
    ----------
    weights : sequence of int
        Of all brackets.
    study_name : str
        Of the study.
    number : int
        Of the trial, from 0.
    """
    left = crc32(f"{study_name}_{number}".encode()) % sum(weights)
    for place, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return place
    raise ValueError("no weights")


def optuna_brackets(
    resources: Resources, n_trials: int, study_name: str, *, seed: int = SEED
) -> tuple[Bracket, ...]:
    """Work out what Optuna's HyperbandPruner runs of a study.

    The trials of a bracket are counted exactly. How many go on at a rung is the mean over studies
    whose trials come in random order, one after the other: more than one in η, because the first
    of a rung has nobody to be worse than. Where a sampler learns it is more yet.

    Parameters
    ----------
    resources : Resources
        Of the pruner.
    n_trials : int
        Of the study.
    study_name : str
        Its name.
    seed : int
        Of the random orders.

    Returns
    -------
    tuple of Bracket
        The first stops trials earliest; a bracket may have none.
    """
    shares = weights(resources)
    started = Counter(bracket_of(shares, study_name, number) for number in range(n_trials))
    found = []
    for place in range(len(shares)):
        epochs = _compared_after(resources, place)
        reached = _reached(started[place], resources.reduction_factor, len(epochs), seed)
        rungs = map(Rung, reached, (*epochs, resources.max_resource))
        found.append(Bracket(len(shares) - 1 - place, tuple(rungs)))
    return tuple(found)


def _compared_after(resources: Resources, place: int) -> list[int]:
    epochs = resources.min_resource * resources.reduction_factor**place
    found = []
    while epochs < resources.max_resource:
        found.append(epochs)
        epochs *= resources.reduction_factor
    return found


def _reached(n: int, eta: int, n_compared: int, seed: int) -> list[int]:
    """Count the trials of a bracket at each rung, and at the end."""
    rng = Random(seed)
    counts = [0] * (n_compared + 1)
    for _ in range(N_ORDERS):
        rungs: list[list[float]] = [[] for _ in counts]  # of what came so far, worst first
        for value in (rng.random() for _ in range(n)):
            for rung in rungs:
                insort(rung, value)
                if value < rung[-max(1, len(rung) // eta)]:  # Optuna's rule
                    break
        counts = [count + len(rung) for count, rung in zip(counts, rungs, strict=True)]
    return [round(count / N_ORDERS) for count in counts]


@dataclass(frozen=True)
class EarlyTerminate:
    """W&B's ``early_terminate``: either `min_iter`, or `max_iter` and `s`.

    Attributes
    ----------
    eta : float
        One trial in so many goes on; above 1.
    min_iter : int, optional
        Epochs before the first comparison; the next is `eta` times as late.
    max_iter, s : int, optional
        Epochs of a trial that is never stopped, and comparisons on the way, the last `eta` times
        as early as that.
    """

    eta: float = ETA
    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None


def from_early_terminate(early_terminate: EarlyTerminate, epochs: int) -> tuple[int, ...]:
    """Return the epochs, from 1, after which W&B compares the trials, earliest first.

    Parameters
    ----------
    early_terminate : EarlyTerminate
        What a file says.
    epochs : int
        Of a trial that is never stopped: nothing is compared then, or later.

    Raises
    ------
    ValueError
        If it has neither `min_iter` nor both of the others.
    """
    eta = early_terminate.eta
    if early_terminate.min_iter is not None:
        exact, n, factor = float(early_terminate.min_iter), MAX_RUNGS, eta
    elif early_terminate.max_iter is not None and early_terminate.s is not None:
        exact, n, factor = early_terminate.max_iter / eta, early_terminate.s, 1 / eta
    else:
        raise ValueError("neither min_iter, nor max_iter and s")
    rungs = set()
    for _ in range(min(n, MAX_RUNGS)):
        rungs.add(int(min(exact, epochs)))
        exact *= factor
    return tuple(sorted(rung for rung in rungs if 1 <= rung < epochs))


def resources_of(early_terminate: EarlyTerminate, epochs: int) -> Resources:
    """Return what Optuna's pruner is given for W&B's ``early_terminate``.

    Its bracket of most trials has the rungs of `from_early_terminate`, but for rounding (30
    epochs, s of 2: W&B compares after 3 and 10, Optuna after 3 and 9), and its factor is whole.
    """
    rungs = from_early_terminate(early_terminate, epochs)
    longest = min(early_terminate.max_iter or epochs, epochs)
    return Resources(rungs[0] if rungs else longest, longest, max(2, round(early_terminate.eta)))
