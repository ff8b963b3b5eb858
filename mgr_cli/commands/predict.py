"""`mgr predict`: the genre of songs."""

from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import TagMode, VoteRule

if TYPE_CHECKING:
    from mgr_cli.commands.answers import Taker
    from mgr_cli.commands.songs import Run

SHOWN = "What is shown"
TAGS = "Tags"

# Options that exclude each other, and those that mean nothing without one of others.
CLASHES = (
    ("json", "csv"),
    *(("audit", name) for name in ("write_tags", "timeline", "top")),
    *(("csv", name) for name in ("timeline", "top")),
    *(("dry_run", name) for name in ("json", "csv", "timeline", "top")),
)
NEEDS = {
    "dry_run": ("write_tags",),
    "mode": ("write_tags",),
    "min_confidence": ("write_tags",),
    "genre_names": ("write_tags", "audit", "labels"),
}


def command(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Audio files, folders, 'patterns/**/*.mp3', @lists, m3u playlists; - reads names "
            "on stdin.",
            show_default=False,
        ),
    ] = None,
    model: options.ModelOption = None,
    vote: Annotated[
        VoteRule | None, typer.Option("--vote", help="How segments vote (default: the card's).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Do not judge again what is done and unchanged.")
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, rich_help_panel=SHOWN,
            help="Genres that are shown of a song (default: 5 of a single one, 3 if unsure).",
        ),
    ] = None,
    timeline: Annotated[
        bool,
        typer.Option(
            "--timeline", rich_help_panel=SHOWN,
            help="The genre over each song; a single one shows it unasked.",
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=SHOWN,
            help="A JSON object a line on stdout, one a file, as they are done.",
        ),
    ] = False,
    csv: Annotated[
        bool,
        typer.Option("--csv", rich_help_panel=SHOWN, help="CSV on stdout, a row a song."),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FOLDER", rich_help_panel=SHOWN,
            help="Write a label track for Audacity there, a text file a song.",
        ),
    ] = None,
    genre_names: Annotated[
        Path | None,
        typer.Option(
            "--genre-names", metavar="FILE", rich_help_panel=TAGS,
            help="Your names of the genres, for tags and labels.",
        ),
    ] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", rich_help_panel=TAGS,
            help="List the songs whose tag the entry disagrees with, most confident first.",
        ),
    ] = False,
    write_tags: Annotated[
        bool, typer.Option("--write-tags", rich_help_panel=TAGS, help="Write genres into files.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", rich_help_panel=TAGS, help="Show old and new, write nothing."),
    ] = False,
    mode: Annotated[
        TagMode,
        typer.Option(
            "--mode", rich_help_panel=TAGS,
            help="Only where there is no genre, in its place, or behind it.",
        ),
    ] = "fill",
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence", min=0, max=1, metavar="SHARE", rich_help_panel=TAGS,
            help="Write only what the entry is so sure of; in any case nothing it is unsure of.",
        ),
    ] = None,
    undo: Annotated[
        Path | None,
        typer.Option(
            "--undo", metavar="LOG", rich_help_panel=TAGS,
            help="Restore the tags that a run has changed, from the log that it left.",
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    zoo: options.ZooOption = None,
    jobs: options.JobsOption = -1,
    engine: options.EngineOption = "local",
    scheduler: options.SchedulerOption = None,
) -> None:  # fmt: skip
    """Say which genre songs are of.

    A song is cut into segments of 3 s, and the segments vote. A file that cannot be used
    gets one line on stderr, and the others are predicted all the same (exit code 1).
    """
    _refuse(context)
    if undo is not None:
        from mgr_cli.commands import retag

        _end(retag.undo(undo))
        return
    if not paths:
        console.fail("no songs; name files or folders, or - for names on stdin")
    if scheduler and engine == "local":
        console.fail("--scheduler is of a cluster; say which --engine, as dask")
    if jobs < 1 and jobs != -1:
        console.fail(f"--jobs is {jobs}, expected -1 or at least 1")
    from mgr_cli.bulk import Order
    from mgr_cli.commands import lookup, songs, takers
    from mgr_cli.zoo.card import load_card

    named = songs.collect(paths)
    order = Order(
        lookup.default_entry(model, zoo), vote=vote, device=device, n_jobs=jobs, engine=engine,
        scheduler=scheduler, alone=len(named) == 1,
    )  # fmt: skip
    card = load_card(order.folder)
    wishes = takers.Wishes(
        top, timeline, json, csv, labels, genre_names, audit, write_tags, dry_run, mode,
        min_confidence,
    )  # fmt: skip
    with ExitStack() as stack:
        several = resume or len(named) > 1
        journal = songs.open_journal(stack, card, vote, must=resume) if several else None
        changes = write_tags and not dry_run
        run = songs.Run(named, order, journal=journal, resume=resume, changes=changes)
        failed = _show(run, takers.make(wishes, card, [each.path for each in named]))
    if len(named) > 1:
        console.note(run.tally.summary())
    _end(failed or run.tally.n_failed > 0)


def _refuse(context: typer.Context) -> None:
    """Refuse options that exclude each other, or mean nothing together."""
    flags = {
        each.name: each.opts[0]
        for each in context.command.params
        if each.name
        and (source := context.get_parameter_source(each.name))
        and source.name == "COMMANDLINE"
    }
    for one, other in CLASHES:
        if {one, other} <= flags.keys():
            console.fail(f"{flags[one]} and {flags[other]} exclude each other; choose one")
    others = [flag for name, flag in flags.items() if name not in ("undo", "paths")]
    if "undo" in flags and (others or "paths" in flags):
        what = others[0] if others else "the songs"
        console.fail(f"--undo takes nothing but its log; leave out {what}")
    for name, needed in NEEDS.items():
        if name in flags and not flags.keys() & set(needed):
            said = " or ".join("--" + each.replace("_", "-") for each in needed)
            console.fail(f"{flags[name]} means nothing without {said}")


def _show(run: "Run", takers: "list[Taker]") -> bool:
    """Give every record to all that take it, and tell whether one of them failed."""
    tally = run.tally
    with console.progress("predicting") as progress, closing(run.arrivals()) as arrivals:
        try:
            for place, record in arrivals:
                if record.status == "error":
                    console.error(record.error)
                for take in takers:
                    take(place, record)
                progress(tally.n_done, tally.n_songs, f"songs, {tally.pace()}")
        except BaseException as error:  # also a full disk, or a reader that has gone
            for take in takers:
                with suppress(OSError):
                    take.finish()
            if run.is_kept and isinstance(error, KeyboardInterrupt):
                console.note(
                    f"{tally.n_done:,} of {tally.n_songs:,} songs are done; the same command with "
                    "--resume goes on from there"
                )
            raise
    failed = [take.finish() for take in takers]
    run.finish()
    return any(failed)


def _end(failed: bool) -> None:
    if failed:
        raise typer.Exit(console.SOME_FAILED)
