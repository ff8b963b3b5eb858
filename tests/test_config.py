from dataclasses import FrozenInstanceError, fields
from math import inf, nan
from typing import Any

import pytest

from mgr_cli import config
from mgr_cli.config import FEATURES, SEGMENTS, FeatureSpec, Recipe, SegmentSpec

# Lowest and highest value that is taken, and what lies just beyond.
FEATURE_LIMITS: dict[str, tuple[Any, Any, Any, Any]] = {
    "sample_rate": (1_000, 768_000, 999, 768_001),
    "n_fft": (16, 65_536, 15, 65_537),
    "hop_length": (1, 65_536, 0, 65_537),
    "n_mels": (1, 1_024, 0, 1_025),
    "fmin": (0.0, 11_024.0, -0.1, 11_025.1),
    "fmax": (1.0, 11_025.0, -1.0, 11_025.1),
    "top_db": (1.0, 300.0, 0.99, 300.1),
    "decimation": (1.0, 1_024.0, 0.99, 1_024.1),
}
SEGMENT_LIMITS: dict[str, tuple[Any, Any, Any, Any]] = {
    "seconds": (0.05, 600.0, 0.0, 600.1),
    "hop_seconds": (0.05, 600.0, 0.0, 600.1),
}
RECIPE_LIMITS: dict[str, tuple[Any, Any, Any, Any]] = {
    "epochs": (1, 100_000, 0, 100_001),
    "batch_size": (1, 65_536, 0, 65_537),
    "learning_rate": (1e-9, 10.0, 0.0, 10.1),
    "weight_decay": (0.0, 10.0, -1e-9, 10.1),
    "momentum": (0.0, 0.9999, -0.1, 1.0),
    "step_size": (1, 100_000, 0, 100_001),
    "gamma": (1e-6, 0.9999, 0.0, 1.0),
    "clip": (0.0, 1e6, -0.1, 1.1e6),
    "patience": (1, 100_000, 0, 100_001),
    "label_smoothing": (0.0, 0.99, -0.01, 1.0),
    "mixup": (0.0, 10.0, -0.1, 10.1),
    "frequency_mask": (0.0, 1.0, -0.1, 1.1),
    "time_mask": (0.0, 1.0, -0.1, 1.1),
    "gain": (0.0, 60.0, -0.1, 60.1),
    "noise": (0.0, 100.0, -0.1, 100.1),
    "shift": (0.0, 0.5, -0.1, 0.51),
    "equalise": (0.0, 60.0, -0.1, 60.1),
    "transpose": (0.0, 0.5, -0.1, 0.51),
    "dynamics": (0.0, 0.9, -0.1, 0.91),
    "low_pass": (0.0, 0.9, -0.1, 0.91),
    "tempo": (0.0, 1.0, -0.1, 1.1),
    "pitch": (0.0, 12.0, -0.1, 12.1),
    "copies": (0, 8, -1, 9),
    "teacher_share": (0.0, 1.0, -0.01, 1.01),
    "ema": (0.0, 0.99999, -0.1, 1.0),
    "refit": (0.0, 100.0, -0.1, 101.0),
}
LIMITS: list[tuple[Any, str, tuple[Any, Any, Any, Any]]] = [
    (kind, name, limits)
    for kind, table in (
        (FeatureSpec, FEATURE_LIMITS),
        (SegmentSpec, SEGMENT_LIMITS),
        (Recipe, RECIPE_LIMITS),
    )
    for name, limits in table.items()
]
NAMES = [f"{kind.__name__}.{name}" for kind, name, _ in LIMITS]


@pytest.mark.parametrize(("kind", "name", "limits"), LIMITS, ids=NAMES)
def test_values_from_limit_to_limit_are_taken_and_no_others(
    kind: Any, name: str, limits: tuple[Any, Any, Any, Any]
) -> None:
    lowest, highest, below, above = limits
    for value in (lowest, highest):
        extra = {"sample_rate": 22_050} if name in ("fmin", "fmax") else {}
        assert getattr(kind(**{name: value}, **extra), name) == value
    for value in (below, above, nan, inf, -inf):
        with pytest.raises(ValueError, match=r"outside .* to "):
            kind(**{name: value})


@pytest.mark.parametrize("kind", [FeatureSpec, SegmentSpec, Recipe])
def test_every_number_of_a_spec_has_limits(kind: Any) -> None:
    words = {"scale", "schedule", "monitor", "optimizer", "balance", "normalise"}
    covered = {name for limited, name, _ in LIMITS if limited is kind}
    assert {field.name for field in fields(kind)} - words == covered


@pytest.mark.parametrize(("fmin", "fmax"), [(500.0, 400.0), (500.0, 500.0), (0.0, 0.0)])
def test_bands_lie_between_two_frequencies(fmin: float, fmax: float) -> None:
    with pytest.raises(ValueError, match="fmin"):
        FeatureSpec(fmin=fmin, fmax=fmax)


def test_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scale is 'bark', expected .*minmax"):
        FeatureSpec(scale="bark")  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [FEATURES, SEGMENTS, Recipe()])
def test_specs_cannot_be_changed(spec: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(spec, fields(spec)[0].name, 1)


def test_highest_frequency_is_half_the_rate_unless_named() -> None:
    assert FeatureSpec(sample_rate=16_000).highest == 8_000
    assert FeatureSpec(sample_rate=16_000, fmax=3_000.0).highest == 3_000


def test_default_front_end_draws_387_columns_of_thirty_seconds() -> None:
    # FACTS: 1,293 frames, 387.5 columns, one every 1,708 samples, 12.9 a second.
    assert FeatureSpec().n_frames(30 * 22_050) == 1_292
    assert FEATURES.n_frames(661_794) == 387
    assert 22_050 / FEATURES.frame_rate == pytest.approx(1_708, abs=1)
    assert FEATURES.frame_rate == pytest.approx(12.9, abs=0.05)


def test_default_segment_is_39_columns() -> None:
    rate = FEATURES.frame_rate
    assert (SEGMENTS.length(rate), SEGMENTS.hop(rate)) == (39, 39)  # 3 · 12.9 = 38.7


def test_segment_has_a_frame_at_least() -> None:
    slow = FeatureSpec(hop_length=65_536).frame_rate  # one frame in three seconds
    spec = SegmentSpec(seconds=0.05, hop_seconds=0.05)
    assert (spec.length(slow), spec.hop(slow)) == (1, 1)


def test_length_and_hop_are_not_mixed_up() -> None:
    spec = SegmentSpec(seconds=4.0, hop_seconds=1.0)
    tenths = FeatureSpec(sample_rate=10_000, hop_length=1_000).frame_rate
    assert (spec.length(tenths), spec.hop(tenths)) == (40, 10)


def test_split_ratios_are_shares() -> None:
    assert sum(config.SPLIT_RATIOS) == pytest.approx(1)
    assert len(config.SPLIT_RATIOS) == len(config.SPLITS)


@pytest.mark.parametrize("name", ["optimizer", "schedule", "balance", "monitor"])
def test_word_that_a_recipe_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 'xyzzy', expected one of"):
        Recipe(**{name: "xyzzy"})  # type: ignore[arg-type]
