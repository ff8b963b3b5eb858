"""From an audio file to all of its features, decoded once."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mgr_cli import audio
from mgr_cli.data.sources import ReadTrack
from mgr_cli.data.store import DTYPES
from mgr_cli.errors import AudioError
from mgr_cli.extraction import FULL_SCALE, Extraction
from mgr_cli.plans import Kind, Plan


def read(path: Path, plan: Plan) -> ReadTrack:
    """Decode a file and compute what a plan asks for.

    Raises
    ------
    AudioError
        If the file cannot be used, or is shorter than the plan's `min_seconds`.
    """
    with audio.open_stream(path, sample_rate=None) as stream:
        info = stream.info
        extraction = Extraction(plan, info.sample_rate)
        n_samples = 0
        for block in _first(stream, plan.max_seconds, info.sample_rate):
            extraction.push(block)
            n_samples += len(block)
    seconds = n_samples / info.sample_rate
    if seconds < plan.min_seconds:
        raise AudioError(
            f"{audio.shown(path)}: {seconds:.1f} s long, {plan.min_seconds:.1f} s at least are "
            "asked for"
        )
    extraction.finish()
    features: dict[Kind, Iterable[np.ndarray]] = {
        kind: _rows(extraction, kind) for kind in plan.kinds if kind not in extraction.problems
    }
    return ReadTrack(
        features, seconds, info.sample_rate, info.codec, info.decoder, extraction.problems
    )


def _first(
    blocks: Iterable[np.ndarray], seconds: float | None, sample_rate: int
) -> Iterator[np.ndarray]:
    """Pass on the first seconds of a waveform, all of it where they are None."""
    if seconds is None:
        yield from blocks
        return
    room = round(seconds * sample_rate)
    for block in blocks:
        yield block[:room]
        room -= len(block)
        if room <= 0:
            return


def _rows(extraction: Extraction, kind: Kind) -> Iterator[np.ndarray]:
    """Yield rows as `store` keeps them."""
    for block in extraction.blocks(kind):
        yield (block[0] * FULL_SCALE).astype(DTYPES[kind]) if kind == "waveform" else block.T
