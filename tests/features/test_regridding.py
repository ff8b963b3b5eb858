import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, signal

from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.features import regridding
from mgr_cli.features.mel import log_mel
from mgr_cli.plans import PRESETS

GTZAN, FMA = FEATURES, PRESETS["fma-pictures"].spec

# Below 1 kHz mels are evenly spaced in Hz: centres at 100, 200 … 900 Hz, each 100 Hz to a side.
NINE = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=9, fmax=1_000.0)
FOUR = replace(NINE, n_mels=4)  # 200 Hz to a side
NINETEEN = replace(NINE, n_mels=19)  # 50 Hz to a side


def ramp(spec: FeatureSpec, n_frames: int) -> np.ndarray:
    """Return levels (n_mels, n_frames) in dB that say in which column they stood: 0, −1, −2 …"""
    return np.tile(-np.arange(n_frames, dtype=np.float32), (spec.n_mels, 1))


@pytest.mark.parametrize("spec", [GTZAN, FMA, NINE])
def test_a_grid_is_translated_to_itself_unchanged(spec: FeatureSpec) -> None:
    levels = np.random.default_rng(0).uniform(-80, 0, (spec.n_mels, 30)).astype(np.float32)
    assert regridding.regrid(levels, spec, spec) is levels
    np.testing.assert_allclose(regridding.band_weights(spec, spec), np.eye(spec.n_mels), atol=1e-9)
    columns = regridding.source_columns(30, spec, spec)
    np.testing.assert_array_equal(columns, np.arange(30))


def test_a_narrower_band_is_read_off_between_the_centres() -> None:
    weights = regridding.band_weights(NINE, NINETEEN)
    expected = np.zeros((19, 9))
    for band in range(9):
        expected[2 * band + 1, band] = 1  # at 100, 200 …
        expected[2 * band, band] = expected[2 * band + 2, band] = 0.5  # at 150, 250 …
    expected[0, 0] = expected[18, 8] = 1  # at 50 and 950: beyond the last centre it is held
    np.testing.assert_allclose(weights, expected, atol=1e-9)


def test_a_wider_band_is_averaged_over_the_difference_of_the_squares() -> None:
    more = math.sqrt(200**2 - 100**2)

    def share(hz: float, middle: float, centre: float) -> float:
        triangle = max(0.0, 1 - abs(hz - middle) / more) / more
        return triangle * max(0.0, 1 - abs(hz - centre) / 100)

    weights = regridding.band_weights(NINE, FOUR)
    for row, middle in ((1, 400.0), (2, 600.0)):  # of the others a part lies beyond the centres
        expected = [
            integrate.quad(share, 0, 1_000, (middle, centre), points=[middle, centre])[0]
            for centre in range(100, 1_000, 100)
        ]
        np.testing.assert_allclose(weights[row], expected, atol=3e-3)  # of 37 points


def test_noise_as_loud_everywhere_stays_so_and_what_was_not_heard_is_silent() -> None:
    weights = regridding.band_weights(GTZAN, FMA)
    assert weights.min() >= 0
    heard = weights.sum(axis=1)
    centres = regridding.band_edges(FMA)[1:-1]
    edges = regridding.band_edges(FMA)
    np.testing.assert_allclose(heard[edges[2:] < 11_025], 1)
    np.testing.assert_array_equal(heard[edges[:-2] > 11_025], 0)
    assert ((heard > 0.5) == (centres < 11_025)).all()
    np.testing.assert_allclose(regridding.band_weights(FMA, GTZAN).sum(axis=1), 1)


def test_levels_are_shared_out_in_power() -> None:
    levels = np.full((9, 4), -60.0, np.float32)
    levels[4, 1], levels[5, 1] = 0.0, -20.0  # at 500 and at 600 Hz
    found = regridding.regrid(levels, NINE, NINETEEN)
    assert found[9, 1] == 0
    assert found[11, 1] == pytest.approx(-20)
    assert found[10, 1] == pytest.approx(10 * np.log10((1 + 0.01) / 2))
    assert found[8, 1] == pytest.approx(10 * np.log10((1 + 1e-6) / 2))


