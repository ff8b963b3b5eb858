"""Training steps a second, beside a plain loop, and how long a step waits for its batch.

    python -m tests.benchmarks.train PREPARED [--arch NAME...] [--steps N]

Both train the same net on batches of the same size from the same dataset, in turns, in one run,
each in a process of its own.
The rival is what one writes first: crops are read from a list of arrays, float32, memory as it
lies, AdamW, no augmentation. Ours is the whole of `training.train`'s step: Lightning, masks,
mixup, running average, as the recipe has it.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mgr_cli import batches, trainer, training
from mgr_cli.config import SEED
from mgr_cli.data import prepared
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.models import registry
from mgr_cli.trainer import Machine

ROUNDS = 3


def plain(dataset: PreparedDataset, name: str, n_steps: int) -> float:
    """Return steps a second of the loop that one writes first."""
    row = registry.find(name)
    inputs = dataset.inputs(row.eats, row.segments)
    length = inputs.length
    reader, numbers = dataset.reader(), dataset.numbers("train")
    tracks = [
        dataset.normalisations["log-mel"].apply(reader.frames(int(number))) for number in numbers
    ]
    labels = dataset.labels(numbers)
    net = registry.build(name, inputs.dimensions, n_classes=len(dataset.genres))
    optimizer = torch.optim.AdamW(net.parameters(), lr=row.recipe.learning_rate)
    rng = np.random.default_rng(0)
    start = 0.0
    for step in range(n_steps + 1):  # the first one warms up
        if step == 1:
            start = time.perf_counter()
        chosen = rng.integers(len(tracks), size=row.recipe.batch_size)
        firsts = [rng.integers(tracks[k].shape[1] - length + 1) for k in chosen]
        x = np.stack(
            [tracks[k][:, first : first + length] for k, first in zip(chosen, firsts, strict=True)]
        )
        loss = nn.functional.cross_entropy(
            net(torch.from_numpy(x)), torch.from_numpy(labels[chosen])
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return n_steps / (time.perf_counter() - start)


class EnoughError(Exception):
    """Enough steps were timed."""


def ours(dataset: PreparedDataset, name: str, n_steps: int) -> float:
    """Return steps a second of `training.train`, validation aside."""
    trainer.keep_freed_memory()  # as `mgr train` does
    times: list[float] = []

    def count(done: int, total: int, what: str) -> None:
        times.append(time.perf_counter())
        if len(times) > n_steps:
            raise EnoughError

    recipe = replace(registry.find(name).recipe, epochs=100)
    with suppress(EnoughError):
        training.train(dataset, name, recipe=recipe, machine=Machine(device="cpu"), progress=count)
    return n_steps / (times[-1] - times[0])


def seconds_of_loader(dataset: PreparedDataset, name: str, n_steps: int) -> float:
    """Return how long it takes to make a batch."""
    row = registry.find(name)
    loader, _ = batches.loaders(dataset, dataset.inputs(row.eats, row.segments), row.recipe, SEED)
    given = itertools.cycle(loader)
    next(given)
    start = time.perf_counter()
    for _ in range(n_steps):
        next(given)
    return (time.perf_counter() - start) / n_steps


WHO = {"plain": plain, "ours": ours, "loader": seconds_of_loader}


def measured(who: str, folder: Path, name: str, n_steps: int) -> float:
    """Return what one of them gives in a process of its own, as its user would start it."""
    command = [sys.executable, "-m", "tests.benchmarks.train", str(folder)]
    options = ["--arch", name, "--steps", str(n_steps), "--only", who]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--arch", nargs="+", default=["short-chunk-resnet"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", choices=WHO, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        print(WHO[chosen.only](prepared.load(chosen.prepared), chosen.arch[0], chosen.steps))
        raise SystemExit
    print(f"{torch.get_num_threads()} threads, precision {trainer.fastest_precision('cpu')}")
    for name in chosen.arch:
        found = [
            [measured(who, chosen.prepared, name, chosen.steps) for who in ("plain", "ours")]
            for _ in range(ROUNDS)
        ]
        ratios = [own / other for other, own in found]
        other, rate = (statistics.median(each) for each in zip(*found, strict=True))
        loader = measured("loader", chosen.prepared, name, chosen.steps)
        print(
            f"{name:20} {rate:6.2f} steps a second, plain loop {other:6.2f}, ratio "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}], "
            f"the loader takes {loader * rate:.1%} of a step"
        )
