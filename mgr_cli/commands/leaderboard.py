"""Entries side by side, by their figures on the validation split."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console

if TYPE_CHECKING:
    from mgr_cli.fitting import Fitted
    from mgr_cli.intervals import Estimate
    from mgr_cli.zoo.card import Card


def show_nets(folders: Sequence[Path], title: str) -> None:
    """Print how nets fare, the best first."""
    rows = []
    for card in _ranked(folders):
        track, segment = card.figures["valid"].track, card.figures["valid"].segment
        rows.append(
            [
                card.name, f"{card.n_parameters:,}", f"{card.best_epoch}/{card.n_epochs}",
                f"{card.training_seconds / 60:.1f}", _interval(track["accuracy"]),
                _percent(track["f1_macro"]), _percent(segment["accuracy"]),
            ]
        )  # fmt: skip
    header = ["entry", "parameters", "epoch", "minutes", "accuracy", "F1 macro", "segments"]
    console.columns(title, header, rows)


def show_pipelines(folders: Sequence[Path], title: str) -> None:
    """Print how pipelines fare as seed 004 does, the best first."""
    rows = []
    for card in _ranked(folders):
        track = card.figures["valid"].track
        scores = [_percent(track[name]) for name in ("precision", "recall", "f1_macro")]
        accuracy = _interval(track["accuracy"])
        rows.append([card.name, accuracy, *scores, f"{card.training_seconds:.1f}"])
    header = ["entry", "accuracy", "precision", "recall", "F1 macro", "fitted, s"]
    console.columns(title, header, rows)


def transfer_row(
    folder: Path, fitted: "Fitted", train_accuracy: float, paces: tuple[float, float]
) -> list[str]:
    """Make a row of `show_transfer`.

    `paces` are the seconds that a track takes in the borrowed net and in the pipeline.
    """
    from mgr_cli.zoo.card import load_card

    card, values, backbone = load_card(folder), fitted.hyperparameters, fitted.judge.backbone
    steps = fitted.pipeline.named_steps
    return [
        card.name, str(values["cut"]), str(fitted.pipeline.n_features_in_),
        f"{values['pca']:g}" if values["pca"] else "",
        str(steps["pca"].n_components_) if "pca" in steps else "",
        str(values["classifier"]), f"{100 * train_accuracy:.1f}",
        _interval(card.figures["valid"].track["accuracy"]),
        *(f"{1_000 * pace:.2f}" for pace in paces),
        f"{backbone.n_parameters:,}" if backbone else "",
    ]  # fmt: skip


def show_transfer(rows: Sequence[Sequence[str]], title: str) -> None:
    """Print how rivals fare behind borrowed nets, as seed 002 does, in the order of the fits."""
    header = [
        "entry", "cut", "size", "PCA", "kept", "classifier", "train", "valid",
        "net, ms", "rest, ms", "parameters of the net",
    ]  # fmt: skip
    console.columns(title, header, rows)


def _ranked(folders: Sequence[Path]) -> "list[Card]":
    from mgr_cli.zoo.card import load_card

    return sorted(
        map(load_card, folders), key=lambda card: -card.figures["valid"].track["accuracy"].value
    )


def _percent(score: "Estimate") -> str:
    return f"{100 * score.value:.1f}"


def _interval(score: "Estimate") -> str:
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"
