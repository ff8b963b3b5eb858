"""Figures on disk."""

from pathlib import Path

from matplotlib.figure import Figure

from mgr_cli import files


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
        At its own resolution.
    path : Path
        Where it shall stand; missing parent folders are made.
    """
    with files.replacing(path) as part:
        # Without matplotlib's version, which it would write into the file.
        figure.savefig(part, format="png", dpi=figure.dpi, metadata={"Software": None})
