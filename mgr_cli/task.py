"""What a step and an epoch of training are: a Lightning module around a net.

A step masks and mixes a batch of crops and compares the net's logits with the smoothed
targets. After an epoch every validation track is judged as a prediction would judge it, by
the mean probability of its segments, and the weights are kept if it is the best epoch yet.

A run can be saved between two epochs (`Checkpoints`) and taken up there: weights, optimiser,
schedule, random numbers, history. It then ends as if nothing had happened.
"""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mgr_cli import augment, metrics
from mgr_cli.config import Progress, Recipe
from mgr_cli.data.crops import Batch
from mgr_cli.errors import TrainingError
from mgr_cli.files import replacing


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch; losses are natural-log cross entropies.

    `train_loss` is of augmented segments; what begins with `valid` is of whole tracks, by mean
    probability, precision, recall and F1 being averages over the genres.
    """

    number: int
    learning_rate: float
    train_loss: float
    valid_loss: float
    valid_accuracy: float
    valid_precision: float
    valid_recall: float
    valid_f1: float
    seconds: float
    is_best: bool


class Task(L.LightningModule):
    """What one step does, what an epoch's figures are, and which weights to keep."""

    def __init__(
        self,
        net: nn.Module,
        recipe: Recipe,
        *,
        n_classes: int,
        on_epoch: Callable[[Epoch], None] | None,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.weights: Tensor | None
        self.register_buffer("weights", weights)  # of the classes, in the loss
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = (
            AveragedModel(
                net,
                multi_avg_fn=get_ema_multi_avg_fn(recipe.ema),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
            if recipe.ema
            else None
        )
        self.history: list[Epoch] = []
        self.best_weights: dict[str, Tensor] | None = None
        self._recipe = recipe
        self._n_classes = n_classes
        self._on_epoch = on_epoch
        self._losses: list[float] = []
        self._judged: list[tuple[Tensor, Tensor, Tensor]] = []
        self._started = perf_counter()
        self._rng: dict[str, Any] | None = None

    @property
    def is_resumed(self) -> bool:
        """Whether the run was taken up, and its first epoch has not begun."""
        return self._rng is not None

    @property
    def validated(self) -> nn.Module:
        """The net whose weights count: the running average if there is one."""
        return self.net if self.average is None else self.average.module

    def on_train_epoch_start(self) -> None:
        """Start the clock; where a run was taken up, draw on as it would have."""
        if self._rng is not None:
            torch.set_rng_state(self._rng["cpu"])
            if self._rng["cuda"]:
                torch.cuda.set_rng_state_all(self._rng["cuda"])
            self._rng = None
        self._started = perf_counter()
        self._losses = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Mask, mix, and compare with the smoothed targets."""
        recipe = self._recipe
        x, labels, _numbers = batch
        targets = F.one_hot(labels, self._n_classes).to(x.dtype)
        x = augment.mask(x, frequency=recipe.frequency_mask, time=recipe.time_mask)
        x, targets = augment.mixup(x, targets, alpha=recipe.mixup)
        loss = F.cross_entropy(
            self.net(x), targets, weight=self.weights, label_smoothing=recipe.label_smoothing
        )
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {self.global_step} of epoch "
                f"{self.current_epoch + 1}; try a lower learning rate"
            )
        self._losses.append(value)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        """Move the running average."""
        if self.average is not None:
            self.average.update_parameters(self.net)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Judge segments; they are pooled when all are there."""
        x, labels, numbers = batch
        probs = self.validated(x).float().softmax(dim=1)
        self._judged.append((probs.cpu(), labels.cpu(), numbers.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Pool the segments of each track, and keep the weights if they are the best yet."""
        probs, labels, numbers = (
            torch.cat(part).numpy() for part in zip(*self._judged, strict=True)
        )
        self._judged.clear()
        _, first, owner = np.unique(numbers, return_index=True, return_inverse=True)
        pooled = np.zeros((len(first), self._n_classes))
        np.add.at(pooled, owner, probs)
        pooled /= np.bincount(owner)[:, None]
        if not np.isfinite(pooled).all():
            raise TrainingError(
                f"the net's output is not finite after epoch {self.current_epoch + 1}; "
                "try a lower learning rate"
            )
        truth = labels[first]
        loss = metrics.log_loss(pooled, truth)
        counts = metrics.confusion(truth, pooled.argmax(axis=1), n_classes=self._n_classes)
        scores = {name: float(value) for name, value in metrics.scores(counts).items()}
        self.log_dict({"valid_loss": loss, "valid_accuracy": scores["accuracy"]})
        self._remember(loss, scores)

    def _remember(self, loss: float, scores: dict[str, float]) -> None:
        def rank(loss: float, accuracy: float) -> tuple[float, float]:
            if self._recipe.monitor == "valid_accuracy":
                return accuracy, -loss
            return -loss, accuracy

        best = max(
            (rank(epoch.valid_loss, epoch.valid_accuracy) for epoch in self.history),
            default=(-np.inf, -np.inf),
        )
        accuracy = scores["accuracy"]
        is_best = rank(loss, accuracy) > best
        if is_best:
            self.best_weights = copy.deepcopy(self.validated.state_dict())
        epoch = Epoch(
            number=self.current_epoch + 1,
            learning_rate=float(self.trainer.optimizers[0].param_groups[0]["lr"]),
            train_loss=float(np.mean(self._losses)),
            valid_loss=loss,
            valid_accuracy=accuracy,
            valid_precision=scores["precision"],
            valid_recall=scores["recall"],
            valid_f1=scores["f1_macro"],
            seconds=perf_counter() - self._started,
            is_best=is_best,
        )
        self.history.append(epoch)
        if self._on_epoch is not None:
            self._on_epoch(epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of; no more than tensors and plain values."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        checkpoint["mgr"] = {
            "rng": {"cpu": torch.get_rng_state(), "cuda": cuda},
            "history": [asdict(epoch) for epoch in self.history],
            "best_weights": self.best_weights,
        }
        # Lightning counts an epoch that has begun as one to be skipped when it takes up.
        begun = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
        begun.update(dict.fromkeys(begun, self.current_epoch))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up where the run was saved."""
        kept = checkpoint["mgr"]
        self.history = [Epoch(**epoch) for epoch in kept["history"]]
        self.best_weights = kept["best_weights"]
        self._rng = kept["rng"]

    def configure_optimizers(self) -> Any:
        """Make the optimiser and its schedule; norms and biases are not decayed."""
        optimizer = _optimizer(self.net, self._recipe)
        schedule = _schedule(optimizer, self._recipe, int(self.trainer.estimated_stepping_batches))
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}


def _optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in net.parameters() if p.ndim > 1],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.learning_rate)


def _schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, n_steps: int
) -> dict[str, Any] | None:
    """Make what Lightning calls a scheduler, None for a constant rate."""
    schedulers = torch.optim.lr_scheduler
    match recipe.schedule:
        case "constant":
            return None
        case "plateau":
            plateau = schedulers.ReduceLROnPlateau(
                optimizer,
                mode="max" if recipe.monitor == "valid_accuracy" else "min",
                factor=recipe.gamma,
                patience=recipe.step_size - 1,  # torch counts what it forgives
            )
            return {"scheduler": plateau, "monitor": recipe.monitor}
        case "step":
            return {"scheduler": schedulers.StepLR(optimizer, recipe.step_size, recipe.gamma)}
        case "cosine":
            cosine = schedulers.CosineAnnealingLR(optimizer, n_steps)
            return {"scheduler": cosine, "interval": "step"}
        case "onecycle":
            cycle = schedulers.OneCycleLR(optimizer, recipe.learning_rate, total_steps=n_steps)
            return {"scheduler": cycle, "interval": "step"}


class Checkpoints(Callback):
    """Saves the run between any two epochs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save what the epochs before this one have brought."""
        if trainer.current_epoch and not getattr(module, "is_resumed"):  # noqa: B009
            with replacing(self._path) as part:
                trainer.save_checkpoint(part)


class Steps(Callback):
    """Tells somebody of each step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        """Count the step."""
        total = int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
        self._progress(trainer.global_step, total, f"epoch {trainer.current_epoch + 1}")
