"""What several families of nets are made of."""

from torch import Tensor, nn


def check(name: str, value: float, low: float, high: float) -> None:
    """Refuse a hyper-parameter out of its range.

    Raises
    ------
    ValueError
        Which one, and what the range is.
    """
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, outside {low} to {high}")


def head(dim: int, n_classes: int, dropout: float) -> nn.Sequential:
    """Make the last layers of a net, (batch, dim) → (batch, n_classes)."""
    check("dropout", dropout, 0.0, 0.95)
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, n_classes))


class Classifier(nn.Module):
    """A net in two parts: `embed` makes one vector of a segment, `head` makes logits."""

    head: nn.Module

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, dim)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to logits (batch, n_classes)."""
        logits: Tensor = self.head(self.embed(x))
        return logits
