"""Runs that are stopped, killed and taken up, against one that was never stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mgr_cli import training
from mgr_cli.config import Recipe
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import TrainingError
from mgr_cli.task import Epoch
from mgr_cli.trainer import Machine
from mgr_cli.training import Trained
from tests import tiny

REPOSITORY = Path(__file__).parents[1]
ALL = Recipe(
    epochs=6, batch_size=16, learning_rate=0.01, patience=6, label_smoothing=0.1, mixup=0.3,
    frequency_mask=0.2, time_mask=0.2, ema=0.8,
)  # fmt: skip


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("hard"), contrast=1.0)


def run(dataset: PreparedDataset, recipe: Recipe, **options: Any) -> Trained:
    return training.train(
        dataset,
        tiny.ARCHITECTURE,
        recipe=recipe,
        hyperparameters={"width": 2, "dropout": 0.3},
        segments=tiny.SEGMENTS,
        machine=Machine(device="cpu"),
        **options,
    )


def assert_same(one: Trained, other: Trained) -> None:
    expected, found = one.net.state_dict(), other.net.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    for a, b in zip(one.history, other.history, strict=True):
        assert asdict(a) | {"seconds": 0} == asdict(b) | {"seconds": 0}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle", "plateau", "step"])
def test_run_that_was_stopped_ends_like_one_that_was_not(
    hard: PreparedDataset, tmp_path: Path, schedule: Any
) -> None:
    recipe = replace(ALL, schedule=schedule, step_size=1)
    whole = run(hard, recipe)
    saved = tmp_path / "run.ckpt"

    def stop(epoch: Epoch) -> None:
        if epoch.number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(hard, recipe, checkpoint=saved, on_epoch=stop)
    told: list[int] = []
    again = run(
        hard, recipe, checkpoint=saved, resume=True,
        on_epoch=lambda epoch: told.append(epoch.number),
    )  # fmt: skip
    assert told == [4, 5, 6]
    assert_same(whole, again)
    assert not saved.exists()


def test_patience_goes_on_where_it_was(hard: PreparedDataset, tmp_path: Path) -> None:
    recipe = replace(ALL, epochs=40, patience=3, learning_rate=1e-9, ema=0.0)
    whole = run(hard, recipe)
    n_epochs = len(whole.history)
    assert 3 < n_epochs < 40

    def stop(epoch: Epoch) -> None:
        if epoch.number == n_epochs - 1:
            raise KeyboardInterrupt

    saved = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        run(hard, recipe, checkpoint=saved, on_epoch=stop)
    assert_same(whole, run(hard, recipe, checkpoint=saved, resume=True))


def test_without_resume_a_run_begins_anew(hard: PreparedDataset, tmp_path: Path) -> None:
    (tmp_path / "run.ckpt").write_bytes(b"of another run")
    recipe = replace(ALL, epochs=2)
    assert_same(run(hard, recipe), run(hard, recipe, checkpoint=tmp_path / "run.ckpt"))


@pytest.mark.parametrize("data", [b"", b"no checkpoint", b"\x80\x04K\x01."])
def test_checkpoint_that_is_damaged_is_one_line(
    hard: PreparedDataset, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "run.ckpt").write_bytes(data)
    with pytest.raises(TrainingError, match=r"run\.ckpt: cannot be taken up") as raised:
        run(hard, ALL, checkpoint=tmp_path / "run.ckpt", resume=True)
    assert "\n" not in str(raised.value)


def test_checkpoint_with_code_in_it_does_not_run(hard: PreparedDataset, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "boom"),)

    torch.save({"mgr": Bomb()}, tmp_path / "run.ckpt")
    with pytest.raises(TrainingError, match="cannot be taken up"):
        run(hard, ALL, checkpoint=tmp_path / "run.ckpt", resume=True)
    assert not (tmp_path / "boom").exists()


@pytest.mark.slow
def test_killed_run_is_taken_up_with_the_same_result(hard: PreparedDataset, tmp_path: Path) -> None:
    recipe = replace(ALL, epochs=30, patience=30)
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.test_resume import ALL, replace, run\n"
        "from mgr_cli.data.prepared import load\n"
        "run(load(Path(sys.argv[1])), replace(ALL, epochs=30, patience=30),\n"
        "    checkpoint=Path(sys.argv[2]), resume=True)"
    )
    saved = tmp_path / "run.ckpt"
    command = [sys.executable, "-c", program, str(hard.root), str(saved)]
    with subprocess.Popen(command, cwd=REPOSITORY) as process:
        deadline = time.monotonic() + 60
        while not saved.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert saved.exists()
    again = run(hard, recipe, checkpoint=saved, resume=True)
    assert_same(run(hard, recipe), again)
