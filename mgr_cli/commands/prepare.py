"""`mgr prepare`: any dataset to features, splits, and a report of what was wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mgr_cli.commands import console, front_end, options, summary
from mgr_cli.config import MIN_SECONDS, SEED, SPLIT_RATIOS
from mgr_cli.data.sources import SOURCES, Level, Subset, Wishes
from mgr_cli.plans import AUDIO_KINDS, Form, Kind

if TYPE_CHECKING:
    from mgr_cli.data.audit import Audit
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.preparation import Dealing

AUDIT = "audit.csv"
LISTENED = 10_000  # tracks that are compared without being asked: a minute
SPLITS = "Splits"


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Where the dataset lies, or a CSV of features; `demo` composes a small one.",
        ),
    ],
    layout: Annotated[
        str | None,
        typer.Option("--layout", help=f"{', '.join(SOURCES)} (default: what it looks like)."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features", metavar="KINDS",
            help=f"Any of {','.join(AUDIO_KINDS)} (default: the first that the dataset has).",
        ),
    ] = None,
    form: Annotated[
        Form, typer.Option("--form", help="Of hand-crafted features: FMA's script forgot a rate.")
    ] = "corrected",
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--metadata", metavar="FOLDER",
            help="FMA's tables (default: fma_metadata in or beside the dataset).",
        ),
    ] = None,
    subset: Annotated[
        Subset | None,
        typer.Option("--subset", help="Of FMA (default: what the folder's name says)."),
    ] = None,
    level: Annotated[
        Level, typer.Option("--level", help="FMA's genres: at the top of its tree, or below.")
    ] = "top",
    name: Annotated[
        str | None, typer.Option("--name", help="Of the dataset (default: the folder's).")
    ] = None,
    prepared: options.PreparedOption = options.PREPARED,
    audit: Annotated[
        bool | None,
        typer.Option(
            "--audit/--no-audit",
            help="Name what the set holds twice, by listening "
            f"(default: count it, after reading up to {LISTENED:,} tracks).",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write a page about it, with pictures."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if any track cannot be used.")
    ] = False,
    split: Annotated[
        Literal["own", "random"],
        typer.Option(
            "--split", rich_help_panel=SPLITS,
            help="The dataset's own if it has one, or dealt out at random.",
        ),
    ] = "own",
    ratios: Annotated[
        str | None,
        typer.Option(
            "--ratios", metavar="A:B:C", rich_help_panel=SPLITS,
            help="Train, valid and test of a random split, as 7:2:1 (default: 80:10:10).",
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            "--folds", min=0, rich_help_panel=SPLITS,
            help="Deal out to so many folds; `mgr train --fold` names the tested one.",
        ),
    ] = 0,
    seed: options.SeedOption = SEED,
    preset: front_end.PresetOption = None,
    sample_rate: front_end.SampleRateOption = None,
    n_fft: front_end.NFftOption = None,
    hop_length: front_end.HopLengthOption = None,
    n_mels: front_end.NMelsOption = None,
    fmin: front_end.FminOption = None,
    fmax: front_end.FmaxOption = None,
    top_db: front_end.TopDbOption = None,
    scale: front_end.ScaleOption = None,
    decimation: front_end.DecimationOption = None,
    min_seconds: front_end.MinSecondsOption = None,
    max_seconds: front_end.MaxSecondsOption = None,
    jobs: options.JobsOption = -1,
    engine: options.EngineOption = "local",
    scheduler: options.SchedulerOption = None,
) -> None:  # fmt: skip
    """Make a dataset ready for training.

    The layout is recognised: FMA's audio tree with its metadata or that metadata alone, GTZAN's
    genres, log-mel pictures or audio files with a tracks.csv, a table of features, or one folder
    a genre. A run that was stopped goes on where it was.
    """
    from mgr_cli import preparation

    chosen = front_end.preset(preset)
    changes = {
        "sample_rate": sample_rate, "n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels,
        "fmin": fmin, "fmax": fmax, "top_db": top_db, "scale": scale, "decimation": decimation,
    }  # fmt: skip
    if min_seconds is None:
        min_seconds = chosen.min_seconds if chosen else MIN_SECONDS
    wishes = Wishes(
        features=_kinds(features),
        spec=front_end.spec(chosen, changes),
        form=form,
        min_seconds=min_seconds,
        max_seconds=chosen.max_seconds if chosen and max_seconds is None else max_seconds,
        metadata=metadata,
        subset=subset,
        level=level,
        own_split=split == "own" and ratios is None and not folds,
    )
    dealing = _dealing(ratios, folds, seed)
    _compose_demo(folder, layout, seed=seed, jobs=jobs)
    with console.progress("preparing") as progress:
        done = preparation.prepare(
            folder, target=prepared, name=name, layout=layout, wishes=wishes, dealing=dealing,
            engine=engine, scheduler=scheduler, n_jobs=jobs, progress=progress,
        )  # fmt: skip
    dataset = done.dataset
    summary.show(done)
    if dataset.layout == "gtzan" and not wishes.own_split:
        console.note("a random split of GTZAN leaks: expect it to read 10 to 20 points too high")
    is_new = done.n_reused < len(dataset.tracks) <= LISTENED
    found = _audit(dataset, listen=is_new if audit is None else audit, names=bool(audit))
    summary.show_changes(done)
    summary.show_bad(done)
    if report is not None:
        summary.write_report(dataset, found, folder, report)
    console.note(f"train on it with `mgr train --data {dataset.name}`")
    if strict and done.bad:
        raise typer.Exit(console.SOME_FAILED)


def _kinds(text: str | None) -> tuple[Kind, ...] | None:
    if text is None:
        return None
    named = [word.strip() for word in text.split(",")]
    known: dict[str, Kind] = {kind: kind for kind in AUDIO_KINDS}
    for word in named:
        if word not in known:
            console.fail(f"unknown features {word!r}; known: {', '.join(AUDIO_KINDS)}")
    return tuple(kind for kind in AUDIO_KINDS if kind in named)


def _dealing(ratios: str | None, folds: int, seed: int) -> "Dealing":
    from mgr_cli.data.splits import MIN_FOLDS
    from mgr_cli.preparation import Dealing

    if folds and (ratios is not None or folds < MIN_FOLDS):
        console.fail(f"--folds wants {MIN_FOLDS} at least, and no --ratios beside it")
    if ratios is None:
        return Dealing(SPLIT_RATIOS, folds, seed)
    try:
        train, valid, test = (float(part) for part in ratios.replace("/", ":").split(":"))
    except ValueError:
        console.fail(f"--ratios {ratios!r}: expected three numbers, as 7:2:1")
    if not (train > 0 and valid >= 0 and test >= 0 and train + valid + test < float("inf")):
        console.fail(f"--ratios {ratios!r}: expected none negative, and some to train on")
    return Dealing((train, valid, test), folds, seed)


def _compose_demo(folder: Path, layout: str | None, *, seed: int, jobs: int) -> None:
    """Compose the demo dataset where it is asked for and is not there, or not whole."""
    from mgr_cli.data import synthetic

    if not synthetic.is_wanted(folder, layout):
        return
    with console.progress("composing") as progress:
        synthetic.compose_set(folder, seed=seed, n_jobs=jobs, progress=progress)
    console.note(f"{folder}: synthetic music of this program's own, to be played and predicted")


def _audit(dataset: "PreparedDataset", *, listen: bool, names: bool) -> "Audit":
    """Find what the dataset holds twice, say so, and write it down."""
    from mgr_cli.data import audit
    from mgr_cli.data.dataset import vector_kind
    from mgr_cli.files import write_text

    with console.progress("listening") as progress:
        found = audit.audit(
            dataset.tracks,
            dataset.reader() if listen and "log-mel" in dataset.plan.kinds else None,
            handcrafted=dataset.vectors() if vector_kind(dataset.plan) else None,
            progress=progress,
        )
    if listen:
        table = found.table().to_csv(index=False, lineterminator="\n")
        write_text(dataset.root / AUDIT, table)
    summary.show_audit(found, dataset.root / AUDIT if listen else None, names=names)
    return found
