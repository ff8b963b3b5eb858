"""`mgr eval`: how good entries are on a split of a prepared dataset."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import PRECISION, SEED, Split, VoteRule

if TYPE_CHECKING:
    from mgr_cli.appraisal import Appraisal

OTHER = "Several entries"
DATASET = "Another dataset"
FORMS = "Other forms of the same sound"


def command(
    context: typer.Context,
    entries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENTRY]...", help="More for --compare.", show_default=False,
            autocompletion=options.complete_entry,
        ),
    ] = None,
    model: options.ModelOption = None,
    data: options.OwnDataOption = None,
    split: Annotated[Split, typer.Option("--split", help="Which tracks.")] = "test",
    vote: Annotated[
        VoteRule | None, typer.Option("--vote", help="How segments vote (default: the card's).")
    ] = None,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Draw the confusion matrix, here and as a PNG.")
    ] = False,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png", help="Where the PNG goes (default: ENTRY-DATASET-SPLIT-confusion.png)."
        ),
    ] = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="List the most confident mistakes, with their files.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="Mistakes that are listed.")] = 20,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Fit a temperature on validation, and from which confidence on to believe; draw "
            "reliability as a PNG.",
        ),
    ] = False,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision", min=0.01, max=0.99,
            help="Share of right answers that --calibrate wants of those that are believed "
            f"(default: {PRECISION}).",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="HTML", help="Write all of it to one page."),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", metavar="ENTRY...", rich_help_panel=OTHER,
            autocompletion=options.complete_entry,
            help="Judge several entries on the same tracks, and test how they differ.",
        ),
    ] = None,
    leak_study: Annotated[
        bool,
        typer.Option(
            "--leak-study", rich_help_panel=OTHER,
            help="Train the entry's recipe on a random split too, and show what that feigns.",
        ),
    ] = False,
    genre_map: Annotated[
        Path | None,
        typer.Option(
            "--genre-map", metavar="YAML", rich_help_panel=DATASET,
            help="Which of the entry's genres mean which of the dataset's.",
        ),
    ] = None,
    regrid: Annotated[
        bool,
        typer.Option(
            "--regrid", rich_help_panel=DATASET,
            help="Judge log-mels of another front end, translated to the entry's own.",
        ),
    ] = False,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak", rich_help_panel=DATASET,
            help="Judge tracks that the entry was trained on all the same; the output says so.",
        ),
    ] = False,
    genre_tree: Annotated[
        Path | None,
        typer.Option(
            "--genre-tree", metavar="CSV", rich_help_panel=DATASET,
            help="FMA's genres.csv, to weigh errors by (default: that of the dataset, if any).",
        ),
    ] = None,
    robust: Annotated[
        str | None,
        typer.Option(
            "--robust", metavar="AUDIO", rich_help_panel=FORMS,
            help="Judge no dataset but a file or folder: as it is, and as mp3, ogg, m4a, louder, "
            "softer, mono, resampled, in part.",
        ),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures to the entry's card, and what "
            "--calibrate fits.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    seed: options.SeedOption = SEED,
    device: options.DeviceOption = "auto",
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:  # fmt: skip
    """Judge an entry on a split, by default the newest entry on its test split.

    Scores are given for whole tracks, after the vote, and for single segments, each with a
    95 % bootstrap interval over tracks. Tracks that an entry was trained on are no test, and
    refused.
    """
    if robust is not None:
        from mgr_cli.commands import robustness

        _refuse_beside_robust(context, robustness.ALLOWED)
        robustness.show(robust, model=model, vote=vote, zoo=zoo, device=device, json=json)
        return
    names: list[str | None] = [*(compare or []), *(entries or [])]
    source = context.get_parameter_source("model")
    is_named = source is not None and source.name == "COMMANDLINE"  # not in MGR_MODEL
    if entries and not compare:
        console.fail(f"{entries[0]!r} is one name too many; name an entry by --model, or --compare")
    if compare and (len(names) < 2 or is_named or record or leak_study or png):
        console.fail(
            "--compare takes two entries or more, without --model, --record, --png, --leak-study"
        )
    if precision is not None and not (calibrate or report):
        console.fail("--precision is what --calibrate chooses a threshold for; add that")
    from mgr_cli.commands import judging, lookup, scores

    if leak_study:
        others = (vote, confusion, png, errors, calibrate, report, genre_map, genre_tree, record)
        if split != "test" or allow_leak or regrid or any(others):
            console.fail(
                "--leak-study trains and tests an entry; it takes --model, --data and --seed"
            )
        from mgr_cli.commands import leak_study as study

        study.show(
            model, data=data, prepared=prepared, zoo=zoo, seed=seed, device=device, json=json
        )
        return
    order = judging.Order(
        data=data, split=split, vote=vote, genre_map=genre_map, allow_leak=allow_leak,
        regrid=regrid, genre_tree=genre_tree, calibrate=calibrate or report is not None, seed=seed,
        device=device, prepared=prepared, precision=precision or PRECISION, record=record,
        learn=record and calibrate,
    )  # fmt: skip
    folders = [lookup.entry(name, zoo) for name in (names or [model])]
    found = judging.judge(folders, order)
    pairs = judging.compared(found, seed) if compare else ()
    if record:
        judging.record(folders[0], found[0], order)
    if json:
        scores.print_json(found, pairs)
    else:
        shown = top if errors else 0
        scores.show(found, pairs, confusion=confusion or png is not None, errors=shown)
    for each in found:
        _draw(each, confusion=confusion, calibrate=calibrate, png=png)
    if report is not None:
        from mgr_cli.reports import evaluation, page

        again = shlex.join(["mgr", *sys.argv[1:]])
        html = evaluation.render(found, pairs=pairs, command=again, n_mistakes=top)
        page.save(html, report)
        console.note(f"report: {report}")


def _refuse_beside_robust(context: typer.Context, allowed: frozenset[str]) -> None:
    """Refuse what means nothing where no dataset is judged."""
    for each in context.command.params:
        source = context.get_parameter_source(each.name or "")
        if source and source.name == "COMMANDLINE" and each.name not in allowed:
            what = each.opts[0] if each.opts[0].startswith("-") else "the entry"
            console.fail(f"--robust judges no dataset; leave out {what}, it takes --model, --vote")


def _draw(found: "Appraisal", *, confusion: bool, calibrate: bool, png: Path | None) -> None:
    """Write the pictures that are asked for."""
    from mgr_cli.reports import confusion as matrix
    from mgr_cli.reports import figures, reliability

    done = found.evaluation
    stem = f"{done.entry}-{done.dataset}-{done.split}"
    if confusion or png:
        target = png or Path(f"{stem}-confusion.png")
        figures.save(matrix.draw(done.track_counts, done.genres, title=found.title), target)
        console.note(f"confusion matrix of tracks: {target}")
    if calibrate and found.calibration:
        target = Path(f"{stem}-reliability.png")
        figures.save(reliability.draw(found.calibration, title=found.title), target)
        console.note(f"reliability diagram: {target}")
