"""Evaluation: an entry's predictions on a split, held against the truth.

Tracks that the entry has seen are no test, so they are refused: see `leaks`. How tracks of a
dataset with other genres or other features are judged is told in `genre_maps` and `judging`.
"""

from dataclasses import dataclass, replace

import numpy as np

from mgr_cli import calibration, genre_maps, judging, leaks, metrics
from mgr_cli.calibration import Calibration
from mgr_cli.config import PRECISION, SEED, TOPS, Progress, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import LeakError
from mgr_cli.genre_maps import GenreMap
from mgr_cli.intervals import Estimate, bootstrap, bootstrap_mean
from mgr_cli.judging import Judged
from mgr_cli.prediction import Predictor
from mgr_cli.zoo.card import Assessment, Card

LEAK_ALLOWED = "LEAK ALLOWED"


@dataclass(frozen=True)
class Evaluation:
    """What came of a split.

    Attributes
    ----------
    entry, dataset : str
        Their names.
    split : {"test", "valid", "train"}
        Which tracks.
    genres : tuple of str
        In class order.
    assessment : Assessment
        Scores with their intervals, at track and segment level: `metrics.SCORES`, then "top2" and
        "top3" where there are more genres than that.
    track_counts, segment_counts : np.ndarray [shape=(n_classes, n_classes)]
        Confusion counts, rows are the truth.
    tracks : tuple of Judged
        Each track of the split.
    remarks : tuple of str
        What has to be known to read the figures, one line each.
    """

    entry: str
    dataset: str
    split: Split
    genres: tuple[str, ...]
    assessment: Assessment
    track_counts: np.ndarray
    segment_counts: np.ndarray
    tracks: tuple[Judged, ...]
    remarks: tuple[str, ...] = ()

    @property
    def is_leaky(self) -> bool:
        """Whether the entry has seen some of these tracks; the first remark says how many."""
        return bool(self.remarks) and self.remarks[0].startswith(LEAK_ALLOWED)

    @property
    def truth(self) -> np.ndarray:
        """Class of each track, int64 [shape=(n_tracks,)]."""
        return np.array([self.genres.index(track.truth) for track in self.tracks], np.int64)

    @property
    def probs(self) -> np.ndarray:
        """Pooled probabilities of each track [shape=(n_tracks, n_classes)]."""
        return np.stack([track.prediction.probs for track in self.tracks])

    @property
    def right(self) -> np.ndarray:
        """Whether each track was judged right, bool [shape=(n_tracks,)]."""
        return np.array([track.is_right for track in self.tracks])

    def mistakes(self) -> list[Judged]:
        """Return the tracks that were judged wrong, the most confident first."""
        wrong = [track for track in self.tracks if not track.is_right]
        return sorted(wrong, key=lambda track: -track.prediction.confidence)


def evaluate(
    predictor: Predictor,
    dataset: PreparedDataset,
    *,
    split: Split = "test",
    genre_map: GenreMap | None = None,
    trained_on: PreparedDataset | None = None,
    allow_leak: bool = False,
    regrid: bool = False,
    seed: int = SEED,
    progress: Progress = silent,
) -> Evaluation:
    """Judge every usable track of a split.

    Parameters
    ----------
    predictor : Predictor
        The entry; its vote pools the segments.
    dataset : PreparedDataset
        With the genres of the entry, or those of the map.
    split : {"test", "valid", "train"}
        Which tracks.
    genre_map : GenreMap, optional
        What the dataset's genres are to the entry; by default they have the same names.
    trained_on : PreparedDataset, optional
        The dataset that the entry's card names, where it is at hand, to look for tracks of the
        split that the entry has seen.
    allow_leak : bool
        Whether those are judged all the same; the first remark then says so.
    regrid : bool
        Whether log-mels of another front end are translated to the entry's; a remark says so.
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
    LeakError
        If the entry has seen tracks of the split, and that is not allowed.
    DatasetError
        If the dataset has other genres than the entry, or another front end and no sound, or no
        track of the split can be judged.
    """
    card = predictor.card
    names = genre_map or genre_maps.same(
        dataset.genres, card.classes, names=(dataset.name, card.name)
    )
    stamps = _stamps(card, dataset, split, trained_on, allow_leak)
    judged, remarks = judging.judge(
        predictor, dataset, names, split=split, regrid=regrid, progress=progress
    )
    blank = Assessment(len(judged), 0, predictor.vote, {}, {})
    counts = np.zeros((0, 0), np.int64)
    found = Evaluation(
        card.name, dataset.name, split, names.genres, blank, counts, counts, tuple(judged),
        (*stamps, *remarks),
    )  # fmt: skip
    return _scored(found, seed)


