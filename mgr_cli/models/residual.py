"""A small residual net over short segments.

Won et al. found that a plain stack of residual blocks over a few seconds of log-mel, its
maximum over time fed to a dense layer, is as good as anything trained from scratch. Theirs
has 12 M parameters and seven poolings; ours is narrow and has four, because a few hundred
tracks are all it is given, and it reads the mean beside the maximum.

References
----------
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging
models", SMC 2020, section 3.8.
K. He et al., "Deep residual learning for image recognition", CVPR 2016, figure 2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.models.layers import Classifier, check, head


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a short cut; the first one may step over its input."""

    def __init__(self, width: int, channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, width, bands, frames) to (batch, channels, bands / stride, …)."""
        return F.relu(self.body(x) + self.shortcut(x))


class ShortChunkResNet(Classifier):
    """A stem, four residual blocks, mean and max over what is left of the plane."""

    def __init__(self, *, n_mels: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        check("n_mels", n_mels, 16, 1_024)
        check("width", width, 1, 512)
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        )
        self.blocks = nn.Sequential(
            ResidualBlock(width, width),
            ResidualBlock(width, 2 * width, stride=2),
            ResidualBlock(2 * width, 4 * width, stride=2),
            ResidualBlock(4 * width, 4 * width, stride=2),
        )
        self.head = head(8 * width, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, 8 · width)."""
        maps: Tensor = self.blocks(self.stem(x.unsqueeze(1)))
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def short_chunk_resnet(
    *, n_mels: int, n_classes: int, width: int = 24, dropout: float = 0.3
) -> ShortChunkResNet:
    """Make the net; `width` is the number of channels of the stem."""
    return ShortChunkResNet(n_mels=n_mels, n_classes=n_classes, width=width, dropout=dropout)
