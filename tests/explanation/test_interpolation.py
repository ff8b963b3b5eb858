from dataclasses import replace

import numpy as np
import pytest
import torch

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation.interpolation import Between, bands_of, column_seconds, frames_of
from mgr_cli.features.mel import hz_to_mel, log_mel, mel_filters, mel_to_hz

RATE = 8_000
SPEC = FeatureSpec(sample_rate=RATE, n_fft=512, hop_length=400, n_mels=32)


def test_points_among_knots_are_interpolated_and_constant_beyond_both_ends() -> None:
    among = Between.of(np.array([-1.0, 1.0, 2.5, 3.0, 9.0]), np.array([1.0, 2.0, 4.0]))
    values = torch.tensor([[10.0], [20.0], [40.0]])
    assert among.rows(values)[:, 0].tolist() == [10, 10, 25, 30, 40]
    assert among.columns(values.T)[0].tolist() == [10, 10, 25, 30, 40]


def test_a_single_knot_is_everywhere() -> None:
    among = Between.of(np.array([-1.0, 5.0]), np.array([2.0]))
    assert among.rows(torch.tensor([[7.0]]))[:, 0].tolist() == [7, 7]


def test_a_frequency_belongs_to_the_band_that_hears_it_best() -> None:
    bins = np.fft.rfftfreq(SPEC.n_fft, 1 / RATE)
    among = bands_of(bins, SPEC)
    nearest = torch.where(among.share < 0.5, among.lower, among.upper).numpy()
    # Triangles of equal area favour the narrower band; on one of height 1 the best is the nearest.
    filters = mel_filters(SPEC) / mel_filters(SPEC).max(axis=1, keepdims=True)
    clear = np.sort(filters, axis=0)[-1] > 2 * np.sort(filters, axis=0)[-2]
    clear &= bins > 1_000  # below, a band is hardly wider than a bin
    assert clear.sum() > 40
    assert (nearest[clear] == filters.argmax(axis=0)[clear]).all()


def test_the_centre_of_a_band_is_that_band_alone() -> None:
    low, high = hz_to_mel(np.array([SPEC.fmin, SPEC.highest]))
    centres = mel_to_hz(np.linspace(low, high, SPEC.n_mels + 2)[1:-1])
    drawn = bands_of(centres, SPEC).rows(torch.eye(32))
    torch.testing.assert_close(drawn, torch.eye(32), atol=1e-5, rtol=0)


def test_times_lie_among_frames_as_the_front_end_keeps_them() -> None:
    # Of ten STFT frames at 0, 0.05 … s every third is kept: those of 0.05, 0.2 and 0.35 s.
    spec = replace(SPEC, decimation=3.0)
    among = frames_of(np.array([0.0, 0.05, 0.125, 0.2, 0.35, 0.5]), spec, 3)
    found = among.columns(torch.tensor([[1.0, 2.0, 3.0]]))[0]
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0, 1.5, 2.0, 3.0, 3.0]))


@pytest.mark.parametrize("decimation", [1.0, 2.3])
def test_columns_are_heard_where_the_front_end_takes_them(decimation: float) -> None:
    rate = 16_000
    spec = FeatureSpec(
        sample_rate=rate, n_fft=1_024, hop_length=256, n_mels=40, decimation=decimation
    )
    click = np.zeros(8 * rate, np.float32)
    click[5 * rate] = 1
    column = int(log_mel(click, spec)[20].argmax())
    first = 40
    seconds = column_seconds(300, spec, start=first / spec.frame_rate)
    where = seconds[column - first] + first / spec.frame_rate
    # As near as columns are: a click is loudest in the one whose window it is in the middle of.
    assert abs(where - 5) <= 0.5 / spec.frame_rate + 1e-9
