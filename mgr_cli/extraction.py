"""From a waveform to all of its features, in one pass.

Every block of it goes to whoever wants it:

    blocks ─┬→ resampled ─┬→ log-mel
            │             └→ waveform, 16 bits
            └→ at the file's own rate → the 518 hand-crafted features

Memory does not grow with the length of a track: log-mels and waveforms pass through in
blocks, on disk where they are many, and the hand-crafted features, whose transforms want the
whole waveform at once, are those of the first ten minutes, of fewer above 96,000 Hz. On disk a
day of sound takes 2 GB of log-mels (128 bands, 43 frames a second) or 8 GB of waveform at
44,100 Hz; where there is no room for it, that is a problem of the track.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mgr_cli import audio
from mgr_cli.errors import AudioError
from mgr_cli.features import handcrafted
from mgr_cli.features.stream import LevelStream
from mgr_cli.files import Spool
from mgr_cli.plans import Kind, Plan

HANDCRAFTED_SECONDS = 600.0  # of a track, at the most: some 700 MB of memory at 44,100 Hz
HANDCRAFTED_SAMPLES = round(HANDCRAFTED_SECONDS * 96_000)  # nor more: 1.6 GB of memory
FULL_SCALE = 2**15  # of 16 bits
ROWS_AT_ONCE = {"log-mel": 8_192, "waveform": 2**20, "handcrafted": 1}


class Extraction:
    """A track that is filled block by block and then read piece by piece, an `inputs.Track`.

    A context manager; what it keeps is gone when it ends.

    Parameters
    ----------
    plan : Plan
        What to compute.
    sample_rate : int
        Of the blocks, in Hz.
    columns : sequence of str, optional
        Which of the hand-crafted features; all 518 by default.

    Attributes
    ----------
    problems : dict of str
        What cannot be computed of the track, by kind, and why; known when it is finished.
    """

    def __init__(self, plan: Plan, sample_rate: int, *, columns: Sequence[str] = ()) -> None:
        self._plan = plan
        self._sample_rate = sample_rate
        self._resampler = audio.Resampler(sample_rate, plan.spec.sample_rate)
        self._levels = LevelStream(plan.spec)
        self._waveform = Spool(1, dtype=np.int16)
        self._own: list[np.ndarray] = []
        self._room = min(round(HANDCRAFTED_SECONDS * sample_rate), HANDCRAFTED_SAMPLES)
        self._columns = [handcrafted.NAMES.index(name) for name in columns or handcrafted.NAMES]
        self._row = np.zeros((0, len(self._columns)), np.float32)
        self.problems: dict[Kind, str] = {}

    def __enter__(self) -> "Extraction":
        return self

    def __exit__(self, *_: object) -> None:
        self._levels.close()
        self._waveform.close()

    def release(self, kind: Kind) -> None:
        """Let go of one kind of features."""
        if kind == "log-mel":
            self._levels.close()
        if kind == "waveform":
            self._waveform.close()

    def push(self, block: np.ndarray) -> None:
        """Take the next samples, float32 [shape=(n_samples,)]."""
        kinds = self._plan.kinds
        if "handcrafted" in kinds and self._room:
            self._own.append(block[: self._room])
            self._room -= len(self._own[-1])
        if "log-mel" in kinds or "waveform" in kinds:
            self._push_resampled(self._resampler.push(block))

    def _push_resampled(self, block: np.ndarray) -> None:
        self._keep("log-mel", lambda: self._levels.push(block))
        self._keep("waveform", lambda: self._waveform.append(_as_integers(block)[:, None]))

    def _keep(self, kind: Kind, keep: Callable[[], None]) -> None:
        if kind not in self._plan.kinds or kind in self.problems:
            return
        try:
            keep()
        except OSError as error:
            self.problems[kind] = (
                f"its {kind} does not fit into {tempfile.gettempdir()} ({error.strerror}); make "
                "room there, or name another folder in TMPDIR"
            )
            self.release(kind)

    def finish(self) -> None:
        """End the track; only then can it be read."""
        self._push_resampled(self._resampler.finish())
        self._keep("log-mel", self._levels.finish)
        if "handcrafted" not in self._plan.kinds:
            return
        waveform = np.concatenate([np.zeros(0, np.float32), *self._own])
        self._own = []
        try:
            row = handcrafted.extract(waveform, self._sample_rate, form=self._plan.form)
            self._row = row[None, self._columns]
        except AudioError as error:
            self.problems["handcrafted"] = str(error)

    def n_rows(self, kind: Kind) -> int:
        """Return how many frames or samples there are."""
        match kind:
            case "log-mel":
                return len(self._levels)
            case "waveform":
                return len(self._waveform)
            case "handcrafted":
                return len(self._row)
            case "table":
                raise ValueError("a table of features is nothing that is computed of sound")

    def read(self, kind: Kind, start: int, stop: int) -> np.ndarray:
        """Return some rows, np.ndarray [shape=(n_bands, stop - start)].

        A waveform has what 16 bits leave of it; what is beyond full scale is clipped.
        """
        match kind:
            case "log-mel":
                return self._levels.read(start, stop)
            case "waveform":
                return self._waveform.read(start, stop).T / np.float32(FULL_SCALE)
            case "handcrafted" | "table":
                return self._row[start:stop].T

    def blocks(self, kind: Kind) -> Iterator[np.ndarray]:
        """Yield all rows in order, np.ndarray [shape=(n_bands, n_rows)], and let go of them."""
        n_rows, at_once = self.n_rows(kind), ROWS_AT_ONCE[kind]
        for start in range(0, n_rows, at_once):
            yield self.read(kind, start, min(start + at_once, n_rows))
        self.release(kind)


def _as_integers(block: np.ndarray) -> np.ndarray:
    """Round a waveform to 16 bits, int16 of the same shape; what is beyond them is clipped."""
    whole: np.ndarray = np.clip(np.rint(block * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    return whole.astype(np.int16)
