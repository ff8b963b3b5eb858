"""What several families of nets are made of."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
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
    """A net in two parts: `embed` makes one vector of a segment, `head` makes logits.

    Attributes
    ----------
    embed : callable
        A method of each net. It maps what the net eats, one tensor (batch, …) of each kind, to
        (batch, dim). Declared as `nn.Module` declares `forward`, so that each net can name its
        own inputs.
    head : nn.Module
        Maps (batch, dim) to (batch, n_classes).
    """

    embed: Callable[..., Tensor]
    head: nn.Module

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map what `embed` takes to logits (batch, n_classes)."""
        logits: Tensor = self.head(self.embed(*inputs))
        return logits


def in_float32(x: Tensor) -> AbstractContextManager[Any]:
    """Return what keeps a computation from a trainer's bfloat16, which has two to three digits."""
    # A meta tensor, which has a shape alone, cannot be asked.
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
