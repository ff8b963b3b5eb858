"""A linear classifier of what a log-mel looks like through filters of time and frequency.

A wave that runs over a log-mel, upwards or downwards, at so many cycles a second and so many a
band, is what a vibrato, a glide, a riff or a chord looks like there. The log-mel is filtered with
two-dimensional Gabor functions, and what is kept is the mean logarithm of the modulus over time in
each region of frequencies: joint time-frequency scattering, of which this is the second order.
Beside it stand the statistics of `modulation`, those of `covariance` and those of `tonality`; one
linear layer is all that is learnt.

References
----------
J. Andén, V. Lostanlen, S. Mallat, "Joint time-frequency scattering", IEEE Transactions on Signal
Processing 67(14), 2019, section III.
M. R. Schädler, B. T. Meyer, B. Kollmeier, "Spectro-temporal modulation subspace-spanning filter
bank features for robust automatic speech recognition", Journal of the Acoustical Society of America
131(5), 2012: the same filters, applied to log-mels.
"""

import numpy as np
import torch
from scipy.linalg import block_diag
from torch import Tensor
from torch.nn import functional as F

from mgr_cli.models.covariance import Covariances
from mgr_cli.models.families import DECIBELS, Families, fixed, median
from mgr_cli.models.layers import Classifier, check, head, in_float32
from mgr_cli.models.modulation import Statistics
from mgr_cli.models.tonality import Tonality

RATES = (1 / 25, 2 / 25, 4 / 25, 8 / 25)  # cycles a frame: 0.5 to 4 Hz at 12.9 a second
SCALES = (1 / 48, 1 / 24, 1 / 12, 1 / 6, 1 / 3)  # cycles a band
REGIONS = 16  # of neighbouring bands
LOUDER = 1.5  # than the other families


