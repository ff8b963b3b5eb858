"""The table of architectures, read without importing torch.

A net takes one tensor for each kind of features that it eats, ``(batch, n_mels, n_frames)`` of
log-mels, ``(batch, n_samples)`` of waveforms, ``(batch, n_columns)`` of what is one row a track.
It has `forward` (logits), `embed` (one vector a segment) and `head`; it holds no front end, no
softmax and no I/O.
"""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mgr_cli.config import SEGMENTS, Recipe, SegmentSpec
from mgr_cli.errors import ArchitectureError
from mgr_cli.plans import VECTORS, Kind

if TYPE_CHECKING:  # torch is heavy, and this table is read at every start of the program
    from torch import nn

# Given by the data, never by the user.
DIMENSIONS = ("n_mels", "n_frames", "n_samples", "n_columns", "n_classes")


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes
    ----------
    name : str
        What people type after ``--arch``.
    builder : str
        ``module:function`` that makes the net. Its keyword arguments are the dimensions of the
        data (`n_frames` only where the net takes segments of one length) and the
        hyper-parameters.
    eats : tuple of str
        Kinds of features, one for each tensor that the net takes.
    recipe : Recipe
        How it is trained unless told otherwise.
    segments : SegmentSpec or None
        What it hears at a time, unless told otherwise; None where that is the track.
    summary, source : str
        One line each.
    """

    name: str
    builder: str
    eats: tuple[Kind, ...]
    recipe: Recipe
    summary: str
    source: str
    segments: SegmentSpec | None = SEGMENTS


_LEVELS: tuple[Kind, ...] = ("log-mel",)

# Seed 000: Adam with weight decay, ReduceLROnPlateau, 30 epochs; the masks are its "data
# augmentation", of which it says no more.
_HYBRID = Recipe(
    epochs=30, optimizer="adam", learning_rate=1e-3, weight_decay=1e-4, schedule="plateau",
    frequency_mask=0.2, time_mask=0.2,
)  # fmt: skip
_RESIDUAL = Recipe(
    epochs=70, learning_rate=3e-3, weight_decay=2e-2, schedule="onecycle", patience=70,
    label_smoothing=0.1, mixup=0.4, frequency_mask=0.25, time_mask=0.25, ema=0.99,
)  # fmt: skip

# What a seed's document does not say (all but the optimiser's kind, mostly) is ours.
_SEGMENT = Recipe(optimizer="sgd", learning_rate=1e-2, weight_decay=1e-3)
_KOSTRZEWA = Recipe(
    optimizer="adam", batch_size=32, weight_decay=0.0, schedule="constant", patience=10
)
_DEEP = Recipe(
    optimizer="adam", batch_size=32, learning_rate=3e-4, weight_decay=0.0, schedule="plateau"
)  # fmt: skip
_RECURRENT = Recipe(optimizer="adam", weight_decay=1e-4)
_WAVE = replace(_RECURRENT, batch_size=16)
_FEATURES = Recipe(
    epochs=200, batch_size=32, optimizer="adam", learning_rate=1e-4, weight_decay=0.0,
    schedule="constant", patience=3,
)  # fmt: skip
_TRANSFORMER = Recipe(
    learning_rate=3e-4, weight_decay=5e-2, label_smoothing=0.1,
    mixup=0.3, frequency_mask=0.2, time_mask=0.2,
)  # fmt: skip
_CROP = SegmentSpec(seconds=2**19 / 44_100, hop_seconds=2**19 / 44_100)  # 2^19 samples: 11.9 s
_TRACK = SegmentSpec(seconds=29.72, hop_seconds=29.72)  # 1,280 frames of 512 samples at 22,050 Hz
_CLIP = SegmentSpec(seconds=30.0, hop_seconds=30.0)  # 1,292 of them

_ROWS = (
    Architecture(
        "cnn1d", "mgr_cli.models.hybrid:cnn1d", _LEVELS, _HYBRID,
        "convolution over time, global pooling", "seed 000, without its RNN",
    ),
    Architecture(
        "cnn1d-gru", "mgr_cli.models.hybrid:cnn1d_gru", _LEVELS, _HYBRID,
        "convolution over time, then a GRU, global pooling", "seed 000",
    ),
    Architecture(
        "cnn1d-lstm", "mgr_cli.models.hybrid:cnn1d_lstm", _LEVELS, _HYBRID,
        "convolution over time, then an LSTM, global pooling", "seed 000",
    ),
    Architecture(
        "cnn2d", "mgr_cli.models.hybrid:cnn2d", _LEVELS, _HYBRID,
        "convolution over time and frequency, global pooling", "seed 000, without its RNN",
    ),
    Architecture(
        "cnn2d-gru", "mgr_cli.models.hybrid:cnn2d_gru", _LEVELS, _HYBRID,
        "convolution over time and frequency, then a GRU", "seed 000",
    ),
    Architecture(
        "cnn2d-lstm", "mgr_cli.models.hybrid:cnn2d_lstm", _LEVELS, _HYBRID,
        "convolution over time and frequency, then an LSTM", "seed 000",
    ),
    Architecture(
        "cnn-segment", "mgr_cli.models.plain:cnn_segment", _LEVELS, _SEGMENT,
        "four plain convolutions over short segments, global mean", "seed 001",
    ),
    Architecture(
        "kostrzewa", "mgr_cli.models.plain:kostrzewa", _LEVELS, _KOSTRZEWA,
        "four 5 × 5 convolutions over a whole clip, one dense layer",
        "seed 002, after Kostrzewa et al., ICCS 2021", _TRACK,
    ),
    Architecture(
        "resnet2d", "mgr_cli.models.crnn:resnet2d", _LEVELS, _RECURRENT,
        "four residual blocks down to one band, global pooling, perceptron",
        "seed 003, 2-D CNN", _CROP,
    ),
    Architecture(
        "crnn", "mgr_cli.models.crnn:crnn", _LEVELS, _RECURRENT,
        "the same residual blocks, then an LSTM's last output", "seed 003, CRNN", _CROP,
    ),
    Architecture(
        "mm-crnn", "mgr_cli.models.crnn:mm_crnn", ("log-mel", "waveform"), _WAVE,
        "that encoder and the one of wave-cnn1d side by side, then an LSTM's last output",
        "seed 003, MM-CRNN", _CROP,
    ),
    Architecture(
        "wave-cnn1d", "mgr_cli.models.crnn:wave_cnn1d", ("waveform",), _WAVE,
        "four stages of strided convolution over samples, global pooling, perceptron",
        "seed 003, 1-D CNN", _CROP,
    ),
    Architecture(
        "ffnn", "mgr_cli.models.feedforward:ffnn", ("handcrafted",), _FEATURES,
        "dense layers over the 518 features, or a table of others", "seed 002, FFNN", None,
    ),
    Architecture(
        "cnn-deep", "mgr_cli.models.plain:cnn_deep", _LEVELS, _DEEP,
        "seven 3 × 3 convolutions over a whole clip, two dense layers", "seed 004", _CLIP,
    ),
    Architecture(
        "vit", "mgr_cli.models.transformer:vit", _LEVELS, _TRANSFORMER,
        "transformer encoder over square patches, class token",
        "seed 004, after Dosovitskiy et al., ICLR 2021",
    ),
    Architecture(
        "short-chunk-resnet", "mgr_cli.models.residual:short_chunk_resnet", _LEVELS, _RESIDUAL,
        "small residual net over short segments, mean and max pooling",
        "after Won et al., SMC 2020 (short-chunk CNN + Res)",
    ),
)  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}


DEFAULTS = ("short-chunk-resnet", "ffnn", "wave-cnn1d")
"""What is trained unless told otherwise: the first that eats what there is."""


def default_for(kinds: Collection[Kind]) -> str:
    """Name what is trained on some kinds of features unless told otherwise."""
    known = {"handcrafted" if kind in VECTORS else kind for kind in kinds}
    return next((name for name in DEFAULTS if set(find(name).eats) <= known), DEFAULTS[0])


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


def takes_one_length(name: str) -> bool:
    """Tell whether an architecture's nets take segments of the length they were made for alone."""
    return "n_frames" in inspect.signature(_builder(name)).parameters


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
    values = hyperparameters(name, changes or {})
    builder = _builder(name)
    given = {**dimensions, "n_classes": n_classes}
    wanted = [key for key in inspect.signature(builder).parameters if key in DIMENSIONS]
    if not set(wanted) <= set(given):
        raise ArchitectureError(f"{name} eats {' and '.join(find(name).eats)}, nothing else")
    try:
        net: nn.Module = builder(**{key: given[key] for key in wanted}, **values)
    except ValueError as error:
        raise ArchitectureError(f"{name}: {error}") from error
    return net


def _builder(name: str) -> Any:
    module, function = find(name).builder.split(":")
    return getattr(import_module(module), function)
