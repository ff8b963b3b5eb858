"""Tuning: trials of a search go through the same training as everything else.

A trial draws values, trains or fits with them, and is judged on the validation split; the test
split is never looked at. After each epoch Hyperband may stop it. The entry of the best trial so
far lies in the study's folder, and so does what a trial that is running has reached, which takes
it up again should its process die.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, Trial

from mgr_cli import databases, fitting, publication, studies, training, trials
from mgr_cli.config import Progress, Recipe, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DivergenceError, MgrError, StudyError
from mgr_cli.fitting import Fitted
from mgr_cli.models import registry
from mgr_cli.studies import Search
from mgr_cli.sweeps.distributions import Value
from mgr_cli.task import Epoch
from mgr_cli.trainer import Machine
from mgr_cli.training import MACHINE, Trained
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import Card, load_card

RUNNING = "running"  # folder of what trials have reached
ENTRIES = "entries"  # folder of their entries
LOOK = 5.0  # seconds between two looks at what others do

OnTrial = Callable[[FrozenTrial], None]


@dataclass(frozen=True)
class Bench:
    """What is the same for all trials of a process.

    Attributes
    ----------
    dataset : PreparedDataset
        What is learnt.
    search : Search
        What is searched.
    folder : Path
        Of the study.
    machine : Machine
        On what nets are trained.
    progress : callable
        Called after each step of a trial.
    """

    dataset: PreparedDataset
    search: Search
    folder: Path
    machine: Machine = MACHINE
    progress: Progress = silent

    @cached_property
    def fitter(self) -> fitting.Fitter:
        """What fits pipelines, its rows read once."""
        return fitting.Fitter(self.dataset, seed=self.search.seed, progress=self.progress)


def tune(
    bench: Bench,
    *,
    n_trials: int,
    storage: str | None = None,
    on_trial: OnTrial | None = None,
) -> optuna.Study:
    """Run trials until a study has so many, beside whoever else works on it.

    Parameters
    ----------
    bench : Bench
        What is searched, and where.
    n_trials : int
        In all; those that a process has left unfinished do not count. Two processes may begin
        the last one at once.
    storage : str, optional
        URL of a database; SQLite in the folder by default.
    on_trial : callable, optional
        Called after each trial of this process.

    Returns
    -------
    optuna.Study
        With all trials.

    Raises
    ------
    StudyError
        If the folder has another study, the database does not answer, or a borrowed net is
        asked for.
    """
    dataset, architecture = bench.dataset, bench.search.architecture
    if architecture in registry.BORROWED:
        raise StudyError(
            f"{architecture} is searched on its grid by `mgr train --arch {architecture}`"
        )
    metric = bench.search.sweep.metric.name
    if registry.is_fitted(architecture) and metric != "valid_accuracy":
        raise StudyError(
            f"{architecture} is fitted, and judged by its accuracy; say metric: val_accuracy"
        )
    about = {"dataset": dataset.name, "split_digest": dataset.split_digest}
    with databases.answering(bench.folder, storage):
        study = studies.open_study(bench.folder, bench.search, about, storage=storage)
        studies.enqueue(study, bench.search, bench.folder)
        while (n_left := n_trials - studies.n_settled(study)) > 0 and not _is_over(bench, study):
            trials.revive(study)
            if studies.n_running(study) >= n_left or _is_dealt_out(bench, study):
                time.sleep(LOOK)  # others are at work on all that is left; one may die
                continue
            study.sampler = studies.sampler(bench.search, study)
            _run(bench, study, on_trial)
    return study


def _is_over(bench: Bench, study: optuna.Study) -> bool:
    """Tell whether the target is reached, or nothing is left of a grid."""
    target, best = bench.search.sweep.metric.target, studies.best(study)
    if target is not None and best is not None and best.value is not None:
        is_more = study.direction == optuna.study.StudyDirection.MAXIMIZE
        return best.value >= target if is_more else best.value <= target
    is_idle = not studies.n_waiting(study) and not studies.n_running(study)
    return bench.search.sweep.method == "grid" and is_idle


def _is_dealt_out(bench: Bench, study: optuna.Study) -> bool:
    """Tell whether others are at work on the rest of a grid."""
    return bench.search.sweep.method == "grid" and not studies.n_waiting(study)


def _run(bench: Bench, study: optuna.Study, on_trial: OnTrial | None) -> None:
    """Run one trial; one that is interrupted is queued again."""
    begun: list[int] = []

    def objective(trial: Trial) -> float:
        begun.append(trial.number)
        return _judge(bench, study, trial)

    try:
        with databases.quiet():
            study.optimize(objective, n_trials=1, catch=(MgrError,))
    except KeyboardInterrupt:
        for number in begun:
            trials.queue_again(study, study.get_trials()[number])
        raise
    _tidy(bench, study)
    if on_trial is not None:
        on_trial(study.get_trials()[begun[0]])


def _judge(bench: Bench, study: optuna.Study, trial: Trial) -> float:
    """Train or fit with drawn values; return what the metric says of it."""
    trial.set_user_attr(trials.PROCESS, trials.process())
    chosen = studies.suggest(trial, bench.search.variables)
    trial.set_user_attr(trials.CHOSEN, chosen)
    try:
        if registry.is_fitted(bench.search.architecture):
            return _fit(bench, study, trial, chosen)
        return _train(bench, study, trial, chosen)
    except MgrError as error:
        trial.set_user_attr(trials.PROBLEM, str(error))
        raise


def _train(bench: Bench, study: optuna.Study, trial: Trial, chosen: dict[str, Value]) -> float:
    search, metric = bench.search, bench.search.sweep.metric
    hyperparameters, recipe = settings(search, chosen)
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()
    first = trials.first_number(study.get_trials(deepcopy=False)[trial.number])
    saved = bench.folder / RUNNING / f"{first:04}-{digest[:16]}.ckpt"

    def report(epoch: Epoch) -> None:
        trial.report(getattr(epoch, metric.name), epoch.number)
        # Optuna would stop one that is done where a rung falls on its last epoch.
        if epoch.number < recipe.epochs and trial.should_prune():
            saved.unlink(missing_ok=True)
            raise optuna.TrialPruned

    saved.parent.mkdir(parents=True, exist_ok=True)
    trained = training.train(
        bench.dataset, search.architecture, recipe=recipe, hyperparameters=hyperparameters,
        seed=search.seed, machine=bench.machine, checkpoint=saved, resume=True,
        progress=bench.progress, on_epoch=report,
    )  # fmt: skip
    if trained.problem:
        raise DivergenceError(trained.problem)
    value = float(getattr(trained.best, metric.name))
    if _is_best(study, value):
        trial.set_user_attr(trials.ENTRY, _publish(bench, trial, trained).name)
    return value


def _fit(bench: Bench, study: optuna.Study, trial: Trial, chosen: dict[str, Value]) -> float:
    fitted = bench.fitter.fit(bench.search.architecture, chosen)
    folder = _publish(bench, trial, fitted)
    value = load_card(folder).figures["valid"].track["accuracy"].value
    if _is_best(study, value):
        trial.set_user_attr(trials.ENTRY, folder.name)
    else:
        shutil.rmtree(folder)
    return value


def _publish(bench: Bench, trial: Trial, made: Trained | Fitted) -> Path:
    name = f"trial-{trial.number:04}"
    shutil.rmtree(bench.folder / ENTRIES / name, ignore_errors=True)  # of a study that was deleted
    return publication.publish(made, bench.dataset, bench.folder / ENTRIES, name=name)


def _is_best(study: optuna.Study, value: float) -> bool:
    best = studies.best(study)
    if best is None or best.value is None:
        return True
    is_more = study.direction == optuna.study.StudyDirection.MAXIMIZE
    return value > best.value if is_more else value < best.value


def _tidy(bench: Bench, study: optuna.Study) -> None:
    """Drop the entries of all trials that are told, but for the best."""
    best = studies.best(study)
    for trial in study.get_trials(deepcopy=False):
        name = trial.user_attrs.get(trials.ENTRY)
        if name and trial.state.is_finished() and (best is None or trial.number != best.number):
            shutil.rmtree(bench.folder / ENTRIES / name, ignore_errors=True)


def settings(search: Search, chosen: Mapping[str, Value]) -> tuple[dict[str, Any], Recipe]:
    """Part drawn values into a net's hyper-parameters and its recipe.

    Raises
    ------
    StudyError
        If one is out of its range.
    """
    parts = {variable.name: variable.part for variable in search.variables}
    own = {name: value for name, value in chosen.items() if parts[name] == "set"}
    of_recipe: dict[str, Any] = {k: v for k, v in chosen.items() if parts[k] == "recipe"}
    try:
        return own, replace(registry.find(search.architecture).recipe, **of_recipe)
    except ValueError as error:  # from a distribution without bounds
        raise StudyError(str(error)) from error


def best_recipe(search: Search, trial: FrozenTrial) -> dict[str, Any]:
    """Return what `mgr train --recipe` takes to repeat a trial, as plain values."""
    chosen: dict[str, Value] = trial.user_attrs[trials.CHOSEN]
    parts = {variable.name: variable.part for variable in search.variables}
    said: dict[str, Any] = {"arch": search.architecture}
    for part in ("set", "recipe"):
        found = {name: value for name, value in chosen.items() if parts[name] == part}
        said |= {part: found} if found else {}
    return said


def crown(bench: Bench, study: optuna.Study, zoo: Path, *, name: str, licence: str) -> Path:
    """Put the entry of a study's best trial into a zoo, its card naming the study.

    Where another process of the study, or an earlier one, has put it there, that is returned. A
    taken name gets a number behind.

    Raises
    ------
    StudyError
        If no trial has run to its end, or its entry is on another machine.
    """
    best = studies.best(study)
    if best is None:
        raise StudyError(f"{bench.folder}: no trial has run to its end; there is nothing to keep")
    source = bench.folder / ENTRIES / str(best.user_attrs.get(trials.ENTRY))
    if not source.is_dir():
        raise StudyError(
            f"{source} is not here: the best trial was run on another machine; run `mgr tune` there"
        )
    card = load_card(source)
    found = (
        f"; hyper-parameters found by the study {bench.folder.name} "
        f"({bench.search.sweep.method}, trial {best.number})"
    )
    card = card.model_copy(update={"licence": licence, "provenance": card.provenance + found})
    with FileLock(bench.folder / ".crown.lock"):
        for folder in entries.folders([zoo]).values():
            if folder.name.startswith(name) and _is_same(load_card(folder), card):
                return folder
        free = entries.free_name(name, zoo)
        return entries.adopt(source, card.model_copy(update={"name": free}), zoo)


def _is_same(one: Card, other: Card) -> bool:
    """Compare cards but for their names."""
    return one.model_copy(update={"name": other.name}) == other
