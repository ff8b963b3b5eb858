from pathlib import Path

import librosa
import numpy as np
import pytest

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation import spans
from mgr_cli.explanation.result import Attribution, Explanation
from mgr_cli.prediction import Prediction

SPEC = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=16)  # 20 frames a second


def explanation(values: np.ndarray, *, start: float = 10.0) -> tuple[Attribution, Explanation]:
    probs = np.array([0.75, 0.25])
    prediction = Prediction(
        ("rock", "pop"), probs, "rock", "mean", probs[None], (0.0,), 3.0, 60.0, padded=False
    )
    found = Attribution("occlusion", "rock", values)
    stop = start + values.shape[1] / 20
    return found, Explanation(Path("x"), prediction, start, stop, values, SPEC, (found,))


def test_strongest_runs_do_not_overlap_and_come_in_order() -> None:
    weights = np.array([0, 5, 5, 0, 0, 9, 0, 1.0])
    # Of 20 in all: 5 + 5, then 9 (the first run that holds it), then 1.
    assert spans.strongest(weights, width=2) == [(1, 3, 0.5), (4, 6, 0.45), (6, 8, 0.05)]


def test_strongest_names_nothing_where_there_is_nothing() -> None:
    assert spans.strongest(np.zeros(9), width=2) == []
    assert spans.strongest(np.eye(9)[4], width=2) == [(3, 5, 1.0)]


@pytest.mark.parametrize(("width", "expected"), [(0, (2, 3)), (99, (0, 5))])
def test_a_run_is_one_at_least_and_all_at_the_most(width: int, expected: tuple[int, int]) -> None:
    (found, *_) = spans.strongest(np.array([1.0, 0, 2, 0, 0]), width=width)
    assert found[:2] == expected


def test_one_spot_is_found_in_its_second_and_its_band() -> None:
    values = np.full((16, 400), -0.5)  # 20 s, from the 10th on: spans of 3 s
    values[6:8, 100:160] = 1.0
    found = explanation(values)
    (when,) = spans.seconds(*found)
    assert when == spans.Span(15.0, 18.0, 1.0)
    (where,) = spans.frequencies(*found)
    centres = librosa.mel_frequencies(18, fmin=0, fmax=4_000)[1:-1]
    assert centres[5] < where.start < centres[6] < centres[7] < where.stop < centres[8]
    assert where.share == 1


def test_ends_of_the_range_are_those_of_the_front_end() -> None:
    values = np.zeros((16, 100))
    values[:2], values[14:] = 1.0, 2.0
    high, low = spans.frequencies(*explanation(values))
    assert (low.start, high.stop) == pytest.approx((0, 4_000))
    assert (high.share, low.share) == pytest.approx((2 / 3, 1 / 3))


def test_sums_by_second_and_by_band_keep_their_signs() -> None:
    values = np.zeros((16, 50))  # two seconds and a half
    values[3, 5], values[4, 25], values[4, 45] = 1.0, -2.0, 4.0
    found = explanation(values)
    np.testing.assert_allclose(spans.by_second(*found), [1, -2, 4])
    np.testing.assert_allclose(spans.by_band(found[0])[3:5], [1, 2])


def test_centres_are_librosas() -> None:
    np.testing.assert_allclose(
        spans.centres(SPEC), librosa.mel_frequencies(18, fmin=0, fmax=4_000)[1:-1]
    )
