"""From a prepared dataset to the batches of a training run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Generator
from torch.utils.data import BatchSampler, DataLoader

from mgr_cli.config import Recipe, Split
from mgr_cli.data.crops import Batch, CropDataset, RandomCrops, fixed_crops
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import TrainingError
from mgr_cli.features.normalisation import LARGEST
from mgr_cli.inputs import Inputs

Loaders = tuple[DataLoader[Batch], DataLoader[Batch]]
"""Of training, and of validation."""


def loaders(
    dataset: PreparedDataset,
    inputs: Inputs,
    recipe: Recipe,
    seed: int,
    *,
    rank: int = 0,
    n_ranks: int = 1,
    n_workers: int = 0,
) -> Loaders:
    """Make what gives the batches of training, and those of validation.

    Of training each device gets its share of every batch; validation is for all of them.

    Parameters
    ----------
    dataset : PreparedDataset
        What to learn.
    inputs : Inputs
        How tracks are cut.
    recipe : Recipe
        Its `batch_size` and `balance` are used.
    seed : int
        Of the crops.
    rank, n_ranks : int
        Which device this is, and of how many.
    n_workers : int
        Processes that read ahead; 0 reads when a batch is wanted. The batches are the same.
    """
    train, valid = dataset.numbers("train"), dataset.numbers("valid")
    both = np.concatenate([train, valid])
    labels = dict(zip(both.tolist(), dataset.labels(both).tolist(), strict=True))
    crops = CropDataset(dataset, inputs, labels)
    length, lead = inputs.length, inputs.kinds[0]

    def lengths(numbers: np.ndarray) -> dict[int, int]:
        return {number: dataset.track(number).n_rows(lead) for number in numbers.tolist()}

    def loader(sampler: Any, rank: int = 0, n_ranks: int = 1) -> DataLoader[Batch]:
        return DataLoader(
            crops,
            batch_sampler=Shares(sampler, recipe.batch_size, rank=rank, n_ranks=n_ranks),
            collate_fn=_as_it_is,
            num_workers=n_workers,
            persistent_workers=n_workers > 0,
            pin_memory=n_workers > 0 and torch.cuda.is_available(),
            generator=Generator(),  # else it would draw from the one that nets draw from
        )

    shares = None
    if recipe.balance == "sampling":
        weights = rarity(dataset)
        shares = {number: float(weights[labels[number]]) for number in train.tolist()}
    return (
        loader(RandomCrops(lengths(train), length=length, seed=seed, shares=shares), rank, n_ranks),
        loader(fixed_crops(lengths(valid), length=length, hop=inputs.hop)),
    )


def fixed(
    dataset: PreparedDataset, inputs: Inputs, split: Split, *, batch_size: int
) -> Iterator[Batch]:
    """Yield the segments of a split's tracks as prediction cuts them, in order."""
    numbers = dataset.numbers(split)
    labels = dict(zip(numbers.tolist(), dataset.labels(numbers).tolist(), strict=True))
    n_rows = {number: dataset.track(number).n_rows(inputs.kinds[0]) for number in labels}
    crops = CropDataset(dataset, inputs, labels)
    cut = fixed_crops(n_rows, length=inputs.length, hop=inputs.hop)
    for start in range(0, len(cut), batch_size):
        yield crops.__getitems__(cut[start : start + batch_size])


def check(dataset: PreparedDataset) -> None:
    """Refuse a dataset that nothing can be trained on.

    Raises
    ------
    DatasetError
        If there is no training, or no validation track.
    TrainingError
        If a genre has no training track, there is one genre alone, or nothing changes from one
        training track to another.
    """
    dataset.numbers("valid")
    if len(dataset.genres) < 2:
        raise TrainingError(
            f"{dataset.root}: no other genre than {dataset.genres[0]!r} has a usable track; "
            "expected two at least, see its tracks.csv"
        )
    if all(min(each.std) >= LARGEST for each in dataset.normalisations.values()):
        raise TrainingError(
            f"{dataset.root}: every feature is the same for all training tracks; there is "
            "nothing to learn, prepare a table with columns that change"
        )
    found = set(dataset.labels(dataset.numbers("train")).tolist())
    for label, genre in enumerate(dataset.genres):
        if label not in found:
            raise TrainingError(
                f"{dataset.root}: no track of {genre!r} in the train split; prepare it again with "
                "--split random, another --seed or without that genre; its tracks.csv says "
                "which tracks are bad"
            )


class Shares(BatchSampler):
    """One device's share of every batch; all of it where there is one.

    Parameters
    ----------
    sampler : iterable
        Gives items in the order of a single device, the same on all of them.
    batch_size : int
        Items of a batch, on all devices together.
    rank, n_ranks : int
        Which device this is, and of how many. Where a batch has fewer items than there are
        devices, some items are seen twice.
    """

    def __init__(self, sampler: Any, batch_size: int, *, rank: int = 0, n_ranks: int = 1) -> None:
        super().__init__(sampler, batch_size, drop_last=False)
        self._rank = rank
        self._n_ranks = n_ranks

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in super().__iter__():
            yield batch[self._rank :: self._n_ranks] or batch[-1:]


def rarity(dataset: PreparedDataset) -> np.ndarray:
    """Return a weight a genre, float32, that is the greater the fewer tracks train it.

    In inverse proportion, and 1 on average over the tracks.
    """
    counts = np.bincount(dataset.labels(dataset.numbers("train")), minlength=len(dataset.genres))
    rarity: np.ndarray = counts.sum() / (len(counts) * counts)
    return rarity.astype(np.float32)


def _as_it_is(batch: Any) -> Any:
    return batch
