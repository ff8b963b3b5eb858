"""Features on disk: shards of safetensors, each whole or absent.

Every kind of features has a folder of shards. A shard holds a fixed run of tracks under their
numbers within the shard, time first, so that a crop of a track is one run of bytes:

=============  =======================  ==========
log-mel        (n_frames, n_mels)       float16
waveform       (n_samples,)             int16
handcrafted    (1, n_columns)           float32
table          (1, n_columns)           float32
=============  =======================  ==========

In its metadata stand what came of each track (its status, and what its decoder said) and the
digest of all that went into it. A shard whose digest is the wanted one need not be made again.

A worker writes what it makes of a track to a file of its own, a piece, and a shard is put
together from pieces, so that memory grows neither with tracks nor with their length. One row a
track is no file's worth and stays in memory.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from mgr_cli.errors import DatasetError
from mgr_cli.files import replacing
from mgr_cli.plans import Kind

TRACKS_IN_SHARD = 256
OK = "ok"
DTYPES: Mapping[Kind, np.dtype[Any]] = {
    "log-mel": np.dtype("<f2"),
    "waveform": np.dtype("<i2"),
    "handcrafted": np.dtype("<f4"),
    "table": np.dtype("<f4"),
}
_NAMES: Mapping[Kind, str] = {
    "log-mel": "F16", "waveform": "I16", "handcrafted": "F32", "table": "F32"
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of one track: `status` is "ok" or what is wrong with it, in one line."""

    status: str
    seconds: float = 0.0
    sample_rate: int = 0
    codec: str = ""
    decoder: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Piece:
    """One kind of features of one track: values alone, row by row, in memory or in a file."""

    values: bytes | Path
    shape: tuple[int, ...]


Made = tuple[Outcome, Piece | None]
"""What came of one kind of features of a track; None where there are none."""


def take_piece(kind: Kind, rows: np.ndarray) -> Piece:
    """Keep a track's few features in memory, np.ndarray [shape=(n_rows, ...)]."""
    return Piece(np.ascontiguousarray(rows, DTYPES[kind]).tobytes(), rows.shape)


def write_piece(
    folder: Path, kind: Kind, name: str, outcome: Outcome, blocks: Iterable[np.ndarray]
) -> Made:
    """Write a track's features to a file of their own, whole or not at all.

    Behind the values stands what came of the track, so that a run that takes up after this one
    was killed need not read the track again.

    Parameters
    ----------
    folder : Path
        Where to; it exists.
    kind : str
        Says in which type values are written.
    name : str
        Digest of all that went into it.
    outcome : Outcome
        What came of the track.
    blocks : iterable of np.ndarray [shape=(n_rows, ...)]
        One after the other; none where the track is bad.
    """
    path = _piece_path(folder, name)
    n_rows, shape = 0, (0,)
    with replacing(path, durable=False) as part, part.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, DTYPES[kind]).tobytes())
            n_rows += len(block)
            shape = block.shape
        shape = (n_rows, *shape[1:])
        if outcome.status == OK and not n_rows:
            outcome = replace(outcome, status="too short for one frame")
        text = json.dumps({"outcome": asdict(outcome), "shape": shape}).encode()
        file.write(text + len(text).to_bytes(8, "little"))
    return outcome, Piece(path, shape) if n_rows else None


def read_piece(folder: Path, kind: Kind, name: str) -> Made | None:
    """Return what an earlier run has made of a track, None if there is nothing whole."""
    path = _piece_path(folder, name)
    try:
        with path.open("rb") as file:
            end = file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(8), "little")
            start = file.seek(end - length)
            record = json.loads(file.read(length))
        outcome, shape = Outcome(**record["outcome"]), tuple(record["shape"])
        if start != int(np.prod(shape)) * DTYPES[kind].itemsize:
            return None
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return outcome, Piece(path, shape) if start else None


def _piece_path(folder: Path, name: str) -> Path:
    return folder / f".piece.{name}.part"


def remove_pieces(folder: Path) -> None:
    """Delete all pieces of a folder, and halves of pieces."""
    for piece in folder.glob(".*piece.*.part"):
        piece.unlink(missing_ok=True)


def write_shard(
    path: Path,
    *,
    kind: Kind,
    inputs: str,
    outcomes: Sequence[Outcome],
    pieces: Sequence[Piece | None],
) -> None:
    """Put a shard together, atomically; the pieces stay where they are.

    Parameters
    ----------
    path : Path
        Where to.
    kind : str
        Of the pieces.
    inputs : str
        Digest of all that went into it.
    outcomes : sequence of Outcome
        One a track.
    pieces : sequence of Piece or None
        One a track; None where it is bad.
    """
    # One key alone: the order of several is nobody's promise, and bytes shall repeat.
    record = {"inputs": inputs, "outcomes": [asdict(outcome) for outcome in outcomes]}
    header: dict[str, Any] = {"__metadata__": {"mgr": json.dumps(record, sort_keys=True)}}
    end = 0
    whole = {f"{number:05d}": piece for number, piece in enumerate(pieces) if piece is not None}
    for key, piece in whole.items():
        begin, end = end, end + int(np.prod(piece.shape)) * DTYPES[kind].itemsize
        header[key] = {
            "dtype": _NAMES[kind], "shape": list(piece.shape), "data_offsets": [begin, end]
        }  # fmt: skip
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format wants values to begin at a multiple of 8
    # safetensors itself writes what is in memory as a whole: a shard of waveforms is not.
    with replacing(path) as part, part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in whole.values():
            if isinstance(piece.values, bytes):
                file.write(piece.values)
                continue
            left = int(np.prod(piece.shape)) * DTYPES[kind].itemsize
            with piece.values.open("rb") as values:
                while left:
                    data = values.read(min(left, 2**20))
                    if not data:
                        raise DatasetError(f"{piece.values}: changed while it was used")
                    file.write(data)
                    left -= len(data)


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
    """One kind of features, in a folder of shards, memory-mapped.

    Raises
    ------
    DatasetError
        If a shard that is asked for is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, Any] = {}

    def n_rows(self, number: int) -> int:
        """Return the length of a track, in frames or samples, by its number in the whole set."""
        return int(self._slice(number).get_shape()[0])

    def rows(self, number: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read some rows of a track as they are stored.

        Parameters
        ----------
        number : int
            Of the track in the whole set.
        start, stop : int
            Rows; all of them by default. Beyond the track's end there are none.

        Returns
        -------
        np.ndarray [shape=(stop - start, ...)]
            Shorter where the track ends before `stop`.
        """
        track = self._slice(number)
        n_rows = track.get_shape()[0]  # safetensors, unlike NumPy, refuses to slice beyond it
        rows: np.ndarray = track[start : n_rows if stop is None else min(stop, n_rows)]
        return rows

    def frames(self, number: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read some frames of a log-mel spectrogram; the arguments are those of `rows`.

        Returns
        -------
        np.ndarray [shape=(n_mels, stop - start)]
            float32.
        """
        return self.rows(number, start, stop).T.astype(np.float32)

    def samples(self, number: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read some samples of a waveform; the arguments are those of `rows`.

        Returns
        -------
        np.ndarray [shape=(stop - start,)]
            float32 in [-1, 1).
        """
        return self.rows(number, start, stop).astype(np.float32) / np.float32(2**15)

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
