"""`mgr zoo`: the entries there are, and whether they are sound."""

from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options

if TYPE_CHECKING:
    from mgr_cli.zoo.card import Assessment

app = typer.Typer(help="Look at the trained entries.", no_args_is_help=True)


@app.command(name="list")
def show_all(zoo: options.ZooOption = None) -> None:
    """List the entries: what they hear, and their accuracy on tracks."""
    from rich.table import Table

    from mgr_cli.errors import ZooError
    from mgr_cli.zoo import entries
    from mgr_cli.zoo.card import load_card

    zoos = entries.places(zoo)
    found = entries.folders(zoos)
    if not found:
        console.fail("the zoo is empty; train an entry with `mgr train`")
    default = entries.default_entry(zoos)
    table = Table(caption="accuracy of whole tracks in %, with its 95 % interval")
    for column in ("entry", "parameters", "trained on", "valid", "test"):
        table.add_column(
            column,
            justify="right" if column == "parameters" else "left",
            overflow="fold",
        )
    failed = False
    for name, folder in found.items():
        try:
            card = load_card(folder)
        except ZooError as error:
            console.error(str(error))
            failed = True
            continue
        table.add_row(
            f"{name} *" if folder == default else name,
            f"{card.n_parameters:,}",
            card.dataset.name,
            _accuracy(card.figures.get("valid")),
            _accuracy(card.figures.get("test")),
        )
    console.out.print(table)
    console.note("* is what `mgr predict` takes unasked")
    if failed:
        raise typer.Exit(console.SOME_FAILED)


def _accuracy(figures: "Assessment | None") -> str:
    estimate = figures.track.get("accuracy") if figures else None
    if estimate is None:
        return "–"
    value, low, high = (f"{100 * share:.1f}" for share in astuple(estimate))
    return f"{value} ({low}–{high})"


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENTRY]...", autocompletion=options.complete_entry, help="All by default."
        ),
    ] = None,
    zoo: options.ZooOption = None,
) -> None:
    """Check digests, and that each entry still computes what it computed when it was saved."""
    from mgr_cli.errors import MgrError
    from mgr_cli.zoo import entries

    zoos = entries.places(zoo)
    failed = False
    for name in names or entries.folders(zoos):
        try:
            difference = entries.verify(entries.find(name, zoos))
            console.out.print(f"{name}: sound, golden sample within {difference:.1e}")
        except MgrError as error:
            console.error(str(error))
            failed = True
    if failed:
        raise typer.Exit(console.SOME_FAILED)
