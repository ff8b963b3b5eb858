"""Studies: where the trials of a search are kept, and what Optuna does with them.

A study has a folder with `study.db` (SQLite), unless somebody names another database, and with
`study.json`: what is searched, on which dataset. Several processes may work on it, on several
machines where they all reach the database. What becomes of the trials of one that died: see
`trials`.

References
----------
T. Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
J. Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011 (TPE).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from mgr_cli import databases, hyperband
from mgr_cli.errors import StudyError
from mgr_cli.files import write_text
from mgr_cli.hyperband import Resources
from mgr_cli.models import registry
from mgr_cli.sweeps import distributions, spaces
from mgr_cli.sweeps.distributions import Choice, Distribution, Interval, Value
from mgr_cli.sweeps.lines import MAX_ITEMS
from mgr_cli.sweeps.spaces import SCHEDULE, Variable
from mgr_cli.sweeps.sweep import Sweep
from mgr_cli.trials import AGAIN, ENTRY, POINT, PROBLEM, queue_dead

DESCRIPTION = "study.json"
NEAR = 1e-9  # quantiles are drawn this far from 0 and 1
QUANTILE = " (quantile)"  # behind the name of what is drawn by one


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes
    ----------
    architecture : str
        A row of the registry.
    sweep : Sweep
        Its method and its metric.
    variables : tuple of Variable
        What is drawn.
    resources : Resources or None
        Of Hyperband; None stops no trial early.
    seed : int
        Of what is drawn, and of every trial's training.
    """

    architecture: str
    sweep: Sweep
    variables: tuple[Variable, ...]
    resources: Resources | None
    seed: int


def open_study(
    folder: Path, search: Search, about: Mapping[str, str], *, storage: str | None = None
) -> optuna.Study:
    """Open a study, or make it.

    Parameters
    ----------
    folder : Path
        Its own; the name of the folder is the study's.
    search : Search
        What is searched.
    about : mapping
        What else must be the same each time, as the digest of the dataset's split.
    storage : str, optional
        URL of a database, as postgresql+psycopg://user@host/name; the folder's SQLite by default.

    Raises
    ------
    StudyError
        If the study that is there searches something else, or the database does not answer.
    """
    said = {**about, **json.loads(json.dumps(_description(search)))}
    path = folder / DESCRIPTION
    if path.exists() and _described(path) != said:
        raise StudyError(
            f"{folder}: this study searches something else; choose another --name, or delete it"
        )
    database = databases.connect(folder, storage, queue_dead)
    if not path.exists():
        write_text(path, json.dumps(said, indent=1) + "\n")
    with databases.quiet(), databases.answering(folder, storage), databases.lock(folder):
        return optuna.create_study(
            storage=database,
            study_name=folder.name,
            direction=search.sweep.metric.goal,
            pruner=_pruner(search.resources),
            load_if_exists=True,
        )


def load_study(folder: Path, *, storage: str | None = None) -> optuna.Study:
    """Open a study that is there, to look at.

    Raises
    ------
    StudyError
        If there is none, or the database does not answer.
    """
    if storage is None and not (folder / databases.DATABASE).is_file():
        raise StudyError(f"{folder}: no study here; start one with `mgr tune`")
    database = databases.connect(folder, storage, queue_dead)
    with databases.quiet(), databases.answering(folder, storage):
        try:
            return optuna.load_study(study_name=folder.name, storage=database)
        except KeyError as error:
            raise StudyError(
                f"the database has no study {folder.name!r}; check --name, or start one with "
                "`mgr tune`"
            ) from error


def sampler(search: Search, study: optuna.Study) -> BaseSampler:
    """Make what draws the next trial: the same after the same trials, where nobody else is at work.

    Others who are draw with another number of trials before them. A trial that is run again does
    not count twice.
    """
    trials = study.get_trials(deepcopy=False)
    n_drawn = sum(AGAIN not in trial.user_attrs for trial in trials)
    seed = int(np.random.SeedSequence([search.seed, n_drawn]).generate_state(1)[0])
    return TPESampler(seed=seed) if search.sweep.method == "bayes" else RandomSampler(seed=seed)


