from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as reference

from mgr_cli import calibration, metrics, votes
from mgr_cli.config import VOTE_RULES, VoteRule

# Four tracks of two genres. Winners 0, 0, 1, 1 with confidences 0.9, 0.8, 0.6, 0.85; the
# second and the third are wrong.
PROBS = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.15, 0.85]])
TRUTH = np.array([0, 1, 0, 1])


def synthetic(
    n: int, *, k: int = 8, temperature: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits, and truths that softmax(logits / temperature) is honest about."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, k))
    honest = softmax(logits, temperature)
    truth = (honest.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits, np.minimum(truth, k - 1)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    return np.asarray((torch.from_numpy(logits) / temperature).softmax(dim=-1))


def tracks(
    *, n: int = 60, n_segments: int = 5, seed: int = 0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw bold segments that lean to the truth of their track, as many as a track has."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    logits = rng.normal(0, 4, (n, n_segments, 4)) + 3 * np.eye(4)[truth][:, np.newaxis]
    return [softmax(each) for each in logits], truth


def ece_one_by_one(probs: np.ndarray, truth: np.ndarray, n_bins: int) -> tuple[float, float]:
    """Compute ECE and MCE as the paper writes them, a bin and a track at a time."""
    gaps = []
    for m in range(1, n_bins + 1):
        own = [
            (max(row), int(np.argmax(row) == label))
            for row, label in zip(probs.tolist(), truth, strict=True)
            if (m - 1) / n_bins < max(row) <= m / n_bins
        ]
        if own:
            conf, acc = np.mean([c for c, _ in own]), np.mean([a for _, a in own])
            gaps.append((len(own) / len(probs), abs(float(acc - conf))))
    return sum(share * gap for share, gap in gaps), max(gap for _, gap in gaps)


# --- reliability ------------------------------------------------------------------------


def test_reliability_by_hand() -> None:
    # Five bins: 0.6 is in (0.4, 0.6], 0.8 in (0.6, 0.8], and 0.85 and 0.9 in (0.8, 1].
    found = calibration.reliability(PROBS, TRUTH, n_bins=5)
    rows = [(each.n, each.confidence, each.accuracy) for each in found.bins]
    assert rows == [
        (1, 0.6, 0.0),
        (1, 0.8, 0.0),
        (2, pytest.approx(0.875), 1.0),
    ]
    edges = [edge for each in found.bins for edge in (each.low, each.high)]
    assert edges == pytest.approx([0.4, 0.6, 0.6, 0.8, 0.8, 1.0])
    assert found.ece == pytest.approx((0.6 + 0.8 + 2 * 0.125) / 4)
    assert found.mce == pytest.approx(0.8)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.4, 0.85]).mean())
    assert found.brier == pytest.approx(2 * (0.1**2 + 0.8**2 + 0.6**2 + 0.15**2) / 4)


@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_errors_are_those_of_the_paper_one_by_one(n_bins: int) -> None:
    logits, truth = synthetic(300, temperature=2.0)
    probs = softmax(logits)
    found = calibration.reliability(probs, truth, n_bins=n_bins)
    assert (found.ece, found.mce) == pytest.approx(ece_one_by_one(probs, truth, n_bins), abs=1e-12)
    assert sum(each.n for each in found.bins) == 300


def test_brier_score_and_log_loss_are_those_of_scikit_learn() -> None:
    logits, truth = synthetic(300)
    probs = softmax(logits)
    found = calibration.reliability(probs, truth)
    assert found.brier == pytest.approx(
        reference.brier_score_loss(truth, probs, labels=range(8)), abs=1e-12
    )
    assert found.log_loss == pytest.approx(
        reference.log_loss(truth, probs, labels=range(8)), abs=1e-12
    )


def test_honest_confidences_have_next_to_no_error() -> None:
    logits, truth = synthetic(100_000)
    assert calibration.reliability(softmax(logits), truth).ece < 0.005


