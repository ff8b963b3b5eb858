"""The table of dataset layouts, and what one of them yields.

A source lists what lies in a folder (`scan`) without decoding it, and says how one of its
tracks becomes features (`read`). It never raises for a single bad track.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mgr_cli.config import FEATURES, MIN_SECONDS, FeatureSpec
from mgr_cli.errors import DatasetError
from mgr_cli.plans import AUDIO_KINDS, Form, Kind, Plan

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
    features : tuple of str, optional
        Kinds of features; the first that the source has by default.
    spec : FeatureSpec, optional
        Front end; the source's own by default.
    form : {"corrected", "fma-compat"}
        Of hand-crafted features.
    min_seconds, max_seconds : float
        See `plans.Plan`.
    metadata : Path, optional
        Folder of FMA's tables; looked for in and beside the dataset by default.
    subset : {"small", "medium", "large", "full"}, optional
        Of FMA; what the folder's name says by default, else all tracks that are there.
    level : {"top", "sub"}
        Whether FMA's genres are those at the top of its tree, or those below.
    own_split : bool
        Whether a split that comes with the dataset is taken; else its tracks are dealt out.
    """

    features: tuple[Kind, ...] | None = None
    spec: FeatureSpec | None = None
    form: Form = "corrected"
    min_seconds: float = MIN_SECONDS
    max_seconds: float | None = None
    metadata: Path | None = None
    subset: Subset | None = None
    level: Level = "top"
    own_split: bool = True

    def plan(self, *, offers: tuple[Kind, ...] = AUDIO_KINDS, spec: FeatureSpec = FEATURES) -> Plan:
        """Say what is computed, where a source `offers` some kinds and has a front end `spec`.

        Raises
        ------
        DatasetError
            If a kind is asked for that the source does not have, or no track can be as long
            as is asked for.
        """
        kinds = self.features or offers[:1]
        for kind in kinds:
            if kind not in offers:
                raise DatasetError(
                    f"{kind} features cannot be made of this dataset, it has {', '.join(offers)}"
                )
        front_end = self.spec or spec
        try:
            return Plan(kinds, front_end, self.form, self.min_seconds, self.max_seconds)
        except ValueError as error:
            raise DatasetError(str(error)) from error


@dataclass(frozen=True)
class ReadTrack:
    """What came out of a track's file.

    Attributes
    ----------
    features : mapping
        From kind to its rows in blocks, to be gone through once: log-mels (n_frames, n_mels),
        waveforms (n_samples,) in 16 bits, hand-crafted features (1, 518).
    seconds : float
        Length of what was read.
    sample_rate : int
        Of the file, in Hz.
    codec, decoder : str
        What the file is, and what read it.
    problems : mapping
        From a kind that this track cannot have to the reason in one line.
    """

    features: Mapping[Kind, Iterable["np.ndarray"]]
    seconds: float
    sample_rate: int
    codec: str
    decoder: str
    problems: Mapping[Kind, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Vectors:
    """Features that came with a dataset, a row a track.

    Attributes
    ----------
    kind : {"handcrafted", "table"}
        FMA's hand-crafted features (all or some), or anything else.
    columns : tuple of str
        Names of the features.
    values : np.ndarray [shape=(n_tracks, n_columns)]
        float32, in the order of the scan's tracks.
    origin : str
        Who computed them.
    """

    kind: Kind
    columns: tuple[str, ...]
    values: "np.ndarray" = field(repr=False, compare=False)
    origin: str


@dataclass(frozen=True)
class Scan:
    """What lies in a folder.

    Attributes
    ----------
    tracks : tuple of RawTrack
        In order of `track_id`; whether those are unique, `prepare` checks.
    plan : Plan
        What is computed of them.
    vectors : Vectors, optional
        Features instead of files to be read.
    notes : tuple of str
        What else was found, a line each.
    """

    tracks: tuple[RawTrack, ...]
    plan: Plan
    vectors: Vectors | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A row of the table: `module` has the functions `fits`, `scan` and `read`."""

    name: str
    module: str
    summary: str

    def fits(self, root: Path) -> bool:
        """Tell whether a folder, or a file, has this layout."""
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

    def read(self, path: Path, plan: Plan) -> ReadTrack:
        """Read one track's features.

        Raises
        ------
        MgrError
            If the file cannot be used.
        """
        track: ReadTrack = self._function("read")(path, plan)
        return track

    def _function(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(import_module(self.module), name)
        return function


_ROWS = (
    Source("demo", "mgr_cli.data.synthetic", "music that `mgr prepare demo` has composed"),
    Source("fma", "mgr_cli.data.fma", "FMA's tree, 000/000002.mp3, and its fma_metadata"),
    Source("gtzan", "mgr_cli.data.gtzan", "GTZAN's genres/ with blues.00000.wav and so on"),
    Source(
        "images", "mgr_cli.data.images", "log-mel pictures, by a tracks.csv or one folder a genre"
    ),
    Source("table", "mgr_cli.data.table", "audio files and their tracks.csv, or a CSV of features"),
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
    if not root.exists():
        raise DatasetError(f"{root}: no such folder; name the folder of a dataset")
    table = SOURCES["table"]
    if root.is_file() and layout in (None, table.name) and table.fits(root):
        return table
    if root.is_file():
        raise DatasetError(f"{root}: a file; name the folder of a dataset, or a CSV of features")
    if layout is not None:
        return SOURCES[layout]
    for source in SOURCES.values():
        if source.fits(root):
            return source
    known = "; ".join(f"{source.name}: {source.summary}" for source in SOURCES.values())
    raise DatasetError(f"{root}: no dataset recognised here; the layouts are {known}")
