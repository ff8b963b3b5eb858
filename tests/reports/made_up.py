"""Prepared datasets to report on: their tables alone, of no file."""

from pathlib import Path
from typing import Any

import pandas as pd

from mgr_cli.config import FeatureSpec
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import OK
from mgr_cli.plans import Plan

SPEC = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=16)


def row(number: int, genre: str = "rock", **changes: Any) -> dict[str, Any]:
    """Return a row of the table: a usable track, but for the changes."""
    return {
        "track_id": f"t{number}", "path": f"a/{number}.mp3", "genre": genre, "genres": "",
        "artist": "", "album": "", "title": "", "seconds": 30.0, "sample_rate": 44_100,
        "codec": "MP3", "split": "train", "status": OK, "digest": "", "decoder": "sndfile",
    } | changes  # fmt: skip


def bad(number: int, genre: str = "rock", status: str = "cannot be read") -> dict[str, Any]:
    """Return a row of a track that cannot be used."""
    nothing = {"seconds": 0.0, "sample_rate": 0, "codec": "", "decoder": "", "split": ""}
    return row(number, genre, status=status, **nothing)


def prepared(rows: list[dict[str, Any]], **changes: Any) -> PreparedDataset:
    """Return a dataset with such a table."""
    tracks = pd.DataFrame(rows)
    genres = tuple(sorted(set(tracks.genre[tracks.status == OK])))
    said = {"name": "ours", "layout": "folder", "genres": genres, "plan": Plan(spec=SPEC)}
    return PreparedDataset(root=Path("nowhere"), tracks=tracks, **{**said, **changes})


MIXED = [
    row(0, "rock", artist="A"), row(1, "rock", artist="A", split="test"),
    row(2, "rock", split="valid", artist="B"), row(3, "jazz", split="", artist="A"),
    row(4, "jazz", artist="B", split="valid", seconds=90.0, codec="FLAC"),
    bad(5, "rock"), bad(6, "polka", "5 is silent"), bad(7, ""), row(8, "rock"),
]  # fmt: skip
