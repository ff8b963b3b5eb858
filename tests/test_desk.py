"""Segments of several songs are judged together, and come home to their songs."""

from pathlib import Path

import numpy as np
import pytest

from mgr_cli.config import SegmentSpec
from mgr_cli.desk import Desk
from mgr_cli.errors import ZooError
from mgr_cli.inputs import Arrays
from mgr_cli.intake import Facts
from mgr_cli.prediction import Predictor
from mgr_cli.worker import End
from tests import tiny


class Counted:
    """Judges a segment by its own numbers alone, and remembers how many came at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, inputs: Arrays) -> np.ndarray:
        (x,) = inputs
        self.sizes.append(len(x))
        first = x.reshape(len(x), -1)[:, :1]
        return np.concatenate([first, 1 - first, 0 * first], axis=1)


def desk(at_once: int) -> tuple[Desk, Counted]:
    card = tiny.card().model_copy(update={"segments": SegmentSpec(0.5, 0.5)})
    score = Counted()
    predictor = Predictor(card, score)
    predictor.at_once = at_once
    return Desk([Path(name) for name in "abcd"], predictor), score


def pieces(*values: float) -> Arrays:
    return (np.tile(np.array(values, np.float32)[:, None, None], (1, 16, 10)),)


def facts(n: int) -> Facts:
    return Facts(tuple(0.5 * k for k in range(n)), 0.5, 0.5 * n, padded=False)


def test_segments_of_several_songs_share_a_batch_and_rows_come_home() -> None:
    at, score = desk(4)
    songs = {0: (0.1, 0.2, 0.3), 1: (0.4,), 2: (0.9, 0.8, 0.7, 0.6, 0.5)}
    found = []
    for index, values in songs.items():
        for thing in (pieces(*values), facts(len(values)), End()):
            at.take(index, thing)
            found += list(at.judge(less=False))
    assert score.sizes == [4, 4]
    assert [index for index, _ in found] == [0, 1]  # the last one lacks a row
    found += list(at.judge(less=True))
    assert score.sizes == [4, 4, 1]
    for index, record in found:
        assert record.path == "abcd"[index]
        assert record.probabilities
        assert record.probabilities["blues"] == pytest.approx(np.mean(songs[index]), abs=1e-6)
        assert len(record.segments) == len(songs[index])


def test_nothing_waits_when_nothing_else_is_at_hand() -> None:
    at, score = desk(64)
    at.take(0, pieces(0.5))
    at.take(0, facts(1))
    at.take(0, End())
    assert list(at.judge(less=False)) == []
    ((index, record),) = at.judge(less=True)
    assert (index, record.status, score.sizes) == (0, "ok", [1])


def test_segments_of_a_song_that_is_lost_are_let_go() -> None:
    at, _ = desk(4)
    at.take(0, pieces(0.5, 0.5))
    at.take(1, pieces(0.25))
    at.take(0, facts(2))
    at.take(0, End("crashed"))
    at.take(1, facts(1))
    at.take(1, End())
    lost, other = (record for _, record in sorted(at.judge(less=True), key=lambda pair: pair[0]))
    assert (lost.status, lost.error) == ("error", "crashed")
    assert other.probabilities
    assert other.probabilities["blues"] == 0.25
    assert not at._probs
    assert not at._facts


class Failing(Counted):
    """Fails over a negative number, whatever else is in the batch."""

    def __call__(self, inputs: Arrays) -> np.ndarray:
        rows = super().__call__(inputs)
        if (rows < 0).any():
            raise ZooError("tiny: its graph failed")
        return rows


def test_a_model_that_fails_over_a_song_costs_that_song() -> None:
    at, _ = desk(4)
    at._predictor.score = score = Failing()
    songs = {0: (0.1, 0.2), 1: (-1.0, 0.3, 0.4, 0.5), 2: (0.6, 0.7)}
    for index, values in songs.items():
        at.take(index, pieces(*values))
    found = dict(at.judge(less=False))  # of the song at fault two segments still wait
    at.take(1, pieces(0.5))
    for index, values in songs.items():
        at.take(index, facts(len(values)))
        at.take(index, End())
    found |= dict(at.judge(less=True))
    assert {index: record.error for index, record in found.items()} == {
        0: "", 1: "tiny: its graph failed", 2: "",
    }  # fmt: skip
    assert score.sizes == [4, 2, 2, 2]  # together, one by one, and what is left
    assert found[0].probabilities
    assert found[0].probabilities["blues"] == pytest.approx(0.15, abs=1e-6)
    assert found[2].probabilities
    assert found[2].probabilities["blues"] == pytest.approx(0.65, abs=1e-6)
    assert not at._faults
