"""`mgr train`: a prepared dataset and an architecture to an entry of the zoo."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import SEED
from mgr_cli.models.registry import ARCHITECTURES

if TYPE_CHECKING:
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.recipes import Training
    from mgr_cli.task import Epoch
    from mgr_cli.training import Trained

ALL = "all"
SAVED = ".training"  # folder in the zoo of runs that are not done
DEFAULT_ARCHITECTURE = "short-chunk-resnet"


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
            help=f"One of: {', '.join(ARCHITECTURES)} (default: {DEFAULT_ARCHITECTURE}); "
            f"or {ALL}, to compare them.",
        ),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the architectures, and train nothing.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Hyper-parameters, as hidden_dim=256 dropout=0.3."
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
    fold: Annotated[
        int | None,
        typer.Option("--fold", min=0, help="Of a dataset with folds, the one to test on."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run of these settings that was stopped."),
    ] = False,
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
    from mgr_cli import recipes
    from mgr_cli.commands.lookup import prepared_dataset
    from mgr_cli.errors import ZooError
    from mgr_cli.zoo import entries

    if listing:
        _list()
        return
    wanted = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "weight_decay": weight_decay, "patience": patience,
    }  # fmt: skip
    if arch == ALL and (changes or settings or name):
        console.fail("--arch all trains every row as it is: leave --set and --name out")
    plans = [
        recipes.training_of(
            row,
            file=recipe,
            settings=[*(changes or []), *(settings or [])],
            changes={key: value for key, value in wanted.items() if value is not None},
            default=DEFAULT_ARCHITECTURE,
        )
        for row in (ARCHITECTURES if arch == ALL else (arch,))
    ]
    place = entries.home(zoo)
    if name is not None and (place / name).exists():
        raise ZooError(f"{place / name} exists already; choose another --name")
    dataset = prepared_dataset(data, prepared)
    if fold is not None:
        dataset = dataset.tested_on(fold)
    dataset.reader()  # raises where there is nothing that a net eats
    order = _Order(dataset, place, seed=seed, device=device, resume=resume, licence=licence)
    if arch == ALL:
        _compare(plans, order)
    else:
        folder = _train(plans[0], order, name=name)
        console.note(f"judge it with `mgr eval --model {folder.name}`")


@dataclass(frozen=True)
class _Order:
    """What is the same for every net of a command."""

    dataset: "PreparedDataset"
    place: Path
    seed: int
    device: options.Device
    resume: bool
    licence: str


def _train(plan: "Training", order: _Order, *, name: str | None = None) -> Path:
    """Train one net and put it into the zoo."""
    from mgr_cli import training  # torch and lightning: only when all else is in order

    dataset, place = order.dataset, order.place
    console.note(f"{plan.architecture} on {dataset.name}: {dataset.counts()}")
    console.out.print(_HEADER, style="bold")
    digest = plan.digest(order.seed, dataset.name, dataset.split_digest, asdict(dataset.plan))
    saved = place / SAVED / f"{digest}.ckpt"
    if saved.exists() and not order.resume:
        console.note("a run of these settings was stopped before; --resume would go on with it")
    if order.resume and not saved.exists():
        console.note("no run of these settings was stopped; this one begins anew")
    with console.progress("training") as progress:
        trained = training.train(
            dataset, plan.architecture, recipe=plan.recipe, segments=plan.segments,
            hyperparameters=plan.hyperparameters, seed=order.seed, device=order.device,
            checkpoint=saved, resume=order.resume, progress=progress, on_epoch=_show,
        )  # fmt: skip
    with console.progress("validating") as progress:
        folder = training.publish(
            trained, dataset, place, name=name, licence=order.licence, progress=progress
        )
    _keep_curves(trained, folder)
    console.out.print(f"epoch {trained.best.number} is kept: {folder}", markup=False)
    return folder


def _compare(plans: "list[Training]", order: _Order) -> None:
    """Train one net after the other, those that are done aside, and show how they fare."""
    from mgr_cli.errors import MgrError

    folders, n_failed = [], 0
    for plan in plans:
        done = _entry_of(plan, order) if order.resume else None
        try:
            folders.append(done or _train(plan, order))
        except MgrError as error:
            console.error(f"{plan.architecture}: {error}")
            n_failed += 1
    _show_leaderboard(folders, f"{order.dataset.name}, validation split")
    if n_failed:
        raise typer.Exit(console.SOME_FAILED)


def _entry_of(plan: "Training", order: _Order) -> Path | None:
    """Return the entry that the same training has made, if there is one."""
    from mgr_cli.errors import ZooError
    from mgr_cli.models import registry
    from mgr_cli.zoo import entries
    from mgr_cli.zoo.card import load_card

    values = registry.hyperparameters(plan.architecture, plan.hyperparameters)
    dataset = order.dataset
    wanted = (plan.architecture, values, plan.recipe, plan.segments, order.seed)
    for folder in entries.folders([order.place]).values():
        try:
            card = load_card(folder)
        except ZooError:
            continue  # it is for `mgr zoo verify` to tell
        made = (card.architecture, card.hyperparameters, card.recipe, card.segments, card.seed)
        same_data = (card.dataset.split_digest, card.features) == (
            dataset.split_digest,
            dataset.spec,
        )
        if same_data and made == wanted:
            return folder
    return None


def _show_leaderboard(folders: list[Path], title: str) -> None:
    from rich.table import Table

    from mgr_cli.zoo.card import load_card

    cards = sorted(
        map(load_card, folders), key=lambda card: -card.figures["valid"].track["accuracy"].value
    )
    table = Table(title=title, title_justify="left")
    for column in ("entry", "parameters", "epoch", "accuracy, tracks", "F1 macro", "segments"):
        table.add_column(column, justify="left" if column == "entry" else "right")
    for card in cards:
        track, segment = card.figures["valid"].track, card.figures["valid"].segment
        accuracy = track["accuracy"]
        table.add_row(
            card.name, f"{card.n_parameters:,}", str(card.best_epoch),
            f"{100 * accuracy.value:.1f} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]",
            f"{100 * track['f1_macro'].value:.1f}", f"{100 * segment['accuracy'].value:.1f}",
        )  # fmt: skip
    console.out.print(table)


def _keep_curves(trained: "Trained", folder: Path) -> None:
    """Put the run's figures into the entry, as a table and a picture."""
    from mgr_cli.files import write_text
    from mgr_cli.reports import curves, figures

    write_text(folder / "history.csv", curves.table(trained.history))
    figures.save(curves.draw(trained.history, title=folder.name), folder / "curves.png")


