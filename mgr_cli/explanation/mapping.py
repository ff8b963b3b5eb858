"""Maps of tracks: where the tracks of a split lie, in two or three dimensions.

What is mapped is one row a track. *Embeddings* are what a net makes of a segment before its last
layers, or a borrowed net before its rival, as the mean over the segments of a track. *Features*
are what goes in: the columns of a table, or the statistics over time of log-mels, again as the
mean over the segments. Every column is brought to mean 0 and deviation 1 first, or the largest
would be all of the map.

What the projections are, and how far a map can be trusted, is told in `projections`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.preprocessing import StandardScaler

from mgr_cli.compatibility import check
from mgr_cli.config import SEED, Mapped, Progress, Projection, Split, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import MgrError
from mgr_cli.explanation.projections import (
    Trust,
    check_genres,
    discriminant,
    neighbours,
    principal,
    trusted,
)
from mgr_cli.inputs import Arrays, tabulated
from mgr_cli.judging import Judged
from mgr_cli.models import fitted
from mgr_cli.prediction import Predictor
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card

if TYPE_CHECKING:
    from torch import Tensor, nn

_REMARKS: dict[Projection, str] = {
    "pca": "PCA: the directions in which these tracks differ most. Distances are true to scale, "
    "but for what the other dimensions hold; genres played no part.",
    "lda": "LDA: the directions that part the genres of the training split best. ",
    "tsne": "t-SNE: who is next to whom. Distances between clusters, their sizes and the "
    "directions mean nothing; genres played no part.",
}
_ON_ITS_OWN = "These are those very tracks: new ones would lie closer together."
_ON_OTHERS = "None of the tracks shown was fitted on."


@dataclass(frozen=True)
class _Ear:
    """From what a model takes of n segments to a row of each, and from both to probabilities."""

    describe: Callable[[Arrays], np.ndarray]
    judge: Callable[[Arrays, np.ndarray], np.ndarray] | None


@dataclass(frozen=True)
class Map:
    """Where tracks lie.

    Attributes
    ----------
    projection : {"pca", "lda", "tsne"}
        How it was made.
    of : {"embeddings", "features"}
        What of.
    n_columns : int
        Dimensions of what is mapped.
    genres : tuple of str
        In class order.
    tracks : tuple of Judged
        With what the entry says of them.
    coordinates : np.ndarray [shape=(n_tracks, n_dimensions)]
        Of each track.
    axes : tuple of str
        What each dimension is.
    remark : str
        What the map is and is not, in words.
    trust : Trust
        How far it can be relied on.
    """

    projection: Projection
    of: Mapped
    n_columns: int
    genres: tuple[str, ...]
    tracks: tuple[Judged, ...]
    coordinates: np.ndarray
    axes: tuple[str, ...]
    remark: str
    trust: Trust


def survey(
    model: "weights.Model",
    card: Card,
    dataset: PreparedDataset,
    *,
    projection: Projection,
    of: Mapped | None = None,
    n_dimensions: int = 2,
    split: Split = "test",
    seed: int = SEED,
    device: str = "cpu",
    progress: Progress = silent,
) -> Map:
    """Map the tracks of a split.

    Parameters
    ----------
    model : nn.Module or Judge
        Of an entry, on the device.
    card : Card
        Its card.
    dataset : PreparedDataset
        With the genres and the front end of the entry.
    projection : {"pca", "lda", "tsne"}
        See above.
    of : {"embeddings", "features"}, optional
        Embeddings by default, where a net makes some.
    n_dimensions : {2, 3}
        Of the map.
    split : {"train", "valid", "test"}
        Whose tracks.
    seed : int
        Of t-SNE, and of PCA where it draws.
    device : {"cpu", "cuda"}
        Where the model is.
    progress : callable
        Called after each track that was read.

    Raises
    ------
    MgrError
        If the entry has none of what is asked for, or there are too few tracks or genres.
    DatasetError
        If the dataset has other genres or another front end than the entry, or the split
        is empty.
    """
    check(dataset, card)
    if projection == "lda":
        check_genres(len(card.classes), n_dimensions)
    of = of or ("embeddings" if _has_net(model) else "features")
    ear = _ear(model, card, of, device)
    rows, tracks = _read(card, dataset, split, ear, progress)
    labels = _classes(card, tracks)
    taught = rows, labels
    if projection == "lda" and split != "train":
        others, known = _read(card, dataset, "train", replace(ear, judge=None), progress)
        taught = others, _classes(card, known)
    scaler = StandardScaler().fit(taught[0])
    scaled, own = scaler.transform(rows), (scaler.transform(taught[0]), taught[1])
    match projection:
        case "pca":
            found, axes = principal(scaled, n_dimensions=n_dimensions, seed=seed)
        case "lda":
            found, axes = discriminant(scaled, own, n_dimensions=n_dimensions)
        case "tsne":
            found, axes = neighbours(scaled, n_dimensions=n_dimensions, seed=seed)
    trust = trusted(scaled, found, labels)
    remark = _REMARKS[projection]
    if projection == "lda":
        remark += _ON_ITS_OWN if split == "train" else _ON_OTHERS
    return Map(projection, of, rows.shape[1], card.classes, tracks, found, axes, remark, trust)


def _classes(card: Card, tracks: Sequence[Judged]) -> np.ndarray:
    return np.array([card.classes.index(track.truth) for track in tracks])


def _read(
    card: Card, dataset: PreparedDataset, split: Split, ear: _Ear, progress: Progress
) -> tuple[np.ndarray, tuple[Judged, ...]]:
    """Read each track of a split once: its row, and what is said of it."""
    described: list[np.ndarray] = []
    nothing = 1 / len(card.classes)

    def both(arrays: Arrays) -> np.ndarray:
        rows = ear.describe(arrays)
        described.append(rows)
        if ear.judge is None:
            return np.full((len(rows), len(card.classes)), nothing)
        return ear.judge(arrays, rows)

    predictor = Predictor(card, both)
    rows, tracks = [], []
    numbers = dataset.numbers(split).tolist()
    for done, number in enumerate(numbers, start=1):
        row = dataset.tracks.iloc[number]
        prediction = predictor.judge(dataset.track(number), seconds=float(row.seconds))
        rows.append(np.concatenate(described).mean(axis=0, dtype=np.float64))
        described.clear()
        tracks.append(Judged(row.track_id, row.path, row.genre, prediction))
        progress(done, len(numbers), f"tracks of {split}")
    return np.stack(rows), tuple(tracks)


def _has_net(model: "weights.Model") -> bool:
    return not isinstance(model, weights.Judge) or model.backbone is not None


def _ear(model: "weights.Model", card: Card, of: Mapped, device: str) -> _Ear:
    """Say how segments become rows, with nothing computed twice where an entry judges these."""
    if of == "embeddings" and not isinstance(model, weights.Judge):
        return _ear_of_net(model, device)
    if of == "features":
        place = _place_of_features(card)
        score = weights.score_with(model, card, device=device)
        return _Ear(lambda arrays: tabulated((arrays[place],)), lambda arrays, _: score(arrays))
    judge = model
    if not isinstance(judge, weights.Judge) or judge.backbone is None:
        raise MgrError(
            f"{card.name} ({card.architecture}) is no net, and embeds nothing; map its features "
            "with --of features"
        )
    pipeline, n_classes = judge.pipeline, len(card.classes)
    return _Ear(
        judge.rows, lambda _, rows: fitted.probabilities(pipeline, rows, n_classes=n_classes)
    )


def _ear_of_net(net: "nn.Module", device: str) -> _Ear:
    import torch

    def embed(arrays: Arrays) -> np.ndarray:
        given = [torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in arrays]
        with torch.inference_mode():
            # Every net of the registry has it.
            found: Tensor = getattr(net, "embed")(*(each.to(device) for each in given))  # noqa: B009
            return np.asarray(found.cpu().numpy())

    def judge(_: Arrays, rows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = net.get_submodule("head")(torch.from_numpy(rows).to(device))
            return np.asarray(logits.softmax(dim=1).cpu().numpy())

    return _Ear(embed, judge)


def _place_of_features(card: Card) -> int:
    """Return which of an entry's inputs has features, not samples."""
    for place, kind in enumerate(card.eats):
        if kind != "waveform":
            return place
    raise MgrError(
        f"{card.name} takes waveforms, whose samples are no features of a track; map its "
        "embeddings with --of embeddings"
    )
