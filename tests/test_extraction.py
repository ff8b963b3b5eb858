"""What goes wrong on the way to features; what they are is in `tests.data.test_extraction`."""

import errno
import gc
import warnings
from typing import Any

import numpy as np
import pytest

from mgr_cli import extraction
from mgr_cli.config import FeatureSpec
from mgr_cli.extraction import Extraction
from mgr_cli.features import handcrafted
from mgr_cli.files import Spool
from mgr_cli.plans import Kind, Plan

RATE = 8_000
SPEC = FeatureSpec(sample_rate=RATE, n_fft=512, hop_length=400, n_mels=16)
NOISE = np.random.default_rng(0).uniform(-1, 1, 2 * RATE).astype(np.float32)


@pytest.mark.parametrize(("full", "other"), [("log-mel", "waveform"), ("waveform", "log-mel")])
def test_full_disk_costs_the_features_that_did_not_fit(
    monkeypatch: pytest.MonkeyPatch, full: Kind, other: Kind
) -> None:
    width = {"log-mel": SPEC.n_mels, "waveform": 1}[full]

    def append(spool: Any, rows: np.ndarray) -> None:
        if spool._width == width and not refused:  # a closed file would be an error of another kind
            refused.append(True)
            raise OSError(errno.ENOSPC, "No space left on device")
        room(spool, rows)

    refused: list[bool] = []
    room = Spool.append
    monkeypatch.setattr(Spool, "append", append)
    with Extraction(Plan(("log-mel", "waveform"), SPEC), RATE) as track:
        for block in np.split(NOISE, 4):
            track.push(block)
        track.finish()
        assert list(track.problems) == [full]
        assert track.problems[full].startswith(f"its {full} does not fit into ")
        assert "(No space left on device); make room there" in track.problems[full]
        assert track.n_rows(other) == {"log-mel": 41, "waveform": 2 * RATE}[other]


def test_waveform_is_what_16_bits_leave_of_it() -> None:
    # Half a step rounds to the even one, and what is beyond full scale is clipped.
    given = np.array([0.5 / 2**15, 1.5 / 2**15, 1.0, -1.0, -7.0, 0.25], np.float32)
    with Extraction(Plan(("waveform",), SPEC), RATE) as track:
        track.push(np.tile(given, 100))
        track.finish()
        kept = track.read("waveform", 0, 6)
    expected = np.array([[0, 2, 2**15 - 1, -(2**15), -(2**15), 2**13]]) / 2**15
    np.testing.assert_array_equal(kept, expected.astype(np.float32))
    assert kept.dtype == np.float32


@pytest.mark.parametrize("kinds", [("log-mel",), ("waveform",), ("handcrafted",)])
def test_nothing_is_left_open(kinds: tuple[Kind, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with Extraction(Plan(kinds, SPEC), RATE) as track:
            track.push(NOISE)
        assert track._levels._spool._file.closed
        assert track._waveform._file.closed
        del track
        gc.collect()


def test_handcrafted_features_take_so_many_samples_at_the_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[int] = []

    def extract(waveform: np.ndarray, *_: object, **__: object) -> np.ndarray:
        heard.append(len(waveform))
        return np.zeros(518, np.float32)

    monkeypatch.setattr(handcrafted, "extract", extract)
    monkeypatch.setattr(extraction, "HANDCRAFTED_SAMPLES", 5_000)
    with Extraction(Plan(("handcrafted",), SPEC), RATE) as track:
        for block in np.split(NOISE, 4):
            track.push(block)
        track.finish()
    assert heard == [5_000]
    assert round(extraction.HANDCRAFTED_SECONDS * 96_000) == 57_600_000
