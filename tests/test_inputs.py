"""What a net takes of a track, worked out by hand."""

import numpy as np
import pytest

from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.inputs import InMemory, Inputs
from mgr_cli.plans import Kind

SPEC = FeatureSpec(sample_rate=1_000, n_fft=64, hop_length=40, n_mels=2)  # 25 frames a second
HALF = SegmentSpec(seconds=0.4, hop_seconds=0.2)  # 10 frames, 400 samples
LEVELS = np.stack([np.arange(30.0), 10 * np.arange(30.0)]).astype(np.float32)
WAVE = np.arange(1_180, dtype=np.float32)[None]  # what 30 centred frames are made of, and a bit
NORMALISATIONS: dict[Kind, Normalisation] = {
    "log-mel": Normalisation((1.0, 2.0), (2.0, 4.0)),
    "waveform": Normalisation((100.0,), (10.0,)),
    "table": Normalisation((0.0, 1.0, 2.0), (1.0, 1.0, 5.0)),
}


def inputs(*kinds: Kind, segments: SegmentSpec | None = HALF) -> Inputs:
    return Inputs(kinds, SPEC, segments, NORMALISATIONS)


def test_log_mel_is_cut_into_frames_and_normalised_band_by_band() -> None:
    made, track = inputs("log-mel"), InMemory({"log-mel": LEVELS})
    assert (made.length, made.hop, made.rate) == (10, 5, 25.0)
    assert made.starts(30) == [0, 5, 10, 15, 20]
    assert made.dimensions == {"n_mels": 2, "n_frames": 10, "fmin": 0, "fmax": 500}
    (batch,) = made.batch(made.segment(track, first) for first in (5, 20))
    assert batch.shape == (2, 2, 10)
    np.testing.assert_allclose(batch[0, 0], (np.arange(5, 15) - 1) / 2)
    np.testing.assert_allclose(batch[1, 1], (10 * np.arange(20, 30) - 2) / 4)


def test_waveform_is_cut_into_samples() -> None:
    made, track = inputs("waveform"), InMemory({"waveform": WAVE})
    assert (made.length, made.hop, made.rate) == (400, 200, 1_000.0)
    assert made.dimensions == {"n_samples": 400}
    (batch,) = made.batch([made.segment(track, 200)])
    np.testing.assert_allclose(batch, (np.arange(200.0, 600.0)[None] - 100) / 10)


def test_row_of_a_table_is_a_segment() -> None:
    made = inputs("table", segments=None)
    track = InMemory({"table": np.array([[3.0], [4.0], [12.0]], np.float32)})
    assert (made.length, made.rate, made.starts(1)) == (1, 0.0, [0])
    assert made.dimensions == {"n_columns": 3}
    (batch,) = made.batch([made.segment(track, 0)])
    np.testing.assert_array_equal(batch, [[3.0, 3.0, 2.0]])


def test_several_kinds_are_read_from_the_same_second() -> None:
    made = inputs("log-mel", "waveform")
    track = InMemory({"log-mel": LEVELS, "waveform": WAVE})
    assert made.dimensions == {
        "n_mels": 2, "n_frames": 10, "fmin": 0, "fmax": 500, "n_samples": 400,
    }  # fmt: skip
    assert made.shapes == ((2, 10), (400,))
    assert made.n_values == 420
    levels, wave = made.segment(track, 15)  # frames 40 samples apart: 0.6 s
    assert (levels[0, 0], wave[0, 0]) == (15, 600)
    # The last one begins 780 samples into a waveform of 1,180; 800 and 400 are beyond it.
    levels, wave = made.segment(track, 20)
    assert (levels[0, 0], wave[0, 0], wave[0, -1]) == (20, 780, 1_179)


def test_short_track_is_repeated_in_all_its_kinds() -> None:
    made = inputs("log-mel", "waveform")
    track = InMemory({"log-mel": LEVELS[:, :4], "waveform": WAVE[:, :130]})
    levels, wave = made.segment(track, 0)
    np.testing.assert_array_equal(levels[0], [0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    assert wave.shape == (1, 400)
    assert wave[0, 130] == 0


def test_order_of_the_kinds_is_that_of_the_net() -> None:
    made = inputs("waveform", "log-mel")
    track = InMemory({"log-mel": LEVELS, "waveform": WAVE})
    wave, levels = made.batch([made.segment(track, 400)])  # samples now: frame 10
    assert (wave.shape, levels.shape) == ((1, 400), (1, 2, 10))
    assert levels[0, 0, 0] == pytest.approx((10 - 1) / 2)
