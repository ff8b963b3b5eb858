"""An evaluation to look at: one file with all that is known of an entry on a split.

Of one entry the page has a section for each thing that is known. Of several it opens with the
tables that hold them against each other (`comparison`), and has a section for each entry. What
is not known is left out, and nothing stands in its place.

Scores are in per cent with their 95 % bootstrap intervals over tracks behind them. Names of
tracks and genres are strangers': `page` escapes them.
"""

from collections.abc import Sequence

from mgr_cli.appraisal import Appraisal, Believed
from mgr_cli.calibration import Calibration
from mgr_cli.comparison import Pair
from mgr_cli.evaluation import Evaluation
from mgr_cli.metrics import NAMES
from mgr_cli.reports import comparison, mistakes, page, reliability
from mgr_cli.reports.comparison import percent
from mgr_cli.reports.page import Html
from mgr_cli.taxonomy import Distances

N_MISTAKES = 30

Topic = tuple[str, list[Html]]


def render(
    found: Sequence[Appraisal],
    *,
    pairs: Sequence[Pair] = (),
    command: str = "",
    n_mistakes: int = N_MISTAKES,
) -> Html:
    """Make a page about an evaluation, or about several.

    Parameters
    ----------
    found : sequence of Appraisal
        One an entry, in the order in which they shall stand.
    pairs : sequence of Pair
        What a test says of each two entries.
    command : str
        The command line that makes this page again.
    n_mistakes : int
        Of each entry that are listed.

    Returns
    -------
    Html
        The whole page, for `page.save`.

    Raises
    ------
    ValueError
        If nothing was found.
    """
    if not found:
        raise ValueError("there is no evaluation to make a page of")
    again = [page.section("How to make this page again", page.paragraph(command))]
    if len(found) == 1:
        (one,) = found
        title = one.title
        topics = _topics(one, n_mistakes)
        body = [*_opening(one), *(page.section(name, *parts) for name, parts in topics)]
    else:
        title = f"{len(found)} evaluations compared"
        leaky = [each.evaluation for each in found if each.evaluation.is_leaky]
        stamps = [page.note(f"{done.entry}: {done.remarks[0]}") for done in leaky]
        body = [*stamps, page.section("Comparison", *comparison.parts(found, pairs))]
        body += [_section(each, n_mistakes) for each in found]
    return page.document(title, *body, *(again if command else []))


def _opening(one: Appraisal) -> list[Html]:
    """Say what was judged, after what has to be known of it."""
    done = one.evaluation
    n, many = done.assessment.n_tracks, done.assessment.n_segments
    said = f"{n:,} tracks of {len(done.genres)} genres in {many:,} segments"
    vote = f", which vote by their {done.assessment.vote}" if many > n else ""
    remarks = (f"{remark[:1].upper()}{remark[1:]}" for remark in done.remarks)
    return [*map(page.note, remarks), page.paragraph(f"{said}{vote}.")]


def _section(one: Appraisal, n_mistakes: int) -> Html:
    """Make the section of one entry of several."""
    topics = _topics(one, n_mistakes)
    below = [part for name, parts in topics for part in (page.heading(name), *parts)]
    return page.section(one.title, *_opening(one), *below)


def _topics(one: Appraisal, n_mistakes: int) -> list[Topic]:
    """List what is known, each with its heading."""
    done = one.evaluation
    topics = (
        ("Scores", _scores(done)),
        ("Genres", mistakes.by_genre(done)),
        ("Confusions", mistakes.confusions(done)),
        ("Calibration", _calibration(one)),
        ("Genre tree", _tree(one.distances)),
        ("Speed and size", _pace(one)),
        (
            "The most confident mistakes",
            mistakes.confident(done, at_most=n_mistakes, source=one.source),
        ),
    )
    return [topic for topic in topics if topic[1]]


def _scores(done: Evaluation) -> list[Html]:
    found, k = done.assessment, len(done.genres)
    rows = [
        (name, percent(found.track[key]), percent(found.segment.get(key)))
        for key, name in NAMES.items()
        if key in found.track
    ]
    head = ("score, %", f"{found.n_tracks:,} tracks", f"{found.n_segments:,} segments")
    said = (
        "In brackets the 95 % interval, bootstrapped over tracks. Macro is the plain average over "
        "the genres, weighted counts a genre by its tracks. Accuracy is the share of right "
        "answers; some papers give that name to the one-versus-rest accuracy (ovr_accuracy), the "
        f"average over the genres of “is it this one or not”. With {k} genres an accuracy of 60 % "
        f"is a one-versus-rest accuracy of {100 * (1 - 0.8 / k):.0f} %: 1 − 2 (1 − accuracy) / k."
    )
    return [page.table(head, rows, figures=head[1:]), page.paragraph(said)]


