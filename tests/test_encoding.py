from pathlib import Path

import numpy as np
import pytest

from mgr_cli import audio, encoding
from mgr_cli.encoding import SUFFIXES, Codec
from mgr_cli.errors import AudioError
from tests.audio_files import tones

RATE = 44_100
LOSSY: tuple[Codec, ...] = ("vorbis", "mp3", "aac")


def written(folder: Path, samples: np.ndarray, codec: Codec, *, rate: int = RATE) -> Path:
    path = folder / f"x{SUFFIXES[codec]}"
    encoding.write(path, samples, sample_rate=rate, codec=codec)
    return path


@pytest.mark.parametrize("codec", SUFFIXES)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_what_is_written_is_heard_again(codec: Codec, n_channels: int, tmp_path: Path) -> None:
    samples = tones(1.0, RATE, n_channels=n_channels)
    path = written(tmp_path, samples, codec)
    with audio.open_stream(path, sample_rate=None) as stream:
        assert (stream.info.channels, stream.info.sample_rate) == (n_channels, RATE)
        heard = np.concatenate(list(stream))
    mono = samples.mean(axis=1)
    n = min(len(heard), len(mono))
    assert abs(len(heard) - len(mono)) < 0.1 * RATE  # a delay and a last block at the most
    spectra = [np.abs(np.fft.rfft(each[:n])) for each in (heard, mono)]
    likeness = np.corrcoef(np.stack(spectra))[0, 1]  # shifts in time leave the spectrum alone
    assert likeness > 0.99


def test_float_files_lose_nothing_and_are_not_clipped(tmp_path: Path) -> None:
    samples = 4 * tones(0.5, RATE, n_channels=1)
    assert abs(samples).max() > 1.1
    heard = audio.load(written(tmp_path, samples, "float"), sample_rate=RATE)
    assert np.array_equal(heard, samples[:, 0])


def test_16_bits_are_clipped_at_full_scale_and_do_not_wrap(tmp_path: Path) -> None:
    samples = 4 * tones(0.5, RATE, n_channels=1)
    heard = audio.load(written(tmp_path, samples, "pcm16"), sample_rate=RATE)
    step = 2.0**-15
    assert np.abs(heard - np.clip(samples[:, 0], -1, 1)).max() <= step


@pytest.mark.parametrize("kilobits", [64, 320])
def test_mp3_has_the_bit_rate_that_is_asked_for(kilobits: int, tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    noise = np.random.default_rng(0).normal(0, 0.1, (3 * RATE, 2)).astype(np.float32)
    encoding.write(path, noise, sample_rate=RATE, codec="mp3", bit_rate=1_000 * kilobits)
    assert 8 * path.stat().st_size / 3 == pytest.approx(1_000 * kilobits, rel=0.03)


def test_an_encoder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(encoding._FFMPEG, "mp3", ("libnothing", "mp3"))
    with pytest.raises(AudioError, match=r"no encoder for mp3 in this FFmpeg .*libnothing"):
        written(tmp_path, tones(0.2, RATE), "mp3")


@pytest.mark.parametrize("codec", LOSSY)
def test_what_an_encoder_refuses_is_one_error(codec: Codec, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=f"cannot be encoded as {codec}"):
        written(tmp_path, tones(0.01, 700_000), codec, rate=700_000)


def test_more_than_two_channels_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(n_samples, 1 or 2\)"):
        written(tmp_path, tones(0.1, RATE, n_channels=3), "float")
