"""The log-mel spectrogram of a track of any length, in bounded memory.

Levels refer to the loudest frame of the whole track, which is known only at its end; until
then the mel power of the frames is kept, in memory while they are few and in a temporary
file beyond (`files.Spool`).
"""

import numpy as np

from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import PowerFrames, to_levels
from mgr_cli.files import Spool


class LevelStream:
    """A spectrogram that is filled block by block and then read piece by piece.

    A context manager; what it keeps is gone when it ends.

    Parameters
    ----------
    spec : FeatureSpec
        What to compute.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._power = PowerFrames(spec)
        self._spool = Spool(spec.n_mels)

    def __enter__(self) -> "LevelStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is kept."""
        self._spool.close()

    def __len__(self) -> int:
        """Return the number of frames so far."""
        return len(self._spool)

    def push(self, block: np.ndarray) -> None:
        """Take the next samples, np.ndarray [shape=(n_samples,)] at the spec's rate."""
        self._spool.append(self._power.push(block))

    def finish(self) -> None:
        """End the track; only then are its levels known."""
        self._spool.append(self._power.finish())

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the levels of some frames, np.ndarray [shape=(n_mels, stop - start)]."""
        power = self._power
        return to_levels(
            self._spool.read(start, stop), self._spec, highest=power.highest, lowest=power.lowest
        )
