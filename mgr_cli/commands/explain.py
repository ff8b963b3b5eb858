"""`mgr explain`: what in a song made an entry say so, and other views into it."""

from pathlib import Path
from typing import Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import (
    EXPLAINED_SECONDS,
    MAX_EXPLAINED_SECONDS,
    METHODS,
    N_FILTERS,
    N_PERMUTATIONS,
    SEED,
    VIEWS,
    Mapped,
    Measure,
    Method,
    Projection,
    Split,
    View,
)

SONG = "A song"
FILTERS = "Filters"
MAP = "A map of tracks"
FEATURES = "Importance of features"


# Which options each view listens to, by the names of the parameters below.
_ALWAYS = {"png", "seed", "device", "prepared", "zoo"}
_ENTRY = {*_ALWAYS, "model", "json"}
_SPLIT = {*_ENTRY, "data", "split"}
TAKES = {
    "a song": {
        *_ENTRY, "song", "method", "start", "seconds", "check", "listen", "listen_against"
    },
    "--picture": {*_ALWAYS, "song", "picture", "data"},
    "--filters": {*_ENTRY, "filters", "n_filters"},
    "--map": {*_SPLIT, "map", "of", "dimensions", "html"},
    "--importance": {*_SPLIT, "importance", "repeats", "top"},
    "--importance impurity": {*_ENTRY, "importance", "top"},
}  # fmt: skip


