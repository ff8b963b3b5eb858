"""Bringing every band of features to mean 0 and standard deviation 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mgr_cli.config import ON_CARDS
from mgr_cli.plans import Kind

LARGEST = 1e12  # beyond, or below its inverse, float32 soon gives what is not finite
SMALLEST = 1e-6  # a band that moves less is taken for one that does not
ROUNDING = 1e-6  # a relative difference: less than float32 has, more than other processors make


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each band over the rows of the training split.

    A band is one of a log-mel's, or a column of a table of features; a waveform has one.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError("normalisation needs one mean and one standard deviation a band")
        if not all(abs(value) <= LARGEST for value in self.mean):
            raise ValueError(f"normalisation: means are -{LARGEST:.0e} to {LARGEST:.0e}")
        if not all(SMALLEST <= value <= LARGEST for value in self.std):
            raise ValueError(f"normalisation: deviations are {SMALLEST:.0e} to {LARGEST:.0e}")

    def apply(self, levels: np.ndarray) -> np.ndarray:
        """Subtract the mean and divide by the standard deviation, band by band.

        Parameters
        ----------
        levels : np.ndarray [shape=(..., n_bands, n_rows)]
            Not changed.
        """
        mean = np.asarray(self.mean, np.float32)[:, None]
        std = np.asarray(self.std, np.float32)[:, None]
        normalised: np.ndarray = (levels - mean) / std
        return normalised

    def resembles(self, other: "Normalisation") -> bool:
        """Tell whether two are the same but for the roundings of the machines they come from."""
        one, two = (np.array(each.mean + each.std) for each in (self, other))
        return one.shape == two.shape and np.allclose(one, two, rtol=ROUNDING, atol=ROUNDING)

    @property
    def whole(self) -> "Normalisation":
        """The same mean and deviation for all bands: those of all their values together."""
        mean, std = np.array(self.mean), np.array(self.std)
        deviation = float(np.sqrt((std**2 + mean**2).mean() - mean.mean() ** 2))
        return Normalisation((float(mean.mean()),) * len(mean), (deviation,) * len(std))


def identity(n_bands: int) -> Normalisation:
    """Make one that changes nothing."""
    return Normalisation((0.0,) * n_bands, (1.0,) * n_bands)


def alike(one: Mapping[Kind, Normalisation], two: Mapping[Kind, Normalisation]) -> bool:
    """Tell whether the same kinds of features are brought to the same scale."""
    return set(one) == set(two) and all(one[kind].resembles(two[kind]) for kind in one)
