"""Priors: what keeps an input that excites a filter from being a noise of single cells.

There are five. Levels stay in the range of the front end, samples in [-1, 1] and with nothing
below 20 Hz, which no ear hears and a constant would be. An L2 penalty draws cells that the filter
does not see back to the mean. Total variation, and a blur every few steps, join neighbours; they
would be a low-pass filter of a waveform, and are left out there. And each step moves the input in
time by some frames, so that nothing hangs on where it stands: `maximisation` does that.

The gradient of a row is brought to a root mean square of 1 before, so that the weights of the
priors mean the same for every layer of every net.

References
----------
C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", Distill, 2017. Theirs also work in
the Fourier domain; ours do not. L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based
noise removal algorithms", Physica D 60, 1992.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mgr_cli.plans import Kind
from mgr_cli.zoo.card import Card

L2, VARIATION = 0.1, 0.3  # weights, against a gradient of root mean square 1
BLUR = (0.25, 0.5, 0.25)  # a Gaussian of 0.7 cells, nearly
LOWEST = 20.0  # Hz, of a waveform


def bounds(card: Card, kind: Kind) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest value of each band, normalised.

    Levels are within the front end's range, samples in [-1, 1].

    Returns
    -------
    tuple of Tensor [shape=(n_bands, 1), (1,) of samples]
    """
    spec, normalisation = card.features, card.normalisation[kind]
    ends = (-1.0, 1.0)
    if kind == "log-mel":
        ends = (0.0, 1.0) if spec.scale == "minmax" else (-spec.top_db, 0.0)
    low, high = (normalisation.apply(np.full((len(normalisation.mean), 1), end)) for end in ends)
    shape = (-1, 1) if kind == "log-mel" else (1,)
    return torch.from_numpy(low).float().reshape(shape), torch.from_numpy(high).float().reshape(
        shape
    )


def of_unit_size(gradient: Tensor) -> Tensor:
    """Bring each row's gradient to a root mean square of 1, that of a dead filter to 0."""
    size = gradient.flatten(1).square().mean(dim=1).sqrt()
    size = torch.where(size > 0, size, 1.0)
    return gradient / size.reshape(-1, *[1] * (gradient.ndim - 1))


def penalty(x: Tensor) -> Tensor:
    """Return the gradient of the priors: of the square of x, and of the sum of its steps."""
    penalty = 2 * L2 * x
    for axis in (1, 2) if x.ndim == 3 else ():
        steps = x.diff(dim=axis)
        slope = steps / (steps.square() + 1e-2).sqrt()  # of |step|, smooth around nothing
        edge = torch.zeros_like(x.narrow(axis, 0, 1))
        penalty = penalty + VARIATION * (
            torch.cat([edge, slope], dim=axis) - torch.cat([slope, edge], dim=axis)
        )
    return penalty


def blurred(x: Tensor) -> Tensor:
    """Blur pictures (n, n_mels, n_frames) along both axes; beyond an edge it goes on."""
    taps = torch.tensor(BLUR, device=x.device)
    padded = F.pad(x[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, torch.outer(taps, taps)[None, None])[:, 0]


def audible(x: Tensor, sample_rate: int) -> Tensor:
    """Take what is below the lowest audible frequency from waveforms (n, n_samples)."""
    spectrum = torch.fft.rfft(x)
    spectrum[:, : int(LOWEST * x.shape[1] / sample_rate) + 1] = 0
    heard: Tensor = torch.fft.irfft(spectrum, x.shape[1])
    return heard
