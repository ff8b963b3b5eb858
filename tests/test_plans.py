from dataclasses import FrozenInstanceError, fields, replace
from typing import Any, get_args

import pytest

from mgr_cli.config import FEATURES, MAX_SECONDS, MIN_SECONDS, FeatureSpec
from mgr_cli.plans import AUDIO_KINDS, FORMS, KINDS, PRESETS, Kind, Plan

OTHER_SPEC = replace(FEATURES, n_mels=64)
OTHER_RATE = replace(FEATURES, sample_rate=44_100)


def n_frames(name: str, seconds: float) -> int:
    spec = PRESETS[name].spec
    return spec.n_frames(round(seconds * spec.sample_rate))


def test_every_kind_is_of_audio_or_a_table() -> None:
    assert set(KINDS) == {*AUDIO_KINDS, "table"} == set(get_args(Kind))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kinds": ()}, "one kind at least, each once"),
        ({"kinds": ("log-mel", "log-mel")}, "one kind at least, each once"),
        ({"kinds": ("log-mel", "cqt")}, "unknown features 'cqt'; known: log-mel, waveform"),
        ({"form": "librosa"}, "form is 'librosa', expected one of .*corrected.*fma-compat"),
        ({"min_seconds": -0.1}, "expected a range within 0 to 86400"),
        ({"min_seconds": 2.0, "max_seconds": 1.0}, r"tracks of 2\.0 to 1\.0 s are asked for"),
        ({"max_seconds": 0.0, "min_seconds": 0.0}, r"tracks of 0\.0 to 0\.0 s are asked for"),
        ({"max_seconds": MAX_SECONDS + 1}, "expected a range within 0 to 86400"),
        ({"min_seconds": MAX_SECONDS + 1}, "expected a range within 0 to 86400"),
        ({"min_seconds": float("nan")}, "tracks of nan to"),
        ({"max_seconds": float("nan")}, "to nan s are asked for"),
        ({"max_seconds": float("inf")}, "to inf s are asked for"),
    ],
)
def test_plan_that_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(**wrong)


@pytest.mark.parametrize(
    "lengths", [(0.0, None), (MIN_SECONDS, 30.0), (29.7, 29.7), (0.0, MAX_SECONDS)]
)
def test_lengths_at_their_limits_are_legal(lengths: tuple[float, float | None]) -> None:
    low, high = lengths
    assert Plan(min_seconds=low, max_seconds=high).max_seconds == high


def test_plan_is_not_changed_but_replaced() -> None:
    with pytest.raises(FrozenInstanceError):
        Plan().kinds = ("waveform",)  # type: ignore[misc]
    with pytest.raises(ValueError, match="each once"):
        replace(Plan(), kinds=())


@pytest.mark.parametrize(
    ("kind", "changes", "differs"),
    [
        ("log-mel", {"spec": OTHER_SPEC}, True),
        ("log-mel", {"max_seconds": 30.0}, True),
        ("log-mel", {"min_seconds": 1.0}, True),
        ("log-mel", {"form": "fma-compat"}, False),
        ("log-mel", {"kinds": ("log-mel", "waveform")}, False),  # others may come and go
        ("waveform", {"spec": OTHER_SPEC}, False),
        ("waveform", {"spec": OTHER_RATE}, True),
        ("waveform", {"max_seconds": 30.0}, True),
        ("waveform", {"form": "fma-compat"}, False),
        ("handcrafted", {"spec": OTHER_RATE}, False),  # computed at the file's own rate
        ("handcrafted", {"form": "fma-compat"}, True),
        ("handcrafted", {"min_seconds": 1.0}, True),
        ("table", {"spec": OTHER_RATE, "form": "fma-compat", "max_seconds": 30.0}, False),
    ],
)
def test_a_kind_depends_on_what_it_is_computed_from_alone(
    kind: Kind, changes: dict[str, Any], differs: bool
) -> None:
    plan = Plan(kinds=(kind,))
    assert (replace(plan, **changes).of(kind) != plan.of(kind)) is differs


def test_every_field_of_the_front_end_is_told_of_log_mels() -> None:
    assert {each.name for each in fields(FeatureSpec)} <= Plan().of("log-mel").keys()


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("form", FORMS)
def test_every_preset_is_a_legal_plan(name: str, form: Any) -> None:
    preset = PRESETS[name]
    for kind in AUDIO_KINDS:
        plan = Plan((kind,), preset.spec, form, preset.min_seconds, preset.max_seconds)
        assert plan.of(kind)
    assert preset.summary


def test_gtzans_pictures_have_387_columns_and_fmas_128() -> None:
    # 387.5 columns for the usual 1,293 frames, of which the last half is none; README of the data.
    assert n_frames("gtzan-pictures", 30.013) == 387
    assert PRESETS["gtzan-pictures"].spec == FEATURES
    assert n_frames("fma-pictures", 30.0) == 128
    fma = PRESETS["fma-pictures"].spec
    assert fma.sample_rate / fma.frame_rate == pytest.approx(10_336)  # samples to a column


def test_seeds_without_a_word_have_librosas_defaults() -> None:
    for name in ("seed-000", "seed-001", "seed-004"):
        spec = PRESETS[name].spec
        assert (spec.sample_rate, spec.n_fft, spec.hop_length) == (22_050, 2_048, 512)
        assert (spec.n_mels, spec.fmin, spec.highest, spec.top_db) == (128, 0, 11_025, 80)
        assert (spec.scale, spec.decimation) == ("decibel", 1)
    assert PRESETS["seed-000"].spec.frame_rate == pytest.approx(43.07, abs=0.01)


def test_seed_002_is_128_by_1280_of_exactly_29_7_seconds() -> None:
    preset = PRESETS["seed-002"]
    assert preset.min_seconds == preset.max_seconds == 29.7
    # 654,885 samples: one centred frame, and 1,279 hops of 512 fit into 654,848 of them.
    assert (preset.spec.n_mels, n_frames("seed-002", 29.7)) == (128, 1_280)
    assert preset.spec.scale == "minmax"


def test_seed_003_is_an_stft_of_4096_by_1024_and_wants_2_to_the_19_samples() -> None:
    preset = PRESETS["seed-003"]
    assert (preset.spec.n_fft, preset.spec.hop_length) == (4_096, 1_024)
    assert preset.min_seconds * preset.spec.sample_rate == pytest.approx(524_288, abs=1e-6)
    assert preset.spec.n_frames(2**19) == 513
    assert preset.max_seconds is None


def test_seed_004_is_128_by_1292_for_30_seconds() -> None:
    assert (PRESETS["seed-004"].spec.n_mels, n_frames("seed-004", 30.0)) == (128, 1_292)
