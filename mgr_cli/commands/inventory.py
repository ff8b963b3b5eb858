"""`mgr zoo list`: the entries of all zoos, a row each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgr_cli.commands import console
from mgr_cli.commands.cards import input_of, on_disk, shown_bytes

if TYPE_CHECKING:
    from mgr_cli.zoo.card import Assessment, Card

HEADER = ("entry", "valid", "test", "input", "genres", "dataset", "params", "size")
FIRST = 3  # columns that stay on the first line where a row needs two
LEFT = frozenset({"entry", "input", "dataset"})
FINE = 9.95  # points; what is wider is told in whole ones
CAPTION = "accuracy of whole tracks in %, ± half its 95 % interval; * is what predicts unasked"


def show(zoo: Path | None, *, json: bool) -> bool:
    """Print all entries, and tell whether all of them are whole.

    Damaged ones cost a line each. Rows that do not fit on a terminal's lines take two of them.
    """
    from mgr_cli.errors import ZooError
    from mgr_cli.zoo import entries
    from mgr_cli.zoo.card import load_card

    zoos = entries.places(zoo)
    found = entries.folders(zoos)
    if not found:
        console.fail("the zoo is empty; train an entry with `mgr train`")
    default, problems = _default(zoos)
    cards: dict[Path, Card] = {}
    for folder in found.values():
        try:
            cards[folder] = load_card(folder)
        except ZooError as error:
            problems[folder] = str(error)
    if json:
        _print_json(found, cards, problems, default)
    else:
        for line in _table([_row(cards[each], each, default) for each in cards]):
            console.out.print(line, markup=False)
        console.note(CAPTION)
    for place, problem in problems.items():
        if not json or place not in found.values():  # else the object of the entry says so
            console.error(problem)
    return not problems


def _default(zoos: Sequence[Path]) -> tuple[Path | None, dict[Path, str]]:
    from mgr_cli.errors import ZooError
    from mgr_cli.zoo import entries

    try:
        return entries.default_entry(zoos), {}
    except ZooError as error:
        return None, {zoos[0] / entries.DEFAULT: str(error)}


def _row(card: "Card", folder: Path, default: Path | None) -> list[str]:
    return [
        console.plain(folder.name) + (" *" if folder == default else ""),
        *(_accuracy(card.figures.get(split)) for split in ("valid", "test")),
        input_of(card),
        str(len(card.classes)),
        console.plain(card.dataset.name),
        f"{card.n_parameters:,}",
        shown_bytes(on_disk(folder)),
    ]


def _accuracy(figures: "Assessment | None") -> str:
    estimate = figures.track.get("accuracy") if figures else None
    if estimate is None:
        return "–"
    half = 50 * (estimate.high - estimate.low)
    return f"{100 * estimate.value:.1f} ± {half:.{0 if half > FINE else 1}f}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out in columns: on one line each if those fit, else on two."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    lines = [
        [
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(HEADER, cells, widths, strict=True)
        ]
        for cells in (HEADER, *rows)
    ]
    if console.out.is_terminal and sum(widths) + 2 * (len(widths) - 1) > console.out.width:
        return [
            part.rstrip()
            for cells in lines
            for part in ("  ".join(cells[:FIRST]), "    " + "  ".join(cells[FIRST:]))
        ]
    return ["  ".join(cells).rstrip() for cells in lines]


def _print_json(
    folders: "Mapping[str, Path]", cards: "Mapping[Path, Card]",
    problems: Mapping[Path, str], default: Path | None,
) -> None:  # fmt: skip
    """Print an object a line: of a damaged entry its name, its folder and what is wrong."""
    import json

    for name, folder in folders.items():
        about: dict[str, Any] = {"name": name, "folder": str(folder)}
        if folder in cards:
            about |= {"status": "ok", "default": folder == default} | _record(cards[folder], folder)
        else:
            about |= {"status": "error", "error": problems[folder]}
        console.data(json.dumps(about) + "\n")


def _record(card: "Card", folder: Path) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "architecture": card.architecture,
        "classes": list(card.classes),
        "eats": list(card.eats),
        "seconds": card.segments and card.segments.seconds,
        "n_parameters": card.n_parameters,
        "dataset": card.dataset.name,
        "accuracy": {
            split: asdict(figures.track["accuracy"])
            for split, figures in card.figures.items()
            if "accuracy" in figures.track
        },
        "bytes": on_disk(folder),
        "licence": card.licence,
    }