def suggest(trial: Trial, variables: Sequence[Variable]) -> dict[str, Value]:
    """Draw a value of each variable, by our names."""
    chosen: dict[str, Value] = {}
    for variable in variables:
        if variable.is_drawn(chosen):
            chosen[variable.name] = _drawn(trial, drawn_as(variable), variable.distribution)
    return chosen


def drawn_as(variable: Variable) -> str:
    """Name a variable for Optuna, as the sweep does but for a schedule that it only implies."""
    return SCHEDULE if variable.name == SCHEDULE else variable.parameter


def _drawn(trial: Trial, name: str, distribution: Distribution) -> Value:
    match distribution:
        case Choice((only,)):
            return only
        case Choice(values, None):
            drawn: Value = trial.suggest_categorical(name, values)  # type: ignore[assignment]
            return drawn
        case Interval(int() as low, int() as high, False, int() as step):
            return trial.suggest_int(name, low, high, step=step)
        case Interval(low, high, logarithm, step) if not (logarithm and step):
            return trial.suggest_float(name, low, high, log=logarithm, step=step)
    quantile = trial.suggest_float(f"{name}{QUANTILE}", NEAR, 1 - NEAR)
    return distributions.at(distribution, quantile)


def enqueue(study: optuna.Study, search: Search, folder: Path) -> None:
    """Queue the points of a grid that are not yet."""
    if search.sweep.method != "grid":
        return
    with databases.lock(folder):
        queued = {trial.user_attrs.get(POINT) for trial in study.get_trials(deepcopy=False)}
        for point, chosen in enumerate(spaces.grid(search.variables)):
            if point not in queued:
                study.enqueue_trial(_fixed(search.variables, chosen), user_attrs={POINT: point})


def _fixed(variables: Sequence[Variable], chosen: Mapping[str, Value]) -> dict[str, Value]:
    """Return what Optuna is to draw of the values of a point; constants it never sees."""
    return {
        drawn_as(variable): chosen[variable.name]
        for variable in variables
        if variable.is_drawn(chosen)
        and len(distributions.points(variable.distribution, limit=MAX_ITEMS)) > 1
    }


def resources_of(
    sweep: Sweep, variables: Sequence[Variable], architecture: str
) -> Resources | None:
    """Say how Hyperband stops the trials of a sweep early.

    A file that does not say gets Hyperband's defaults, from the first epoch on, unless it is a
    grid, of which every point is wanted. What is fitted has no epochs.
    """
    if registry.is_fitted(architecture):
        return None
    drawn = [variable for variable in variables if variable.name == "epochs"]
    epochs = registry.find(architecture).recipe.epochs
    if drawn:
        epochs = int(max(distributions.probes(drawn[0].distribution)))
    if sweep.early_terminate is not None:
        return hyperband.resources_of(sweep.early_terminate, epochs)
    return None if sweep.method == "grid" else Resources(1, epochs)


def n_settled(study: optuna.Study) -> int:
    """Count the trials that are done, were stopped early, or failed by themselves."""
    return sum(
        trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state == TrialState.FAIL and PROBLEM in trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def n_waiting(study: optuna.Study) -> int:
    """Count the trials that are queued."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def n_running(study: optuna.Study) -> int:
    """Count the trials that somebody is at work on."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def best(study: optuna.Study) -> FrozenTrial | None:
    """Return the best trial that ran to its end, if there is one; of equals, that with an entry."""
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1

    def order(trial: FrozenTrial) -> tuple[float, bool, int]:
        return sign * (trial.value or 0.0), ENTRY not in trial.user_attrs, trial.number

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(done, key=order, default=None)


def _pruner(resources: Resources | None) -> BasePruner:
    if resources is None:
        return NopPruner()
    return HyperbandPruner(
        resources.min_resource, resources.max_resource, resources.reduction_factor
    )


def _description(search: Search) -> dict[str, object]:
    """Say what is searched, but not how the file is called, nor on which of its lines."""
    return {
        "architecture": search.architecture,
        "method": search.sweep.method,
        "metric": asdict(search.sweep.metric),
        "variables": [
            [drawn_as(each), each.name, each.schedule, asdict(each.distribution)]
            for each in search.variables
        ],
        "resources": search.resources and asdict(search.resources),
        "seed": search.seed,
    }


def _described(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StudyError(f"{path}: cannot be read ({error}); choose another --name") from error
