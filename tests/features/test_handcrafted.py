"""Hand-crafted features against plain librosa, SciPy, FMA's own files and cases worked by hand."""

import csv
import warnings
from collections import Counter
from pathlib import Path

import librosa
import numpy as np
import pytest
from scipy import stats

from mgr_cli.errors import AudioError
from mgr_cli.features import spectral
from mgr_cli.features.handcrafted import COLUMNS, FAMILIES, extract, frames
from mgr_cli.features.statistics import STATISTICS, summarise
from mgr_cli.plans import FORMS, Form
from tests.benchmarks.handcrafted import plain_frames, plain_librosa, read

RATE = 22_050
EDGE = 4  # frames at either end that see silence before or after the track


def music(seconds: float, sample_rate: int, *, cents: float = 0.0) -> np.ndarray:
    """Synthesise four chords over noise, out of tune by so many cents."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    chords = np.array([[57, 60, 64, 69], [53, 57, 60, 72], [55, 59, 62, 67], [52, 55, 59, 76]])
    notes = chords[(time * 4 / seconds).astype(int).clip(0, 3)].T
    phases = 2 * np.pi * 440 * 2 ** ((notes - 69 + cents / 100) / 12) * time
    tones = sum(np.sin(k * phases).sum(axis=0) / k for k in (1, 2, 3))
    noise = np.random.default_rng(0).standard_normal(len(time))
    waveform: np.ndarray = 0.05 * tones * np.exp(-3 * (time % 0.5)) + 0.01 * noise
    return waveform.astype(np.float32)


def sine(hz: float, sample_rate: int = RATE, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    wave: np.ndarray = np.sin(2 * np.pi * hz * time).astype(np.float32)
    return wave


def row(values: np.ndarray, number: int = 0) -> np.ndarray:
    """Return one number of a family in the frames that lie within the track."""
    inner: np.ndarray = values[number, EDGE:-EDGE]
    return inner


# Columns


def test_there_are_74_numbers_by_7_statistics_in_sorted_order() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 518
    assert list(COLUMNS) == sorted(COLUMNS)
    assert COLUMNS[0] == ("chroma_cens", "kurtosis", "01")
    assert COLUMNS[-1] == ("zcr", "std", "01")
    assert Counter(family for family, _, _ in COLUMNS) == {  # the paper's counts, times seven
        "chroma_stft": 84, "chroma_cqt": 84, "chroma_cens": 84, "tonnetz": 42, "mfcc": 140,
        "rmse": 7, "zcr": 7, "spectral_centroid": 7, "spectral_bandwidth": 7,
        "spectral_contrast": 49, "spectral_rolloff": 7,
    }  # fmt: skip


def test_columns_are_named_and_ordered_as_in_fmas_file(shared: Path) -> None:
    path = shared / "data/fma_small_metadata/features.csv"
    with path.open(encoding="utf-8", newline="") as file:
        header = [line[1:] for line, _ in zip(csv.reader(file), range(3), strict=False)]
    assert list(zip(*header, strict=True)) == [name for name in COLUMNS if name[0] == "mfcc"]


def test_every_number_stands_in_the_column_that_names_it() -> None:
    waveform = music(3, RATE)
    vector, families = extract(waveform, RATE), frames(waveform, RATE)
    for column, statistic in (("max", np.max), ("mean", np.mean), ("median", np.median)):
        for family, n_numbers in FAMILIES.items():
            for i in range(n_numbers):
                found = vector[COLUMNS.index((family, column, f"{i + 1:02d}"))]
                assert found == pytest.approx(statistic(families[family][i]), rel=1e-6, abs=1e-7)


# Against librosa called plainly


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("sample_rate", "cents"), [(22_050, 0), (44_100, 31), (16_000, -18)])
def test_frames_are_plain_librosas(sample_rate: int, cents: float, form: Form) -> None:
    waveform = music(7, sample_rate, cents=cents)  # at 44,100 Hz more than one block of frames
    theirs = plain_frames(waveform, sample_rate, form)
    ours = frames(waveform, sample_rate, form=form)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        # Sums of float32 in another order differ by some 1e-7 of the largest value.
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=3e-6 * np.abs(values).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("clip", ["fma/000/000005.mp3", "gtzan/metal/metal.00000.wav"])
def test_all_518_agree_with_plain_librosa_on_recordings(
    shared: Path, clip: str, form: Form
) -> None:
    waveform, sample_rate = read(shared / "audio" / clip)
    waveform = waveform[: 10 * sample_rate]
    theirs = plain_librosa(waveform, sample_rate, form)
    # A plain script takes its moments in float32, good for 1e-4 of a skewness.
    np.testing.assert_allclose(
        extract(waveform, sample_rate, form=form), theirs, rtol=2e-4, atol=2e-5
    )


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("cents", [-40, -7, 0, 12, 45])
def test_tuning_is_librosas_to_the_cent(cents: float, exponent: int) -> None:
    magnitudes = spectral.magnitudes(music(3, 44_100, cents=cents))
    theirs = librosa.estimate_tuning(S=magnitudes.T**exponent, sr=44_100)
    assert spectral.tuning(magnitudes, 44_100, exponent=exponent) == theirs


def test_the_constant_q_transform_gets_the_tuning_that_librosa_would_take() -> None:
    waveform = music(3, RATE, cents=23)
    found = spectral.tuning(spectral.magnitudes(waveform), RATE, exponent=1)
    assert found == librosa.estimate_tuning(y=waveform, sr=RATE, bins_per_octave=12)
    assert found == pytest.approx(0.23, abs=0.03)  # what was synthesised


# Forms


def test_forms_differ_where_fmas_script_forgot_the_rate_and_nowhere_else() -> None:
    waveform = music(3, 44_100, cents=20)
    corrected, compatible = (frames(waveform, 44_100, form=form) for form in FORMS)
    different = {name for name in FAMILIES if not np.array_equal(corrected[name], compatible[name])}
    assert different == {
        "chroma_stft", "spectral_bandwidth", "spectral_centroid", "spectral_contrast",
        "spectral_rolloff",
    }  # fmt: skip
    for name in ("spectral_bandwidth", "spectral_centroid", "spectral_rolloff"):
        np.testing.assert_allclose(2 * compatible[name], corrected[name], rtol=1e-6)


def test_forms_are_one_at_22050_hz() -> None:
    waveform = music(3, RATE)
    compatible = extract(waveform, RATE, form="fma-compat")
    np.testing.assert_array_equal(extract(waveform, RATE), compatible)


# Worked by hand


def test_spectral_shape_of_a_sine_on_a_bin() -> None:
    """A Hann window leaves three bins: 1/2, 1, 1/2 at 99, 100, 101, and 3/8 of the power."""
    width = RATE / 2048
    found = frames(sine(100 * width), RATE)
    assert row(found["spectral_centroid"]) == pytest.approx(100 * width, rel=1e-3)
    assert row(found["spectral_bandwidth"]) == pytest.approx(np.sqrt(0.5) * width, rel=0.05)
    assert row(found["spectral_rolloff"]) == pytest.approx(101 * width)
    assert row(found["rmse"]) == pytest.approx(np.sqrt(3 / 8 / 2), rel=1e-3)


def test_square_wave_crosses_zero_every_half_period() -> None:
    wave = np.sign(np.sin(2 * np.pi * (np.arange(RATE) + 16.5) / 64)).astype(np.float32)
    rate = spectral.zero_crossings(wave)
    assert (row(rate) == 1 / 32).all()
    # The first frame is half before the track: 32 crossings instead of 64.
    assert rate[0, 0] == 1 / 64


def test_a_sample_next_to_zero_has_no_sign() -> None:
    noise = np.tile(np.array([-9e-11, 9e-11], np.float32), 4_096)  # librosa's limit is 1e-10
    assert spectral.zero_crossings(noise).max() == 0
    assert spectral.zero_crossings(2 * noise).max() == 2_047 / 2_048


def test_a_single_bin_has_no_width() -> None:
    heights = np.random.default_rng(0).random(1025).astype(np.float32)
    centroid, bandwidth = spectral.centroid_and_bandwidth(np.diag(heights), 44_100)
    np.testing.assert_allclose(centroid, spectral.frequencies(44_100), rtol=1e-12)
    # What float64 leaves of a difference of squares of 22 kHz; finite, not the root of −1e-8.
    np.testing.assert_allclose(bandwidth, 0, atol=1e-3)


def test_blocks_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = music(1, RATE)
    whole = frames(waveform, RATE)
    monkeypatch.setattr(spectral, "BLOCK", 1)
    for name, values in frames(waveform, RATE).items():  # BLAS sums one column in another order
        np.testing.assert_allclose(values, whole[name], rtol=0, atol=3e-6 * np.abs(values).max())


def test_a_concert_a_is_the_tenth_pitch_class() -> None:
    """Hann filters pass half of a semitone's neighbour, so shares are 1/4, 1/2, 1/4; CENS counts
    how many of 0.05, 0.1, 0.2 and 0.4 they exceed, 3/4, 1, 3/4, and brings that to length 1.
    """
    found = frames(sine(440, seconds=3), RATE)
    for name in ("chroma_stft", "chroma_cqt", "chroma_cens"):
        assert (found[name][:, EDGE:-EDGE].argmax(axis=0) == 9).all(), name
    middle = found["chroma_cens"][:, found["chroma_cens"].shape[1] // 2]
    assert middle[8:11] == pytest.approx(np.array([0.75, 1, 0.75]) / np.sqrt(2.125), rel=1e-3)


def test_contrast_bands_are_octaves_from_200_hz_up_to_half_the_rate() -> None:
    """Bins are 1,000 / 128 Hz wide at 16 kHz: 200 Hz is 25.6 of them, 400 Hz 51.2, …."""
    bands = spectral.contrast_bands(16_000)
    assert [(bins.start, bins.stop) for bins, _ in bands] == [
        (0, 25), (25, 51), (51, 102), (102, 204), (204, 409), (409, 819), (819, 1025)
    ]  # fmt: skip
    assert [n for _, n in bands] == [1, 1, 1, 2, 4, 8, 4]  # 2 % of the bins, at least one


def test_statistics_of_four_frames() -> None:
    """0 0 0 4 deviates by −1 −1 −1 3: moments 3, 6 and 21."""
    found = dict(zip(STATISTICS, summarise(np.array([[0, 0, 0, 4]]))[:, 0], strict=True))
    expected = {
        "mean": 1, "std": 3**0.5, "skew": 6 / 3**1.5, "kurtosis": 21 / 9 - 3, "median": 0,
        "min": 0, "max": 4,
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-15)


def test_statistics_are_numpys_and_scipys() -> None:
    values = np.random.default_rng(0).gamma(2, size=(5, 1000))
    kept = values.copy()
    expected = [
        stats.kurtosis(values, axis=1), values.max(1), values.mean(1), np.median(values, axis=1),
        values.min(1), stats.skew(values, axis=1), values.std(1),
    ]  # fmt: skip
    np.testing.assert_allclose(summarise(values), expected, rtol=1e-12)  # both in float64
    np.testing.assert_array_equal(values, kept)


@pytest.mark.parametrize("level", [0.0, -1131.37, 1e-12])
def test_what_does_not_move_has_skewness_0_and_kurtosis_minus_3(level: float) -> None:
    found = dict(zip(STATISTICS, summarise(np.full((1, 999), level))[:, 0], strict=True))
    assert (found["skew"], found["kurtosis"]) == (0, -3)
    assert found["mean"] == pytest.approx(level)
    assert found["median"] == found["min"] == found["max"] == level


# FMA's published numbers


def test_published_mfccs_are_those_of_three_seconds_at_22050_hz(shared: Path) -> None:
    """`data/README.md` describes the file; decoder and resampler may be others."""
    mfcc = [i for i, column in enumerate(COLUMNS) if column[0] == "mfcc"]
    means = [k for k, i in enumerate(mfcc) if COLUMNS[i][1] == "mean"]
    with (shared / "data/fma_small_metadata/features.csv").open(encoding="utf-8") as file:
        published = {line[0]: line[1:] for line in csv.reader(file)}
    for track in ("000002", "000574"):
        waveform, sample_rate = read(shared / f"audio/fma/000/{track}.mp3")
        waveform = librosa.resample(waveform, orig_sr=sample_rate, target_sr=RATE)[: 3 * RATE]
        ours = extract(waveform, RATE, form="fma-compat")[mfcc]
        theirs = np.array(published[str(int(track))], float)
        assert np.corrcoef(ours, theirs)[0, 1] > 0.9999
        assert ours[means] == pytest.approx(theirs[means], abs=0.5)  # of some −300 to 200


# What is short, silent or wrong


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_silence_and_a_constant_have_finite_features(level: float, form: Form) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = extract(np.full(RATE, level, np.float32), RATE, form=form)
    assert np.isfinite(found).all()
    if level == 0:
        columns = dict(zip(COLUMNS, found, strict=True))
        assert columns["rmse", "max", "01"] == columns["spectral_centroid", "max", "01"] == 0
        assert columns["mfcc", "mean", "01"] == pytest.approx(-100 * np.sqrt(128))  # all at -100 dB
        assert {v for name, v in columns.items() if name[1] == "kurtosis"} == {-3}


@pytest.mark.parametrize("n_samples", [2_048, 4_410, 30_000])
def test_a_short_track_is_measured_without_a_warning(n_samples: int) -> None:
    waveform = music(1, 44_100)[:n_samples]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = extract(waveform, 44_100)
    assert np.isfinite(found).all()
    warnings.simplefilter("ignore")  # librosa's, that a window is longer than an octave's samples
    theirs = plain_frames(waveform, 44_100, "corrected")
    for name, values in frames(waveform, 44_100).items():
        np.testing.assert_allclose(values, theirs[name], rtol=0, atol=3e-6 * values.max())


def test_less_than_a_frame_is_refused() -> None:
    with pytest.raises(AudioError, match=r"2047 samples are too few.*2048"):
        extract(np.ones(2_047, np.float32), RATE)


@pytest.mark.parametrize(("form", "lowest"), [("corrected", 12_801), ("fma-compat", 8_600)])
def test_a_rate_below_the_highest_band_is_refused(form: Form, lowest: int) -> None:
    waveform = music(1, lowest)
    assert np.isfinite(extract(waveform, lowest, form=form)).all()
    with pytest.raises(AudioError, match=r"too low.*resample"):
        extract(waveform, lowest - 1, form=form)


def test_mistakes_of_the_caller_are_value_errors() -> None:
    waveform = music(1, RATE)
    with pytest.raises(ValueError, match="one dimension"):
        extract(np.stack([waveform, waveform]), RATE)
    with pytest.raises(ValueError, match="not finite"):
        extract(np.where(np.arange(RATE) == 9, np.nan, waveform), RATE)
    with pytest.raises(ValueError, match="form is 'fma'"):
        extract(waveform, RATE, form="fma")  # type: ignore[arg-type]
