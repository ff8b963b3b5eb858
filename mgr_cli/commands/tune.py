"""`mgr tune`: a search for hyper-parameters, as a W&B sweep file says or the seeds did."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import SEED

if TYPE_CHECKING:
    import optuna

    from mgr_cli.hyperband import Bracket
    from mgr_cli.studies import Search
    from mgr_cli.tuning import Bench

STUDIES = Path("studies")
TRIALS = 20


def command(
    sweep: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SWEEP]", show_default=False,
            help="A sweep file of Weights & Biases (default: the architecture's own search space).",
        ),
    ] = None,
    arch: Annotated[
        str,
        typer.Option(
            "--arch", "-a", autocompletion=options.complete_architecture, metavar="NAME",
            help="What is trained; see `mgr train --list`.",
        ),
    ] = "cnn1d-lstm",
    data: options.DataOption = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", "-n", min=1,
            help=f"In all (default: the file's run_cap, all of a grid, else {TRIALS}).",
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Stop trials early that fall behind.")
    ] = True,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be run, and run nothing.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Show the trials so far, also while others run.")
    ] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the study (default: architecture-dataset).")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", envvar="MGR_STORAGE", metavar="URL",
            help="Database that several machines reach, as postgresql+psycopg://user@host/name "
            "(default: SQLite in the study's folder).",
        ),
    ] = None,
    studies: Annotated[
        Path, typer.Option("--studies", metavar="FOLDER", help="Folder of the studies.")
    ] = STUDIES,
    licence: Annotated[
        str, typer.Option("--licence", help="Of the weights, for the card.")
    ] = "not stated",
    seed: options.SeedOption = SEED,
    device: options.DeviceOption = "auto",
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:  # fmt: skip
    """Search for hyper-parameters on the validation split; the test split is not looked at.

    Started again after it was stopped or killed, a study goes on. Several of these commands, on
    one machine or many, share its work. At the end the best trial becomes an entry of the zoo,
    its recipe a file for `mgr train --recipe`, and all trials a page.
    """
    from mgr_cli.commands.lookup import prepared_dataset
    from mgr_cli.files import is_plain_name

    dataset = prepared_dataset(data, prepared)
    name = name or f"{arch}-{dataset.name}"
    if not is_plain_name(name):
        console.fail(f"{name!r} cannot be the name of a study; use letters and digits")
    folder = studies / name
    if show:
        from mgr_cli.studies import load_study

        _show_trials(load_study(folder, storage=storage), name)
        return
    search, n_trials = _search(sweep, arch, prune=prune, trials=trials, seed=seed)
    _show_plan(search, name, n_trials)
    if plan:
        return

    from mgr_cli import trainer, tuning

    trainer.keep_freed_memory()
    with console.progress("tuning") as progress:
        bench = tuning.Bench(
            dataset, search, folder, machine=trainer.Machine(device=device), progress=progress
        )
        study = tuning.tune(bench, n_trials=n_trials, storage=storage, on_trial=_say)
    _show_trials(study, name)
    _keep(bench, study, zoo, licence)


def _search(
    path: Path | None, arch: str, *, prune: bool, trials: int | None, seed: int
) -> "tuple[Search, int]":
    """Read what is searched, and count its trials."""
    from mgr_cli import studies
    from mgr_cli.sweeps import builtin, spaces
    from mgr_cli.sweeps.sweep import read

    said = read(path) if path else builtin.space_of(arch)
    for key in said.ignored:
        console.note(f"{said.source}: {key} has no meaning here, and is ignored")
    if path is not None:
        for text in said.assumed:
            console.note(f"{said.source}: {text} is assumed")
    variables = spaces.resolve(said, arch)
    resources = studies.resources_of(said, variables, arch) if prune else None
    n_trials = trials or said.run_cap or TRIALS
    if said.method == "grid":
        n_points = sum(1 for _ in spaces.grid(variables))
        n_trials = min(trials or said.run_cap or n_points, n_points)
    return studies.Search(arch, said, variables, resources, seed), n_trials


def _show_plan(search: "Search", name: str, n_trials: int) -> None:
    from mgr_cli import hyperband, studies
    from mgr_cli.sweeps import distributions

    metric = search.sweep.metric
    title = f"{name}: {n_trials} trials, {search.sweep.method}, {metric.goal} {metric.name}"
    rows = [
        [
            studies.drawn_as(variable), variable.name,
            distributions.described(variable.distribution),
        ]
        for variable in search.variables
    ]  # fmt: skip
    console.columns(title, ["parameter", "of mgr", "drawn from"], rows)
    resources = search.resources
    if resources is None:
        return
    published = hyperband.brackets(resources.max_resource, resources.reduction_factor)
    console.columns(
        f"Hyperband as published (Li et al., algorithm 1), R = {resources.max_resource}, "
        f"eta = {resources.reduction_factor}",
        _BRACKETS, _rows(published),
    )  # fmt: skip
    ours = hyperband.optuna_brackets(resources, n_trials, name)
    console.columns(
        "what runs: Optuna deals trials out to the brackets, and stops each as it comes",
        _BRACKETS, _rows(ours),
    )  # fmt: skip
    epochs = sum(bracket.epochs for bracket in ours)
    console.out.print(
        f"about {epochs:,.0f} epochs, of {n_trials * resources.max_resource:,} without",
        markup=False,
    )


_BRACKETS = ["bracket", "trials", "first stop", "rungs: trials @ epochs", "epochs in all"]


def _rows(brackets: "tuple[Bracket, ...]") -> list[list[str]]:
    return [
        [
            str(bracket.s), str(bracket.n), f"{bracket.r:g}",
            "  ".join(f"{rung.n} @ {rung.epochs:g}" for rung in bracket.rungs),
            f"{bracket.epochs:,.0f}",
        ]
        for bracket in brackets
    ]  # fmt: skip


def _say(trial: "optuna.trial.FrozenTrial") -> None:
    from mgr_cli.trials import PROBLEM

    said = {"PRUNED": "stopped early", "FAIL": "failed", "COMPLETE": "done"}[trial.state.name]
    value = "" if trial.value is None else f" {trial.value:.4f}"
    problem = trial.user_attrs.get(PROBLEM, "")
    n_epochs = len(trial.intermediate_values)
    after = f" after {n_epochs} epoch{'s' if n_epochs > 1 else ''}" if n_epochs else ""
    drawn = "".join(f" {key}={value}" for key, value in trial.params.items())
    console.out.print(
        f"trial {trial.number}: {said}{value}{after}{',' if drawn else ''}{drawn}"
        f"{f': {problem}' if problem else ''}",
        markup=False,
    )


def _show_trials(study: "optuna.Study", name: str) -> None:
    from mgr_cli.reports import study as report

    header, rows = report.trials(study)
    console.columns(f"{name}: {len(rows)} trials", header, rows)


def _keep(bench: "Bench", study: "optuna.Study", zoo: Path | None, licence: str) -> None:
    """Leave what a study has brought: an entry, a recipe, a table, a page."""
    import csv
    import io

    import yaml

    from mgr_cli import studies, tuning
    from mgr_cli.files import write_text
    from mgr_cli.reports import study as report
    from mgr_cli.zoo import entries

    folder, best = bench.folder, studies.best(study)
    header, rows = report.trials(study)
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([header, *rows])
    write_text(folder / "trials.csv", table.getvalue())
    if best is None:
        console.fail("no trial has run to its end; see the problems above")
    write_text(folder / "report.html", report.page(
        study, title=f"{folder.name}, {len(rows)} trials", header=header, rows=rows
    ))  # fmt: skip
    recipe = yaml.safe_dump(tuning.best_recipe(bench.search, best), sort_keys=False)
    write_text(folder / "best.yaml", recipe)
    place = entries.home(zoo)
    name = f"{folder.name}-tuned".lower().replace(" ", "-")
    entry = tuning.crown(bench, study, place, name=name, licence=licence)
    console.out.print(f"trial {best.number} is kept: {entry}", markup=False)
    console.note(f"recipe, trials and pictures: {folder}/best.yaml, trials.csv, report.html")
