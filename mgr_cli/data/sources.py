"""The table of dataset layouts, and what one of them yields.

A source lists what lies in a folder (`scan`) without decoding it, and says how one of its
tracks becomes features (`read`). It never raises for a single bad track.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mgr_cli.config import FeatureSpec
from mgr_cli.errors import DatasetError

if TYPE_CHECKING:  # the table is read at every start of the program
    import numpy as np

Subset = Literal["small", "medium", "large", "full"]
Level = Literal["top", "sub"]


@dataclass(frozen=True)
class RawTrack:
    """A track as its source lists it; paths are relative to the dataset's folder.

    `split` is train, valid, test, or empty where the source leaves the track out of all
    three; None where the source has no split at all. What a source does not know is empty.
    `problem` says in one line why a track is not to be used, before anybody reads it.
    """

    track_id: str
    path: str
    genre: str
    split: str | None = None
    genres: str = ""
    artist: str = ""
    album: str = ""
    title: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Wishes:
    """What a user may ask of a source; each one takes what concerns it.

    Attributes
    ----------
    spec : FeatureSpec, optional
        Front end; the source's own by default.
    metadata : Path, optional
        Folder of FMA's tables; looked for in and beside the dataset by default.
    subset : {"small", "medium", "large", "full"}, optional
        Of FMA; what the folder's name says by default, else all tracks that are there.
    level : {"top", "sub"}
        Whether FMA's genres are those at the top of its tree, or those below.
    own_split : bool
        Whether a split that comes with the dataset is taken; else its tracks are dealt out.
    """

    spec: FeatureSpec | None = None
    metadata: Path | None = None
    subset: Subset | None = None
    level: Level = "top"
    own_split: bool = True


@dataclass(frozen=True)
class ReadTrack:
    """What came out of a track's file.

    `features` is float32 of shape (n_mels, n_frames).
    """

    features: "np.ndarray"
    seconds: float
    sample_rate: int
    codec: str
    decoder: str


@dataclass(frozen=True)
class Scan:
    """What lies in a folder.

    Attributes
    ----------
    tracks : tuple of RawTrack
        In order of `track_id`; whether those are unique, `prepare` checks.
    spec : FeatureSpec
        The front end of the features.
    """

    tracks: tuple[RawTrack, ...]
    spec: FeatureSpec


@dataclass(frozen=True)
class Source:
    """A row of the table: `module` has the functions `fits`, `scan` and `read`."""

    name: str
    module: str
    summary: str

    def fits(self, root: Path) -> bool:
        """Tell whether a folder has this layout."""
        return bool(self._function("fits")(root))

    def scan(self, root: Path, wishes: Wishes) -> Scan:
        """List the tracks of a folder.

        Raises
        ------
        DatasetError
            If the folder is not what it should be.
        """
        scan: Scan = self._function("scan")(root, wishes)
        return scan

    def read(self, path: Path, spec: FeatureSpec) -> ReadTrack:
        """Read one track's features.

        Raises
        ------
        MgrError
            If the file cannot be used.
        """
        track: ReadTrack = self._function("read")(path, spec)
        return track

    def _function(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(import_module(self.module), name)
        return function


_ROWS = (
    Source("fma", "mgr_cli.data.fma", "FMA's tree, 000/000002.mp3, and its fma_metadata"),
    Source("gtzan", "mgr_cli.data.gtzan", "GTZAN's genres/ with blues.00000.wav and so on"),
    Source("images", "mgr_cli.data.images", "grey log-mel pictures and their tracks.csv"),
    Source("table", "mgr_cli.data.table", "audio files and their tracks.csv"),
    Source("folder", "mgr_cli.data.folder", "one folder a genre, audio files in it"),
)

SOURCES: Mapping[str, Source] = {row.name: row for row in _ROWS}


def recognise(root: Path, *, layout: str | None = None) -> Source:
    """Choose the source for a folder.

    Parameters
    ----------
    root : Path
        The folder.
    layout : str, optional
        Name of the source, where the look of the folder shall not decide.

    Raises
    ------
    DatasetError
        If there is no such folder or layout, or the folder has none of the known ones.
    """
    if layout is not None and layout not in SOURCES:
        raise DatasetError(f"unknown layout {layout!r}; known: {', '.join(SOURCES)}")
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; name the folder of a dataset")
    if layout is not None:
        return SOURCES[layout]
    for source in SOURCES.values():
        if source.fits(root):
            return source
    known = "; ".join(f"{source.name}: {source.summary}" for source in SOURCES.values())
    raise DatasetError(f"{root}: no dataset recognised here; the layouts are {known}")
