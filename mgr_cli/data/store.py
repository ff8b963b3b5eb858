"""Features on disk: shards of safetensors, each whole or absent.

A shard holds the features of a fixed run of tracks as float16 under their numbers within
the shard, and in its metadata what came of each track (its status, and what its decoder
said) and the digest of all that went into it. A shard whose digest is the wanted one need
not be made again.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mgr_cli.errors import DatasetError
from mgr_cli.files import replacing

TRACKS_IN_SHARD = 256
OK = "ok"


@dataclass(frozen=True)
class Outcome:
    """What came of one track: `status` is "ok" or what is wrong with it, in one line."""

    status: str
    seconds: float = 0.0
    sample_rate: int = 0
    codec: str = ""
    decoder: str = ""
    digest: str = ""


def write_shard(
    path: Path, *, inputs: str, outcomes: Sequence[Outcome], features: Sequence[np.ndarray | None]
) -> None:
    """Write a shard atomically.

    Parameters
    ----------
    path : Path
        Where to.
    inputs : str
        Digest of all that went into it.
    outcomes : sequence of Outcome
        One a track.
    features : sequence of np.ndarray [shape=(n_mels, n_frames)] or None
        One a track; None where it is bad.
    """
    tensors = {
        f"{number:05d}": np.ascontiguousarray(array, dtype=np.float16)
        for number, array in enumerate(features)
        if array is not None
    }
    # One key alone: safetensors does not keep the order of several, and bytes shall repeat.
    record = json.dumps(
        {"inputs": inputs, "outcomes": [asdict(outcome) for outcome in outcomes]}, sort_keys=True
    )
    with replacing(path) as part:  # save_file has a temporary file of its own, that a kill leaves
        part.write_bytes(save(tensors, metadata={"mgr": record}))


def read_outcomes(path: Path, *, inputs: str) -> list[Outcome] | None:
    """Return what a shard says of its tracks, or None if it is not made from these inputs."""
    try:
        with safe_open(path, framework="np") as shard:
            record = json.loads((shard.metadata() or {}).get("mgr", "{}"))
            if record.get("inputs") != inputs:
                return None
            return [Outcome(**outcome) for outcome in record["outcomes"]]
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError):
        return None


class ShardReader:
    """The features of a folder of shards, memory-mapped.

    Raises
    ------
    DatasetError
        If a shard that is asked for is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, Any] = {}

    def n_frames(self, number: int) -> int:
        """Return the length of a track, given its number in the whole set."""
        return int(self._slice(number).get_shape()[1])

    def frames(self, number: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read some frames of a track.

        Parameters
        ----------
        number : int
            Of the track in the whole set.
        start, stop : int
            Frames; all of them by default. Beyond the track's end there are none.

        Returns
        -------
        np.ndarray [shape=(n_mels, stop - start)]
            float32; narrower where the track ends before `stop`.
        """
        track = self._slice(number)
        n_frames = track.get_shape()[1]  # safetensors, unlike NumPy, refuses to slice beyond it
        frames: np.ndarray = track[:, start : n_frames if stop is None else min(stop, n_frames)]
        return frames.astype(np.float32)

    def __getstate__(self) -> dict[str, object]:
        return {"_folder": self._folder, "_open": {}}  # handles do not pass to workers

    def _slice(self, number: int) -> Any:
        shard, key = divmod(number, TRACKS_IN_SHARD)
        try:
            if shard not in self._open:
                self._open[shard] = safe_open(shard_path(self._folder, shard), framework="np")
            return self._open[shard].get_slice(f"{key:05d}")
        except (OSError, SafetensorError) as error:
            raise DatasetError(
                f"{shard_path(self._folder, shard)}: missing or damaged ({error}); "
                "run `mgr prepare` again"
            ) from error


def shard_path(folder: Path, shard: int) -> Path:
    """Return the path of a shard by its number."""
    return folder / f"shard-{shard:05d}.safetensors"
