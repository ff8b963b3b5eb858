"""A sweep: what is searched, how, and which trials are stopped early; read from a W&B file.

```yaml
method: bayes                       # or random, or grid
metric: {name: val_accuracy}
parameters: {
  epochs: {value: 30},
  dropout: {values: [0.2, 0.3, 0.5]},
  learning_rate: {distribution: log_uniform_values, min: 1e-4, max: 1e-2},
}
early_terminate: {type: hyperband, min_iter: 3}
run_cap: 40
```

What only has a meaning in the cloud (`IGNORED`) is named in the result and else passed over.

References
----------
W&B's own schema, https://github.com/wandb/sweeps, src/sweeps/config/schema.json. We differ where
a file says nothing: `method` is bayes, and `metric` the validation accuracy; the goal follows
from the metric, where W&B's is to minimise even an accuracy.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mgr_cli.config import Monitor
from mgr_cli.hyperband import ETA, EarlyTerminate
from mgr_cli.sweeps import parameters
from mgr_cli.sweeps.distributions import Choice, Distribution, points
from mgr_cli.sweeps.lines import MAX_ITEMS, Spot, load

Method = Literal["bayes", "random", "grid"]
METHODS: tuple[Method, ...] = get_args(Method)
Goal = Literal["maximize", "minimize"]
GOALS: dict[Monitor, Goal] = {"valid_accuracy": "maximize", "valid_loss": "minimize"}

KEYS = ("method", "metric", "parameters", "early_terminate", "run_cap")
IGNORED = (
    "program", "project", "entity", "name", "description", "command", "controller", "imports",
    "apiVersion", "kind", "job", "image_uri", "scheduler",
)  # fmt: skip
MAX_DEPTH = 8  # of nested parameters

_METRIC = re.compile(r"(val|valid|validation)?_?(loss|acc|accuracy)")


@dataclass(frozen=True)
class Metric:
    """What trials are compared by, on the validation split; beyond `target` nothing is searched."""

    name: Monitor = "valid_accuracy"
    goal: Goal = "maximize"
    target: float | None = None


@dataclass(frozen=True)
class Parameter:
    """What is drawn, under the file's name, and the line that names it, from 1."""

    name: str
    distribution: Distribution
    line: int = 0


@dataclass(frozen=True)
class Sweep:
    """What is searched, and how.

    Attributes
    ----------
    source : str
        What errors call it: the file.
    method : {"bayes", "random", "grid"}
        How values are drawn.
    metric : Metric
        What is sought.
    parameters : tuple of Parameter
        In the order of the file; groups of them are dissolved.
    early_terminate : EarlyTerminate or None
        How trials are stopped early.
    run_cap : int or None
        Trials, at the most.
    ignored : tuple of str
        Keys of the file that have no meaning here.
    assumed : tuple of str
        What the file does not say and we take, as ``method: bayes``.
    """

    source: str
    method: Method
    metric: Metric
    parameters: tuple[Parameter, ...]
    early_terminate: EarlyTerminate | None = None
    run_cap: int | None = None
    ignored: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def read(path: Path) -> Sweep:
    """Read a W&B sweep file.

    Raises
    ------
    SweepError
        If it cannot be read or followed; the message points at the line.
    """
    root = load(path)
    keys = root.fields("a sweep", (*KEYS, *IGNORED))
    if "parameters" not in keys:
        raise root.error("no parameters, expected some, as in parameters: {epochs: {value: 30}}")
    method: Method = keys["method"].one_of("method", METHODS) if "method" in keys else "bayes"
    metric, metric_ignored = _metric(keys["metric"]) if "metric" in keys else (Metric(), ())
    early, early_ignored = (
        _early(keys["early_terminate"]) if "early_terminate" in keys else (None, ())
    )
    said = {"method": f"method: {method}", "metric": f"metric: {metric.name}, {metric.goal}"}
    return Sweep(
        source=root.source,
        method=method,
        metric=metric,
        parameters=_parameters(keys["parameters"], method),
        early_terminate=early,
        run_cap=keys["run_cap"].whole("run_cap") if "run_cap" in keys else None,
        ignored=(*(key for key in keys if key in IGNORED), *metric_ignored, *early_ignored),
        assumed=tuple(text for key, text in said.items() if key not in keys),
    )


