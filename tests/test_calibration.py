import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as reference

from mgr_cli import calibration, metrics, trust, votes
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


def pooled(*, n: int = 60, seed: int = 0, rule: VoteRule = "mean") -> tuple[np.ndarray, np.ndarray]:
    """Let the segments of such tracks vote."""
    segments, truth = tracks(n=n, seed=seed)
    return np.stack([votes.pool(each, rule=rule) for each in segments]), truth


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


# --- fitting ----------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_that_made_the_truths_is_found(temperature: float) -> None:
    logits, truth = synthetic(1_500, temperature=temperature)
    found = calibration.fit_temperature(softmax(logits), truth)
    # With so many tracks a fit has a standard error of 1 to 5 %, the most at temperature 1.
    assert found == pytest.approx(temperature, rel=0.15)


@pytest.mark.parametrize("honest", [0.6, 1.7])
def test_temperature_is_that_of_guo(honest: float) -> None:
    # His loss on logits, minimised by torch.
    logits, truth = synthetic(300, temperature=honest)
    exponent = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([exponent], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        tempered = torch.from_numpy(logits) / exponent.exp()
        loss = F.cross_entropy(tempered, torch.from_numpy(truth))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    found = calibration.fit_temperature(softmax(logits), truth)
    assert found == pytest.approx(float(exponent.detach().exp()), rel=1e-4)


def test_no_other_temperature_has_a_lower_loss() -> None:
    probs, truth = pooled()
    found = calibration.fit_temperature(probs, truth)
    grid = np.geomspace(*calibration.TEMPERATURES, 300)
    losses = [metrics.log_loss(votes.tempered(probs, float(each)), truth) for each in grid]
    best = metrics.log_loss(votes.tempered(probs, found), truth)
    assert best <= min(losses) + 1e-9
    assert best < metrics.log_loss(probs, truth)


def test_votes_of_sure_segments_that_disagree_are_sharpened() -> None:
    # What the segments alone would ask for is far above what their votes do.
    segments, truth = tracks()
    alone = calibration.fit_temperature(np.concatenate(segments), np.repeat(truth, 5))
    assert calibration.fit_temperature(*pooled()) < 0.9 < 1.1 < alone


@pytest.mark.parametrize("rule", VOTE_RULES)
@pytest.mark.parametrize("seed", range(3))
def test_loss_never_rises_where_it_is_fitted(seed: int, rule: VoteRule) -> None:
    probs, truth = pooled(n=12, seed=seed, rule=rule)
    found = calibration.calibrate(probs, truth)
    assert found.after.log_loss <= found.before.log_loss


def test_votes_that_gave_a_truth_nothing_are_left_alone() -> None:
    probs = np.array([[0.75, 0.25, 0.0], [1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])
    assert calibration.fit_temperature(probs, np.array([1, 2, 0])) == 1.0
    # Nothing for a genre that is not true is no matter: three of these are right.
    assert calibration.fit_temperature(probs, np.array([0, 0, 0])) == pytest.approx(0.2)


@pytest.mark.parametrize(("truth", "end"), [(0, 0), (1, 1)])
def test_all_right_or_all_wrong_goes_to_an_end(truth: int, end: int) -> None:
    found = calibration.fit_temperature(np.array([[0.6, 0.4]] * 3), np.full(3, truth))
    assert found == pytest.approx(calibration.TEMPERATURES[end])


def test_what_no_temperature_changes_is_left_alone() -> None:
    assert calibration.fit_temperature(np.full((5, 4), 0.25), np.arange(5) % 4) == 1.0


def test_calibration_shows_the_judged_tracks_before_and_after() -> None:
    (probs, truth), judged = pooled(), pooled(n=30, seed=1)
    found = calibration.calibrate(probs, truth, judged=judged, wanted=0.9, n_bins=10)
    assert found.temperature == calibration.fit_temperature(probs, truth)
    assert found.n_tracks_fitted == 60
    own, labels = judged
    assert found.before == calibration.reliability(own, labels, n_bins=10)
    tempered = votes.tempered(own, found.temperature)
    assert found.after == calibration.reliability(tempered, labels, n_bins=10)
    sure = votes.tempered(probs, found.temperature).max(axis=1)
    assert found.trust == trust.choose(sure, probs.argmax(axis=1) == truth, wanted=0.9)


def test_tracks_that_are_fitted_are_judged_where_no_others_are_named() -> None:
    probs, truth = pooled()
    assert calibration.calibrate(probs, truth) == calibration.calibrate(
        probs, truth, judged=(probs, truth)
    )


@pytest.mark.parametrize(
    ("probs", "truth", "found"),
    [
        (np.zeros((0, 2)), [], r"\(0,\)"),
        (PROBS, [0, 1], "4 rows of probs and 2 of truth"),
        (3 * PROBS, [0, 1, 0, 1], "softmax"),
    ],
)
def test_what_cannot_be_fitted_is_refused(probs: np.ndarray, truth: list[int], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        calibration.fit_temperature(probs, np.array(truth, dtype=int))
