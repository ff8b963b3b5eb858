"""A linear classifier of statistics that are taken over a whole segment.

Where a convolution looks at a tenth of a second here and a hertz there, and has to learn from a few
hundred tracks what to make of it, these statistics have been agreed on for decades: what colours
the sound has on average and how they waver (timbre), how much a band's peaks stand out of its
valleys (tonality), how steeply bands rise (attacks), and how fast all that swells and fades
again (rhythm: the spectrum of each band over time). They are computed inside of the net, from
log-mels, so that crops, masks and mixtures work as for any other net, and nothing but the
last layer is learnt: seconds of training on a few hundred tracks.

References
----------
C.-H. Lee, J.-L. Shih, K.-M. Yu, H.-S. Lin, "Automatic music genre classification based on
modulation spectral analysis of spectral and cepstral features", IEEE Transactions on Multimedia
11(4), 2009, section III.
D.-N. Jiang et al., "Music type classification by spectral contrast feature", ICME 2002.
G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE Transactions on
Speech and Audio Processing 10(5), 2002, section III: means and variances over a texture window.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from mgr_cli.models.families import DECIBELS, Families, deviation
from mgr_cli.models.layers import Classifier, check, head, in_float32

GROUPS = 16  # of neighbouring bands
CEPSTRA, MODULATED = 40, 20  # cepstral coefficients; the first of them, whose rhythm is looked at
WINDOW = 128  # frames of a modulation spectrum: 9.9 s at 12.9 a second
BINS = 15  # edges of its bands, as if they were all apart


class Statistics(Families):
    """Five families of statistics of a log-mel, each standardised, and as loud as the others."""

    cosines: Tensor
    real: Tensor
    imaginary: Tensor

    def __init__(self, n_mels: int, n_frames: int) -> None:
        super().__init__()
        check("n_mels", n_mels, GROUPS, 1_024)
        check("n_frames", n_frames, 4, 2**15)
        n_cepstra, self._n_modulated = min(CEPSTRA, n_mels), min(MODULATED, n_mels)
        self._step, self._n_frames = n_mels // GROUPS, n_frames
        self._window = min(WINDOW, n_frames)
        n_bins = self._window // 2 + 1
        self._edges = np.unique(np.geomspace(1, n_bins, BINS).round().astype(int)).tolist()
        angles = (
            torch.pi / n_mels * torch.outer(torch.arange(n_cepstra), torch.arange(n_mels) + 0.5)
        )
        turns = torch.outer(torch.arange(n_bins), torch.arange(self._window)) / self._window
        hann = torch.hann_window(self._window, periodic=False)
        for name, matrix in {
            "cosines": angles.cos() * (2 / n_mels) ** 0.5,  # the discrete cosine transform, type 2
            "real": (2 * torch.pi * turns).cos() * hann,  # the discrete Fourier transform
            "imaginary": (2 * torch.pi * turns).sin() * hann,
        }.items():
            self.register_buffer(name, matrix)
        n_bands = len(self._edges) - 1
        rows = (3 * n_cepstra, 2 * GROUPS, 2 * n_mels)
        self._level((*rows, GROUPS * n_bands, self._n_modulated * n_bands))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, dim)."""
        with in_float32(x):
            x = DECIBELS * x.float()
            cepstra = self.cosines @ x
            whole = x[:, : GROUPS * self._step]  # what makes no group is left over
            grouped = torch.unflatten(whole, 1, (GROUPS, self._step))
            rises = _steps(x).relu()
            found = [
                cepstra.mean(dim=2), deviation(cepstra), deviation(_steps(cepstra)),
                *_mean_and_deviation(grouped.amax(dim=2) - grouped.amin(dim=2)),
                *_mean_and_deviation(rises),
                self._modulation(grouped.mean(dim=2)),
                self._modulation(cepstra[:, : self._n_modulated]),
            ]  # fmt: skip
            return self._levelled(found)

    def _modulation(self, x: Tensor) -> Tensor:
        """Map (batch, rows, n_frames) to logarithms of how much each swells at which rate."""
        hop = max(1, self._window // 2)
        starts = range(0, self._n_frames - self._window + 1, hop)
        windows = torch.stack([x[:, :, start : start + self._window] for start in starts], dim=2)
        waves = windows - windows.mean(dim=3, keepdim=True)
        power = (waves @ self.real.T).square() + (waves @ self.imaginary.T).square()
        spectrum = ((power + 1e-6).sqrt().mean(dim=2) + 1).log()
        pairs = pairwise(self._edges)
        return torch.stack([spectrum[..., a:b].mean(dim=2) for a, b in pairs], dim=2).flatten(1)


class Modulation(Classifier):
    """Statistics, dropout, one linear layer."""

    def __init__(self, *, n_mels: int, n_frames: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.statistics = Statistics(n_mels, n_frames)
        self.head = head(self.statistics.dim, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, dim)."""
        found: Tensor = self.statistics(x)
        return found


def modulation(*, n_mels: int, n_frames: int, n_classes: int, dropout: float = 0.0) -> Modulation:
    """Make the net; what it takes has `n_frames` frames, no more and no fewer."""
    return Modulation(n_mels=n_mels, n_frames=n_frames, n_classes=n_classes, dropout=dropout)


def _steps(x: Tensor) -> Tensor:
    """Return the differences from frame to frame; ONNX has no `diff`."""
    return x[:, :, 1:] - x[:, :, :-1]


def _mean_and_deviation(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(dim=2), deviation(x)
