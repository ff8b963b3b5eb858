"""Shards to test with, written from arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mgr_cli.data import store
from mgr_cli.data.store import OK, Outcome
from mgr_cli.plans import Kind


def write(
    path: Path,
    rows: Sequence[np.ndarray | None],
    *,
    kind: Kind = "log-mel",
    inputs: str = "made up",
    outcomes: Sequence[Outcome] | None = None,
) -> Path:
    """Write a shard of some tracks' rows (time first), None where a track is bad."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pieces = [None if track is None else store.take_piece(kind, track) for track in rows]
    if outcomes is None:
        outcomes = [Outcome("bad") if track is None else Outcome(OK) for track in rows]
    store.write_shard(path, kind=kind, inputs=inputs, outcomes=outcomes, pieces=pieces)
    return path


def write_levels(path: Path, levels: Sequence[np.ndarray | None]) -> Path:
    """Write a shard of log-mel spectrograms (n_mels, n_frames)."""
    return write(path, [None if track is None else track.T for track in levels])
