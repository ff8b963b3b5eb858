"""What a sweep means for an architecture: which of its values are drawn, and from what.

A parameter of a sweep is a hyper-parameter of the architecture, or, of a net, a field of the
recipe that it is trained by. People have other names for some of them; `ALIASES` has ours. Two
kinds of names come with a schedule: seed 000 calls the factor by which ReduceLROnPlateau lowers
the learning rate ``reduce_lr_factor``, and StepLR's ``step_lr_gamma``; both are our `gamma`, under
the schedules ``plateau`` and ``step``. A sweep that names both draws the schedule too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from itertools import chain, islice, product
from typing import Any, Literal

from mgr_cli.config import Recipe, Schedule
from mgr_cli.errors import ArchitectureError, SweepError
from mgr_cli.models import registry
from mgr_cli.sweeps.distributions import Choice, Distribution, Value, cast, points, probes
from mgr_cli.sweeps.lines import MAX_ITEMS
from mgr_cli.sweeps.sweep import Parameter, Sweep

Part = Literal["set", "recipe"]

DIMENSIONS = {
    "n_mels": 128, "n_frames": 1_280, "fmin": 0, "fmax": 11_025,
    "n_samples": 2**19, "n_columns": 518,
}  # fmt: skip
"""Of the segment that values are tried on where nobody says which."""

MAX_BUILDS = 64  # combinations that a value is tried in before it is out of its range
SCHEDULE = "schedule"


@dataclass(frozen=True)
class Alias:
    """Our name, and the schedule that the other name speaks of."""

    name: str
    schedule: Schedule | None = None


ALIASES: Mapping[str, Alias] = {
    "reduce_lr_factor": Alias("gamma", "plateau"),  # seed 000
    "step_lr_step_size": Alias("step_size", "step"),
    "step_lr_gamma": Alias("gamma", "step"),
    "lr": Alias("learning_rate"),
    "n_epochs": Alias("epochs"),
    "num_epochs": Alias("epochs"),
    "dropout_rate": Alias("dropout"),
    "hidden_size": Alias("hidden_dim"),
    "n_layers": Alias("num_layers"),
    "scheduler": Alias(SCHEDULE),
    "C": Alias("c"),  # seed 002
}


@dataclass(frozen=True)
class Variable:
    """What is drawn for each trial.

    Attributes
    ----------
    name : str
        Ours.
    part : {"set", "recipe"}
        Where a recipe file has it: a hyper-parameter, or a field of the recipe.
    distribution : Distribution
        Of values of its type.
    schedule : str or None
        It is drawn only where the schedule is this one.
    parameter : str
        The sweep's name.
    line : int
        That names it.
    """

    name: str
    part: Part
    distribution: Distribution
    schedule: Schedule | None
    parameter: str
    line: int

    def is_drawn(self, chosen: Mapping[str, Value]) -> bool:
        """Tell whether it is drawn, `chosen` holding our names of what was drawn before."""
        return self.schedule is None or chosen.get(SCHEDULE) == self.schedule


def resolve(
    sweep: Sweep, architecture: str, *, dimensions: Mapping[str, int] = DIMENSIONS
) -> tuple[Variable, ...]:
    """Find out what a sweep draws of an architecture, and that it can be made of all of it.

    Parameters
    ----------
    sweep : Sweep
        As read.
    architecture : str
        Name of a row of the registry.
    dimensions : mapping
        Of a segment, see `registry.build`.

    Returns
    -------
    tuple of Variable
        In the order of the sweep, but for the schedule, which is first.

    Raises
    ------
    ArchitectureError
        If there is no such architecture.
    SweepError
        If it has no such parameter, or a value is not of its type or out of its range. Of what
        has no bounds, the middle is in range.
    """
    known = _known(sweep, architecture)
    found: list[Variable] = []
    for parameter in sweep.parameters:
        variable = _variable(sweep, parameter, architecture, known)
        for other in found:
            if other.name == variable.name and (
                other.schedule == variable.schedule or None in (other.schedule, variable.schedule)
            ):
                raise _error(
                    sweep, parameter,
                    f"and {other.parameter!r} of line {other.line} are both {variable.name}",
                )  # fmt: skip
        found.append(variable)
    variables = _with_schedule(sweep, found)
    _check_recipe(sweep, architecture, variables)
    _check_hyperparameters(sweep, architecture, variables, dimensions)
    return variables


def grid(variables: Sequence[Variable]) -> Iterator[dict[str, Value]]:
    """Walk through all combinations, by our names; what is not drawn in one is not in it.

    Raises
    ------
    ValueError
        If a distribution is continuous.
    """
    return _combinations(tuple(variables), {})


def _combinations(
    variables: tuple[Variable, ...], chosen: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    if not variables:
        yield chosen
    elif not variables[0].is_drawn(chosen):
        yield from _combinations(variables[1:], chosen)
    else:
        for value in points(variables[0].distribution, limit=MAX_ITEMS):
            yield from _combinations(variables[1:], chosen | {variables[0].name: value})


def _error(sweep: Sweep, at: Parameter | Variable, message: str) -> SweepError:
    name = at.name if isinstance(at, Parameter) else at.parameter
    return SweepError(f"{sweep.source}:{at.line}: {name!r} {message}")


def _known(sweep: Sweep, architecture: str) -> dict[str, tuple[Part, type]]:
    """List what can be drawn, and its type; of a borrowed net, what all its rivals have."""
    own = registry.defaults(architecture)
    if registry.CLASSIFIER in own:
        for parameter in sweep.parameters:
            if parameter.name == registry.CLASSIFIER:
                rivals = [
                    registry.defaults(architecture, rival)
                    for rival in probes(parameter.distribution)
                ]
                own = {k: v for k, v in rivals[0].items() if all(k in rival for rival in rivals)}
    known: dict[str, tuple[Part, type]] = {k: ("set", type(v)) for k, v in own.items()}
    if not registry.is_fitted(architecture):
        recipe = registry.find(architecture).recipe
        of_recipe = {field.name: type(getattr(recipe, field.name)) for field in fields(Recipe)}
        known = {k: ("recipe", kind) for k, kind in of_recipe.items()} | known
    return known


def _variable(
    sweep: Sweep,
    parameter: Parameter,
    architecture: str,
    known: Mapping[str, tuple[Part, type]],
) -> Variable:
    alias = ALIASES.get(parameter.name, Alias(parameter.name))
    if alias.name not in known:
        close = get_close_matches(parameter.name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
        raise _error(sweep, parameter, f"is no parameter of {architecture}; {hint}")
    part, kind = known[alias.name]
    try:
        drawn = cast(parameter.distribution, kind)
    except ValueError as error:
        raise _error(sweep, parameter, str(error)) from error
    return Variable(alias.name, part, drawn, alias.schedule, parameter.name, parameter.line)


def _with_schedule(sweep: Sweep, variables: Sequence[Variable]) -> tuple[Variable, ...]:
    """Put the schedule first, and draw it from those that the others speak of."""
    spoken_of = {v.schedule: v for v in variables if v.schedule is not None}
    said = [v for v in variables if v.name == SCHEDULE]
    others = (v for v in variables if v.name != SCHEDULE)
    if not spoken_of or said:
        for name, variable in spoken_of.items():
            if name not in probes(said[0].distribution):
                raise _error(
                    sweep, variable,
                    f"is of the schedule {name}, which line {said[0].line} does not name",
                )  # fmt: skip
        return (*said, *others)
    first = next(iter(spoken_of.values()))
    drawn = Choice(tuple(map(str, spoken_of)))
    return (replace(first, name=SCHEDULE, distribution=drawn, schedule=None), *others)


def _check_recipe(sweep: Sweep, architecture: str, variables: Sequence[Variable]) -> None:
    for variable in variables:
        if variable.part == "recipe":
            recipe = registry.find(architecture).recipe
            for value in probes(variable.distribution):
                changes: dict[str, Any] = {variable.name: value}
                try:
                    replace(recipe, **changes)
                except ValueError as error:
                    raise _error(sweep, variable, f"cannot be used: {error}") from error


def _check_hyperparameters(
    sweep: Sweep, architecture: str, variables: Sequence[Variable], dimensions: Mapping[str, int]
) -> None:
    own = [variable for variable in variables if variable.part == "set"]
    for variable in own:
        others = {v.name: probes(v.distribution) for v in own if v is not variable}
        for value in probes(variable.distribution):
            drawn = {variable.name: value}
            if error := _refusal(architecture, drawn, others, dimensions):
                raise _error(sweep, variable, f"cannot be used: {error}") from error


def _refusal(
    architecture: str,
    drawn: Mapping[str, Value],
    others: Mapping[str, Sequence[Value]],
    dimensions: Mapping[str, int],
) -> ArchitectureError | None:
    """Make the architecture with a value, alone or else together with some of the others."""
    together = (dict(zip(others, chosen, strict=True)) for chosen in product(*others.values()))
    first = None
    for rest in islice(chain([{}], together), MAX_BUILDS):
        error = _made({**rest, **drawn}, architecture, dimensions)
        if error is None:
            return None
        first = first or error
    return first


def _made(
    changes: Mapping[str, Value], architecture: str, dimensions: Mapping[str, int]
) -> ArchitectureError | None:
    row = registry.BORROWED.get(architecture)
    cuts = row.cuts if row and architecture != registry.ENCODER else ()
    if cuts and changes.get("cut", cuts[0]) not in cuts:
        return ArchitectureError(f"cut is {changes['cut']!r}, expected one of {', '.join(cuts)}")
    try:
        if registry.is_fitted(architecture):
            registry.build_pipeline(architecture, seed=0, changes=changes)
        else:
            import torch

            with torch.device("meta"):  # shapes alone, no memory
                registry.build(architecture, dimensions, n_classes=10, changes=changes)
    except ArchitectureError as error:
        return error
    return None
