import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli import augment, metrics, publication, trainer, training
from mgr_cli.config import Recipe
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import ShardReader, shard_path
from mgr_cli.errors import ArchitectureError, DatasetError, TrainingError, ZooError
from mgr_cli.evaluation import evaluate
from mgr_cli.prediction import Predictor
from mgr_cli.task import Epoch, Task
from mgr_cli.trainer import Machine
from mgr_cli.training import Trained
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo.card import load_card
from tests import shards, tiny

# 12 training tracks of four segments each, 16 a batch.
STEPS = 3
CPU = Machine(device="cpu")


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute alike on every CPU, so that figures can be worked out again."""
    monkeypatch.setattr(trainer, "fastest_precision", lambda device: "32")


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("easy"))


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Genres that can hardly be told apart, so that validation goes up and down."""
    return tiny.dataset(tmp_path_factory.mktemp("hard"), contrast=0.3)


def train(dataset: PreparedDataset, recipe: Recipe, *, seed: int = 0) -> Trained:
    return training.train(
        dataset,
        tiny.ARCHITECTURE,
        recipe=recipe,
        hyperparameters=dict(tiny.NARROW),
        segments=tiny.SEGMENTS,
        seed=seed,
        machine=CPU,
    )


def equal(one: nn.Module, two: nn.Module) -> bool:
    states = one.state_dict(), two.state_dict()
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def publish(trained: Trained, dataset: PreparedDataset, zoo: Path, name: str = "x") -> Path:
    return publication.publish(trained, dataset, zoo, name=name)


def test_it_learns_what_can_be_told_apart(easy: PreparedDataset, tmp_path: Path) -> None:
    trained = train(easy, tiny.RECIPE)
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    test = evaluate(Predictor.load(publish(trained, easy, tmp_path), device="cpu"), easy)
    assert test.assessment.track["accuracy"].value == 1.0  # six tracks; chance is a third
    assert test.assessment.segment["accuracy"].value > 0.9


def test_it_learns_with_everything_switched_on(easy: PreparedDataset) -> None:
    recipe = replace(
        tiny.RECIPE, label_smoothing=0.1, mixup=0.3, frequency_mask=0.2, time_mask=0.2,
        ema=0.5, schedule="onecycle", epochs=15,
    )  # fmt: skip
    assert train(easy, recipe).best.valid_accuracy > 0.8


def test_a_seed_gives_the_same_weights_to_the_bit(easy: PreparedDataset) -> None:
    recipe = replace(tiny.RECIPE, epochs=2, mixup=0.3, time_mask=0.3, ema=0.9)
    one, again, other = (train(easy, recipe, seed=seed) for seed in (1, 1, 2))
    assert equal(one.net, again.net)
    assert not equal(one.net, other.net)
    assert [replace(epoch, seconds=0) for epoch in one.history] == [
        replace(epoch, seconds=0) for epoch in again.history
    ]


def test_the_callers_generators_are_left_as_they_were(easy: PreparedDataset) -> None:
    def states() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())  # noqa: NPY002

    torch.manual_seed(5)
    before = states()
    train(easy, replace(tiny.RECIPE, epochs=1, mixup=0.5))
    assert states() == before


def test_the_callers_generator_does_not_matter(easy: PreparedDataset) -> None:
    recipe = replace(tiny.RECIPE, epochs=1, mixup=0.5)
    torch.manual_seed(5)
    one = train(easy, recipe)
    torch.manual_seed(6)
    assert equal(one.net, train(easy, recipe).net)