def _metric(spot: Spot) -> tuple[Metric, tuple[str, ...]]:
    passed_over = ("impute", "impute_while_running")
    keys = spot.fields("metric", ("name", "goal", "target", *passed_over))
    if "name" not in keys:
        raise spot.error("metric has no name, expected val_accuracy or val_loss")
    said = str(keys["name"].value("metric.name"))
    match = _METRIC.fullmatch(re.sub(r"[^a-z]+", "_", said.lower()))
    if match is None:
        raise keys["name"].error(
            f"metric.name is {said!r}, expected val_accuracy or val_loss: trials are judged on "
            "the validation split alone"
        )
    name: Monitor = "valid_loss" if match[2] == "loss" else "valid_accuracy"
    goal = GOALS[name]
    if "goal" in keys and keys["goal"].one_of("metric.goal", tuple(GOALS.values())) != goal:
        raise keys["goal"].error(f"metric.goal is the wrong way round, expected {goal} {said}")
    target = keys["target"].number("metric.target") if "target" in keys else None
    return Metric(name, goal, target), tuple(f"metric.{k}" for k in passed_over if k in keys)


def _early(spot: Spot) -> tuple[EarlyTerminate, tuple[str, ...]]:
    keys = spot.fields("early_terminate", ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    if "type" not in keys:
        raise spot.error("early_terminate has no type, expected hyperband")
    keys["type"].one_of("early_terminate.type", ("hyperband",))
    eta = keys["eta"].number("eta") if "eta" in keys else ETA
    if eta <= 1:
        raise keys["eta"].error(f"eta is {eta}, expected more than 1")
    used = ("max_iter", "s") if {"max_iter", "s"} <= set(keys) else ("min_iter",)
    if used[0] not in keys:
        raise spot.error("early_terminate has neither min_iter, nor max_iter and s")
    whole = {key: keys[key].whole(key) for key in used}
    if whole.get("max_iter", eta) < eta:
        raise keys["max_iter"].error(f"max_iter is below eta, {eta}: no trial would be compared")
    ignored = tuple(f"early_terminate.{k}" for k in keys if k not in (*used, "type", "eta"))
    return EarlyTerminate(
        eta, whole.get("min_iter"), whole.get("max_iter"), whole.get("s")
    ), ignored


def _parameters(spot: Spot, method: Method) -> tuple[Parameter, ...]:
    found: dict[str, Parameter] = {}
    for parameter, place in _leaves(spot):
        name = parameter.name
        if name in found:
            raise place.error(f"{name!r} is a parameter of line {found[name].line} too")
        if len(found) == MAX_ITEMS:
            raise place.error(f"more than {MAX_ITEMS} parameters")
        if method == "grid":
            _check_of_grid(parameter, place)
        found[name] = parameter
    return tuple(found.values())


def _leaves(spot: Spot, depth: int = 0) -> Iterator[tuple[Parameter, Spot]]:
    """Dissolve groups: those of W&B, and names with dots."""
    if depth > MAX_DEPTH:
        raise spot.error(f"parameters are nested more than {MAX_DEPTH} deep")
    for name, place in spot.fields("parameters").items():
        keys = place.fields(f"parameter {name!r}", parameters.KEYS)
        if parameters.GROUP not in keys:
            drawn = parameters.distribution_of(keys, place)
            yield Parameter(name.rpartition(".")[2], drawn, place.line), place
        elif len(keys) > 1:
            raise place.error(f"{name!r} is a group of parameters, and has keys of its own")
        else:
            yield from _leaves(keys[parameters.GROUP], depth + 1)


def _check_of_grid(parameter: Parameter, place: Spot) -> None:
    try:
        points(parameter.distribution, limit=MAX_ITEMS)
    except ValueError as error:
        raise place.error(
            f"{parameter.name!r} {error}, which a grid cannot try; list values, or use "
            "method: random or bayes"
        ) from error
    if isinstance(parameter.distribution, Choice) and parameter.distribution.probabilities:
        raise place.error(f"{parameter.name!r} has probabilities, which a grid cannot follow")
