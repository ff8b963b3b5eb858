"""`mgr zoo`: the entries there are, whether they are sound, and which one is asked."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mgr_cli.commands import console, exchange, options

app = typer.Typer(
    help="List, look at, describe, check, exchange and remove trained entries.",
    no_args_is_help=True,
)

Entries = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ENTRY]...", autocompletion=options.complete_entry, help="All by default."
    ),
]
Entry = Annotated[
    str | None,
    typer.Argument(
        metavar="[ENTRY]", autocompletion=options.complete_entry,
        help="By name or folder (default: what `mgr predict` takes unasked).",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@app.command(name="list")
def show_all(json: JsonOption = False, zoo: options.ZooOption = None) -> None:
    """List the entries: what they hear, what they were trained on, and how good they are."""
    from mgr_cli.commands import inventory

    if not inventory.show(zoo, json=json):
        raise typer.Exit(console.SOME_FAILED)


@app.command()
def show(
    name: Entry = None,
    json: Annotated[bool, typer.Option("--json", help="Print the card's own JSON.")] = False,
    zoo: options.ZooOption = None,
) -> None:
    """Show the card of an entry: what it is, how good it is, how it fails, what it is not for."""
    from mgr_cli.commands import cards, lookup
    from mgr_cli.zoo.card import load_card

    folder = lookup.default_entry(name, zoo)
    if json:
        cards.print_json(load_card(folder))
    else:
        cards.show(folder)


@app.command()
def describe(
    name: Annotated[
        str,
        typer.Argument(metavar="ENTRY", autocompletion=options.complete_own, help="By name."),
    ],
    chosen: Annotated[
        str | None,
        typer.Option(
            "--chosen", metavar="TEXT",
            help="How it was chosen, among what, and who else looked at its test split.",
        ),
    ] = None,
    not_for: Annotated[
        str | None, typer.Option("--not-for", metavar="TEXT", help="What it is not for.")
    ] = None,
    provenance: Annotated[
        str | None,
        typer.Option("--provenance", metavar="TEXT", help="What it was trained from, and how."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="TEXT", help="Of the weights.")
    ] = None,
    zoo: options.ZooOption = None,
) -> None:  # fmt: skip
    """Write on the card of an entry of your own what no program knows of it."""
    texts = {
        "chosen": chosen, "not_for": not_for, "provenance": provenance, "licence": licence,
    }  # fmt: skip
    given = [key for key, text in texts.items() if text is not None]
    if not given:
        console.fail("nothing to write; say --chosen, --not-for, --provenance or --licence")
    from mgr_cli.zoo import descriptions, entries

    zoos = entries.places(zoo)
    folder = entries.find(name, zoos)
    if folder.parent.resolve() != zoos[0].resolve():
        console.fail(
            f"{folder} is not in your zoo {zoos[0]}; name its zoo by --zoo, or take a copy by "
            "`mgr zoo import`"
        )
    descriptions.describe(
        folder, chosen=chosen, not_for=not_for, provenance=provenance, licence=licence
    )
    console.note(f"{folder}: {', '.join(given).replace('_', '-')} on its card")


@app.command()
def combine(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new entry.")],
    members: Annotated[
        list[str],
        typer.Argument(
            metavar="ENTRY...", autocompletion=options.complete_entry,
            help="Nets with the same front end, of the same split of the same dataset.",
        ),
    ],
    data: options.DataOption = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Of the weights (default: the members').")
    ] = None,
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:  # fmt: skip
    """Make one entry of several: a committee, whose answer is the geometric mean of theirs."""
    from mgr_cli.combination import combine as combined
    from mgr_cli.commands.lookup import dataset_of
    from mgr_cli.zoo import entries
    from mgr_cli.zoo.card import load_card

    folders = [entries.find(member, entries.places(zoo)) for member in members]
    home = entries.home(zoo)
    with console.progress("validating") as progress:
        folder = combined(
            folders,
            dataset_of(load_card(folders[0]), data, prepared),
            home,
            name=name,
            licence=licence,
            progress=progress,
        )
    console.note(f"{folder}; judge it with `mgr eval --model {folder.name}`")


@app.command()
def verify(names: Entries = None, zoo: options.ZooOption = None) -> None:
    """Check digests, and that each entry still computes what it computed when it was saved."""
    from mgr_cli.errors import MgrError
    from mgr_cli.zoo import entries
    from mgr_cli.zoo.card import load_card

    zoos = entries.places(zoo)
    failed = False
    for name in names or entries.folders(zoos):
        try:
            folder = entries.find(name, zoos)
            sound, without = entries.verify(folder), console.plain(load_card(folder).no_graph)
        except MgrError as error:
            console.error(str(error))
            failed = True
            continue
        graph = (
            f"no ONNX{f': {without}' if without else ''}"
            if sound.graph is None
            else f"ONNX within {sound.graph:.1e}"
        )
        line = f"{console.plain(name)}: sound, golden sample within {sound.difference:.1e}, {graph}"
        console.out.print(line, markup=False)
    if failed:
        raise typer.Exit(console.SOME_FAILED)


@app.command()
def default(name: Entry = None, zoo: options.ZooOption = None) -> None:
    """Say which entry judges unless another is asked for, or choose it."""
    from mgr_cli.files import write_text
    from mgr_cli.zoo import entries
    from mgr_cli.zoo.card import load_card

    zoos = entries.places(zoo)
    if name is None:
        console.out.print(console.plain(entries.default_entry(zoos).name), markup=False)
        return
    folder = entries.folders(zoos).get(name)
    if folder is None:
        folder = entries.find(name, zoos)
        console.fail(f"{folder} is in no zoo that is looked in; `mgr zoo import` takes it into one")
    _ = load_card(folder).plan  # what hears no sound cannot be asked of a song
    write_text(zoos[0] / entries.DEFAULT, f"{name}\n")
    console.note(f"{name} judges from now on; {zoos[0] / entries.DEFAULT} says so")


@app.command()
def remove(
    names: Annotated[
        list[str],
        typer.Argument(metavar="ENTRY...", autocompletion=options.complete_own, help="By name."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    zoo: options.ZooOption = None,
) -> None:
    """Delete entries of your own zoo; those that come with the package stay."""
    from mgr_cli.zoo import departures, entries

    zoos = entries.places(zoo)
    names = list(dict.fromkeys(names))
    folders = [departures.removable(name, zoos) for name in names]
    if not yes:
        _ask(folders)
    for folder in folders:
        was_default = departures.remove(folder)
        console.note(f"{folder} is gone")
        if was_default:
            console.note("it was the default; the newest entry is from now on")


def _ask(folders: list[Path]) -> None:
    """Go on only if somebody says so."""
    what = ", ".join(map(str, folders))
    if not sys.stdin.isatty():
        console.fail(f"{what} would be deleted for good; say --yes where nobody can be asked")
    typer.confirm(f"delete {what} for good?", abort=True, err=True)


app.command("export")(exchange.send)
app.command("import")(exchange.receive)
