from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mgr_cli import leaks
from mgr_cli.config import SPLITS
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.splits import digest
from mgr_cli.zoo.card import Card, TrainedOn
from tests import tiny


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def card(own: PreparedDataset) -> Card:
    trained_on = TrainedOn(name=own.name, split_digest=own.split_digest, counts=own.counts())
    return tiny.card().model_copy(update={"dataset": trained_on})


def swapped(dataset: PreparedDataset, **other: str) -> PreparedDataset:
    """Put a training track into the test split, and the other way round."""
    tracks = dataset.tracks.copy()
    for name, split in (("train-jazz-0", "test"), ("test-jazz-0", "train")):
        tracks.loc[tracks.track_id == name, "split"] = split
    for column, value in other.items():
        tracks[column] = value
    return replace(dataset, tracks=tracks)


def test_split_of_the_card_is_no_leak(card: Card, own: PreparedDataset) -> None:
    for split in SPLITS:
        assert leaks.find(card, own, split, trained_on=None) == ""


def test_tracks_that_were_trained_on_are_counted_and_named(
    card: Card, own: PreparedDataset
) -> None:
    found = leaks.find(card, swapped(own), "test", trained_on=own)
    assert "1 of the 6 tracks of the test split of tiny, the first is train-jazz-0" in found
    # The validation tracks chose the epoch, so they are no test either.
    moved = own.tracks.assign(split=own.tracks.split.replace({"valid": "test", "test": "valid"}))
    found = leaks.find(card, replace(own, tracks=moved), "test", trained_on=own)
    assert "6 of the 6 tracks" in found


def test_same_sound_is_found_under_another_name(card: Card, own: PreparedDataset) -> None:
    digests = [f"{number:064x}" for number in range(len(own.tracks))]
    known = replace(own, tracks=own.tracks.assign(digest=digests))
    renamed = known.tracks.assign(track_id=[f"other{n}" for n in range(len(digests))])
    other = replace(swapped(replace(known, tracks=renamed)), name="other")
    assert leaks.find(card, other, "test", trained_on=known) == ""  # its splits are the same
    first = int(np.flatnonzero((own.tracks.split == "train").to_numpy())[0])
    other.tracks.loc[first, "split"] = "test"
    found = leaks.find(card, other, "test", trained_on=known)
    assert "chosen by, 1 of the" in found


def test_same_name_with_another_sound_is_another_track(card: Card, own: PreparedDataset) -> None:
    known = replace(own, tracks=own.tracks.assign(digest="a" * 64))
    assert leaks.find(card, swapped(own, digest="b" * 64), "test", trained_on=known) == ""
    found = leaks.find(card, swapped(own, genre="rock"), "test", trained_on=own)
    assert found == ""  # and so is one of another genre


def test_sound_of_a_picture_that_was_trained_on_is_found_by_its_name(
    card: Card, own: PreparedDataset
) -> None:
    pictures = replace(own, tracks=own.tracks.assign(digest="a" * 64), layout="images")
    sound = swapped(own, digest="b" * 64)
    assert "chosen by, 1 of the" in leaks.find(card, sound, "test", trained_on=pictures)


def test_unknown_split_of_the_same_name_is_suspect_of_another_is_not(
    card: Card, own: PreparedDataset
) -> None:
    found = leaks.find(card, swapped(own), "test", trained_on=None)
    assert "which is not at hand" in found
    assert leaks.find(card, replace(swapped(own), name="b"), "test", trained_on=None) == ""
    # What goes by the name on the card may be another split too.
    assert leaks.find(card, swapped(own), "test", trained_on=swapped(own)) != ""


def test_redealt_splits_have_the_sizes_and_the_genres_of_the_old_ones(tmp_path: Path) -> None:
    dataset = tiny.dataset(tmp_path)
    dataset.tracks.loc[0, "status"] = "silent"
    one, again, other = (leaks.redealt(dataset, seed=seed) for seed in (1, 1, 2))
    assert one.tracks.split.tolist() == again.tracks.split.tolist()
    assert one.split_digest not in (dataset.split_digest, other.split_digest)
    assert one.counts() == dataset.counts()
    assert one.tracks.split[0] == dataset.tracks.split[0]  # nobody hears it
    assert one.tested_fold is None
    usable = one.tracks[one.tracks.status == "ok"]
    assert set(usable[usable.split == "test"].genre) == set(dataset.genres)
    train = np.flatnonzero(((one.tracks.split == "train") & (one.tracks.status == "ok")).to_numpy())
    rows = np.concatenate([dataset.reader().frames(number) for number in train.tolist()], axis=1)
    np.testing.assert_allclose(one.normalisations["log-mel"].mean, rows.mean(axis=1), rtol=1e-6)


def test_artists_on_both_sides_are_counted(own: PreparedDataset) -> None:
    assert leaks.shared_artists(own) is None
    tracks = own.tracks.copy()
    for name, artist in (("train-jazz-0", "a"), ("test-jazz-0", "a"), ("test-rock-0", "b")):
        tracks.loc[tracks.track_id == name, "artist"] = artist
    assert leaks.shared_artists(replace(own, tracks=tracks)) == 1


def test_digest_tells_splits_apart(own: PreparedDataset) -> None:
    assert swapped(own).split_digest != own.split_digest
    assert digest(dict(zip(own.tracks.track_id, own.tracks.split, strict=True))) == own.split_digest
