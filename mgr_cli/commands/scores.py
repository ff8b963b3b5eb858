"""What `mgr eval` prints: tables for people, or one JSON object."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgr_cli.commands import console

if TYPE_CHECKING:
    import numpy as np

    from mgr_cli.appraisal import Appraisal
    from mgr_cli.comparison import Pair
    from mgr_cli.evaluation import Evaluation
    from mgr_cli.intervals import Estimate

MILLISECONDS = 1_000
LISTED = 10  # tracks that only one of two entries gets right


def show(
    several: "Sequence[Appraisal]", pairs: "Sequence[Pair]", *, confusion: bool, errors: int
) -> None:
    """Print what was found of one entry, or of several side by side.

    `errors` is how many mistakes of each are listed, 0 for none.
    """
    if len(several) == 1:
        _show_alone(several[0])
    else:
        _show_together(several, pairs)
    for each in several:
        if confusion:
            _show_confusion(each.title, each.evaluation)
        if errors:
            _show_mistakes(each, errors)


def print_json(several: "Sequence[Appraisal]", pairs: "Sequence[Pair]") -> None:
    """Print one object: of an entry, or of several with what tests say of each two."""
    import json
    from dataclasses import asdict

    records = [_record(each) for each in several]
    both = {"entries": records, "pairs": [asdict(pair) for pair in pairs]}
    console.data(json.dumps(records[0] if len(several) == 1 else both) + "\n")


def _record(judged: "Appraisal") -> dict[str, Any]:
    from dataclasses import asdict

    done = judged.evaluation
    return {
        "model": done.entry,
        "dataset": done.dataset,
        "split": done.split,
        "remarks": done.remarks,
        **asdict(done.assessment),
        "genres": done.genres,
        "by_genre": {name: asdict(each) for name, each in _by_genre(done)},
        "confusion": {
            "track": done.track_counts.tolist(),
            "segment": done.segment_counts.tolist(),
        },
        "reliability": {**asdict(judged.reliability), "chance_ece": judged.chance_ece},
        "calibration": judged.calibration and asdict(judged.calibration),
        "trust": judged.believed and asdict(judged.believed),
        "genre_tree": judged.distances and asdict(judged.distances),
        "n_parameters": judged.n_parameters,
        "seconds_per_track": judged.pace,
        "tracks": [
            {
                "track_id": track.track_id,
                "path": track.path,
                "genre": track.truth,
                "predicted": track.prediction.genre,
                "probs": [round(float(p), 6) for p in track.prediction.probs],
            }
            for track in done.tracks
        ],
    }


def _show_alone(judged: "Appraisal") -> None:
    from mgr_cli.metrics import NAMES

    done = judged.evaluation
    _show_remarks(judged)
    assessment = done.assessment
    header = ["score", f"{assessment.n_tracks} tracks ({assessment.vote} vote)",
              f"{assessment.n_segments} segments"]  # fmt: skip
    rows = [
        [name, interval(assessment.track[key]), interval(assessment.segment[key])]
        for key, name in NAMES.items()
        if key in assessment.track
    ]
    console.columns(judged.title, header, rows)
    console.out.print()
    _show_genres(done)
    console.out.print()
    for line in (_calibration(judged), _trust(judged), _tree(judged), _pace(judged)):
        if line:
            console.out.print(line, markup=False)


def _show_together(several: "Sequence[Appraisal]", pairs: "Sequence[Pair]") -> None:
    for each in several:
        _show_remarks(each)
    first = several[0].evaluation
    devices = " ".join(dict.fromkeys(device for each in several for device in each.pace))
    header = [
        "entry", "tracks", "accuracy", "F1 macro", "top-2", "ECE", f"ms a track ({devices})",
        "parameters",
    ]  # fmt: skip
    rows = []
    for each in several:
        track = each.evaluation.assessment.track
        rows.append(
            [
                each.evaluation.entry, str(each.evaluation.assessment.n_tracks),
                interval(track["accuracy"]), percent(track["f1_macro"].value),
                percent(track["top2"].value) if "top2" in track else "",
                percent(each.reliability.ece),
                " ".join(f"{MILLISECONDS * seconds:.1f}" for seconds in each.pace.values()),
                f"{each.n_parameters:,}",
            ]
        )  # fmt: skip
    console.columns(f"{first.dataset}, {first.split}: scores of tracks", header, rows)
    console.out.print()
    header = ["pair", "only the first", "only the second", "difference, points", "p", "p (Holm)"]
    lines = [
        [
            f"{pair.first} – {pair.second}", str(pair.n_first), str(pair.n_second),
            interval(pair.difference).replace(" %", ""), _p(pair.p_value), _p(pair.p_adjusted),
        ]
        for pair in pairs
    ]  # fmt: skip
    console.columns("McNemar's test: tracks that only one gets right", header, lines)
    for pair in pairs:
        _show_difference(several, pair)


def _show_difference(several: "Sequence[Appraisal]", pair: "Pair") -> None:
    """Name the tracks that only one of two entries gets right."""
    done = {each.evaluation.entry: each.evaluation for each in several}
    right = {
        name: {track.track_id for track in done[name].tracks if track.is_right}
        for name in (pair.first, pair.second)
    }
    shared = {track.track_id for track in done[pair.first].tracks} & {
        track.track_id for track in done[pair.second].tracks
    }
    for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
        only = sorted((right[one] - right[other]) & shared)
        more = f" … and {len(only) - LISTED} more" if len(only) > LISTED else ""
        names = ", ".join(only[:LISTED])
        console.out.print(f"\n{one}, not {other}: {names}{more}", markup=False)


def _show_remarks(judged: "Appraisal") -> None:
    for remark in judged.evaluation.remarks:
        console.out.print(f"{judged.evaluation.entry}: {remark}", style="bold", markup=False)


def _show_genres(done: "Evaluation") -> None:
    rows = [
        [
            name, str(each.support), str(each.predicted), f"{100 * each.precision:.1f}",
            f"{100 * each.recall:.1f}", f"{100 * each.f1:.1f}",
        ]
        for name, each in _by_genre(done)
    ]  # fmt: skip
    header = ["genre", "tracks", "predicted", "precision, %", "recall, %", "F1, %"]
    console.columns("by genre", header, rows)


def _by_genre(done: "Evaluation") -> list[tuple[str, Any]]:
    from mgr_cli.metrics import by_class

    return list(zip(done.genres, by_class(done.track_counts), strict=True))


def _calibration(judged: "Appraisal") -> str:
    found = judged.calibration
    said = (
        f"expected calibration error of tracks: {percent(judged.reliability.ece)}, "
        f"{percent(judged.chance_ece)} by chance alone"
    )
    if found is None:
        return f"{said}; --calibrate fits a temperature"
    whole = judged.evaluation.tracks[0].prediction.temperature * found.temperature
    return (
        f"{said}; {100 * found.after.ece:.1f} % at temperature {whole:.2f}, fitted on "
        f"{found.n_tracks_fitted} validation tracks (log loss {found.before.log_loss:.3f} → "
        f"{found.after.log_loss:.3f})"
    )


def _trust(judged: "Appraisal") -> str:
    found = judged.believed
    if found is None:
        return "by this vote the card asks for no confidence: all is believed; see --calibrate"
    trust = found.trust
    if not trust.coverage:
        return f"no confidence makes {percent(trust.wanted)} right: no answer is believed"
    believed = f"believed from a confidence of {percent(trust.threshold)} on: "
    if found.precision is None:
        return f"{believed}none of the tracks"
    return (
        f"{believed}{percent(found.coverage)} of the tracks, of which "
        f"{interval(found.precision)} are right ({percent(trust.wanted)} were wanted)"
    )


def _tree(judged: "Appraisal") -> str:
    found = judged.distances
    if found is None:
        return ""
    return (
        f"genre tree: a mistake is {found.mean_of_errors:.2f} edges off, one made at random "
        f"{found.at_random:.2f}; any answer {found.mean:.2f}; hierarchical F1 {percent(found.f1)}"
    )


def _pace(judged: "Appraisal") -> str:
    paces = [
        f"{MILLISECONDS * seconds:.1f} ms a track on {device}, its features being prepared"
        for device, seconds in judged.pace.items()
    ]
    return ", ".join((*paces, f"{judged.n_parameters:,} parameters"))


def _show_mistakes(judged: "Appraisal", at_most: int) -> None:
    mistakes = judged.evaluation.mistakes()
    rows = []
    for track in mistakes[:at_most]:
        (said, confidence), (second, _) = track.prediction.ranked()[:2]
        place = str(Path(judged.source) / track.path) if track.path else track.track_id
        rows.append([track.truth, said, f"{100 * confidence:.0f} %", second, place])
    title = f"{judged.title}: the {len(rows)} most confident of {len(mistakes)} mistakes"
    console.out.print()
    console.columns(title, ["genre", "predicted", "confidence", "second", "track"], rows)


def _show_confusion(title: str, done: "Evaluation") -> None:
    from rich.table import Table
    from rich.text import Text

    from mgr_cli.metrics import row_normalised

    counts: np.ndarray = done.track_counts
    longest = max(map(len, done.genres))
    table = Table(
        title=Text(f"{title}: true genre ↓, predicted → (share of the row, tracks)"),
        title_justify="left", pad_edge=False, padding=(0, 0),
    )  # fmt: skip
    table.add_column("", no_wrap=True, min_width=longest)
    for genre in done.genres:
        table.add_column(Text(genre[:5]), justify="right", min_width=5)
    table.add_column("n", justify="right", min_width=5)
    for row, (genre, shares) in enumerate(zip(done.genres, row_normalised(counts), strict=True)):
        cells = []
        for column, share in enumerate(shares):
            grey = 232 + round(23 * share)
            style = f"{'black' if share > 0.5 else 'white'} on color({grey})"
            text = f"{share:.2f}" if share else "·"
            cells.append(Text(text, style=f"bold {style}" if row == column else style))
        table.add_row(Text(genre), *cells, str(int(counts[row].sum())))
    # On a narrow terminal lines are broken, but nothing is left out.
    console.out.print(table, width=longest + 6 * (len(done.genres) + 1) + 2)


def interval(estimate: "Estimate") -> str:
    """Show an estimate in per cent, with its interval."""
    return f"{100 * estimate.value:z.1f} % [{100 * estimate.low:z.1f}, {100 * estimate.high:z.1f}]"


def percent(share: float) -> str:
    """Show a share in per cent."""
    return f"{100 * share:.1f} %"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
