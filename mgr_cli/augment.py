"""Changing a batch of segments so that a net sees none of them twice.

A batch holds waveforms, (batch, n_samples), or log-mels, (batch, n_mels, n_frames). Log-mels
are normalised, so that a masked value, 0, is the mean of its band. Each segment draws its own
numbers, from torch's current generator, as torchaudio's masks do; who wants the same result
again seeds it. The input is left as it was, the result has its shape and dtype, and an
option of 0 changes nothing and draws nothing.

References
----------
D. S. Park et al., "SpecAugment", Interspeech 2019, section 2 (one mask an axis here).
H. Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018, equation 1.
H. Nam, S.-H. Kim, Y.-H. Park, "FilterAugment: An acoustic environmental data augmentation
method", ICASSP 2022, section 2.2 (the linear type; its knots lie evenly here).
"""

import torch
import torchaudio.functional as AF
from torch import Tensor
from torch.nn import functional as F

TIME_AXIS, FREQUENCY_AXIS = 3, 2
KNOTS = 6  # of an equaliser's curve


def mask(x: Tensor, *, frequency: float, time: float) -> Tensor:
    """Hide a stripe of bands and a stripe of frames in each segment.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
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


def mixup(
    inputs: tuple[Tensor, ...], targets: Tensor, *, alpha: float
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Blend each segment, and its target, with another one of the batch.

    Parameters
    ----------
    inputs : tuple of Tensor [shape=(batch, ...)]
        Forms of the same segments, all blended alike.
    targets : Tensor [shape=(batch, n_classes)]
        Probabilities.
    alpha : float
        Of Beta(alpha, alpha), from which each segment's own share is drawn.
    """
    if alpha == 0:
        return inputs, targets
    share = torch.distributions.Beta(alpha, alpha).sample((len(targets),))
    other = torch.randperm(len(targets), device=targets.device)
    *mixed, mixed_targets = (
        torch.lerp(x[other], x, _beside(share.to(x), x)) for x in (*inputs, targets)
    )
    return tuple(mixed), mixed_targets


def gain(x: Tensor, *, decibels: float, per_decibel: Tensor) -> Tensor:
    """Make each log-mel louder or softer, all its bands by the same decibels.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
    decibels : float
        Bound of the change, which is uniform up to it on both sides.
    per_decibel : Tensor [shape=(n_mels,)]
        What one decibel is in each band's normalised units.
    """
    if decibels == 0:
        return x
    return x + _uniform(x, -decibels, decibels) * per_decibel.to(x)[:, None]


def equalise(x: Tensor, *, decibels: float, per_decibel: Tensor) -> Tensor:
    """Colour each log-mel by a curve over frequency, as rooms, microphones and masterings do.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
    decibels : float
        Bound of the change at six bands that lie evenly; uniform up to it on both sides, and
        straight lines between them.
    per_decibel : Tensor [shape=(n_mels,)]
        What one decibel is in each band's normalised units.
    """
    if decibels == 0:
        return x
    knots = x.new_empty(len(x), 1, KNOTS).uniform_(-decibels, decibels)
    curve = F.interpolate(knots, x.shape[1], mode="linear", align_corners=True)
    return x + (curve * per_decibel.to(x)).transpose(1, 2)


def transpose(x: Tensor, *, share: float) -> Tensor:
    """Move each log-mel up or down in frequency; the band at the edge fills what is left empty.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
    share : float
        Bound of the way as a share of the bands; uniform over the whole numbers of bands up to
        it and with it, on both sides.
    """
    n_mels = x.shape[1]
    furthest = round(share * n_mels)
    if furthest == 0:
        return x
    ways = torch.randint(-furthest, furthest + 1, (len(x), 1), device=x.device)
    origins = (torch.arange(n_mels, device=x.device) + ways).clamp(0, n_mels - 1)
    return x.gather(1, origins.unsqueeze(2).expand_as(x))


def stretch_range(x: Tensor, *, share: float, floor: Tensor, ceiling: Tensor) -> Tensor:
    """Rescale each log-mel about its ceiling, as min-max scaling does where the lowest level moves.

    A file of another rate, or another codec, has another lowest level than the same music had;
    scaled to its own range, all its levels differ then by one factor.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
    share : float
        The distance from the ceiling is multiplied by what is uniform in [1 - share, 1 + share];
        what falls below the floor is lifted to it.
    floor, ceiling : Tensor [shape=(n_mels,)]
        The lowest and the highest level, in each band's normalised units.
    """
    if share == 0:
        return x
    top = ceiling.to(x)[:, None]
    return torch.maximum(top - (top - x) * _uniform(x, 1 - share, 1 + share), floor.to(x)[:, None])


def low_pass(x: Tensor, *, share: float, floor: Tensor) -> Tensor:
    """Empty the highest bands of about every second log-mel, as codecs and resamplers do.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_mels, n_frames)]
    share : float
        Bound of how many, as a share of the bands; uniform over the whole numbers up to it.
    floor : Tensor [shape=(n_mels,)]
        The lowest level, in each band's normalised units.
    """
    n_mels = x.shape[1]
    most = round(share * n_mels)
    if most == 0:
        return x
    widths = torch.randint(1, most + 1, (len(x), 1, 1), device=x.device)
    widths = widths * (torch.rand(len(x), 1, 1, device=x.device) < 0.5)
    emptied = torch.arange(n_mels, device=x.device)[:, None] >= n_mels - widths
    return torch.where(emptied, floor.to(x)[:, None], x)


def amplify(x: Tensor, *, decibels: float) -> Tensor:
    """Make each waveform louder or softer; what leaves [-1, 1] is not clipped.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_samples)]
    decibels : float
        Bound of the change, which is uniform up to it on both sides.
    """
    if decibels == 0:
        return x
    return x * 10 ** (_uniform(x, -decibels, decibels) / 20)


def noise(x: Tensor, *, level: float) -> Tensor:
    """Add white Gaussian noise, weaker to some segments and stronger to others.

    Parameters
    ----------
    x : Tensor [shape=(batch, ...)]
    level : float
        Bound of the noise's standard deviation, in the units of `x`; uniform from 0.
    """
    if level == 0:
        return x
    return x + _uniform(x, 0.0, level) * torch.randn_like(x)


def shift(inputs: tuple[Tensor, ...], *, share: float) -> tuple[Tensor, ...]:
    """Move each segment in time; what leaves it at one end enters at the other.

    Parameters
    ----------
    inputs : tuple of Tensor [shape=(batch, ..., n_samples or n_frames)]
        Forms of the same segments, all moved alike: by whole steps of the shortest.
    share : float
        Bound of the way as a share of the last axis; uniform over the whole numbers of steps
        up to it and with it, on both sides.
    """
    n_steps = min(x.shape[-1] for x in inputs)
    furthest = round(share * n_steps)
    if furthest == 0:
        return inputs
    ways = torch.randint(-furthest, furthest + 1, (len(inputs[0]),), device=inputs[0].device)
    return tuple(_rolled(x, ways * x.shape[-1] // n_steps) for x in inputs)


def _rolled(x: Tensor, ways: Tensor) -> Tensor:
    """Roll each segment along its last axis, by its own way."""
    length = x.shape[-1]
    origins = (torch.arange(length, device=x.device) - _beside(ways, x)) % length
    return x.gather(-1, origins.expand_as(x))


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """Draw a number for each segment."""
    return _beside(x.new_empty(len(x)).uniform_(low, high), x)


def _beside(values: Tensor, x: Tensor) -> Tensor:
    """Shape (batch,) so that each value meets its whole segment."""
    return values.reshape(-1, *[1] * (x.ndim - 1))
