"""`mgr eval`: how good an entry is on a split of a prepared dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import SEED, Split, VoteRule

if TYPE_CHECKING:
    import numpy as np

    from mgr_cli.evaluation import Evaluation

NAMES = {
    "accuracy": "accuracy",
    "f1_macro": "F1 macro",
    "f1_weighted": "F1 weighted",
    "precision": "precision",
    "recall": "recall",
    "ovr_accuracy": "one-versus-rest accuracy",
}


def command(
    model: options.ModelOption = None,
    data: options.DataOption = None,
    split: Annotated[Split, typer.Option("--split", help="Which tracks.")] = "test",
    vote: Annotated[
        VoteRule | None, typer.Option("--vote", help="How segments vote (default: the card's).")
    ] = None,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Draw the confusion matrix, here and as a PNG.")
    ] = False,
    png: Annotated[
        Path | None,
        typer.Option("--png", help="Where the PNG goes (default: ENTRY-SPLIT-confusion.png)."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures to the entry's card.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    seed: options.SeedOption = SEED,
    device: options.DeviceOption = "auto",
    prepared: options.PreparedOption = options.PREPARED,
    zoo: options.ZooOption = None,
) -> None:
    """Judge an entry on a split, by default the newest entry on its test split.

    Scores are given for whole tracks, after the vote, and for single segments, each with a
    95 % bootstrap interval over tracks.
    """
    from mgr_cli import evaluation
    from mgr_cli.commands import lookup
    from mgr_cli.prediction import Predictor
    from mgr_cli.zoo.card import load_card

    folder = lookup.entry(model, zoo)
    card = load_card(folder)
    dataset = lookup.dataset_of(card, data, prepared)
    predictor = Predictor.load(folder, device=device, vote=vote)
    with console.progress("judging") as progress:
        done = evaluation.evaluate(predictor, dataset, split=split, seed=seed, progress=progress)
    if record:
        evaluation.record(folder, split, done.assessment)
    if json:
        _print_json(card.name, dataset.name, split, done)
    else:
        _print_table(f"{card.name} on {dataset.name}, {split}", done)
    if confusion or png:
        from mgr_cli.reports import confusion as picture
        from mgr_cli.reports import figures

        if not json:
            _print_confusion(done.track_counts, done.genres)
        target = png or Path(f"{card.name}-{split}-confusion.png")
        title = f"{card.name} on {dataset.name}, {split}"
        figures.save(picture.draw(done.track_counts, done.genres, title=title), target)
        console.note(f"confusion matrix of tracks: {target}")


def _print_json(entry: str, dataset: str, split: str, done: "Evaluation") -> None:
    import json
    from dataclasses import asdict

    record = {
        "model": entry,
        "dataset": dataset,
        "split": split,
        **asdict(done.assessment),
        "genres": done.genres,
        "confusion": {
            "track": done.track_counts.tolist(),
            "segment": done.segment_counts.tolist(),
        },
    }
    console.data(json.dumps(record) + "\n")


def _print_table(title: str, done: "Evaluation") -> None:
    from rich.table import Table

    assessment = done.assessment
    table = Table(title=title, title_justify="left")
    table.add_column("score")
    table.add_column(f"{assessment.n_tracks} tracks ({assessment.vote} vote)", justify="right")
    table.add_column(f"{assessment.n_segments} segments", justify="right")
    for key, name in NAMES.items():
        cells = [
            f"{100 * e.value:.1f} % [dim][{100 * e.low:.1f}, {100 * e.high:.1f}][/]"
            for e in (assessment.track[key], assessment.segment[key])
        ]
        table.add_row(name, *cells)
    console.out.print(table)


def _print_confusion(counts: "np.ndarray", genres: tuple[str, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    from mgr_cli.metrics import row_normalised

    table = Table(
        title="true genre ↓, predicted → (share of the row, tracks)", title_justify="left",
        pad_edge=False, padding=(0, 0),
    )  # fmt: skip
    table.add_column("")
    for genre in genres:
        table.add_column(genre[:5], justify="right", width=5)
    table.add_column("n", justify="right", width=5)
    for row, (genre, shares) in enumerate(zip(genres, row_normalised(counts), strict=True)):
        cells = []
        for column, share in enumerate(shares):
            grey = 232 + round(23 * share)
            style = f"{'black' if share > 0.5 else 'white'} on color({grey})"
            text = f"{share:.2f}" if share else "·"
            cells.append(Text(text, style=f"bold {style}" if row == column else style))
        table.add_row(genre, *cells, str(int(counts[row].sum())))
    console.out.print(table)
