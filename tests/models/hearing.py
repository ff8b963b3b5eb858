"""What a family of statistics says before it is standardised."""

import numpy as np
from torch import Tensor, nn


def before_norm(family: nn.Module, *inputs: Tensor) -> np.ndarray:
    """Return what a family hands to its norm, np.ndarray [shape=(batch, dim)]."""
    kept: list[Tensor] = []
    norm = family.get_submodule("norm")
    hook = norm.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    family(*inputs)
    hook.remove()
    assert kept[0].shape == (len(inputs[0]), family.dim)
    found: np.ndarray = kept[0].numpy()
    return found
