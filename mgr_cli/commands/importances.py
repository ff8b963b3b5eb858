"""`mgr explain --importance`: which features an entry's answers hang on."""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console
from mgr_cli.config import Measure, Split

if TYPE_CHECKING:
    from mgr_cli.importance import Importances


def show(
    importance: Measure,
    folder: Path,
    *,
    data: str | None,
    prepared: Path,
    split: Split,
    repeats: int,
    top: int,
    png: Path | None,
    json: bool,
    seed: int,
    device: str,
) -> None:
    """Print the importances of an entry's features, and draw them."""
    from mgr_cli import importance as measures
    from mgr_cli import leaks
    from mgr_cli.commands import lookup
    from mgr_cli.prediction import Predictor
    from mgr_cli.reports import figures
    from mgr_cli.reports import importance as picture
    from mgr_cli.zoo import weights
    from mgr_cli.zoo.card import load_card

    card = load_card(folder)
    about: dict[str, object] = {"model": card.name}
    title, stem = f"{card.name}, {importance} importance", f"{card.name}-{importance}"
    if importance == "impurity":
        found = measures.impurity(weights.load_model(folder, card), card)
    else:
        dataset = lookup.dataset_of(card, data, prepared)
        leak = leaks.find(card, dataset, split, trained_on=lookup.trained_on(card, prepared))
        if leak:
            console.note(leak)
        predictor = Predictor.load(folder, device=device, runtime="torch")
        with console.progress("shuffling") as progress:
            found = measures.permutation(
                predictor, dataset, split=split, n_repeats=repeats, seed=seed, progress=progress
            )
        about |= {"dataset": dataset.name, "split": split, "repeats": repeats}
        title += f" on {dataset.name}, {split}"
        stem = f"{card.name}-{dataset.name}-{split}-{importance}"
    if json:
        _print_json(about, found)
    else:
        _print_tables(title, found, top=top)
    target = png or Path(f"{stem}.png")
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
