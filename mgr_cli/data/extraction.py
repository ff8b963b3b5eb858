"""From an audio file to all of its features, in one pass.

The file is decoded once, at its own rate, and every block goes to whoever wants it:

    decode → blocks ─┬→ resampled ─┬→ log-mel
                     │             └→ waveform, 16 bits
                     └→ at the file's own rate → the 518 hand-crafted features

Memory does not grow with the length of a track: log-mels and waveforms pass through in
blocks, on disk where they are many, and the hand-crafted features, whose transforms want the
whole waveform at once, are those of the first ten minutes.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mgr_cli import audio
from mgr_cli.data.sources import ReadTrack
from mgr_cli.errors import AudioError
from mgr_cli.features import handcrafted
from mgr_cli.features.stream import LevelStream
from mgr_cli.files import Spool
from mgr_cli.plans import Kind, Plan

HANDCRAFTED_SECONDS = 600.0  # of a track, at the most: some 700 MB of memory at 44,100 Hz
FULL_SCALE = 2**15  # of 16 bits
FRAMES_AT_ONCE = 8_192
SAMPLES_AT_ONCE = 2**20


def read(path: Path, plan: Plan) -> ReadTrack:
    """Decode a file and compute what a plan asks for.

    Raises
    ------
    AudioError
        If the file cannot be used, or is shorter than the plan's `min_seconds`.
    """
    with audio.open_stream(path, sample_rate=None) as stream:
        info = stream.info
        extractor = Extractor(plan, info.sample_rate)
        n_samples = 0
        for block in _first(stream, plan.max_seconds, info.sample_rate):
            extractor.push(block)
            n_samples += len(block)
    seconds = n_samples / info.sample_rate
    if seconds < plan.min_seconds:
        raise AudioError(
            f"{audio.shown(path)}: {seconds:.1f} s long, {plan.min_seconds:.1f} s at least are "
            "asked for"
        )
    features, problems = extractor.finish()
    return ReadTrack(features, seconds, info.sample_rate, info.codec, info.decoder, problems)


class Extractor:
    """Takes a waveform block by block and gives all features of a plan at its end.

    Parameters
    ----------
    plan : Plan
        What to compute.
    sample_rate : int
        Of the blocks, in Hz.
    """

    def __init__(self, plan: Plan, sample_rate: int) -> None:
        self._plan = plan
        self._sample_rate = sample_rate
        self._resampler = audio.Resampler(sample_rate, plan.spec.sample_rate)
        self._levels = LevelStream(plan.spec)
        self._waveform = Spool(1)
        self._own: list[np.ndarray] = []
        self._room = round(HANDCRAFTED_SECONDS * sample_rate)

    def push(self, block: np.ndarray) -> None:
        """Take the next samples, float32 [shape=(n_samples,)]."""
        kinds = self._plan.kinds
        if "handcrafted" in kinds and self._room:
            self._own.append(block[: self._room])
            self._room -= len(self._own[-1])
        if "log-mel" in kinds or "waveform" in kinds:
            self._push_resampled(self._resampler.push(block))

    def _push_resampled(self, block: np.ndarray) -> None:
        if "log-mel" in self._plan.kinds:
            self._levels.push(block)
        if "waveform" in self._plan.kinds:
            self._waveform.append(block[:, None])

    def finish(self) -> tuple[dict[Kind, Iterable[np.ndarray]], dict[Kind, str]]:
        """End the track: its features as a `ReadTrack` has them, and what it cannot have."""
        self._push_resampled(self._resampler.finish())
        self._levels.finish()
        features: dict[Kind, Iterable[np.ndarray]] = {
            "log-mel": _level_rows(self._levels),
            "waveform": _sample_rows(self._waveform),
        }
        problems: dict[Kind, str] = {}
        if "handcrafted" in self._plan.kinds:
            waveform = np.concatenate(self._own)
            try:
                row = handcrafted.extract(waveform, self._sample_rate, form=self._plan.form)
                features["handcrafted"] = [row[None]]
            except AudioError as error:
                problems["handcrafted"] = str(error)
        return {kind: rows for kind, rows in features.items() if kind in self._plan.kinds}, problems


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


def _level_rows(levels: LevelStream) -> Iterator[np.ndarray]:
    with levels:
        for start in range(0, len(levels), FRAMES_AT_ONCE):
            yield levels.read(start, min(start + FRAMES_AT_ONCE, len(levels))).T


def _sample_rows(waveform: Spool) -> Iterator[np.ndarray]:
    """Yield a waveform in 16 bits; what is beyond full scale is clipped."""
    with waveform:
        for start in range(0, len(waveform), SAMPLES_AT_ONCE):
            samples = waveform.read(start, min(start + SAMPLES_AT_ONCE, len(waveform)))[:, 0]
            scaled = np.rint(samples * FULL_SCALE)
            yield np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