def _list() -> None:
    from rich.table import Table

    from mgr_cli.models import registry

    table = Table(title="architectures", title_justify="left", show_lines=False)
    for column in ("--arch", "eats", "hears", "recipe", "--set", "what"):
        table.add_column(column, overflow="fold")
    for row in ARCHITECTURES.values():
        recipe = row.recipe
        said = (
            f"{recipe.optimizer} {recipe.learning_rate:g}, {recipe.schedule}, "
            f"{recipe.epochs} × {recipe.batch_size}"
        )
        values = registry.hyperparameters(row.name, {})
        table.add_row(
            row.name, row.eats, f"{row.segments.seconds:g} s", said,
            " ".join(f"{name}={value}" for name, value in values.items()),
            f"{row.summary} ({row.source})",
        )  # fmt: skip
    console.out.print(table)


_HEADER = "epoch  rate     train loss  valid loss  valid accuracy      F1  seconds"


def _show(epoch: "Epoch") -> None:
    console.out.print(
        f"{epoch.number:5d}  {epoch.learning_rate:.1e}  {epoch.train_loss:10.3f}  "
        f"{epoch.valid_loss:10.3f}  {epoch.valid_accuracy:14.3f}  {epoch.valid_f1:6.3f}"
        f"  {epoch.seconds:7.1f}"
        f"{'  *' if epoch.is_best else ''}",
        style="bold" if epoch.is_best else None,
        markup=False,
    )
