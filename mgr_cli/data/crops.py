"""Segments of many tracks as torch wants them: a dataset of crops, and who picks them.

An item is named by (track number, first row). The sampler owns the randomness, the
dataset has none, so a run is determined by its seed and epoch alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mgr_cli import segments
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.inputs import Arrays, Inputs

Crop = tuple[int, int]
Batch = tuple[tuple[Tensor, ...], Tensor, Tensor]
"""What a net takes, one tensor a kind of features; classes; track numbers."""


class CropDataset(Dataset[Batch]):
    """Normalised segments by (track number, first row).

    Parameters
    ----------
    dataset : PreparedDataset
        Whose tracks are cut.
    inputs : Inputs
        How they are.
    labels : dict
        From track number to class.
    """

    def __init__(self, dataset: PreparedDataset, inputs: Inputs, labels: dict[int, int]) -> None:
        self._dataset = dataset
        self._inputs = inputs
        self._labels = labels

    def __getitems__(self, crops: Sequence[Crop]) -> Batch:
        """Fetch a batch: segments, classes, track numbers."""
        arrays = self._inputs.batch(self._crop(*crop) for crop in crops)
        numbers = [number for number, _ in crops]
        return (
            tuple(torch.from_numpy(array) for array in arrays),
            torch.tensor([self._labels[number] for number in numbers]),
            torch.tensor(numbers),
        )

    def _crop(self, number: int, start: int) -> Arrays:
        return self._inputs.segment(self._dataset.track(number), start)


class RandomCrops(Sampler[Crop]):
    """As many random crops of each track as fit into it, in random order.

    With `shares` there are as many crops in all, but each is of a track drawn by its share.

    Parameters
    ----------
    n_rows : dict
        From track number to its length.
    length : int
        Of a segment, in rows.
    seed : int
        With the epoch it determines the crops.
    shares : dict, optional
        From track number to how often it is drawn, relative to others.
    """

    def __init__(
        self,
        n_rows: dict[int, int],
        *,
        length: int,
        seed: int,
        shares: dict[int, float] | None = None,
    ) -> None:
        self._n_rows = n_rows
        self._length = length
        self._seed = seed
        self._shares = shares
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose crops come next; Lightning calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(max(1, n // self._length) for n in self._n_rows.values())

    def __iter__(self) -> Iterator[Crop]:
        rng = np.random.default_rng([self._seed, self._epoch])
        crops = [
            (number, int(start))
            for number, n_crops in self._n_crops(rng).items()
            for start in rng.integers(
                0, max(0, self._n_rows[number] - self._length) + 1, size=n_crops
            )
        ]
        return iter([crops[place] for place in rng.permutation(len(crops))])

    def _n_crops(self, rng: np.random.Generator) -> dict[int, int]:
        """Return how many crops of each track an epoch has."""
        if self._shares is None:
            return {number: max(1, n // self._length) for number, n in self._n_rows.items()}
        numbers = list(self._n_rows)
        shares = np.array([self._shares[number] for number in numbers])
        drawn = rng.multinomial(len(self), shares / shares.sum())
        return dict(zip(numbers, drawn.tolist(), strict=True))


def fixed_crops(n_rows: dict[int, int], *, length: int, hop: int) -> list[Crop]:
    """List the segments that prediction cuts, of every track.

    Parameters
    ----------
    n_rows : dict
        From track number to its length.
    length, hop : int
        Of a segment, and from one to the next, in rows.
    """
    return [
        (number, start)
        for number, n in n_rows.items()
        for start in segments.starts(n, length=length, hop=hop)
    ]
