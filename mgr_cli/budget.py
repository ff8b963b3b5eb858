"""How many epochs fit into so many minutes, by timing some steps."""

import statistics
from time import perf_counter

import lightning as L
from lightning.pytorch.callbacks import Callback


class Clock(Callback):
    """Times steps of training and of validation.

    Attributes
    ----------
    train, valid : list of float
        Seconds of each step, its batch included; the first one, which warms up, is left out.
    """

    STEPS = 6

    def __init__(self) -> None:
        self.train: list[float] = []
        self.valid: list[float] = []
        self._last: float | None = None

    def on_train_start(self, *_: object) -> None:
        """Begin to count training steps."""
        self._last = None

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        """Count a training step."""
        self._tick(self.train)

    def on_validation_start(self, *_: object) -> None:
        """Begin to count validation steps."""
        self._last = None

    def on_validation_batch_end(self, *_: object) -> None:
        """Count a validation step."""
        self._tick(self.valid)

    def _tick(self, seconds: list[float]) -> None:
        now = perf_counter()
        if self._last is not None:
            seconds.append(now - self._last)
        self._last = now


def epochs_within(minutes: float, clock: Clock, *, n_train: int, n_valid: int) -> int:
    """Return how many epochs fit, one at least.

    Parameters
    ----------
    minutes : float
        There are.
    clock : Clock
        That has timed some steps.
    n_train, n_valid : int
        Steps of an epoch.
    """
    epoch = n_train * _typical(clock.train) + n_valid * _typical(clock.valid)
    return max(1, int(60 * minutes / epoch)) if epoch else 1


def _typical(seconds: list[float]) -> float:
    """Return the median; 0 where a single step is all there is."""
    return statistics.median(seconds) if seconds else 0.0
