"""A last layer at its optimum, on nets whose embedding is known."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli import refit as refitting
from mgr_cli.data.crops import Batch
from mgr_cli.errors import TrainingError
from mgr_cli.models import registry
from mgr_cli.models.layers import Classifier, head
from mgr_cli.refit import last_layer, refit
from mgr_cli.training import train
from tests import tiny

DIM, PENALTY = 6, 1e-2


class Bare(Classifier):
    """Its embedding is its input."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.head = head(DIM, n_classes, 0.2)

    def embed(self, x: Tensor) -> Tensor:
        return x


def segments(n: int, n_classes: int, seed: int = 0) -> Iterator[Batch]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    x = rng.normal(size=(n, DIM)) + 1.5 * np.eye(n_classes, DIM)[labels]
    for start in range(0, n, 7):
        part = slice(start, start + 7)
        yield (
            (torch.from_numpy(x[part]).float(),),
            torch.from_numpy(labels[part]),
            torch.arange(n)[part],
        )


def slope(net: Bare, batches: list[Batch], weights: Tensor | None = None) -> float:
    """Return the length of the gradient of what is to be least."""
    x, y = torch.cat([each[0][0] for each in batches]), torch.cat([each[1] for each in batches])
    layer = last_layer(net)
    layer.zero_grad()
    loss = F.cross_entropy(layer(x), y, weight=weights)
    loss = loss + PENALTY / 2 * layer.weight.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    return float(layer.weight.grad.norm() + layer.bias.grad.norm())


@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
def test_nothing_better_is_near(weights: list[float] | None) -> None:
    net, batches = Bare(3).eval(), list(segments(200, 3))
    weighed = None if weights is None else torch.tensor(weights)
    assert slope(net, batches, weighed) > 0.1
    refit(net, batches, penalty=PENALTY, weights=weights)
    assert slope(net, batches, weighed) < 1e-3


def test_two_classes_have_a_logit_each() -> None:
    net, batches = Bare(2).eval(), list(segments(200, 2))
    refit(net, batches, penalty=PENALTY)
    assert slope(net, batches) < 1e-3
    torch.testing.assert_close(last_layer(net).weight[0], -last_layer(net).weight[1])
    said = torch.cat([net(*each[0]).argmax(dim=1) == each[1] for each in batches])
    assert said.float().mean() > 0.8


def test_of_more_than_memory_is_granted_for_evenly_spread_ones_of_each_class_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    all_of_them = list(segments(200, 3))
    x, y = (torch.cat(parts) for parts in zip(*((b[0][0], b[1]) for b in all_of_them), strict=True))
    y[:] = (y > 0).long()  # and one of them alone is of the third class
    y[37] = 2
    all_of_them = [((x[at : at + 7],), y[at : at + 7], y[at : at + 7]) for at in range(0, 200, 7)]
    few, net = Bare(3).eval(), Bare(3).eval()
    chosen = torch.cat([torch.where(y == label)[0][::4] for label in range(3)])
    refit(few, [((x[chosen],), y[chosen], chosen)], penalty=PENALTY)
    monkeypatch.setattr(refitting, "MAX_VALUES", 60 * DIM)
    refit(net, all_of_them, penalty=PENALTY)
    torch.testing.assert_close(last_layer(net).weight, last_layer(few).weight)


def test_training_ends_with_it_and_gives_the_same_bytes_again(tmp_path: Path) -> None:
    dataset = tiny.dataset(tmp_path)
    recipe = replace(tiny.RECIPE, refit=PENALTY)
    plain, first, second = (
        train(
            dataset,
            tiny.ARCHITECTURE,
            recipe=each,
            hyperparameters=tiny.NARROW,
            segments=tiny.SEGMENTS,
        ).net
        for each in (tiny.RECIPE, recipe, recipe)
    )
    for (key, before), after, again in zip(
        plain.state_dict().items(), first.state_dict().values(), second.state_dict().values(),
        strict=True,
    ):  # fmt: skip
        assert torch.equal(after, again)
        assert torch.equal(after, before) == (not key.startswith("head"))


def test_a_head_of_more_than_one_layer_is_refused_before_training() -> None:
    class Deep(Classifier):
        head = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))

    for net in (Deep(), nn.Linear(2, 2)):
        with pytest.raises(TrainingError, match="refit is for nets whose last layer alone"):
            last_layer(net)
    sizes = {"n_mels": 32, "n_frames": 39, "fmin": 0, "fmax": 11_025}
    with pytest.raises(TrainingError, match="not for Committee; leave it out of the recipe"):
        last_layer(registry.build("committee", sizes, n_classes=2))
