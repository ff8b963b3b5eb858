"""One pass over a file against each kind of features computed by itself."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from mgr_cli import audio
from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.data import extraction
from mgr_cli.errors import AudioError
from mgr_cli.features import handcrafted, mel
from mgr_cli.plans import AUDIO_KINDS, Plan
from tests.audio_files import tones, write

SPEC = FeatureSpec(sample_rate=16_000, n_mels=20)
ALL = Plan(AUDIO_KINDS, SPEC)


def rows(path: Path, plan: Plan) -> dict[str, np.ndarray]:
    read = extraction.read(path, plan)
    return {kind: np.concatenate(list(blocks)) for kind, blocks in read.features.items()}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tmp_path / "a.wav", tones(2.5, 44_100), 44_100)


def test_log_mel_is_that_of_the_resampled_file(song: Path) -> None:
    expected = mel.log_mel(audio.load(song, sample_rate=16_000), SPEC)
    # Blocks may round apart, by what float32 leaves of a hundred decibels.
    np.testing.assert_allclose(rows(song, ALL)["log-mel"].T, expected, atol=1e-4)


def test_waveform_is_the_resampled_file_in_16_bits(song: Path) -> None:
    kept = rows(song, ALL)["waveform"]
    assert kept.dtype == np.int16
    expected = audio.load(song, sample_rate=16_000)
    np.testing.assert_allclose(kept / 2**15, expected, atol=0.5 / 2**15 + 1e-7)


def test_waveform_of_16_bits_at_its_own_rate_is_kept_to_the_bit(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 16_000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    kept = rows(tmp_path / "a.wav", Plan(("waveform",), SPEC))["waveform"]
    np.testing.assert_array_equal(kept, samples)


def test_waveform_beyond_full_scale_is_clipped_and_does_not_wrap(tmp_path: Path) -> None:
    loud = np.tile(np.array([[1.5], [-1.5]], np.float32), (8_000, 1))
    path = write(tmp_path / "a.wav", loud, 16_000, subtype="FLOAT")
    kept = rows(path, Plan(("waveform",), SPEC))["waveform"]
    assert set(kept.tolist()) == {2**15 - 1, -(2**15)}


@pytest.mark.parametrize("form", ["corrected", "fma-compat"])
def test_handcrafted_features_are_those_at_the_files_own_rate(song: Path, form: str) -> None:
    plan = Plan(("handcrafted",), SPEC, form=form)  # type: ignore[arg-type]
    waveform = audio.load(song, sample_rate=44_100)
    expected = handcrafted.extract(waveform, 44_100, form=plan.form)
    np.testing.assert_array_equal(rows(song, plan)["handcrafted"], expected[None])


def test_file_is_decoded_once_for_all_kinds(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    open_stream = audio.open_stream

    def counted(path: Path, *, sample_rate: int | None) -> audio.AudioStream:
        opened.append(path)
        return open_stream(path, sample_rate=sample_rate)

    monkeypatch.setattr(audio, "open_stream", counted)
    assert set(rows(song, ALL)) == set(AUDIO_KINDS)
    assert opened == [song]


@pytest.mark.parametrize("kind", AUDIO_KINDS)
def test_kind_alone_is_the_same_as_among_others(song: Path, kind: str) -> None:
    alone = rows(song, Plan((kind,), SPEC))  # type: ignore[arg-type]
    assert list(alone) == [kind]
    np.testing.assert_array_equal(alone[kind], rows(song, ALL)[kind])


def test_long_track_is_read_in_blocks_like_a_short_one(tmp_path: Path) -> None:
    spec = FeatureSpec(sample_rate=8_000, n_mels=20, decimation=3.3)
    path = write(tmp_path / "a.wav", tones(25, 8_000), 8_000)
    expected = mel.log_mel(audio.load(path, sample_rate=8_000), spec)
    np.testing.assert_allclose(rows(path, Plan(spec=spec))["log-mel"].T, expected, atol=1e-4)


def test_rest_of_a_long_track_is_not_read(tmp_path: Path) -> None:
    samples = tones(25, 8_000)
    whole, cut = tmp_path / "whole.wav", tmp_path / "cut.wav"
    write(whole, samples, 8_000)
    write(cut, samples[: round(12.5 * 8_000)], 8_000)
    plan = Plan(AUDIO_KINDS[:2], FeatureSpec(sample_rate=8_000, n_mels=20), max_seconds=12.5)
    assert extraction.read(whole, plan).seconds == 12.5
    for kind, expected in rows(cut, plan).items():
        np.testing.assert_array_equal(rows(whole, plan)[kind], expected)


def test_track_shorter_than_is_asked_for_is_refused(song: Path) -> None:
    with pytest.raises(AudioError, match=r"2\.5 s long, 3\.0 s at least are asked for"):
        extraction.read(song, Plan(min_seconds=3.0))
    assert extraction.read(song, Plan(min_seconds=2.5)).seconds == 2.5


def test_track_that_cannot_have_one_kind_has_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tones(2, 8_000), 8_000)  # too low a rate for the chroma
    read = extraction.read(path, ALL)
    assert set(read.features) == {"log-mel", "waveform"}
    assert "too low for the 518 features" in read.problems["handcrafted"]


def test_handcrafted_features_of_a_long_track_are_of_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mgr_cli.extraction.HANDCRAFTED_SECONDS", 1.5)
    samples = tones(25, 22_050, n_channels=1)
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    expected = handcrafted.extract(samples[: round(1.5 * 22_050), 0], 22_050)
    found = rows(path, Plan(("handcrafted",)))["handcrafted"][0]
    np.testing.assert_array_equal(found, expected)


def test_file_that_is_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no audio at all" * 100)
    with pytest.raises(AudioError):
        extraction.read(tmp_path / "a.mp3", Plan(spec=FEATURES))


def test_what_the_file_says_of_itself_is_kept(song: Path) -> None:
    read = extraction.read(song, ALL)
    assert (read.seconds, read.sample_rate, read.codec) == (2.5, 44_100, "WAV PCM_16")
    assert read.decoder.startswith("libsndfile")
