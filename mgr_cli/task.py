"""What a step and an epoch of training are: a Lightning module around a net.

A step changes and mixes a batch of crops and compares the net's logits with the smoothed
targets, a share of which a teacher may give. After an epoch every validation track is judged as a
prediction would judge it, by the mean probability of its segments, and the weights are kept if it
is the best epoch yet.

A run can be saved between two epochs (`trainer.Checkpoints`) and taken up there: weights,
optimiser, schedule, history. Random numbers begin anew with each epoch, from the seed, the
epoch and the device, so it ends as if nothing had happened.
"""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mgr_cli import augment, metrics
from mgr_cli.augmentation import Augmentation
from mgr_cli.config import Recipe
from mgr_cli.data.crops import Batch
from mgr_cli.distillation import Teacher
from mgr_cli.errors import DivergenceError

_NO_FIGURES = ("number", "is_best")  # of an epoch, for those who keep its figures


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
    """What one step does, what an epoch's figures are, and which weights to keep.

    Parameters
    ----------
    net : nn.Module
        That is trained.
    recipe : Recipe
        How.
    augmentation : Augmentation
        What is done to the segments of a step.
    n_classes : int
        Of its output.
    seed : int
        Of masks, mixtures and dropout.
    weights : Tensor, optional
        Of the classes in the loss [shape=(n_classes,)].
    teacher : Teacher, optional
        Who gives a share of the targets.
    on_epoch : callable, optional
        Called with the figures of each epoch.
    """

    def __init__(
        self,
        net: nn.Module,
        recipe: Recipe,
        augmentation: Augmentation,
        *,
        n_classes: int,
        seed: int,
        weights: Tensor | None = None,
        teacher: Teacher | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> None:
        super().__init__()
        self.weights: Tensor | None
        self.register_buffer("weights", weights)
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.augmentation = augmentation
        self.average = _running_average(net, recipe.ema) if recipe.ema else None
        self.history: list[Epoch] = []
        self.best_weights: dict[str, Tensor] | None = None
        self.is_resumed = False  # whether it was taken up, and its first epoch has not begun
        self._recipe = recipe
        self._n_classes = n_classes
        self._seed = seed
        self._teacher = teacher  # whose weights are none of this module's
        self._on_epoch = on_epoch
        self._losses: list[float] = []
        self._judged: list[tuple[Tensor, Tensor, Tensor]] = []
        self._started = perf_counter()

    @property
    def validated(self) -> nn.Module:
        """The net whose weights count: the running average if there is one."""
        return self.net if self.average is None else self.average.module

    def on_train_epoch_start(self) -> None:
        """Start the clock, and the random numbers of this epoch."""
        drawn = np.random.SeedSequence([self._seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(drawn.generate_state(1)[0]))
        self.is_resumed = False
        self._started = perf_counter()
        self._losses = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Change, mix, and compare with the smoothed targets."""
        recipe = self._recipe
        inputs, labels, _numbers = batch
        inputs, labels = self.augmentation(inputs, labels)
        targets = F.one_hot(labels, self._n_classes).to(inputs[0].dtype)
        inputs, targets = augment.mixup(inputs, targets, alpha=recipe.mixup)
        if self._teacher is not None:
            targets = targets.lerp(self._teacher.says(inputs).to(targets), recipe.teacher_share)
        loss = F.cross_entropy(
            self.net(*inputs), targets, weight=self.weights, label_smoothing=recipe.label_smoothing
        )
        loss, value = self._shared(loss, len(labels))
        if not np.isfinite(value):
            raise DivergenceError(
                f"the loss is {value} at step {self.global_step} of epoch "
                f"{self.current_epoch + 1}; try a lower learning rate"
            )
        self._losses.append(value)
        return loss

    def _shared(self, loss: Tensor, n_segments: int) -> tuple[Tensor, float]:
        """Weigh the loss of a share of the batch, and tell that of the whole batch."""
        if self.trainer.world_size == 1:
            return loss, float(loss.detach())
        n = torch.tensor(float(n_segments), device=loss.device)
        sums = torch.stack([n * loss.detach(), n])
        torch.distributed.all_reduce(sums)
        # Gradients are averaged over the devices, whose shares may differ.
        return loss * (self.trainer.world_size * n / sums[1]), float(sums[0] / sums[1])

    def on_train_batch_end(self, *_: object) -> None:
        """Move the running average."""
        if self.average is not None:
            self.average.update_parameters(self.net)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Judge segments; they are pooled when all are there."""
        inputs, labels, numbers = batch
        probs = self.validated(*inputs).float().softmax(dim=1)
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
        pooled = self.trainer.strategy.broadcast(pooled)  # norms may differ a little
        if not np.isfinite(pooled).all():
            raise DivergenceError(
                f"the net's output is not finite after epoch {self.current_epoch + 1}; "
                "try a lower learning rate"
            )
        truth = labels[first]
        loss = metrics.log_loss(pooled, truth)
        counts = metrics.confusion(truth, pooled.argmax(axis=1), n_classes=self._n_classes)
        scores = {name: float(value) for name, value in metrics.scores(counts).items()}
        epoch = self._remember(loss, scores)
        figures = {name: value for name, value in asdict(epoch).items() if name not in _NO_FIGURES}
        self.log_dict(figures)

    def _remember(self, loss: float, scores: dict[str, float]) -> Epoch:
        def rank(loss: float, accuracy: float) -> tuple[float, float]:
            if self._recipe.monitor == "valid_accuracy":
                return accuracy, -loss
            return -loss, accuracy

        best = max(
            (rank(epoch.valid_loss, epoch.valid_accuracy) for epoch in self.history),
            default=(-np.inf, -np.inf),
        )
        accuracy = scores["accuracy"]
        is_best = self._recipe.monitor == "none" or rank(loss, accuracy) > best
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
        return epoch

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of; no more than tensors and plain values."""
        checkpoint["mgr"] = {
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
        self.is_resumed = True

    def configure_optimizers(self) -> Any:
        """Make the optimiser and its schedule; norms and biases are not decayed."""
        optimizer = _optimizer(self.net, self._recipe)
        schedule = _schedule(optimizer, self._recipe, int(self.trainer.estimated_stepping_batches))
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}


def _running_average(net: nn.Module, decay: float) -> AveragedModel:
    """Make the average, whose first steps forget faster: else it long remembers the beginning.

    After n steps it decays by ``min(decay, (1 + n) / (10 + n))``, as TensorFlow's
    ``ExponentialMovingAverage`` does when it is told n. Whole numbers, such as places in a table,
    are those of the net.
    """

    def move(kept: list[Tensor], seen: list[Tensor], n_averaged: Tensor | int) -> None:
        if not kept[0].is_floating_point():  # all of a call are of one type
            for mine, its in zip(kept, seen, strict=True):
                mine.copy_(its)
            return
        n = float(n_averaged)
        step = get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))  # type: ignore[no-untyped-call]
        step(kept, seen, n_averaged)

    average = AveragedModel(net, multi_avg_fn=move, use_buffers=True)  # type: ignore[arg-type]
    return average.requires_grad_(False)


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
            watched = "valid_loss" if recipe.monitor == "none" else recipe.monitor
            return {"scheduler": plateau, "monitor": watched}
        case "step":
            return {"scheduler": schedulers.StepLR(optimizer, recipe.step_size, recipe.gamma)}
        case "cosine":
            cosine = schedulers.CosineAnnealingLR(optimizer, n_steps)
            return {"scheduler": cosine, "interval": "step"}
        case "onecycle":
            cycle = schedulers.OneCycleLR(optimizer, recipe.learning_rate, total_steps=n_steps)
            return {"scheduler": cycle, "interval": "step"}
