"""What families of statistics of a log-mel share: units, running medians, and equal loudness."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

DECIBELS = 16.0  # the standard deviation of music's log-mels, about
MEDIAN = 9  # frames, or bands
OUTLIER = 4.0  # standard deviations
LOUDNESS = 6.0  # of a family: the root of the sum of its squares, before outliers are cut off


class Families(nn.Module):
    """Families of statistics of a log-mel, each standardised, and as loud as the others."""

    dim: int
    loudness: Tensor

    def _level(self, sizes: Sequence[int], louder: float = 1.0) -> None:
        """Say how many statistics each family has, and how loud all of them are together."""
        factors = [torch.full((size,), louder * LOUDNESS * size**-0.5) for size in sizes]
        self.dim = sum(sizes)
        self.norm = nn.BatchNorm1d(self.dim, affine=False, momentum=None)
        self.register_buffer("loudness", torch.cat(factors))

    def _levelled(self, found: Sequence[Tensor]) -> Tensor:
        """Standardise statistics (batch, any), cut outliers off, and weigh what is left."""
        standard: Tensor = self.norm(torch.cat([*found], dim=1))
        return standard.clamp(-OUTLIER, OUTLIER) * self.loudness


def fixed(matrix: np.ndarray) -> Tensor:
    """Return a matrix that is never learnt, rounded to half precision, in which files keep it."""
    return torch.from_numpy(matrix).half().float()


def deviation(x: Tensor) -> Tensor:
    """Return the standard deviation over time, whose slope is finite where nothing moves."""
    return (x - x.mean(dim=2, keepdim=True)).square().mean(dim=2).add(1e-6).sqrt()


def median(x: Tensor) -> Tensor:
    """Return the running median over the last axis (batch, rows, any), ends repeated.

    The largest of the neighbours is moved to the end until the next one is in the middle: steps
    that graphs have, unlike a median.
    """
    middle = MEDIAN // 2
    n = x.shape[2]
    padded = F.pad(x, (middle, middle), mode="replicate")
    around = [padded[:, :, start : start + n] for start in range(MEDIAN)]
    for last in range(MEDIAN - 1, middle - 1, -1):
        for i in range(last):
            low, high = around[i], around[i + 1]
            around[i], around[i + 1] = torch.minimum(low, high), torch.maximum(low, high)
    return around[middle]