def calibrate(fitted: Evaluation, judged: Evaluation, *, wanted: float = PRECISION) -> Calibration:
    """Fit a temperature and a threshold on one split, and tell how they do on another.

    Parameters
    ----------
    fitted : Evaluation
        Of the validation split.
    judged : Evaluation
        Of the split that the calibration is told of.
    wanted : float
        Share of right answers, as of `trust.choose`.
    """
    return calibration.calibrate(
        fitted.probs, fitted.truth, judged=(judged.probs, judged.truth), wanted=wanted
    )


def _opinions(judged: Evaluation) -> list[np.ndarray]:
    """Return the probabilities of each track's segments."""
    return [track.prediction.segment_probs for track in judged.tracks]


def _stamps(
    card: Card,
    dataset: PreparedDataset,
    split: Split,
    trained_on: PreparedDataset | None,
    allow_leak: bool,
) -> list[str]:
    """Say what the tracks of a split are to an entry, unless they are a test."""
    if dataset.split_digest == card.dataset.split_digest:
        n_tracks = dataset.counts()["train"]
        n_seen = card.dataset.counts.get("train", n_tracks)  # fewer where the split was thinned
        part = f"{n_seen} of " if n_seen < n_tracks else ""
        known = {
            "train": f"{part}these are the tracks it was trained on: this is no test",
            "valid": "it was chosen by these tracks: this is no test",
        }
        return [known[split]] if split in known else []
    leak = leaks.find(card, dataset, split, trained_on=trained_on)
    if leak and not allow_leak:
        raise LeakError(f"{leak}; --allow-leak judges them all the same, and says so")
    if leak:
        return [f"{LEAK_ALLOWED}: {leak}"]
    if not leaks.is_known(card, trained_on):
        own = card.dataset.name
        return [f"nobody looked for leaks: {own}, that it was trained on, is not at hand"]
    return []


def _scored(judged: Evaluation, seed: int) -> Evaluation:
    """Count and score what was judged."""
    by_track, by_segment = _counts(judged)
    segments = _opinions(judged)
    tracks = np.arange(len(segments))
    owners = np.repeat(tracks, [len(probs) for probs in segments])
    truth = judged.truth
    assessment = replace(
        judged.assessment,
        n_segments=len(owners),
        track={
            **bootstrap(by_track, rng=np.random.default_rng(seed)),
            **_tops(_ranks(judged), len(judged.genres), tracks, seed),
        },
        segment={
            **bootstrap(by_segment, rng=np.random.default_rng(seed)),
            **_tops(_segment_ranks(segments, truth), len(judged.genres), owners, seed),
        },
    )
    return replace(
        judged,
        assessment=assessment,
        track_counts=by_track.sum(axis=0),
        segment_counts=by_segment.sum(axis=0),
    )


def _tops(ranks: np.ndarray, n_classes: int, owners: np.ndarray, seed: int) -> dict[str, Estimate]:
    """Estimate how often the truth is among the first genres, of ranks from 0."""
    return {
        f"top{k}": bootstrap_mean(ranks < k, owners, rng=np.random.default_rng(seed))
        for k in TOPS
        if k < n_classes
    }


def _ranks(judged: Evaluation) -> np.ndarray:
    """Return the place of each track's genre among those that it is ranked by, from 0."""
    return np.array(
        [
            [genre for genre, _ in track.prediction.ranked()].index(track.truth)
            for track in judged.tracks
        ]
    )


def _segment_ranks(segments: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Return the same of all segments, equal probabilities in class order."""
    owners = np.repeat(truth, [len(probs) for probs in segments])
    order = np.argsort(-np.concatenate(segments), axis=1, kind="stable")
    ranks: np.ndarray = (order == owners[:, None]).argmax(axis=1)
    return ranks


def _counts(judged: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Count the confusions of each track's vote and of its segments.

    Returns
    -------
    tuple of np.ndarray [shape=(n_tracks, n_classes, n_classes)]
        By vote, by segment.
    """
    truth, k = judged.truth, len(judged.genres)
    said = np.array([judged.genres.index(track.prediction.genre) for track in judged.tracks])
    segments = [track.prediction.segment_probs.argmax(axis=1) for track in judged.tracks]
    tracks = np.arange(len(segments))
    owners = np.repeat(tracks, [len(labels) for labels in segments])
    return (
        metrics.confusion_by_track(truth, said, tracks, n_classes=k),
        metrics.confusion_by_track(truth[owners], np.concatenate(segments), owners, n_classes=k),
    )
