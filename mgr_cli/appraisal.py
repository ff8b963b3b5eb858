"""Appraisal: an evaluation and all that one wants to know beside its scores.

How far the confidence can be trusted, before and after a temperature; how many answers are sure
enough to be believed, and how many of them are right; how bad the mistakes are in a tree of genres;
how large the model is and how long it takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from mgr_cli import calibration, evaluation, taxonomy, trust, votes
from mgr_cli.calibration import Calibration, Reliability
from mgr_cli.config import PRECISION, SEED, Progress, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import OK
from mgr_cli.errors import DatasetError
from mgr_cli.evaluation import LEAK_ALLOWED, Evaluation
from mgr_cli.genre_maps import GenreMap
from mgr_cli.intervals import Estimate
from mgr_cli.prediction import Predictor
from mgr_cli.taxonomy import Distances, Tree
from mgr_cli.trust import Trust


@dataclass(frozen=True)
class Believed:
    """How the answers do that an entry is sure enough of.

    Attributes
    ----------
    trust : Trust
        What is sure enough, and how that did on the validation split.
    n_tracks : int
        Of the judged split that are believed.
    coverage : float
        Their share of all its tracks.
    precision : Estimate or None
        Share of them that is right, with Wilson's interval; None where there are none.
    """

    trust: Trust
    n_tracks: int
    coverage: float
    precision: Estimate | None


@dataclass(frozen=True)
class Appraisal:
    """All that was found of one entry on one split.

    Attributes
    ----------
    evaluation : Evaluation
        Its answers and scores.
    reliability : Reliability
        How far its confidence in tracks can be trusted.
    chance_ece : float
        What its expected calibration error would be on average if every confidence were true.
    n_parameters : int
        Of its net or pipeline, and of a net that is borrowed.
    source : str
        Folder that the paths of tracks start from.
    calibration : Calibration or None
        What a temperature does for its confidence, where that was asked for.
    believed : Believed or None
        What comes of its card's trust or, where a temperature was asked for, of that fitted with
        it; None where a card has none.
    distances : Distances or None
        How far its mistakes are off in the tree of genres, where there is one.
    pace : mapping of str to float
        Seconds that a track takes, its features being prepared, by device.
    """

    evaluation: Evaluation
    reliability: Reliability
    chance_ece: float
    n_parameters: int
    source: str
    calibration: Calibration | None = None
    believed: Believed | None = None
    distances: Distances | None = None
    pace: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was judged, on what; with the stamp, if that is no test."""
        done = self.evaluation
        stamp = f" ({LEAK_ALLOWED})" if done.is_leaky else ""
        return f"{done.entry} on {done.dataset}, {done.split}{stamp}"


def appraise(
    predictor: Predictor,
    dataset: PreparedDataset,
    *,
    split: Split = "test",
    genre_map: GenreMap | None = None,
    trained_on: PreparedDataset | None = None,
    allow_leak: bool = False,
    regrid: bool = False,
    calibrated: bool = False,
    wanted: float = PRECISION,
    tree: Tree | None = None,
    seed: int = SEED,
    progress: Progress = silent,
) -> Appraisal:
    """Judge the tracks of a split, and tell more of it than the scores.

    Parameters
    ----------
    predictor, dataset, split, genre_map, trained_on, allow_leak, regrid, seed, progress
        As of `evaluation.evaluate`.
    calibrated : bool
        Whether a temperature is fitted on the validation split, and a threshold chosen; a remark
        says why it was not.
    wanted : float
        Share of right answers that the threshold is chosen for.
    tree : Tree, optional
        Of the genres.

    Returns
    -------
    Appraisal
        Without its pace.

    Raises
    ------
    LeakError, DatasetError
        As `evaluation.evaluate` does, or if a genre is not in the tree.
    """
    card = predictor.card
    judge = partial(
        evaluation.evaluate, predictor, dataset, genre_map=genre_map, trained_on=trained_on,
        allow_leak=allow_leak, regrid=regrid, seed=seed, progress=progress,
    )  # fmt: skip
    done = judge(split=split)
    found = None
    if calibrated:
        try:
            fitted = done if split == "valid" else judge(split="valid")
            found = evaluation.calibrate(fitted, done, wanted=wanted)
        except DatasetError as error:  # no such split, or one that was trained on
            done = replace(done, remarks=(*done.remarks, f"not calibrated: {error}"))
    return Appraisal(
        evaluation=done,
        reliability=calibration.reliability(done.probs, done.truth),
        chance_ece=calibration.chance_ece(done.probs, rng=np.random.default_rng(seed)),
        n_parameters=card.n_parameters + (card.borrowed.n_parameters if card.borrowed else 0),
        source=dataset.source,
        calibration=found,
        believed=_believed(done, card.trust if predictor.vote == card.vote else None, found),
        distances=None if tree is None else weigh(done, dataset, tree),
    )


def _believed(done: Evaluation, own: Trust | None, found: Calibration | None) -> Believed | None:
    """Judge whom a calibration believes or, without one, whom the card does."""
    if found is not None:
        own = found.trust
        confidence = votes.tempered(done.probs, found.temperature).max(axis=1)
        chosen = np.array([own.believes(each) for each in confidence])
    else:
        chosen = np.array([not track.prediction.is_unsure for track in done.tracks])
    if own is None:
        return None
    n, n_right = int(chosen.sum()), int(done.right[chosen].sum())
    precision = Estimate(n_right / n, *trust.interval(n_right, n)) if n else None
    return Believed(own, n, n / len(chosen), precision)


def weigh(done: Evaluation, dataset: PreparedDataset, tree: Tree) -> Distances:
    """Weigh the mistakes of an evaluation of a dataset by a tree of genres.

    Raises
    ------
    DatasetError
        If a genre is not in the tree.
    """
    rows = dataset.tracks.set_index("track_id").loc[[track.track_id for track in done.tracks]]
    return taxonomy.weigh(
        tree,
        [track.prediction.genre for track in done.tracks],
        [track.truth for track in done.tracks],
        [taxonomy.own_genres(*pair) for pair in zip(rows.genre, rows.genres, strict=True)],
        classes=done.genres,
    )


def fits(tree: Tree, dataset: PreparedDataset) -> bool:
    """Tell whether a tree has all genres of a dataset's usable tracks."""
    usable = dataset.tracks[dataset.tracks.status == OK]
    try:
        for genre, genres in set(zip(usable.genre, usable.genres, strict=True)):
            for name in taxonomy.own_genres(genre, genres):
                tree.line(name)
    except DatasetError:
        return False
    return True
