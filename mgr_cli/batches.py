"""From a prepared dataset to the batches of a training run."""

from typing import Any

import numpy as np
from torch import Generator
from torch.utils.data import DataLoader

from mgr_cli.config import Recipe, SegmentSpec
from mgr_cli.data.crops import Batch, CropDataset, RandomCrops, fixed_crops
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import TrainingError


def loaders(
    dataset: PreparedDataset, recipe: Recipe, segments: SegmentSpec, seed: int
) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
    """Make what gives the batches of training, and those of validation.

    Parameters
    ----------
    dataset : PreparedDataset
        What to learn.
    recipe : Recipe
        Its `batch_size` and `balance` are used.
    segments : SegmentSpec
        Length of the crops, and how validation cuts.
    seed : int
        Of the crops.

    Raises
    ------
    DatasetError
        If a split is empty.
    TrainingError
        If a genre has no training track.
    """
    length, hop = segments.length(dataset.spec), segments.hop(dataset.spec)
    reader = dataset.reader()
    train, valid = dataset.numbers("train"), dataset.numbers("valid")
    labels = dict(zip(train.tolist(), dataset.labels(train).tolist(), strict=True))
    for label, genre in enumerate(dataset.genres):
        if label not in labels.values():
            raise TrainingError(f"{dataset.root}: no track of {genre!r} in the train split")
    labels |= dict(zip(valid.tolist(), dataset.labels(valid).tolist(), strict=True))
    crops = CropDataset(reader, dataset.normalisation, labels, length=length)

    def lengths(numbers: np.ndarray) -> dict[int, int]:
        return {number: reader.n_rows(number) for number in numbers.tolist()}

    def loader(sampler: Any) -> DataLoader[Batch]:
        return DataLoader(
            crops,
            batch_size=recipe.batch_size,
            sampler=sampler,
            collate_fn=_as_it_is,
            generator=Generator(),  # else it would draw from the one that nets draw from
        )

    shares = None
    if recipe.balance == "sampling":
        weights = rarity(dataset)
        shares = {number: float(weights[labels[number]]) for number in train.tolist()}
    return (
        loader(RandomCrops(lengths(train), length=length, seed=seed, shares=shares)),
        loader(fixed_crops(lengths(valid), length=length, hop=hop)),
    )


def rarity(dataset: PreparedDataset) -> np.ndarray:
    """Return a weight a genre, float32, that is the greater the fewer tracks train it.

    In inverse proportion, and 1 on average over the tracks.
    """
    counts = np.bincount(dataset.labels(dataset.numbers("train")), minlength=len(dataset.genres))
    rarity: np.ndarray = counts.sum() / (len(counts) * counts)
    return rarity.astype(np.float32)


def _as_it_is(batch: Any) -> Any:
    return batch
