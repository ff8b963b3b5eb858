"""What each field of a recipe does, in the numbers that it changes."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli import metrics
from mgr_cli.config import Recipe
from mgr_cli.data.crops import RandomCrops
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.task import Task
from tests import tiny
from tests.test_training import STEPS, train


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("easy"))


# What the learning rate does. `Epoch.learning_rate` is the one at the end of its epoch.


def rates(dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch, recipe: Recipe) -> list[float]:
    """Return the learning rate of each step."""
    seen: list[float] = []
    original = Task.training_step

    def spy(self: Task, batch: Any, index: int) -> Tensor:
        seen.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return original(self, batch, index)

    monkeypatch.setattr(Task, "training_step", spy)
    monkeypatch.setattr(metrics, "log_loss", lambda probs, truth: 1.0)  # never better
    train(dataset, recipe)
    return seen


def test_constant_stays(easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(tiny.RECIPE, epochs=2, schedule="constant", learning_rate=0.01)
    assert rates(easy, monkeypatch, recipe) == [0.01] * (2 * STEPS)


def test_cosine_falls_from_the_whole_rate_towards_zero(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(tiny.RECIPE, epochs=4, schedule="cosine", learning_rate=0.01)
    n = 4 * STEPS
    expected = [0.01 * (1 + math.cos(math.pi * step / n)) / 2 for step in range(n)]
    np.testing.assert_allclose(rates(easy, monkeypatch, recipe), expected, rtol=1e-9)


def test_onecycle_rises_to_the_rate_and_falls_to_nothing(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(tiny.RECIPE, epochs=5, schedule="onecycle", learning_rate=0.01)
    found = rates(easy, monkeypatch, recipe)
    assert len(found) == 5 * STEPS
    assert found[0] == pytest.approx(0.01 / 25)
    assert found[-1] == pytest.approx(0.01 / 25 / 1e4)
    top = int(np.argmax(found))
    assert 0.009 < found[top] <= 0.01
    assert 0.2 < top / len(found) < 0.35  # torch spends three tenths on the way up
    assert (np.diff(found[: top + 1]) > 0).all()
    assert (np.diff(found[top:]) < 0).all()


def test_plateau_falls_when_nothing_improves(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(
        tiny.RECIPE, epochs=20, schedule="plateau", learning_rate=0.01, patience=6, step_size=2
    )
    # The first epoch sets the mark; it is not improved in epochs 2 and 3, nor in 4 and 5,
    # nor in 6 and 7, after which training stops.
    of_epochs = [0.01, 0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025]
    expected = [rate for rate in of_epochs for _ in range(STEPS)]
    np.testing.assert_allclose(rates(easy, monkeypatch, recipe), expected)


def test_step_falls_every_so_many_epochs(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(
        tiny.RECIPE, epochs=5, schedule="step", learning_rate=0.01, step_size=2, gamma=0.1
    )
    of_epochs = [0.01, 0.01, 0.001, 0.001, 0.0001]
    expected = [rate for rate in of_epochs for _ in range(STEPS)]
    np.testing.assert_allclose(rates(easy, monkeypatch, recipe), expected)


# What the optimiser does with a gradient of one, two steps long, to a weight and a bias of one.


def stepped(recipe: Recipe) -> tuple[float, float]:
    net = nn.Linear(1, 1)
    nn.init.ones_(net.weight)
    nn.init.ones_(net.bias)
    task = tiny.task(net, replace(recipe, schedule="constant"), n_classes=1)
    task._trainer = type("T", (), {"estimated_stepping_batches": 2})()
    optimizer = task.configure_optimizers()
    for _ in range(2):
        for parameter in net.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    return net.weight.item(), net.bias.item()


def test_sgd_has_momentum_and_an_l2_penalty_on_weights_alone() -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.5, weight_decay=0.2)
    # Velocity 1, then 1.5; that of the weight has 0.2 of the weight in it: 1.2, then 0.6 + 1.176.
    weight, bias = stepped(recipe)
    assert bias == pytest.approx(1 - 0.1 * 1 - 0.1 * 1.5)
    assert weight == pytest.approx(1 - 0.12 - 0.1 * (0.5 * 1.2 + 1 + 0.2 * 0.88))


def test_adamw_decays_apart_from_the_gradient_and_adam_within_it() -> None:
    # A steady gradient of any size moves Adam by its rate; only AdamW shrinks the weight too.
    for optimizer, shrink in (("adam", 0.0), ("adamw", 0.5)):
        recipe = Recipe(optimizer=optimizer, learning_rate=0.1, weight_decay=shrink or 0.5)  # type: ignore[arg-type]
        weight, bias = stepped(recipe)
        assert bias == pytest.approx(0.8, abs=1e-4)
        first = 1 - 0.1 * shrink - 0.1
        expected = first - 0.1 * shrink * first - 0.1
        assert weight == pytest.approx(expected, abs=2e-3)  # Adam's own gradient changes a little


def test_long_gradients_are_scaled_down(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []

    original = Task.on_train_batch_end

    def spy(self: Task, *arguments: object) -> None:
        original(self, *arguments)
        gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
        norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))

    monkeypatch.setattr(Task, "on_train_batch_end", spy)
    for clip in (0.0, 0.05):
        norms.clear()
        train(easy, replace(tiny.RECIPE, epochs=1, clip=clip))
        assert len(norms) == STEPS
        longest = max(norms)
        assert longest > 0.1 if not clip else longest <= 0.05 * 1.0001


# What makes up for genres with few tracks.


def test_loss_of_a_rare_class_counts_more() -> None:
    task = tiny.task(nn.Flatten(), Recipe(), n_classes=2, weights=torch.tensor([3.0, 0.5]))
    task._trainer = type("T", (), {"world_size": 1})()
    x = torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]]])
    loss = task.training_step(((x,), torch.tensor([0, 1]), torch.arange(2)), 0).item()
    of_first, of_second = math.log1p(math.e), math.log1p(math.exp(-1))
    assert loss == pytest.approx((3.0 * of_first + 0.5 * of_second) / 2, rel=1e-6)


def unbalanced(tmp_path: Path) -> PreparedDataset:
    """Leave four, two and one training track of the three genres."""
    whole = tiny.dataset(tmp_path)
    left = whole.tracks.split.copy()
    for name in ("jazz-2", "jazz-3", "rock-1", "rock-2", "rock-3"):
        left[whole.tracks.track_id == f"train-{name}"] = ""
    return replace(whole, tracks=whole.tracks.assign(split=left))


def test_weights_are_the_inverse_of_the_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor | None] = []
    original = Task.training_step

    def spy(self: Task, batch: Any, index: int) -> Tensor:
        seen.append(self.weights)
        return original(self, batch, index)

    monkeypatch.setattr(Task, "training_step", spy)
    train(unbalanced(tmp_path), replace(tiny.RECIPE, epochs=1, balance="weights"))
    assert seen[0] is not None
    np.testing.assert_allclose(seen[0].numpy(), [7 / 12, 7 / 6, 7 / 3], rtol=1e-6)
    train(unbalanced(tmp_path), replace(tiny.RECIPE, epochs=1))
    assert seen[-1] is None


def test_rare_classes_are_drawn_as_often_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: Counter[int] = Counter()
    original = Task.training_step

    def spy(self: Task, batch: Any, index: int) -> Tensor:
        drawn.update(batch[1].tolist())
        return original(self, batch, index)

    monkeypatch.setattr(Task, "training_step", spy)
    recipe = replace(tiny.RECIPE, epochs=30, patience=30, balance="sampling", learning_rate=1e-9)
    train(unbalanced(tmp_path), recipe)
    n = 30 * 7 * 4  # segments of seven tracks
    assert drawn.total() == n
    for label in range(3):
        # Binomial with p = 1/3: 13.7 is a standard deviation, and 4 of them are given.
        assert drawn[label] == pytest.approx(n / 3, abs=4 * math.sqrt(n * 2 / 9))


def test_shares_decide_how_often_a_track_is_drawn() -> None:
    crops = RandomCrops({4: 30, 9: 10}, length=10, seed=0, shares={4: 0.0, 9: 2.0})
    assert len(crops) == 4
    assert {number for number, _ in crops} == {9}