def test_min_max_is_undone_and_done_again() -> None:
    stretched = replace(NINE, scale="minmax", top_db=60.0)
    levels = np.array([[1.0, 0.5, 0.25, 0.0]] * 9, np.float32)
    below = regridding.regrid(levels, stretched, replace(NINE, top_db=40.0))
    np.testing.assert_allclose(below, [[0, -30, -40, -40]] * 9)
    again = regridding.regrid(below, replace(NINE, top_db=40.0), replace(stretched, top_db=50.0))
    np.testing.assert_allclose(again, [[1, 0.4, 0.2, 0.2]] * 9, atol=1e-6)
    assert below.dtype == again.dtype == np.float32


def test_what_is_loudest_stays_the_reference_unless_it_is_not_heard_any_more() -> None:
    levels = np.full((9, 3), -50.0, np.float32)
    levels[2, 0] = 0.0
    wide = regridding.regrid(levels, NINE, FOUR)
    assert -7 < wide.max() < -3  # a band that holds a part of it is not lifted to 0 dB
    # The loudest frame may be none of the columns: then none of them is at 0 dB.
    assert regridding.regrid(levels - 10, NINE, FOUR).max() == pytest.approx(wide.max() - 10)
    levels[8, 0], levels[2, 0] = 0.0, -10.0  # at 900 and 300 Hz
    low = replace(NINE, n_mels=4, fmax=500.0)  # centres at 100 … 400 Hz
    np.testing.assert_allclose(regridding.regrid(levels, NINE, low)[:, 0], [-40, -40, 0, -40])
    np.testing.assert_allclose(regridding.regrid(levels, NINE, low)[:, 1], [-40] * 4)


def test_columns_stand_where_pictures_have_them() -> None:
    # Of GTZAN frames 1, 5, 8 … of 512 samples, of FMA 10, 30, 50 ….
    np.testing.assert_allclose(
        regridding.column_times(3, GTZAN), np.array([1, 5, 8]) * 512 / 22_050
    )
    np.testing.assert_allclose(regridding.column_times(2, FMA), np.array([10, 30]) * 512 / 44_100)
    assert len(regridding.source_columns(387, GTZAN, FMA)) == 128
    assert len(regridding.source_columns(128, FMA, GTZAN)) == 387
    assert len(regridding.source_columns(1, GTZAN, FMA)) == 1


def test_fewer_columns_are_the_nearest() -> None:
    columns = regridding.source_columns(387, GTZAN, FMA)
    own = np.floor((np.arange(387) + 0.5) * GTZAN.decimation) * 512 / 22_050
    wanted = np.floor((np.arange(128) + 0.5) * FMA.decimation) * 512 / 44_100
    away = np.abs(wanted[:, None] - own)
    # Two may be as near, so that rounding decides.
    np.testing.assert_allclose(away[np.arange(128), columns], away.min(axis=1), atol=1e-12)
    found = regridding.regrid(ramp(NINE, 40), NINE, replace(NINE, hop_length=1_200))
    np.testing.assert_array_equal(found, [-3 * np.arange(13)] * 9)


def test_more_columns_are_dealt_out_among_the_nearest() -> None:
    columns = regridding.source_columns(128, FMA, GTZAN)
    wanted = regridding.column_times(387, GTZAN)
    # A third as many: up to a column before or after, and half of one by rounding.
    away = (regridding.column_times(128, FMA)[columns] - wanted) * FMA.frame_rate
    assert 1.2 < np.abs(away[4:-4]).max() < 1.55
    assert abs(away[4:-4].mean()) < 0.02
    assert set(columns.tolist()) == set(range(128))
    assert np.mean(columns[1:] == columns[:-1]) < 0.4  # two in three, if they were repeated
    # A hair more, and there is nothing to deal out.
    faster = replace(NINE, hop_length=399)
    straight = np.rint(np.arange(100) * 399 / 400)
    np.testing.assert_array_equal(regridding.source_columns(100, NINE, faster)[:100], straight)


