"""`mgr train --arch random-forest`, or all of scikit-learn's rows side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mgr_cli.commands import console, leaderboard

if TYPE_CHECKING:
    from mgr_cli.data.dataset import PreparedDataset


def fit(
    names: Sequence[str],
    dataset: "PreparedDataset",
    place: Path,
    *,
    hyperparameters: Mapping[str, Any],
    name: str | None,
    seed: int,
    licence: str,
) -> None:
    """Fit pipelines, put each into the zoo, and show how they fare."""
    from mgr_cli import fitting, publication
    from mgr_cli.errors import MgrError

    console.note(f"{', '.join(names)} on {dataset.name}: {dataset.counts()}")
    folders, n_failed = [], 0
    for row in names:
        try:
            with console.progress(row) as progress:
                fitted = fitting.fit(
                    dataset, row, hyperparameters=dict(hyperparameters), seed=seed,
                    progress=progress,
                )  # fmt: skip
                folder = publication.publish(fitted, dataset, place, name=name, licence=licence)
        except MgrError as error:
            if len(names) == 1:
                raise
            console.error(f"{row}: {error}")
            n_failed += 1
            continue
        folders.append(folder)
        for remark in fitted.notes:
            console.note(f"{row}: {remark}")
        console.note(f"{row}: fitted in {fitted.seconds:.1f} s, {folder}")
    leaderboard.show_pipelines(folders, f"{dataset.name}, validation split")
    if n_failed:
        raise typer.Exit(console.SOME_FAILED)