class Scattering(Families):
    """How much of a log-mel swells at each rate, and runs up or down at each rate and scale."""

    mirrored: Tensor
    over_bands: Tensor
    bands: Tensor
    regions: Tensor

    def __init__(self, n_mels: int, n_frames: int) -> None:
        super().__init__()
        check("n_mels", n_mels, REGIONS, 1_024)
        check("n_frames", n_frames, 4, 2**15)
        filters, places = zip(*(matrix(n_mels, scale) for scale in SCALES), strict=True)
        bands, *regions = [
            _means(place * REGIONS // n_mels) for place in (np.arange(n_mels), *places)
        ]
        self.register_buffer("over_bands", _stacked(np.concatenate(filters)))
        self.register_buffer("bands", fixed(bands))
        self.register_buffer("regions", fixed(block_diag(*regions)))
        # Over time, of which there may be much, it is convolved, and no matrix is kept.
        waves = [gabor(rate) for rate in RATES]
        for row, (wave, _) in enumerate(waves):
            self.register_buffer(f"wave_{row}", _stacked(wave[None])[:, None])
        self._strides = [stride for _, stride in waves]
        self._margins = [len(wave) // 2 for wave, _ in waves]
        widest = max(self._margins)
        frames = np.pad(np.arange(n_frames), widest, mode="reflect")
        self.register_buffer("mirrored", torch.from_numpy(frames))
        self._level([len(RATES) * (len(bands) + 2 * sum(map(len, regions)))], LOUDER)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) in decibels to (batch, dim)."""
        still = (x - x.mean(dim=2, keepdim=True))[:, :, self.mirrored]
        found = []
        for row in range(len(RATES)):
            re, im = self._waves(still, row)
            found.append(_mean_modulus(re, im) @ self.bands.T)
            re_re, im_re = (self.over_bands @ re).chunk(2, dim=1)
            re_im, im_im = (self.over_bands @ im).chunk(2, dim=1)
            found.append(_mean_modulus(re_re - im_im, im_re + re_im) @ self.regions.T)
            found.append(_mean_modulus(re_re + im_im, im_re - re_im) @ self.regions.T)
        return self._levelled(found)

    def _waves(self, x: Tensor, row: int) -> tuple[Tensor, Tensor]:
        """Map (batch, n_mels, mirrored frames) to both parts of a wave at a rate, over time."""
        spare = max(self._margins) - self._margins[row]
        inner = x[:, :, spare : x.shape[2] - spare].flatten(0, 1)[:, None]
        waves = F.conv1d(inner, self.get_buffer(f"wave_{row}"), stride=self._strides[row])
        real, imaginary = torch.unflatten(waves, 0, (-1, x.shape[1])).unbind(dim=2)
        return real, imaginary


class SpectroTemporal(Classifier):
    """Four families of statistics, dropout, one linear layer."""

    def __init__(
        self, *, n_mels: int, n_frames: int, n_classes: int, fmin: float, fmax: float,
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.statistics = Statistics(n_mels, n_frames)
        self.covariances = Covariances(n_mels, n_frames)
        self.scattering = Scattering(n_mels, n_frames)
        self.tonality = Tonality(n_mels, n_frames, fmin=fmin, fmax=fmax)
        families = (self.statistics, self.covariances, self.scattering, self.tonality)
        self.head = head(sum(family.dim for family in families), n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, dim)."""
        with in_float32(x):
            levels = DECIBELS * x.float()
            tones, drums = median(levels), median(levels.transpose(1, 2)).transpose(1, 2)
            found = [
                self.statistics(x),
                self.covariances(levels, tones, drums),
                self.scattering(levels),
                self.tonality((levels - drums).relu()),
            ]
            return torch.cat(found, dim=1)


def scattering(
    *,
    n_mels: int,
    n_frames: int,
    n_classes: int,
    fmin: int,
    fmax: int,
    dropout: float = 0.0,
) -> SpectroTemporal:
    """Make the net; what it takes has `n_frames` frames, no more and no fewer.

    Parameters
    ----------
    fmin, fmax : int
        Edges of the mel bands, in Hz.
    """
    return SpectroTemporal(
        n_mels=n_mels, n_frames=n_frames, n_classes=n_classes, fmin=fmin, fmax=fmax,
        dropout=dropout,
    )  # fmt: skip


def gabor(frequency: float) -> tuple[np.ndarray, int]:
    """Make a complex Gabor function without a mean; its envelope's deviation is half a cycle.

    Parameters
    ----------
    frequency : float
        In cycles a value, above 0, at most a half.

    Returns
    -------
    wave : np.ndarray [shape=(n,)]
        Complex, of an odd length; the envelope sums up to one.
    stride : int
        How many values its modulus may be asked for apart: a power of two, at most three quarters
        of the deviation, or one.
    """
    deviation = 0.5 / frequency
    around = np.arange(-int(2 * deviation), int(2 * deviation) + 1)
    envelope = np.exp(-0.5 * (around / deviation) ** 2)
    wave = envelope * np.exp(2j * np.pi * frequency * around)
    wave = (wave - envelope * (wave.sum() / envelope.sum())) / envelope.sum()
    return wave, int(2 ** max(0, int(np.log2(0.75 * deviation))))


def matrix(n: int, frequency: float) -> tuple[np.ndarray, np.ndarray]:
    """Make the matrix of a convolution with a Gabor function, of a signal mirrored at its ends.

    Parameters
    ----------
    n : int
        Values of the signal.
    frequency : float
        In cycles a value.

    Returns
    -------
    matrix : np.ndarray [shape=(n_outputs, n)]
        Complex.
    places : np.ndarray [shape=(n_outputs,)]
        Around which value each output is centred.
    """
    wave, stride = gabor(frequency)
    places = np.arange(0, n, stride)
    margin = len(wave) // 2
    mirrored = np.pad(np.eye(n), ((margin, margin), (0, 0)), mode="reflect")
    return np.stack([wave @ mirrored[at : at + len(wave)] for at in places]), places


def _stacked(matrix: np.ndarray) -> Tensor:
    """Put the imaginary part of a complex matrix below the real one."""
    return fixed(np.concatenate([matrix.real, matrix.imag]))


def _means(regions: np.ndarray) -> np.ndarray:
    """Make the matrix (n_regions, n) that takes means of values by the region of each."""
    belongs = np.unique(regions)[:, None] == regions
    means: np.ndarray = belongs / belongs.sum(axis=1, keepdims=True)
    return means


def _mean_modulus(real: Tensor, imaginary: Tensor) -> Tensor:
    """Map two (batch, rows, any) to the mean logarithm of the modulus, (batch, rows)."""
    modulus = (real.square() + imaginary.square() + 1e-6).sqrt()
    return (modulus + 1).log().mean(dim=2)
