from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mgr_cli.data.dataset import PreparedDataset, moments
from mgr_cli.data.thinning import in_proportion, thinned
from mgr_cli.errors import DatasetError
from tests import tiny


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Four training tracks a genre, the first of rock damaged."""
    whole = tiny.dataset(tmp_path_factory.mktemp("data"))
    status = whole.tracks.status.mask(whole.tracks.track_id == "train-rock-0", "silent")
    return replace(whole, tracks=whole.tracks.assign(status=status))


def drawn(dataset: PreparedDataset, n_tracks: int, *, seed: int = 0) -> list[str]:
    """Return the names of the training tracks that are left."""
    few = thinned(dataset, n_tracks, rng=np.random.default_rng(seed))
    return [str(name) for name in few.tracks.track_id.iloc[few.numbers("train")]]


def counted(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return how many of each class are among the first n, for all n from 0."""
    return np.stack([np.bincount(labels[order[:n]], minlength=3) for n in range(len(order) + 1)])


def test_genres_have_the_seats_that_were_counted_by_hand() -> None:
    # Of 1, 3 and 6 tracks; after the first of each, the second of 6 is due at 1.5 / 6 = 0.25, its
    # third at 2.5 / 6 = 0.42, the second of 3 at 1.5 / 3 = 0.5, then 0.58, 0.75, 0.83 and 0.92.
    labels = np.repeat([0, 1, 2], [1, 3, 6])
    for seed in range(20):
        seats = counted(labels, in_proportion(labels, rng=np.random.default_rng(seed)))
        assert seats[3].tolist() == [1, 1, 1]
        expected = [2, 2, 1, 2, 2, 1, 2]
        assert [int(step.argmax()) for step in np.diff(seats[3:], axis=0)] == expected
        assert seats[-1].tolist() == [1, 3, 6]


def test_shares_are_those_of_the_whole_to_a_track() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 53, 127]))
    seats = counted(labels, in_proportion(labels, rng=np.random.default_rng(1)))
    whole = np.array([20, 53, 127]) / 200
    n_tracks = np.arange(len(seats))[:, None]
    assert np.abs(seats - n_tracks * whole)[10:].max() < 1  # a rule of rounding, and no more


def test_order_is_a_permutation_of_the_seed() -> None:
    labels = np.repeat([0, 1, 2], 5)
    orders = [in_proportion(labels, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert sorted(orders[0].tolist()) == list(range(15))
    assert orders[0].tolist() == orders[1].tolist() != orders[2].tolist()


def test_equal_genres_take_turns_by_lot() -> None:
    labels = np.repeat([0, 1, 2], 5)
    fourth = {
        int(labels[in_proportion(labels, rng=np.random.default_rng(seed))[3]]) for seed in range(30)
    }
    assert fourth == {0, 1, 2}


def test_each_track_is_drawn_as_often_as_its_fellows() -> None:
    labels = np.repeat([0, 1, 2], [2, 4, 8])
    taken = np.zeros(14)
    for seed in range(2_000):
        taken[in_proportion(labels, rng=np.random.default_rng(seed))[:7]] += 1
    # 1, 2 and 4 of each: half of all. The deviation of a half in 2,000 draws is 0.011; 5 of them.
    np.testing.assert_allclose(taken / 2_000, 0.5, atol=0.056)


def test_sets_of_a_curve_grow(dataset: PreparedDataset) -> None:
    curve = [set(drawn(dataset, n)) for n in range(3, 12)]
    assert [len(each) for each in curve] == list(range(3, 12))
    assert all(fewer < more for fewer, more in pairwise(curve))
    assert len({tuple(drawn(dataset, 5, seed=seed)) for seed in range(5)}) > 1


def test_only_usable_tracks_of_training_are_drawn(dataset: PreparedDataset) -> None:
    whole = set(dataset.tracks.track_id.iloc[dataset.numbers("train")])
    assert "train-rock-0" not in whole
    for seed in range(5):
        names = drawn(dataset, 6, seed=seed)
        assert set(names) < whole
        assert sorted({name.split("-")[1] for name in names}) == ["blues", "jazz", "rock"]


def test_the_rest_of_the_dataset_stays(dataset: PreparedDataset) -> None:
    few = thinned(dataset, 5, rng=np.random.default_rng(0))
    assert few.counts() == {"train": 5, "valid": 6, "test": 6}
    assert few.split_digest == dataset.split_digest
    for split in ("valid", "test"):
        assert few.numbers(split).tolist() == dataset.numbers(split).tolist()
    assert dataset.counts()["train"] == 11
    assert few != dataset


def test_normalisation_is_that_of_the_drawn_tracks(dataset: PreparedDataset) -> None:
    few = thinned(dataset, 5, rng=np.random.default_rng(0))
    tracks = [dataset.track(number) for number in few.numbers("train").tolist()]
    assert len(tracks) == 5
    assert few.normalisations == {"log-mel": moments("log-mel", tracks)}
    assert few.normalisations != dataset.normalisations


def test_all_tracks_are_the_dataset_itself(dataset: PreparedDataset) -> None:
    assert thinned(dataset, 11, rng=np.random.default_rng(0)) is dataset


@pytest.mark.parametrize("n_tracks", [-1, 0, 2, 12])
def test_too_few_and_too_many_are_refused(dataset: PreparedDataset, n_tracks: int) -> None:
    with pytest.raises(
        DatasetError, match=rf"on {n_tracks} tracks, expected from 3, one a genre, to the 11 of"
    ):
        thinned(dataset, n_tracks, rng=np.random.default_rng(0))


def test_another_fold_has_all_its_tracks_again(tmp_path: Path) -> None:
    whole = tiny.dataset(tmp_path)
    folds = [str(number % 3) for number in range(len(whole.tracks))]
    dealt = replace(whole, tracks=whole.tracks.assign(fold=folds)).tested_on(0)
    few = thinned(dealt, 4, rng=np.random.default_rng(0))
    assert few.counts()["train"] == 4
    assert few.tested_on(1) == dealt.tested_on(1)
    assert few.tested_on(1).counts() == dealt.tested_on(1).counts() == dict.fromkeys(
        ("train", "valid", "test"), 8
    )  # fmt: skip
