import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mgr_cli.data import splits


def counts(genres: list[str], ratios: tuple[float, float, float], *, seed: int = 0) -> list[int]:
    dealt = splits.deal(genres, [""] * len(genres), rng=np.random.default_rng(seed), ratios=ratios)
    assert len(dealt) == len(genres)
    return [dealt.count(split) for split in ("train", "valid", "test")]


@pytest.mark.parametrize(
    ("n", "ratios", "expected"),
    [
        (10, (0.8, 0.1, 0.1), [8, 1, 1]),
        (100, (0.8, 0.1, 0.1), [80, 10, 10]),
        (10, (7, 2, 1), [7, 2, 1]),  # ratios need not sum to one
        (13, (0.8, 0.1, 0.1), [11, 1, 1]),  # 10.4, 1.3, 1.3: the largest remainder is 0.4
        (19, (0.8, 0.1, 0.1), [15, 2, 2]),  # 15.2, 1.9, 1.9
        (3, (0.8, 0.1, 0.1), [1, 1, 1]),  # 2.4, 0.3, 0.3: valid and test get one each
        (4, (0.8, 0.1, 0.1), [2, 1, 1]),
        (2, (0.8, 0.1, 0.1), [2, 0, 0]),
        (1, (0.8, 0.1, 0.1), [1, 0, 0]),
        (5, (1, 0, 0), [5, 0, 0]),  # nobody asked for valid and test
        (5, (0.5, 0, 0.5), [3, 0, 2]),  # a tie goes to the first
    ],
)
def test_counts_are_the_ratios_by_largest_remainder(
    n: int, ratios: tuple[float, float, float], expected: list[int]
) -> None:
    assert counts(["rock"] * n, ratios) == expected


