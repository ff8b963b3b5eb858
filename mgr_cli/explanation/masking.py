"""Taking parts of a sound away, on the grid of its picture.

Whatever an entry hears, one mask says what of it is left: a number for each mel band and frame of
a segment, 1 where the sound is as it is and 0 where nothing is. `Masked` is an entry that is asked
so, and all that explains songs asks through it.

====================  ===========================================================================
the entry takes       what is masked, and what stands where the mask is 0
====================  ===========================================================================
log-mel               the levels; the mean of the band over the training split, which is 0 once
                      they are normalised; of a borrowed net, that takes them as they are, the
                      mean over the part that is explained
waveform              the complex short-time spectrum, from which the waveform is made again:
                      silence
both                  both, by the same mask
handcrafted           the same spectrum, of the waveform that the features are computed of
====================  ===========================================================================

From mel bands and frames to the bins and steps of a spectrum a mask is interpolated, see
`interpolation`. A mask of ones gives the waveform back but for rounding.

A song that does not fill a segment is repeated to fill it, and its mask with it, so that all copies
of a cell are taken away together: log-mels go on with the song's first frame after its last, and
waveforms with its first sample, which need not be at the same time.

A net answers with logits. What has none, a pipeline, answers with the logarithms of its
probabilities; those below `LEAST` count as that, for some vote and give exactly 0.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation.interpolation import bands_of, frames_of
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.zoo.weights import Score

LEAST = 1e-4  # a probability that is not told from 0; its logarithm is -9.2
OVERLAP = 4  # windows of the spectrum that cover a sample


class Levels(nn.Module):
    """Masks log-mels.

    Parameters
    ----------
    baseline : np.ndarray [shape=(n_mels,)], optional
        Level of each band where nothing is left; 0 by default, the mean of normalised ones.
    """

    baseline: Tensor

    def __init__(self, baseline: np.ndarray | None = None) -> None:
        super().__init__()
        levels = np.zeros(1) if baseline is None else baseline
        self.register_buffer("baseline", torch.from_numpy(levels.astype(np.float32))[:, None])

    def forward(self, levels: Tensor, masks: Tensor) -> Tensor:
        """Map levels (batch, n_mels, n_frames) and masks, of as many frames or fewer, to levels."""
        n_frames, n_given = levels.shape[-1], masks.shape[-1]
        if n_given < n_frames:
            masks = masks[..., torch.arange(n_frames, device=masks.device) % n_given]
        masked: Tensor = self.baseline + masks * (levels - self.baseline)
        return masked


class Waves(nn.Module):
    """Masks waveforms, by their complex short-time spectrum.

    Parameters
    ----------
    spec : FeatureSpec
        Front end of the picture that masks lie on; its `n_fft` is the spectrum's too.
    n_frames : int
        Of the masks.
    n_samples : int
        Of a waveform.
    sample_rate : int
        Of the waveforms, in Hz.
    normalisation : Normalisation
        That they have been through.
    period : int, optional
        Samples after which they begin again, and masks with them.
    """

    window: Tensor

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        n_frames: int,
        n_samples: int,
        sample_rate: int,
        normalisation: Normalisation,
        period: int | None = None,
    ) -> None:
        super().__init__()
        self._n_fft, self._n_samples = spec.n_fft, n_samples
        self._hop = spec.n_fft // OVERLAP
        (self._mean,), (self._std,) = normalisation.mean, normalisation.std
        self.register_buffer("window", torch.hann_window(spec.n_fft))
        times = np.arange(1 + n_samples // self._hop) * self._hop % (period or np.inf) / sample_rate
        self._bands = bands_of(np.fft.rfftfreq(spec.n_fft, 1 / sample_rate), spec)
        self._frames = frames_of(times, spec, n_frames)

    def forward(self, waveforms: Tensor, masks: Tensor) -> Tensor:
        """Map (batch, n_samples) and masks (batch, n_mels, n_frames) to (batch, n_samples)."""
        gains = self._frames.columns(self._bands.rows(masks))
        spectrum = torch.stft(
            waveforms * self._std + self._mean, self._n_fft, self._hop, window=self.window,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        n_steps = spectrum.shape[-1]
        masked = torch.istft(
            spectrum * gains[..., :n_steps], self._n_fft, self._hop, window=self.window,
            length=self._n_samples,
        )  # fmt: skip
        return (masked - self._mean) / self._std


class LogProbs(nn.Module):
    """What gives no more than probabilities, as if it gave logits; it has no gradients."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self._score = score

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map what a model takes of n segments to (n, n_classes), at least log `LEAST`."""
        probs = self._score(tuple(x.detach().cpu().numpy() for x in inputs))
        logs = np.log(np.maximum(probs, LEAST)).astype(np.float32)
        return torch.from_numpy(logs).to(inputs[0].device)


class Masked(nn.Module):
    """An entry that is asked about segments of which only a part is left.

    Parameters
    ----------
    model : nn.Module
        A net, or `LogProbs`.
    hiders : sequence of nn.Module
        What masks each kind that it takes.
    shape : tuple of int
        Mel bands and frames of a mask.
    n_frames : int, optional
        Of a segment, where they are more than those of a mask, for it is repeated as a track is
        that does not fill a segment.
    at_once : int
        Segments that it is given at a time.
    asked : callable
        Called with the number of segments whenever it was asked.

    Attributes
    ----------
    has_gradients : bool
        Whether the model is a net.
    """

    def __init__(
        self,
        model: nn.Module,
        hiders: tuple[nn.Module, ...],
        *,
        shape: tuple[int, int],
        n_frames: int | None = None,
        at_once: int = 1,
        asked: Callable[[int], None] = lambda n: None,
    ) -> None:
        super().__init__()
        self.model = model
        self.hiders = nn.ModuleList(hiders)
        self.shape, self.at_once = shape, at_once
        self.n_frames = shape[1] if n_frames is None else n_frames
        self.has_gradients = not isinstance(model, LogProbs)
        self._asked = asked

    def forward(self, masks: Tensor, *inputs: Tensor) -> Tensor:
        """Map masks (batch, n_mels, n_frames) and what the entry takes to (batch, n_classes)."""
        self._asked(len(masks))
        logits: Tensor = self.model(*self.hidden(masks, *inputs))
        return logits

    def hidden(self, masks: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return what the entry is given, one tensor a kind."""
        return tuple(hide(x, masks) for hide, x in zip(self.hiders, inputs, strict=True))

    def logits(self, masks: Tensor, *inputs: Tensor) -> np.ndarray:
        """Return what `forward` does of any number of segments, (n, n_classes)."""
        with torch.inference_mode():
            found = [
                self(*(x[first : first + self.at_once] for x in (masks, *inputs))).cpu().numpy()
                for first in range(0, len(masks), self.at_once)
            ]
        return np.concatenate(found).astype(np.float64)

    def probs(self, masks: Tensor, *inputs: Tensor) -> np.ndarray:
        """Return probabilities (n, n_classes), those that the entry gives segments."""
        probs: np.ndarray = softmax(self.logits(masks, *inputs), axis=1)
        return probs
