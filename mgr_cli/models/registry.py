"""The table of architectures, read without importing torch.

A net takes ``(batch, n_mels, n_frames)`` and has `forward` (logits), `embed` (one vector a
segment) and `head`; it holds no front end, no softmax and no I/O.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mgr_cli.config import Recipe
from mgr_cli.errors import ArchitectureError

if TYPE_CHECKING:  # torch is heavy, and this table is read at every start of the program
    from torch import nn

DIMENSIONS = ("n_mels", "n_classes")  # given by the data, never by the user


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes
    ----------
    name : str
        What people type after ``--arch``.
    builder : str
        ``module:function`` that makes the net; its keyword arguments are the
        hyper-parameters.
    eats : str
        Kind of features.
    recipe : Recipe
        How it is trained unless told otherwise.
    summary, source : str
        One line each.
    """

    name: str
    builder: str
    eats: str
    recipe: Recipe
    summary: str
    source: str


_HYBRID = Recipe(
    epochs=60, learning_rate=1e-3, weight_decay=1e-2, label_smoothing=0.1,
    mixup=0.3, frequency_mask=0.2, time_mask=0.2,
)  # fmt: skip
_RESIDUAL = Recipe(
    epochs=70, learning_rate=3e-3, weight_decay=2e-2, schedule="onecycle", patience=70,
    label_smoothing=0.1, mixup=0.4, frequency_mask=0.25, time_mask=0.25, ema=0.99,
)  # fmt: skip

_ROWS = (
    Architecture(
        "cnn1d-gru", "mgr_cli.models.hybrid:cnn1d_gru", "log-mel", _HYBRID,
        "convolution over time, then a GRU, global pooling", "seed 000",
    ),
    Architecture(
        "cnn1d-lstm", "mgr_cli.models.hybrid:cnn1d_lstm", "log-mel", _HYBRID,
        "convolution over time, then an LSTM, global pooling", "seed 000",
    ),
    Architecture(
        "cnn2d-gru", "mgr_cli.models.hybrid:cnn2d_gru", "log-mel", _HYBRID,
        "convolution over time and frequency, then a GRU", "seed 000",
    ),
    Architecture(
        "cnn2d-lstm", "mgr_cli.models.hybrid:cnn2d_lstm", "log-mel", _HYBRID,
        "convolution over time and frequency, then an LSTM", "seed 000",
    ),
    Architecture(
        "short-chunk-resnet", "mgr_cli.models.residual:short_chunk_resnet", "log-mel", _RESIDUAL,
        "small residual net over short segments, mean and max pooling",
        "after Won et al., SMC 2020 (short-chunk CNN + Res)",
    ),
)  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}


def find(name: str) -> Architecture:
    """Look an architecture up.

    Raises
    ------
    ArchitectureError
        If there is none of that name; close names are offered.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    close = get_close_matches(name, ARCHITECTURES, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(ARCHITECTURES)}"
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
    values = {key: p.default for key, p in parameters.items() if key not in DIMENSIONS}
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
    name: str, *, n_mels: int, n_classes: int, changes: Mapping[str, Any] | None = None
) -> "nn.Module":
    """Make a net with fresh weights from torch's current generator.

    Parameters
    ----------
    name : str
        Of the architecture.
    n_mels, n_classes : int
        Bands of its input, classes of its output.
    changes : mapping, optional
        Hyper-parameters that differ from the defaults.

    Raises
    ------
    ArchitectureError
        If the name or a hyper-parameter is unknown, or a value is out of its range.
    """
    values = hyperparameters(name, changes or {})
    try:
        net: nn.Module = _builder(name)(n_mels=n_mels, n_classes=n_classes, **values)
    except ValueError as error:
        raise ArchitectureError(f"{name}: {error}") from error
    return net


def _builder(name: str) -> Any:
    module, function = find(name).builder.split(":")
    return getattr(import_module(module), function)
