"""Evaluations side by side: a table of their scores, and what a test says of each two.

The scores of two entries on the same tracks go up and down together, so their intervals may
overlap although one is better. What tells them apart are the tracks on which only one of them is
right: McNemar's test looks at these alone.
"""

from collections.abc import Sequence

from mgr_cli.appraisal import Appraisal
from mgr_cli.comparison import Pair
from mgr_cli.evaluation import Evaluation
from mgr_cli.intervals import Estimate
from mgr_cli.metrics import NAMES
from mgr_cli.reports import page
from mgr_cli.reports.page import Html

_COMPARED = ("accuracy", "f1_macro", "top2")
_NAMED = 10  # tracks that only one of two gets right
_SHORT = 0.9995  # seconds, below which three digits of milliseconds are enough
_SMALLEST = 0.001  # p that is shown as it is


def parts(found: Sequence[Appraisal], pairs: Sequence[Pair]) -> list[Html]:
    """Make the tables and the words that explain them."""
    said = (
        "Scores of tracks, each with its 95 % interval. The expected calibration error (ECE) is "
        "that of the probabilities as they are, the time that of a track."
    )
    more = (
        " Of entries judged on the same tracks the intervals may overlap although one is better: "
        "the tracks on which only one is right tell."
    )
    explained = page.paragraph(said + more if pairs else said)
    return [_together(found), explained, *_tests(pairs), *_apart(found, pairs)]


def percent(score: Estimate | None) -> str:
    """Show a score in per cent with its interval, nothing where there is none."""
    if score is None:
        return ""
    value, low, high = (100 * each for each in (score.value, score.low, score.high))
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def duration(seconds: float) -> str:
    """Show a time with its unit."""
    return f"{1_000 * seconds:,.3g} ms" if seconds < _SHORT else f"{seconds:,.1f} s"


def points(difference: Estimate) -> str:
    """Show a difference of two shares with its sign and its interval."""
    value, low, high = (100 * each for each in (difference.value, difference.low, difference.high))
    return f"{value:+z.1f} ({low:+z.1f} to {high:+z.1f})".replace("-", "−")


def chance(p: float) -> str:
    """Show a probability with the digits that count, and a very small one as such."""
    return f"< {_SMALLEST}" if p < _SMALLEST else f"{p:.2g}"


def _together(found: Sequence[Appraisal]) -> Html:
    """Make the table with a line an entry."""
    devices = list(dict.fromkeys(device for row in found for device in row.pace))
    keys = [
        key for key in _COMPARED if any(key in row.evaluation.assessment.track for row in found)
    ]
    head = ["entry", "tracks", *(f"{NAMES[key]}, %" for key in keys)]
    head += ["ECE, points", "parameters", *(f"time, {device}" for device in devices)]
    lines = [
        (
            row.evaluation.entry,
            row.evaluation.assessment.n_tracks,
            *(percent(row.evaluation.assessment.track.get(key)) for key in keys),
            f"{100 * row.reliability.ece:.1f}",
            f"{row.n_parameters:,}",
            *(duration(row.pace[device]) if device in row.pace else "" for device in devices),
        )
        for row in found
    ]
    judged = dict.fromkeys(f"{row.evaluation.dataset}, {row.evaluation.split}" for row in found)
    return page.table(head, lines, caption=f"on {'; '.join(judged)}", figures=head[1:])


def _tests(pairs: Sequence[Pair]) -> list[Html]:
    """Make the table of pairs, and say how to read p."""
    if not pairs:
        return []
    rows = [
        (pair.first, pair.second, pair.n_both, pair.n_first, pair.n_second, pair.n_neither,
         points(pair.difference), chance(pair.p_value), chance(pair.p_adjusted))
        for pair in pairs
    ]  # fmt: skip
    head = ("first", "second", "both right", "first only", "second only", "neither",
            "first − second, points", "p", "p, Holm")  # fmt: skip
    said = (
        "p (McNemar, exact) is how often two entries that are equally good would differ at least "
        "as much as “first only” and “second only” do. The more pairs are tried, the surer one of "
        f"them looks odd by chance: Holm's p allows for the {len(pairs)} tried here, so read that "
        "one. Below 0.05 chance explains the difference badly; above it nothing is shown, least "
        "of all that the two are equally good."
    )
    table = page.table(head, rows, caption="tracks that each two get right", figures=head[2:])
    return [table, page.paragraph(said)]


def _apart(found: Sequence[Appraisal], pairs: Sequence[Pair]) -> list[Html]:
    """Name the tracks that only one of a pair gets right."""
    if not pairs:
        return []
    said = {row.evaluation.entry: _answers(row.evaluation) for row in found}
    lines = []
    for pair in pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            mine, its = said[one], said[other]
            only = [name for name, right in mine.items() if right and its.get(name) is False]
            more = f" and {len(only) - _NAMED:,} more" if len(only) > _NAMED else ""
            lines.append((one, other, len(only), ", ".join(only[:_NAMED]) + more))
    head = ("right", "wrong", "tracks", "which")
    return [page.table(head, lines, caption="tracks that only one of two gets right")]


def _answers(done: Evaluation) -> dict[str, bool]:
    """Return whether each track was judged right, by its id."""
    return {track.track_id: track.is_right for track in done.tracks}
