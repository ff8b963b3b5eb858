"""What is drawn, against SciPy's distributions and by hand."""

from math import exp, log
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mgr_cli.sweeps.distributions import (
    Beta,
    Choice,
    Distribution,
    Interval,
    Normal,
    at,
    cast,
    points,
    probes,
)

QUANTILES = np.linspace(0.01, 0.99, 24)  # no step of an integer's


@pytest.mark.parametrize(
    ("distribution", "reference"),
    [
        (Interval(-1.0, 3.0), stats.uniform(-1, 4)),
        (Interval(1e-4, 1e-1, log=True), stats.loguniform(1e-4, 1e-1)),
        (Normal(2.0, 3.0), stats.norm(2, 3)),
        (Normal(0.5, 0.25, log=True), stats.lognorm(s=0.25, scale=exp(0.5))),
        (Beta(2.0, 5.0), stats.beta(2, 5)),
        (Interval(3, 6, step=1), stats.randint(3, 7)),
    ],
)
def test_quantiles_are_scipys(distribution: Distribution, reference: Any) -> None:
    ours = [float(at(distribution, float(q))) for q in QUANTILES]
    np.testing.assert_allclose(ours, reference.ppf(QUANTILES), rtol=1e-9)


def test_choices_are_drawn_by_their_probabilities() -> None:
    drawn = Choice(("a", "b", "c"), (0.5, 0.0, 0.5))
    assert [at(drawn, q) for q in (0.01, 0.49, 0.51, 0.99)] == ["a", "a", "c", "c"]
    assert [at(Choice((1, 2)), q) for q in (0.4, 0.6)] == [1, 2]


@pytest.mark.parametrize("quantile", [0.0, 1.0, -1.0, float("nan")])
def test_quantile_out_of_range_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="quantile is"):
        at(Choice((1,)), quantile)


@pytest.mark.parametrize(
    ("distribution", "quantile", "value"),
    [
        (Interval(0.1, 0.7, step=0.2), 0.3, 0.3),  # 0.1 + 0.2 has no noise
        (Interval(16, 256, log=True, step=16), 0.5, 64),  # its middle is 4 · 16
        (Normal(10.0, 1.0, step=4), 0.5, 8),  # 10 / 4 is rounded to the even 2
        (Normal(0.0, 1.0, log=True, step=0.5), 0.5, 1.0),
        (Beta(1.0, 1.0, step=0.25), 0.6, 0.5),
    ],
)
def test_quantised_values_are_multiples(
    distribution: Distribution, quantile: float, value: float
) -> None:
    drawn = at(distribution, quantile)
    assert drawn == value
    assert type(drawn) is type(value)


def test_ends_of_a_logarithm_are_within_it() -> None:
    drawn = Interval(1e-4, 1e-1, log=True)
    ends = (at(drawn, 1e-12), at(drawn, 1 - 1e-12))
    assert all(1e-4 <= float(end) <= 1e-1 for end in ends)
    assert log(float(at(drawn, 0.5))) == pytest.approx((log(1e-4) + log(1e-1)) / 2)


def test_points_are_all_that_can_be_drawn() -> None:
    assert points(Interval(3, 6, step=1), limit=10) == (3, 4, 5, 6)
    assert points(Interval(0.1, 0.5, step=0.2), limit=10) == (0.1, 0.3, 0.5)
    assert points(Choice(("a", "b")), limit=1) == ("a", "b")


@pytest.mark.parametrize("distribution", [Interval(0.0, 1.0), Normal(step=1), Beta()])
def test_continuous_has_no_points(distribution: Distribution) -> None:
    with pytest.raises(ValueError, match="is continuous"):
        points(distribution, limit=10)


def test_too_many_points_are_not_listed() -> None:
    with pytest.raises(ValueError, match="has 1000000000001 values, more than 10"):
        points(Interval(0, 10**12, step=1), limit=10)


def test_probes_are_ends_or_the_middle() -> None:
    assert probes(Choice((1, 2, 3))) == (1, 2, 3)
    assert probes(Interval(0.0, 1.0)) == (0.0, 1.0)
    assert probes(Normal(2.0, 3.0)) == (2.0,)
    assert probes(Normal(0.0, 3.0, log=True)) == (1.0,)
    assert probes(Beta(1.0, 3.0)) == (0.25,)


@pytest.mark.parametrize(
    ("distribution", "kind", "result"),
    [
        (Choice((16.0, 32)), int, Choice((16, 32))),
        (Choice((0, 0.5)), float, Choice((0.0, 0.5))),
        (Choice((512,)), str, Choice(("512",))),
        (Interval(32.0, 64.0, log=True, step=1.0), int, Interval(32, 64, log=True, step=1)),
        (Interval(0, 3, step=1), float, Interval(0.0, 3.0, step=1.0)),
        (Normal(64.0, 8.0, step=2.0), int, Normal(64.0, 8.0, step=2)),
    ],
)
def test_values_become_those_of_a_type(
    distribution: Distribution, kind: type, result: Distribution
) -> None:
    changed = cast(distribution, kind)
    assert changed == result
    assert [type(value) for value in probes(changed)] == [kind] * len(probes(changed))


@pytest.mark.parametrize(
    ("distribution", "kind", "message"),
    [
        (Choice((1.5,)), int, "is 1.5, expected int"),
        (Choice((True,)), int, "is True, expected int"),
        (Choice((1,)), bool, "is 1, expected bool"),
        (Choice(("much",)), float, "is 'much', expected float"),
        (Interval(0.0, 9.0), int, "is drawn with fractions, expected int"),
        (Interval(0.0, 9.0, step=0.5), int, "is drawn with fractions, expected int"),
        (Interval(0, 9, step=1), str, "is drawn from numbers, expected str"),
        (Beta(), bool, "is drawn from numbers, expected bool"),
    ],
)
def test_values_that_are_of_no_such_type_are_refused(
    distribution: Distribution, kind: type, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cast(distribution, kind)