# Windows of the same 46 ms and columns at the same times: bands are all that differs.
HIGH = replace(FMA, hop_length=1_024, decimation=1.0, scale="decibel")
LOW = replace(HIGH, sample_rate=22_050, n_fft=1_024, hop_length=512)


def pair(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log-mels of what is at 44,100 Hz, freed from all above 10 kHz, by HIGH and by LOW."""
    low_pass = signal.butter(8, 10_000, fs=44_100, output="sos")
    fast = signal.sosfiltfilt(low_pass, waveform)
    return log_mel(fast, HIGH), log_mel(signal.resample_poly(fast, 1, 2), LOW)


def test_translation_is_nearer_the_truth_than_the_picture_stretched() -> None:
    noise = np.random.default_rng(0).normal(size=3 * 44_100)
    swell = 1 + np.sin(2 * np.pi * 0.7 * np.arange(len(noise)) / 44_100)
    high, low = pair(0.01 * signal.lfilter([1], [1, -0.9], noise) * swell)
    for levels, source, truth, target in ((high, HIGH, low, LOW), (low, LOW, high, HIGH)):
        found = regridding.regrid(levels, source, target)
        off, naive = np.abs(found - truth).mean(), np.abs(levels - truth).mean()
        # Bands of a bin or three are noise themselves, and a mean of two is less of it.
        assert off < 2
        assert naive > 4 * off


def test_tone_stays_in_its_band() -> None:
    for hz in (100, 440, 1_500, 4_000, 9_000):
        high, low = pair(np.sin(2 * np.pi * hz * np.arange(44_100) / 44_100))
        for levels, source, truth, target in ((high, HIGH, low, LOW), (low, LOW, high, HIGH)):
            found = regridding.regrid(levels, source, target)[:, 20]
            assert abs(found.argmax() - truth[:, 20].argmax()) <= 1
            assert -4 < found.max() <= 0


def test_track_without_any_range_is_nothing_throughout() -> None:
    silence = np.zeros((9, 8), np.float32)
    stretched = replace(NINE, scale="minmax")
    for source in (NINE, stretched):
        for target in (replace(NINE, hop_length=800), replace(stretched, hop_length=800)):
            found = regridding.regrid(silence, source, target)
            np.testing.assert_array_equal(found, np.zeros((9, 4)))


def test_what_cannot_be_translated_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(8, 3\), expected \(9, n\)"):
        regridding.regrid(np.zeros((8, 3)), NINE, FOUR)
    with pytest.raises(ValueError, match=r"shape \(9, 0\)"):
        regridding.regrid(np.zeros((9, 0)), NINE, FOUR)
    with pytest.raises(ValueError, match=r"shape \(9,\)"):
        regridding.regrid(np.zeros(9), NINE, FOUR)
    with pytest.raises(ValueError, match="no frequency in common"):
        regridding.regrid(np.zeros((9, 3)), NINE, replace(NINE, fmin=2_000.0, fmax=4_000.0))


def test_given_levels_are_left_alone() -> None:
    levels = np.random.default_rng(0).uniform(-80, 0, (9, 20)).astype(np.float32)
    before = levels.copy()
    regridding.regrid(levels, NINE, replace(FOUR, fmax=500.0))
    np.testing.assert_array_equal(levels, before)


def test_what_was_done_is_told_in_numbers() -> None:
    assert regridding.describe(FMA, GTZAN) == (
        "128 bands of 0-22,050 Hz were shared out to 128 bands of 0-11,025 Hz; pictures of 4.27 "
        "columns a second were stretched to 12.9, which adds no detail; loudest and faintest are "
        "taken to be 80 dB apart"
    )
    assert regridding.describe(GTZAN, FMA) == (
        "128 bands of 0-11,025 Hz were shared out to 128 bands of 0-22,050 Hz; 21 of these lie "
        "where nothing was heard, and are silent; pictures of 12.9 columns a second were thinned "
        "out to 4.27; loudest and faintest are taken to be 80 dB apart"
    )
    assert regridding.describe(NINE, replace(NINE, hop_length=800)) == (
        "pictures of 20 columns a second were thinned out to 10"
    )
