import numpy as np
import pytest

from mgr_cli import config, votes
from mgr_cli.config import VoteRule

# Two segments lean to class 1, one is sure of class 0: the rules disagree on purpose.
SPLIT_VOTE = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.4, 0.6, 0.0]])


def random_probs(n_segments: int, n_classes: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(n_classes), n_segments)


def test_mean_is_the_average_probability() -> None:
    np.testing.assert_allclose(votes.pool(SPLIT_VOTE), [1.7 / 3, 1.3 / 3, 0], rtol=1e-15)


def test_majority_is_the_share_of_segments_won() -> None:
    np.testing.assert_allclose(votes.pool(SPLIT_VOTE, rule="majority"), [1 / 3, 2 / 3, 0])


def test_product_multiplies_and_scales_to_one() -> None:
    # 0.5 · 0.2, 0.3 · 0.3 and 0.2 · 0.5 are 10, 9 and 10 hundredths.
    probs = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    np.testing.assert_allclose(
        votes.pool(probs, rule="product"), np.array([10, 9, 10]) / 29, rtol=1e-12
    )


def test_one_sure_segment_outweighs_two_leaning_ones_by_mean_not_by_majority() -> None:
    assert votes.decide(SPLIT_VOTE, rule="mean") == 0
    assert votes.decide(SPLIT_VOTE, rule="majority") == 1


def test_tied_majority_goes_to_the_highest_mean_among_the_tied() -> None:
    # Class 2 wins two segments narrowly, class 1 two surely; class 0 is never first but
    # has the highest mean of all, which must not count.
    probs = np.array([[0.45, 0.55, 0.0], [0.45, 0.55, 0.0], [0.48, 0.0, 0.52], [0.48, 0.0, 0.52]])
    assert probs.mean(axis=0).argmax() == 0
    assert votes.decide(probs, rule="majority") == 1
    assert votes.decide(probs[:, [0, 2, 1]], rule="majority") == 2


@pytest.mark.parametrize("rule", config.VOTE_RULES)
def test_what_is_equal_in_everything_goes_to_the_lowest_index(rule: VoteRule) -> None:
    assert votes.decide(np.array([[0.0, 0.75, 0.25], [0.0, 0.25, 0.75]]), rule=rule) == 1


@pytest.mark.parametrize("rule", config.VOTE_RULES)
def test_every_rule_gives_a_distribution(rule: VoteRule) -> None:
    pooled = votes.pool(random_probs(37, 10), rule=rule)
    assert pooled.shape == (10,)
    assert (pooled >= 0).all()
    assert pooled.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("rule", config.VOTE_RULES)
def test_order_of_the_segments_does_not_matter(rule: VoteRule) -> None:
    probs = random_probs(50, 8)
    # Sums in another order differ in their last bits.
    np.testing.assert_allclose(
        votes.pool(probs, rule=rule), votes.pool(probs[::-1], rule=rule), rtol=1e-10
    )


@pytest.mark.parametrize("rule", ["mean", "product"])
def test_one_segment_is_its_own_opinion(rule: VoteRule) -> None:
    probs = random_probs(1, 8)
    np.testing.assert_allclose(votes.pool(probs, rule=rule), probs[0], rtol=1e-12)


def test_product_of_five_thousand_segments_does_not_underflow() -> None:
    # 0.3 ** 5000 is 1e-2614. The classes differ by e in all: 1 / (1 + e + 1) and so on.
    euler = float(np.exp(1))
    step = np.exp(1 / 5_000)
    row = np.array([1, step, 1]) / (2 + step)
    pooled = votes.pool(np.tile(row, (5_000, 1)), rule="product")
    # 5,000 rounded logarithms of about 1 add up to an error near 1e-12.
    np.testing.assert_allclose(pooled, np.array([1, euler, 1]) / (2 + euler), rtol=1e-9)


def test_product_survives_a_zero_in_every_class() -> None:
    pooled = votes.pool(np.array([[1.0, 0.0], [0.0, 1.0], [0.4, 0.6]]), rule="product")
    np.testing.assert_allclose(pooled, [0.4, 0.6], rtol=1e-12)


@pytest.mark.parametrize("rule", config.VOTE_RULES)
def test_half_precision_is_accepted(rule: VoteRule) -> None:
    probs = random_probs(200, 16).astype(np.float16)
    assert votes.pool(probs, rule=rule).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("probs", "found"),
    [
        (np.array([0.5, 0.5]), r"\(2,\)"),
        (np.zeros((0, 3)), r"\(0, 3\)"),
        (np.zeros((3, 0)), r"\(3, 0\)"),
        (np.array([[2.0, -1.0]]), "not distributions"),
        (np.array([[0.5, 0.4]]), "not distributions"),
        (np.array([[0.5, np.nan]]), "not distributions"),
    ],
)
def test_what_is_not_probabilities_of_segments_is_refused(probs: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        votes.pool(probs)
    with pytest.raises(ValueError, match=found):
        votes.decide(probs)


def test_unknown_rule_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'median'.*mean, majority, product"):
        votes.pool(SPLIT_VOTE, rule="median")  # type: ignore[arg-type]
