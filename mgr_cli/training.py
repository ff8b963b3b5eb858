"""Training: from a prepared dataset to weights.

The net sees random crops of the training tracks; the validation tracks decide which epoch's
weights are kept and when to stop. The test split is never read.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from torch import nn

from mgr_cli import batches, distillation, trainer
from mgr_cli.augmentation import Augmentation, levels_of
from mgr_cli.budget import Clock, epochs_within
from mgr_cli.config import SEED, Progress, Recipe, SegmentSpec, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.distillation import Teacher
from mgr_cli.errors import DivergenceError, TrainingError
from mgr_cli.inputs import Inputs
from mgr_cli.models import registry
from mgr_cli.prediction import chosen_device
from mgr_cli.refit import last_layer, refit
from mgr_cli.task import Epoch, Task
from mgr_cli.trainer import Machine

MACHINE = Machine()
READERS = 4  # processes that read ahead of a GPU; a CPU takes a hundred times longer than they


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
    inputs : Inputs
        What it takes of a track.
    segments : SegmentSpec or None
        As trained and validated; None where that was the track.
    seed : int
        As trained.
    history : tuple of Epoch
        Every epoch in order.
    teacher : Teacher or None
        Who gave a share of the targets.
    problem : str
        Why training ended before its time; empty where it did not.
    """

    net: nn.Module
    architecture: str
    hyperparameters: dict[str, Any]
    recipe: Recipe
    inputs: Inputs
    segments: SegmentSpec | None
    seed: int
    history: tuple[Epoch, ...]
    teacher: Teacher | None = None
    problem: str = ""

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
    teacher: Teacher | None = None,
    seed: int = SEED,
    machine: Machine = MACHINE,
    checkpoint: Path | None = None,
    resume: bool = False,
    logger: Logger | None = None,
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
    teacher : Teacher, optional
        Who gives a share of the targets, having learnt from the same tracks.
    seed : int
        Of weights, crops and augmentation; torch's global generator is left as it was.
    machine : Machine
        On what to train.
    checkpoint : Path, optional
        Where the run is saved after each epoch; deleted when it is done. Of the caller's own
        making, it is not to be taken from a stranger.
    resume : bool
        Whether a run that is saved there, with the same settings, is taken up. It ends with the
        weights and the history of a run that was never stopped.
    logger : Logger, optional
        Lightning's, who is told the figures of each epoch.
    progress : callable
        Called after each step.
    on_epoch : callable, optional
        Called with the figures of each epoch.

    Returns
    -------
    Trained
        The net and its history. Where the loss, or the net's output, became not finite after
        an epoch at least had ended, those of the best one, and `problem` says where.

    Raises
    ------
    ArchitectureError
        If the architecture or a hyper-parameter is unknown.
    DatasetError
        If a split is empty, or the dataset lacks the features that the net eats.
    TrainingError
        If no epoch has ended, a genre has no training track, the recipe asks for what cannot be
        done to these features, the teacher hears something else, memory does not suffice, or the
        net cannot be compiled.
    """
    plan = _Plan(dataset, architecture, recipe, hyperparameters, segments, teacher, seed, machine)
    with _seeded(seed):
        task = plan.task(on_epoch)
        callbacks: list[L.Callback] = [trainer.Steps(progress)]
        saved = None
        if checkpoint is not None:
            callbacks.append(trainer.Checkpoints(checkpoint))
            saved = checkpoint if resume and checkpoint.exists() else None
        problem = plan.fit(task, callbacks, saved=saved, logger=logger)
    if task.best_weights is None:
        raise TrainingError(problem or "training was stopped before its first epoch ended")
    net = task.net
    net.load_state_dict(task.best_weights)
    net.cpu().eval()
    if trainer.leads():
        plan.finish(net)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    return Trained(
        net=net,
        architecture=architecture,
        hyperparameters=plan.values,
        recipe=plan.recipe,
        inputs=plan.inputs,
        segments=plan.segments,
        seed=seed,
        history=tuple(task.history),
        teacher=teacher,
        problem=problem,
    )


def shortened(
    minutes: float,
    dataset: PreparedDataset,
    architecture: str,
    *,
    recipe: Recipe | None = None,
    hyperparameters: dict[str, Any] | None = None,
    segments: SegmentSpec | None = None,
    teacher: Teacher | None = None,
    machine: Machine = MACHINE,
) -> Recipe:
    """Return a recipe with no more epochs than fit into so many minutes on this machine.

    Some steps are taken, of training and of validation, and timed. The other arguments are
    those of `train`.
    """
    whole = recipe or registry.find(architecture).recipe
    once = replace(whole, epochs=1)
    plan = _Plan(dataset, architecture, once, hyperparameters, segments, teacher, SEED, machine)
    clock = Clock()
    with _seeded(SEED):
        task = plan.task(None)
        plan.fit(task, [clock], n_batches=Clock.STEPS)
    n_train, n_valid = (len(loader) for loader in plan.loaders())
    epochs = epochs_within(minutes, clock, n_train=n_train, n_valid=n_valid)
    return replace(whole, epochs=min(whole.epochs, epochs))


class _Plan:
    """All that is settled before the first step."""

    def __init__(
        self,
        dataset: PreparedDataset,
        architecture: str,
        recipe: Recipe | None,
        hyperparameters: dict[str, Any] | None,
        segments: SegmentSpec | None,
        teacher: Teacher | None,
        seed: int,
        machine: Machine,
    ) -> None:
        row = registry.find(architecture)
        self.recipe = recipe or row.recipe
        self.segments = row.segments and (segments or row.segments)
        self.values = registry.hyperparameters(architecture, hyperparameters or {})
        self.inputs = dataset.inputs(row.eats, self.segments, normalise=self.recipe.normalise)
        batches.check(dataset)
        if teacher is not None:
            distillation.check(teacher, dataset, self.inputs)
        self._teacher = teacher
        self._dataset = dataset
        self._architecture = architecture
        self._seed = seed
        self._machine = machine

    def loaders(self, *, rank: int = 0, n_ranks: int = 1) -> batches.Loaders:
        """Make what gives the batches of this device."""
        return batches.loaders(
            self._dataset, self.inputs, self.recipe, self._seed, rank=rank, n_ranks=n_ranks,
            n_workers=READERS if chosen_device(self._machine.device) == "cuda" else 0,
        )  # fmt: skip

    def task(self, on_epoch: Callable[[Epoch], None] | None) -> Task:
        """Make a fresh net, from torch's current generator, and what trains it."""
        dataset, recipe = self._dataset, self.recipe
        n_classes = len(dataset.genres)
        levels = None
        if "log-mel" in self.inputs.kinds:
            levels = levels_of(dataset.spec, self.inputs.normalisations["log-mel"])
        net = registry.build(
            self._architecture, self.inputs.dimensions, n_classes=n_classes, changes=self.values
        )
        if recipe.refit:
            last_layer(net)
        rarity = torch.from_numpy(batches.rarity(dataset))
        task = Task(
            net,
            recipe,
            Augmentation(recipe, self.inputs.kinds, levels),
            n_classes=n_classes,
            seed=self._seed,
            weights=rarity if recipe.balance == "weights" else None,
            teacher=self._teacher,
            on_epoch=on_epoch,
        )
        if self._machine.compile:
            net.compile(dynamic=False)
        return task

    def finish(self, net: nn.Module) -> None:
        """Fit the last layer of a trained net to its optimum, if the recipe asks for it."""
        dataset, recipe = self._dataset, self.recipe
        if recipe.refit:
            weighed = recipe.balance != "none"
            refit(
                net,
                batches.fixed(dataset, self.inputs, "train", batch_size=recipe.batch_size),
                penalty=recipe.refit,
                weights=batches.rarity(dataset).tolist() if weighed else None,
            )

    def fit(
        self,
        task: Task,
        callbacks: list[L.Callback],
        *,
        saved: Path | None = None,
        logger: Logger | None = None,
        n_batches: int | None = None,
    ) -> str:
        """Train, from where a run was saved if it was; return why it ended before its time."""
        runner = trainer.make(
            self.recipe, self._machine, callbacks=callbacks, logger=logger, n_batches=n_batches
        )
        training, validation = self.loaders(rank=runner.global_rank, n_ranks=runner.world_size)
        if saved is not None:
            trainer.check_saved(saved)
        try:
            runner.fit(
                task, training, validation, ckpt_path=saved, weights_only=True if saved else None
            )
        except DivergenceError as error:
            return str(error)
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error
        except RuntimeError as error:
            raise trainer.told(error) from error
        return ""


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let torch's generator begin at a seed, and give it back as it was."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        torch.manual_seed(seed)
        yield
