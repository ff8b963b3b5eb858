"""Processes that train: each does some steps at every word on stdin, and says how long they took.

    python -m tests.benchmarks.steps WHO PREPARED ARCHITECTURE N

`go` is answered by seconds, `tell` by what was seen, as JSON. They are contestants of
`tests.benchmarks.train`, which starts them; a process of its own each, because memory that is kept
when it is freed is so for a whole process.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn

from mgr_cli import batches, trainer, training
from mgr_cli.config import SEED
from mgr_cli.data import prepared
from mgr_cli.data.crops import Batch
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.models import registry
from mgr_cli.task import Task
from mgr_cli.trainer import Machine

EPOCHS = 10_000  # more than anybody waits for
FEWEST_BATCHES = 3  # of an epoch, else there is hardly one that counts


@dataclass
class Seen:
    """What the steps were of: sizes, and the losses in order; a loader has no net."""

    n_parameters: int = 0
    shape: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def full_batches(dataset: PreparedDataset, name: str) -> Iterator[Batch]:
    """Yield batches as training gets them, epoch after epoch, crops anew in each.

    The last of an epoch, which may be smaller, is left out.
    """
    row = registry.find(name)
    inputs = dataset.inputs(row.eats, row.segments)
    made, _ = batches.loaders(dataset, inputs, row.recipe, SEED)
    while True:
        yield from (batch for batch in made if len(batch[1]) == row.recipe.batch_size)


def n_parameters(net: nn.Module) -> int:
    return sum(each.numel() for each in net.parameters())


def built(dataset: PreparedDataset, name: str) -> nn.Module:
    row = registry.find(name)
    inputs = dataset.inputs(row.eats, row.segments)
    return registry.build(name, inputs.dimensions, n_classes=len(dataset.genres))


def loader(dataset: PreparedDataset, name: str, seen: Seen) -> Iterator[None]:
    """Make batches as training does."""
    for given, _, _ in full_batches(dataset, name):
        seen.shape = list(given[0].shape)
        yield


def bound(dataset: PreparedDataset, name: str, seen: Seen) -> Iterator[None]:
    """Go forward and backward, on one batch that is in memory, and nothing else."""
    trainer.keep_freed_memory()
    net = built(dataset, name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    given, labels, _ = next(full_batches(dataset, name))
    seen.n_parameters, seen.shape = n_parameters(net), list(given[0].shape)
    half = trainer.fastest_precision("cpu") != "32"
    while True:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            loss = nn.functional.cross_entropy(net(*given), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        for each in net.parameters():
            each.grad = None
        yield


def plain(dataset: PreparedDataset, name: str, seen: Seen) -> Iterator[None]:
    """Train by the loop that one writes first."""
    row = registry.find(name)
    length = dataset.inputs(row.eats, row.segments).length
    reader, numbers = dataset.reader(), dataset.numbers("train")
    tracks = [
        dataset.normalisations["log-mel"].apply(reader.frames(int(number))) for number in numbers
    ]
    labels, net = dataset.labels(numbers), built(dataset, name)
    optimizer = torch.optim.AdamW(net.parameters(), lr=row.recipe.learning_rate)
    rng = np.random.default_rng(0)
    seen.n_parameters = n_parameters(net)
    while True:
        chosen = rng.integers(len(tracks), size=row.recipe.batch_size)
        firsts = [rng.integers(tracks[k].shape[1] - length + 1) for k in chosen]
        pairs = zip(chosen, firsts, strict=True)
        x = torch.from_numpy(np.stack([tracks[k][:, at : at + length] for k, at in pairs]))
        loss = nn.functional.cross_entropy(net(x), torch.from_numpy(labels[chosen]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen.shape = list(x.shape)
        seen.losses.append(loss.item())
        yield


def ours(dataset: PreparedDataset, name: str, seen: Seen, n_steps: int) -> None:
    """Train as `mgr train` does, and do so many steps at every word."""
    trainer.keep_freed_memory()
    recipe = replace(registry.find(name).recipe, epochs=EPOCHS, patience=EPOCHS)
    watch = Watch(seen, n_steps, recipe.batch_size)
    original = Task.training_step

    def noted(task: Task, batch: Batch, number: int) -> torch.Tensor:
        loss = original(task, batch, number)
        seen.n_parameters = n_parameters(task.net)
        seen.losses.append(float(loss.detach()))
        seen.shape = max(seen.shape, list(batch[0][0].shape))
        watch.n_segments = len(batch[1])
        return loss

    with mock.patch.object(Task, "training_step", noted):
        training.train(dataset, name, recipe=recipe, machine=Machine("cpu"), progress=watch)


@dataclass
class Watch:
    """Is told of every step of a run, and holds it between two turns.

    Seconds are those of full batches which follow another step: not the last of an epoch, which
    may be smaller, and not the first, before which there was a validation.
    """

    seen: Seen
    n_steps: int
    batch_size: int
    n_segments: int = 0
    epoch: str = ""
    n_counted: int = -1  # nobody has asked yet
    seconds: float = 0.0
    last: float = 0.0

    def __call__(self, done: int, total: int, epoch: str) -> None:
        """Note the end of a step."""
        now = time.perf_counter()
        if total // EPOCHS < FEWEST_BATCHES:
            raise SystemExit(f"{total // EPOCHS} batches an epoch, expected {FEWEST_BATCHES}")
        if self.n_counted >= 0 and epoch == self.epoch and self.n_segments == self.batch_size:
            self.seconds += now - self.last
            self.n_counted += 1
        self.epoch = epoch
        if self.n_counted == self.n_steps:
            print(self.seconds, flush=True)
        if self.n_counted in (-1, self.n_steps):
            asked(self.seen)
            self.n_counted, self.seconds = 0, 0.0
        self.last = time.perf_counter()


def asked(seen: Seen) -> None:
    """Answer what is asked until there is something to do; end when nobody asks any more."""
    for word in sys.stdin:
        if word.strip() == "go":
            return
        print(json.dumps(asdict(seen)), flush=True)
    os._exit(0)  # Lightning would take SystemExit for an interrupt, and tell of it


def stepped(step: Iterator[None], seen: Seen, n_steps: int) -> None:
    """Do so many steps at every word."""
    while True:
        asked(seen)
        start = time.perf_counter()
        for _ in range(n_steps):
            next(step)
        print(time.perf_counter() - start, flush=True)


WHO = ("bound", "ours", "plain", "loader")
STEPPED = {"bound": bound, "plain": plain, "loader": loader}


def main() -> None:
    """Be one of them."""
    who, folder, name, n_steps = sys.argv[1:]
    dataset, seen = prepared.load(Path(folder)), Seen()
    if who == "ours":
        ours(dataset, name, seen, int(n_steps))
    else:
        stepped(STEPPED[who](dataset, name, seen), seen, int(n_steps))


if __name__ == "__main__":
    main()
