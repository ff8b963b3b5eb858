"""Chords: what must not change with the key, and what must."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import log_mel
from mgr_cli.models.families import median
from mgr_cli.models.tonality import Tonality
from tests.models.hearing import before_norm

SPEC = FeatureSpec(sample_rate=22_050, n_fft=4_096, hop_length=1_708, n_mels=128)
SECONDS = 4.0
MAJOR, TRITONE, FIFTH = (0, 4, 7), (0, 6), (0, 7)
FIFTHS = 5  # the place of their circle


def sounded(chords: list[tuple[int, tuple[int, ...]]]) -> Tensor:
    """Play chords one after the other, and return their tones in decibels, (1, bands, frames).

    A chord is a root, in semitones above 880 Hz, and intervals.
    """
    length = int(SPEC.sample_rate * SECONDS / len(chords))
    t = np.arange(length) / SPEC.sample_rate
    waves = [
        sum(np.sin(2 * np.pi * 880 * 2 ** ((root + note) / 12) * t) for note in notes)
        for root, notes in chords
    ]
    levels = torch.from_numpy(log_mel(np.concatenate(waves).astype(np.float32), SPEC))[None]
    return (levels - median(levels.transpose(1, 2)).transpose(1, 2)).relu()


def statistics(chords: list[tuple[int, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    x = sounded(chords)
    net = Tonality(128, x.shape[2], fmin=0, fmax=11_025).eval()
    parts = np.split(before_norm(net, x)[0], np.cumsum([6, 6, 6, 24, 12]))
    return dict(
        zip(("whole", "held", "wavering", "intervals", "moves", "kept"), parts, strict=True)
    )


@pytest.mark.parametrize("root", [2, 3, 5])
def test_another_key_is_the_same_chord(root: int) -> None:
    here, there = statistics([(0, MAJOR)]), statistics([(root, MAJOR)])
    np.testing.assert_allclose(there["whole"], here["whole"], atol=0.12)
    np.testing.assert_allclose(there["intervals"], here["intervals"], atol=0.25)


def test_the_intervals_of_a_chord_stand_out() -> None:
    for notes, loudest in ((FIFTH, 7), (TRITONE, 6), ((0, 4), 4)):
        intervals = statistics([(0, notes)])["intervals"]
        assert 2 + intervals[2:12].argmax() + 1 == loudest


def test_a_fifth_lies_close_on_the_circle_of_fifths_and_a_tritone_across() -> None:
    assert (
        statistics([(0, FIFTH)])["whole"][FIFTHS - 1]
        > 0.3 + (statistics([(0, TRITONE)])["whole"][FIFTHS - 1])
    )


def test_chords_that_move_by_fifths_are_told_from_such_as_stand() -> None:
    # Eight frames are 0.62 s, and so long is a chord.
    still = statistics([(0, MAJOR)] * 6)["moves"]
    moving = statistics([(7 * k % 12, (0,)) for k in range(6)])["moves"]
    assert still.argmax() == 0
    assert moving.argmax() == 7


def test_chords_that_stand_are_kept_and_such_as_change_are_not() -> None:
    still = statistics([(0, MAJOR)])["kept"]
    moving = statistics([(k, MAJOR) for k in (0, 3, 6, 9)])["kept"]
    assert still.min() > 0.8
    assert moving[0] > 0.8
    assert moving[4:].max() < 0.5


def test_silence_has_statistics() -> None:
    net = Tonality(128, 60, fmin=0, fmax=11_025).eval()
    assert np.isfinite(before_norm(net, torch.zeros(1, 128, 60))).all()


def test_narrow_bands_have_fewer_octaves() -> None:
    assert Tonality(64, 60, fmin=0, fmax=2_000).pitches.shape == (24, 64)
    with pytest.raises(ValueError, match="fmax is 879, outside 880"):
        Tonality(64, 60, fmin=0, fmax=879)
