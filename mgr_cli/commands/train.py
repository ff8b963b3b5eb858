"""`mgr train`: a prepared dataset and an architecture to an entry of the zoo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.commands.rivals import ALL_CLASSICAL, ALL_OF
from mgr_cli.config import SEED, LoggerName, Precision
from mgr_cli.models.grids import N_FOLDS
from mgr_cli.models.registry import (
    ARCHITECTURES,
    BORROWED,
    CLASSICAL,
    DEFAULTS,
    default_for,
    is_fitted,
)  # fmt: skip

if TYPE_CHECKING:
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.recipes import Training

ALL = "all"
FITTED = "What scikit-learn fits"


def command(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="More for --set.", show_default=False),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            "--arch",
            "-a",
            autocompletion=options.complete_architecture,
            metavar="NAME",
            help=f"A net: {', '.join(ARCHITECTURES)} (default: {DEFAULTS[0]}, or what eats what "
            f"there is); scikit-learn's {', '.join(CLASSICAL)}; {', '.join(BORROWED)}:FOLDER, "
            f"whose features those judge; or {ALL}, {ALL_CLASSICAL}, "
            f"{', '.join(ALL_OF + name for name in BORROWED)}:FOLDER, to compare them.",
        ),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the architectures, and train nothing.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Hyper-parameters of the net, as hidden_dim=256 dropout=0.3, of its recipe, as "
            "gain=6 optimizer=sgd, or of its segments, as seconds=10 hop_seconds=5.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", metavar="FILE", help="YAML with any of arch, set, segments, recipe."
        ),
    ] = None,
    data: options.DataOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the entry (default: architecture-dataset).")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="At the most.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Segments a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", "--lr")] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay")] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Epochs without gain before it stops.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", min=0.1, help="No more epochs than fit into so many, by timing some steps."
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option("--fold", min=0, help="Of a dataset with folds, the one to test on."),
    ] = None,
    tracks: Annotated[
        int | None,
        typer.Option(
            "--tracks", metavar="N",
            help="Train on so many, drawn by the seed from the train split, for a learning curve.",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher", autocompletion=options.complete_entry, metavar="ENTRY",
            help="Learn what this entry says too, of the same dataset and heard alike; its share "
            "is --set teacher_share=0.5.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run of these settings that was stopped."),
    ] = False,
    half: Annotated[
        bool,
        typer.Option(
            "--half",
            help="Store the weights in half precision: half the space, as good as the same.",
        ),
    ] = False,
    licence: Annotated[
        str, typer.Option("--licence", help="Of the weights, for the card.")
    ] = "not stated",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", metavar="DEFAULT|FILE|random", rich_help_panel=FITTED,
            help="Of vgg16 and resnet50: torchvision's own, which are fetched; a state dict; or "
            "none that anybody trained.",
        ),
    ] = None,
    grid: Annotated[
        bool,
        typer.Option(
            "--grid", rich_help_panel=FITTED,
            help=f"Search the row's grid by {N_FOLDS}-fold cross-validation first, over what --set "
            "leaves open; behind a borrowed net that is always done.",
        ),
    ] = False,
    jobs: options.JobsOption = -1,
    engine: options.EngineOption = "local",
    scheduler: options.SchedulerOption = None,
    seed: options.SeedOption = SEED,
    device: options.DeviceOption = "auto",
    devices: Annotated[
        int, typer.Option("--devices", min=1, help="GPUs of a machine, or processes on its CPU.")
    ] = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines; see the README.")] = 1,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the net with torch.compile.")
    ] = False,
    precision: Annotated[
        Precision,
        typer.Option(
            "--precision", help="Of most products; auto is bfloat16 where the processor has it."
        ),
    ] = "auto",
    logger: Annotated[
        LoggerName | None,
        typer.Option("--logger", help="Who keeps the curves, beside the entry (default: none)."),
    ] = None,
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:  # fmt: skip
    """Train an architecture on a prepared dataset and put it into the zoo.

    Without options of its own the run follows the architecture's recipe. Weights are chosen
    on the validation split; the test split is not looked at.
    """
    from mgr_cli import recipes
    from mgr_cli.commands import architectures, rivals, runs
    from mgr_cli.commands.lookup import prepared_dataset
    from mgr_cli.errors import ZooError
    from mgr_cli.zoo import entries

    if listing:
        architectures.show()
        return
    wanted = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "weight_decay": weight_decay, "patience": patience,
    }  # fmt: skip
    asked = [*(changes or []), *(settings or [])]
    row, encoder = rivals.parted(recipes.named(arch, recipe))
    everything = row is not None and (row == ALL or row.startswith(ALL_OF))
    if (everything and name) or (row in (ALL, ALL_CLASSICAL) and asked):
        console.fail(f"--arch {row} trains every row as it is: leave --set and --name out")
    if row == ALL and devices * nodes > 1:
        console.fail("--arch all trains on one device: leave --devices and --nodes out")
    if minutes is not None and devices * nodes > 1:
        console.fail("--minutes is of one device: say --epochs instead")
    place = entries.home(zoo)
    if name is not None and (place / name).exists():
        raise ZooError(f"{place / name} exists already; choose another --name")
    dataset = prepared_dataset(data, prepared)
    if fold is not None:
        dataset = dataset.tested_on(fold)
    if tracks is not None:
        dataset = _thinned(dataset, tracks, seed)
    if row is not None and row != ALL and (everything or is_fitted(row)):
        said = teacher or any(value is not None for value in wanted.values())
        if said or minutes or logger or resume or half or devices * nodes > 1:
            console.fail(
                f"{row} is fitted: it has --set, but no epochs, teacher, logger, --half, --devices"
            )
        if encoder and weights:
            console.fail(f"the weights are those of {encoder}: leave --weights out")
        fits, segments = rivals.plans(row, asked, recipe, grid=grid)
        rivals.fit(
            fits,
            rivals.Order(
                dataset, place, name=name, seed=seed, licence=licence, weights=encoder or weights,
                segments=segments, grid=grid, device=device, engine=engine, scheduler=scheduler,
                jobs=jobs,
            ),
        )  # fmt: skip
        return
    if weights or grid:
        console.fail(f"{row or 'a net'} is trained: --weights and --grid are for what is fitted")
    plans = [
        recipes.training_of(
            each,
            file=recipe,
            settings=asked,
            changes={key: value for key, value in wanted.items() if value is not None},
            default=default_for(dataset.plan.kinds),
        )
        for each in (ARCHITECTURES if row == ALL else (row,))
    ]
    plans = _trainable(plans, dataset)

    from mgr_cli import distillation, trainer  # torch and lightning: when all else is in order

    trainer.keep_freed_memory()
    if not trainer.leads():
        console.hush()
    order = runs.Order(
        dataset, place, seed=seed, resume=resume, licence=licence, minutes=minutes, half=half,
        logger=logger,
        teacher=distillation.load(entries.find(teacher, entries.places(zoo))) if teacher else None,
        machine=trainer.Machine(
            device=device, devices=devices, nodes=nodes, compile=compile, precision=precision
        ),
    )  # fmt: skip
    if row == ALL:
        runs.compare(plans, order)
        return
    folder = runs.train(plans[0], order, name=name)
    if folder is not None:
        console.note(f"judge it with `mgr eval --model {folder.name}`")


def _thinned(dataset: "PreparedDataset", n_tracks: int, seed: int) -> "PreparedDataset":
    import numpy as np

    from mgr_cli.data import thinning

    return thinning.thinned(dataset, n_tracks, rng=np.random.default_rng(seed))


def _trainable(plans: "list[Training]", dataset: "PreparedDataset") -> "list[Training]":
    """Leave out those whose features a dataset lacks, and raise where none is left."""
    from mgr_cli.errors import DatasetError

    found, problem = [], None
    for plan in plans:
        try:
            dataset.inputs(ARCHITECTURES[plan.architecture].eats, plan.segments)
            found.append(plan)
        except DatasetError as error:
            problem = problem or error
            if len(plans) > 1:
                eats = " and ".join(ARCHITECTURES[plan.architecture].eats)
                console.note(f"{plan.architecture} is left out: it eats {eats} features")
    if problem and not found:
        raise problem
    return found