def _calibration(one: Appraisal) -> list[Html]:
    found = one.calibration
    reached = {"value": one.reliability}
    parts = [page.paragraph(_gaps(one))]
    if found is not None:
        reached = {"before": found.before, "after": found.after}
        alt = "Accuracy by confidence before and after the temperature; the table has the errors"
        drawn = reliability.draw(found, title="Confidence of tracks")
        parts += [page.paragraph(_tempered(found)), page.chart(drawn, alt=alt)]
        if one.evaluation.split == "valid":
            same = (
                "Temperature and threshold were fitted on these very tracks, so “after” and what "
                "is believed flatter them."
            )
            parts = [page.note(same), *parts]
    rows = [
        ("expected error (ECE), points", *(100 * each.ece for each in reached.values())),
        ("maximum error, points", *(100 * each.mce for each in reached.values())),
        ("log loss, nats", *(each.log_loss for each in reached.values())),
        ("Brier score", *(each.brier for each in reached.values())),
    ]
    parts.append(page.table(("smaller is better", *reached), rows))
    return parts if one.believed is None else [*parts, page.paragraph(_believed(one.believed))]


def _gaps(one: Appraisal) -> str:
    """Say in words how far confidence is from accuracy."""
    return (
        f"On average over the tracks confidence is {100 * one.reliability.ece:.1f} points from "
        "accuracy (expected calibration error, ECE); as few tracks as these show "
        f"{100 * one.chance_ece:.1f} points by chance alone. The maximum error is that of the "
        "worst bin."
    )


def _tempered(found: Calibration) -> str:
    """Say in words what the temperature does."""
    fitted = f"A temperature of {found.temperature:.3g}, fitted on {found.n_tracks_fitted:,} tracks"
    if found.temperature == 1:
        return f"{fitted} of the validation split, leaves the probabilities as they are."
    how = "softens" if found.temperature > 1 else "sharpens"
    return (
        f"{fitted} of the validation split, {how} the probabilities: "
        f"then it is {100 * found.after.ece:.1f} points."
    )


def _believed(found: Believed) -> str:
    """Say in words what trust does."""
    trust = found.trust
    if not trust.coverage:
        return (
            f"No confidence is high enough for {100 * trust.wanted:.0f} % of the answers to be "
            f"right, so none is believed ({trust.n_tracks:,} validation tracks)."
        )
    asked = (
        f"Answers are believed from a confidence of {100 * trust.threshold:.1f} % on, and unsure "
        f"below. That was chosen on {trust.n_tracks:,} validation tracks for "
        f"{100 * trust.wanted:.0f} % of them to be right; there "
        f"{100 * trust.coverage:.1f} % were believed and {100 * trust.precision:.1f} % of these "
        "right."
    )
    if found.precision is None:
        return f"{asked} Of the tracks judged here none is."
    return (
        f"{asked} Of the tracks judged here {100 * found.coverage:.1f} % are believed, and of "
        f"these {percent(found.precision)} % are right."
    )


def _tree(found: Distances | None) -> list[Html]:
    if found is None:
        return []
    rows = [
        ("edges from a mistake to the truth", found.mean_of_errors),
        ("the same, were mistakes made at random", found.at_random),
        ("edges from any answer to the truth", found.mean),
        ("hierarchical precision, %", 100 * found.precision),
        ("hierarchical recall, %", 100 * found.recall),
        ("hierarchical F1, %", 100 * found.f1),
    ]
    said = (
        "Edges are steps in the tree of genres: to take Punk for Rock is a smaller mistake than to "
        "take it for Opera. The hierarchical scores give credit for ancestors that are right."
    )
    return [page.table(("measure", "value"), rows), page.paragraph(said)]


def _pace(one: Appraisal) -> list[Html]:
    rows = [
        (f"time for a track, {device}", comparison.duration(seconds))
        for device, seconds in one.pace.items()
    ]
    rows.append(("parameters", f"{one.n_parameters:,}"))
    return [page.table(("measure", "value"), rows, figures=("value",))]
