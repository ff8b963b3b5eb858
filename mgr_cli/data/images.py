"""Datasets of log-mel pictures, the form in which GTZAN and FMA are often shared.

A picture shows one track: row 0 is the highest mel band, its levels 0..255 span the track's own
lowest to highest, and a picture of W columns shows STFT frame floor((j + 0.5) · n_frames / W) in
column j. It is grey, or in the colours of a map that `colours` knows, with or without the white
or transparent frame of a matplotlib figure.

Either a `tracks.csv` lies beside the pictures, with the columns track_id, path, genre and, if the
set has one, split; or they lie in one folder a genre, as in Kaggle's `images_original`. Names like
GTZAN's, `blues.00000.png` or `blues00000.png`, get GTZAN's own split.
"""

import warnings
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL import __version__ as pillow_version

from mgr_cli import audio
from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.data import colours, gtzan, listing
from mgr_cli.data.sources import RawTrack, ReadTrack, Scan, Wishes
from mgr_cli.errors import DatasetError
from mgr_cli.files import find
from mgr_cli.plans import PRESETS, Plan

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
FOLDERS = ("images_original", ".")  # of the genre folders: as Kaggle has GTZAN, else the root

# Limits on what a stranger's picture may ask for; a larger one is refused before it is decoded.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")  # Pillow would run Ghostscript for some others
MAX_SIDE = 16_384  # pixels
MAX_PIXELS = 2**24  # as many columns of as many bands as a front end may have; 0.4 GB to decode

CLIP_SECONDS = 30.0
MAX_TRIES = 100  # pictures that are opened in search of one that can be read

# What Pillow raises for a file that is damaged or no picture.
_BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)

# The sets that people share, by (height, width) of a picture.
KNOWN = {
    (128, 387): FEATURES,  # GTZAN: 387.5 columns of the 1,293 frames of 30 s
    (128, 128): PRESETS["fma-pictures"].spec,
}


def fits(root: Path) -> bool:
    """Tell whether a folder's table begins with a picture, or its folders hold no audio but some.

    Audio beside pictures means that they are covers.
    """
    if (root / listing.TABLE).exists():
        return listing.first_path(root).lower().endswith(SUFFIXES)
    try:
        found = {path.suffix.lower() for path in find(root, {*SUFFIXES, *audio.SUFFIXES})}
        return not found & audio.SUFFIXES and bool(_pictures(root))
    except OSError:
        return False


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the pictures of a folder.

    Parameters
    ----------
    root : Path
        Folder of `tracks.csv`, the paths in which are relative to it; else of the genres'
        folders, or of `images_original` with them in it.
    wishes : Wishes
        Its `spec` is the front end that drew the pictures. Without it, that of the known set
        with pictures of this size; else 30 s at 22,050 Hz with librosa's defaults. Without
        `own_split` the split of the table, or of GTZAN, is passed over.

    Raises
    ------
    DatasetError
        If the table is not what it should be (see `listing.read_tracks`), there is no picture,
        none can be read, or features are asked for that pictures do not have.
    """
    if (root / listing.TABLE).exists():
        tracks = listing.read_tracks(root, wishes)
    else:
        tracks = _from_folders(root, wishes)
    spec = wishes.spec or _spec_of(root, tracks)
    return Scan(tracks, wishes.plan(offers=("log-mel",), spec=spec))


def read(path: Path, plan: Plan) -> ReadTrack:
    """Read a picture as log-mel frames.

    Raises
    ------
    DatasetError
        If it is no picture, in colours that cannot be undone, too large, has another height
        than the front end's `n_mels`, shows one single level, or is shorter than asked for.
    """
    grey, codec = _decode(path)
    try:
        rows = np.ascontiguousarray(to_levels(grey, plan).T)
    except DatasetError as error:
        raise DatasetError(f"{audio.shown(Path(path.name))}: {error}") from error
    return ReadTrack(
        features={"log-mel": [rows]},
        seconds=len(rows) / plan.spec.frame_rate,
        sample_rate=plan.spec.sample_rate,
        codec=codec,
        decoder=f"Pillow {pillow_version}",
    )


def to_levels(grey: np.ndarray, plan: Plan) -> np.ndarray:
    """Turn grey levels into what a plan's front end would have computed.

    Parameters
    ----------
    grey : np.ndarray [shape=(height, width)]
        0..255, the highest band on top.
    plan : Plan
        Its front end, and the lengths asked for.

    Returns
    -------
    np.ndarray [shape=(n_mels, n_frames)]
        float32, the lowest band first; in [0, 1], or in dB where the front end says so.

    Raises
    ------
    DatasetError
        If its height is not `n_mels`, it is shorter than `min_seconds`, or of one single level.
    """
    spec, (height, width) = plan.spec, grey.shape
    if height != spec.n_mels:
        raise DatasetError(f"{height} rows, expected {spec.n_mels} mel bands")
    seconds = width / spec.frame_rate
    if seconds < plan.min_seconds:
        raise DatasetError(f"{seconds:.1f} s long, {plan.min_seconds:.1f} s at least are asked for")
    if plan.max_seconds is not None:
        grey = grey[:, : max(1, round(plan.max_seconds * spec.frame_rate))]
    if grey.min() == grey.max():
        raise DatasetError(f"blank, every pixel is {grey.min():.0f}")
    levels = (grey[::-1] / 255).astype(np.float32)
    return (levels - 1) * np.float32(spec.top_db) if spec.scale == "decibel" else levels


def _decode(path: Path) -> tuple[np.ndarray, str]:
    """Read a file's (first) picture as grey levels 0..255 without a frame, and say its format."""
    try:
        pixels, codec = _pixels(path)
        return colours.to_grey(pixels), codec
    except DatasetError as error:
        raise DatasetError(f"{audio.shown(Path(path.name))}: {error}") from error
    except _BROKEN as error:
        name = audio.shown(Path(path.name))
        raise DatasetError(f"{name}: not a readable picture ({error})") from error


