"""The layers of a net that have filters: by number, by name, and how to get at them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mgr_cli.errors import MgrError
from mgr_cli.models.residual import ResidualBlock
from mgr_cli.zoo.card import Card

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# Whatever of these gives maps has one a filter.
_OTHERS = (*_NORMS, nn.ReLU, nn.MaxPool1d, nn.MaxPool2d, nn.Sequential, ResidualBlock)


@dataclass(frozen=True)
class Layer:
    """A layer whose output is one map a filter.

    Attributes
    ----------
    number : int or None
        Of a convolution among all of its net, from 1 in the order of the forward pass.
    name : str
        Of the module, as ``net.get_submodule`` takes it.
    what : str
        Its kind and, of a convolution, the size of its kernels.
    n_filters : int
        How many maps it gives.
    tap : str
        Name of the module whose output they are: of a convolution with a batch norm behind it,
        the batch norm.
    first : bool
        Whether it is a convolution of an input of the net, so that its kernels can be read.
    """

    number: int | None
    name: str
    what: str
    n_filters: int
    tap: str
    first: bool = False


def list_all(net: nn.Module, card: Card) -> tuple[Layer, ...]:
    """List the convolutions of a net that is on the CPU or a GPU, none if it has none."""
    return tuple(layer for layer in _everything(net, card) if layer.number is not None)


def find(net: nn.Module, card: Card, name: str) -> Layer:
    """Return a layer by its number or its name.

    Raises
    ------
    MgrError
        If the net has no filters, or no such layer.
    """
    everything = _everything(net, card)
    counted = [layer for layer in everything if layer.number is not None]
    if not counted:
        raise MgrError(
            f"{card.name} ({card.architecture}) has no convolution, and so no filters; "
            "choose an entry with some, as of cnn2d or short-chunk-resnet"
        )
    for layer in everything:
        if name in (str(layer.number), layer.name):
            return layer
    known = ", ".join(f"{each.number} {each.name} ({each.n_filters})" for each in counted)
    raise MgrError(
        f"no layer {name!r} with filters in {card.name}, expected a number or a name of these "
        f"(and how many filters it has): {known}"
    )


def kernels(net: nn.Module, layer: Layer) -> np.ndarray:
    """Return the kernels of a layer that is the first.

    Where all inputs of a two-dimensional one are copies of a picture (cnn-deep), their kernels
    are summed up, which is what the picture meets.

    Returns
    -------
    np.ndarray
        (n_filters, bands, frames) over a picture, (n_filters, n_mels, frames) over time with
        all bands at once, (n_filters, samples) over a waveform.
    """
    weight = net.get_submodule(layer.name).get_parameter("weight").detach().cpu()
    if weight.ndim == 4:
        weight = weight.sum(dim=1)
    elif weight.shape[1] == 1:
        weight = weight[:, 0]
    found: np.ndarray = weight.numpy()
    return found


def _everything(net: nn.Module, card: Card) -> list[Layer]:
    """List all layers with filters, in the order in which a segment has passed them."""
    passed = _passed(net, card)
    # Not containers: what a convolution hands its output to.
    leaves = [(name, module) for name, module, _ in passed if not [*module.children()]]
    behind = dict(zip((name for name, _ in leaves), leaves[1:], strict=False))
    found: list[Layer] = []
    seen: set[type] = set()
    for name, module, shape in passed:
        if isinstance(module, _CONVOLUTIONS):
            number = 1 + sum(layer.number is not None for layer in found)
            size = " × ".join(map(str, module.kernel_size))
            after, next_module = behind.get(name, (name, module))
            tap = after if isinstance(next_module, _NORMS) else name
            kind = type(module)
            # mm-crnn has two inputs, and two kinds of convolutions.
            first = kind not in seen
            seen.add(kind)
            found.append(Layer(number, name, f"{kind.__name__} {size}", shape[1], tap, first))
        elif isinstance(module, _OTHERS) and len(shape) > 2:
            found.append(Layer(None, name, type(module).__name__, shape[1], name))
    return found


def _passed(net: nn.Module, card: Card) -> list[tuple[str, nn.Module, Sequence[int]]]:
    """List the modules that a segment passes, with the shape of what they give."""
    found: list[tuple[str, nn.Module, Sequence[int]]] = []

    def note(name: str, module: nn.Module) -> "torch.utils.hooks.RemovableHandle":
        def hook(_module: nn.Module, _given: object, output: object) -> None:
            if isinstance(output, Tensor):
                found.append((name, module, tuple(output.shape)))

        return module.register_forward_hook(hook)

    device = next(net.parameters()).device
    blank = [torch.zeros((1, *shape), device=device) for shape in card.inputs.shapes]
    handles = [note(name, module) for name, module in net.named_modules() if name]
    try:
        with torch.inference_mode():
            net(*blank)
    finally:
        for handle in handles:
            handle.remove()
    return found