def test_every_genre_is_dealt_by_itself() -> None:
    genres = ["rock"] * 30 + ["blues"] * 10 + ["folk"] * 3
    np.random.default_rng(1).shuffle(genres)
    dealt = splits.deal(
        genres, [""] * len(genres), rng=np.random.default_rng(0), ratios=(0.8, 0.1, 0.1)
    )
    assert Counter(zip(genres, dealt, strict=True)) == {
        ("rock", "train"): 24, ("rock", "valid"): 3, ("rock", "test"): 3,
        ("blues", "train"): 8, ("blues", "valid"): 1, ("blues", "test"): 1,
        ("folk", "train"): 1, ("folk", "valid"): 1, ("folk", "test"): 1,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_everybody_is_dealt_and_something_is_left_to_train_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genres = rng.choice(["a", "b", "c"], int(rng.integers(1, 80))).tolist()
    train, valid, test = rng.uniform(0.05, 1, 3)
    dealt = splits.deal(genres, [""] * len(genres), rng=rng, ratios=(train, valid, test))
    assert set(dealt) <= {"train", "valid", "test"}
    for genre in set(genres):
        members = [split for split, other in zip(dealt, genres, strict=True) if other == genre]
        if len(members) >= 3:
            assert set(members) >= {"valid", "test"}


def test_seed_decides() -> None:
    genres = ["rock"] * 40 + ["blues"] * 40
    first, again, other = (
        splits.deal(genres, [""] * len(genres), rng=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_same_seed_gives_the_same_split_in_every_process() -> None:
    # The order of a set of strings changes from process to process; the split must not.
    program = (
        "import numpy as np; from mgr_cli.data import splits; "
        "genres = [str(n % 10) for n in range(100)]; "
        "print(splits.deal(genres, [''] * 100, rng=np.random.default_rng(0)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_tracks_are_shuffled_before_they_are_dealt() -> None:
    dealt = splits.deal(["rock"] * 100, [""] * 100, rng=np.random.default_rng(0))
    places = [place for place, split in enumerate(dealt) if split == "test"]
    assert np.ptp(places) > 30  # an artist's tracks lie side by side


def test_no_tracks_are_no_splits() -> None:
    assert splits.deal([], [], rng=np.random.default_rng(0)) == []
    assert splits.fold([], [], rng=np.random.default_rng(0), n_folds=3) == []


@pytest.mark.parametrize("ratios", [(0.0, 0.5, 0.5), (0.8, -0.1, 0.3), (-1.0, 1.0, 1.0)])
def test_impossible_ratios_are_refused(ratios: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="split ratios"):
        splits.deal(["rock"], [""], rng=np.random.default_rng(0), ratios=ratios)


def test_digest_is_that_of_the_sorted_lines() -> None:
    expected = hashlib.sha256(b"a\ttrain\nb\ttest\n").hexdigest()
    assert splits.digest({"b": "test", "a": "train"}) == expected
    assert splits.digest({"a": "train", "b": "test"}) == expected


def test_digest_passes_over_tracks_in_no_split() -> None:
    assert splits.digest({"a": "train", "b": "", "c": "dev"}) == splits.digest({"a": "train"})


@pytest.mark.parametrize("other", [{"a": "valid"}, {"b": "train"}, {"a": "train", "b": "train"}])
def test_digest_tells_splits_apart(other: dict[str, str]) -> None:
    assert splits.digest(other) != splits.digest({"a": "train"})


def test_tracks_of_a_group_stay_together_and_shares_stay_near_the_ratios() -> None:
    rng = np.random.default_rng(0)
    artists = [f"artist {n}" for n in rng.integers(0, 300, 2_000)]
    genres = [f"genre {int(name.split()[1]) % 5}" for name in artists]
    dealt = splits.deal(genres, artists, rng=rng)
    assert all(
        len({split for split, other in zip(dealt, artists, strict=True) if other == artist}) == 1
        for artist in set(artists)
    )
    for genre in set(genres):
        members = [split for split, other in zip(dealt, genres, strict=True) if other == genre]
        # An artist has 7 tracks of a genre's 400, 1.7 %: no share can be further off than that.
        assert members.count("train") / len(members) == pytest.approx(0.8, abs=0.02)
        assert members.count("valid") / len(members) == pytest.approx(0.1, abs=0.02)


def test_only_artist_of_a_genre_is_trained_on() -> None:
    dealt = splits.deal(["rock"] * 20, ["the same"] * 20, rng=np.random.default_rng(0))
    assert set(dealt) == {"train"}


def folds(genres: list[str], groups: list[str], n_folds: int, *, seed: int = 0) -> list[int]:
    return splits.fold(genres, groups, rng=np.random.default_rng(seed), n_folds=n_folds)


@pytest.mark.parametrize("n_folds", [3, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_folds_are_equal_in_every_genre_and_together(n_folds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, 5)
    genres = np.repeat([f"genre {n}" for n in range(5)], sizes)
    rng.shuffle(genres)
    dealt = np.array(folds(genres.tolist(), [""] * len(genres), n_folds, seed=seed))
    for genre in set(genres):
        assert np.ptp(np.bincount(dealt[genres == genre], minlength=n_folds)) <= 1
    assert np.ptp(np.bincount(dealt, minlength=n_folds)) <= 1


def test_remainders_of_the_genres_do_not_pile_up_on_one_fold() -> None:
    # Five genres of five tracks in ten folds: each has half a track for every fold.
    genres = [f"genre {n % 5}" for n in range(25)]
    assert sorted(Counter(folds(genres, [""] * 25, 10)).values()) == [2] * 5 + [3] * 5


def test_groups_stay_in_one_fold_and_folds_stay_near_each_other() -> None:
    rng = np.random.default_rng(0)
    artists = [f"artist {n}" for n in rng.integers(0, 300, 2_000)]
    genres = [f"genre {int(name.split()[1]) % 5}" for name in artists]
    dealt = folds(genres, artists, 5)
    of_artist: dict[str, set[int]] = {}
    for artist, fold in zip(artists, dealt, strict=True):
        of_artist.setdefault(artist, set()).add(fold)
    assert all(len(found) == 1 for found in of_artist.values())
    for genre, n in Counter(genres).items():
        counts = Counter(f for f, other in zip(dealt, genres, strict=True) if other == genre)
        # An artist has 7 tracks of a genre's 400 on average: no fold is one of them off.
        assert max(abs(count - n / 5) for count in counts.values()) <= 7


def test_group_of_several_genres_stays_together() -> None:
    genres = ["rock", "jazz", "folk"] * 10
    groups = [str(n // 3) for n in range(30)]
    dealt = folds(genres, groups, 5)
    assert all(len(set(dealt[first : first + 3])) == 1 for first in range(0, 30, 3))
    assert sorted(Counter(dealt).values()) == [6] * 5


def test_seed_decides_the_folds() -> None:
    genres = ["rock"] * 40 + ["blues"] * 40
    first, again, other = (folds(genres, [""] * 80, 4, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("n_folds", [-1, 0, 1, 2])
def test_fewer_than_three_folds_are_refused(n_folds: int) -> None:
    with pytest.raises(ValueError, match=f"{n_folds} folds, expected 3 at least"):
        folds(["rock"] * 9, [""] * 9, n_folds)


def test_more_folds_than_tracks_leave_some_empty() -> None:
    assert sorted(folds(["rock"] * 3, [""] * 3, 5)) == [0, 1, 2]


def test_every_fold_is_tested_once_and_validated_once() -> None:
    rounds = [
        [splits.split_of_fold(fold, tested=tested, n_folds=5) for fold in range(5)]
        for tested in range(5)
    ]
    assert rounds[0] == ["test", "valid", "train", "train", "train"]
    assert rounds[4] == ["valid", "train", "train", "train", "test"]
    for fold in range(5):
        seen = Counter(each[fold] for each in rounds)
        assert seen == {"test": 1, "valid": 1, "train": 3}


def test_a_hundred_thousand_tracks_are_dealt_by_a_look_at_each_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    real = np.lexsort

    def count(keys: tuple[np.ndarray, ...]) -> np.ndarray:
        looks.append(len(keys[0]))
        order: np.ndarray = real(keys)
        return order

    monkeypatch.setattr(np, "lexsort", count)
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 20_000, 100_000).tolist()
    dealt = folds([f"genre {n % 16}" for n in numbers], [f"artist {n}" for n in numbers], 10)
    assert len(looks) == len(set(numbers))
    assert set(looks) == {10}  # at each of the hands, never at other groups
    assert np.ptp(np.bincount(dealt)) < 100
