"""Activation maximisation: what a filter of a net looks for, drawn by the net itself.

The weights stay as they are, and the input is changed: from small noise around the mean of the
training split, step by step in the direction that makes one filter answer louder. What comes out
is no song, but what that filter would like a song to be. All filters of a layer are asked at a
time, each by a row of one batch, and no row knows of the others.

A *layer* is a convolution; they are counted from 1 in the order in which a segment passes them.
A block of a plain net holds one, and so a number counts blocks too:

============================================  =================================================
family                                        number n is the convolution of
============================================  =================================================
cnn1d, cnn2d and their -gru, -lstm;           block n
cnn-segment, kostrzewa, cnn-deep
wave-cnn1d                                    stage n
short-chunk-resnet                            the stem (1), then two of each residual block and
                                              the one of its short cut, where it has one
crnn, resnet2d                                three of each residual block, the short cut last
mm-crnn                                       the spectrogram encoder's, then the four stages of
                                              the waveform encoder
vit                                           its patches (1), and there is no other
============================================  =================================================

By its name, a batch norm, a ReLU, a pooling or a whole block can be asked too. What is maximised
is the *activation*: the mean over the filter's map of its positive part. Of a convolution it is
taken behind the batch norm that follows, as the ReLU would let it through; a mean of what is
negative too would be blind to edges, whose two sides cancel out. Below zero the gradient is a
tenth, so that a filter which sleeps at the start can wake up. One that has no gradient at all, or
that nothing has woken, is *dead*.

Without the priors of `priors` the picture would be a noise of single cells.

A convolution that steps over a waveform folds what is faster than its steps, and cannot tell it
from what is slower: its filters may ask for multiples of the rate of the steps, 11,025 Hz of every
fourth sample of 44,100 Hz, which no music need have.

A convolution is the same at each place, so long segments are cut to `FRAMES` or `SAMPLES`. Every
filter of mm-crnn hears one of its two inputs, and that one is maximised.

References
----------
D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing higher-layer features of a deep
network", technical report 1341, University of Montreal, 2009.
C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", Distill, 2017: the priors. Theirs
also work in the Fourier domain; ours do not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.config import N_FILTERS, SEED, FeatureSpec, Progress, silent
from mgr_cli.explanation import priors
from mgr_cli.explanation.layers import Layer
from mgr_cli.features.mel import hz_to_mel, mel_to_hz
from mgr_cli.plans import Kind
from mgr_cli.zoo.card import Card

N_STEPS = 192
FRAMES, SAMPLES = 128, 2**15  # of an input at the most
_RATE = 0.05  # of Adam, in standard deviations a step
_NOISE = 0.1  # standard deviation of the start, those of the training split being 1
_SLOPE = 0.1  # of the objective below zero
_JITTER = 8  # largest move in time, in frames or samples
_BLUR_EVERY = 8  # steps
_SHARP = 0.75  # share of the steps after which nothing is blurred any more


@dataclass(frozen=True)
class Filter:
    """How far a filter was excited.

    Attributes
    ----------
    number : int
        Of the filter in its layer, from 1.
    at_mean : float
        Activation by the mean of the training split.
    reached : float
        Activation by the input that was found.
    peak_hz : float or None
        Where the input stands out most from the mean, in Hz; None of a dead filter.
    dead : bool
        Whether nothing that was tried excites it.
    """

    number: int
    at_mean: float
    reached: float
    peak_hz: float | None
    dead: bool


@dataclass(frozen=True)
class Maximised:
    """What the filters of a layer look for.

    Attributes
    ----------
    layer : Layer
        Whose filters.
    kind : {"log-mel", "waveform"}
        What the inputs are.
    filters : tuple of Filter
        The first ones of the layer.
    inputs : np.ndarray [shape=(n_filters, n_mels, n_frames) or (n_filters, n_samples)]
        One a filter, in standard deviations of the training split from its mean, band by band.
    rate : float
        Frames, or samples, a second.
    """

    layer: Layer
    kind: Kind
    filters: tuple[Filter, ...]
    inputs: np.ndarray
    rate: float


class _ReachedError(Exception):
    """The layer has been passed; nothing behind it is needed."""


def maximise(
    net: nn.Module,
    card: Card,
    layer: Layer,
    *,
    n_filters: int = N_FILTERS,
    n_steps: int = N_STEPS,
    seed: int = SEED,
    device: str = "cpu",
    progress: Progress = silent,
) -> Maximised:
    """Find what excites the first filters of a layer.

    Parameters
    ----------
    net : nn.Module
        In evaluation mode, on the device; only its inputs are changed.
    card : Card
        Of its entry: how an input is made, and its normalisation.
    layer : Layer
        One of `layers.find`.
    n_filters : int
        How many, all of them at the most.
    n_steps : int
        Of gradient ascent.
    seed : int
        Of the noise at the start and of the moves in time.
    device : {"cpu", "cuda"}
        Where the net is.
    progress : callable
        Called after each step.
    """
    n = min(n_filters, layer.n_filters)
    generator = torch.Generator().manual_seed(seed)
    tap = _Tap(net, layer)
    means = _means(card, tap, n, device)
    place = tap.place(means)

    def maps(x: Tensor) -> Tensor:
        return tap.maps([*means[:place], x, *means[place + 1 :]])

    noise = _NOISE * torch.randn(means[place].shape, generator=generator)
    start, kind = noise.to(device), card.eats[place]
    x, awake = _ascended(start, maps, card, kind, generator, n_steps, progress)
    with torch.no_grad():
        at_mean, reached = (_pooled(maps(each).relu()).tolist() for each in (means[place], x))
    inputs = x.cpu().numpy()
    filters = tuple(
        Filter(number, low, high, peak if woken and high > 0 else None, not (woken and high > 0))
        for number, (low, high, peak, woken) in enumerate(
            zip(at_mean, reached, _peaks(inputs, card.features), awake, strict=True), start=1
        )
    )
    spec = card.features
    rate = spec.frame_rate if kind == "log-mel" else float(spec.sample_rate)
    return Maximised(layer, kind, filters, inputs, rate)


def _ascended(
    start: Tensor,
    maps: Callable[[Tensor], Tensor],
    card: Card,
    kind: Kind,
    generator: torch.Generator,
    n_steps: int,
    progress: Progress,
) -> tuple[Tensor, list[bool]]:
    """Change inputs until they excite their filters; tell too which ever had a gradient."""
    low, high = (bound.to(start.device) for bound in priors.bounds(card, kind))
    x = start.clamp(low, high).requires_grad_()
    adam = torch.optim.Adam([x], lr=_RATE)
    awake = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for step in range(n_steps):
        move = int(torch.randint(-_JITTER, _JITTER + 1, (), generator=generator))
        excited = _pooled(F.leaky_relu(maps(x.roll(move, dims=-1)), _SLOPE)).sum()
        (gradient,) = torch.autograd.grad(excited, x)
        awake |= gradient.flatten(1).any(dim=1)
        x.grad = priors.penalty(x.detach()) - priors.of_unit_size(gradient)
        adam.step()
        with torch.no_grad():
            if kind == "waveform":
                x.copy_(priors.audible(x, card.features.sample_rate))
            elif step % _BLUR_EVERY == 0 and step < _SHARP * n_steps:
                x.copy_(priors.blurred(x))
            x.clamp_(low, high)
        progress(step + 1, n_steps, "steps")
    return x.detach(), awake.tolist()


class _Tap:
    """Runs a net as far as a layer, and gives each row's own filter."""

    def __init__(self, net: nn.Module, layer: Layer) -> None:
        self._net = net
        self._module = net.get_submodule(layer.tap)

    def maps(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the map of filter i for row i, (n, …)."""
        seen: list[Tensor] = []

        def stop(_module: nn.Module, _given: object, output: Tensor) -> None:
            seen.append(output)
            raise _ReachedError

        handle = self._module.register_forward_hook(stop)
        try:
            self._net(*inputs)
        except _ReachedError:
            pass
        finally:
            handle.remove()
        own = torch.arange(len(seen[0]), device=seen[0].device)
        return seen[0][own, own]

    def place(self, inputs: Sequence[Tensor]) -> int:
        """Say which of a net's inputs the layer hears, the first of them."""
        probes = [each.clone().requires_grad_() for each in inputs]
        heard = torch.autograd.grad(self.maps(probes).sum(), probes, allow_unused=True)
        return next(place for place, each in enumerate(heard) if each is not None)


def _means(card: Card, tap: _Tap, n: int, device: str) -> list[Tensor]:
    """Make the mean input n times, as short as the net can be given it."""

    def made(*, at_most: tuple[int, int]) -> list[Tensor]:
        shapes = [
            (n, *shape[:-1], min(shape[-1], at_most[0] if len(shape) == 2 else at_most[1]))
            for shape in card.inputs.shapes
        ]
        return [torch.zeros(shape, device=device) for shape in shapes]

    short = made(at_most=(FRAMES, SAMPLES))
    try:
        tap.maps(short)
    except ValueError:  # of a net that takes segments of one length, as vit
        return made(at_most=(2**62, 2**62))
    return short


def _pooled(maps: Tensor) -> Tensor:
    return maps.flatten(1).mean(dim=1)


def _peaks(inputs: np.ndarray, spec: FeatureSpec) -> list[float]:
    """Say at which frequency each input stands out, in Hz."""
    if inputs.ndim == 2:
        spectrum = np.abs(np.fft.rfft(inputs * np.hanning(inputs.shape[1])))
        hertz = np.fft.rfftfreq(inputs.shape[1], 1 / spec.sample_rate)
        return [float(hertz[place]) for place in spectrum.argmax(axis=1)]
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))
    centres = mel_to_hz(np.linspace(low, high, spec.n_mels + 2))[1:-1]
    return [float(centres[place]) for place in inputs.mean(axis=2).argmax(axis=1)]
