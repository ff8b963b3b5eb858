"""`mgr train` of what scikit-learn fits: a rival, all of them, or some behind a borrowed net."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mgr_cli.commands import console, leaderboard
from mgr_cli.config import Device, Engine, SegmentSpec
from mgr_cli.models import registry
from mgr_cli.models.registry import BORROWED, CLASSIFIER, ENCODER
from mgr_cli.models.rows import SHARES

if TYPE_CHECKING:
    from joblib import Parallel

    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.fitting import Fitted, Fitter
    from mgr_cli.zoo.backbones import Backbone

ALL_CLASSICAL = "all-classical"
ALL_OF = "all-"  # before a borrowed net
CACHE = ".features"  # folder beside the prepared datasets of what borrowed nets have computed


@dataclass(frozen=True)
class Plan:
    """One fit: a row of the registry, and what differs from its defaults."""

    architecture: str
    values: dict[str, Any]

    @property
    def borrowed(self) -> tuple[str, str] | None:
        """The row and the cut of the borrowed net, if there is one."""
        row = BORROWED.get(self.architecture)
        return None if row is None else (row.name, self.values.get("cut", row.cuts[0]))


@dataclass(frozen=True)
class Order:
    """What is the same for every fit of a command."""

    dataset: "PreparedDataset"
    place: Path
    name: str | None
    seed: int
    licence: str
    weights: str | None
    segments: SegmentSpec | None
    grid: bool
    device: Device
    engine: Engine
    scheduler: str | None
    jobs: int


def parted(arch: str | None) -> tuple[str | None, str | None]:
    """Part the name of an architecture from the folder behind it, as in hf:FOLDER."""
    row, colon, folder = (arch or "").partition(":")
    if not colon:
        return arch, None
    if row.removeprefix(ALL_OF) != ENCODER or not folder:
        console.fail(f"{arch!r}: a folder stands behind {ENCODER}: alone, as in {ENCODER}:mert")
    return row, folder


def plans(
    row: str, asked: Sequence[str], recipe: Path | None, *, grid: bool
) -> "tuple[list[Plan], SegmentSpec | None]":
    """List what is to be fitted, and say how tracks are cut where somebody says so."""
    from mgr_cli import fitting, recipes

    if row == ALL_CLASSICAL:
        if grid or recipe:
            console.fail(f"--arch {row} fits every row as it is: leave --grid and --recipe out")
        return [Plan(name, {}) for name in registry.CLASSICAL], None
    name = row.removeprefix(ALL_OF)
    registry.check(name if name == row or name in BORROWED else row)
    said = recipes.fitting_of(name, file=recipe, settings=asked)
    if row != name:
        return combinations(name, said.hyperparameters), said.segments
    if grid and not fitting.grid_of(name, said.hyperparameters).tried:
        console.fail(f"{name} has no grid, or --set has fixed all of it; leave --grid out")
    return [Plan(name, said.hyperparameters)], said.segments


def combinations(architecture: str, values: dict[str, Any]) -> list[Plan]:
    """List seed 002's table of a borrowed net: its cuts, shares and rivals, or those given."""
    row = BORROWED[architecture]
    choices = {"cut": row.cuts, "pca": SHARES if row.pca else (row.pca,), CLASSIFIER: row.rivals}
    taken = [[values[key]] if key in values else tried for key, tried in choices.items()]
    return [
        Plan(architecture, {**values, **dict(zip(choices, choice, strict=True))})
        for choice in product(*taken)
    ]


def fit(plans: Sequence[Plan], order: Order) -> None:
    """Fit pipelines, put each into the zoo, and show how they fare."""
    from mgr_cli import engines, fitting
    from mgr_cli.errors import MgrError

    for plan in plans:  # raises what is wrong before anything is read
        registry.build_pipeline(plan.architecture, seed=order.seed, changes=plan.values)
    console.note(f"{_said(plans)} on {order.dataset.name}: {order.dataset.counts()}")
    folders: list[Path] = []
    rows: list[list[str]] = []
    fitter: Fitter | None = None
    seen: object = ()
    n_failed = 0
    with ExitStack() as stack:
        pool = None
        if order.grid or plans[0].borrowed:
            workers = engines.workers(order.engine, scheduler=order.scheduler, n_jobs=order.jobs)
            pool = stack.enter_context(workers)
        for plan in plans:
            try:
                if fitter is None or plan.borrowed != seen:
                    fitter, seen = _fitter(plan, order), plan.borrowed
                folder, fitted = _fit(plan, order, fitter, pool)
                folders.append(folder)
                if plan.borrowed:
                    share, paces = fitter.accuracy(fitted), fitting.pace(fitted, order.dataset)
                    rows.append(leaderboard.transfer_row(folder, fitted, share, paces))
            except MgrError as error:
                if len(plans) == 1:
                    raise
                console.error(f"{plan.architecture}: {error}")
                n_failed += 1
    title = f"{order.dataset.name}, validation split"
    if plans[0].borrowed:
        leaderboard.show_transfer(rows, title)
    else:
        leaderboard.show_pipelines(folders, title)
    if n_failed:
        raise typer.Exit(console.SOME_FAILED)


def _fitter(plan: Plan, order: Order) -> "Fitter":
    """Read the training split, through a borrowed net where one is asked for."""
    from mgr_cli import fitting

    with console.progress("reading") as progress:
        return fitting.Fitter(
            order.dataset, backbone=_backbone(plan, order), segments=order.segments,
            seed=order.seed, progress=progress,
        )  # fmt: skip


def _backbone(plan: Plan, order: Order) -> "Backbone | None":
    from mgr_cli.prediction import chosen_device
    from mgr_cli.zoo import borrowing

    if plan.borrowed is None:
        return None
    backbone = borrowing.borrow(
        *plan.borrowed, weights=order.weights, sample_rate=order.dataset.plan.spec.sample_rate,
        seed=order.seed, device=chosen_device(order.device),
    )  # fmt: skip
    console.note(f"{plan.architecture}: {backbone.origin}")
    return replace(backbone, cache=order.dataset.root.parent / CACHE)


def _fit(
    plan: Plan, order: Order, fitter: "Fitter", pool: "Parallel | None"
) -> "tuple[Path, Fitted]":
    from mgr_cli import publication

    row = plan.architecture
    with console.progress(row) as progress:
        fitted = fitter.fit(row, plan.values, pool=pool, progress=progress)
        folder = publication.publish(
            fitted, order.dataset, order.place, name=order.name, licence=order.licence,
            progress=progress,
        )  # fmt: skip
    for remark in fitted.notes:
        console.note(f"{row}: {remark}")
    if fitted.search:
        best = fitted.search.best
        values = " ".join(f"{key}={value}" for key, value in best.values.items())
        console.note(
            f"{row}: {values}, of {len(fitted.search.candidates)} the best in "
            f"{fitted.search.n_folds} folds, {100 * best.accuracy:.1f} %"
        )
    console.note(f"{row}: fitted in {fitted.seconds:.1f} s, {folder}")
    return folder, fitted


def _said(plans: Sequence[Plan]) -> str:
    names = dict.fromkeys(plan.architecture for plan in plans)
    return ", ".join(names) + (f" ({len(plans)} fits)" if len(plans) > len(names) else "")
