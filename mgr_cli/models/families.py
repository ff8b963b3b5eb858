"""What families of statistics of a log-mel share: units, running medians, and equal loudness."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

DECIBELS = 16.0  # the standard deviation of music's log-mels, about
MEDIAN = 9  # frames, or bands
OUTLIER = 4.0  # standard deviations


def loudness(sizes: Sequence[int]) -> Tensor:
    """Return factors (sum of sizes,) that make families of so many statistics equally loud."""
    return torch.cat([torch.full((size,), 6 * size**-0.5) for size in sizes])


def fixed(matrix: np.ndarray) -> Tensor:
    """Return a matrix that is never learnt, rounded to half precision, in which files keep it."""
    return torch.from_numpy(matrix).half().float()


def levelled(found: Tensor, norm: nn.Module, factors: Tensor) -> Tensor:
    """Standardise statistics (batch, dim), cut outliers off, and weigh what is left."""
    standard: Tensor = norm(found)
    return standard.clamp(-OUTLIER, OUTLIER) * factors


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