def _pixels(path: Path) -> tuple[np.ndarray, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a bomb or a damaged part; what matters, raises
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
                raise DatasetError(
                    f"{width} × {height} pixels, expected {MAX_SIDE} a side and "
                    f"{MAX_PIXELS:,} in all at the most"
                )
            return _as_array(picture), picture.format or ""


def _as_array(picture: Image.Image) -> np.ndarray:
    """Return grey levels [shape=(height, width)] or colours, without what is transparent."""
    if picture.mode.startswith("I"):  # 16 bits
        return np.asarray(picture, np.float32) / 257
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if picture.getextrema()[-1] != (255, 255):
            picture = picture.crop(picture.getbbox())
            paper = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(paper, picture)
    return np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"))


def _spec_of(root: Path, tracks: tuple[RawTrack, ...]) -> FeatureSpec:
    """Recognise the front end by the first picture that can be a spectrogram."""
    there = (root / track.path for track in tracks if (root / track.path).is_file())
    reason = "none of them is there"
    for path in islice(there, MAX_TRIES):
        try:
            height, width = _decode(path)[0].shape
            if (height, width) in KNOWN:
                return KNOWN[height, width]
            decimation = FeatureSpec().frame_rate * CLIP_SECONDS / width
            return FeatureSpec(n_mels=height, scale="minmax", decimation=decimation)
        except (DatasetError, ValueError) as error:  # ValueError: a size that no front end draws
            reason = str(error)
    raise DatasetError(f"{root}: no picture can be read as a spectrogram; the last: {reason}")


def _pictures(root: Path) -> list[tuple[str, Path]]:
    """List (genre, path) of the pictures in genre folders."""
    for base in (root / folder for folder in FOLDERS):
        if base.is_dir():
            genres = sorted(path for path in base.iterdir() if path.is_dir())
            found = [
                (genre.name, path)
                for genre in genres
                if not genre.name.startswith(".")
                for path in find(genre, SUFFIXES)
            ]
            if found:
                return found
    return []


def _from_folders(root: Path, wishes: Wishes) -> tuple[RawTrack, ...]:
    try:
        found = [(genre, path, _gtzan_id(genre, path)) for genre, path in _pictures(root)]
    except OSError as error:
        raise DatasetError(
            f"{error.filename}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    if not found:
        raise DatasetError(
            f"{root}: no {listing.TABLE} and no picture in a folder of it; expected one of them"
        )
    is_gtzan = 2 * sum(track_id != "" for _, _, track_id in found) > len(found)
    splits = gtzan.fault_filtered() if is_gtzan and wishes.own_split else None
    tracks = []
    for genre, path, track_id in found:
        relative = path.relative_to(root).as_posix()
        stray = is_gtzan and not track_id
        tracks.append(
            RawTrack(
                track_id=track_id if is_gtzan and track_id else relative,
                path=relative,
                genre=genre.lower() if is_gtzan else genre,
                split=None if splits is None else splits.get(track_id, ""),
                problem="not named as GTZAN's tracks are" if stray else "",
            )
        )
    return tuple(sorted(tracks, key=lambda track: track.track_id))


def _gtzan_id(genre: str, path: Path) -> str:
    """Return GTZAN's name of a track in a folder of its genre, blues.00000, or an empty text."""
    track_id = gtzan.track_of(path.stem)
    return track_id if track_id.split(".")[0] == genre.lower() else ""
