"""`mgr prepare`: any dataset to features, splits, and a report of what was wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import SEED
from mgr_cli.data.sources import SOURCES, Level, Subset, Wishes

if TYPE_CHECKING:
    from mgr_cli.data.audit import Finding
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.preparation import Preparation

SHOWN_BAD = 10
SHOWN_FINDINGS = 40
AUDIT = "audit.csv"


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the dataset lies.")],
    layout: Annotated[
        str | None,
        typer.Option("--layout", help=f"{', '.join(SOURCES)} [default: what it looks like]."),
    ] = None,
    split: Annotated[
        Literal["own", "random"],
        typer.Option("--split", help="The dataset's own if it has one, or dealt out at random."),
    ] = "own",
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--metadata",
            metavar="FOLDER",
            help="FMA's tables [default: fma_metadata in or beside the dataset].",
        ),
    ] = None,
    subset: Annotated[
        Subset | None,
        typer.Option("--subset", help="Of FMA [default: what the folder's name says]."),
    ] = None,
    level: Annotated[
        Level, typer.Option("--level", help="FMA's genres: at the top of its tree, or below.")
    ] = "top",
    name: Annotated[
        str | None, typer.Option("--name", help="Of the dataset [default: the folder's].")
    ] = None,
    prepared: options.PreparedOption = options.PREPARED,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; -1 is one a core.")] = -1,
    seed: options.SeedOption = SEED,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Listen for repeats: equal and near-equal recordings."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if any track cannot be used.")
    ] = False,
) -> None:
    """Make a dataset ready for training.

    The layout is recognised: FMA's audio tree with its metadata, GTZAN's genres, log-mel
    pictures or audio files with a tracks.csv, or one folder a genre. A run that was stopped goes
    on where it was.
    """
    from mgr_cli import preparation

    wishes = Wishes(metadata=metadata, subset=subset, level=level, own_split=split == "own")
    with console.progress("preparing") as progress:
        done = preparation.prepare(
            folder, target=prepared, name=name, layout=layout, wishes=wishes, seed=seed,
            n_jobs=jobs, progress=progress,
        )  # fmt: skip
    dataset = done.dataset
    _show(done)
    if dataset.layout == "gtzan" and split == "random":
        console.note("a random split of GTZAN leaks: expect it to read 10 to 20 points too high")
    _audit(dataset, listen=audit)
    if done.n_reused:
        console.note(f"{done.n_reused} tracks were prepared already")
    for path, reason in done.bad[:SHOWN_BAD]:
        said = reason.removeprefix(f"{Path(path).name}: ")  # a reason may name the file itself
        console.error(said if path in said else f"{path}: {said}")
    if len(done.bad) > SHOWN_BAD:
        console.error(f"and {len(done.bad) - SHOWN_BAD} more, see {dataset.root}/tracks.csv")
    console.note(f"train on it with `mgr train --data {dataset.name}`")
    if strict and done.bad:
        raise typer.Exit(console.SOME_FAILED)


def _show(done: "Preparation") -> None:
    from rich.table import Table

    from mgr_cli.config import SPLITS
    from mgr_cli.data.store import OK

    dataset = done.dataset
    tracks = dataset.tracks
    usable = tracks[tracks.status == OK]
    table = Table(title=f"{dataset.name} ({dataset.layout}) → {dataset.root}", title_justify="left")
    table.add_column("genre")
    for column in (*SPLITS, "left out", "bad"):
        table.add_column(column, justify="right")
    for genre in dataset.genres:
        counts = [int(((usable.genre == genre) & (usable.split == s)).sum()) for s in (*SPLITS, "")]
        bad = int(((tracks.genre == genre) & (tracks.status != OK)).sum())
        table.add_row(genre, *map(str, [*counts, bad]))
    table.add_section()
    totals = [int((usable.split == split).sum()) for split in (*SPLITS, "")]
    table.add_row("all", *map(str, [*totals, len(done.bad)]), style="bold")
    console.out.print(table)


def _audit(dataset: "PreparedDataset", *, listen: bool) -> None:
    """Say what stands on both sides of a split, and write it down."""
    from mgr_cli.data import audit
    from mgr_cli.files import write_text

    with console.progress("listening") as progress:
        reader = dataset.reader() if listen else None
        found = audit.audit(dataset.tracks, reader, progress=progress)
    if listen:
        for finding in found.findings[:SHOWN_FINDINGS]:
            console.out.print(_finding(finding), markup=False)
        if len(found.findings) > SHOWN_FINDINGS:
            console.out.print(f"and {len(found.findings) - SHOWN_FINDINGS} more")
        table = found.table().to_csv(index=False, lineterminator="\n")
        write_text(dataset.root / AUDIT, table)
        console.note(
            f"{len(found.findings)} repeats, {len(found.leaks)} of them across splits, "
            f"{len(found.conflicts)} under several genres: {dataset.root / AUDIT}"
        )
    elif found.leaks:
        tracks = {track for finding in found.leaks for track in finding.tracks}
        console.note(f"{len(tracks)} tracks leak across the splits; `--audit` names them")


def _finding(finding: "Finding") -> str:
    tracks = ", ".join(
        f"{track} ({split or 'left out'})"
        for track, split in zip(finding.tracks, finding.splits, strict=True)
    )
    marks = [word for word, on in (("leak", finding.leaks), ("conflict", finding.conflicts)) if on]
    name = f" {finding.what}" if finding.what else ""
    alike = f" {finding.similarity:.2f}" if finding.similarity < 1 else ""
    return f"{finding.kind}{name}{alike}: {tracks}{'  ← ' + ', '.join(marks) if marks else ''}"
