"""The card of an entry, laid out for a person: the sections of a model card.

Everything on it may be a stranger's text: it is printed on its own line, without markup and without
what a terminal would take for a command.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from mgr_cli.commands import console

if TYPE_CHECKING:
    from mgr_cli.config import Recipe
    from mgr_cli.intervals import Estimate
    from mgr_cli.zoo.card import Card

Rows = Sequence[tuple[str, str]]
"""Name and value of each line of a section."""

WIDTH = 100  # characters of a line, at the most
NAMED_COLUMNS = 4  # of the features that are one row a track


def shown_bytes(size: int) -> str:
    """Return a number of bytes as people say it: 92 kB, 1.5 MB, 117 MB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.{1 if size < 10 * unit else 0}f} {name}"
    return f"{size} B"


def on_disk(path: Path) -> int:
    """Return the bytes of a file, or of those of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.iterdir() if each.is_file())


def input_of(card: "Card") -> str:
    """Say in a few words what an entry takes of a track."""
    if card.segments is None:
        return f"{len(card.columns)} columns"
    kinds = "+".join(card.eats).replace("+waveform", "+wave")
    return f"{kinds} {card.segments.seconds:.3g} s"


def print_json(card: "Card") -> None:
    """Print a card as it stands in its file."""
    import json

    console.data(json.dumps(card.model_dump(mode="json"), indent=1) + "\n")


def show(folder: Path) -> None:
    """Print a card, a section at a time."""
    from mgr_cli.zoo import descriptions
    from mgr_cli.zoo.card import load_card

    card = load_card(folder)
    fails, weaknesses = descriptions.weaknesses(card)
    console.out.print(console.plain(card.name), style="bold", markup=False)
    for title, lines in (
        ("what it is", _lines(_identity(card, folder))),
        ("what it is not for", _points(descriptions.misuse(card))),
        ("what it hears", _lines(_hearing(card))),
        ("how it was trained", _lines(_training(card))),
        ("how it was chosen", _points(descriptions.choice(card))),
        ("how good it is, in %, with 95 % intervals", _figures(card)),
        (fails, _points(weaknesses)),
        ("how far it can be trusted", _lines(_trust(card))),
        ("files", _files(card, folder)),
        ("licence", _lines((("", card.licence),))),
        ("versions", _lines((("", ", ".join(f"{k} {v}" for k, v in card.versions.items())),))),
    ):
        console.out.print(f"\n{title}", style="bold", markup=False)
        for line in lines:
            console.out.print(line, markup=False)


def _points(sentences: Sequence[str]) -> Iterator[str]:
    """Yield the points of a list, long ones on several lines."""
    return _lines([("-", sentence) for sentence in sentences])


def _lines(rows: Rows) -> Iterator[str]:
    """Yield names and values in two columns, long values on several lines."""
    width = max(len(name) for name, _ in rows)
    indent = 2 + width + 2 * bool(width)
    room = max(min(console.out.width, WIDTH) - indent, 20)
    for name, value in rows:
        first, *others = wrap(console.plain(value), room, break_on_hyphens=False) or ["–"]
        yield f"  {name}".ljust(indent) + first
        yield from (" " * indent + other for other in others)


def _identity(card: "Card", folder: Path) -> Rows:
    settings = ", ".join(f"{name}={value}" for name, value in card.hyperparameters.items())
    return (
        ("architecture", f"{card.architecture}, {card.n_parameters:,} parameters"),
        ("set to", settings or "its defaults"),
        ("genres", f"{len(card.classes)}: {', '.join(card.classes)}"),
        ("created", card.created),
        ("folder", f"{folder}, {shown_bytes(on_disk(folder))}"),
    )


def _hearing(card: "Card") -> Rows:
    spec, rows = card.features, [("input", input_of(card))]
    if card.segments is not None:
        cut = f"{card.segments.seconds:g} s, one every {card.segments.hop_seconds:g} s"
        rows.append(("segments", f"{cut}; {card.vote} vote"))
    if "log-mel" in card.eats:
        rows.append(
            (
                "front end",
                f"{spec.n_mels} mel bands of {spec.fmin:,.0f} to {spec.highest:,.0f} Hz at "
                f"{spec.sample_rate:,} Hz, window {spec.n_fft:,}, hop {spec.hop_length:,} samples, "
                f"{spec.frame_rate:.1f} frames a second, top {spec.top_db:g} dB, {spec.scale}",
            )
        )
    elif "waveform" in card.eats:
        rows.append(("front end", f"mono samples at {spec.sample_rate:,} Hz"))
    if card.columns:
        some = ", ".join(card.columns[:NAMED_COLUMNS])
        more = ", …" if len(card.columns) > NAMED_COLUMNS else ""
        rows.append(("columns", f"{len(card.columns)} ({card.form}): {some}{more}"))
    return rows


def _training(card: "Card") -> Rows:
    counts = ", ".join(f"{count:,} {split}" for split, count in card.dataset.counts.items())
    fold = "" if card.dataset.fold is None else f"; tested on fold {card.dataset.fold}"
    rows = [
        ("dataset", f"{card.dataset.name}: {counts} tracks{fold}"),
        ("split", f"digest {card.dataset.split_digest[:16]}…"),
        ("how", card.provenance),
        ("seed", str(card.seed)),
    ]
    if card.recipe is not None:
        rows.append(("recipe", _recipe(card.recipe, taught=card.teacher is not None)))
        rows.append(("epoch", f"{card.best_epoch}{f' of {card.n_epochs}' * bool(card.n_epochs)}"))
    if card.teacher is not None:
        rows.append(("teacher", f"{card.teacher.name}, weights {card.teacher.sha256[:16]}…"))
    if card.training_seconds:
        rows.append(("time", f"{card.training_seconds:,.1f} s"))
    if card.search is not None:
        best = card.search.best
        tried = f"{len(card.search.candidates)} candidates over {card.search.n_folds} folds"
        rows.append(("grid", f"{tried}, the best {100 * best.accuracy:.1f} %"))
    if card.borrowed is not None:
        size = f"{card.borrowed.n_parameters:,} parameters"
        rows.append(("borrowed net", f"{card.borrowed.origin}; {size}"))
    return rows


def _recipe(recipe: "Recipe", *, taught: bool) -> str:
    from dataclasses import asdict

    values = asdict(recipe)
    if not taught:
        values.pop("teacher_share")
    settings = [f"{name}={value}" for name, value in values.items() if value]
    return f"{', '.join(settings)}; the rest is off"


def _figures(card: "Card") -> list[str]:
    """Lay scores out in a column a split: those of whole tracks, then those of segments."""
    if not card.figures:
        return ["  not measured yet"]
    several = card.figures.values()
    rows: list[list[str]] = [["", *card.figures]]
    for unit, counts, scores in (
        ("of tracks", [each.n_tracks for each in several], [each.track for each in several]),
        ("of segments", [each.n_segments for each in several], [each.segment for each in several]),
    ):
        rows.append([unit, *(f"{count:,}" for count in counts)])
        names = dict.fromkeys(name for each in scores for name in each)
        rows += [
            [
                f"  {console.plain(name)}",
                *(_interval(each[name]) if name in each else "–" for each in scores),
            ]
            for name in names
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows]


def _interval(score: "Estimate") -> str:
    return f"{100 * score.value:.1f} ({100 * score.low:.1f}–{100 * score.high:.1f})"


def _trust(card: "Card") -> Rows:
    rows = [("temperature", f"{card.temperature:g}")]
    trust = card.trust
    if trust is None:
        rows.append(("unsure", "never: no threshold was measured; `mgr eval --calibrate` does"))
    else:
        rows.append(
            (
                "unsure",
                f"below {100 * trust.threshold:.1f} %: of {trust.n_tracks:,} validation tracks "
                f"{100 * trust.coverage:.0f} % are above, {100 * trust.precision:.1f} % of them "
                f"right ({100 * trust.wanted:g} % were asked for)",
            )
        )
    graph = card.graph
    within = f"within {graph.difference:.1e} of the model" if graph else ""
    rows.append(("ONNX graph", within or f"none{f': {card.no_graph}' if card.no_graph else ''}"))
    return rows


def _files(card: "Card", folder: Path) -> Iterator[str]:
    named = [card.weights, card.golden, *(card.borrowed.files if card.borrowed else ())]
    if card.graph is not None:
        named.append(card.graph.file)
    for file in named:
        path = folder / file.file
        size = shown_bytes(on_disk(path)) if path.is_file() else "missing"
        yield f"  {console.plain(file.file)}, {size}, of SHA-256"
        yield f"    {file.sha256}"
