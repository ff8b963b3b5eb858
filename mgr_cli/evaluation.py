"""Evaluation: an entry's predictions on a split, held against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mgr_cli import metrics
from mgr_cli.config import SEED, Progress, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DatasetError
from mgr_cli.plans import VECTORS
from mgr_cli.prediction import Prediction, Predictor
from mgr_cli.zoo.card import Assessment, Card, load_card, save_card


@dataclass(frozen=True)
class Judged:
    """One track of the split and what was said of it."""

    track_id: str
    path: str
    truth: str
    prediction: Prediction


@dataclass(frozen=True)
class Evaluation:
    """What came of a split.

    Attributes
    ----------
    genres : tuple of str
        In class order.
    assessment : Assessment
        Scores with their intervals, at track and segment level.
    track_counts, segment_counts : np.ndarray [shape=(n_classes, n_classes)]
        Confusion counts, rows are the truth.
    tracks : tuple of Judged
        Each track of the split.
    """

    genres: tuple[str, ...]
    assessment: Assessment
    track_counts: np.ndarray
    segment_counts: np.ndarray
    tracks: tuple[Judged, ...]


def evaluate(
    predictor: Predictor,
    dataset: PreparedDataset,
    *,
    split: Split = "test",
    seed: int = SEED,
    progress: Progress = silent,
) -> Evaluation:
    """Judge every usable track of a split.

    Parameters
    ----------
    predictor : Predictor
        The entry; its vote pools the segments.
    dataset : PreparedDataset
        With the genres and the front end of the entry.
    split : {"test", "valid", "train"}
        Which tracks.
    seed : int
        Of the bootstrap.
    progress : callable
        Called after each track.

    Returns
    -------
    Evaluation
        Scores, confusions and each track's prediction.

    Raises
    ------
    DatasetError
        If the dataset has other genres or another front end than the entry, or the split
        is empty.
    """
    card = predictor.card
    check(dataset, card)
    numbers = dataset.numbers(split)
    judged = []
    for done, number in enumerate(numbers, start=1):
        row = dataset.tracks.iloc[number]
        prediction = predictor.judge(dataset.track(int(number)), seconds=float(row.seconds))
        judged.append(Judged(row.track_id, row.path, row.genre, prediction))
        progress(done, len(numbers), "tracks")
    by_track, by_segment = _counts(judged, card.classes)
    return Evaluation(
        genres=card.classes,
        assessment=Assessment(
            n_tracks=len(judged),
            n_segments=int(by_segment.sum()),
            vote=judged[0].prediction.vote,
            track=metrics.bootstrap(by_track, rng=np.random.default_rng(seed)),
            segment=metrics.bootstrap(by_segment, rng=np.random.default_rng(seed)),
        ),
        track_counts=by_track.sum(axis=0),
        segment_counts=by_segment.sum(axis=0),
        tracks=tuple(judged),
    )


def check(dataset: PreparedDataset, card: Card) -> None:
    """Refuse a dataset that an entry cannot judge.

    Raises
    ------
    DatasetError
        If it has other genres or another front end than the entry.
    """
    if set(dataset.genres) != set(card.classes):
        odd = sorted(set(dataset.genres) ^ set(card.classes))[0]
        raise DatasetError(f"{dataset.name} and {card.name} differ in their genres, in {odd!r}")
    dataset.inputs(card.eats, card.segments)  # raises where some are missing
    for kind in card.eats:
        if kind in VECTORS:
            difference = _other_columns(dataset.columns, card.columns) or _other(
                dataset.plan, card, ("form",)
            )
        else:
            names = ("sample_rate",) if kind == "waveform" else tuple(vars(card.features))
            difference = _other(dataset.plan.spec, card.features, names)
        if difference:
            raise DatasetError(
                f"{dataset.name} was prepared with another front end than that of {card.name}: "
                f"{difference}"
            )


def _other(found: object, expected: object, names: Sequence[str]) -> str:
    """Name the first setting in which two front ends differ, nothing if they do not."""
    for name in names:
        own, other = getattr(found, name), getattr(expected, name)
        if own != other:
            return f"{name} is {own}, expected {other}; prepare it again with that"
    return ""


def _other_columns(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    """Say how the columns of two tables differ, nothing if they do not."""
    if found == expected:
        return ""
    known, wanted = set(found), set(expected)
    missing = [name for name in expected if name not in known]
    more = [name for name in found if name not in wanted]
    if missing:
        what = f"it lacks {len(missing)} of {len(expected)} columns, the first {missing[0]!r}"
    elif more:
        what = f"it has {len(more)} columns besides, the first {more[0]!r}"
    else:
        pairs = zip(found, expected, strict=False)
        own, other = next((pair for pair in pairs if pair[0] != pair[1]), (found, expected))
        what = f"its columns are in another order, {own!r} where {other!r} is expected"
    return f"{what}; prepare a table with just the columns of the entry, in their order"


def record(folder: Path, split: Split, assessment: Assessment) -> None:
    """Write the scores on a split to the card of an entry.

    Raises
    ------
    ZooError
        If the entry has no readable card.
    """
    card = load_card(folder)
    figures = {**card.figures, split: assessment}
    save_card(folder, card.model_copy(update={"figures": figures}))


def _counts(judged: list[Judged], classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Count the confusions of each track's vote and of its segments.

    Returns
    -------
    tuple of np.ndarray [shape=(n_tracks, n_classes, n_classes)]
        By vote, by segment.
    """
    index = {genre: label for label, genre in enumerate(classes)}
    truth = np.array([index[track.truth] for track in judged])
    said = np.array([index[track.prediction.genre] for track in judged])
    segments = [track.prediction.segment_probs.argmax(axis=1) for track in judged]
    tracks = np.arange(len(judged))
    owners = np.repeat(tracks, [len(labels) for labels in segments])
    k = len(classes)
    return (
        metrics.confusion_by_track(truth, said, tracks, n_classes=k),
        metrics.confusion_by_track(truth[owners], np.concatenate(segments), owners, n_classes=k),
    )
