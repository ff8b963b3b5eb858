"""The grids of hyper-parameters that rivals are searched over, and what came of a search.

They are seed 002's ("ML classifiers tuning"), which found them by ten-fold cross-validation; that
of logistic regression, which the seed has not, is that of its linear machine. Read without
scikit-learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mgr_cli.config import ON_CARDS

Values = dict[str, bool | int | float | str]

N_FOLDS = 10


@dataclass(frozen=True)
class Grid:
    """What is tried of a row.

    Attributes
    ----------
    tried : mapping
        From hyper-parameter to its values; all combinations are tried.
    fixed : mapping
        Hyper-parameters that differ from the defaults in all of them.
    """

    tried: Mapping[str, tuple[Any, ...]]
    fixed: Mapping[str, Any] = field(default_factory=dict)


_PENALTIES = {"c": (0.01, 0.1, 1.0, 10.0)}

GRIDS: Mapping[str, Grid] = {
    "linear-svc": Grid(_PENALTIES),
    "logistic-regression": Grid(_PENALTIES),
    "svc-rbf": Grid({**_PENALTIES, "gamma": (1e-2, 1e-3, 1e-4)}),
    "mlp": Grid(
        {"layers": ("512,256", "512,32", "512"), "alpha": (0.01, 0.03, 0.05)},
        {"learning_rate": 1e-4, "batch_size": 32, "early_stopping": True},
    ),
}
"""By name of the row."""


@dataclass(frozen=True)
class Candidate:
    """A point of a grid: its values, and the accuracy over the folds, mean and deviation."""

    values: Values
    accuracy: float
    deviation: float
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS


@dataclass(frozen=True)
class Search:
    """What came of a grid search.

    Attributes
    ----------
    n_folds : int
        Parts of the training tracks, each of which judged what was fitted to the others.
    candidates : tuple of Candidate
        In the order of the grid.
    """

    n_folds: int
    candidates: tuple[Candidate, ...]
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    @property
    def best(self) -> Candidate:
        """The candidate of the highest accuracy, the first where several have it."""
        return max(self.candidates, key=lambda candidate: candidate.accuracy)
