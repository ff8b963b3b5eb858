"""Convolutions, then a dense layer: the plain 2-D nets of seeds 001, 002 and 004.

All three look at log-mel as at a grey picture, one convolution, ReLU and max-pooling after
the other. They differ in what they make of the last maps. `cnn_segment` averages them, and
so takes any length; `kostrzewa` and `cnn_deep` flatten them, which is where nearly all of
the weights of the latter are, and take the one length they were made for. What the seeds
say about training (SGD, L2, the search) is in the recipes, not here.

References
----------
D. Kostrzewa, P. Kaminski, R. Brzeski, "Music genre classification: looking for the perfect
network", ICCS 2021, pp. 55-67.
K. Choi, G. Fazekas, M. Sandler, "Automatic tagging using deep convolutional neural
networks", ISMIR 2016, table 1.
"""

from torch import Tensor, nn

from mgr_cli.models.layers import Classifier, check, head

# Ours: neither seed 002 nor the parameter count gives the pools. The count only says that
# 16 values of a map of 128 × 1280 are left; long pools in time as Choi's leave 4 × 4.
POOLS = ((2, 4), (2, 4), (2, 4), (4, 5))  # (frequency, time)
KERNELS = (32, 256)  # ranges of seed 002's search
KERNEL_SIZES = (3, 6)
CHANNELS_DEEP = (4, 8, 16, 32, 64, 128, 256)
COLOURS = 3  # seed 004's first layer has 4 · (3 · 9) + 4 parameters: its pictures are RGB
LARGEST_FLAT = 32_768  # 2 GB of dense weights, a minute and a half of 128 bands


def stage(width: int, channels: int, kernel_size: int, pool: tuple[int, int]) -> nn.Sequential:
    """Make convolution, batch norm, ReLU and max-pooling, (width, …) → (channels, … / pool).

    The convolution keeps the size of its maps, and a bias that its batch norm makes idle but
    the published count includes; the pooling rounds up, so a value remains of the shortest map.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(width, channels, kernel_size, padding=(kernel_size - 1) // 2),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.MaxPool2d(pool, ceil_mode=True),
    ]
    if kernel_size % 2 == 0:  # what padding="same" does, which warns about it
        layers.insert(0, nn.ZeroPad2d((0, 1, 0, 1)))
    return nn.Sequential(*layers)


class SegmentCNN(Classifier):
    """Four blocks of 3×3 convolution, then the mean of each map."""

    def __init__(self, *, n_mels: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        check("n_mels", n_mels, 1, 1_024)
        check("width", width, 1, 512)
        self.blocks = nn.Sequential(
            stage(1, width, 3, (2, 2)),
            stage(width, 2 * width, 3, (2, 2)),
            stage(2 * width, 4 * width, 3, (2, 2)),
            stage(4 * width, 4 * width, 3, (2, 2)),
        )
        self.head = head(4 * width, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, 4 · width)."""
        maps: Tensor = self.blocks(x.unsqueeze(1))
        return maps.mean(dim=(2, 3))


class Kostrzewa(Classifier):
    """Four blocks of convolution with long pools, flattened."""

    def __init__(
        self,
        kernels: tuple[int, int, int, int],
        *,
        n_mels: int,
        n_frames: int,
        n_classes: int,
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check("n_mels", n_mels, 1, 1_024)
        check("n_frames", n_frames, 1, 65_536)
        check("kernel_size", kernel_size, *KERNEL_SIZES)
        blocks: list[nn.Module] = []
        width, bands, frames = 1, n_mels, n_frames
        for place, (channels, pool) in enumerate(zip(kernels, POOLS, strict=True), start=1):
            check(f"kernels_{place}", channels, *KERNELS)
            blocks.append(stage(width, channels, kernel_size, pool))
            width, bands, frames = channels, -(-bands // pool[0]), -(-frames // pool[1])
        self.blocks = nn.Sequential(*blocks)
        self.head = head(width * bands * frames, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, kernels_4 · n_mels / 32 · n_frames / 320)."""
        maps: Tensor = self.blocks(x.unsqueeze(1))
        return maps.flatten(1)


class DeepCNN(Classifier):
    """Seven blocks of 3×3 convolution, flattened, and a dense layer half as wide."""

    def __init__(self, *, n_mels: int, n_frames: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        check("n_mels", n_mels, 1, 1_024)
        check("n_frames", n_frames, 1, 65_536)
        blocks: list[nn.Module] = []
        width, bands, frames = COLOURS, n_mels, n_frames
        for channels in CHANNELS_DEEP:
            layers: list[nn.Module] = [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            if blocks:
                # The table's pools drop an odd band or frame; a single one is kept.
                pool = (min(bands, 2), min(frames, 2))
                layers.append(nn.MaxPool2d(pool))
                bands, frames = bands // pool[0], frames // pool[1]
            blocks.append(nn.Sequential(*layers))
            width = channels
        flat = width * bands * frames
        check("number of values flattened", flat, 1, LARGEST_FLAT)
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Sequential(nn.Linear(flat, flat // 2), nn.ReLU())
        self.head = head(flat // 2, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, 128 · n_mels / 64 · n_frames / 64)."""
        picture = x.unsqueeze(1).expand(-1, COLOURS, -1, -1)
        embedding: Tensor = self.dense(self.blocks(picture).flatten(1))
        return embedding


def cnn_segment(
    *, n_mels: int, n_classes: int, width: int = 32, dropout: float = 0.3
) -> SegmentCNN:
    """Make the net of seed 001; `width` is the number of channels of the first block.

    The seed shows no layer sizes; these, and the batch norms, are ours.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """
    return SegmentCNN(n_mels=n_mels, n_classes=n_classes, width=width, dropout=dropout)


def kostrzewa(
    *,
    n_mels: int,
    n_frames: int,
    n_classes: int,
    kernels_1: int = 64,
    kernels_2: int = 64,
    kernels_3: int = 128,
    kernels_4: int = 128,
    kernel_size: int = 5,
    dropout: float = 0.2,
) -> Kostrzewa:
    """Make the net of seed 002, after Kostrzewa et al.; the kernels are those of the four blocks.

    The defaults are its simple CNN, 735,944 parameters on (128, 1280) and 8 classes; 32, 128,
    192 and 98 kernels of size 6 with a dropout of 0.25 are its tuned one.

    Raises
    ------
    ValueError
        If a value is out of its range, which for kernels is the one the seed searched.
    """
    return Kostrzewa(
        (kernels_1, kernels_2, kernels_3, kernels_4),
        n_mels=n_mels, n_frames=n_frames, n_classes=n_classes,
        kernel_size=kernel_size, dropout=dropout,
    )  # fmt: skip


def cnn_deep(*, n_mels: int, n_frames: int, n_classes: int, dropout: float = 0.0) -> DeepCNN:
    """Make the net of seed 004, 52,868,624 parameters on (128, 1292) and 8 classes.

    Raises
    ------
    ValueError
        If a value is out of its range, or the segment so long that its dense layer, which
        grows with the square of it, would have more than 2 GB.
    """
    return DeepCNN(n_mels=n_mels, n_frames=n_frames, n_classes=n_classes, dropout=dropout)
