"""What can be trained, read without importing torch: nets, and pipelines of scikit-learn.

Such a pipeline, a rival, eats features as they are, or what a borrowed net makes of them.

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
from mgr_cli.models.grids import GRIDS
from mgr_cli.models.rows import BACKBONES, NETS, PIPELINES, Architecture, Borrowed, Rival
from mgr_cli.plans import VECTORS, Kind

if TYPE_CHECKING:  # torch is heavy, and this table is read at every start of the program
    from sklearn.pipeline import Pipeline
    from torch import nn

# Given by the data, never by the user.
DIMENSIONS = ("n_mels", "n_frames", "fmin", "fmax", "n_samples", "n_columns", "n_classes")
SEED = "seed"  # of what a pipeline draws when it is fitted

ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in NETS}
CLASSICAL: Mapping[str, Rival] = {row.name: row for row in PIPELINES}
BORROWED: Mapping[str, Borrowed] = {row.name: row for row in BACKBONES}
ENCODER = "hf"  # the one whose weights and settings lie in a folder
CLASSIFIER = "classifier"  # of a borrowed net: the rival whose hyper-parameters it has too

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
    known = [*ARCHITECTURES, *CLASSICAL, *BORROWED]
    if name in known:
        return
    close = get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
    raise ArchitectureError(f"unknown architecture {name!r}; {hint}")


def hyperparameters(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Complete an architecture's hyper-parameters with their defaults.

    A borrowed net has `cut`, `pca` and `classifier`, and those of this rival.

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
    values = defaults(name, changes.get(CLASSIFIER))
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


def defaults(name: str, classifier: object = None) -> dict[str, Any]:
    """Return the defaults of all hyper-parameters.

    Parameters
    ----------
    name : str
        Of the architecture.
    classifier : str, optional
        Of a borrowed net: the rival that is asked for.

    Raises
    ------
    ArchitectureError
        If the name is unknown, or the rival.
    """
    check(name)
    if name not in BORROWED:
        parameters = inspect.signature(builder_of(name)).parameters
        return {key: p.default for key, p in parameters.items() if key not in (*DIMENSIONS, SEED)}
    row = BORROWED[name]
    rival = row.classifier if classifier is None else classifier
    if rival not in CLASSICAL:
        raise ArchitectureError(
            f"{name}: {CLASSIFIER} is {rival!r}, expected one of {', '.join(CLASSICAL)}"
        )
    values = defaults(str(rival), None)
    if rival in GRIDS:
        values |= GRIDS[str(rival)].fixed
    return {"cut": row.cuts[0], "pca": row.pca, CLASSIFIER: rival, **values}


def is_fitted(name: str) -> bool:
    """Tell whether an architecture is fitted by scikit-learn, not trained as a net is."""
    return name in CLASSICAL or name in BORROWED


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
        Of a segment, by those names of `DIMENSIONS` that it has: `n_mels`, `n_frames`, and
        `fmin` and `fmax`, the edges of the bands in Hz; `n_samples`; `n_columns`.
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
    builder = builder_of(name)
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
        Of a row of `CLASSICAL` or `BORROWED`, whose pipeline begins behind the net.
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
        if name not in BORROWED:
            pipeline: Pipeline = builder_of(name)(**values, seed=seed)
            return pipeline
        from mgr_cli.models.classical import reduced

        share, rival = values["pca"], values[CLASSIFIER]
        own = {key: values[key] for key in defaults(rival, None)}
        return reduced(build_pipeline(rival, seed=seed, changes=own), share)
    except ValueError as error:
        raise ArchitectureError(f"{name}: {error}") from error


def build_backbone(name: str, *, cut: str, settings: str, sample_rate: int) -> "nn.Module":
    """Make a borrowed net up to a layer, in evaluation mode, with weights of torch's generator.

    Parameters
    ----------
    name : str
        Of a row of `BORROWED`.
    cut : str
        The layer.
    settings : str
        Of an encoder, see `models.encoders`; empty of others.
    sample_rate : int
        Of the waveforms that it will be given, where it eats any.

    Raises
    ------
    ArchitectureError
        If the name is unknown, there is no such layer, or the settings are none.
    """
    check(name)
    given = {"cut": cut, "settings": settings, "sample_rate": sample_rate}
    try:
        builder = builder_of(name)
        wanted = inspect.signature(builder).parameters
        net: nn.Module = builder(**{key: given[key] for key in wanted})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ArchitectureError(f"{name}: {said}") from error
    return net.eval().requires_grad_(False)


def builder_of(name: str) -> Any:
    """Import the function that makes an architecture, whose name is known.

    Raises
    ------
    ArchitectureError
        If it is made with a package that is not installed.
    """
    row = ARCHITECTURES.get(name) or CLASSICAL.get(name) or BORROWED[name]
    module, function = row.builder.split(":")
    try:
        return getattr(import_module(module), function)
    except ImportError as error:
        raise ArchitectureError(
            f"{name} needs a package that is not installed ({error}); "
            f"run `pip install 'mgr-cli[{name}]'`"
        ) from error
