"""How a hyper-parameter is drawn: the distributions of Weights & Biases, as four kinds of data.

W&B has eighteen names for them, and these say the same: what is *quantised* has a `step`, what is
uniform or normal *in its logarithm* is `log`. Its inverse log-uniform distributions, in which
log(1/x) is uniform, are log-uniform ones, for log(1/x) = -log(x). Bounds that a file gives as
exponents of e are values here.

Every distribution is a function of a quantile (`at`): one number in (0, 1) draws from any.
"""

from dataclasses import dataclass, replace
from math import exp, log
from statistics import NormalDist

Value = bool | int | float | str


@dataclass(frozen=True)
class Choice:
    """One of some values of a type, all alike or by probability; a constant is one of one."""

    values: tuple[Value, ...]
    probabilities: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Interval:
    """Uniform from `low` to `high`, both included, or in their logarithms.

    With a `step` only `low` and what is so many steps above it, where `high` is one; if the step
    is an int, so are they.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Normal:
    """Normal of mean `mu` and standard deviation `sigma`, or so in the logarithm."""

    mu: float = 0.0
    sigma: float = 1.0
    log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Beta:
    """Beta of shapes `a` and `b`, in (0, 1)."""

    a: float = 1.0
    b: float = 1.0
    step: float | None = None


Distribution = Choice | Interval | Normal | Beta


def at(distribution: Distribution, quantile: float) -> Value:
    """Return the value below which a share of the draws are.

    A quantised value is the nearest multiple of the step, as W&B draws it; steps of a uniform
    one are equally likely, its ends too, where W&B draws the ends half as often.

    Parameters
    ----------
    distribution : Distribution
        What is drawn from.
    quantile : float
        The share, in (0, 1).

    Raises
    ------
    ValueError
        If the quantile is out of its range.
    """
    if not 0.0 < quantile < 1.0:
        raise ValueError(f"quantile is {quantile}, outside 0 to 1")
    match distribution:
        case Choice():
            return _chosen(distribution, quantile)
        case Interval():
            return _within(distribution, quantile)
        case Normal(mu, sigma, log=logarithm, step=step):
            x = NormalDist(mu, sigma).inv_cdf(quantile)
            return _stepped(exp(x) if logarithm else x, step)
        case Beta(a, b, step=step):
            from scipy.stats import beta

            return _stepped(float(beta.ppf(quantile, a, b)), step)


def points(distribution: Distribution, *, limit: int) -> tuple[Value, ...]:
    """List all values that can be drawn.

    Raises
    ------
    ValueError
        If they are more than `limit`, as real numbers are.
    """
    if isinstance(distribution, Choice):
        return distribution.values
    if not isinstance(distribution, Interval) or distribution.step is None:
        raise ValueError("is continuous")
    n, step = n_steps(distribution) + 1, distribution.step
    if n > limit:
        raise ValueError(f"has {n} values, more than {limit}")
    return tuple(above(distribution.low, i, step) for i in range(n))


def probes(distribution: Distribution) -> tuple[Value, ...]:
    """List the values that stand for all when a range is checked.

    These are all choices, both ends of an interval, and the middle of what has no ends.
    """
    match distribution:
        case Choice(values):
            return values
        case Interval(low, high):
            return low, high
        case Normal(mu, log=logarithm, step=step):
            return (_stepped(exp(mu) if logarithm else mu, step),)
        case Beta(a, b, step=step):
            return (_stepped(a / (a + b), step),)


def cast(distribution: Distribution, kind: type) -> Distribution:
    """Make a distribution draw values of a type: int, float, bool or str.

    Raises
    ------
    ValueError
        If it draws others; the text goes behind the name of what is drawn.
    """
    if isinstance(distribution, Choice):
        return replace(distribution, values=tuple(_as(v, kind) for v in distribution.values))
    step = distribution.step
    if kind is float:
        step = None if step is None else float(step)
    elif kind is not int:
        raise ValueError(f"is drawn from numbers, expected {kind.__name__}: list its values")
    elif step is None or step != int(step):
        raise ValueError("is drawn with fractions, expected int: draw it with int_uniform or q: 1")
    else:
        step = int(step)
    if isinstance(distribution, Interval):
        return replace(
            distribution, low=kind(distribution.low), high=kind(distribution.high), step=step
        )
    return replace(distribution, step=step)


def described(distribution: Distribution) -> str:
    """Say in words what is drawn from, as "32 to 256, whole numbers"."""
    match distribution:
        case Choice((only,)):
            return str(only)
        case Choice(values, None):
            return f"one of {', '.join(map(str, values))}"
        case Choice(values, shares):
            return ", ".join(
                f"{v} ({share:.3g})" for v, share in zip(values, shares or (), strict=True)
            )
        case Interval(low, high):
            said = f"{low:g} to {high:g}"
        case Normal(mu, sigma):
            said = f"normal {mu:g} ± {sigma:g}"
        case Beta(a, b):
            said = f"beta {a:g}, {b:g}"
    if getattr(distribution, "log", False):
        said += ", in logarithms"
    step = distribution.step
    if step is None:
        return said
    return f"{said}, whole numbers" if step == 1 else f"{said}, in steps of {step:g}"


def n_steps(interval: Interval) -> int:
    """Count the steps from the lowest value of a quantised interval to its highest."""
    if interval.step is None:
        raise ValueError("an interval without steps")
    return round((interval.high - interval.low) / interval.step)


def _chosen(choice: Choice, quantile: float) -> Value:
    n = len(choice.values)
    below = 0.0
    for value, share in zip(choice.values, choice.probabilities or (1 / n,) * n, strict=True):
        below += share
        if quantile < below:
            return value
    return choice.values[-1]


def _within(interval: Interval, quantile: float) -> Value:
    low, high, step = interval.low, interval.high, interval.step
    if interval.log:
        x = min(max(exp(log(low) + quantile * (log(high) - log(low))), low), high)
        return x if step is None else above(low, round((x - low) / step), step)
    if step is None:
        return low + quantile * (high - low)
    return above(low, int(quantile * (n_steps(interval) + 1)), step)


def _stepped(x: float, step: float | None) -> float:
    return x if step is None else above(0, round(x / step), step)


def above(low: float, n: int, step: float) -> float:
    """Return what is so many steps above a value, without the noise of 0.1 + 0.2."""
    value = low + n * step
    return value if isinstance(value, int) else float(f"{value:.12g}")


def _as(value: Value, kind: type) -> Value:
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    if kind is int and type(value) is float and value.is_integer():
        return int(value)
    if kind is str and type(value) is int:  # hidden layers, as "512,256" but 512
        return str(value)
    raise ValueError(f"is {value!r}, expected {kind.__name__}")
