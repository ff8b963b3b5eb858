"""Changing a batch of segments so that a net sees none of them twice.

Both work on normalised log-mels, so that a masked value, 0, is the mean of its band. They
draw from torch's current generator, as torchaudio's masks do; who wants the same result
again seeds it.

References
----------
D. S. Park et al., "SpecAugment", Interspeech 2019, section 2 (one mask an axis here).
H. Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018, equation 1.
"""

import torch
import torchaudio.functional as AF
from torch import Tensor

TIME_AXIS, FREQUENCY_AXIS = 3, 2


def mask(x: Tensor, *, frequency: float, time: float) -> Tensor:
    """Hide a stripe of bands and a stripe of frames in each segment.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
        Not changed.
    frequency, time : float
        Bound of the stripe's width as a share of the axis; widths are uniform over the whole
        numbers from 0 up to, and without, that bound.
    """
    masked = x.unsqueeze(1)
    for share, axis in ((frequency, FREQUENCY_AXIS), (time, TIME_AXIS)):
        widest = round(share * masked.shape[axis])
        if widest:
            masked = AF.mask_along_axis_iid(masked, widest, 0.0, axis)
    return masked.squeeze(1)


def mixup(x: Tensor, targets: Tensor, *, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend each segment, and its target, with another one of the batch.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
        Not changed.
    targets : Tensor [shape=(batch, n_classes)]
        Probabilities, not changed.
    alpha : float
        Of Beta(alpha, alpha), from which each segment's own share is drawn; 0 changes
        nothing.
    """
    if alpha == 0:
        return x, targets
    beta = torch.distributions.Beta(alpha, alpha)
    share = beta.sample((len(x),)).to(x.device)
    other = torch.randperm(len(x), device=x.device)
    mixed = torch.lerp(x[other], x, share[:, None, None])
    return mixed, torch.lerp(targets[other], targets, share[:, None])
