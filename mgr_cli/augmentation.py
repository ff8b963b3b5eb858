"""What a recipe does to the segments of a training step.

=================  ==============================================================
log-mel            range, low-pass, transposition, equaliser, gain, noise, shift,
                   SpecAugment's masks
waveform           tempo and pitch, gain, noise, shift
one row a track    noise
=================  ==============================================================

Where a net takes a log-mel and a waveform of the same segment, both are shifted alike. Either
every segment is changed, or some changed copies are put beside it: seed 002 had two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mgr_cli import augment
from mgr_cli.config import FeatureSpec, Recipe
from mgr_cli.errors import TrainingError
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.plans import VECTORS, Kind
from mgr_cli.stretching import stretch


@dataclass(frozen=True)
class Levels:
    """What levels are in the units of normalised log-mels, each a Tensor [shape=(n_mels,)].

    Attributes
    ----------
    per_decibel : Tensor
        One decibel more.
    floor, ceiling : Tensor
        The lowest and the highest level that there is.
    """

    per_decibel: Tensor
    floor: Tensor
    ceiling: Tensor


class Augmentation:
    """Changes the segments of a batch as a recipe says, drawing from torch's generator.

    Parameters
    ----------
    recipe : Recipe
        Says how far.
    kinds : sequence of Kind
        What a batch holds.
    levels : Levels, optional
        Of the normalised log-mels, where there are any; see `levels_of`.

    Raises
    ------
    TrainingError
        If the recipe asks for what cannot be done to these kinds.
    """

    def __init__(self, recipe: Recipe, kinds: Sequence[Kind], levels: Levels | None = None) -> None:
        self._recipe = recipe
        self._kinds = tuple(kinds)
        self._levels = levels or Levels(*torch.tensor([[0.0], [-torch.inf], [0.0]]))
        asked = [name for name in _NEEDS if getattr(recipe, name)]
        for name in asked:
            if not set(self._kinds) <= set(_NEEDS[name]):
                raise TrainingError(
                    f"{name} is for {' and '.join(_NEEDS[name])} features, not for "
                    f"{' and '.join(self._kinds)}; leave it out of the recipe"
                )

    def __call__(
        self, inputs: tuple[Tensor, ...], labels: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Change a batch, or put changed copies of it behind it."""
        n_copies = self._recipe.copies
        if not n_copies:
            return self._changed(inputs), labels
        versions = [inputs, *(self._changed(inputs) for _ in range(n_copies))]
        return tuple(map(torch.cat, zip(*versions, strict=True))), labels.repeat(1 + n_copies)

    def _changed(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        recipe = self._recipe
        found = (self._louder(x, kind) for x, kind in zip(inputs, self._kinds, strict=True))
        noisy = tuple(augment.noise(x, level=recipe.noise) for x in found)
        if recipe.shift:
            noisy = augment.shift(noisy, share=recipe.shift)
        return tuple(
            augment.mask(x, frequency=recipe.frequency_mask, time=recipe.time_mask)
            if kind == "log-mel"
            else x
            for x, kind in zip(noisy, self._kinds, strict=True)
        )

    def _louder(self, x: Tensor, kind: Kind) -> Tensor:
        recipe = self._recipe
        if kind == "log-mel":
            return self._coloured(x)
        if kind in VECTORS:
            return x
        x = stretch(x, tempo=recipe.tempo, semitones=recipe.pitch)
        return augment.amplify(x, decibels=recipe.gain)

    def _coloured(self, x: Tensor) -> Tensor:
        recipe, levels = self._recipe, self._levels
        x = augment.stretch_range(
            x, share=recipe.dynamics, floor=levels.floor, ceiling=levels.ceiling
        )
        x = augment.transpose(x, share=recipe.transpose)
        x = augment.equalise(x, decibels=recipe.equalise, per_decibel=levels.per_decibel)
        x = augment.low_pass(x, share=recipe.low_pass, floor=levels.floor)
        return augment.gain(x, decibels=recipe.gain, per_decibel=levels.per_decibel)


_LEVELS: tuple[Kind, ...] = ("log-mel",)
_NEEDS: dict[str, tuple[Kind, ...]] = {
    "frequency_mask": ("log-mel", "waveform"),  # of a pair, the log-mel is masked
    "time_mask": ("log-mel", "waveform"),
    "gain": ("log-mel", "waveform"),
    "shift": ("log-mel", "waveform"),
    "dynamics": _LEVELS,  # of a pair, the waveform could not follow
    "low_pass": _LEVELS,
    "transpose": _LEVELS,
    "equalise": _LEVELS,
    "tempo": ("waveform",),
    "pitch": ("waveform",),
}


def levels_of(spec: FeatureSpec, normalisation: Normalisation) -> Levels:
    """Return what levels are in normalised log-mels.

    Where they were stretched to each track's own range, that is taken to be `top_db`.
    """
    mean, std = torch.tensor(normalisation.mean), torch.tensor(normalisation.std)
    lowest, highest = (0.0, 1.0) if spec.scale == "minmax" else (-spec.top_db, 0.0)
    unit = (highest - lowest) / spec.top_db
    return Levels(unit / std, (lowest - mean) / std, (highest - mean) / std)
