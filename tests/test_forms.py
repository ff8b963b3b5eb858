from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mgr_cli import forms
from mgr_cli.errors import AudioError
from mgr_cli.forms import FORMS, Form, Sound, decoded, formed
from tests.audio_files import cut, tones, write

RATE = 8_000
RAMP = np.arange(10, dtype=np.float32)[:, None] / 10


def test_the_forms_are_those_that_are_asked_for() -> None:
    names = [form.name for form in FORMS]
    assert len(set(names)) == len(names)
    rates = {form.bit_rate for form in FORMS if form.codec == "mp3"}
    assert rates == {64_000, 96_000, 128_000, 192_000, 320_000}
    assert {"pcm16", "vorbis", "aac", "mp3", "float"} == {form.codec for form in FORMS}
    assert {form.gain_db for form in FORMS} == {0, 12, -12}
    plain = [form for form in FORMS if form.codec == "float"]
    assert {form.sample_rate for form in plain} == {None, 22_050, 32_000, 44_100, 48_000}
    assert {form.n_channels for form in FORMS} == {None, 1, 2}
    parts = [(form.seconds, form.start) for form in FORMS if form.seconds is not None]
    assert parts == [(10, 0), (10, 0.5)]


def test_excerpts_lie_where_they_should() -> None:
    sound = Sound(RAMP, 1)
    for start, expected in ((0.0, [0, 1, 2, 3]), (0.5, [3, 4, 5, 6]), (1.0, [6, 7, 8, 9])):
        made = formed(sound, Form("x", seconds=4, start=start))
        assert made is not None
        assert (10 * made.samples[:, 0]).round().tolist() == expected


def test_level_is_changed_by_decibels_and_nothing_is_clipped() -> None:
    made = formed(Sound(RAMP, 1), Form("x", gain_db=20))
    assert made is not None
    assert made.samples == pytest.approx(10 * RAMP)
    softer = formed(Sound(RAMP, 1), Form("x", gain_db=-6.0206))
    assert softer is not None
    assert softer.samples == pytest.approx(RAMP / 2, rel=1e-5)


def test_channels_are_averaged_or_doubled() -> None:
    two = np.concatenate([RAMP, 3 * RAMP], axis=1)
    one = formed(Sound(two, 1), Form("x", n_channels=1))
    assert one is not None
    assert one.samples == pytest.approx(2 * RAMP)
    doubled = formed(Sound(RAMP, 1), Form("x", n_channels=2))
    assert doubled is not None
    assert np.array_equal(doubled.samples, np.concatenate([RAMP, RAMP], axis=1))


def test_another_rate_keeps_pitch_and_length() -> None:
    made = formed(Sound(tones(1.0, RATE, n_channels=2), RATE), Form("x", sample_rate=22_050))
    assert made is not None
    assert (made.sample_rate, made.samples.shape) == (22_050, (22_050, 2))
    for channel, pitch in enumerate((440, 880)):  # one bin of this spectrum is 1 Hz
        assert np.abs(np.fft.rfft(made.samples[:, channel])).argmax() == pitch


@pytest.mark.parametrize(
    "form",
    [Form("x"), Form("x", n_channels=1), Form("x", sample_rate=1), Form("x", seconds=10),
     Form("x", seconds=11, start=0.5)],
    ids=["nothing", "mono", "its rate", "its length", "longer"],
)  # fmt: skip
def test_a_form_that_changes_nothing_is_not_made(form: Form) -> None:
    sound = Sound(RAMP, 1)
    assert formed(sound, form) is None
    other = formed(sound, replace(form, codec="mp3"))  # a codec changes it all the same
    assert other is not None
    assert np.array_equal(other.samples, RAMP)


def test_a_file_is_read_with_its_own_channels_and_rate(tmp_path: Path) -> None:
    samples = tones(1.0, RATE, n_channels=2)
    sound = decoded(write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT"))
    assert sound.sample_rate == RATE
    assert np.array_equal(sound.samples, samples)
    assert not sound.is_cut


def test_of_many_channels_the_average_is_taken(tmp_path: Path) -> None:
    samples = tones(0.5, RATE, n_channels=5)
    sound = decoded(write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT"))
    assert sound.samples == pytest.approx(samples.mean(axis=1, keepdims=True), abs=1e-6)


def test_only_the_beginning_of_a_long_file_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = tones(25.0, RATE, n_channels=2)  # blocks are ten seconds
    path = write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    for seconds, is_cut in ((12.0, True), (20.0, True), (25.0, False), (30.0, False)):
        sound = decoded(path, seconds=seconds)
        assert np.array_equal(sound.samples, samples[: round(seconds * RATE)])
        assert sound.is_cut == is_cut, seconds
    monkeypatch.setattr(forms, "MOST_VALUES", 1_000)  # whatever its rate and channels are
    assert len(decoded(path).samples) == 500


def test_a_file_that_breaks_off_is_one_error(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.flac", tones(12.0, RATE), RATE)
    with pytest.raises(AudioError, match=r"half\.flac: damaged"):
        decoded(cut(whole, 0.5, tmp_path / "half.flac"))
