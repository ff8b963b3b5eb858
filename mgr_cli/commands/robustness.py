"""`mgr eval --robust`: whether an entry says the same of a track in other forms.

Each track is encoded anew in every form, in a temporary folder, and judged as `mgr predict` judges
it; what comes is a row a form, against the tracks as they are.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mgr_cli.commands import console

if TYPE_CHECKING:
    from mgr_cli.config import Device, VoteRule
    from mgr_cli.robustness import Agreement, Heard
    from mgr_cli.zoo.card import Card

ALLOWED = frozenset({"robust", "model", "vote", "json", "device", "zoo"})
"""Parameters of `mgr eval` that go with --robust, which judges no dataset."""


def show(
    name: str,
    *,
    model: str | None,
    vote: "VoteRule | None",
    zoo: Path | None,
    device: "Device",
    json: bool,
) -> None:
    """Judge the files that are meant in all forms, and print what became of their genres."""
    from mgr_cli import robustness
    from mgr_cli.commands import lookup, songs
    from mgr_cli.prediction import Predictor

    named = songs.collect([name])
    for each in named:
        if each.problem:
            console.error(f"{each.path}: {each.problem}")
    paths = [each.path for each in named if not each.problem]
    some = robustness.chosen(paths)
    if len(some) < len(paths):
        console.note(f"{len(some)} of {len(paths):,} files are taken, evenly from all over")
    predictor = Predictor.load(lookup.entry(model, zoo), device=device, vote=vote)
    with console.progress("other forms") as progress:
        heard = robustness.measure(predictor, some, progress=progress)
    failed = [each for each in heard if each.reference.status == "error"]
    for one in failed:
        console.error(f"{one.path}: {one.reference.error}")
    rows = robustness.summarise(heard)
    if json:
        _print_json(predictor.card, predictor.vote, heard, rows)
    elif len(failed) < len(heard):
        _print_table(predictor.card, predictor.vote, heard, rows)
    if failed or len(paths) < len(named):
        raise typer.Exit(console.SOME_FAILED)


def _print_table(card: "Card", vote: str, heard: "list[Heard]", rows: "list[Agreement]") -> None:
    whole = [each for each in heard if each.reference.status == "ok"]
    header = ["form", "tracks", "same genre", "distance", "largest", "another", "none"]
    knows = any(each.truth for each in whole)
    header += ["right", "right as it is"] if knows else []
    n = f"{len(whole)} track{'s' * (len(whole) > 1)}"
    title = f"{card.name}: {n} in other forms ({vote} vote)"
    console.columns(title, header, [_cells(row, knows) for row in rows])
    for line in _remarks(card, whole, rows):
        console.out.print(console.plain(line), markup=False)


def _cells(row: "Agreement", knows: bool) -> list[str]:
    """Write a row; what was not measured is a dash."""
    from mgr_cli import trust

    if not row.n_tracks:
        return [row.form, "0", *"-" * (7 if knows else 5)]
    low, high = trust.interval(row.n_same, row.n_tracks)
    same = f"{_percent(row.n_same, row.n_tracks)} [{100 * low:.1f}, {100 * high:.1f}]"
    cells = [row.form, str(row.n_tracks), same]
    cells += [f"{row.mean_distance:.3f}", f"{row.largest_distance:.3f}"]
    counts = (row.n_other, row.n_none)
    cells += [f"{n} of {row.n_believed}" if row.n_believed else "-" for n in counts]
    for n in (row.n_right, row.n_right_before) if knows else ():
        cells.append(_percent(n, row.n_known) if row.n_known else "-")
    return cells


def _remarks(card: "Card", whole: "list[Heard]", rows: "list[Agreement]") -> list[str]:
    """Say what the columns are, and which forms could not be judged."""
    believed = sum(each.reference.is_answered for each in whole)
    found = [
        "distance: by how much the probability of any set of genres changed (total variation), on "
        "average and of one track",
        f"another, none: of the {believed} tracks that {card.name} believes as they are, those "
        "that get another answer, or none any more",
    ]
    if any(each.truth for each in whole):
        n = sum(bool(each.truth) for each in whole)
        found.append(f"right: of the {n} tracks whose folder is called as a genre of the entry")
    for row in rows:
        if row.problems:
            n = len(row.problems)
            found.append(f"{row.form}: {n} could not be judged, the first is {row.problems[0]}")
    return found


def _print_json(card: "Card", vote: str, heard: "list[Heard]", rows: "list[Agreement]") -> None:
    import json

    said = {
        "model": card.name,
        "vote": vote,
        "n_tracks": sum(each.reference.status == "ok" for each in heard),
        "forms": [_described(row) for row in rows],
        "tracks": [_track(each) for each in heard],
    }
    console.data(json.dumps(said) + "\n")


def _described(row: "Agreement") -> dict[str, Any]:
    """Return a row's fields by name, with shares; null where there is nothing to take them of."""
    from mgr_cli import trust

    said = asdict(row)
    said |= {key: None for key, value in said.items() if value != value}  # NaN is no JSON
    said["agreement"] = row.n_same / row.n_tracks if row.n_tracks else None
    said["interval"] = trust.interval(row.n_same, row.n_tracks) if row.n_tracks else None
    return said


def _track(heard: "Heard") -> dict[str, Any]:
    from mgr_cli import robustness

    reference = heard.reference
    said: dict[str, Any] = {"path": str(heard.path), "status": reference.status}
    if reference.status == "error":
        return {**said, "error": reference.error}
    said |= {"truth": heard.truth or None, "genre": reference.genre, "answer": reference.answer}
    said["forms"] = {
        form: {"genre": each.genre, "answer": each.answer,
               "distance": round(robustness.distance(reference, each), 6)}
        if each.status == "ok" else {"error": each.error}
        for form, each in heard.records.items()
    }  # fmt: skip
    return said


def _percent(n: int, of: int) -> str:
    return f"{100 * n / of:.1f} %"
