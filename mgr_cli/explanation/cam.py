"""Grad-CAM: where the last maps of a net, that still have time, answer for a genre.

A convolution's maps are weighed by how much the logit grows with each of them on average, added
up, and what is below zero is cut off; the result is as coarse as the maps are, and is interpolated
to the picture. Which maps they are is told by the kinds of modules and the shapes that they give,
not by the names of nets:

- the output of the last ReLU or residual block that is channels × bands × frames or channels ×
  frames, with more than one frame. Maps without bands say the same of all bands;
- of a net that takes several kinds, the last ones that hear each of them. Their pictures are
  added, each cell weighed by the share of the picture that it stands for, so that the sum is that
  of Grad-CAM over all maps side by side;
- of a transformer, the tokens that its last block attends to, put back on the grid of their
  patches. Of that block's output only the class token reaches the logits, so that its input,
  normalised, is the last place where patches count;
- a net that takes one row a track has none, and of a committee's members those have none that hear
  a segment piece by piece: each map is of one piece.

References
----------
R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
localization", ICCV 2017, equations 1 and 2.
J. Gildenblat, "PyTorch library for CAM methods", 2021: the tokens of transformers as maps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from captum.attr import LayerGradCam  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.explanation.masking import Masked
from mgr_cli.models.committee import Member
from mgr_cli.models.residual import ResidualBlock
from mgr_cli.models.transformer import VisionTransformer

SOURCES = (nn.ReLU, ResidualBlock)  # of maps


def grad_cam(masked: Masked, inputs: Sequence[Tensor], target: int) -> Tensor:
    """Return the Grad-CAM of some segments (n, n_mels, n_frames), with the ReLU.

    Frames are those of a segment, which may show a short song more than once: maps of its copies
    differ.

    Parameters
    ----------
    masked : Masked
        A net.
    inputs : sequence of Tensor
        What it takes of the segments, one a kind.
    target : int
        The class.

    Raises
    ------
    ValueError
        If it has no maps.
    """
    with _maps(masked.model, inputs) as layers:
        masks = torch.ones(len(inputs[0]), *masked.shape, device=inputs[0].device)
        n_bands, n_frames = masked.shape[0], masked.n_frames
        total = torch.zeros(len(masks), n_bands, n_frames, device=masks.device)
        for layer in layers:
            maps = LayerGradCam(masked, layer).attribute(
                masks, target, additional_forward_args=tuple(inputs)
            )
            assert isinstance(maps, Tensor)
            total += maps[0].numel() * _drawn(maps.detach(), masked)
    return total.relu() / total[0].numel()


@contextmanager
def _maps(net: nn.Module, inputs: Sequence[Tensor]) -> Iterator[list[nn.Module]]:
    """Give the modules whose outputs are the last maps, while the net is as it must be."""
    if isinstance(net, VisionTransformer):
        with _tokens(net) as tap:
            yield [tap]
        return
    layers = last_maps(net, inputs)
    if not layers:
        raise ValueError("the net has no maps over time")
    yield layers


def has_maps(net: nn.Module, inputs: Sequence[Tensor]) -> bool:
    """Tell whether a net has maps for Grad-CAM, of inputs of these shapes."""
    return isinstance(net, VisionTransformer) or bool(last_maps(net, inputs))


def last_maps(net: nn.Module, inputs: Sequence[Tensor]) -> list[nn.Module]:
    """Find the modules that give the last maps which hear each input, none if there are none.

    Parameters
    ----------
    net : nn.Module
        No transformer.
    inputs : sequence of Tensor
        One a kind, whose shapes count.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = [x[:1].shape for x in inputs]
    noise, other = (
        [torch.randn(shape, generator=generator).to(inputs[0].device) for shape in shapes]
        for _ in range(2)
    )
    heard = _outputs(net, noise)
    found: list[nn.Module] = []
    for place in range(len(inputs)):
        changed = _outputs(net, [*noise[:place], other[place], *noise[place + 1 :]])
        hearing = [module for module, x in heard.items() if not torch.equal(x, changed[module])]
        found += [module for module in hearing[-1:] if module not in found]
    return found


def _outputs(net: nn.Module, inputs: Sequence[Tensor]) -> dict[nn.Module, Tensor]:
    """Run a net and keep what is maps over time, in the order in which they are made."""
    kept: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: object, output: Tensor) -> None:
        if output.ndim in (3, 4) and output.shape[-1] > 1:
            kept.pop(module, None)
            kept[module] = output

    in_pieces = {
        module
        for member in net.modules()
        if isinstance(member, Member) and member.n_pieces > 1
        for module in member.modules()
    }
    sources = [
        module
        for module in net.modules()
        if isinstance(module, SOURCES) and module not in in_pieces
    ]
    hooks = [module.register_forward_hook(keep) for module in sources]
    try:
        with torch.no_grad():
            net(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


@contextmanager
def _tokens(net: VisionTransformer) -> Iterator[nn.Module]:
    """Give a module through which the last block's tokens go as maps, (n, dim, bands, frames)."""
    tap = nn.Identity()
    sides = zip(net.whole, net.patches.kernel_size, net.patches.stride, strict=True)
    grid = [(whole - patch) // step + 1 for whole, patch, step in sides]

    def lead_through(_: nn.Module, __: object, tokens: Tensor) -> Tensor:
        maps = tap(tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, *grid))
        return torch.cat([tokens[:, :1], maps.flatten(2).transpose(1, 2)], dim=1)

    hook = net.encoder.layers[-1].norm1.register_forward_hook(lead_through)
    try:
        yield tap
    finally:
        hook.remove()


def _drawn(maps: Tensor, masked: Masked) -> Tensor:
    """Interpolate maps (n, 1, bands, frames) or (n, 1, frames) to the picture."""
    n_bands, n_frames = masked.shape[0], masked.n_frames
    net = masked.model
    # The last patches may lie beyond the picture in part.
    whole = list(net.whole) if isinstance(net, VisionTransformer) else [n_bands, n_frames]
    planes = maps[:, :, None] if maps.ndim == 3 else maps
    drawn = F.interpolate(planes, whole, mode="bilinear", align_corners=False)
    return drawn[:, 0, :n_bands, :n_frames]
