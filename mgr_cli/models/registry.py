"""What can be trained, read without importing torch: nets, and pipelines of scikit-learn.

A net takes one tensor for each kind of features that it eats, ``(batch, n_mels, n_frames)`` of
log-mels, ``(batch, n_samples)`` of waveforms, ``(batch, n_columns)`` of what is one row a track.
It has `forward` (logits), `embed` (one vector a segment) and `head`; it holds no front end, no
softmax and no I/O.
"""

import inspect
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mgr_cli.errors import ArchitectureError
from mgr_cli.models.rows import NETS, PIPELINES, Architecture, Rival
from mgr_cli.plans import VECTORS, Kind

if TYPE_CHECKING:  # torch is heavy, and this table is read at every start of the program
    from sklearn.pipeline import Pipeline
    from torch import nn

# Given by the data, never by the user.
DIMENSIONS = ("n_mels", "n_frames", "n_samples", "n_columns", "n_classes")
SEED = "seed"  # of what a pipeline draws when it is fitted

ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in NETS}
CLASSICAL: Mapping[str, Rival] = {row.name: row for row in PIPELINES}

DEFAULTS = ("short-chunk-resnet", "ffnn", "wave-cnn1d")
"""What is trained unless told otherwise: the first that eats what there is."""


def default_for(kinds: Collection[Kind]) -> str:
    """Name what is trained on some kinds of features unless told otherwise."""
    known = {"handcrafted" if kind in VECTORS else kind for kind in kinds}
    return next((name for name in DEFAULTS if set(find(name).eats) <= known), DEFAULTS[0])


def find(name: str) -> Architecture:
    """Look a net up.

    Raises
    ------
    ArchitectureError
        If there is none of that name; close names are offered.
    """
    check(name)
    if name not in ARCHITECTURES:
        raise ArchitectureError(f"{name} is fitted, not trained as a net is")
    return ARCHITECTURES[name]


def check(name: str) -> None:
    """Refuse a name that no row has.

    Raises
    ------
    ArchitectureError
        Close names are offered.
    """
    known = [*ARCHITECTURES, *CLASSICAL]
    if name in known:
        return
    close = get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
    raise ArchitectureError(f"unknown architecture {name!r}; {hint}")


def hyperparameters(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Complete an architecture's hyper-parameters with their defaults.

    Parameters
    ----------
    name : str
        Of the architecture.
    changes : mapping
        What differs from the defaults.

    Raises
    ------
    ArchitectureError
        If the architecture has no such hyper-parameter, or the value's type differs from
        the default's.
    """
    parameters = inspect.signature(_builder(name)).parameters
    values = {key: p.default for key, p in parameters.items() if key not in (*DIMENSIONS, SEED)}
    for key, value in changes.items():
        if key not in values:
            raise ArchitectureError(
                f"{name} has no hyper-parameter {key!r}; it has {', '.join(values)}"
            )
        kind = type(values[key])
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ArchitectureError(f"{name}: {key} is {value!r}, expected {kind.__name__}")
        values[key] = value
    return values


def build(
    name: str,
    dimensions: Mapping[str, int],
    *,
    n_classes: int,
    changes: Mapping[str, Any] | None = None,
) -> "nn.Module":
    """Make a net with fresh weights from torch's current generator.

    Parameters
    ----------
    name : str
        Of the architecture.
    dimensions : mapping
        Of a segment, by those names of `DIMENSIONS` that it has: `n_mels` and `n_frames`,
        `n_samples`, `n_columns`.
    n_classes : int
        Of its output.
    changes : mapping, optional
        Hyper-parameters that differ from the defaults.

    Raises
    ------
    ArchitectureError
        If the name or a hyper-parameter is unknown, a value is out of its range, or a
        dimension is missing.
    """
    row = find(name)
    values = hyperparameters(name, changes or {})
    builder = _builder(name)
    given = {**dimensions, "n_classes": n_classes}
    wanted = [key for key in inspect.signature(builder).parameters if key in DIMENSIONS]
    if not set(wanted) <= set(given):
        raise ArchitectureError(f"{name} eats {' and '.join(row.eats)}, nothing else")
    try:
        net: nn.Module = builder(**{key: given[key] for key in wanted}, **values)
    except ValueError as error:
        raise ArchitectureError(f"{name}: {error}") from error
    return net


def build_pipeline(name: str, *, seed: int, changes: Mapping[str, Any] | None = None) -> "Pipeline":
    """Make an unfitted pipeline of scikit-learn.

    Parameters
    ----------
    name : str
        Of a row of `CLASSICAL`.
    seed : int
        Of what it draws when it is fitted.
    changes : mapping, optional
        Hyper-parameters that differ from the defaults.

    Raises
    ------
    ArchitectureError
        If the name or a hyper-parameter is unknown, or a value is out of its range.
    """
    values = hyperparameters(name, changes or {})
    try:
        pipeline: Pipeline = _builder(name)(**values, seed=seed)
    except ValueError as error:
        raise ArchitectureError(f"{name}: {error}") from error
    return pipeline


def _builder(name: str) -> Any:
    check(name)
    row = ARCHITECTURES.get(name) or CLASSICAL[name]
    module, function = row.builder.split(":")
    return getattr(import_module(module), function)
