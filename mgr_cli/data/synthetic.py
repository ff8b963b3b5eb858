"""The demo dataset: music of several styles that this program composes and plays itself.

It lets a newcomer run everything within minutes and without a download. Nobody learns from it
what a genre is, so it says everywhere that it is synthetic: in the names of its genres, in a
file beside the music, and in the layout of what is prepared from it.

```
demo/
  SYNTHETIC.txt               written first: what this is
  disco/disco-000.mp3 …       each track from a seed of its own
  tracks.csv                  written last: the music is whole
```
"""

from pathlib import Path

import numpy as np
from joblib import delayed

from mgr_cli.composition import compose
from mgr_cli.config import Progress
from mgr_cli.data import listing
from mgr_cli.data.extraction import read
from mgr_cli.data.sources import Scan, Wishes
from mgr_cli.demo import write_mp3
from mgr_cli.engines import workers
from mgr_cli.errors import DatasetError
from mgr_cli.files import write_text
from mgr_cli.styles import STYLES

__all__ = ["compose_set", "fits", "is_wanted", "read", "scan"]

LAYOUT = "demo"
MARK = "SYNTHETIC.txt"
TRACKS_OF_A_STYLE = 30
SECONDS = 12.0

_SAYS = """\
This music was composed and played by mgr itself (`mgr prepare demo`), seed {seed}.
It is synthetic: good to try the program with, not to learn what a genre sounds like.
"""


def fits(root: Path) -> bool:
    """Tell whether a folder holds the demo dataset."""
    return (root / MARK).is_file()


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the tracks of the demo dataset.

    Raises
    ------
    DatasetError
        If the music was not composed to its end.
    """
    return Scan(listing.read_tracks(root, wishes), wishes.plan())


def is_wanted(folder: Path, layout: str | None) -> bool:
    """Tell whether the music is asked for and not there, or not whole.

    It is asked for by the name ``demo`` where there is no such folder, or by its layout.
    """
    if folder.exists():
        return fits(folder) and not (folder / listing.TABLE).exists()
    return layout == LAYOUT or (layout is None and folder == Path(LAYOUT))


def compose_set(folder: Path, *, seed: int, n_jobs: int, progress: Progress) -> None:
    """Compose the demo dataset; tracks that are there already stay.

    Parameters
    ----------
    folder : Path
        Where to; made if it is not there.
    seed : int
        Of the music.
    n_jobs : int
        Processes; -1 is one a core.
    progress : callable
        Called after each track.

    Raises
    ------
    DatasetError
        If it was begun with another seed.
    """
    says = _SAYS.format(seed=seed)
    if fits(folder) and (folder / MARK).read_text(encoding="utf-8") != says:
        raise DatasetError(f"{folder}: begun with another --seed; give that, or delete the folder")
    write_text(folder / MARK, says)
    names = [(style, number) for style in STYLES for number in range(TRACKS_OF_A_STYLE)]
    with workers(n_jobs=n_jobs) as pool:
        jobs = (delayed(_compose)(folder, style, number, seed) for style, number in names)
        for done, _ in enumerate(pool(jobs), start=1):
            progress(done, len(names), "tracks")
    rows = [
        f"{style}-{number:03d},{_path(style, number)},synthetic {style},{style} no. {number}"
        for style, number in names
    ]
    write_text(folder / listing.TABLE, "\n".join(["track_id,path,genre,title", *rows]) + "\n")


def _path(style: str, number: int) -> str:
    return f"{style}/{style}-{number:03d}.mp3"


def _compose(folder: Path, style: str, number: int, seed: int) -> None:
    """Write one track; the same seed, style and number give the same music."""
    path = folder / _path(style, number)
    if path.exists():
        return
    rng = np.random.default_rng([seed, list(STYLES).index(style), number])
    write_mp3(path, compose(STYLES[style], rng, seconds=SECONDS))