def test_certain_errors_are_as_wrong_as_can_be() -> None:
    found = calibration.reliability(np.eye(2), np.array([1, 0]))
    assert (found.ece, found.mce, found.brier) == (1, 1, 2)
    assert [(each.low, each.high) for each in found.bins] == [(14 / 15, 1.0)]


def test_error_of_few_honest_tracks_is_what_chance_makes_of_it() -> None:
    # Two hundred sets of 200 honest tracks: their mean ECE is known to 2 % of itself, about.
    logits, truth = synthetic(40_000)
    probs = softmax(logits).reshape(200, 200, 8)
    seen = [
        calibration.reliability(each, labels).ece
        for each, labels in zip(probs, truth.reshape(200, 200), strict=True)
    ]
    by_chance = [
        calibration.chance_ece(each, rng=np.random.default_rng(0), n_resamples=50) for each in probs
    ]
    assert np.mean(by_chance) == pytest.approx(np.mean(seen), rel=0.05)
    assert np.mean(by_chance) > 0.03


@pytest.mark.parametrize(
    ("probs", "truth", "n_bins", "found"),
    [
        (np.zeros((0, 2)), [], 15, r"\(0,\)"),
        (PROBS, [0], 15, "4 rows of probs and 1 of truth"),
        (3 * PROBS, [0, 1, 0, 1], 15, "softmax"),
        (PROBS, [0, 1, 0, 1], 0, "n_bins is 0"),
    ],
)
def test_what_has_no_reliability_is_refused(
    probs: np.ndarray, truth: list[int], n_bins: int, found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        calibration.reliability(probs, np.array(truth), n_bins=n_bins)


# --- tempering --------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 3.0, 20.0])
def test_tempered_probabilities_are_the_softmax_of_divided_logits(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 8))
    found = calibration.tempered(softmax(logits), temperature)
    np.testing.assert_allclose(found, softmax(logits, temperature), atol=1e-12)


def test_tempered_by_hand() -> None:
    # 0.8 and 0.2 are as 4 to 1; their roots as 2 to 1, their squares as 16 to 1.
    np.testing.assert_allclose(calibration.tempered(np.array([0.8, 0.2]), 2.0), [2 / 3, 1 / 3])
    np.testing.assert_allclose(calibration.tempered(np.array([0.8, 0.2]), 0.5), [16 / 17, 1 / 17])


def test_zero_means_less_than_float32_can_say() -> None:
    # Its smallest normal number is 2 ** -126, and the twentieth root of that 2 ** -6.3.
    found = calibration.tempered(np.array([1.0, 0.0]), 20.0)
    np.testing.assert_allclose(found, np.array([1, 2**-6.3]) / (1 + 2**-6.3), rtol=1e-12)
    np.testing.assert_array_equal(calibration.tempered(np.zeros(4), 0.05), np.full(4, 0.25))


def test_the_sharpest_temperature_leaves_the_winner_alone() -> None:
    found = calibration.tempered(np.array([[0.3, 0.5, 0.2], [0.5, 0.5, 0.0]]), 1e-4)
    np.testing.assert_array_equal(found, [[0, 1, 0], [0.5, 0.5, 0]])


@pytest.mark.parametrize("temperature", [0.3, 5.0])
def test_no_segment_changes_its_mind(temperature: float) -> None:
    segments = np.concatenate(tracks()[0]).astype(np.float32)
    found = calibration.tempered(segments, temperature)
    np.testing.assert_array_equal(found.argmax(axis=1), segments.argmax(axis=1))


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        calibration.tempered(PROBS, temperature)


def test_logits_are_not_tempered() -> None:
    with pytest.raises(ValueError, match="softmax"):
        calibration.tempered(np.array([2.0, -1.0]), 2.0)


@pytest.mark.parametrize("rule", VOTE_RULES)
def test_pooled_tracks_are_the_votes_of_their_tempered_segments(rule: VoteRule) -> None:
    segments = [np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.2, 0.8]])]
    found = calibration.pooled(segments, temperature=2.0, rule=rule)
    halves = np.array([[2 / 3, 1 / 3], [0.5, 0.5]])
    np.testing.assert_allclose(found[0], votes.pool(halves, rule=rule))
    np.testing.assert_allclose(found[1], votes.pool(np.array([[1 / 3, 2 / 3]]), rule=rule))


