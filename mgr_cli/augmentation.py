"""What a recipe does to the segments of a training step.

=================  ==============================================================
log-mel            gain, noise, shift, SpecAugment's masks
waveform           tempo and pitch, gain, noise, shift
one row a track    noise
=================  ==============================================================

Where a net takes a log-mel and a waveform of the same segment, both are shifted alike. Either
every segment is changed, or some changed copies are put beside it: seed 002 had two.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mgr_cli import augment
from mgr_cli.config import FeatureSpec, Recipe
from mgr_cli.errors import TrainingError
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.plans import VECTORS, Kind
from mgr_cli.stretching import stretch


class Augmentation:
    """Changes the segments of a batch as a recipe says, drawing from torch's generator.

    Parameters
    ----------
    recipe : Recipe
        Says how far.
    kinds : sequence of Kind
        What a batch holds.
    per_decibel : Tensor, optional
        What a decibel is in each band of the normalised log-mels; see `decibels`.

    Raises
    ------
    TrainingError
        If the recipe asks for what cannot be done to these kinds.
    """

    def __init__(
        self, recipe: Recipe, kinds: Sequence[Kind], per_decibel: Tensor | None = None
    ) -> None:
        self._recipe = recipe
        self._kinds = tuple(kinds)
        self._per_decibel = torch.zeros(1) if per_decibel is None else per_decibel
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
            return augment.gain(x, decibels=recipe.gain, per_decibel=self._per_decibel)
        if kind in VECTORS:
            return x
        x = stretch(x, tempo=recipe.tempo, semitones=recipe.pitch)
        return augment.amplify(x, decibels=recipe.gain)


_NEEDS: dict[str, tuple[Kind, ...]] = {
    "frequency_mask": ("log-mel", "waveform"),  # of a pair, the log-mel is masked
    "time_mask": ("log-mel", "waveform"),
    "gain": ("log-mel", "waveform"),
    "shift": ("log-mel", "waveform"),
    "tempo": ("waveform",),
    "pitch": ("waveform",),
}


def decibels(spec: FeatureSpec, normalisation: Normalisation) -> Tensor:
    """Return what a decibel is in each band of normalised log-mels [shape=(n_mels,)].

    Where levels were stretched to each track's own range, that is taken to be `top_db`.
    """
    unit = 1.0 if spec.scale == "decibel" else 1.0 / spec.top_db
    return unit / torch.tensor(normalisation.std)
