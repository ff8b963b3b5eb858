from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from mgr_cli import demo as demo_module
from mgr_cli.config import SEED
from mgr_cli.demo import DEMO, DEMO_BPM, render_demo, write_demo
from mgr_cli.instruments import SAMPLE_RATE
from mgr_cli.synthesis import PEAK


@pytest.fixture(scope="module")
def demo() -> np.ndarray:
    return render_demo(np.random.default_rng(SEED))


def test_demo_lasts_about_20_seconds_and_does_not_clip(demo: np.ndarray) -> None:
    assert 18 < demo.size / SAMPLE_RATE < 25
    assert np.abs(demo).max() == np.float32(PEAK)
    assert np.abs(demo[-1]) < 1e-6


def test_same_seed_gives_the_same_bits(demo: np.ndarray) -> None:
    np.testing.assert_array_equal(demo, render_demo(np.random.default_rng(SEED)))


def test_demo_has_its_tempo(demo: np.ndarray) -> None:
    wave = librosa.resample(demo, orig_sr=SAMPLE_RATE, target_sr=22_050)
    onsets = librosa.onset.onset_strength(y=wave, sr=22_050, hop_length=128)
    tempo = librosa.feature.tempo(onset_envelope=onsets, sr=22_050, hop_length=128)
    assert tempo[0] == pytest.approx(DEMO_BPM, rel=0.01)  # one frame of a beat is 1.1 %


def test_demo_ends_on_a_minor(demo: np.ndarray) -> None:
    last = demo[round(40 * 60 / DEMO_BPM * SAMPLE_RATE) :][: SAMPLE_RATE // 2]
    chroma = librosa.feature.chroma_stft(y=last, sr=SAMPLE_RATE, n_fft=16_384).mean(axis=1)
    assert set(np.argsort(chroma)[-3:]) == {9, 0, 4}  # A, C and E, counted from C


def test_intro_is_quieter_than_the_song(demo: np.ndarray) -> None:
    bar = round(4 * 60 / DEMO_BPM * SAMPLE_RATE)
    level = [20 * np.log10(np.std(demo[k * bar : (k + 1) * bar])) for k in range(10)]
    assert level[0] < level[1] < min(level[2:])


def test_shipped_file_is_what_the_score_renders(demo: np.ndarray) -> None:
    shipped, rate = soundfile.read(DEMO, dtype="float32")
    assert rate == SAMPLE_RATE
    assert shipped.shape == demo.shape  # the gapless tag takes the encoder's delay off
    assert np.abs(shipped).max() < 1.0
    # Measured 20.6 dB, what 112 kbit/s cost; 18.2 without the hi-hat, 13.7 without the snare,
    # less without any other part, and -2.8 with another seed.
    noise = np.sum((shipped - demo) ** 2, dtype=np.float64)
    assert 10 * np.log10(np.sum(demo**2, dtype=np.float64) / noise) > 19.5


def test_shipped_file_is_small() -> None:
    assert DEMO.stat().st_size < 400_000


def test_write_demo_makes_an_mp3_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: np.ndarray
) -> None:
    monkeypatch.setattr(demo_module, "render_demo", lambda rng: demo)
    write_demo(tmp_path / "new" / "track")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["track"]
    info = soundfile.info(tmp_path / "new" / "track")
    assert (info.format, info.samplerate, info.frames) == ("MP3", SAMPLE_RATE, demo.size)


def test_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: np.ndarray
) -> None:
    def fail(file: Any, *rest: Any, **options: Any) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(demo_module, "render_demo", lambda rng: demo)
    monkeypatch.setattr(soundfile, "write", fail)
    (tmp_path / "demo.mp3").write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        write_demo(tmp_path / "demo.mp3")
    assert (tmp_path / "demo.mp3").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
