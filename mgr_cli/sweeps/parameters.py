"""One parameter of a sweep file: from W&B's keys to a distribution.

Without ``distribution`` it is constant where there is a ``value``, categorical where there are
``values``, uniform over whole numbers where ``min`` and ``max`` are whole, and else uniform.
"""

from collections.abc import Mapping
from math import ceil, exp, floor, isclose

from mgr_cli.sweeps.distributions import Beta, Choice, Distribution, Interval, Normal, Value, above
from mgr_cli.sweeps.lines import Spot

GROUP = "parameters"
KEYS = (
    "value", "values", "probabilities", "min", "max", "distribution", "q", "mu", "sigma", "a", "b",
    GROUP,
)  # fmt: skip
MAX_EXPONENT = 700.0  # of e, before floating point ends

_LIMITS = ("min", "max")
_TAKES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # what it needs, and may have
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "int_uniform": (_LIMITS, ()),
    "uniform": (_LIMITS, ()),
    "q_uniform": (_LIMITS, ("q",)),
    "log_uniform": (_LIMITS, ()),
    "log_uniform_values": (_LIMITS, ()),
    "q_log_uniform": (_LIMITS, ("q",)),
    "q_log_uniform_values": (_LIMITS, ("q",)),
    "inv_log_uniform": (_LIMITS, ()),
    "inv_log_uniform_values": (_LIMITS, ()),
    "normal": ((), ("mu", "sigma")),
    "q_normal": ((), ("mu", "sigma", "q")),
    "log_normal": ((), ("mu", "sigma")),
    "q_log_normal": ((), ("mu", "sigma", "q")),
    "beta": ((), ("a", "b")),
    "q_beta": ((), ("a", "b", "q")),
}
DISTRIBUTIONS = tuple(_TAKES)


def distribution_of(keys: Mapping[str, Spot], spot: Spot) -> Distribution:
    """Read the distribution of a parameter.

    Parameters
    ----------
    keys : mapping
        Those of the file, out of `KEYS` but without a group.
    spot : Spot
        Where the parameter is named.

    Raises
    ------
    SweepError
        If a key is missing or does not belong, or a value is out of its range.
    """
    if "distribution" in keys:
        name = keys["distribution"].one_of("distribution", DISTRIBUTIONS)
    else:
        name = _implied(keys, spot)
    needed, optional = _TAKES[name]
    for key in keys:
        if key not in (*needed, *optional, "distribution"):
            raise keys[key].error(
                f"{name} has no {key!r}, expected {' and '.join((*needed, *optional))}"
            )
    for key in needed:
        if key not in keys:
            raise spot.error(f"{name} needs {' and '.join(needed)}, and there is no {key!r}")
    if name == "constant":
        return Choice((keys["value"].value("value"),))
    if "values" in needed:
        return _choice(keys)
    if needed:
        return _interval(name, keys)
    return _beta(keys, name) if name.endswith("beta") else _normal(keys, name)


def _implied(keys: Mapping[str, Spot], spot: Spot) -> str:
    if "value" in keys:
        return "constant"
    if "values" in keys:
        return "categorical_w_probabilities" if "probabilities" in keys else "categorical"
    limits = [keys[key].number(key) for key in _LIMITS if key in keys]
    if not limits:
        raise spot.error("nothing to draw from, expected value, values, min and max, or a "
                         "distribution")  # fmt: skip
    return "int_uniform" if all(isinstance(x, int) for x in limits) else "uniform"


def _choice(keys: Mapping[str, Spot]) -> Choice:
    values: list[Value] = []
    for spot in keys["values"].items("values"):
        value = spot.value("one of values")
        if values and _family(value) != _family(values[0]):
            raise spot.error(f"values are of mixed types, {values[0]!r} and {value!r}")
        if value in values:
            raise spot.error(f"values have {value!r} twice")
        values.append(value)
    if "probabilities" not in keys:
        return Choice(tuple(values))
    shares = tuple(s.number("a probability") for s in keys["probabilities"].items("probabilities"))
    if len(shares) != len(values) or min(shares) < 0 or not isclose(sum(shares), 1, abs_tol=1e-6):
        raise keys["probabilities"].error(
            f"probabilities are {len(shares)} that sum to {sum(shares):g}, expected "
            f"{len(values)}, none below 0, that sum to 1"
        )
    return Choice(tuple(values), shares)


def _family(value: Value) -> type:
    return float if type(value) is int else type(value)


def _interval(name: str, keys: Mapping[str, Spot]) -> Interval:
    low, high = (keys[key].number(key) for key in _LIMITS)
    if low >= high:
        raise keys["max"].error(f"min is {low} and max is {high}, expected min below max")
    logarithm, given_as_values = "log" in name, name.endswith("values")
    if logarithm and given_as_values and low <= 0:
        raise keys["min"].error(f"min is {low}, expected more than 0: {name} takes its logarithm")
    if logarithm and not given_as_values:
        if max(-low, high) > MAX_EXPONENT:
            raise keys["min"].error(
                f"min is {low} and max is {high}, exponents of e; did you mean {name}_values?"
            )
        low, high = (-high, -low) if name.startswith("inv_") else (low, high)
        low, high = exp(low), exp(high)
    if name == "int_uniform":
        if not (isinstance(low, int) and isinstance(high, int)):
            raise keys["min"].error(f"min is {low} and max is {high}, expected whole numbers")
        return Interval(low, high, step=1)
    step = _step(keys, name)
    if step is None:
        return Interval(float(low), float(high), logarithm)
    return _quantised(keys, low, high, logarithm, step)


def _quantised(
    keys: Mapping[str, Spot], low: float, high: float, logarithm: bool, step: float
) -> Interval:
    """Draw the bounds in to multiples of the step, noise such as 0.3 / 0.1 aside."""
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    if logarithm:
        first = max(first, 1)
    if first > last:
        raise keys["max"].error(f"no multiple of q, {step}, lies between {low:g} and {high:g}")
    return Interval(above(0, first, step), above(0, last, step), logarithm, step)


def _step(keys: Mapping[str, Spot], name: str) -> float | None:
    """Read q, which is 1 where it may stand and does not."""
    if not name.startswith("q_"):
        return None
    step = keys["q"].number("q") if "q" in keys else 1
    if step <= 0:
        raise keys["q"].error(f"q is {step}, expected more than 0")
    return step


def _shape(keys: Mapping[str, Spot], key: str, default: float) -> float:
    """Read a number that is more than 0."""
    value = keys[key].number(key) if key in keys else default
    if value <= 0:
        raise keys[key].error(f"{key} is {value}, expected more than 0")
    return float(value)


def _normal(keys: Mapping[str, Spot], name: str) -> Normal:
    mu = float(keys["mu"].number("mu")) if "mu" in keys else 0.0
    sigma = _shape(keys, "sigma", 1.0)
    if "log" in name and abs(mu) + 10 * sigma > MAX_EXPONENT:  # nothing is drawn from further out
        raise (keys.get("mu") or keys["sigma"]).error(
            f"mu is {mu:g} and sigma {sigma:g}, exponents of e: expected {MAX_EXPONENT:g} at most"
        )
    return Normal(mu, sigma, "log" in name, _step(keys, name))


def _beta(keys: Mapping[str, Spot], name: str) -> Beta:
    return Beta(_shape(keys, "a", 1.0), _shape(keys, "b", 1.0), _step(keys, name))
