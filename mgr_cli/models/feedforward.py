"""Dense layers over the hand-crafted features of a track, as in seed 002.

No picture and no time: the 518 numbers that `features.handcrafted` makes of a track are
normalised column by column and go through one or two dense layers. The seed tried nine nets and
tables their parameters and losses; (512, 256), the one of the best accuracy, is the default. It
names no activation and no dropout: ReLU is ours, and dropout is there but off.

References
----------
M. Defferrard et al., "FMA: A dataset for music analysis", ISMIR 2017, for the features.
"""

import re
from reprlib import repr as shortened

from torch import Tensor, nn

from mgr_cli.models.layers import Classifier, check, head

MAX_LAYERS = 4
MAX_UNITS = 4_096  # of a layer
MAX_COLUMNS = 20_000
SIZE = " *[1-9][0-9]{0,3} *"


def sizes(layers: str) -> tuple[int, ...]:
    """Read the units of each hidden layer from text such as ``"512,256"``.

    Raises
    ------
    ValueError
        If it is not 1 to 4 whole numbers from 1 to 4,096 with commas between them.
    """
    if re.fullmatch(f"{SIZE}(,{SIZE}){{0,{MAX_LAYERS - 1}}}", layers):
        units = tuple(int(size) for size in layers.split(","))
        if max(units) <= MAX_UNITS:
            return units
    raise ValueError(
        f"layers is {shortened(layers)}, expected 1 to {MAX_LAYERS} whole numbers from 1 to "
        f"{MAX_UNITS} with commas between them, such as '512,256'"
    )


class Ffnn(Classifier):
    """Dense layers with a ReLU each, and a linear head."""

    def __init__(
        self, units: tuple[int, ...], *, n_columns: int, n_classes: int, dropout: float
    ) -> None:
        super().__init__()
        check("n_columns", n_columns, 1, MAX_COLUMNS)
        layers: list[nn.Module] = []
        width = n_columns
        for size in units:
            layers += [nn.Linear(width, size), nn.ReLU()]
            width = size
        self.layers = nn.Sequential(*layers)
        self.head = head(width, n_classes, dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Map normalised features (batch, n_columns) to (batch, units of the last layer)."""
        embedding: Tensor = self.layers(x)
        return embedding


def ffnn(*, n_columns: int, n_classes: int, layers: str = "512,256", dropout: float = 0.0) -> Ffnn:
    """Make the net with hidden `layers` of so many units each, 399,112 parameters on 518 columns.

    They are text because a hyper-parameter on a card is a plain value.

    Raises
    ------
    ValueError
        If a value is out of its range, or `layers` cannot be read.
    """
    return Ffnn(sizes(layers), n_columns=n_columns, n_classes=n_classes, dropout=dropout)
