"""Leaks: whether an entry has seen the tracks that it is to be tested on.

A card names the dataset that its entry was trained on and the digest of its split, which track is
where. On that very split all is well. On any other the tracks are looked for one by one, among
those that were trained on or that the weights were chosen by: a track is the same if its file is,
byte for byte; or, where one of the two has no digest of a file, or one is a picture and the other
the sound, if it has the same id and the same genre. Other encodings, takes and excerpts of a
recording, which leak too, are found by
`mgr prepare`'s audit, not here.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from mgr_cli.config import Split
from mgr_cli.data.dataset import PreparedDataset, normalised
from mgr_cli.data.splits import deal
from mgr_cli.data.store import OK
from mgr_cli.zoo.card import Card

SEEN: tuple[Split, ...] = ("train", "valid")


def find(
    card: Card, dataset: PreparedDataset, split: Split, *, trained_on: PreparedDataset | None
) -> str:
    """Tell whether an entry has seen tracks of a split.

    Parameters
    ----------
    card : Card
        Of the entry.
    dataset : PreparedDataset
        That it is to be judged on.
    split : {"test", "valid", "train"}
        Whose tracks.
    trained_on : PreparedDataset, optional
        The dataset that the card names, where it is at hand.

    Returns
    -------
    str
        Why these tracks are no test, in a line; nothing where the split is that of the card, or no
        track of it was seen, or nothing hints that one was.
    """
    if dataset.split_digest == card.dataset.split_digest:
        return ""
    if not is_known(card, trained_on):
        if dataset.name != card.dataset.name:
            return ""
        return (
            f"{card.name} was trained on another split of {dataset.name}, which is not at hand: "
            f"tracks of this {split} split may have been trained on"
        )
    assert trained_on is not None, "it is known"
    tested = _usable(dataset, (split,))
    alike = (dataset.layout == "images") == (trained_on.layout == "images")
    seen = _same(tested, _usable(trained_on, SEEN), alike=alike)
    if not seen.any():
        return ""
    return (
        f"{card.name} was trained on, or chosen by, {seen.sum()} of the {len(tested)} tracks of "
        f"the {split} split of {dataset.name}, the first is {tested.track_id[seen].iloc[0]}"
    )


def is_known(card: Card, trained_on: PreparedDataset | None) -> bool:
    """Tell whether a dataset is the one that an entry was trained on, split and all."""
    return trained_on is not None and trained_on.split_digest == card.dataset.split_digest


def redealt(dataset: PreparedDataset, *, seed: int) -> PreparedDataset:
    """Deal the tracks of a dataset out anew, at random, to splits of the same sizes.

    Genres keep their shares; artists, albums and everything else that a careful split keeps on one
    side do not. It is what a study of leaks compares with.

    Parameters
    ----------
    dataset : PreparedDataset
        With all three splits.
    seed : int
        Of the draw.
    """
    tracks = dataset.tracks
    usable = ((tracks.status == OK) & tracks.split.isin(["train", "valid", "test"])).to_numpy()
    counts = dataset.counts()
    dealt = deal(
        tracks.genre[usable].tolist(),
        [""] * int(usable.sum()),
        rng=np.random.default_rng(seed),
        ratios=(counts["train"], counts["valid"], counts["test"]),
    )
    split = tracks.split.to_numpy(dtype=object, copy=True)
    split[usable] = dealt
    return normalised(replace(dataset, tracks=tracks.assign(split=split, fold="")))


def shared_artists(dataset: PreparedDataset) -> int | None:
    """Count the test tracks whose artist is trained on, too; None where no artist is known."""
    tested, trained = _usable(dataset, ("test",)), _usable(dataset, ("train",))
    if not (tested.artist != "").any():
        return None
    return int(tested.artist[tested.artist != ""].isin(set(trained.artist)).sum())


def _usable(dataset: PreparedDataset, splits: tuple[Split, ...]) -> pd.DataFrame:
    tracks = dataset.tracks
    return tracks[(tracks.status == OK) & tracks.split.isin(splits)]


def _same(tested: pd.DataFrame, seen: pd.DataFrame, *, alike: bool) -> pd.Series:
    """Tell for each tested track whether it is among those that were seen.

    `alike` says whether both are sound or both pictures, so that digests can be compared.
    """
    by_digest = (tested.digest != "") & tested.digest.isin(set(seen.digest)) & alike
    digest_of = dict(zip(zip(seen.track_id, seen.genre, strict=True), seen.digest, strict=True))
    keys = zip(tested.track_id, tested.genre, strict=True)
    by_name = [
        key in digest_of and not (alike and digest and digest_of[key])
        for key, digest in zip(keys, tested.digest, strict=True)
    ]
    return by_digest | pd.Series(by_name, index=tested.index, dtype=bool)