def command(
    context: typer.Context,
    song: Annotated[
        str | None,
        typer.Argument(
            metavar="SONG",
            help="Audio file; with --picture also a track id.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME",
            rich_help_panel=SONG,
            autocompletion=lambda: list(METHODS),
            help=f"How it is found what spoke for a genre: {', '.join(METHODS)}; may be repeated "
            "(default: all).",
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            "--start",
            min=0,
            metavar="SECONDS",
            rich_help_panel=SONG,
            help="Where the explained part begins (default: where the winner is surest).",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            min=0.1,
            max=MAX_EXPLAINED_SECONDS,
            rich_help_panel=SONG,
            help="Length of the explained part, in whole segments.",
        ),
    ] = EXPLAINED_SECONDS,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            rich_help_panel=SONG,
            help="Measure whether the pictures tell what the entry looks at.",
        ),
    ] = True,
    listen: Annotated[
        Path | None,
        typer.Option(
            "--listen",
            metavar="WAV",
            rich_help_panel=SONG,
            help="Write the song with what did not speak for the winner turned down.",
        ),
    ] = None,
    listen_against: Annotated[
        Path | None,
        typer.Option(
            "--listen-against",
            metavar="WAV",
            rich_help_panel=SONG,
            help="The same for the runner-up.",
        ),
    ] = None,
    picture: Annotated[
        list[str] | None,
        typer.Option(
            "--picture",
            metavar="VIEW",
            rich_help_panel=SONG,
            autocompletion=lambda: list(VIEWS),
            help="Only draw the song, or a track of --data by its id: "
            f"{', '.join(VIEWS)}; may be repeated.",
        ),
    ] = None,
    filters: Annotated[
        str | None,
        typer.Option(
            "--filters",
            metavar="LAYER",
            rich_help_panel=FILTERS,
            help="What excites the filters of a layer: its name, or its number from 1; list shows "
            "them.",
        ),
    ] = None,
    n_filters: Annotated[
        int,
        typer.Option(
            "--n-filters", min=1, max=64, rich_help_panel=FILTERS, help="How many of them."
        ),
    ] = N_FILTERS,
    map: Annotated[
        Projection | None,
        typer.Option("--map", rich_help_panel=MAP, help="Where the tracks of a split lie."),
    ] = None,
    of: Annotated[
        Mapped | None,
        typer.Option(
            "--of",
            rich_help_panel=MAP,
            help="What is mapped (default: embeddings of a net, else features).",
        ),
    ] = None,
    dimensions: Annotated[
        int,
        typer.Option("--dimensions", min=2, max=3, rich_help_panel=MAP, help="2 or 3."),
    ] = 2,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            rich_help_panel=MAP,
            help="Where the page goes that can be pointed at (default: named after what it shows).",
        ),
    ] = None,
    importance: Annotated[
        Measure | None,
        typer.Option(
            "--importance",
            rich_help_panel=FEATURES,
            help="Which features count: by shuffling them (any entry), or by impurity (trees).",
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            "--repeats", min=1, rich_help_panel=FEATURES, help="Permutations of each feature."
        ),
    ] = N_PERMUTATIONS,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            min=1,
            max=100,
            rich_help_panel=FEATURES,
            help="Features and families that are shown.",
        ),
    ] = 20,
    model: options.ModelOption = None,
    data: options.OwnDataOption = None,
    split: Annotated[
        Split, typer.Option("--split", help="Whose tracks are mapped, or have features shuffled.")
    ] = "valid",
    png: Annotated[
        Path | None,
        typer.Option("--png", help="Where the picture goes (default: named after what it shows)."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    seed: options.SeedOption = SEED,
    device: options.DeviceOption = "auto",
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:
    """Show what in a song made an entry say so, or look into the entry.

    Which seconds and which frequencies spoke for the winning genre, and for the runner-up. Other
    views: --filters, what the filters of a layer look for; --map, where tracks lie; --importance,
    which features count; --picture, the song itself. The entry is the default one of the zoo,
    unless --model names another.
    """
    views = {"--filters": filters, "--map": map, "--importance": importance}
    asked = [name for name, value in views.items() if value is not None]
    if len(asked) > 1:
        console.fail(f"{asked[0]} and {asked[1]} are views of their own; ask for one at a time")
    if asked and (song is not None or picture):
        console.fail(f"{asked[0]} is a view of an entry, and takes no song")
    if not asked and song is None:
        console.fail("nothing to explain; name a song, or say --filters, --map or --importance")
    methods, drawn = _methods(method), _views(picture)
    view = asked[0] if asked else "--picture" if drawn else "a song"
    _refuse_others(context, "--importance impurity" if importance == "impurity" else view)
    if drawn and song is not None:
        from mgr_cli.commands import pictures

        pictures.show(song, views=drawn, data=data, prepared=prepared, png=png)
        return
    from mgr_cli.commands import lookup

    folder = lookup.default_entry(model, zoo)
    if song is not None:
        from mgr_cli.commands import song as of_song

        of_song.show(
            Path(song), folder, methods=methods, start=start, seconds=seconds, check=check,
            listen=listen, listen_against=listen_against, png=png, json=json, seed=seed,
            device=device,
        )  # fmt: skip
    elif filters is not None:
        from mgr_cli.commands import filters as of_filters

        of_filters.show(
            filters, folder, n_filters=n_filters, png=png, json=json, seed=seed, device=device
        )
    elif map is not None:
        from mgr_cli.commands import maps

        maps.show(
            map, folder, of=of, dimensions=dimensions, data=data, prepared=prepared, split=split,
            png=png, html=html, json=json, seed=seed, device=device,
        )  # fmt: skip
    elif importance is not None:
        from mgr_cli.commands import importances

        importances.show(
            importance, folder, data=data, prepared=prepared, split=split, repeats=repeats,
            top=top, png=png, json=json, seed=seed, device=device,
        )  # fmt: skip


def _refuse_others(context: typer.Context, view: str) -> None:
    """Refuse options that a view does not listen to."""
    for each in context.command.params:
        source = each.name and context.get_parameter_source(each.name)
        if source and source.name == "COMMANDLINE" and each.name not in TAKES[view]:
            console.fail(f"{each.opts[0]} means nothing to {view}; leave it out")


def _methods(asked: list[str] | None) -> tuple[Method, ...]:
    for name in asked or []:
        if name not in METHODS:
            console.fail(f"no --method {name!r}, there are {', '.join(METHODS)}")
    return tuple(each for each in METHODS if not asked or each in asked)


def _views(asked: list[str] | None) -> tuple[View, ...]:
    for name in asked or []:
        if name not in VIEWS:
            console.fail(f"no --picture {name!r}, there are {', '.join(VIEWS)}")
    return tuple(each for each in VIEWS if each in (asked or []))
