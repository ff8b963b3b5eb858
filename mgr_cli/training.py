"""Training: from a prepared dataset to weights, and from weights to an entry of the zoo.

The net sees random crops of the training tracks; the validation tracks decide which epoch's
weights are kept and when to stop. The test split is never read.
"""

import logging
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from mgr_cli import batches
from mgr_cli.config import SEED, VOTE, Progress, Recipe, SegmentSpec, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import TrainingError
from mgr_cli.evaluation import evaluate
from mgr_cli.models import registry
from mgr_cli.prediction import Predictor, chosen_device, score_with
from mgr_cli.task import Checkpoints, Epoch, Steps, Task
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import Card, TrainedOn, WeightsFile

NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # on other CPUs it is emulated, and slower


@dataclass(frozen=True)
class Trained:
    """A trained net, and how it came about.

    Attributes
    ----------
    net : nn.Module
        On the CPU, in evaluation mode, with the weights of the best epoch.
    architecture : str
        Its row in the registry.
    hyperparameters : dict
        All of them, defaults included.
    recipe : Recipe
        As trained.
    segments : SegmentSpec
        As trained and validated.
    seed : int
        As trained.
    history : tuple of Epoch
        Every epoch in order.
    """

    net: nn.Module
    architecture: str
    hyperparameters: dict[str, Any]
    recipe: Recipe
    segments: SegmentSpec
    seed: int
    history: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch whose weights were kept."""
        return [epoch for epoch in self.history if epoch.is_best][-1]


def train(
    dataset: PreparedDataset,
    architecture: str,
    *,
    recipe: Recipe | None = None,
    hyperparameters: dict[str, Any] | None = None,
    segments: SegmentSpec | None = None,
    seed: int = SEED,
    device: str = "auto",
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train a net on a dataset's training split, chosen on its validation split.

    Parameters
    ----------
    dataset : PreparedDataset
        What to learn.
    architecture : str
        Name of a row of the registry.
    recipe : Recipe, optional
        The architecture's own by default.
    hyperparameters : dict, optional
        Those of the architecture that differ from its defaults.
    segments : SegmentSpec, optional
        Length of the crops, and how validation cuts; the architecture's own by default.
    seed : int
        Of weights, crops and augmentation; torch's global generator is left as it was.
    device : {"auto", "cpu", "cuda"}
        Where to train; auto takes a GPU if there is one.
    checkpoint : Path, optional
        Where the run is saved after each epoch; deleted when it is done. Of the caller's own
        making, it is not to be taken from a stranger.
    resume : bool
        Whether a run that is saved there, with the same settings, is taken up. It ends with the
        weights and the history of a run that was never stopped.
    progress : callable
        Called after each step.
    on_epoch : callable, optional
        Called with the figures of each epoch.

    Returns
    -------
    Trained
        The net and its history.

    Raises
    ------
    ArchitectureError
        If the architecture or a hyper-parameter is unknown.
    DatasetError
        If a split is empty.
    TrainingError
        If the loss or the net's output is not finite, or a genre has no training track.
    """
    row = registry.find(architecture)
    recipe, segments = recipe or row.recipe, segments or row.segments
    values = registry.hyperparameters(architecture, hyperparameters or {})
    loaders = batches.loaders(dataset, recipe, segments, seed)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        torch.manual_seed(seed)
        net = registry.build(
            architecture,
            n_mels=dataset.spec.n_mels,
            n_frames=segments.length(dataset.spec),
            n_classes=len(dataset.genres),
            changes=values,
        )
        weights = torch.from_numpy(batches.rarity(dataset)) if recipe.balance == "weights" else None
        task = Task(net, recipe, n_classes=len(dataset.genres), on_epoch=on_epoch, weights=weights)
        trainer = _trainer(recipe, device, progress, checkpoint)
        saved = checkpoint if resume and checkpoint is not None and checkpoint.exists() else None
        _fit(trainer, task, loaders, saved)
    if task.best_weights is None:
        raise TrainingError("training was stopped before its first epoch ended")
    net.load_state_dict(task.best_weights)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return Trained(
        net.cpu().eval(), architecture, values, recipe, segments, seed, tuple(task.history)
    )


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
        features=dataset.spec,
        normalisation=dataset.normalisation,
        segments=trained.segments,
        vote=VOTE,
        recipe=trained.recipe,
        seed=trained.seed,
        best_epoch=trained.best.number,
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
        ),
        versions={
            package: version(package) for package in ("mgr-cli", "numpy", "torch", "lightning")
        },
    )
    predictor = Predictor(card, score_with(trained.net, card))
    valid = evaluate(predictor, dataset, split="valid", seed=trained.seed, progress=progress)
    card = card.model_copy(update={"figures": {"valid": valid.assessment}})
    return entries.save(card, trained.net, zoo, rng=np.random.default_rng(trained.seed))


def fastest_precision(device: str) -> str:
    """Name Lightning's precision that a device computes fastest: bfloat16 where native.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        On a CPU without AVX-512-BF16 or AMX, bfloat16 is emulated and several times
        slower than float32.
    """
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    capable = torch.cpu.get_capabilities()
    return "bf16-mixed" if any(capable.get(name) for name in NATIVE_BFLOAT16) else "32"


def _fit(trainer: L.Trainer, task: Task, loaders: Any, saved: Path | None) -> None:
    """Train, from where a run was saved if it was."""
    training, validation = loaders
    if saved is not None:
        _check_saved(saved)
    try:
        trainer.fit(
            task, training, validation, ckpt_path=saved, weights_only=True if saved else None
        )
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error


def _check_saved(path: Path) -> None:
    """Refuse what is no checkpoint, or holds more than tensors and plain values.

    The file is our own, from the user's zoo; should it not be, nothing in it is run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        said = " ".join(str(error).split())[:200]
        raise TrainingError(
            f"{path}: cannot be taken up ({said}); leave --resume out to begin anew"
        ) from error


def _trainer(recipe: Recipe, device: str, progress: Progress, checkpoint: Path | None) -> L.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    chosen = chosen_device(device)
    return L.Trainer(
        max_epochs=recipe.epochs,
        accelerator=chosen,
        devices=1,
        precision=fastest_precision(chosen),  # type: ignore[arg-type]
        gradient_clip_val=recipe.clip or None,
        callbacks=[
            EarlyStopping(
                monitor=recipe.monitor,
                mode="max" if recipe.monitor == "valid_accuracy" else "min",
                patience=recipe.patience,
            ),
            Steps(progress),
            *([Checkpoints(checkpoint)] if checkpoint else []),
        ],
        default_root_dir=Path.cwd(),
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
