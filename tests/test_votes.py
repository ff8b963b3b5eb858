import numpy as np
import pytest
from scipy.special import softmax

from mgr_cli import config, votes
from mgr_cli.config import VOTE_RULES, VoteRule

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


# --- tempering --------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 3.0, 20.0])
def test_tempered_probabilities_are_the_softmax_of_divided_logits(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 8))
    found = votes.tempered(softmax(logits, axis=1), temperature)
    np.testing.assert_allclose(found, softmax(logits / temperature, axis=1), atol=1e-12)


def test_tempered_by_hand() -> None:
    # 0.8 and 0.2 are as 4 to 1; their roots as 2 to 1, their squares as 16 to 1.
    np.testing.assert_allclose(votes.tempered(np.array([0.8, 0.2]), 2.0), [2 / 3, 1 / 3])
    np.testing.assert_allclose(votes.tempered(np.array([0.8, 0.2]), 0.5), [16 / 17, 1 / 17])


def test_zero_means_less_than_float32_can_say() -> None:
    # Its smallest normal number is 2 ** -126, and the twentieth root of that 2 ** -6.3.
    found = votes.tempered(np.array([1.0, 0.0]), 20.0)
    np.testing.assert_allclose(found, np.array([1, 2**-6.3]) / (1 + 2**-6.3), rtol=1e-12)
    np.testing.assert_array_equal(votes.tempered(np.zeros(4), 0.05), np.full(4, 0.25))


def test_the_sharpest_temperature_leaves_the_winner_alone() -> None:
    found = votes.tempered(np.array([[0.3, 0.5, 0.2], [0.5, 0.5, 0.0]]), 1e-4)
    np.testing.assert_array_equal(found, [[0, 1, 0], [0.5, 0.5, 0]])


@pytest.mark.parametrize("rule", VOTE_RULES)
def test_segments_vote_first_and_the_vote_is_tempered(rule: VoteRule) -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]])
    pooled = votes.pool(probs, rule=rule)
    for temperature in (0.3, 2.0):
        found = votes.pool(probs, rule=rule, temperature=temperature)
        np.testing.assert_allclose(found, votes.tempered(pooled, temperature), rtol=1e-12)
        np.testing.assert_array_equal(np.argsort(-found), np.argsort(-pooled))
        assert abs(found - pooled).max() > 0.03
    np.testing.assert_array_equal(votes.pool(probs, rule=rule, temperature=1.0), pooled)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        votes.tempered(SPLIT_VOTE, temperature)


def test_logits_are_not_tempered() -> None:
    with pytest.raises(ValueError, match="softmax"):
        votes.tempered(np.array([2.0, -1.0]), 2.0)
