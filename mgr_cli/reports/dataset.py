"""A prepared dataset to look at: what it holds, how it is split, what is wrong with it.

Counts and shares are of usable tracks unless a column says otherwise; a usable track that is
in none of train, valid and test is *left out*. Every name is a stranger's: `page` escapes it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from mgr_cli.config import SPLITS
from mgr_cli.data.audit import Audit, Finding
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import OK
from mgr_cli.plans import Kind
from mgr_cli.reports import drawing, page, tallies
from mgr_cli.reports.page import Html
from mgr_cli.reports.tallies import LEFT_OUT, PLACES

N_TRACKS = 2  # drawn of each genre
ROWS = 30  # of a table whose length is up to the data
_NAMES = 6  # tracks of a finding that are named
_DRAWN = 48  # tracks drawn in all, whatever the genres
_BARS = 60  # genres with a bar

Levels = Callable[[int], np.ndarray | None]
Waveform = Callable[[int], tuple[np.ndarray, int] | None]


def render(
    dataset: PreparedDataset,
    *,
    levels: Levels,
    waveform: Waveform,
    audit: Audit | None = None,
    n_tracks: int = N_TRACKS,
) -> Html:
    """Make a page about a prepared dataset.

    Parameters
    ----------
    dataset : PreparedDataset
        Whatever its features are.
    levels : callable
        From the number (row) of a track to its log-mel, float32
        [shape=(n_mels, n_frames)], or None where there is none.
    waveform : callable
        From the number of a track to its samples [shape=(n_samples,)] in [-1, 1] and their
        rate in Hz, or None.
    audit : Audit, optional
        What the dataset holds twice.
    n_tracks : int
        Tracks drawn of each genre, fewer where there are many genres.

    Returns
    -------
    Html
        The whole page, for `page.save`.
    """
    usable = dataset.tracks[dataset.tracks.status == OK]
    demo = "Synthesised music: it shows how the program works, and says nothing about real music."
    return page.document(
        f"Dataset {dataset.name}",
        page.paragraph(_summary(dataset, usable)),
        *([page.note(demo)] if dataset.layout == "demo" else []),
        _genres(dataset),
        _splits(dataset, usable),
        *_folds(usable),
        *([] if dataset.origin else [_audio(usable)]),  # who brings features has no audio here
        _audit(audit),
        _bad(dataset.tracks),
        *_tracks(dataset, levels, waveform, n_tracks),
    )


def _summary(dataset: PreparedDataset, usable: pd.DataFrame) -> str:
    n, n_all = len(usable), len(dataset.tracks)
    tracks = f"{n:,} usable tracks of {n_all:,}" if n < n_all else f"{n:,} tracks"
    seconds = float(tallies.numbers(usable, "seconds").sum())
    n_genres = f"{len(dataset.genres)} genre{'s' if len(dataset.genres) > 1 else ''}"
    features = [_features(dataset, kind) for kind in dataset.plan.kinds]
    parts = (f"layout {dataset.layout}", tracks, _length(seconds), n_genres, *features)
    return " · ".join(filter(None, parts))


def _features(dataset: PreparedDataset, kind: Kind) -> str:
    spec, n = dataset.plan.spec, len(dataset.columns)
    origin = f" from {dataset.origin}" if dataset.origin else ""
    match kind:
        case "log-mel":
            bands = f"log-mel of {spec.n_mels} bands from {spec.fmin:,g} to {spec.highest:,g} Hz"
            return f"{bands}, {spec.frame_rate:.1f} frames a second"
        case "waveform":
            return f"waveforms at {spec.sample_rate:,} Hz"
        case "handcrafted":
            return f"{n:,} hand-crafted features{origin or f', {dataset.plan.form}'}"
        case "table":
            return f"{n:,} features{origin}"


def _genres(dataset: PreparedDataset) -> Html:
    counts = tallies.by_genre(dataset)
    shown = counts[counts.sum(axis=1).rank(method="first", ascending=False) <= _BARS]
    rows = [(genre or "(none)", *map(int, row), int(row.sum()))
            for genre, row in zip(counts.index, counts.to_numpy(), strict=True)]  # fmt: skip
    total = ("all", *map(int, counts.sum()), int(counts.to_numpy().sum()))
    alt = "Tracks by genre and split; the table has the counts"
    fewer = f"Drawn are the {_BARS} largest of {len(counts):,} genres."
    table = page.table(("genre", *PLACES, "all"), rows, total=total, caption="tracks by genre")
    return page.section(
        "Genres",
        page.gallery(page.chart(drawing.draw_genres(shown), alt=alt), table),
        *([page.paragraph(fewer)] if len(shown) < len(counts) else []),
    )


def _splits(dataset: PreparedDataset, usable: pd.DataFrame) -> Html:
    place = tallies.places(usable)
    seconds = tallies.numbers(usable, "seconds")
    n_in = max(1, int((place != LEFT_OUT).sum()))
    rows = []
    for name in (*SPLITS, LEFT_OUT):
        here = place == name
        share = here.sum() / n_in * 100 if name != LEFT_OUT else ""
        rows.append((name, int(here.sum()), share, seconds[here].sum() / 3_600 or ""))
    table = page.table(("split", "tracks", "share, %", "hours"), rows, caption="usable tracks")
    digest = page.paragraph(f"Split digest: {dataset.split_digest}")
    return page.section("Splits", table, digest, *_artists(usable[place != LEFT_OUT]))


def _artists(tracks: pd.DataFrame) -> list[Html]:
    """Name the artists that are in more than one split."""
    names = tallies.texts(tracks, "artist")
    of_artist = tracks.split[names != ""].groupby(names[names != ""])
    both = [
        (artist, len(where), ", ".join(split for split in SPLITS if split in set(where)))
        for artist, where in of_artist
        if len(set(where)) > 1
    ]
    if both:
        said = f"{len(both):,} of {of_artist.ngroups:,} artists in more than one split."
        both.sort(key=lambda row: -row[1])
        return [page.note(said), page.table(("artist", "tracks", "splits"), both, at_most=ROWS)]
    known = f"None of {of_artist.ngroups:,} artists is in more than one split."
    return [page.paragraph(known if of_artist.ngroups else "No track names its artist.")]


def _folds(usable: pd.DataFrame) -> list[Html]:
    folds = tallies.texts(usable, "fold")
    folds = folds[folds != ""]
    if folds.empty:
        return []
    order = sorted(set(folds), key=lambda fold: (not fold.isdecimal(), len(fold), fold))
    rows = [(fold, int((folds == fold).sum())) for fold in order]
    return [page.section("Folds", page.table(("fold", "usable tracks"), rows))]


def _audio(usable: pd.DataFrame) -> Html:
    seconds = tallies.numbers(usable, "seconds")
    known = seconds[seconds > 0].to_numpy()
    rows: list[tuple[object, ...]] = []
    for column, shown in (("sample_rate", "rate, Hz"), ("codec", "codec"), ("decoder", "decoder")):
        values = tallies.texts(usable, column).replace({"": "unknown", "0": "unknown"})
        rows += [(shown, value, n) for value, n in tallies.counted(values)]
    table = page.table(("", "found", "tracks"), rows, at_most=ROWS, caption="usable tracks")
    if not len(known):
        return page.section("Audio", page.paragraph("No track has a known length."), table)
    lengths = drawing.histogram(known)
    strays = ((lengths.n_shorter, "shorter"), (lengths.n_longer, "longer"))
    outside = " and ".join(f"{n:,} {word}" for n, word in strays if n)
    ends = f"Shortest {_length(known.min())}, longest {_length(known.max())}"
    middle = f"median {_length(float(np.median(known)))}, together {_length(known.sum())}."
    said = f"{ends}, {middle}" + (f" Not drawn: {outside}." if outside else "")
    chart = page.chart(drawing.draw_lengths(lengths), alt=f"Tracks by length. {said}")
    return page.section("Audio", page.paragraph(said), page.gallery(chart, table))


def _audit(audit: Audit | None) -> Html:
    if audit is None:
        return page.section("Repeats", page.paragraph("Nobody has looked for repeats."))
    compared = "names, digests and sound" if audit.listened else "names and digests, not the sound,"
    said = (
        f"Compared: {compared} of {audit.n_tracks:,} tracks. Found: {len(audit.findings):,}; "
        f"across splits: {len(audit.leaks):,}; under several genres: {len(audit.conflicts):,}."
    )
    if not audit.findings:
        return page.section("Repeats", page.paragraph(said))
    worst = sorted(audit.findings, key=lambda found: (not found.leaks, not found.conflicts))
    columns = ("found", "marks", "tracks", "correlation")
    table = page.table(columns, map(_finding, worst), at_most=ROWS)
    return page.section("Repeats", page.paragraph(said), table)


def _finding(found: Finding) -> tuple[str | float, ...]:
    named = [
        f"{track} ({split or LEFT_OUT}{f', {genre}' if found.conflicts else ''})"
        for track, split, genre in zip(found.tracks, found.splits, found.genres, strict=True)
    ]
    more = [f"and {len(named) - _NAMES:,} more"] if len(named) > _NAMES else []
    marks = [word for word, on in (("leak", found.leaks), ("conflict", found.conflicts)) if on]
    tracks = ", ".join([*named[:_NAMES], *more])
    kind = f"{found.kind}: {found.what}" if found.what else found.kind
    return kind, ", ".join(marks), tracks, found.similarity


def _bad(tracks: pd.DataFrame) -> Html:
    bad = tracks[tracks.status != OK]
    if bad.empty:
        return page.section("Bad tracks", page.paragraph("Every track can be used."))
    paths = tallies.texts(bad, "path")
    # A reason may begin with the file's name, and so be another one for each.
    rows = [(path, reason.removeprefix(f"{Path(path).name}: "))
            for path, reason in zip(paths, tallies.texts(bad, "status"), strict=True)]  # fmt: skip
    counts = tallies.counted(pd.Series([reason for _, reason in rows]))
    return page.section(
        "Bad tracks",
        page.table(("reason", "tracks"), counts, at_most=ROWS, total=("all", len(bad))),
        page.table(("path", "reason"), rows, at_most=ROWS),
    )


def _tracks(
    dataset: PreparedDataset, levels: Levels, waveform: Waveform, n_tracks: int
) -> list[Html]:
    each = min(n_tracks, max(1, _DRAWN // len(dataset.genres)))
    parts = []
    for genre in dataset.genres[:_DRAWN]:
        pictures = [
            _track(dataset, number, levels(number), waveform(number))
            for number in tallies.picks(dataset.tracks, genre, each)
        ]
        if any(pictures):
            parts += [page.heading(genre), page.gallery(*filter(None, pictures))]
    if not parts:
        return []
    said = "The first track of each genre, and others evenly after it. Bright is loud, dark silent."
    if len(dataset.genres) > _DRAWN:
        parts.append(page.paragraph(f"and {len(dataset.genres) - _DRAWN:,} more genres"))
    return [page.section("Tracks", page.paragraph(said), *parts)]


def _track(
    dataset: PreparedDataset,
    number: int,
    levels: np.ndarray | None,
    sound: tuple[np.ndarray, int] | None,
) -> Html | None:
    drawn = ["waveform"] * (sound is not None) + ["mel spectrogram"] * (levels is not None)
    if not drawn:
        return None
    row = dataset.tracks.iloc[[number]]
    names = ("track_id", "path", "genre", "artist", "title")
    key, path, genre, artist, title = (tallies.texts(row, name).iloc[0] for name in names)
    length = _length(float(tallies.numbers(row, "seconds").iloc[0]))
    lines = (key, " – ".join(filter(None, (artist, title))), path if path != key else "", length)
    return page.picture(
        drawing.draw_track(sound, levels, dataset.plan.spec),
        alt=f"{' and '.join(drawn)} of {key}, {genre}",
        caption=[line for line in lines if line],
    )


def _length(seconds: float) -> str:
    """Return a time in the unit that suits it, nothing where it is 0."""
    if not seconds:
        return ""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7_200 else f"{seconds / 3_600:,.1f} h"