def test_nothing_is_left_lying_about(
    easy: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train(easy, replace(tiny.RECIPE, epochs=1))
    assert list(tmp_path.iterdir()) == []


def by_hand(trained: Trained, dataset: PreparedDataset) -> tuple[float, float]:
    """Work out log loss and accuracy of whole validation tracks, one at a time."""
    mean, std = (np.array(v)[:, None] for v in (tiny.NORMALISATION.mean, tiny.NORMALISATION.std))
    numbers = dataset.numbers("valid")
    losses, hits = [], []
    for number, label in zip(numbers, dataset.labels(numbers), strict=True):
        x = (dataset.reader().frames(int(number)) - mean) / std
        cut = np.stack([x[:, first : first + 10] for first in range(0, tiny.N_FRAMES, 10)])
        with torch.inference_mode():
            probs = trained.net(torch.from_numpy(cut).float()).softmax(dim=1).mean(dim=0)
        losses.append(-math.log(probs[label]))
        hits.append(int(probs.argmax()) == label)
    return float(np.mean(losses)), float(np.mean(hits))


@pytest.mark.parametrize("monitor", ["valid_loss", "valid_accuracy"])
def test_the_weights_of_the_best_epoch_are_kept(hard: PreparedDataset, monitor: Any) -> None:
    recipe = replace(tiny.RECIPE, monitor=monitor, learning_rate=0.05)
    trained = train(hard, recipe)
    history = trained.history
    ranks = [
        (-e.valid_loss, e.valid_accuracy)
        if monitor == "valid_loss"
        else (e.valid_accuracy, -e.valid_loss)
        for e in history
    ]
    assert [e.is_best for e in history] == [
        rank > max(ranks[:place], default=(-math.inf, -math.inf))
        for place, rank in enumerate(ranks)
    ]
    assert trained.best.number - 1 == ranks.index(max(ranks))
    assert trained.best.number < len(history)  # or this test shows nothing
    loss, accuracy = by_hand(trained, hard)
    # float32 nets on other batches, channels last or first: 1e-5 of a loss near 1.
    assert trained.best.valid_loss == pytest.approx(loss, abs=1e-5)
    assert trained.best.valid_accuracy == accuracy
    assert history[-1].valid_loss != pytest.approx(loss, abs=1e-4)


def test_the_average_is_what_is_validated(hard: PreparedDataset) -> None:
    trained = train(hard, replace(tiny.RECIPE, epochs=3, ema=0.9, learning_rate=0.05))
    loss, accuracy = by_hand(trained, hard)
    assert trained.best.valid_loss == pytest.approx(loss, abs=1e-5)
    assert trained.best.valid_accuracy == accuracy


def test_the_monitor_decides_which_epoch_is_best(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The loss is best in the second epoch; accuracy is 1 sooner or later and stays.
    losses = iter([3.0, 1.0, 2.0, 2.5])
    monkeypatch.setattr(metrics, "log_loss", lambda probs, truth: next(losses))
    trained = train(easy, replace(tiny.RECIPE, epochs=4))
    assert [epoch.is_best for epoch in trained.history] == [True, True, False, False]
    assert trained.best.number == 2
    shorter = iter([3.0, 1.0])
    monkeypatch.setattr(metrics, "log_loss", lambda probs, truth: next(shorter))
    assert equal(trained.net, train(easy, replace(tiny.RECIPE, epochs=2)).net)


def test_without_a_monitor_it_trains_to_the_end_and_keeps_the_last(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 1.0, 2.0, 2.5, 2.6])
    monkeypatch.setattr(metrics, "log_loss", lambda probs, truth: next(losses))
    recipe = replace(tiny.RECIPE, epochs=5, patience=1, monitor="none", schedule="plateau")
    trained = train(easy, recipe)
    assert [epoch.valid_loss for epoch in trained.history] == [3.0, 1.0, 2.0, 2.5, 2.6]
    assert trained.best.number == 5


def test_patience_with_accuracy_counts_from_the_highest(easy: PreparedDataset) -> None:
    recipe = replace(tiny.RECIPE, monitor="valid_accuracy", epochs=60, patience=6)
    accuracies = [epoch.valid_accuracy for epoch in train(easy, recipe).history]
    assert accuracies[0] < max(accuracies)  # or this test shows nothing
    assert len(accuracies) == accuracies.index(max(accuracies)) + 1 + 6


def test_an_epoch_that_is_only_as_good_is_not_better(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0])
    monkeypatch.setattr(metrics, "log_loss", lambda probs, truth: next(losses))
    history = train(easy, replace(tiny.RECIPE, epochs=7)).history
    assert history[5].valid_accuracy == history[6].valid_accuracy == 1.0
    assert [epoch.is_best for epoch in history] == [True] * 6 + [False]


