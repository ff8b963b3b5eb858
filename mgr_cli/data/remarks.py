"""What somebody should know of a prepared dataset, and would not see in its counts."""

from collections.abc import Sequence

from mgr_cli.data.dataset import PreparedDataset, vector_kind
from mgr_cli.features.normalisation import LARGEST

SHOWN = 3  # names of a list


def remarks(dataset: PreparedDataset) -> tuple[str, ...]:
    """Name genres and splits without a usable track, and columns that training cannot use."""
    tracks, found = dataset.tracks, []
    if lost := sorted(set(tracks.genre) - {"", *dataset.genres}):
        found.append(f"no genres of this dataset, as all their tracks are bad: {shortened(lost)}")
    if not dataset.counts()["valid"]:
        found.append(
            "no usable track in the valid split, which training needs; --split random deals one out"
        )
    if still := still_columns(dataset):
        found.append(f"columns that are the same for all training tracks: {shortened(still)}")
    return tuple(found)


def still_columns(dataset: PreparedDataset) -> list[str]:
    """Return the columns of a table that do not change in training; see `dataset.moments`."""
    kind = vector_kind(dataset.plan)
    if kind is None:
        return []
    std = dataset.normalisations[kind].std
    return [name for name, own in zip(dataset.columns, std, strict=True) if own >= LARGEST]


def shortened(names: Sequence[str]) -> str:
    """Say how many names there are, and the first of them."""
    more = " …" if len(names) > SHOWN else ""
    return f"{len(names)}, {', '.join(names[:SHOWN])}{more}"
