"""Convolution, then a recurrent layer or none: the four hybrids of seed 000, and its two CNNs.

A convolutional encoder shortens the segment and lifts it into a sequence of feature
vectors; a GRU or an LSTM reads the sequence, and its outputs are averaged over time. In
the one-dimensional encoder the mel bands are channels, and kernels slide over time alone;
in the two-dimensional one they slide over time and frequency, with max-pooling after each
ReLU, and what is left of the frequency axis is stacked into the vectors. The plain CNNs
average the encoder's sequence itself, and so show what the recurrent layer adds.

References
----------
K. Choi et al., "Convolutional recurrent neural networks for music classification",
ICASSP 2017. The layers' widths are ours: the seed's slides do not give them.
"""

from typing import Literal

from torch import Tensor, nn

from mgr_cli.models.layers import Classifier, check, head

Cell = Literal["gru", "lstm"]
CHANNELS_1D = (128, 128, 256)
CHANNELS_2D = (32, 64, 128, 128)
POOLS_2D = ((2, 2), (2, 2), (4, 1), (4, 1))  # (frequency, time)
BANDS_POOLED = 64  # product of the frequency pools


class TimeEncoder(nn.Module):
    """Three blocks of convolution over time."""

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        width = n_mels
        for channels in CHANNELS_1D:
            blocks += [
                nn.Conv1d(width, channels, 5, padding=2, bias=False),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.MaxPool1d(2, ceil_mode=True),
            ]
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.dim = width

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, n_frames / 8, dim)."""
        sequence: Tensor = self.blocks(x).transpose(1, 2)
        return sequence


class TimeFrequencyEncoder(nn.Module):
    """Four blocks of convolution over time and frequency."""

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        check("n_mels", n_mels, BANDS_POOLED, 1_024)
        blocks: list[nn.Module] = []
        width = 1
        for channels, pool in zip(CHANNELS_2D, POOLS_2D, strict=True):
            blocks += [
                nn.Conv2d(width, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(pool),
            ]
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.dim = width * (n_mels // BANDS_POOLED)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, n_frames / 4, dim)."""
        maps: Tensor = self.blocks(x.unsqueeze(1))
        return maps.flatten(1, 2).transpose(1, 2)


class Hybrid(Classifier):
    """An encoder, a recurrent layer over its sequence, and a linear head."""

    def __init__(
        self,
        encoder: TimeEncoder | TimeFrequencyEncoder,
        cell: Cell,
        *,
        n_classes: int,
        hidden_dim: int,
        num_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check("hidden_dim", hidden_dim, 1, 2_048)
        check("num_layers", num_layers, 1, 8)
        check("dropout", dropout, 0.0, 0.95)
        self.encoder = encoder
        self.rnn = (nn.GRU if cell == "gru" else nn.LSTM)(
            encoder.dim,
            hidden_dim,
            num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.head = head(hidden_dim, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, hidden_dim)."""
        outputs: Tensor = self.rnn(self.encoder(x))[0]
        return outputs.mean(dim=1)


class Pooled(Classifier):
    """An encoder, its sequence's mean over time, and a head."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames), or what else the encoder takes, to (batch, dim)."""
        sequence: Tensor = self.encoder(x)
        return sequence.mean(dim=1)


def cnn1d(*, n_mels: int, n_classes: int, dropout: float = 0.3) -> Pooled:
    """Make the 1-D encoder with global average pooling."""
    encoder = TimeEncoder(n_mels)
    return Pooled(encoder, head(encoder.dim, n_classes, dropout))


def cnn2d(*, n_mels: int, n_classes: int, dropout: float = 0.3) -> Pooled:
    """Make the 2-D encoder with global average pooling."""
    encoder = TimeFrequencyEncoder(n_mels)
    return Pooled(encoder, head(encoder.dim, n_classes, dropout))


def cnn1d_gru(
    *, n_mels: int, n_classes: int, hidden_dim: int = 128, num_layers: int = 1, dropout: float = 0.3
) -> Hybrid:
    """Make the 1-D encoder with a GRU."""
    return Hybrid(
        TimeEncoder(n_mels), "gru",
        n_classes=n_classes, hidden_dim=hidden_dim, num_layers=num_layers, dropout=dropout,
    )  # fmt: skip


def cnn1d_lstm(
    *, n_mels: int, n_classes: int, hidden_dim: int = 128, num_layers: int = 1, dropout: float = 0.3
) -> Hybrid:
    """Make the 1-D encoder with an LSTM."""
    return Hybrid(
        TimeEncoder(n_mels), "lstm",
        n_classes=n_classes, hidden_dim=hidden_dim, num_layers=num_layers, dropout=dropout,
    )  # fmt: skip


def cnn2d_gru(
    *, n_mels: int, n_classes: int, hidden_dim: int = 128, num_layers: int = 1, dropout: float = 0.3
) -> Hybrid:
    """Make the 2-D encoder with a GRU."""
    return Hybrid(
        TimeFrequencyEncoder(n_mels), "gru",
        n_classes=n_classes, hidden_dim=hidden_dim, num_layers=num_layers, dropout=dropout,
    )  # fmt: skip


def cnn2d_lstm(
    *, n_mels: int, n_classes: int, hidden_dim: int = 128, num_layers: int = 1, dropout: float = 0.3
) -> Hybrid:
    """Make the 2-D encoder with an LSTM."""
    return Hybrid(
        TimeFrequencyEncoder(n_mels), "lstm",
        n_classes=n_classes, hidden_dim=hidden_dim, num_layers=num_layers, dropout=dropout,
    )  # fmt: skip
