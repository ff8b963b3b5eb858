"""Appraisal: an evaluation and all that one wants to know beside its scores.

How far the confidence can be trusted, before and after a temperature; how bad the mistakes are in
a tree of genres; how large the model is and how long it takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mgr_cli import calibration, evaluation, taxonomy
from mgr_cli.calibration import Calibration, Reliability
from mgr_cli.config import SEED, Progress, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import OK
from mgr_cli.errors import DatasetError
from mgr_cli.evaluation import LEAK_ALLOWED, Evaluation
from mgr_cli.genre_maps import GenreMap
from mgr_cli.prediction import Predictor
from mgr_cli.taxonomy import Distances, Tree


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
    calibrated: bool = False,
    tree: Tree | None = None,
    seed: int = SEED,
    progress: Progress = silent,
) -> Appraisal:
    """Judge the tracks of a split, and tell more of it than the scores.

    Parameters
    ----------
    predictor, dataset, split, genre_map, trained_on, allow_leak, seed, progress
        As of `evaluation.evaluate`.
    calibrated : bool
        Whether a temperature is fitted on the validation split; a remark says why it was not.
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
    done = evaluation.evaluate(
        predictor, dataset, split=split, genre_map=genre_map, trained_on=trained_on,
        allow_leak=allow_leak, seed=seed, progress=progress,
    )  # fmt: skip
    found = None
    if calibrated:
        try:
            found = evaluation.calibrate(
                predictor, dataset, done, genre_map=genre_map, trained_on=trained_on,
                allow_leak=allow_leak, progress=progress,
            )  # fmt: skip
        except DatasetError as error:  # no such split, or one that was trained on
            done = replace(done, remarks=(*done.remarks, f"not calibrated: {error}"))
    return Appraisal(
        evaluation=done,
        reliability=calibration.reliability(done.probs, done.truth),
        chance_ece=calibration.chance_ece(done.probs, rng=np.random.default_rng(seed)),
        n_parameters=card.n_parameters + (card.borrowed.n_parameters if card.borrowed else 0),
        source=dataset.source,
        calibration=found,
        distances=None if tree is None else weigh(done, dataset, tree),
    )


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
