"""Importance: which features an entry's answers hang on, and which families of features.

Two measures. *Impurity* is how much the splits on a feature made the nodes of a forest purer, as a
share of all its splits did (Gini importance). It costs nothing, but only trees have it, it is of
the tracks that they were fitted to, and it favours features of many different values. *Permutation*
is what a feature is worth on tracks that were not trained on: by how much the accuracy of whole
tracks drops when its values are shuffled between the segments of a split, so that it says nothing
any more and is distributed as before. It asks a model for nothing but its answers, and so is one
measure for nets and pipelines alike.

What is shuffled is what a model takes of a segment (`inputs.Inputs.batch`):

====================  ==========================================  =================================
model takes           a feature is                                a family is
====================  ==========================================  =================================
handcrafted, table    a column                                    mfcc, chroma_cqt, tonnetz …
log-mel               one of 16 runs of neighbouring mel bands    bass, low mids, high mids, treble
====================  ==========================================  =================================

A run is shuffled with all its frames, and keeps its course in time. The impurities of a forest on
log-mels are those of its 7 · n_mels statistics, and the seven are the families. Samples are no
features: none means anything alone. What all of them are called stands in `features.naming`.

Two features that say the same hide each other: either can be shuffled, and nothing is lost. So a
family is also shuffled *together*, all its features by one permutation. Where that drop is far
above the sum of the single ones, its features stand in for each other; the sum itself, of many
drops of a track or two, is the less certain. Drops are negative where a feature misled more than
it helped, or by chance: of 80 tracks, one more is 1.25 points.

References
----------
L. Breiman, "Random Forests", Machine Learning 45, 2001: both measures.
F. Pedregosa et al., scikit-learn: `inspection.permutation_importance`, which shuffles here.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.inspection import permutation_importance

from mgr_cli import votes
from mgr_cli.compatibility import check
from mgr_cli.config import N_PERMUTATIONS, SEED, Measure, Progress, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import MgrError
from mgr_cli.features import naming
from mgr_cli.features.naming import Named
from mgr_cli.plans import VECTORS
from mgr_cli.prediction import Predictor
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card

TREES = ("random-forest", "extra-trees", "decision-tree", "adaboost")  # have impurities
N_RUNS = 16  # of mel bands; one band alone is hardly missed


@dataclass(frozen=True)
class Feature:
    """How important a feature is.

    Attributes
    ----------
    name, family : str
        Of the feature.
    value : float
        Drop of the accuracy, or share of the impurity, 1 being all of it.
    deviation : float
        Standard deviation of the drop over the permutations; 0 of an impurity.
    """

    name: str
    family: str
    value: float
    deviation: float = 0.0


@dataclass(frozen=True)
class Family:
    """How important a family of features is.

    Attributes
    ----------
    name : str
        Of the family.
    n_features : int
        How many belong to it.
    total : float
        Sum of their importances.
    together : float, optional
        Drop of the accuracy when all of them are shuffled by one permutation.
    deviation : float
        Standard deviation of that drop over the permutations.
    """

    name: str
    n_features: int
    total: float
    together: float | None = None
    deviation: float = 0.0

    @property
    def importance(self) -> float:
        """What it is ranked by: the drop together where there is one, else the sum."""
        return self.total if self.together is None else self.together


@dataclass(frozen=True)
class Importances:
    """What an entry's answers hang on.

    Attributes
    ----------
    measure : {"impurity", "permutation"}
        What the values are.
    features : tuple of Feature
        The most important first.
    families : tuple of Family
        The same.
    accuracy : float, optional
        Of whole tracks with nothing shuffled, which the drops are from.
    """

    measure: Measure
    features: tuple[Feature, ...]
    families: tuple[Family, ...]
    accuracy: float | None = None


def impurity(model: "weights.Model", card: Card) -> Importances:
    """Return the impurity importances of trees.

    Parameters
    ----------
    model : Judge
        The model of an entry whose architecture is one of `TREES`.
    card : Card
        Its card.

    Raises
    ------
    MgrError
        If it is of another architecture.
    """
    if card.architecture not in TREES or not isinstance(model, weights.Judge):
        raise MgrError(
            f"{card.name} ({card.architecture}) has no impurities, as {', '.join(TREES)} have; "
            "measure its features by permutation"
        )
    _, classifier = model.pipeline.steps[-1]
    values = np.asarray(classifier.feature_importances_)
    return _ranked("impurity", _tabulated(card), values[:, None])


def permutation(
    predictor: Predictor,
    dataset: PreparedDataset,
    *,
    split: Split = "valid",
    n_repeats: int = N_PERMUTATIONS,
    seed: int = SEED,
    progress: Progress = silent,
) -> Importances:
    """Shuffle one feature after the other, and see by how much the accuracy drops.

    All inputs of the split are in memory: 160 MB for 800 tracks of ten segments, each of
    128 × 39 float32. They are shuffled batch by batch, without a copy of the whole.

    Parameters
    ----------
    predictor : Predictor
        The entry; its vote pools the segments of a track.
    dataset : PreparedDataset
        With the genres and the front end of the entry.
    split : {"valid", "test", "train"}
        Whose tracks are judged.
    n_repeats : int
        Permutations of each feature and each family, one at least.
    seed : int
        Of the permutations, which are the same for every feature.
    progress : callable
        Called after each track that was read, then after each judgement of the split.

    Raises
    ------
    MgrError
        If the entry takes waveforms.
    DatasetError
        If the dataset has other genres or another front end than the entry, or the split
        is empty.
    """
    card = predictor.card
    features, feature_of = _shuffled(card)
    check(dataset, card)
    families = list(dict.fromkeys(family for _, family in features))
    family_of = np.array([families.index(features[number][1]) for number in feature_of])
    judged = _Split(predictor, dataset, split, progress)
    n_judgements = 2 + n_repeats * (len(features) + len(families))
    n_right: list[int] = []

    def drops(group_of: np.ndarray) -> np.ndarray:
        """Shuffle one group of bands after the other; return (n_groups, n_repeats)."""

        def score(_model: object, sources: np.ndarray, _labels: None) -> int:
            n_right.append(judged.n_right(sources[:, group_of]))
            progress(len(n_right), n_judgements, "judgements")
            return n_right[-1]

        # Not values are shuffled but where they come from: the number of a segment, for each
        # group. So scikit-learn need not know what a model is, nor what it takes.
        own = np.arange(judged.n_segments)[:, None]
        found = permutation_importance(
            DummyClassifier(), own.repeat(group_of.max() + 1, axis=1), None,
            scoring=score, n_repeats=n_repeats, random_state=seed,
        )  # fmt: skip
        return np.asarray(found.importances) / judged.n_tracks

    alone = drops(feature_of)
    together = dict(zip(families, drops(family_of), strict=True))
    # The first that scikit-learn asks for is of nothing shuffled.
    accuracy = n_right[0] / judged.n_tracks
    return _ranked("permutation", features, alone, together=together, accuracy=accuracy)


class _Split:
    """The inputs of a split, to be judged with their bands mixed up."""

    def __init__(
        self, predictor: Predictor, dataset: PreparedDataset, split: Split, progress: Progress
    ) -> None:
        self._predictor = predictor
        inputs, classes = predictor.card.inputs, predictor.card.classes
        numbers = dataset.numbers(split).tolist()
        read = []
        for done, number in enumerate(numbers, start=1):
            track = dataset.track(number)
            starts = inputs.starts(track.n_rows(inputs.kinds[0]))
            (x,) = inputs.batch(inputs.segment(track, first) for first in starts)
            read.append(x)
            progress(done, len(numbers), "tracks")
        self._x = np.concatenate(read)
        self._firsts = np.cumsum([len(x) for x in read])[:-1]  # of all tracks but the first
        self._truth = [classes.index(genre) for genre in dataset.tracks.genre.iloc[numbers]]
        self.n_tracks, self.n_segments = len(numbers), len(self._x)

    def n_right(self, sources: np.ndarray) -> int:
        """Count the tracks that are judged right.

        Parameters
        ----------
        sources : np.ndarray [shape=(n_segments, n_bands)]
            The number of the segment that each band is taken from.
        """
        bands, at_once = np.arange(self._x.shape[1]), self._predictor.at_once
        probs = [
            self._predictor.score((self._x[sources[first : first + at_once], bands],))
            for first in range(0, len(sources), at_once)
        ]
        said = [
            votes.decide(each, rule=self._predictor.vote)
            for each in np.split(np.concatenate(probs), self._firsts)
        ]
        return int(np.equal(said, self._truth).sum())


def _tabulated(card: Card) -> Named:
    """Name what `inputs.tabulated` makes of an entry's inputs."""
    if card.eats[0] in VECTORS:
        return naming.columns(card.columns)
    return naming.statistics(card.features)


