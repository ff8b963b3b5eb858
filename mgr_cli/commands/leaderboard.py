"""Entries side by side."""

from collections.abc import Sequence
from pathlib import Path

from mgr_cli.commands import console

WIDTH = 120  # characters, where there is no terminal that has its own


def show(folders: Sequence[Path], title: str) -> None:
    """Print how entries fare on the validation split, the best first."""
    from rich.table import Table

    from mgr_cli.zoo.card import load_card

    cards = sorted(
        map(load_card, folders), key=lambda card: -card.figures["valid"].track["accuracy"].value
    )
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("entry", no_wrap=True)
    for column in ("parameters", "epoch", "minutes", "accuracy", "F1 macro", "segments"):
        table.add_column(column, justify="right")
    for card in cards:
        track, segment = card.figures["valid"].track, card.figures["valid"].segment
        accuracy = track["accuracy"]
        table.add_row(
            card.name, f"{card.n_parameters:,}", f"{card.best_epoch}/{card.n_epochs}",
            f"{card.training_seconds / 60:.1f}",
            f"{100 * accuracy.value:.1f} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]",
            f"{100 * track['f1_macro'].value:.1f}", f"{100 * segment['accuracy'].value:.1f}",
        )  # fmt: skip
    console.out.print(table, width=None if console.out.is_terminal else WIDTH)
