import json

import numpy as np
import pytest
from pydantic import ValidationError
from statsmodels.stats.proportion import proportion_confint

from mgr_cli import trust
from mgr_cli.trust import Trust
from mgr_cli.zoo.card import Card
from tests import tiny

# Surest first; the fifth and the seventh answer are wrong.
SURE = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
RIGHT = np.array([1, 1, 1, 1, 0, 1, 0], dtype=bool)


def one_by_one(confidence: np.ndarray, right: np.ndarray, wanted: float) -> set[int]:
    """Try every confidence as the lowest that is believed, and keep the most tracks."""
    most: set[int] = set()
    for lowest in confidence:
        believed = {i for i, sure in enumerate(confidence) if sure >= lowest}
        n_right = sum(bool(right[i]) for i in believed)
        if n_right >= wanted * (len(believed) + 1) and len(believed) > len(most):
            most = believed
    return most


def believed(found: Trust, confidence: np.ndarray) -> set[int]:
    return {i for i, sure in enumerate(confidence) if found.believes(float(sure))}


@pytest.mark.parametrize(
    ("wanted", "n", "n_right", "threshold"),
    [
        (0.8, 4, 4, 0.55),  # 4 of 4 and a wrong one: 4 / 5
        (0.7, 6, 5, 0.35),  # 5 of 6 and a wrong one: 5 / 7; at five it is 4 / 6
        (0.6, 7, 5, 0.15),  # 5 / 8; below the last there is nothing but 0
    ],
)
def test_threshold_by_hand(wanted: float, n: int, n_right: int, threshold: float) -> None:
    found = trust.choose(SURE, RIGHT, wanted=wanted)
    assert found.threshold == pytest.approx(threshold)
    assert (found.wanted, found.n_tracks) == (wanted, 7)
    assert (found.coverage, found.precision) == pytest.approx((n / 7, n_right / n))


def test_where_nothing_is_right_often_enough_nothing_is_believed() -> None:
    found = trust.choose(SURE, RIGHT, wanted=0.81)
    assert found == Trust(0.81, 1.0, 0.0, 0.0, 7)
    assert not found.believes(1.0)


def test_order_of_the_tracks_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(7)
    assert trust.choose(SURE[order], RIGHT[order]) == trust.choose(SURE, RIGHT)


def test_equal_confidences_are_believed_together_or_not_at_all() -> None:
    # With the fifth it would be 5 / 6, but the sixth is as sure and wrong: 5 / 7.
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.5 + 1e-12, 0.5, 0.1])
    right = np.array([1, 1, 1, 1, 1, 0, 0], dtype=bool)
    assert believed(trust.choose(sure, right, wanted=0.8), sure) == {0, 1, 2, 3}
    assert believed(trust.choose(sure, right, wanted=0.7), sure) == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("seed", range(10))
def test_no_other_threshold_believes_more(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.2, 1, 60).round(1 + seed % 2)
    right = rng.random(60) < sure
    found = trust.choose(sure, right, wanted=wanted)
    expected = one_by_one(sure, right, wanted)
    assert believed(found, sure) == expected
    assert found.coverage == pytest.approx(len(expected) / 60)
    if expected:
        assert found.precision == pytest.approx(right[list(expected)].mean())


def test_rounding_does_not_decide() -> None:
    # What the card says is computed anew, in another batch or by another runtime.
    rng = np.random.default_rng(3)
    sure = rng.uniform(0.2, 1, 100)
    found = trust.choose(sure, rng.random(100) < sure)
    for shift in (-1e-7, 1e-7):
        assert believed(found, sure + shift) == believed(found, sure)


def test_on_new_tracks_the_precision_is_about_what_was_wanted() -> None:
    # Two hundred thresholds, each chosen on 200 honest tracks and held against 2,000 others. The
    # share of those that choose is above 80 %, that of the others within a point of it.
    rng = np.random.default_rng(0)
    seen, met = [], []
    for _ in range(200):
        sure = rng.uniform(0.2, 1, 2_200)
        right = rng.random(2_200) < sure
        found = trust.choose(sure[:200], right[:200], wanted=0.8)
        seen.append(found.precision)
        met.append(right[200:][sure[200:] >= found.threshold].mean())
    assert np.mean(seen) > 0.81
    assert np.mean(met) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("confidence", "right", "wanted", "said"),
    [
        (np.zeros(0), np.zeros(0), 0.8, r"shape \(0,\)"),
        (SURE, RIGHT[:3], 0.8, r"\(7,\) and right \(3,\)"),
        (SURE, RIGHT, 0.0, "wanted is 0.0"),
        (SURE, RIGHT, 1.0, "wanted is 1.0"),
    ],
)
def test_what_no_threshold_can_be_chosen_of_is_refused(
    confidence: np.ndarray, right: np.ndarray, wanted: float, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        trust.choose(confidence, right, wanted=wanted)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1.1, 0.5, 0.9, 0.5, 9), "wanted is 1.1"),
        ((0.8, float("nan"), 0.9, 0.5, 9), "threshold is nan"),
        ((0.8, 0.5, -0.1, 0.5, 9), "precision is -0.1"),
        ((0.8, 0.5, 0.9, 2.0, 9), "coverage is 2.0"),
        ((0.8, 0.5, 0.9, 0.5, 0), "n_tracks is 0"),
    ],
)
def test_trust_that_cannot_be_is_refused(
    values: tuple[float, float, float, float, int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Trust(*values)


@pytest.mark.parametrize(("n_right", "n"), [(0, 1), (13, 13), (0, 50), (70, 87), (1, 2)])
def test_interval_is_that_of_statsmodels(n_right: int, n: int) -> None:
    expected = proportion_confint(n_right, n, method="wilson")
    assert trust.interval(n_right, n) == pytest.approx(expected, abs=1e-7)


def on_card(**changes: object) -> str:
    whole = json.loads(tiny.card().model_dump_json())
    own = {"wanted": 0.8, "threshold": 0.5, "precision": 0.9, "coverage": 1, "n_tracks": 30}
    return json.dumps(whole | {"trust": own | changes})


def test_trust_stands_on_a_card() -> None:
    found = Card.model_validate_json(on_card())
    assert found.trust == Trust(0.8, 0.5, 0.9, 1.0, 30)
    assert Card.model_validate_json(found.model_dump_json()) == found
    assert Card.model_validate_json(tiny.card().model_dump_json()).trust is None


@pytest.mark.parametrize(
    "change", [{"threshold": 1.5}, {"threshold": "0.5"}, {"n_tracks": 0}, {"n_tracks": 2.5},
               {"precision": None}, {"more": 1}],
)  # fmt: skip
def test_trust_of_a_stranger_is_looked_at(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Card.model_validate_json(on_card(**change))
