"""Judging: what an entry says of the tracks of a split.

Tracks are judged from their prepared features. Where those were made with another front end than
the entry's, and the sound itself lies where they were prepared from, tracks are judged from that.
Pictures have no sound: their log-mels are translated to the entry's front end, where that is asked
for (see `features.regridding`), and a remark says what that cannot bring back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from mgr_cli.compatibility import can_regrid, check_front_end
from mgr_cli.config import PACED_TRACKS, Progress, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import OK
from mgr_cli.errors import AudioError, DatasetError
from mgr_cli.features import regridding
from mgr_cli.genre_maps import GenreMap
from mgr_cli.inputs import InMemory
from mgr_cli.prediction import Prediction, Predictor


@dataclass(frozen=True)
class Judged:
    """One track of the split and what was said of it.

    Attributes
    ----------
    track_id, path : str
        As in the table of the dataset.
    truth : str
        Its genre, as the classes that are judged call it.
    prediction : Prediction
        In those classes.
    """

    track_id: str
    path: str
    truth: str
    prediction: Prediction

    @property
    def is_right(self) -> bool:
        """Whether the genre that was said is the true one."""
        return self.prediction.genre == self.truth


def judge(
    predictor: Predictor,
    dataset: PreparedDataset,
    names: GenreMap,
    *,
    split: Split,
    regrid: bool = False,
    progress: Progress = silent,
) -> tuple[list[Judged], tuple[str, ...]]:
    """Judge the usable tracks of a split, those of genres that the map leaves out aside.

    Parameters
    ----------
    predictor : Predictor
        The entry; its vote pools the segments.
    dataset : PreparedDataset
        With the features of the entry, or with sound, or with log-mels to translate.
    names : GenreMap
        From the dataset's genres to the entry's.
    split : {"test", "valid", "train"}
        Which tracks.
    regrid : bool
        Whether log-mels of another front end are translated to the entry's; they are even if
        there is sound, and those of the same one are left as they are.
    progress : callable
        Called after each track.

    Returns
    -------
    list of Judged
        In the order of the dataset.
    tuple of str
        What has to be known of them, one line each.

    Raises
    ------
    DatasetError
        If the dataset has another front end and no sound, and is not to be translated or cannot
        be, or there is nothing to judge.
    """
    opinion, remarks = _opinion(predictor, dataset, regrid)
    numbers = dataset.numbers(split)
    known = dataset.tracks.genre.iloc[numbers].isin(list(names.class_of)).to_numpy()
    if not known.all():
        remarks.append(f"{(~known).sum()} tracks are of genres that the map leaves out")
    judged, unheard = [], []
    for done, number in enumerate(numbers[known].tolist(), start=1):
        row = dataset.tracks.iloc[number]
        try:
            prediction = names.applied(opinion(number))
        except AudioError as error:
            unheard.append(str(error))
        else:
            truth = names.genres[names.class_of[row.genre]]
            judged.append(Judged(row.track_id, row.path, truth, prediction))
        progress(done, int(known.sum()), "tracks")
    if unheard:
        remarks.append(f"{len(unheard)} tracks cannot be heard, the first: {unheard[0]}")
    if not judged:
        raise DatasetError("; ".join((f"{dataset.name}: no {split} track to judge", *remarks)))
    return judged, tuple(remarks)


def pace(predictor: Predictor, dataset: PreparedDataset, *, split: Split) -> float:
    """Time what an entry does with the prepared features of a track, reading them included.

    Returns
    -------
    float
        Seconds a track, the median of some of the split after a first one.

    Raises
    ------
    DatasetError
        If the dataset was prepared with another front end.
    """
    check_front_end(dataset, predictor.card)
    spent = []
    for number in dataset.numbers(split)[: PACED_TRACKS + 1].tolist():
        start = perf_counter()
        predictor.judge(dataset.track(number))
        spent.append(perf_counter() - start)
    return float(np.median(spent[1:] or spent))


def _opinion(
    predictor: Predictor, dataset: PreparedDataset, regrid: bool
) -> tuple[Callable[[int], Prediction], list[str]]:
    """Return what judges a track by its number, with a remark if that is not by its features."""
    tracks = dataset.tracks

    def of_features(number: int) -> Prediction:
        return predictor.judge(dataset.track(number), seconds=float(tracks.seconds.iloc[number]))

    def of_sound(number: int) -> Prediction:
        return predictor.from_file(Path(dataset.source) / tracks.path.iloc[number])

    try:
        check_front_end(dataset, predictor.card)
    except DatasetError as error:
        if regrid:
            return _of_translation(predictor, dataset, error)
        if dataset.layout == "images" or not _has_sound(dataset):
            if can_regrid(dataset, predictor.card):
                advice = "or judge its log-mels translated to the entry's front end, by --regrid"
                raise DatasetError(f"{error}; {advice}") from error
            raise
        return of_sound, [f"judged from the sound: {dataset.name} was prepared for other ears"]
    return of_features, []


def _of_translation(
    predictor: Predictor, dataset: PreparedDataset, error: DatasetError
) -> tuple[Callable[[int], Prediction], list[str]]:
    """Return what judges a track by its log-mels translated, with the remark that says so."""
    tracks, card = dataset.tracks, predictor.card
    if not can_regrid(dataset, card):
        raise DatasetError(
            f"{error}; --regrid cannot help: it translates log-mels alone, to others that hear "
            "some of their frequencies"
        ) from error
    source, target = dataset.plan.spec, card.features

    def opinion(number: int) -> Prediction:
        track = dataset.track(number)
        levels = regridding.regrid(
            track.read("log-mel", 0, track.n_rows("log-mel")), source, target
        )
        return predictor.judge(
            InMemory({"log-mel": levels}), seconds=float(tracks.seconds.iloc[number])
        )

    said = regridding.describe(source, target)
    return opinion, [f"{dataset.name} was translated to the front end of {card.name}: {said}"]


def _has_sound(dataset: PreparedDataset) -> bool:
    """Tell whether the first usable track is a file where the dataset was prepared from."""
    tracks = dataset.tracks
    paths = tracks.path[(tracks.status == OK) & (tracks.path != "")]
    try:
        return bool(len(paths)) and (Path(dataset.source) / paths.iloc[0]).is_file()
    except OSError:  # a folder that may not be entered
        return False
