"""A linear classifier of how bands move together, beside the statistics of `modulation`.

A mean and a deviation say of each band what it does by itself. What tells a guitar band from a
drum machine is which bands swell at the same time: the covariance of the bands over a segment, and
that of their changes over a third of a second. Covariances are no vectors: of two, one may be a
hundred times as large though it sounds much the same. So a power of the matrix below one is taken,
as one takes a logarithm of a power; of a fourth root the linear layer makes most. The third family
is what a median over time leaves of each frame, which is drums, and what one over frequency leaves,
which is tones.

References
----------
M. I. Mandel, D. P. W. Ellis, "Song-level features and support vector machines for music
classification", ISMIR 2005: covariances of cepstra.
P. Li, J. Xie, Q. Wang, Z. Gao, "Towards faster training of global covariance pooling networks by
iterative matrix square root normalization", CVPR 2018, section 3: the iteration, and why roots.
D. FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.models.layers import Classifier, check, head, in_float32
from mgr_cli.models.modulation import DECIBELS, Statistics, levelled, loudness

BANDS = 32  # groups of neighbouring ones
LAG = 4  # frames of a change: 0.3 s at 12.9 a second
MEDIAN = 9  # frames, or bands
ITERATIONS = 16  # of a root; float32 knows no better from then on
QUIET = 1.0  # square decibels that are added to each variance


class Covariances(nn.Module):
    """Three families of statistics of a log-mel, each standardised, and as loud as the others."""

    triangle: Tensor
    weight: Tensor
    loudness: Tensor

    def __init__(self, n_mels: int, n_frames: int) -> None:
        super().__init__()
        check("n_frames", n_frames, LAG + 1, 2**15)
        self._n_bands = min(BANDS, n_mels)
        self._step = n_mels // self._n_bands
        self._identity = torch.eye(self._n_bands, device="cpu")  # a constant of graphs
        rows, columns = torch.triu_indices(self._n_bands, self._n_bands)
        self.register_buffer("triangle", rows * self._n_bands + columns)
        # Off the diagonal a value stands for two.
        self.register_buffer("weight", torch.where(rows == columns, 1.0, 2**0.5))
        sizes = (len(rows), len(rows), 4 * self._n_bands)
        self.dim = sum(sizes)
        self.norm = nn.BatchNorm1d(self.dim, affine=False, momentum=0.02)
        self.register_buffer("loudness", loudness(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, dim)."""
        with in_float32(x):  # what makes no group is left over
            x = DECIBELS * x[:, : self._n_bands * self._step].float()
            bands = self._grouped(x).mean(dim=2)
            found = [self._root(bands), self._root(bands[:, :, LAG:] - bands[:, :, :-LAG])]
            over_time, over_bands = median(x), median(x.transpose(1, 2)).transpose(1, 2)
            differences = (
                x - over_time, x - over_bands, over_time - over_bands, over_bands - over_time,
            )  # fmt: skip
            found += [self._grouped(each.relu()).mean(dim=(2, 3)) for each in differences]
            return levelled(torch.cat(found, dim=1), self.norm, self.loudness)

    def _grouped(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 1, (self._n_bands, self._step))

    def _root(self, x: Tensor) -> Tensor:
        """Map (batch, n_bands, any) to the fourth root of its covariance, the triangle of it."""
        x = x - x.mean(dim=2, keepdim=True)
        one = self._identity.to(x.device)
        root = x @ x.transpose(1, 2) / x.shape[2] + QUIET * one
        for _ in range(2):
            root = square_root(root, one)
        return root.flatten(1)[:, self.triangle] * self.weight


class Covariance(Classifier):
    """The statistics of `modulation` and these, dropout, one linear layer."""

    def __init__(self, *, n_mels: int, n_frames: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.statistics = Statistics(n_mels, n_frames)
        self.covariances = Covariances(n_mels, n_frames)
        self.head = head(self.statistics.dim + self.covariances.dim, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, dim)."""
        return torch.cat([self.statistics(x), self.covariances(x)], dim=1)


def covariance(*, n_mels: int, n_frames: int, n_classes: int, dropout: float = 0.0) -> Covariance:
    """Make the net; what it takes has `n_frames` frames, no more and no fewer."""
    return Covariance(n_mels=n_mels, n_frames=n_frames, n_classes=n_classes, dropout=dropout)


def square_root(matrix: Tensor, one: Tensor) -> Tensor:
    """Return the square root of symmetric positive definite matrices (batch, n, n).

    `one` is the identity (n, n).

    By the iteration of Newton and Schulz, products of matrices alone, which graphs have and
    processors are good at. Its steps are enough for eigenvalues from a ten-thousandth of the trace
    on; the roots of smaller ones come out too small, and none becomes infinite.

    References
    ----------
    N. J. Higham, "Functions of Matrices", SIAM 2008, section 6.7: the coupled iteration.
    """
    trace = (matrix * one).sum(dim=(1, 2), keepdim=True)
    root = matrix / trace
    inverse = one.expand_as(matrix)
    for _ in range(ITERATIONS):
        product = inverse @ root
        root = 1.5 * root - 0.5 * root @ product
        inverse = 1.5 * inverse - 0.5 * product @ inverse
    return root * trace.sqrt()


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
