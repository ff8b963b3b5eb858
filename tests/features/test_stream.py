import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.features.mel import from_blocks, log_mel
from mgr_cli.features.stream import LevelStream
from mgr_cli.files import Spool

SPEC = FeatureSpec(sample_rate=8_000, n_fft=256, hop_length=100, n_mels=16)
SPECS = (
    SPEC,
    FeatureSpec(sample_rate=8_000, n_fft=256, hop_length=400, n_mels=16, scale="minmax"),
    FeatureSpec(sample_rate=8_000, n_fft=255, hop_length=64, n_mels=8, decimation=3.3),
    FEATURES,
)


def music(n_samples: int, seed: int = 0) -> np.ndarray:
    """Return noise that swells to its loudest at the end."""
    rng = np.random.default_rng(seed)
    swelling = np.linspace(0.01, 1, n_samples)
    return (swelling * rng.uniform(-1, 1, n_samples)).astype(np.float32)


def filled(waveform: np.ndarray, spec: FeatureSpec, cuts: list[int]) -> LevelStream:
    stream = LevelStream(spec)
    for start, stop in pairwise([0, *cuts, len(waveform)]):
        stream.push(waveform[start:stop])
    stream.finish()
    return stream


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("seed", range(4))
def test_levels_are_those_of_the_whole_waveform_for_any_blocks(
    spec: FeatureSpec, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    waveform = music(int(rng.integers(1, 30_000)), seed)
    cuts = sorted(rng.integers(0, len(waveform) + 1, int(rng.integers(0, 40))).tolist())
    with filled(waveform, spec, cuts) as stream:
        expected = log_mel(waveform, spec)
        assert len(stream) == expected.shape[1] == spec.n_frames(len(waveform))
        # Sums over the bins of a frame may be ordered otherwise: single precision, in dB.
        tolerance = 1e-4 if spec.scale == "decibel" else 1e-5
        np.testing.assert_allclose(stream.read(0, len(stream)), expected, atol=tolerance)


def test_pieces_are_read_in_any_order_and_again() -> None:
    waveform = music(20_000)
    whole = log_mel(waveform, SPEC)
    with filled(waveform, SPEC, [7, 5_000]) as stream:
        for start, stop in ((150, 201), (0, 3), (3, 150), (0, 201), (200, 201), (5, 5)):
            np.testing.assert_allclose(stream.read(start, stop), whole[:, start:stop], atol=1e-4)


def test_levels_refer_to_the_loudest_frame_though_it_comes_last() -> None:
    waveform = music(20_000)
    with filled(waveform, SPEC, [10_000]) as stream:
        early, late = stream.read(0, 100), stream.read(100, len(stream))
        assert late.max() == pytest.approx(0, abs=1e-6)  # a float32 logarithm less a float64 one
        assert early.max() < -3
    with LevelStream(SPEC) as stream:  # before its end a track is judged by what there was
        stream.push(waveform[:10_000])
        assert stream.read(0, len(stream)).max() == pytest.approx(0, abs=1e-6)


def test_frames_are_counted_as_they_come_and_the_last_at_the_end() -> None:
    with LevelStream(SPEC) as stream:
        assert len(stream) == 0
        stream.push(np.zeros(127, np.float32))
        assert len(stream) == 0  # a window of 256 is centred on the first sample
        stream.push(np.zeros(1, np.float32))
        assert len(stream) == 1
        stream.push(np.zeros(0, np.float32))
        assert len(stream) == 1
        stream.finish()
        assert len(stream) == SPEC.n_frames(128) == 2


def test_silence_and_nothing_at_all_have_levels() -> None:
    for spec, level in ((SPEC, 0), (SPECS[1], 0)):
        with filled(np.zeros(1_000, np.float32), spec, []) as stream:
            assert (stream.read(0, len(stream)) == level).all()
    with filled(np.zeros(0, np.float32), SPEC, []) as stream:
        assert stream.read(0, len(stream)).shape == (16, len(stream))


def test_what_is_kept_is_gone_at_the_end() -> None:
    with filled(music(1_000), SPEC, []) as stream:
        pass
    with pytest.raises(ValueError, match="closed"):
        stream.read(0, 1)


def test_memory_does_not_grow_with_the_track(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "MEMORY", 2**16)

    def blocks(n: int) -> Iterator[np.ndarray]:
        return (music(8_000, seed) for seed in range(n))

    def peak(n_blocks: int) -> int:
        tracemalloc.start()
        with LevelStream(SPEC) as stream:
            for block in blocks(n_blocks):
                stream.push(block)
            stream.finish()
            for start in range(0, len(stream), 100):
                stream.read(start, min(start + 100, len(stream)))
            highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(2)  # filters and windows are built once
    short, long = peak(20), peak(200)
    assert 200 * 80 * 16 * 4 > 2**19  # bytes of power, that would be seen
    assert long - short < 2**17
    with LevelStream(SPEC) as stream:  # what was on disk is what was computed
        for block in blocks(30):
            stream.push(block)
        stream.finish()
        np.testing.assert_allclose(
            stream.read(0, len(stream)), from_blocks(blocks(30), SPEC), atol=1e-4
        )
