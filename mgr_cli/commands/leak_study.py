"""`mgr eval --leak-study`: what a random split feigns.

The entry's recipe is trained once more, on a split of the same tracks and the same sizes that was
drawn at random, and each of the two is judged on its own test split. What the second one scores
more is not skill: pieces of its test tracks' albums, sessions and copies were trained on. Its entry
is kept out of the way, in `.leak-study` in the zoo, and found again when the study is repeated.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console, scores

if TYPE_CHECKING:
    from mgr_cli.config import Device
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.evaluation import Evaluation
    from mgr_cli.zoo.card import Card

PLACE = ".leak-study"  # folder in the zoo of entries of random splits
SAME = ("architecture", "hyperparameters", "recipe", "segments", "seed")  # on both cards


def show(
    model: str | None,
    *,
    data: str | None,
    prepared: Path,
    zoo: Path | None,
    seed: int,
    device: "Device",
    json: bool,
) -> None:
    """Train an entry's recipe on a random split, and print both figures side by side."""
    from mgr_cli import leaks
    from mgr_cli.commands import lookup
    from mgr_cli.zoo import entries
    from mgr_cli.zoo.card import load_card

    folder = lookup.entry(model, zoo)
    card = load_card(folder)
    dataset = lookup.dataset_of(card, data, prepared)
    if card.borrowed is not None:
        console.fail(f"{card.name} judges what a borrowed net computes; study a recipe of its own")
    if dataset.split_digest != card.dataset.split_digest:
        console.fail(
            f"{card.name} was not trained on this split of {dataset.name}; name the dataset that "
            "it was trained on with --data"
        )
    random = leaks.redealt(dataset, seed=seed)
    place = entries.home(zoo) / PLACE
    found = [
        _judged(folder, dataset, "honest", seed, device),
        _judged(_trained(card, random, place, seed, device), random, "random", seed, device),
    ]
    artists = [leaks.shared_artists(each) for each in (dataset, random)]
    if json:
        _print_json(card.name, found, artists)
    else:
        _print_table(card.name, found, artists)


def _trained(
    card: "Card", dataset: "PreparedDataset", place: Path, seed: int, device: "Device"
) -> Path:
    """Return the entry of a card's recipe on another split, trained now or before."""
    name = f"{card.name}-random-{seed}"
    if (place / name / "card.json").exists():
        from mgr_cli.zoo.card import load_card

        known = load_card(place / name)
        if known.dataset.split_digest == dataset.split_digest and all(
            getattr(known, key) == getattr(card, key) for key in SAME
        ):
            return place / name
        console.fail(f"{place / name} is of another split or recipe; remove that folder first")
    if card.recipe is None:
        return _fitted(card, dataset, place, name)
    from mgr_cli import trainer
    from mgr_cli.commands import runs
    from mgr_cli.recipes import Training

    trainer.keep_freed_memory()
    order = runs.Order(
        dataset, place, seed=card.seed, resume=True, licence=card.licence, minutes=None,
        logger=None, machine=trainer.Machine(device=device),
    )  # fmt: skip
    plan = Training(card.architecture, card.hyperparameters, card.recipe, card.segments)
    folder = runs.train(plan, order, name=name)
    assert folder is not None, "one process leads"
    return folder


def _fitted(card: "Card", dataset: "PreparedDataset", place: Path, name: str) -> Path:
    from mgr_cli import fitting, publication

    with console.progress("fitting") as progress:
        fitted = fitting.fit(
            dataset, card.architecture, hyperparameters=card.hyperparameters,
            segments=card.segments, seed=card.seed, progress=progress,
        )  # fmt: skip
    return publication.publish(fitted, dataset, place, name=name, licence=card.licence)


def _judged(
    folder: Path, dataset: "PreparedDataset", what: str, seed: int, device: "Device"
) -> "Evaluation":
    from mgr_cli.evaluation import evaluate
    from mgr_cli.prediction import Predictor

    predictor = Predictor.load(folder, device=device, runtime="torch")
    with console.progress(f"judging the {what} split") as progress:
        return evaluate(predictor, dataset, split="test", seed=seed, progress=progress)


def _print_table(name: str, found: "list[Evaluation]", artists: list[int | None]) -> None:
    header = ["split", "test tracks", "accuracy", "F1 macro", "of artists trained on"]
    rows = []
    for what, done, shared in zip(("its own", "random"), found, artists, strict=True):
        accuracy, f1 = (done.assessment.track[key] for key in ("accuracy", "f1_macro"))
        rows.append(
            [
                what, str(done.assessment.n_tracks), scores.interval(accuracy),
                f"{100 * f1.value:.1f} %", "unknown" if shared is None else str(shared),
            ]
        )  # fmt: skip
    console.columns(f"{name}: one recipe, two splits of {found[0].dataset}", header, rows)
    own, random = (done.assessment.track["accuracy"].value for done in found)
    console.out.print(
        f"the random split feigns {100 * (random - own):+.1f} points; quote the other figure",
        markup=False,
    )


def _print_json(name: str, found: "list[Evaluation]", artists: list[int | None]) -> None:
    import json
    from dataclasses import asdict

    splits = {
        what: {**asdict(done.assessment), "n_of_artists_trained_on": shared}
        for what, done, shared in zip(("own", "random"), found, artists, strict=True)
    }
    console.data(json.dumps({"model": name, "dataset": found[0].dataset, **splits}) + "\n")
