"""Datasets of grey log-mel pictures, the form in which GTZAN and FMA are often shared.

A picture shows one track: row 0 is the highest mel band, grey 0..255 spans the track's own
lowest to highest level, and a picture of W columns shows STFT frame
floor((j + 0.5) · n_frames / W) in column j. Beside the pictures lies a `tracks.csv` with
the columns track_id, path, genre and, if the set has one, split.
"""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL import __version__ as pillow_version

from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.data import listing
from mgr_cli.data.sources import RawTrack, ReadTrack, Scan, Wishes
from mgr_cli.errors import DatasetError

MAX_SIDE = 16_384  # pixels; a larger picture is refused before it is decoded
CLIP_SECONDS = 30.0

# What Pillow raises for a file that is damaged or no picture.
_BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)

# The sets that people share, by (height, width) of a picture.
KNOWN = {
    (128, 387): FEATURES,  # GTZAN: 387.5 columns of the 1,293 frames of 30 s
    (128, 128): FeatureSpec(sample_rate=44_100, scale="minmax", decimation=2584 / 128),  # FMA
}


def fits(root: Path) -> bool:
    """Tell whether a folder holds a table whose first track is a picture."""
    return listing.first_path(root).lower().endswith((".png", ".jpg", ".jpeg"))


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the pictures of a folder.

    Parameters
    ----------
    root : Path
        Folder of `tracks.csv`; the paths in it are relative to it.
    wishes : Wishes
        Its `spec` is the front end that drew the pictures. Without it, that of the known set
        with pictures of this size; else 30 s at 22,050 Hz with librosa's defaults. Without
        `own_split` the table's split is passed over.

    Raises
    ------
    DatasetError
        If the table is not what it should be (see `listing.read_tracks`), or no picture can be
        opened.
    """
    tracks = listing.read_tracks(root, wishes)
    return Scan(tracks, wishes.spec or _spec_of(root, tracks))


def read(path: Path, spec: FeatureSpec) -> ReadTrack:
    """Read a picture as levels in [0, 1], lowest band first.

    Raises
    ------
    DatasetError
        If it is no picture, not grey, too large, has another height than `spec.n_mels`,
        or shows one single level.
    """
    try:
        with Image.open(path) as picture:
            if max(picture.size) > MAX_SIDE:
                raise DatasetError(f"{path.name}: {picture.size} pixels, more than {MAX_SIDE}")
            if picture.mode not in ("L", "1"):
                raise DatasetError(f"{path.name}: a {picture.mode} picture, expected grey (L)")
            codec = picture.format or ""
            grey = np.asarray(picture.convert("L"), np.float32)
    except _BROKEN as error:
        raise DatasetError(f"{path.name}: not a readable picture ({error})") from error
    if grey.shape[0] != spec.n_mels:
        raise DatasetError(f"{path.name}: {grey.shape[0]} rows, expected {spec.n_mels} mel bands")
    if grey.min() == grey.max():
        raise DatasetError(f"{path.name}: blank, every pixel is {grey.min():.0f}")
    levels = np.ascontiguousarray(grey[::-1]) / 255
    if spec.scale == "decibel":
        levels = (levels - 1) * np.float32(spec.top_db)
    seconds = grey.shape[1] / spec.frame_rate
    return ReadTrack(levels, seconds, spec.sample_rate, codec, f"Pillow {pillow_version}")


def _spec_of(root: Path, tracks: tuple[RawTrack, ...]) -> FeatureSpec:
    for track in tracks:
        try:
            with Image.open(root / track.path) as picture:
                width, height = picture.size
            if (height, width) in KNOWN:
                return KNOWN[height, width]
            decimation = FeatureSpec().frame_rate * CLIP_SECONDS / width
            return FeatureSpec(n_mels=height, scale="minmax", decimation=decimation)
        except _BROKEN:  # among them a size that no front end draws
            continue
    raise DatasetError(f"{root}: no picture in {listing.TABLE} can be opened and is a spectrogram")
