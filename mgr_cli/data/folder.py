"""Datasets that are one folder a genre, with audio files in it, nested or not."""

from collections.abc import Iterator
from pathlib import Path

from mgr_cli import audio
from mgr_cli.data.extraction import read
from mgr_cli.data.sources import RawTrack, Scan, Wishes
from mgr_cli.errors import DatasetError
from mgr_cli.files import find

__all__ = ["fits", "read", "scan"]


def fits(root: Path) -> bool:
    """Tell whether a folder has folders with audio in them."""
    return any(True for _ in _audio(root))


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the audio files of a folder's folders; the genre is the folder's name.

    Parameters
    ----------
    root : Path
        Folder of the genres.
    wishes : Wishes
        What is computed.

    Raises
    ------
    DatasetError
        If there is no audio in any folder, or a folder cannot be read.
    """
    tracks = []
    for genre, path in _audio(root):
        relative = path.relative_to(root).as_posix()
        tracks.append(RawTrack(track_id=relative, path=relative, genre=genre))
    if not tracks:
        raise DatasetError(f"{root}: no audio in it; expected one folder a genre with audio files")
    return Scan(tuple(sorted(tracks, key=lambda track: track.track_id)), wishes.plan())


def _audio(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (genre, path of an audio file)."""
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
        for folder in folders:
            for path in find(folder, audio.SUFFIXES):
                yield folder.name, path
    except OSError as error:
        raise DatasetError(
            f"{error.filename}: cannot be read ({error.strerror}); check its permissions"
        ) from error
