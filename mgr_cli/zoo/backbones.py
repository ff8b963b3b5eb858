"""Borrowed nets: where their weights come from, and how an entry keeps them.

An entry holds all that it needs to hear a song, so the weights of its backbone lie in its folder,
as `backbone.safetensors`, without what is behind the cut; those of several entries are one file on
the disk where it can link. An encoder's settings lie beside them, as `backbone.json`.

What a backbone makes of a segment can be kept in a folder, by content: under the SHA-256 of its
weights, of how it was cut, and of the segment itself.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mgr_cli.config import MAX_CARD_BYTES
from mgr_cli.errors import ArchitectureError, ZooError
from mgr_cli.files import replacing, sha256
from mgr_cli.inputs import Arrays
from mgr_cli.models import registry
from mgr_cli.zoo.tensors import fill

if TYPE_CHECKING:  # torch is imported where a net is needed, not to list entries
    from torch import nn

WEIGHTS = "backbone.safetensors"
SETTINGS = "backbone.json"
AT_ONCE = 8  # segments in the net at a time
DIGEST = hashlib.sha256().digest_size  # bytes, before the values of a row that is kept

Rows = Callable[[Arrays], np.ndarray]
"""From what a model takes of n segments, see `inputs`, to one row each (n, n_values)."""


@dataclass(frozen=True)
class Backbone:
    """A frozen net that makes one row of each segment, for a rival to judge.

    Attributes
    ----------
    net : nn.Module
        Of `registry.build_backbone`.
    architecture, cut : str
        The row of the registry, and the layer.
    origin : str
        Where the weights come from, one line.
    sample_rate : int
        Of the waveforms that it is given, if it eats any.
    settings : str
        Of an encoder, else empty.
    device : str
        Where it runs.
    cache : Path, optional
        Folder that keeps rows.
    """

    net: "nn.Module" = field(repr=False, compare=False)
    architecture: str
    cut: str
    origin: str
    sample_rate: int
    settings: str = ""
    device: str = "cpu"
    cache: Path | None = None

    @cached_property
    def weights(self) -> bytes:
        """The file of its weights."""
        from safetensors.torch import save

        return save({key: value.contiguous() for key, value in self.net.state_dict().items()})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that determines its rows."""
        about = [self.architecture, self.cut, self.sample_rate, self.settings]
        return hashlib.sha256(json.dumps(about).encode() + self.weights).hexdigest()

    @property
    def n_parameters(self) -> int:
        """How many weights it has, without running moments."""
        return sum(weight.numel() for weight in self.net.parameters())

    def rows(self, arrays: Arrays) -> np.ndarray:
        """Make a row of each segment, or find it in the cache.

        Parameters
        ----------
        arrays : tuple of np.ndarray
            One a kind that it eats, as `Inputs.batch` gives them, not normalised.

        Returns
        -------
        np.ndarray [shape=(n, n_values)]
            float32.

        Raises
        ------
        ZooError
            If the net can make nothing of segments of this length.
        """
        if self.cache is None:
            return self._computed(arrays)
        paths = [self._place(self.cache, segment) for segment in zip(*arrays, strict=True)]
        found = [_kept(path) for path in paths]
        missing = [place for place, row in enumerate(found) if row is None]
        if missing:
            made = self._computed(tuple(each[missing] for each in arrays))
            for place, row in zip(missing, made, strict=True):
                _keep(paths[place], row)
                found[place] = row
        return np.stack([row for row in found if row is not None])

    def _computed(self, arrays: Arrays) -> np.ndarray:
        import torch

        tensors = [torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in arrays]
        try:
            with torch.inference_mode():
                parts = [
                    self.net(*(x[first : first + AT_ONCE].to(self.device) for x in tensors)).cpu()
                    for first in range(0, len(tensors[0]), AT_ONCE)
                ]
        except ValueError as error:
            raise ZooError(f"{self.architecture}: {error}") from error
        rows: np.ndarray = torch.cat(parts).numpy()
        return rows

    def _place(self, cache: Path, segment: Arrays) -> Path:
        content = hashlib.sha256()
        for array in segment:
            content.update(np.ascontiguousarray(array, np.float32).tobytes())
        name = content.hexdigest()
        return cache / self.digest[:16] / name[:2] / f"{name}.row"


def _keep(path: Path, row: np.ndarray) -> None:
    values = np.ascontiguousarray(row, "<f4").tobytes()
    with replacing(path, durable=False) as part:
        part.write_bytes(hashlib.sha256(values).digest() + values)


def _kept(path: Path) -> np.ndarray | None:
    """Read a row, or nothing where there is none or it is damaged: it is made again."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, values = data[:DIGEST], data[DIGEST:]
    whole = hashlib.sha256(values).digest() == digest
    return np.frombuffer(values, "<f4").astype(np.float32) if whole else None


def load(
    folder: Path,
    architecture: str,
    cut: str,
    *,
    origin: str,
    sample_rate: int,
    device: str,
    has_settings: bool,
) -> Backbone:
    """Load the backbone of an entry; its digests are the caller's to check.

    Raises
    ------
    ZooError
        If the weights are not those of the architecture.
    """
    settings = read_settings(folder / SETTINGS) if has_settings else ""

    def build() -> "nn.Module":
        return registry.build_backbone(
            architecture, cut=cut, settings=settings, sample_rate=sample_rate
        )

    try:
        registry.builder_of(architecture)  # tensors of modules imported in `fill` would be empty
        net = fill(
            build, folder / WEIGHTS, architecture=architecture, anew=has_settings
        )  # a front end has tables
    except ArchitectureError as error:
        raise ZooError(f"{folder}: {error}") from error
    return Backbone(net.to(device), architecture, cut, origin, sample_rate, settings, device)


def read_settings(path: Path) -> str:
    """Read a small file of text.

    Raises
    ------
    ZooError
        If there is none, or it is not small.
    """
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ZooError(f"{path}: larger than {MAX_CARD_BYTES} bytes, expected settings")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"{path}: cannot be read ({error})") from error


def save(folder: Path, backbone: Backbone, *, zoo: Path) -> list[Path]:
    """Write a backbone into an entry's folder, or link it to the same one of another entry.

    Parameters
    ----------
    folder : Path
        Of the entry.
    backbone : Backbone
        To be kept.
    zoo : Path
        Whose other entries may have it.

    Returns
    -------
    list of Path
        The files, weights first.
    """
    target = folder / WEIGHTS
    size, digest = len(backbone.weights), hashlib.sha256(backbone.weights).hexdigest()
    same = (
        other
        for other in sorted(zoo.glob(f"*/{WEIGHTS}"))
        if other.stat().st_size == size and sha256(other) == digest
    )
    if not any(_linked(other, target) for other in same):
        target.write_bytes(backbone.weights)
    if not backbone.settings:
        return [target]
    (folder / SETTINGS).write_text(backbone.settings, encoding="utf-8", newline="\n")
    return [target, folder / SETTINGS]


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that has no links
        return False
    return True
