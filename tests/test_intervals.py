import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from mgr_cli import intervals, metrics
from tests.test_metrics import BY_HAND, labels


def one_each(truth: np.ndarray, predicted: np.ndarray, *, k: int) -> np.ndarray:
    """Count every answer as a track of its own."""
    return metrics.confusion_by_track(truth, predicted, np.arange(len(truth)), n_classes=k)


def test_perfect_classifier_is_certain_in_every_resampling() -> None:
    # Resamplings miss classes; a missing class must not count as a zero.
    truth = np.arange(12) % 8
    found = intervals.bootstrap(one_each(truth, truth, k=8), rng=np.random.default_rng(0))
    assert tuple(found) == metrics.SCORES
    assert set(found.values()) == {intervals.Estimate(1.0, 1.0, 1.0)}


def test_interval_of_accuracy_is_the_binomial_one() -> None:
    # The right answers among n tracks drawn with replacement are binomial, exactly.
    n, right = 400, 280
    truth = np.zeros(n, dtype=int)
    predicted = np.where(np.arange(n) < right, 0, 1)
    found = intervals.bootstrap(
        one_each(truth, predicted, k=2), rng=np.random.default_rng(0), n_resamples=20_000
    )["accuracy"]
    low, high = (stats.binom.ppf(tail, n, right / n) / n for tail in (0.025, 0.975))
    assert found.value == right / n
    # 20,000 draws place a 2.5 % tail to 0.11 points, a fifth of a track at this density.
    assert found.low == pytest.approx(low, abs=1 / n)
    assert found.high == pytest.approx(high, abs=1 / n)


def test_value_is_the_score_of_the_tracks_themselves() -> None:
    truth, predicted = labels(seed=5, n=200, k=8)
    found = intervals.bootstrap(one_each(truth, predicted, k=8), rng=np.random.default_rng(0))
    for name, value in metrics.scores(metrics.confusion(truth, predicted, n_classes=8)).items():
        assert found[name].value == value
        assert found[name].low < value < found[name].high


def test_segments_that_repeat_their_track_bring_no_certainty() -> None:
    tracks = one_each(*labels(seed=6, n=100, k=4), k=4)
    ten_segments = 10 * tracks
    of_tracks = intervals.bootstrap(tracks, rng=np.random.default_rng(0))
    of_segments = intervals.bootstrap(ten_segments, rng=np.random.default_rng(0))
    for name in metrics.SCORES:
        assert asdict(of_segments[name]) == pytest.approx(asdict(of_tracks[name]), abs=1e-12)


def test_resampled_sets_have_as_many_tracks_as_the_real_one() -> None:
    parts = intervals._resampled(np.ones((30, 1, 1)), np.random.default_rng(0), 50)
    np.testing.assert_array_equal(np.concatenate(list(parts)), np.full((50, 1, 1), 30))


def test_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    tracks = one_each(*labels(seed=7, n=150, k=8), k=8)
    first, again, other = (
        intervals.bootstrap(tracks, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_slices_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = one_each(*labels(seed=8, n=50, k=8), k=8)
    whole = intervals.bootstrap(tracks, rng=np.random.default_rng(0), n_resamples=100)
    monkeypatch.setattr(intervals, "_SLICE", 7 * (50 + 64))
    sizes = [len(part) for part in intervals._resampled(tracks, np.random.default_rng(0), 100)]
    assert sizes == [7] * 14 + [2]
    assert intervals.bootstrap(tracks, rng=np.random.default_rng(0), n_resamples=100) == whole


def test_estimates_go_into_json_and_come_back() -> None:
    found = intervals.bootstrap(BY_HAND[np.newaxis], rng=np.random.default_rng(0), n_resamples=5)
    text = json.dumps({name: asdict(estimate) for name, estimate in found.items()})
    assert {name: intervals.Estimate(**row) for name, row in json.loads(text).items()} == found


@pytest.mark.parametrize(
    ("per_track", "n_resamples", "found"),
    [
        (np.zeros((0, 3, 3)), 10, r"\(0, 3, 3\)"),
        (BY_HAND, 10, r"\(3, 3\)"),
        (np.stack([BY_HAND, 0 * BY_HAND]), 10, "a track has no count"),
        (np.stack([9 * BY_HAND, 9 * BY_HAND, -BY_HAND]), 1, "negative"),  # which no sum has
        (BY_HAND[np.newaxis], 0, "n_resamples is 0"),
    ],
)
def test_nothing_to_resample_is_refused(
    per_track: np.ndarray, n_resamples: int, found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        intervals.bootstrap(per_track, rng=np.random.default_rng(0), n_resamples=n_resamples)


# --- intervals of a mean ----------------------------------------------------------------


def test_mean_of_right_answers_has_the_interval_of_the_accuracy() -> None:
    truth, predicted = labels(seed=14, n=200, k=8)
    tracks = one_each(truth, predicted, k=8)
    expected = intervals.bootstrap(tracks, rng=np.random.default_rng(0))["accuracy"]
    found = intervals.bootstrap_mean(truth == predicted, rng=np.random.default_rng(0))
    assert asdict(found) == pytest.approx(asdict(expected), abs=1e-12)


def test_mean_over_segments_has_the_interval_of_their_accuracy() -> None:
    # Uneven tracks whose names are not in order: the sums of each must stay together.
    truth, predicted = labels(seed=15, n=300, k=8)
    owners = np.random.default_rng(0).choice(np.array(["c", "a", "b", "e", "d"]), 300)
    tracks = metrics.confusion_by_track(truth, predicted, owners, n_classes=8)
    expected = intervals.bootstrap(tracks, rng=np.random.default_rng(0))["accuracy"]
    found = intervals.bootstrap_mean(truth == predicted, owners, rng=np.random.default_rng(0))
    assert asdict(found) == pytest.approx(asdict(expected), abs=1e-12)


def test_interval_of_a_mean_is_that_of_scipy() -> None:
    values = np.random.default_rng(16).normal(3, 2, 100)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = intervals.bootstrap_mean(values, rng=np.random.default_rng(0), n_resamples=20_000)
    # The mean has a standard error of 0.2; 20,000 draws place its 2.5 % tail to a fiftieth.
    assert found.low == pytest.approx(theirs.low, abs=0.02)
    assert found.high == pytest.approx(theirs.high, abs=0.02)


@pytest.mark.parametrize(
    ("values", "tracks", "n_resamples", "found"),
    [
        ([], None, 10, r"\(0,\)"),
        ([[1.0]], None, 10, r"\(1, 1\)"),
        ([1.0, np.nan], None, 10, "all finite"),
        ([1.0, 0.0], [1], 10, "differ in shape"),
        ([1.0], None, 0, "n_resamples is 0"),
    ],
)
def test_what_has_no_mean_is_refused(
    values: list[float], tracks: list[int] | None, n_resamples: int, found: str
) -> None:
    owners = None if tracks is None else np.array(tracks)
    with pytest.raises(ValueError, match=found):
        intervals.bootstrap_mean(
            np.array(values), owners, rng=np.random.default_rng(0), n_resamples=n_resamples
        )
