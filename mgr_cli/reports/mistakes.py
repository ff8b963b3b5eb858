"""Where an entry goes wrong: in which genres, what it takes them for, and of which tracks.

The parts of a page about an evaluation that are about its mistakes.
"""

from collections.abc import Sequence

import numpy as np

from mgr_cli import metrics
from mgr_cli.evaluation import Evaluation
from mgr_cli.reports import confusion, page
from mgr_cli.reports.page import Html

_ROWS = 30  # of a table of confusions
_BESIDE = 10  # genres whose two matrices are legible beside each other
_WIDEST = 24  # genres whose counts fit side by side on paper


def by_genre(done: Evaluation) -> list[Html]:
    """Tell how well each genre is found, and what it is taken for."""
    rows = [
        (genre, each.support, each.predicted,
         *(f"{100 * share:.1f}" for share in (each.precision, each.recall, each.f1)),
         _taken_for(done, label))
        for label, (genre, each) in enumerate(
            zip(done.genres, metrics.by_class(done.track_counts), strict=True)
        )
    ]  # fmt: skip
    said = (
        "Precision: of the tracks that were said to be of a genre, the share that is. Recall: of "
        "the tracks of a genre, the share that was found. F1 is their harmonic mean."
    )
    head = ("genre", "tracks", "said", "precision, %", "recall, %", "F1, %", "most often taken for")
    return [page.table(head, rows, figures=head[1:-1]), page.paragraph(said)]


def _taken_for(done: Evaluation, label: int) -> str:
    """Name the genre that most tracks of another were taken for, nothing where none was."""
    wrong = done.track_counts[label].copy()
    wrong[label] = 0
    other = int(wrong.argmax())
    return f"{done.genres[other]} ({wrong[other]:,})" if wrong[other] else ""


def confusions(done: Evaluation) -> list[Html]:
    """Draw the confusion matrices of tracks and of segments, and count them."""
    levels = [("tracks", done.track_counts), ("segments", done.segment_counts)]
    if done.assessment.n_segments == done.assessment.n_tracks:
        levels = levels[:1]  # a segment a track: the two are one
    pictures = [
        page.chart(
            confusion.draw(counts, [page.plain(genre) for genre in done.genres], title=what),
            alt=f"Of the {what} of each genre, the share that was taken for each; counts below",
        )
        for what, counts in levels
    ]
    tables = [_counted(counts, done.genres, what) for what, counts in levels]
    said = (
        "A row is a genre, a column what it was taken for. The shares of a row sum to 1; n counts."
    )
    if len(done.genres) > _BESIDE:
        return [*pictures, page.paragraph(said), *tables]
    return [page.gallery(*pictures), page.paragraph(said), page.gallery(*tables)]


def _counted(counts: np.ndarray, genres: Sequence[str], what: str) -> Html:
    """Make the table of counts: a matrix, or a list where that would not fit on paper."""
    if len(genres) > _WIDEST:
        wrong = np.argwhere((counts > 0) & ~np.eye(len(genres), dtype=bool))
        rows = [(genres[t], genres[s], int(counts[t, s])) for t, s in wrong.tolist()]
        rows.sort(key=lambda row: -row[2])
        caption = f"{what} by what they were taken for"
        return page.table(("genre", "taken for", what), rows, caption=caption, at_most=_ROWS)
    head = ("", *(str(place) for place, _ in enumerate(genres, start=1)))
    matrix = [
        (f"{place} {genre}", *map(int, row))
        for place, (genre, row) in enumerate(zip(genres, counts, strict=True), start=1)
    ]
    caption = f"{what}: rows are true genres, columns by number what they were taken for"
    return page.table(head, matrix, caption=caption)


def confident(done: Evaluation, *, at_most: int, source: str = "") -> list[Html]:
    """List the most confident mistakes, so that one can listen to them.

    Parameters
    ----------
    done : Evaluation
        Whose mistakes.
    at_most : int
        That are listed.
    source : str
        Folder that the paths start from.
    """
    rows = []
    for each in done.mistakes():
        (said, confidence), (second, share) = each.prediction.ranked()[:2]
        sure, less = f"{100 * confidence:.0f}", f"{second}, {100 * share:.0f}"
        rows.append((each.track_id, each.truth, said, sure, less, each.path))
    if not rows:
        return []
    head = ("track", "genre", "said", "confidence, %", "second guess, %", "path")
    where = [page.paragraph(f"Paths start from {source}")] if source else []
    return [page.table(head, rows, at_most=at_most, figures=("confidence, %",)), *where]
