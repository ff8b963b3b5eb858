"""What `mgr train` does once it knows what is wanted: one run, or one after the other."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mgr_cli.commands import console
from mgr_cli.config import LoggerName

if TYPE_CHECKING:
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.distillation import Teacher
    from mgr_cli.recipes import Training
    from mgr_cli.task import Epoch
    from mgr_cli.trainer import Machine
    from mgr_cli.training import Trained

LOGS = ".logs"  # folder in the zoo of what a logger keeps
SAVED = ".training"  # folder in the zoo of runs that are not done


@dataclass(frozen=True)
class Order:
    """What is the same for every net of a command."""

    dataset: "PreparedDataset"
    place: Path
    seed: int
    resume: bool
    licence: str
    minutes: float | None
    logger: LoggerName | None
    machine: "Machine"
    half: bool = False
    teacher: "Teacher | None" = None


def train(plan: "Training", order: Order, *, name: str | None = None) -> Path | None:
    """Train one net and put it into the zoo; None where another process does."""
    from mgr_cli import loggers, publication, trainer, training

    dataset, place = order.dataset, order.place
    plan = _within_minutes(plan, order)
    recipe = plan.recipe
    console.note(f"{plan.architecture} on {dataset.name}: {dataset.counts()}")
    console.out.print(_HEADER, style="bold")
    saved = _saved(plan, order).with_suffix(".ckpt")
    if saved.exists() and not order.resume:
        console.note("a run of these settings was stopped before; --resume would go on with it")
    if order.resume and not saved.exists():
        console.note("no run of these settings was stopped; this one begins anew")
    run = name or f"{plan.architecture}-{dataset.name}"
    with console.progress("training") as progress:
        trained = training.train(
            dataset, plan.architecture, recipe=recipe, segments=plan.segments,
            hyperparameters=plan.hyperparameters, teacher=order.teacher, seed=order.seed,
            machine=order.machine, checkpoint=saved, resume=order.resume, progress=progress,
            on_epoch=_show, logger=loggers.make(order.logger, place / LOGS, run, plan.settings()),
        )  # fmt: skip
    if not trainer.leads():
        return None
    with console.progress("validating") as progress:
        folder = publication.publish(
            trained, dataset, place, name=name, licence=order.licence, half=order.half,
            progress=progress,
        )  # fmt: skip
    _keep_curves(trained, folder)
    console.out.print(f"epoch {trained.best.number} is kept: {folder}", markup=False)
    if trained.problem:
        console.error(f"stopped early: {trained.problem}")
        raise typer.Exit(console.SOME_FAILED)
    return folder


def _saved(plan: "Training", order: Order, *others: object) -> Path:
    """Return where a run of these settings is kept while it is not done, without suffix."""
    dataset = order.dataset
    drawn = () if dataset.drawn is None else (dataset.drawn,)
    taught = () if order.teacher is None else (order.teacher.named.sha256,)
    digest = plan.digest(
        order.seed,
        dataset.name,
        dataset.split_digest,
        asdict(dataset.plan),
        *drawn,
        *taught,
        *others,
    )
    return order.place / SAVED / digest


def _within_minutes(plan: "Training", order: Order) -> "Training":
    """Shorten a recipe to the minutes that there are, to the same epochs where it is resumed."""
    import json

    from mgr_cli import training
    from mgr_cli.files import write_text

    if order.minutes is None:
        return plan
    path = _saved(plan, order, order.minutes).with_suffix(".json")
    if order.resume and path.exists():
        epochs = int(json.loads(path.read_text())["epochs"])
        return replace(plan, recipe=replace(plan.recipe, epochs=epochs))
    recipe = training.shortened(
        order.minutes, order.dataset, plan.architecture, recipe=plan.recipe,
        segments=plan.segments, hyperparameters=plan.hyperparameters, teacher=order.teacher,
        machine=order.machine,
    )  # fmt: skip
    write_text(path, json.dumps({"epochs": recipe.epochs}) + "\n")
    console.note(f"{recipe.epochs} epochs fit into {order.minutes:g} minutes")
    return replace(plan, recipe=recipe)


def compare(plans: "list[Training]", order: Order) -> None:
    """Train one net after the other, those that are done aside, and show how they fare."""
    from mgr_cli.commands import leaderboard
    from mgr_cli.errors import MgrError

    folders, n_failed = [], 0
    for plan in plans:
        try:
            done = _entry_of(_within_minutes(plan, order), order) if order.resume else None
            folder = done or train(plan, order)
            folders += [folder] if folder else []
        except MgrError as error:
            console.error(f"{plan.architecture}: {error}")
            n_failed += 1
        except typer.Exit:
            n_failed += 1
    leaderboard.show_nets(folders, f"{order.dataset.name}, validation split")
    if n_failed:
        raise typer.Exit(console.SOME_FAILED)


def _entry_of(plan: "Training", order: Order) -> Path | None:
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
        same_data = (card.dataset.split_digest, card.dataset.counts, card.features) == (
            dataset.split_digest,
            dataset.counts(),
            dataset.plan.spec,
        )
        same_weights = (card.rounded, card.teacher) == (
            order.half,
            order.teacher and order.teacher.named,
        )
        if same_data and same_weights and made == wanted:
            return folder
    return None


def _keep_curves(trained: "Trained", folder: Path) -> None:
    """Put the run's figures into the entry, as a table and a picture."""
    from mgr_cli.files import write_text
    from mgr_cli.reports import curves, figures

    write_text(folder / "history.csv", curves.table(trained.history))
    figures.save(curves.draw(trained.history, title=folder.name), folder / "curves.png")


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
