"""From trained weights to an entry of the zoo, with its card and its figures."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mgr_cli.config import VOTE, Progress, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.evaluation import evaluate
from mgr_cli.plans import VECTORS
from mgr_cli.prediction import Predictor, score_with
from mgr_cli.training import Trained
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import Card, TrainedOn, WeightsFile


def publish(
    trained: Trained,
    dataset: PreparedDataset,
    zoo: Path,
    *,
    name: str | None = None,
    licence: str = "not stated",
    progress: Progress = silent,
) -> Path:
    """Save a trained net as an entry of a zoo, with its figures on the validation split.

    Parameters
    ----------
    trained : Trained
        From `train`.
    dataset : PreparedDataset
        That it was trained on.
    zoo : Path
        Where the entry goes.
    name : str, optional
        Architecture and dataset by default, with a number behind if that is taken.
    licence : str
        Of the weights, for the card.
    progress : callable
        Called after each validation track.

    Returns
    -------
    Path
        Folder of the entry.

    Raises
    ------
    ZooError
        If the name is taken.
    """
    unnamed = f"{trained.architecture}-{dataset.name}".lower().replace(" ", "-")
    nothing = WeightsFile(file="none", sha256="0" * 64)  # `save` puts the real ones here
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
        normalisation={kind: dataset.normalisations[kind] for kind in trained.inputs.kinds},
        segments=trained.segments,
        vote=VOTE,
        recipe=trained.recipe,
        seed=trained.seed,
        best_epoch=trained.best.number,
        n_epochs=len(trained.history),
        training_seconds=round(sum(epoch.seconds for epoch in trained.history), 1),
        dataset=TrainedOn(
            name=dataset.name,
            split_digest=dataset.split_digest,
            counts=dataset.counts(),
            fold=dataset.tested_fold,
        ),
        figures={},
        weights=nothing,
        golden=nothing,
        licence=licence,
        provenance=(
            f"trained on the train split of {dataset.name} alone, "
            f"epoch {trained.best.number} of {len(trained.history)} chosen on its valid split"
            f"{f'; it ended early: {trained.problem}' if trained.problem else ''}"
        ),
        versions={
            package: version(package) for package in ("mgr-cli", "numpy", "torch", "lightning")
        },
    )
    predictor = Predictor(card, score_with(trained.net, card))
    valid = evaluate(predictor, dataset, split="valid", seed=trained.seed, progress=progress)
    card = card.model_copy(update={"figures": {"valid": valid.assessment}})
    return entries.save(card, trained.net, zoo, rng=np.random.default_rng(trained.seed))
