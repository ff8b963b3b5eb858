"""From trained weights to an entry of the zoo, with its card and its figures.

The validation split says how good the entry is, at which temperature its confidence is to be
relied on, and from which confidence on it is believed. Few tracks say nothing of the last two; then
the card has neither, and all answers are believed.

What it was trained from and how it was chosen the card says as the run knows it: which epoch, which
point of a grid. That somebody has run ten of them and kept one, a person must add.
"""

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mgr_cli.config import FEWEST_CALIBRATED, PRECISION, VOTE, Monitor, Progress, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.evaluation import calibrate, evaluate
from mgr_cli.findings import learned, recorded
from mgr_cli.fitting import Fitted
from mgr_cli.models.grids import Search
from mgr_cli.plans import VECTORS
from mgr_cli.prediction import Predictor
from mgr_cli.training import Trained
from mgr_cli.zoo import backbones, entries, weights
from mgr_cli.zoo.backbones import Backbone
from mgr_cli.zoo.card import BorrowedNet, Card, TrainedOn, WeightsFile
from mgr_cli.zoo.halves import rounded

PACKAGES = {
    Trained: ("mgr-cli", "numpy", "torch", "lightning"),
    Fitted: ("mgr-cli", "numpy", "scikit-learn", "skops"),
}
"""Whose versions the card states."""

NOTHING = WeightsFile(file="none", sha256="0" * 64)
"""On a card until its entry is saved."""

ROUNDED = "; weights rounded to half precision"
"""What the provenance of such an entry ends in."""


def publish(
    trained: Trained | Fitted,
    dataset: PreparedDataset,
    zoo: Path,
    *,
    name: str | None = None,
    licence: str = "not stated",
    precision: float = PRECISION,
    half: bool = False,
    progress: Progress = silent,
) -> Path:
    """Save a net or a pipeline as an entry of a zoo, with its figures on the validation split.

    Parameters
    ----------
    trained : Trained or Fitted
        From `train` or `fit`.
    dataset : PreparedDataset
        That it was trained on.
    zoo : Path
        Where the entry goes.
    name : str, optional
        Architecture and dataset by default, with a number behind if that is taken.
    licence : str
        Of the weights, for the card.
    precision : float
        Share of right answers among those that are to be believed.
    half : bool
        Whether a net's parameters are rounded to half precision, in which they take half the
        space. All figures are of the rounded ones; `trained` keeps its own.
    progress : callable
        Called after each validation track.

    Returns
    -------
    Path
        Folder of the entry.

    Raises
    ------
    ZooError
        If the name is taken, or half precision cannot hold a parameter.
    """
    unnamed = f"{trained.architecture}-{dataset.name}".lower().replace(" ", "-")
    model = _model(trained, half=half)
    card = Card(
        name=name or entries.free_name(unnamed, zoo),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        architecture=trained.architecture,
        hyperparameters=trained.hyperparameters,
        n_parameters=0,
        classes=dataset.genres,
        eats=trained.inputs.kinds,
        features=dataset.plan.spec,
        form=dataset.plan.form,
        columns=dataset.columns if set(trained.inputs.kinds) & set(VECTORS) else (),
        normalisation=trained.inputs.normalisations,
        segments=trained.segments,
        vote=VOTE,
        seed=trained.seed,
        **_course(trained, dataset, half=half),
        dataset=TrainedOn(
            name=dataset.name,
            split_digest=dataset.split_digest,
            counts=dataset.counts(),
            fold=dataset.tested_fold,
        ),
        figures={},
        weights=NOTHING,
        golden=NOTHING,
        licence=licence,
        versions={package: version(package) for package in PACKAGES[type(trained)]},
    )
    return shelve(card, model, dataset, zoo, precision=precision, progress=progress)


def shelve(
    card: Card,
    model: "weights.Model",
    dataset: PreparedDataset,
    zoo: Path,
    *,
    precision: float = PRECISION,
    progress: Progress = silent,
) -> Path:
    """Judge a model on the validation split, calibrate it there, and save it as an entry.

    The card has no figures yet, and says of files `NOTHING`; the rest is as for `publish`.
    """
    predictor = Predictor(card, weights.score_with(model, card))
    # Its intervals by the seed that `mgr eval` has unasked, whatever the net was trained with.
    valid = evaluate(predictor, dataset, split="valid", progress=progress)
    changes = recorded(card, valid)
    if len(valid.tracks) >= FEWEST_CALIBRATED:
        changes |= learned(card, calibrate(valid, valid, wanted=precision))
    card = card.model_copy(update=changes)
    return entries.save(card, model, zoo, rng=np.random.default_rng(card.seed))


def _model(trained: Trained | Fitted, *, half: bool) -> "weights.Model":
    if isinstance(trained, Trained):
        return rounded(trained.net) if half else trained.net
    if half:
        raise ValueError("a pipeline is not rounded to half precision")
    return trained.judge


def _course(trained: Trained | Fitted, dataset: PreparedDataset, *, half: bool) -> dict[str, Any]:
    """Return what a card says of how its entry came about."""
    alone = f"on {_learned_from(dataset)} alone"
    if isinstance(trained, Fitted):
        return {
            "recipe": None,
            "training_seconds": round(trained.seconds, 3),
            "provenance": f"fitted {alone}",
            "chosen": _won(trained.search),
            "search": trained.search,
            "borrowed": _borrowed(trained.judge.backbone),
        }
    teacher = trained.teacher and trained.teacher.named
    taught = f", taught by {teacher.name}" if teacher else ""
    best, n_epochs = trained.best.number, len(trained.history)
    ended = f"; it ended early: {trained.problem}" if trained.problem else ""
    return {
        "recipe": trained.recipe,
        "best_epoch": best,
        "n_epochs": n_epochs,
        "training_seconds": round(sum(epoch.seconds for epoch in trained.history), 1),
        "provenance": f"trained {alone}{taught}{ended}{ROUNDED if half else ''}",
        "teacher": teacher,
        "rounded": half,
        "chosen": _kept(best, n_epochs, trained.recipe.monitor),
    }


def _learned_from(dataset: PreparedDataset) -> str:
    """Say which tracks were trained on."""
    n_whole = replace(dataset, drawn=None).counts()["train"]
    part = f"{dataset.counts()['train']} of the {n_whole} tracks of " if dataset.drawn else ""
    return f"{part}the train split of {dataset.name}"


def _kept(best: int, n_epochs: int, monitor: Monitor) -> str:
    """Say which epoch's weights they are."""
    if monitor == "none":
        return f"the last of {n_epochs} epochs, whatever the valid split said of it"
    return f"epoch {best} of {n_epochs} by {monitor} on the valid split"


def _won(search: Search | None) -> str:
    """Say how a pipeline was chosen, as far as the run that fitted it knows."""
    if search is None:
        return "its settings were given; the run that fitted it had no other candidate"
    return (
        f"the best of {len(search.candidates)} candidates by mean accuracy over {search.n_folds} "
        "folds of the train split"
    )


def _borrowed(backbone: Backbone | None) -> BorrowedNet | None:
    if backbone is None:
        return None
    unwritten = NOTHING.model_copy(update={"file": backbones.WEIGHTS})
    return BorrowedNet(
        files=(unwritten,), origin=backbone.origin, n_parameters=backbone.n_parameters
    )
