"""The Free Music Archive in its official layout: a tree of mp3, and tables beside it.

Track 2 lies at `000/000002.mp3`. The subsets nest: small ⊂ medium ⊂ large ⊂ full. A track has a
list of genres and, if they all hang below the same one, that one as its `genre_top`.

Without the audio, the tables alone are a dataset: `features.csv` holds the 518 hand-crafted
features of each track, as librosa 0.5 computed them from its whole length.

The official split keeps an artist on one side. Some clips are known to be bad; `ERRATA` has
them.

References
----------
.. [1] M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, "FMA: A Dataset for Music
   Analysis", ISMIR 2017. https://github.com/mdeff/fma
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mgr_cli.data.extraction import read
from mgr_cli.data.fma_tables import SUBSETS, Genre, Row, read_features, read_genres, read_rows
from mgr_cli.data.remarks import shortened
from mgr_cli.data.sources import Level, RawTrack, Scan, Subset, Vectors, Wishes
from mgr_cli.errors import DatasetError

__all__ = ["ERRATA", "fits", "read", "scan"]

TRACKS = "tracks.csv"
GENRES = "genres.csv"
FEATURES = "features.csv"
METADATA = "fma_metadata"

# The ids are known; which of the first two reasons goes with which id is second-hand, from
# code that cites issues 8 and 41 of mdeff/fma.
_NO_AUDIO = (
    *(1486, 5574, 65753, 80391, 98558, 98559, 98560, 98571, 99134, 105247),
    *(108925, 126981, 127336, 133297, 143992),
)
_CUT_SHORT = (98565, 98566, 98567, 98568, 98569, 108924)
_NEAR_SILENT = (107535, 110736, 119979, 130169)

ERRATA: Mapping[str, str] = (
    {f"{number:06d}": "no audio in it" for number in _NO_AUDIO}
    | {f"{number:06d}": "cut off long before 30 s" for number in _CUT_SHORT}
    | {f"{number:06d}": "near-silent" for number in _NEAR_SILENT}
)
"""What is wrong with a clip of FMA, by its id; medium has them all."""


def fits(root: Path) -> bool:
    """Tell whether a folder has FMA's tree of mp3, itself or in an `fma_small`, or its tables."""
    try:
        return any(_has_tree(audio) for audio in (root, *_audio_folders(root))) or all(
            (root / name).is_file() for name in (TRACKS, GENRES, FEATURES)
        )
    except OSError:
        return False


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the tracks of a subset; without one, those that are there.

    Parameters
    ----------
    root : Path
        Folder of the mp3 tree, or one that holds a single `fma_small`, `fma_medium`,
        `fma_large` or `fma_full`. That name says the subset, unless `wishes` does. Or the
        folder of the tables, where there is no audio.
    wishes : Wishes
        All of its fields concern FMA.

    Returns
    -------
    Scan
        `genre` is empty where a track's genres say none; its `problem` says why.

    Raises
    ------
    DatasetError
        If the tables are missing or not the official ones, or no track is left.
    """
    audio = _audio_folder(root)
    tables = _metadata_folder(root, wishes.metadata)
    present = _present(audio)
    if not present and (tables / FEATURES).is_file():
        return _scan_features(root, tables, wishes)
    plan = wishes.plan()
    subset = wishes.subset or _named_subset(audio)
    genres = read_genres(tables / GENRES)
    prefix = "" if audio == root else f"{audio.name}/"
    tracks = []
    for row in read_rows(tables / TRACKS):
        if (subset is None and row.file not in present) or not _is_in(row, subset):
            continue
        track = _track(row, genres, wishes)
        problem = track.problem
        if row.file not in present:
            problem = f"missing: there is no {prefix}{row.file}"
        if row.track_id in ERRATA:
            problem = f"{ERRATA[row.track_id]}, says the FMA errata list"
        tracks.append(replace(track, path=prefix + row.file, problem=problem))
    if not tracks:
        raise DatasetError(
            f"{root}: no track of {subset or 'any subset'}; found {len(present)} files like "
            f"000/000002.mp3, and none that {tables / TRACKS} lists"
        )
    return Scan(tuple(sorted(tracks, key=lambda track: track.track_id)), plan)


def _scan_features(root: Path, tables: Path, wishes: Wishes) -> Scan:
    """List the tracks that have a row in `features.csv`, or ought to have one."""
    plan = wishes.plan(offers=("handcrafted",))
    genres = read_genres(tables / GENRES)
    names, places, values = read_features(tables / FEATURES)
    tracks, rows = [], []
    listed = sorted(read_rows(tables / TRACKS), key=lambda row: row.track_id)
    for row in listed:
        place = places.get(row.track_id)
        if (place is None and wishes.subset is None) or not _is_in(row, wishes.subset):
            continue
        track = _track(row, genres, wishes)
        rows.append(-1 if place is None else place)
        tracks.append(track if place is not None else replace(track, problem=f"not in {FEATURES}"))
    if not tracks:
        raise DatasetError(f"{root}: {tables / FEATURES} has no track that {TRACKS} lists")
    chosen = values[rows]
    chosen[np.array(rows) < 0] = np.nan
    vectors = Vectors("handcrafted", names, chosen, f"FMA's {FEATURES}")
    ids = {row.track_id for row in listed}
    return Scan(tuple(tracks), plan, vectors, _strangers(ids, set(places), wishes.subset))


def _strangers(listed: set[str], featured: set[str], subset: Subset | None) -> tuple[str, ...]:
    """Say which tracks only one of the two tables has."""
    notes = []
    if subset is None and (lacking := len(listed - featured)):
        notes.append(
            f"{lacking} tracks of {TRACKS} are not in {FEATURES}, and are left out; --subset "
            "counts those of a subset as bad"
        )
    if unknown := sorted(featured - listed):
        notes.append(f"rows of {FEATURES} that {TRACKS} does not list: {shortened(unknown)}")
    return tuple(notes)


def _track(row: Row, genres: Mapping[str, Genre], wishes: Wishes) -> RawTrack:
    genre, problem = _genre_of(row, genres, wishes.level)
    return RawTrack(
        track_id=row.track_id,
        path="",
        genre=genre,
        split=row.split if wishes.own_split else None,
        genres="|".join(genres[number].title for number in row.genres or () if number in genres),
        artist=row.artist,
        album=row.album,
        title=row.title,
        problem=problem,
    )


def _genre_of(row: Row, genres: Mapping[str, Genre], level: Level) -> tuple[str, str]:
    """Return the genre, or an empty one, and what is wrong with it."""
    if level == "top" and row.top:
        return row.top, ""
    if row.genres is None:
        return "", "its genres are no list of ids like [21, 5]"
    unknown = [number for number in row.genres if number not in genres]
    if unknown:
        return "", f"its genre {unknown[0]} is not in {GENRES}"
    own = [genres[number] for number in row.genres]
    if level == "top":
        choices, what = list(dict.fromkeys(genre.root for genre in own)), "parents"
    else:
        above = {number for genre in own for number in genre.ancestors}
        choices, what = [number for number in row.genres if number not in above], "sub-genres"
    if not choices:
        return "", "it has no genre"
    titles = [genres[number].title for number in choices]
    if len(titles) > 1:
        return "", f"its genres have several {what}: {', '.join(titles)}"
    return titles[0], ""


def _is_in(row: Row, subset: Subset | None) -> bool:
    """Tell whether a track belongs to a subset, and so to all larger ones."""
    return subset is None or SUBSETS.index(row.subset) <= SUBSETS.index(subset)


def _audio_folders(root: Path) -> list[Path]:
    return [root / f"fma_{name}" for name in SUBSETS if (root / f"fma_{name}").is_dir()]


def _audio_folder(root: Path) -> Path:
    inside = _audio_folders(root)
    if len(inside) > 1:
        names = ", ".join(folder.name for folder in inside)
        raise DatasetError(f"{root}: holds several sets, {names}; name one of these folders")
    return inside[0] if inside else root


def _named_subset(audio: Path) -> Subset | None:
    name = audio.resolve().name.lower()
    return next((subset for subset in SUBSETS if name == f"fma_{subset}"), None)


def _metadata_folder(root: Path, wished: Path | None) -> Path:
    whole = root.resolve()
    places = [wished] if wished else [root, root / METADATA, whole.parent / METADATA]
    for place in places:
        if (place / TRACKS).is_file() and (place / GENRES).is_file():
            return place
    looked = ", ".join(map(str, places))
    raise DatasetError(
        f"{root}: no {TRACKS} with {GENRES} of FMA, looked in {looked}; "
        "name the unpacked fma_metadata with --metadata"
    )


def genre_table(root: Path) -> Path | None:
    """Return where FMA's tree of genres lies, for a dataset of it; None where there is none."""
    try:
        return _metadata_folder(root, None) / GENRES
    except DatasetError:
        return None


def _present(audio: Path) -> set[str]:
    try:
        return set(_tree(audio))
    except OSError as error:
        raise DatasetError(
            f"{error.filename}: cannot be read ({error.strerror}); check its permissions"
        ) from error


def _has_tree(audio: Path) -> bool:
    return any(True for _ in _tree(audio))


def _tree(audio: Path) -> Iterator[str]:
    """Yield the files of the tree as '000/000002.mp3'."""
    for folder in audio.iterdir():
        if re.fullmatch("[0-9]{3}", folder.name) and folder.is_dir():
            for path in folder.iterdir():
                if re.fullmatch(f"{folder.name}[0-9]{{3}}[.]mp3", path.name):
                    yield f"{folder.name}/{path.name}"
