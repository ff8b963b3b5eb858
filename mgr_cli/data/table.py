"""Datasets that are audio files and a `tracks.csv` that says what they are."""

from pathlib import Path

from mgr_cli import audio
from mgr_cli.config import FEATURES
from mgr_cli.data import listing
from mgr_cli.data.folder import read
from mgr_cli.data.sources import Scan, Wishes

__all__ = ["fits", "read", "scan"]


def fits(root: Path) -> bool:
    """Tell whether a folder holds a table whose first track is an audio file."""
    return Path(listing.first_path(root)).suffix.lower() in audio.SUFFIXES


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the tracks of a folder's table.

    Parameters
    ----------
    root : Path
        Folder of `tracks.csv`; the paths in it are relative to it.
    wishes : Wishes
        Its `spec` is the front end, the project's default without it; without `own_split`
        the table's split is passed over.

    Raises
    ------
    DatasetError
        If the table is not what it should be; see `listing.read_tracks`.
    """
    return Scan(listing.read_tracks(root, wishes), wishes.spec or FEATURES)
