"""Nets that learn from entries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mgr_cli import distillation, fitting, publication, trainer, training
from mgr_cli.config import SegmentSpec
from mgr_cli.data import thinning
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.distillation import Teacher
from mgr_cli.errors import TrainingError
from mgr_cli.publication import publish
from mgr_cli.training import Trained
from mgr_cli.zoo.card import TaughtBy, load_card
from tests import tiny


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute alike on every CPU."""
    monkeypatch.setattr(trainer, "fastest_precision", lambda device: "32")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"))


def train(
    dataset: PreparedDataset, teacher: Teacher | None = None, *, share: float = 1.0
) -> Trained:
    recipe = replace(tiny.RECIPE, epochs=16, monitor="none", teacher_share=share)
    return training.train(
        dataset, tiny.ARCHITECTURE, recipe=recipe, hyperparameters=dict(tiny.NARROW),
        segments=tiny.SEGMENTS, teacher=teacher,
    )  # fmt: skip


@pytest.fixture(scope="module")
def zoo(dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a zoo of one net, `master`."""
    place = tmp_path_factory.mktemp("zoo")
    publish(train(dataset), dataset, place, name="master")
    return place


@pytest.fixture
def master(zoo: Path) -> Teacher:
    return distillation.load(zoo / "master")


def test_pupil_learns_what_the_teacher_says_and_not_what_is_true(
    dataset: PreparedDataset, master: Teacher
) -> None:
    with torch.no_grad():  # the genre of a track is the next one now
        for values in master.net.get_submodule("head").parameters():
            values.copy_(values.roll(1, dims=0))
    last = train(dataset, master).history[-1]
    assert last.train_loss < 0.2  # against what the teacher says; chance is log 3
    assert last.valid_accuracy == 0.0  # against what is true; chance is a third


def test_teacher_without_a_share_changes_nothing(dataset: PreparedDataset, master: Teacher) -> None:
    alone, beside, taught = (
        train(dataset), train(dataset, master, share=0.0), train(dataset, master, share=0.5)
    )  # fmt: skip
    for one, two in zip(alone.net.parameters(), beside.net.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(next(alone.net.parameters()), next(taught.net.parameters()))


def test_card_names_the_teacher_and_its_weights(
    dataset: PreparedDataset, master: Teacher, tmp_path: Path
) -> None:
    card = load_card(publish(train(dataset, master), dataset, tmp_path))
    assert card.teacher == TaughtBy(name="master", sha256=master.card.weights.sha256)
    assert "taught by master" in card.provenance


def test_teacher_of_other_tracks_is_refused(
    dataset: PreparedDataset, master: Teacher, tmp_path: Path
) -> None:
    fewer = thinning.thinned(dataset, 6, rng=np.random.default_rng(0))
    others = tiny.dataset(tmp_path / "others", seed=1)
    others = replace(others, tracks=others.tracks.assign(split=list(others.tracks["split"])[::-1]))
    for each in (fewer, others):
        with pytest.raises(TrainingError, match="master has learnt from other tracks"):
            train(each, master)


def test_teacher_that_hears_something_else_is_refused_and_what_helps_is_named(
    dataset: PreparedDataset, master: Teacher
) -> None:
    with pytest.raises(TrainingError, match=r"hears 0\.5 s .* --set seconds=0\.5 hop_seconds=0\.5"):
        training.train(
            dataset, tiny.ARCHITECTURE, recipe=tiny.RECIPE, hyperparameters=dict(tiny.NARROW),
            segments=SegmentSpec(seconds=1.0, hop_seconds=0.5), teacher=master,
        )  # fmt: skip
    louder = replace(
        dataset, normalisations={"log-mel": replace(tiny.NORMALISATION, mean=(0.0,) * 16)}
    )
    with pytest.raises(TrainingError, match=r"master hears other levels .* normalise=whole"):
        distillation.check(master, louder, louder.inputs(("log-mel",), tiny.SEGMENTS))
    mean = tuple(value * (1 + 1e-9) for value in tiny.NORMALISATION.mean)
    rounded = replace(dataset, normalisations={"log-mel": replace(tiny.NORMALISATION, mean=mean)})
    assert rounded.normalisations != dataset.normalisations  # as another processor would sum them
    distillation.check(master, rounded, rounded.inputs(("log-mel",), tiny.SEGMENTS))


def test_pipeline_cannot_teach(dataset: PreparedDataset, tmp_path: Path) -> None:
    folder = publication.publish(fitting.fit(dataset, "ridge"), dataset, tmp_path)
    with pytest.raises(TrainingError, match="is a pipeline"):
        distillation.load(folder)
