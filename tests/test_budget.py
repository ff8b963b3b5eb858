from dataclasses import replace
from pathlib import Path

import pytest

from mgr_cli import training
from mgr_cli.budget import Clock, epochs_within
from mgr_cli.trainer import Machine
from tests import tiny


def clock(train: list[float], valid: list[float]) -> Clock:
    made = Clock()
    made.train, made.valid = train, valid
    return made


def test_epochs_are_those_that_fit() -> None:
    # The medians are 0.2 and 0.1 s: an epoch takes 100 * 0.2 + 10 * 0.1 = 21 s.
    timed = clock([0.2, 0.2, 9.0], [0.1])
    assert epochs_within(1.0, timed, n_train=100, n_valid=10) == 2
    assert epochs_within(1.06, timed, n_train=100, n_valid=10) == 3
    assert epochs_within(0.1, timed, n_train=100, n_valid=10) == 1


def test_steps_are_timed_without_the_one_that_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 11.0, 13.0, 20.0, 20.5])
    monkeypatch.setattr("mgr_cli.budget.perf_counter", lambda: next(now))
    timed = Clock()
    timed.on_train_start()
    for _ in range(3):
        timed.on_train_batch_end(None)  # type: ignore[arg-type]
    timed.on_validation_start()
    for _ in range(2):
        timed.on_validation_batch_end()
    assert (timed.train, timed.valid) == ([1.0, 2.0], [0.5])


def test_recipe_is_shortened_to_the_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tiny.dataset(tmp_path)
    asked: list[tuple[int, int]] = []

    def epochs(minutes: float, clock: Clock, *, n_train: int, n_valid: int) -> int:
        assert clock.train
        assert minutes == 0.5
        asked.append((n_train, n_valid))
        return 5

    monkeypatch.setattr(training, "epochs_within", epochs)
    for most, expected in ((8, 5), (3, 3)):
        recipe = replace(tiny.RECIPE, epochs=most)
        shorter = training.shortened(
            0.5, dataset, tiny.ARCHITECTURE, recipe=recipe, hyperparameters=dict(tiny.NARROW),
            segments=tiny.SEGMENTS, machine=Machine(device="cpu"),
        )  # fmt: skip
        assert shorter == replace(recipe, epochs=expected)
    # 12 tracks of four segments, 16 a batch; 6 tracks to validate.
    assert asked == [(3, 2)] * 2
