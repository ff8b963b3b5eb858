"""Statistics of how bands move together, and of what running medians leave of them.

A mean and a deviation say of each band what it does by itself. What tells a guitar band from a
drum machine is which bands swell at the same time: the covariance of the bands over a segment, and
that of their changes over a third of a second. Covariances are no vectors: of two, one may be a
hundred times as large though it sounds much the same. So a power of the matrix below one is taken,
as one takes a logarithm of a power; of a fourth root a linear layer makes most. The third family
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
from torch import Tensor

from mgr_cli.models.families import Families
from mgr_cli.models.layers import check

BANDS = 32  # groups of neighbouring ones
LAG = 4  # frames of a change: 0.3 s at 12.9 a second
ITERATIONS = 16  # of a root; float32 knows no better from then on
QUIET = 1.0  # square decibels that are added to each variance


class Covariances(Families):
    """Three families of statistics of a log-mel, each standardised, and as loud as the others."""

    triangle: Tensor
    weight: Tensor

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
        self._level((len(rows), len(rows), 4 * self._n_bands))

    def forward(self, x: Tensor, tones: Tensor, drums: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) in decibels, and its running medians, to (batch, dim).

        `tones` is the median over time, `drums` that over bands.
        """
        whole = self._n_bands * self._step  # what makes no group is left over
        x, tones, drums = x[:, :whole], tones[:, :whole], drums[:, :whole]
        bands = self._grouped(x).mean(dim=2)
        found = [self._root(bands), self._root(bands[:, :, LAG:] - bands[:, :, :-LAG])]
        differences = (x - tones, x - drums, tones - drums, drums - tones)
        found += [self._grouped(each.relu()).mean(dim=(2, 3)) for each in differences]
        return self._levelled(found)

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
