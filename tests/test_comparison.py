from itertools import combinations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from mgr_cli import comparison, intervals
from mgr_cli.comparison import Pair


def answers(*shares: float, n: int = 300, seed: int = 0) -> np.ndarray:
    """Draw which of n tracks each of several entries gets right; hard tracks are so for all."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    return np.stack([hard + rng.normal(0, 0.2, n) < share for share in shares])


def compared(right: np.ndarray, *, seed: int = 0) -> tuple[Pair, ...]:
    names = [f"entry-{number}" for number in range(len(right))]
    return comparison.compare(names, right, rng=np.random.default_rng(seed))


def test_pair_by_hand() -> None:
    # Both right twice, the first alone four times, the second alone once, neither once. Of five
    # tosses, four or more heads or tails: 2 · (5 + 1) / 32.
    one = np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=bool)
    two = np.array([1, 1, 0, 0, 0, 0, 1, 0], dtype=bool)
    (pair,) = comparison.compare(["cnn", "rnn"], np.stack([one, two]), rng=np.random.default_rng(0))
    assert (pair.first, pair.second) == ("cnn", "rnn")
    assert (pair.n_both, pair.n_first, pair.n_second, pair.n_neither) == (2, 4, 1, 1)
    assert pair.p_value == pair.p_adjusted == pytest.approx(12 / 32)
    assert pair.difference.value == pytest.approx(6 / 8 - 3 / 8)


@pytest.mark.parametrize("seed", range(5))
def test_p_values_are_those_of_statsmodels(seed: int) -> None:
    right = answers(0.5, 0.55, 0.62, 0.5, seed=seed)
    found = compared(right)
    expected = []
    for one, other in combinations(right, 2):
        table = [
            [(one & other).sum(), (one & ~other).sum()],
            [(~one & other).sum(), (~one & ~other).sum()],
        ]
        expected.append(mcnemar(table, exact=True).pvalue)
    assert [pair.p_value for pair in found] == pytest.approx(expected, abs=1e-12)
    adjusted = multipletests(expected, method="holm")[1]
    assert [pair.p_adjusted for pair in found] == pytest.approx(list(adjusted), abs=1e-12)
    assert len({round(pair.p_value, 9) for pair in found}) > 3


@pytest.mark.parametrize(("n_first", "n_second"), [(0, 0), (1, 0), (0, 1), (7, 7), (0, 9), (3, 4)])
def test_few_tosses_are_judged_as_by_statsmodels(n_first: int, n_second: int) -> None:
    one = np.array([True] * (5 + n_first) + [False] * n_second)
    other = np.array([True] * 5 + [False] * n_first + [True] * n_second)
    (pair,) = compared(np.stack([one, other]))
    if n_first + n_second:
        expected = mcnemar([[5, n_first], [n_second, 0]], exact=True).pvalue
    else:
        expected = 1.0
    assert pair.p_value == pytest.approx(expected, abs=1e-12)


def test_an_entry_is_as_good_as_itself() -> None:
    right = np.repeat(answers(0.6), 3, axis=0)
    for pair in compared(right):
        assert pair.p_value == pair.p_adjusted == 1
        assert pair.difference == intervals.Estimate(0, 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_adjusted_values_are_holms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Rounded, so that some are equal.
    p_values = np.round(rng.random(rng.integers(1, 12)) ** 3, 2)
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(comparison.holm(p_values), expected, atol=1e-12)


def test_pairs_come_in_the_order_of_the_names() -> None:
    found = compared(answers(0.5, 0.6, 0.7))
    assert [(pair.first[-1], pair.second[-1]) for pair in found] == [
        ("0", "1"), ("0", "2"), ("1", "2"),
    ]  # fmt: skip


def test_other_order_turns_a_pair_round() -> None:
    right = answers(0.5, 0.7)
    (pair,), (turned,) = compared(right), compared(right[::-1])
    assert (turned.n_first, turned.n_second) == (pair.n_second, pair.n_first)
    assert turned.p_value == pytest.approx(pair.p_value, rel=1e-12)
    # The same tracks are drawn, so the interval is mirrored, but for the rounding of a sum.
    assert turned.difference.value == pytest.approx(-pair.difference.value)
    assert turned.difference.low == pytest.approx(-pair.difference.high, abs=1e-12)


def test_difference_is_paired() -> None:
    # Entries that agree but for a few tracks: each accuracy alone is far less certain.
    one = answers(0.6)[0]
    other = one.copy()
    other[:5] = ~other[:5]
    (pair,) = compared(np.stack([one, other]))
    alone = intervals.bootstrap_mean(one, rng=np.random.default_rng(0))
    assert pair.difference.value == pytest.approx(one.mean() - other.mean())
    assert pair.difference.low <= pair.difference.value <= pair.difference.high
    assert pair.difference.high - pair.difference.low < (alone.high - alone.low) / 2


@pytest.mark.parametrize(
    ("names", "right", "found"),
    [
        (["a"], np.ones((1, 4), bool), "1 names, two at least"),
        (["a", "b"], np.ones((3, 4), bool), r"\(3, 4\)"),
        (["a", "b"], np.ones((2, 0), bool), r"\(2, 0\)"),
        (["a", "b"], np.ones(2, bool), r"\(2,\)"),
        (["a", "b"], np.ones((2, 4), int), "int64"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    names: list[str], right: np.ndarray, found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        comparison.compare(names, right, rng=np.random.default_rng(0))
