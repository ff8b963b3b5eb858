"""How much is measured, of what: the same for every part of the benchmark."""

from dataclasses import dataclass
from pathlib import Path

CLIPS_A_SONG = 8  # clips of half a minute are as long as a song of four
FEATURED_A_SONG = 2  # the 518 features take some ten times as long as log-mels


@dataclass(frozen=True)
class Course:
    """What contestants run.

    Attributes
    ----------
    folder : Path
        For what they make; its owner deletes it.
    files : tuple of Path
        Music, as it lies on the user's disk, or the demo's.
    entry : Path
        Of the zoo, which judges log-mels.
    n_jobs : int
        Processes, where a contestant takes several.
    n_rounds : int
        See `turns.take_turns`; growth, which takes longest, has half as many.
    n_songs : int
        That are predicted in bulk; eight times as many clips are prepared, and of twice as many
        the 518 features are computed.
    seconds : float
        Length of a song.
    n_steps : int
        Of training, in a turn.
    lengths : tuple of float
        Of tracks, in seconds, the shortest first.
    tracks : tuple of int
        How many, the fewest first.
    """

    folder: Path
    files: tuple[Path, ...]
    entry: Path
    n_jobs: int
    n_rounds: int = 5
    n_songs: int = 8
    seconds: float = 240.0
    n_steps: int = 10
    lengths: tuple[float, ...] = (30.0, 240.0, 1_800.0)
    tracks: tuple[int, ...] = (10, 100, 1_000)

    @property
    def fewer_rounds(self) -> int:
        """Rounds where a turn takes long."""
        return (self.n_rounds + 1) // 2

    def made(self, name: str) -> Path:
        """Return a new folder of that name."""
        folder = self.folder / name
        folder.mkdir()
        return folder