def _shuffled(card: Card) -> tuple[Named, np.ndarray]:
    """Name what is shuffled of an entry's inputs.

    Returns
    -------
    list of tuple of str
        Features, with their families.
    np.ndarray [shape=(n_bands,)]
        The number of the feature that each band, or column, belongs to.
    """
    if card.eats[0] in VECTORS:
        return naming.columns(card.columns), np.arange(len(card.columns))
    if "waveform" in card.eats:
        raise MgrError(
            f"{card.name} takes waveforms, and no sample means anything alone; permutation is for "
            "entries that take log-mels or columns only"
        )
    n_mels = card.features.n_mels
    n_runs = min(N_RUNS, n_mels)
    return naming.runs(card.features, n_runs), naming.run_of_band(n_mels, n_runs)


def _ranked(
    measure: Measure,
    names: Named,
    values: np.ndarray,
    *,
    together: dict[str, np.ndarray] | None = None,
    accuracy: float | None = None,
) -> Importances:
    """Put importances (n_features, n_repeats) in order, and sum them up by family."""
    features = [
        Feature(name, of, float(row.mean()), float(row.std()))
        for (name, of), row in zip(names, values, strict=True)
    ]
    families = []
    for name in dict.fromkeys(feature.family for feature in features):
        own = [feature.value for feature in features if feature.family == name]
        found = Family(name, len(own), sum(own))
        if together is not None:
            drops = together[name]
            found = replace(found, together=float(drops.mean()), deviation=float(drops.std()))
        families.append(found)
    return Importances(
        measure,
        tuple(sorted(features, key=lambda feature: -feature.value)),
        tuple(sorted(families, key=lambda family: -family.importance)),
        accuracy,
    )
