import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from mgr_cli.explanation.faithfulness import (
    area,
    curves,
    likeness,
    random_curves,
    ranks,
)
from mgr_cli.explanation.masking import Levels, Masked
from mgr_cli.explanation.parts import Part
from tests import tiny


class Sum(nn.Module):
    """Answers with the sum of what is left."""

    def forward(self, x: Tensor) -> Tensor:
        total = x.sum(dim=(1, 2))
        return torch.stack([total, torch.zeros_like(total)], dim=1)


def part_of(x: np.ndarray, columns: tuple[int, ...], n_columns: int) -> Part:
    levels = np.zeros((x.shape[1], n_columns), np.float32)
    return Part((x,), columns, x.shape[2], tiny.SPEC.sample_rate, 0.0, 1.0, levels, tiny.SPEC)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def sigmoid(values: list[float]) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.array(values))))


def test_patches_come_in_the_order_of_their_means() -> None:
    values = np.array([[1, 1, 9, 0], [1, 1, 0, 0], [5, 5, 2, 2], [5, 5, 2, 2]])
    found = ranks(values, (2, 2), rng=rng())
    # Means are 1, 2.25, 5 and 2.
    expected = np.repeat(np.repeat([[0.75, 0.25], [0, 0.5]], 2, axis=0), 2, axis=1)
    np.testing.assert_array_equal(found, expected)


def test_patches_at_the_edge_count_what_they_have() -> None:
    found = ranks(np.array([[3.0, 3.0, 9.0], [1.0, 1.0, 2.0]]), (1, 2), rng=rng())
    # 9 alone, then the two of 3, then 2 alone, then the two of 1: shares of six cells.
    np.testing.assert_allclose(found, np.array([[1, 1, 0], [4, 4, 3]]) / 6)


def test_equal_patches_come_in_an_order_that_is_drawn() -> None:
    blank = np.zeros((4, 4))
    first = ranks(blank, (1, 1), rng=np.random.default_rng(1))
    assert sorted(first.ravel()) == pytest.approx(np.arange(16) / 16)
    np.testing.assert_array_equal(first, ranks(blank, (1, 1), rng=np.random.default_rng(1)))
    assert (first != ranks(blank, (1, 1), rng=np.random.default_rng(2))).any()


def test_curves_are_what_is_left_of_the_answer() -> None:
    x = np.array([[[3.0, 2.0, 1.0, 0.0]]], np.float32)
    masked = Masked(Sum(), (Levels(),), shape=(1, 4))
    turns = ranks(x[0], (1, 1), rng=rng())
    found = curves(masked, [torch.from_numpy(x)], part_of(x, (0,), 4), turns, 0, n_shares=5)
    np.testing.assert_allclose(found.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.deletion, sigmoid([6, 3, 1, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(found.insertion, sigmoid([0, 3, 5, 6, 6]), rtol=1e-6)
    against = curves(masked, [torch.from_numpy(x)], part_of(x, (0,), 4), turns, 1, n_shares=5)
    np.testing.assert_allclose(against.deletion, 1 - found.deletion, rtol=1e-5)


def test_probability_is_the_mean_over_segments_that_share_one_picture() -> None:
    x = np.array([[[1.0, 2.0]], [[2.0, 4.0]]], np.float32)  # frames 0 to 1 and 1 to 2
    masked = Masked(Sum(), (Levels(),), shape=(1, 2))
    turns = ranks(np.array([[1.0, 2.0, 3.0]]), (1, 1), rng=rng())
    found = curves(masked, [torch.from_numpy(x)], part_of(x, (0, 1), 3), turns, 0, n_shares=4)
    expected = [sigmoid([3, 6]), sigmoid([3, 2]), sigmoid([1, 0]), sigmoid([0, 0])]
    np.testing.assert_allclose(found.deletion, [each.mean() for each in expected], rtol=1e-6)


def test_the_worst_order_is_the_best_one_backwards() -> None:
    x = rng().normal(size=(1, 4, 5)).astype(np.float32)
    masked, part = Masked(Sum(), (Levels(),), shape=(4, 5)), part_of(x, (0,), 5)
    about = masked, [torch.from_numpy(x)], part
    best, worst = (
        curves(*about, ranks(sign * x[0], (1, 1), rng=rng()), 0, n_shares=21) for sign in (1, -1)
    )
    np.testing.assert_allclose(best.insertion, worst.deletion[::-1], rtol=1e-5)
    chance = random_curves(*about, 0, patch=(1, 1), n_random=5, rng=rng())
    best = curves(*about, ranks(x[0], (1, 1), rng=rng()), 0)
    assert area(best.deletion, best.shares) < area(chance.deletion, chance.shares)
    assert area(best.insertion, best.shares) > area(chance.insertion, chance.shares)
    ends = [chance.deletion[0], chance.insertion[-1]]
    np.testing.assert_allclose(ends, best.deletion[0], rtol=1e-6)


def test_random_curves_are_the_mean_of_their_orders() -> None:
    x = rng().normal(size=(1, 4, 5)).astype(np.float32)
    masked, part = Masked(Sum(), (Levels(),), shape=(4, 5)), part_of(x, (0,), 5)
    about = masked, [torch.from_numpy(x)], part
    draws = rng()
    each = [
        curves(*about, ranks(np.zeros((4, 5)), (2, 2), rng=draws), 0).deletion for _ in range(3)
    ]
    found = random_curves(*about, 0, patch=(2, 2), n_random=3, rng=rng())
    np.testing.assert_allclose(found.deletion, np.mean(each, axis=0))


def test_area_is_the_mean_height() -> None:
    assert area(np.array([1.0, 0.5, 0.0]), np.array([0.0, 0.5, 1.0])) == pytest.approx(0.5)
    assert area(np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.5, 1.0])) == pytest.approx(0.75)
    assert area(np.array([0.3, 0.3]), np.array([0.0, 1.0])) == pytest.approx(0.3)


def test_likeness_is_spearmans_and_none_of_what_has_no_order() -> None:
    one, other = rng().normal(size=(2, 6, 7))
    assert likeness(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert likeness(one, np.exp(one)) == pytest.approx(1)
    assert likeness(one, -one) == pytest.approx(-1)
    assert likeness(one, np.zeros((6, 7))) is None
    assert likeness(np.ones((6, 7)), one) is None
