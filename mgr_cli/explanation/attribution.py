"""What of a segment spoke for a class, as three methods see it.

*Integrated gradients* go from a segment of which nothing is left to the segment as it is, add up
the gradients of the logit on the way, and so share out its whole change among the cells of the
picture: the values add up to the difference of the two logits. The way is straight, but gone slowly
at first, where nets that take logarithms have steep slopes; what is integrated stays the same, and
fewer steps do. *Grad-CAM* asks the last maps of a net where they answer (`cam`); it is coarse, and
never below zero. *Occlusion* takes one window after the other away and sees by how much the answer
drops; a cell's value is the mean over the windows that it lies in. It asks a model for nothing but
its answers, and so is for all of them.

All three are Captum's, and all three are of masks (`masking`), not of what the entry takes. For
log-mels that is the same: with respect to a mask that leads from the mean to x, the gradient is
(x − mean) times that with respect to x. Answers are logits of nets, logarithms of probabilities
of pipelines.

References
----------
M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017, equation 1
and, for the sum, proposition 1. The integral is by Gauss and Legendre.
R. R. Selvaraju et al., "Grad-CAM", ICCV 2017.
M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
section 4.2. Their grey square is here what masks leave.
N. Kokhlikyan et al., "Captum: a unified and generic model interpretability library for PyTorch",
arXiv 2009.07896.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion  # type: ignore[import-untyped]
from torch import Tensor, nn

from mgr_cli.config import FeatureSpec, Method
from mgr_cli.explanation.cam import grad_cam
from mgr_cli.explanation.masking import Masked

N_STEPS = 32  # of the way from nothing to the segment
WARP = 4  # the power of time at which that way is gone
BACKWARD = 4  # times the memory of an answer alone


@dataclass(frozen=True)
class Windows:
    """What occlusion takes away at a time.

    Attributes
    ----------
    share : float
        Of the mel bands.
    seconds : float
        Of the segment.
    overlap : int
        Windows along each axis that a cell lies in.
    """

    share: float
    seconds: float
    overlap: int

    def sizes(self, spec: FeatureSpec, shape: tuple[int, int]) -> tuple[int, int]:
        """Return bands and frames of a window on a picture (n_mels, n_frames)."""
        n_bands = max(1, round(self.share * shape[0]))
        n_frames = max(1, round(self.seconds * spec.frame_rate))
        return n_bands, min(n_frames, shape[1])

    def strides(self, spec: FeatureSpec, shape: tuple[int, int]) -> tuple[int, int]:
        """Return from how many bands and frames to the next window it is."""
        n_bands, n_frames = (max(1, n // self.overlap) for n in self.sizes(spec, shape))
        return n_bands, n_frames

    def n_windows(self, spec: FeatureSpec, shape: tuple[int, int]) -> int:
        """Count the windows on a picture."""
        axes = zip(shape, self.sizes(spec, shape), self.strides(spec, shape), strict=True)
        return int(np.prod([1 - (size - n) // stride for n, size, stride in axes]))


FINE = Windows(share=1 / 16, seconds=0.5, overlap=2)
COARSE = Windows(share=1 / 8, seconds=1.0, overlap=2)
BLOCKS = Windows(share=1 / 8, seconds=1.0, overlap=1)


def attribute(
    method: Method,
    masked: Masked,
    inputs: Sequence[Tensor],
    targets: Sequence[int],
    *,
    sizes: tuple[int, int],
    strides: tuple[int, int],
) -> np.ndarray:
    """Say what of some segments spoke for some classes.

    Parameters
    ----------
    method : {"integrated-gradients", "grad-cam", "occlusion"}
        How.
    masked : Masked
        Who is asked; a net, but for occlusion.
    inputs : sequence of Tensor
        What it takes of the segments, one a kind.
    targets : sequence of int
        The classes.
    sizes, strides : tuple of int
        Bands and frames of an occlusion's window, and from one to the next.

    Returns
    -------
    np.ndarray [shape=(n_targets, n_segments, n_mels, n_frames)]
        float32. Above zero where a cell spoke for the class. Frames are those of masks, of
        Grad-CAM those of segments, which are more where a song is repeated to fill one.

    Raises
    ------
    ValueError
        If the net has no maps for Grad-CAM.
    """
    n_segments = len(inputs[0])
    at_once = masked.at_once if method == "occlusion" else max(1, masked.at_once // BACKWARD)
    found = []
    for first in range(0, n_segments, at_once):
        part = [x[first : first + at_once] for x in inputs]
        match method:
            case "integrated-gradients":
                each = [integrated_gradients(masked, part, target) for target in targets]
                values = torch.stack(each)
            case "grad-cam":
                with backward(masked):
                    values = torch.stack([grad_cam(masked, part, target) for target in targets])
            case "occlusion":
                values = occlusion(masked, part, targets, sizes=sizes, strides=strides)
        found.append(values.cpu().numpy().astype(np.float32))
    return np.concatenate(found, axis=1)


@contextmanager
def backward(masked: Masked) -> Iterator[None]:
    """Let gradients through a net that is in evaluation mode.

    cuDNN's recurrent layers have them in training mode only, torch's own always.
    """
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in masked.modules())
    with torch.backends.cudnn.flags(enabled=False) if is_recurrent else nullcontext():
        yield


def integrated_gradients(
    masked: Masked, inputs: Sequence[Tensor], target: int, *, n_steps: int = N_STEPS
) -> Tensor:
    """Return integrated gradients (n, n_mels, n_frames)."""

    def answers(masks: Tensor, *given: Tensor) -> Tensor:
        logits: Tensor = masked(masks**WARP, *given)
        return logits

    masks = torch.ones(len(inputs[0]), *masked.shape, device=inputs[0].device)
    at_once = max(1, masked.at_once // BACKWARD)
    with backward(masked):
        values: Tensor = IntegratedGradients(answers).attribute(
            masks, torch.zeros_like(masks), target, tuple(inputs), n_steps,
            internal_batch_size=max(at_once, len(masks)),
        )  # fmt: skip
    return values.detach()


def occlusion(
    masked: Masked,
    inputs: Sequence[Tensor],
    targets: Sequence[int],
    *,
    sizes: tuple[int, int],
    strides: tuple[int, int],
) -> Tensor:
    """Return occlusions (n_targets, n, n_mels, n_frames), all of the same answers."""

    def answers(masks: Tensor, *given: Tensor) -> Tensor:
        logits: Tensor = masked(masks, *given)
        return logits[:, list(targets)]

    n_segments = len(inputs[0])
    masks = torch.ones(n_segments, *masked.shape, device=inputs[0].device)
    # Of an answer with several numbers a segment Captum gives the occlusion of each.
    values: Tensor = Occlusion(answers).attribute(
        masks, sizes, strides, baselines=0, additional_forward_args=tuple(inputs),
        perturbations_per_eval=max(1, masked.at_once // n_segments),
    )  # fmt: skip
    return values.reshape(n_segments, len(targets), *masked.shape).transpose(0, 1)
