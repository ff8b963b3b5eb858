"""Residual convolution over the spectrogram, strided convolution over the waveform: seed 003.

Its four nets. `resnet2d` reads a log-mel segment through four residual blocks whose maps grow
to 128 while the frequency axis shrinks to one band, takes the mean over time and classifies it
with a small multi-layer perceptron. `crnn` is the same encoder with an LSTM in place of the
mean: many to one, so its last output alone is classified. `wave_cnn1d` reads the waveform
itself, in four stages, and ends like `resnet2d`.

`mm_crnn` hears the same segment twice, as log-mel and as waveform, and gives both encoders'
sequences, side by side, to one LSTM. The encoders are made for that: both have 128 dimensions,
and a vector of the wave encoder stands for 8,192 samples, just as one of the spectrogram encoder
stands for 8 frames of the seed's hop of 1,024 samples: 64 vectors each in its crop of 2^19
samples. With another hop, or a frame more for centring, the wave's sequence is stretched or
squeezed to the other's length by linear interpolation. Both are taken to divide the segment
evenly; before the centre of the wave's first vector, and after that of its last, the vector is
repeated. So a single one stands beside all of the other's, and if the wave has more than twice
as many, some of its vectors are passed over.

References
----------
C. Maccani, T. Pasupathipillai, C. Sgorlon Gaiatto, "Music genre classification with
convolutional recurrent neural networks" (slides, seed 003). They give the four blocks and
stages, the one band, the 128 dimensions and the LSTM of 128; kernels, pools, the maps of the
inner blocks, the size of the perceptron, the kind of global pooling (ours: mean) and what
brings two sequences to one length are ours.
K. Choi et al., "Convolutional recurrent neural networks for music classification",
ICASSP 2017.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.models.hybrid import Pooled
from mgr_cli.models.layers import Classifier, check, head
from mgr_cli.models.residual import ResidualBlock

CHANNELS = (16, 32, 64, 128)  # of both encoders
POOLS = ((4, 2), (4, 2), (4, 2), (2, 1))  # (frequency, time): up to 128 bands become one
WAVE_KERNEL = 15  # samples of a stage's input
WAVE_STRIDES = ((4, 4), (4, 2), (4, 2), (4, 2))  # (convolution, pool)


class SpectrogramEncoder(nn.Module):
    """Four residual blocks, each with a max-pool; the mean of the bands if some are left."""

    dim = CHANNELS[-1]

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        check("n_mels", n_mels, 16, 1_024)
        blocks: list[nn.Module] = []
        width = 1
        for channels, pool in zip(CHANNELS, POOLS, strict=True):
            blocks += [ResidualBlock(width, channels), nn.MaxPool2d(pool, ceil_mode=True)]
            width = channels
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, n_frames / 8 rounded up, dim)."""
        maps: Tensor = self.blocks(x.unsqueeze(1))
        return maps.mean(dim=2).transpose(1, 2)


class WaveEncoder(nn.Module):
    """Four stages of strided convolution over samples, each with a max-pool."""

    dim = CHANNELS[-1]

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        width = 1
        for channels, (stride, pool) in zip(CHANNELS, WAVE_STRIDES, strict=True):
            stages += [
                nn.Conv1d(
                    width, channels, WAVE_KERNEL, stride, padding=WAVE_KERNEL // 2, bias=False
                ),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.MaxPool1d(pool, ceil_mode=True),
            ]
            width = channels
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_samples) to (batch, n_samples / 8,192 rounded up, dim)."""
        maps: Tensor = self.stages(x.unsqueeze(1))
        return maps.transpose(1, 2)


class Crnn(Classifier):
    """The spectrogram encoder, a one-layer LSTM, and a linear head on its last output."""

    def __init__(self, *, n_mels: int, n_classes: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        check("hidden_dim", hidden_dim, 1, 2_048)
        self.encoder = SpectrogramEncoder(n_mels)
        self.rnn = nn.LSTM(self.encoder.dim, hidden_dim, batch_first=True)
        self.head = head(hidden_dim, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, hidden_dim)."""
        return last_output(self.rnn, self.encoder(x))


class MmCrnn(Classifier):
    """Both encoders, a one-layer LSTM over their vectors side by side, and a linear head."""

    def __init__(self, *, n_mels: int, n_classes: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        check("hidden_dim", hidden_dim, 1, 2_048)
        self.encoder = SpectrogramEncoder(n_mels)
        self.wave_encoder = WaveEncoder()
        dim = self.encoder.dim + self.wave_encoder.dim
        self.rnn = nn.LSTM(dim, hidden_dim, batch_first=True)
        self.head = head(hidden_dim, n_classes, dropout)

    def embed(self, levels: Tensor, waveform: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) and (batch, n_samples) to (batch, hidden_dim)."""
        frames: Tensor = self.encoder(levels)
        wave = stretch(self.wave_encoder(waveform), frames.shape[1])
        return last_output(self.rnn, torch.cat([frames, wave], dim=2))


def last_output(rnn: nn.LSTM, sequence: Tensor) -> Tensor:
    """Read a sequence (batch, n_steps, dim) to its end, (batch, hidden_dim)."""
    outputs: Tensor = rnn(sequence)[0]
    return outputs[:, -1].contiguous()  # a view would keep all of them alive


def stretch(sequence: Tensor, n_steps: int) -> Tensor:
    """Interpolate (batch, any, dim) linearly in time to (batch, n_steps, dim), if need be."""
    if sequence.shape[1] == n_steps:
        return sequence
    return F.interpolate(sequence.transpose(1, 2), n_steps, mode="linear").transpose(1, 2)


def perceptron(dim: int, n_classes: int, *, hidden_dim: int, dropout: float) -> nn.Sequential:
    """Make a head with one hidden layer, (batch, dim) → (batch, n_classes)."""
    check("hidden_dim", hidden_dim, 1, 2_048)
    return nn.Sequential(
        nn.Linear(dim, hidden_dim), nn.ReLU(), *head(hidden_dim, n_classes, dropout)
    )


def crnn(*, n_mels: int, n_classes: int, hidden_dim: int = 128, dropout: float = 0.3) -> Crnn:
    """Make the spectrogram encoder with an LSTM of `hidden_dim`."""
    return Crnn(n_mels=n_mels, n_classes=n_classes, hidden_dim=hidden_dim, dropout=dropout)


def mm_crnn(*, n_mels: int, n_classes: int, hidden_dim: int = 128, dropout: float = 0.3) -> MmCrnn:
    """Make both encoders with an LSTM of `hidden_dim`.

    It eats log-mel frames and the waveform they were made of, in this order.
    """
    return MmCrnn(n_mels=n_mels, n_classes=n_classes, hidden_dim=hidden_dim, dropout=dropout)


def resnet2d(*, n_mels: int, n_classes: int, hidden_dim: int = 128, dropout: float = 0.3) -> Pooled:
    """Make the spectrogram encoder with a mean over time and a perceptron of `hidden_dim`."""
    encoder = SpectrogramEncoder(n_mels)
    return Pooled(
        encoder, perceptron(encoder.dim, n_classes, hidden_dim=hidden_dim, dropout=dropout)
    )


def wave_cnn1d(*, n_classes: int, hidden_dim: int = 128, dropout: float = 0.3) -> Pooled:
    """Make the wave encoder with a mean over time and a perceptron of `hidden_dim`.

    It eats waveforms, (batch, n_samples), not log-mel frames.
    """
    encoder = WaveEncoder()
    return Pooled(
        encoder, perceptron(encoder.dim, n_classes, hidden_dim=hidden_dim, dropout=dropout)
    )
