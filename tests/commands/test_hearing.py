import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mgr_cli.commands import hearing
from mgr_cli.errors import AudioError

RATE = 8_000


def written(path: Path, seconds: float, n_channels: int, rate: int = RATE) -> np.ndarray:
    """Write noise, and return it as (n_samples, n_channels)."""
    noise = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), n_channels))
    noise = noise.astype(np.float32)
    soundfile.write(path, noise, rate, subtype="FLOAT")
    return noise


@pytest.mark.parametrize(("n_channels", "held"), [(2, 2), (6, 1)])
def test_no_more_of_a_long_song_is_held_than_its_part(
    tmp_path: Path, n_channels: int, held: int
) -> None:
    path, seconds = tmp_path / "x.wav", 1_200 / n_channels
    noise = written(path, seconds, n_channels)
    tracemalloc.start()
    try:
        found, rate = hearing._read_channels(path, seconds - 1, seconds)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    expected = noise[-RATE:] if held == n_channels else noise[-RATE:].mean(axis=1, keepdims=True)
    assert rate == RATE
    assert found.shape == (RATE, held)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert peak < noise.nbytes / 4


def test_many_channels_are_mixed_block_by_block(tmp_path: Path) -> None:
    noise = written(tmp_path / "x.wav", 60, 8)
    tracemalloc.start()
    try:
        found, _ = hearing._read_channels(tmp_path / "x.wav", 0, 60)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(found, noise.mean(axis=1, keepdims=True), atol=1e-7)
    assert peak < noise.nbytes * 0.75


def test_a_song_that_has_shrunk_is_refused_in_a_line(tmp_path: Path) -> None:
    written(tmp_path / "x.wav", 2, 1)
    with pytest.raises(AudioError, match=r"x\.wav: changed while it was explained \(nothing is"):
        hearing._read_channels(tmp_path / "x.wav", 5, 6)


@pytest.mark.parametrize(
    ("n_channels", "seconds", "is_refused"),
    [
        (1, 2.0, False),  # 16,000 values
        (1, 2.1, True),
        (2, 1.0, False),
        (2, 1.1, True),
        (6, 2.0, False),  # are mixed to one
        (6, 2.1, True),
    ],
)
def test_what_is_held_counts_before_and_after_the_explanation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_channels: int, seconds: float,
    is_refused: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(hearing, "MOST_VALUES", 16_000)
    path = tmp_path / "x.wav"
    written(path, 4, n_channels)
    if not is_refused:
        hearing.refuse(path, seconds)
        assert len(hearing._read_channels(path, 1, 1 + seconds)[0]) == seconds * RATE
        return
    expected = r"x\.wav: 2 s of it are too much|x\.wav: 1 s of it are too much"
    with pytest.raises(AudioError, match=expected):
        hearing.refuse(path, seconds)
    with pytest.raises(AudioError, match=expected):
        hearing._read_channels(path, 1, 1 + seconds)


def test_a_song_that_is_shorter_than_what_is_asked_for_counts_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "MOST_VALUES", 16_000)
    written(tmp_path / "x.wav", 2, 1)
    hearing.refuse(tmp_path / "x.wav", 600)
    with pytest.raises(AudioError, match="no such file"):
        hearing.refuse(tmp_path / "y.wav", 600)