def test_training_stops_when_nothing_gets_better(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: Iterator[float] = iter([3.0, 2.0, *[2.5] * 50])
    monkeypatch.setattr(metrics, "log_loss", lambda probs, truth: next(losses))
    trained = train(easy, replace(tiny.RECIPE, epochs=30, patience=3))
    assert len(trained.history) == 2 + 3
    assert trained.best.number == 2


def test_epochs_are_the_limit_and_everybody_is_told(easy: PreparedDataset) -> None:
    epochs: list[Epoch] = []
    steps: list[tuple[int, int, str]] = []
    trained = training.train(
        easy, tiny.ARCHITECTURE, recipe=replace(tiny.RECIPE, epochs=2),
        hyperparameters=dict(tiny.NARROW), segments=tiny.SEGMENTS, machine=CPU,
        progress=lambda *step: steps.append(step), on_epoch=epochs.append,
    )  # fmt: skip
    assert tuple(epochs) == trained.history
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert steps == [
        (step, 2 * STEPS, f"epoch {1 + (step - 1) // STEPS}") for step in range(1, 2 * STEPS + 1)
    ]


def test_what_is_not_stated_is_the_architectures_own(easy: PreparedDataset) -> None:
    trained = training.train(
        easy, "cnn1d-gru", recipe=replace(tiny.RECIPE, epochs=1), segments=tiny.SEGMENTS,
        machine=CPU, hyperparameters={"hidden_dim": 4},
    )  # fmt: skip
    assert trained.hyperparameters == {"hidden_dim": 4, "num_layers": 1, "dropout": 0.3}
    assert not trained.net.training
    assert trained.architecture == "cnn1d-gru"


def crops(
    dataset: PreparedDataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, *, seed: int = 0
) -> list[Tensor]:
    """Return the segments of each step."""
    seen: list[Tensor] = []
    original = Task.training_step

    def spy(self: Task, batch: Any, index: int) -> Tensor:
        seen.append(batch[0][0].clone())
        return original(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Task, "training_step", spy)
        train(dataset, recipe, seed=seed)
    return seen


def share_of_the_same(one: list[Tensor], two: list[Tensor]) -> float:
    matches = (torch.cat(one)[:, None] == torch.cat(two)[None]).all(dim=(2, 3)).any(dim=1)
    return float(matches.float().mean())


def test_every_epoch_and_every_seed_crops_elsewhere(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = crops(easy, replace(tiny.RECIPE, epochs=2), monkeypatch)
    assert [tuple(x.shape) for x in seen] == [(16, 16, 10)] * (2 * STEPS)
    other = crops(easy, replace(tiny.RECIPE, epochs=1), monkeypatch, seed=1)
    # 31 places a track, four crops of it: an eighth would come again by chance.
    assert share_of_the_same(seen[:STEPS], seen[STEPS:]) < 0.35
    assert share_of_the_same(seen[:STEPS], other) < 0.35


def spoil(dataset: PreparedDataset, folder: Path, value: float) -> PreparedDataset:
    """Copy a dataset, with one value in every training track replaced."""
    features = []
    for number in range(len(dataset.tracks)):
        track = dataset.reader().frames(number)
        if dataset.tracks.split[number] == "train":
            track[3] = value
        features.append(track)
    shards.write_levels(shard_path(folder / "log-mel", 0), features)
    return replace(dataset, root=folder)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_loss_that_is_no_number_names_its_step(
    easy: PreparedDataset, tmp_path: Path, value: float
) -> None:
    spoiled = spoil(easy, tmp_path, value)
    with pytest.raises(
        TrainingError, match="the loss is nan at step 0 of epoch 1; try a lower learning rate"
    ):
        train(spoiled, tiny.RECIPE)


def test_an_output_that_is_no_number_names_its_epoch(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(self: Task, *_: object) -> None:  # as a last step too long would
        if self.current_epoch == 1:
            with torch.no_grad():
                next(self.net.parameters()).fill_(torch.inf)

    monkeypatch.setattr(Task, "on_validation_epoch_start", explode, raising=False)
    trained = train(easy, tiny.RECIPE)
    assert trained.problem.startswith("the net's output is not finite after epoch 2; try a lower")


def test_a_run_that_diverges_keeps_the_last_good_weights(
    easy: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Task.training_step

    def explode(self: Task, batch: Any, index: int) -> Tensor:
        if self.current_epoch == 2 and index == 2:
            with torch.no_grad():
                next(self.net.parameters()).fill_(torch.nan)
        return original(self, batch, index)

    whole = train(easy, replace(tiny.RECIPE, epochs=2))
    monkeypatch.setattr(Task, "training_step", explode)
    trained = train(easy, tiny.RECIPE)
    assert trained.problem == "the loss is nan at step 8 of epoch 3; try a lower learning rate"
    assert len(trained.history) == 2
    assert equal(trained.net, whole.net)
    card = load_card(publish(trained, easy, tmp_path))
    assert "it ended early: the loss is nan at step 8" in card.provenance


def test_a_genre_without_a_training_track_is_named(easy: PreparedDataset) -> None:
    tracks = easy.tracks.copy()
    tracks.loc[(tracks.genre == "jazz") & (tracks.split == "train"), "status"] = "too short"
    with pytest.raises(TrainingError, match="no track of 'jazz' in the train split"):
        train(replace(easy, tracks=tracks), tiny.RECIPE)


def test_a_dataset_without_validation_tracks_is_refused(easy: PreparedDataset) -> None:
    tracks = easy.tracks[easy.tracks.split != "valid"].reset_index(drop=True)
    with pytest.raises(DatasetError, match="no usable track in the valid split"):
        train(replace(easy, tracks=tracks), tiny.RECIPE)


def test_unknown_architectures_and_hyperparameters_are_refused(easy: PreparedDataset) -> None:
    with pytest.raises(ArchitectureError, match="did you mean"):
        training.train(easy, "cnn1d-gry")
    with pytest.raises(ArchitectureError, match="no hyper-parameter 'depth'"):
        training.train(easy, "cnn1d-gru", hyperparameters={"depth": 3})


def test_the_test_split_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = tiny.dataset(tmp_path / "data", absent="test")
    read: set[int] = set()
    original = ShardReader.frames

    def spy(self: ShardReader, number: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        read.add(number)
        return original(self, number, start, stop)

    monkeypatch.setattr(ShardReader, "frames", spy)
    trained = train(dataset, replace(tiny.RECIPE, epochs=1))
    publish(trained, dataset, tmp_path / "zoo")
    assert read == {*dataset.numbers("train").tolist(), *dataset.numbers("valid").tolist()}
    with pytest.raises(DatasetError):  # the trap is armed
        dataset.reader().frames(int(dataset.numbers("test")[0]))


# What an entry says of its training.


def test_published_entry_says_how_it_came_about(easy: PreparedDataset, tmp_path: Path) -> None:
    trained = train(easy, replace(tiny.RECIPE, epochs=2), seed=7)
    card = load_card(publish(trained, easy, tmp_path, "mine"))
    assert (card.name, card.architecture, card.seed) == ("mine", tiny.ARCHITECTURE, 7)
    assert card.hyperparameters == tiny.NARROW
    assert card.classes == easy.genres
    assert card.features == easy.spec
    assert card.normalisation == easy.normalisations
    assert card.segments == tiny.SEGMENTS
    assert card.recipe == trained.recipe
    assert card.best_epoch == trained.best.number
    assert card.dataset.split_digest == easy.split_digest
    assert card.dataset.counts == {"train": 12, "valid": 6, "test": 6}
    assert list(card.figures) == ["valid"]
    assert card.figures["valid"].n_tracks == 6
    assert card.figures["valid"].n_segments == 24
    assert card.figures["valid"].track["accuracy"].value == trained.best.valid_accuracy
    assert set(card.versions) == {"mgr-cli", "numpy", "torch", "lightning"}


def test_published_entry_computes_what_the_trained_net_does(
    easy: PreparedDataset, tmp_path: Path
) -> None:
    trained = train(easy, replace(tiny.RECIPE, epochs=1))
    folder = publish(trained, easy, tmp_path)
    card = load_card(folder)
    assert equal(weights.load_net(folder, card), trained.net)
    entries.verify(folder)
    track = easy.reader().frames(0)
    assert np.array_equal(
        Predictor.load(folder, device="cpu", runtime="torch").from_features(track).segment_probs,
        Predictor(card, weights.score_with(trained.net, card)).from_features(track).segment_probs,
    )


def test_names_are_free_or_refused(easy: PreparedDataset, tmp_path: Path) -> None:
    trained = train(easy, replace(tiny.RECIPE, epochs=1))
    named = replace(easy, name="My Tracks")
    names = [publication.publish(trained, named, tmp_path).name for _ in range(2)]
    assert names == ["short-chunk-resnet-my-tracks", "short-chunk-resnet-my-tracks-2"]
    with pytest.raises(ZooError, match="exists already"):
        publish(trained, easy, tmp_path, names[0])


# What a step is.


class Scalar(nn.Module):
    """One weight, which is every logit's slope."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2))[:, None] * self.weight * torch.tensor([1.0, -1.0])


ONE = torch.ones(1, 3, 3)  # whose first logit is the weight


def test_validated_weights_are_the_running_average() -> None:
    net = Scalar()
    step = tiny.task(net, Recipe(ema=0.2), n_classes=2)
    average = 0.0
    decays = [0.0, 2 / 11, 0.2, 0.2]  # (1 + n) / (10 + n) while that is less
    for decay, weight in zip(decays, [2.0, 5.0, -1.0, 4.0], strict=True):
        with torch.no_grad():
            net.weight.fill_(weight)
        step.on_train_batch_end()
        average = decay * average + (1 - decay) * weight
        # float32 rounds each of the four steps
        assert float(step.validated(ONE)[0, 0].detach()) == pytest.approx(average, rel=1e-6)
    assert float(net.weight.detach()) == 4.0


def test_whole_numbers_of_a_net_are_not_averaged() -> None:
    """A place in a table would become the one before it, bit by bit."""
    net = nn.Linear(2, 2)
    net.register_buffer("places", torch.tensor([7, 1_000]))
    task = tiny.task(net, replace(tiny.RECIPE, ema=0.9), n_classes=2)
    for _ in range(50):
        task.on_train_batch_end()
    assert task.validated.get_buffer("places").tolist() == [7, 1_000]


def test_without_average_the_net_itself_is_validated() -> None:
    net = Scalar()
    step = tiny.task(net, Recipe(ema=0.0), n_classes=2)
    step.on_train_batch_end()
    assert step.validated is net


def test_the_average_is_what_training_keeps(
    easy: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Tensor]] = []
    original = Task.on_train_batch_end

    def spy(self: Task, *arguments: object) -> None:
        seen.append({key: value.clone() for key, value in self.net.state_dict().items()})
        original(self, *arguments)

    monkeypatch.setattr(Task, "on_train_batch_end", spy)
    trained = train(easy, replace(tiny.RECIPE, epochs=1, ema=0.8))
    kept = trained.net.state_dict()
    assert len(seen) == STEPS
    for key, average in seen[0].items():
        if not average.is_floating_point():
            continue  # the batch norms' count of batches, which nothing reads
        for n, later in enumerate(seen[1:], start=1):
            decay = min(0.8, (1 + n) / (10 + n))
            average = decay * average + (1 - decay) * later[key]
        torch.testing.assert_close(kept[key], average, rtol=1e-5, atol=1e-6)
        assert not torch.equal(kept[key], seen[-1][key])


def test_norms_and_biases_are_not_decayed(monkeypatch: pytest.MonkeyPatch) -> None:
    net = tiny.net()
    step = tiny.task(net, Recipe(weight_decay=0.3, schedule="constant"), n_classes=3)
    monkeypatch.setattr(step, "_trainer", SimpleNamespace(estimated_stepping_batches=10))
    decayed = {
        id(parameter): group["weight_decay"]
        for group in step.configure_optimizers().param_groups
        for parameter in group["params"]
    }
    found = {key: decayed[id(parameter)] for key, parameter in net.named_parameters()}
    norms_and_biases = {
        f"{name}.{key}"
        for name, layer in net.named_modules()
        for key, _ in layer.named_parameters(recurse=False)
        if isinstance(layer, nn.BatchNorm2d) or key == "bias"
    }
    assert norms_and_biases
    assert {key for key, decay in found.items() if decay == 0.0} == norms_and_biases
    assert set(found.values()) == {0.0, 0.3}


def loss_of(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> float:
    step = tiny.task(Scalar(), recipe, n_classes=2)
    fake = SimpleNamespace(global_step=0, current_epoch=0, world_size=1)
    monkeypatch.setattr(step, "_trainer", fake)
    x = torch.stack([torch.full((2, 2), 0.5), torch.full((2, 2), 2.0)])
    return float(step.training_step(((x,), torch.tensor([0, 1]), torch.arange(2)), 0).detach())


def test_the_loss_is_cross_entropy_with_smoothed_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    # Logits are (0.5, -0.5) of class 0 and (2, -2) of class 1, so the classes' nats are
    # softplus(-1), softplus(1) and softplus(-4), softplus(4).
    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    plain = (softplus(-1) + softplus(4)) / 2
    other = (softplus(1) + softplus(-4)) / 2
    assert loss_of(Recipe(), monkeypatch) == pytest.approx(plain, rel=1e-6)
    # Smoothing by s gives each of the two classes s / 2.
    assert loss_of(Recipe(label_smoothing=0.2), monkeypatch) == pytest.approx(
        0.9 * plain + 0.1 * other, rel=1e-6
    )


def test_masks_and_mixup_reach_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, float] = {}

    def mask(x: Tensor, *, frequency: float, time: float) -> Tensor:
        asked.update(frequency=frequency, time=time)
        return 0 * x

    def mixup(
        inputs: tuple[Tensor, ...], targets: Tensor, *, alpha: float
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        asked.update(alpha=alpha)
        (x,) = inputs
        assert not x.any()  # masked before
        return (x + 2,), targets.flip(0)

    monkeypatch.setattr(augment, "mask", mask)
    monkeypatch.setattr(augment, "mixup", mixup)
    loss = loss_of(Recipe(frequency_mask=0.1, time_mask=0.2, mixup=0.3), monkeypatch)
    assert asked == {"frequency": 0.1, "time": 0.2, "alpha": 0.3}
    # Logits are now (2, -2) of both, and one target is each class.
    assert loss == pytest.approx((math.log1p(math.exp(-4)) + math.log1p(math.exp(4))) / 2)


# Which numbers a device computes with.


@pytest.mark.parametrize(
    ("capable", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "avx2": True, "avx512_f": True}, "32"),
        ({}, "32"),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_where_it_is_native(
    capable: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capable)
    assert trainer.fastest_precision("cpu") == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "32")])
def test_a_gpu_computes_in_bfloat16_only_where_it_is_native(
    native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: native or including_emulation,
    )
    assert trainer.fastest_precision("cuda") == expected
