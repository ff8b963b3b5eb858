"""`mgr train`: a prepared dataset and an architecture to an entry of the zoo."""

from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import SEED
from mgr_cli.models.registry import ARCHITECTURES

if TYPE_CHECKING:
    from mgr_cli.task import Epoch

DEFAULT_ARCHITECTURE = "short-chunk-resnet"


def command(
    arch: Annotated[
        str,
        typer.Option(
            "--arch",
            "-a",
            autocompletion=options.complete_architecture,
            metavar="NAME",
            help=f"One of: {', '.join(ARCHITECTURES)}.",
        ),
    ] = DEFAULT_ARCHITECTURE,
    data: options.DataOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the entry [default: architecture-dataset].")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="At the most.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Segments a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", "--lr")] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay")] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Epochs without gain before it stops.")
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option("--fold", min=0, help="Of a dataset with folds, the one to test on."),
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", help="Of the weights, for the card.")
    ] = "not stated",
    seed: options.SeedOption = SEED,
    device: options.DeviceOption = "auto",
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:
    """Train an architecture on a prepared dataset and put it into the zoo.

    Without options of its own the run follows the architecture's recipe. Weights are chosen
    on the validation split; the test split is not looked at.
    """
    from dataclasses import replace

    from mgr_cli.commands.lookup import prepared_dataset
    from mgr_cli.errors import ZooError
    from mgr_cli.models import registry
    from mgr_cli.zoo import entries

    changes = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "weight_decay": weight_decay, "patience": patience,
    }  # fmt: skip
    try:
        recipe = replace(
            registry.find(arch).recipe,
            **{key: value for key, value in changes.items() if value is not None},  # type: ignore[arg-type]
        )
    except ValueError as error:
        console.fail(str(error))
    place = entries.home(zoo)
    if name is not None and (place / name).exists():
        raise ZooError(f"{place / name} exists already; choose another --name")
    dataset = prepared_dataset(data, prepared)
    if fold is not None:
        dataset = dataset.tested_on(fold)
    dataset.reader()  # raises where there is nothing that a net eats

    from mgr_cli import training  # torch and lightning: only when all else is in order

    console.note(f"{arch} on {dataset.name}: {dataset.counts()}")
    console.out.print(_HEADER, style="bold")
    with console.progress("training") as progress:
        trained = training.train(
            dataset, arch, recipe=recipe, seed=seed, device=device,
            progress=progress, on_epoch=_show,
        )  # fmt: skip
    with console.progress("validating") as progress:
        folder = training.publish(
            trained, dataset, place, name=name, licence=licence, progress=progress
        )
    console.out.print(f"epoch {trained.best.number} is kept: {folder}", markup=False)
    console.note(f"judge it with `mgr eval --model {folder.name}`")


_HEADER = "epoch  rate     train loss  valid loss  valid accuracy  seconds"


def _show(epoch: "Epoch") -> None:
    console.out.print(
        f"{epoch.number:5d}  {epoch.learning_rate:.1e}  {epoch.train_loss:10.3f}  "
        f"{epoch.valid_loss:10.3f}  {epoch.valid_accuracy:14.3f}  {epoch.seconds:7.1f}"
        f"{'  *' if epoch.is_best else ''}",
        style="bold" if epoch.is_best else None,
        markup=False,
    )
