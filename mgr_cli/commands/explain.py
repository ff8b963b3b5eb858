"""`mgr explain`: what an entry's answers hang on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import N_PERMUTATIONS, SEED, Measure, Split

if TYPE_CHECKING:
    from mgr_cli.importance import Importances


def command(
    importance: Annotated[
        Measure | None,
        typer.Option(
            "--importance",
            help="Which features count: by shuffling them (any entry), or by impurity (trees).",
        ),
    ] = None,
    model: options.ModelOption = None,
    data: options.DataOption = None,
    split: Annotated[
        Split, typer.Option("--split", help="Whose tracks are judged with features shuffled.")
    ] = "valid",
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, help="Permutations of each feature.")
    ] = N_PERMUTATIONS,
    top: Annotated[
        int, typer.Option("--top", min=1, max=100, help="Features and families that are shown.")
    ] = 20,
    png: Annotated[
        Path | None,
        typer.Option("--png", help="Where the PNG goes (default: ENTRY-importance.png)."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout, with all features.")
    ] = False,
    seed: options.SeedOption = SEED,
    device: options.DeviceOption = "auto",
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:
    """Say which features an entry's answers hang on, by default those of the newest entry.

    Permutation shuffles a feature between tracks and tells by how much the accuracy drops: a
    column, or a run of mel bands, then each family of them as a whole. Impurity is what the
    splits of a forest gained by it on the training tracks, and needs no dataset.
    """
    if importance is None:
        console.fail("nothing to explain; say --importance permutation, or impurity of a forest")
    from mgr_cli import importance as measures
    from mgr_cli.commands import lookup
    from mgr_cli.prediction import Predictor
    from mgr_cli.reports import figures
    from mgr_cli.reports import importance as picture
    from mgr_cli.zoo import weights
    from mgr_cli.zoo.card import load_card

    folder = lookup.entry(model, zoo)
    card = load_card(folder)
    about: dict[str, object] = {"model": card.name}
    title = f"{card.name}, {importance} importance"
    if importance == "impurity":
        found = measures.impurity(weights.load_model(folder, card), card)
    else:
        dataset = lookup.dataset_of(card, data, prepared)
        predictor = Predictor.load(folder, device=device)
        with console.progress("shuffling") as progress:
            found = measures.permutation(
                predictor, dataset, split=split, n_repeats=repeats, seed=seed, progress=progress
            )
        about |= {"dataset": dataset.name, "split": split, "repeats": repeats}
        title += f" on {dataset.name}, {split}"
    if json:
        _print_json(about, found)
    else:
        _print_tables(title, found, top=top)
    target = png or Path(f"{card.name}-importance.png")
    figures.save(picture.draw(found, title=title, top=top), target)
    console.note(f"picture: {target}")


def _print_json(about: dict[str, object], found: "Importances") -> None:
    import json
    from dataclasses import asdict

    console.data(json.dumps({**about, **asdict(found)}) + "\n")


def _print_tables(title: str, found: "Importances", *, top: int) -> None:
    features, families = found.features[:top], found.families[:top]
    rows: list[tuple[str, ...]]
    if found.accuracy is None:
        title += ", in % of all"
        header: tuple[str, ...] = ("feature", "share", "family")
        rows = [(each.name, _points(each.value), each.family) for each in features]
    else:
        title += f": accuracy {_points(found.accuracy)} %, and by how many points it drops"
        header = ("feature", "drop", "±", "family")
        rows = [
            (each.name, _points(each.value), _points(each.deviation), each.family)
            for each in features
        ]
    console.columns(title, header, rows)
    console.out.print()
    if found.accuracy is None:
        header = ("family", "features", "share")
        rows = [(each.name, str(each.n_features), _points(each.total)) for each in families]
    else:
        header = ("family", "features", "together", "±", "sum of single drops")
        rows = [
            (each.name, str(each.n_features), _points(each.importance), _points(each.deviation),
             _points(each.total))
            for each in families
        ]  # fmt: skip
    console.columns("by family", header, rows)


def _points(share: float) -> str:
    return f"{100 * share:z.1f}"  # z: no -0.0
