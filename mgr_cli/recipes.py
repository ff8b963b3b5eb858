"""Recipes as people write them: a YAML file, and ``name=value`` on the command line.

```yaml
arch: cnn2d-gru             # any of these may be left out
set: {hidden_dim: 256, dropout: 0.3}
segments: {seconds: 3, hop_seconds: 1.5}
recipe:
  optimizer: sgd
  learning_rate: 1e-2
  epochs: 40
```

What is not said is the architecture's own. A file may come from a stranger: it is read as plain
data, and is small.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from mgr_cli.config import Recipe, SegmentSpec
from mgr_cli.errors import TrainingError
from mgr_cli.models import registry

MAX_BYTES = 2**20
KEYS = ("arch", "set", "segments", "recipe")
_RECIPE = frozenset(field.name for field in fields(Recipe))
_SEGMENTS = frozenset(field.name for field in fields(SegmentSpec))

_Spec = TypeVar("_Spec", Recipe, SegmentSpec)


@dataclass(frozen=True)
class Training:
    """What is to be trained, and how; every value is checked.

    Attributes
    ----------
    architecture : str
        Name of a row of the registry.
    hyperparameters : dict
        Those that differ from its defaults.
    recipe : Recipe
        How it is trained.
    segments : SegmentSpec
        What it hears at a time; None where that is the track.
    """

    architecture: str
    hyperparameters: dict[str, Any]
    recipe: Recipe
    segments: SegmentSpec | None

    def settings(self) -> dict[str, Any]:
        """Return all settings, defaults included, as plain values."""
        return {
            "arch": self.architecture,
            "set": registry.hyperparameters(self.architecture, self.hyperparameters),
            "recipe": asdict(self.recipe),
            "segments": self.segments and asdict(self.segments),
        }

    def digest(self, *others: object) -> str:
        """Return the SHA-256 of these settings, all of them, and of others that matter."""
        record = [self.settings(), *others]
        return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def training_of(
    architecture: str | None,
    *,
    file: Path | None = None,
    settings: Iterable[str] = (),
    changes: Mapping[str, Any] | None = None,
    default: str,
) -> Training:
    """Put together what a user asks for.

    Parameters
    ----------
    architecture : str, optional
        As asked for; else the file's, else `default`.
    file : Path, optional
        A YAML file.
    settings : iterable of str
        Hyper-parameters, and fields of the recipe and of the segments, as ``name=value``; they
        win over the file's.
    changes : mapping, optional
        Fields of the recipe; they win over the file's.
    default : str
        Architecture where nobody names one.

    Raises
    ------
    ArchitectureError
        If an architecture or a hyper-parameter is unknown, or of another type.
    TrainingError
        If the file cannot be used, or a value is out of its range.
    """
    said = _read(file) if file else {}
    name = architecture or said.get("arch") or default
    row = registry.find(str(name))
    where = f"{file}: " if file else ""
    own = frozenset(registry.hyperparameters(row.name, {}))
    asked = dict(map(_setting, settings))
    of_recipe = _taken(asked, _RECIPE - own)
    segments = dict(said.get("segments", {})) | _taken(asked, _SEGMENTS - own)
    if segments and row.segments is None:
        raise TrainingError(f"{where}{row.name} takes tracks as a whole; leave segments out")
    values = dict(said.get("set", {})) | asked
    return Training(
        architecture=row.name,
        hyperparameters=_typed(row.name, values),
        recipe=_changed(
            row.recipe, dict(said.get("recipe", {})) | of_recipe | dict(changes or {}), where
        ),
        segments=row.segments and _changed(row.segments, segments, where),
    )


@dataclass(frozen=True)
class Fitting:
    """What is to be fitted: a row of the registry, what differs from its defaults, its segments."""

    architecture: str
    hyperparameters: dict[str, Any]
    segments: SegmentSpec | None


def fitting_of(
    architecture: str, *, file: Path | None = None, settings: Iterable[str] = ()
) -> Fitting:
    """Put together what a user asks for of a row that is fitted; see `training_of`.

    `segments` is None where nobody says how tracks are cut.

    Raises
    ------
    ArchitectureError, TrainingError
        As `training_of`; also if the file has a recipe.
    """
    said = _read(file) if file else {}
    if said.get("recipe"):
        raise TrainingError(f"{file}: {architecture} is fitted, it has no recipe; leave it out")
    asked = dict(map(_setting, settings))
    segments = dict(said.get("segments", {})) | _taken(asked, _SEGMENTS)
    values = dict(said.get("set", {})) | asked
    where = f"{file}: " if file else ""
    return Fitting(
        architecture,
        _typed(architecture, values),
        _changed(SegmentSpec(), segments, where) if segments else None,
    )


def named(architecture: str | None, file: Path | None) -> str | None:
    """Return the architecture that is asked for, or that a file names, if there is one.

    Raises
    ------
    TrainingError
        If the file cannot be used.
    """
    return architecture or (str(_read(file).get("arch") or "") or None if file else None)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        if path.stat().st_size > MAX_BYTES:
            raise TrainingError(f"{path}: more than {MAX_BYTES} bytes, expected a recipe")
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); name a YAML file") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise TrainingError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    said = {} if said is None else said
    if not isinstance(said, dict) or not set(said) <= set(KEYS):
        raise TrainingError(f"{path}: expected a mapping with some of {', '.join(KEYS)}")
    for key in KEYS[1:]:
        if not isinstance(said.get(key, {}), dict):
            raise TrainingError(f"{path}: {key} is {said[key]!r}, expected a mapping")
    return said


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise TrainingError(f"{text!r}: expected name=value, as in hidden_dim=256")
    return name, value


def _taken(asked: dict[str, str], names: frozenset[str]) -> dict[str, str]:
    """Take out of the settings those of some names."""
    return {name: asked.pop(name) for name in list(asked) if name in names}


def _typed(architecture: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Read texts as what the architecture's defaults are; the rest is the registry's to check."""
    known = registry.defaults(architecture, values.get(registry.CLASSIFIER))
    typed = {
        name: _as(type(known[name]), value) if name in known else value
        for name, value in values.items()
    }
    registry.hyperparameters(architecture, typed)  # raises where one does not fit
    return typed


def _changed(spec: _Spec, values: Mapping[str, Any], where: str) -> _Spec:
    """Replace fields of a recipe or a segment, whose values may be texts."""
    known = {field.name: type(getattr(spec, field.name)) for field in fields(spec)}
    for name in values:
        if name not in known:
            raise TrainingError(f"{where}no {name!r} here; expected {', '.join(known)}")
    typed = {name: _as(known[name], value) for name, value in values.items()}
    for name, value in typed.items():
        if type(value) is not known[name]:
            raise TrainingError(f"{where}{name} is {value!r}, expected {known[name].__name__}")
    try:
        return replace(spec, **typed)
    except ValueError as error:
        raise TrainingError(f"{where}{error}") from error


def _as(kind: type, value: Any) -> Any:
    """Read a text, as YAML 1.1 takes 1e-4 for one, as what is expected; else leave it."""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not str or kind is str:
        return value
    if kind is bool:
        return {"true": True, "false": False}.get(value.lower(), value)
    try:
        return kind(value)
    except ValueError:
        return value