# --- fitting ----------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_that_made_the_truths_is_found(temperature: float) -> None:
    logits, truth = synthetic(1_500, temperature=temperature)
    found = calibration.fit_temperature(list(softmax(logits)[:, np.newaxis]), truth)
    # With so many tracks a fit has a standard error of 1 to 5 %, the most at temperature 1.
    assert found == pytest.approx(temperature, rel=0.15)


def test_one_segment_a_track_is_fitted_as_by_guo() -> None:
    # His loss on logits, minimised by another method: a fine grid.
    logits, truth = synthetic(300, temperature=1.7)
    grid = np.geomspace(1, 3, 500)
    right = torch.from_numpy(truth)
    losses = [float(F.cross_entropy(torch.from_numpy(logits / t), right)) for t in grid]
    found = calibration.fit_temperature(list(softmax(logits)[:, np.newaxis]), truth)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=0.003)


@pytest.mark.parametrize("rule", ["mean", "product"])
def test_no_other_temperature_has_a_lower_loss(rule: VoteRule) -> None:
    segments, truth = tracks()

    def loss(temperature: float) -> float:
        soft = [calibration.tempered(each, temperature) for each in segments]
        return metrics.log_loss(np.stack([votes.pool(each, rule=rule) for each in soft]), truth)

    found = calibration.fit_temperature(segments, truth, rule=rule)
    grid = np.geomspace(*calibration.TEMPERATURES, 300)
    assert loss(found) <= min(loss(float(each)) for each in grid) + 1e-9
    assert loss(found) < loss(1.0)


def test_tracks_and_not_segments_are_fitted() -> None:
    # The same segments as tracks of their own ask for another temperature.
    segments, truth = tracks()
    singles = [row[np.newaxis] for track in segments for row in track]
    of_tracks = calibration.fit_temperature(segments, truth)
    of_segments = calibration.fit_temperature(singles, np.repeat(truth, 5))
    assert of_tracks < 0.8 * of_segments


@pytest.mark.parametrize("seed", range(5))
def test_loss_never_rises_where_it_is_fitted(seed: int) -> None:
    segments, truth = tracks(n=12, seed=seed)
    temperature = calibration.fit_temperature(segments, truth)
    found = calibration.calibrate(segments, truth, temperature=temperature, n_tracks_fitted=12)
    assert found.after.log_loss <= found.before.log_loss


def test_majority_is_left_alone() -> None:
    segments, truth = tracks()
    assert calibration.fit_temperature(segments, truth, rule="majority") == 1.0


@pytest.mark.parametrize(("truth", "end"), [(0, 0), (1, 1)])
def test_all_right_or_all_wrong_goes_to_an_end(truth: int, end: int) -> None:
    segments = [np.array([[0.6, 0.4]])] * 3
    found = calibration.fit_temperature(segments, np.full(3, truth))
    assert found == pytest.approx(calibration.TEMPERATURES[end], rel=1e-3)


def test_calibration_shows_the_tracks_before_and_after() -> None:
    segments, truth = tracks()
    found = calibration.calibrate(segments, truth, temperature=0.5, n_tracks_fitted=7, n_bins=10)
    for shown, temperature in ((found.before, 1.0), (found.after, 0.5)):
        probs = np.stack([votes.pool(calibration.tempered(p, temperature)) for p in segments])
        assert shown == calibration.reliability(probs, truth, n_bins=10)
    assert (found.temperature, found.n_tracks_fitted) == (0.5, 7)


@pytest.mark.parametrize(
    ("segments", "truth", "found"),
    [
        ([], [], "no track"),
        ([PROBS], [0, 1], "1 rows of probs and 2 of truth"),
        ([3 * PROBS], [0], "softmax"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    segments: Sequence[np.ndarray], truth: list[int], found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        calibration.fit_temperature(segments, np.array(truth, dtype=int))
