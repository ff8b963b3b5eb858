"""Committees of entries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mgr_cli import fitting, publication, training
from mgr_cli.combination import combine
from mgr_cli.config import SegmentSpec
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DatasetError, ZooError
from mgr_cli.evaluation import evaluate
from mgr_cli.leaks import redealt
from mgr_cli.prediction import Predictor
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo.card import load_card, save_card
from tests import tiny


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"), contrast=3.0)


@pytest.fixture(scope="module")
def zoo(dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a zoo of two nets of two kinds, one that hears more at a time, and a pipeline."""
    place = tmp_path_factory.mktemp("zoo")
    recipe = replace(tiny.RECIPE, epochs=2)
    for seed, (name, changes) in enumerate(
        [(tiny.ARCHITECTURE, dict(tiny.NARROW)), ("modulation", {"dropout": 0.1})]
    ):
        trained = training.train(
            dataset, name, hyperparameters=changes, segments=tiny.SEGMENTS, recipe=recipe,
            seed=seed,
        )  # fmt: skip
        publication.publish(trained, dataset, place, name=f"one-{seed}", licence="CC0-1.0")
    segments = SegmentSpec(seconds=1.1, hop_seconds=0.5)
    trained = training.train(dataset, "modulation", segments=segments, recipe=recipe)
    publication.publish(trained, dataset, place, name="long", licence="CC0-1.0")
    publication.publish(fitting.fit(dataset, "logistic-regression"), dataset, place, name="fitted")
    return place


def probs(folder: Path, dataset: PreparedDataset) -> np.ndarray:
    """Return what an entry says of the segments of the validation tracks, not tempered."""
    found = evaluate(Predictor.load(folder, device="cpu"), dataset, split="valid")
    return np.concatenate([track.prediction.segment_probs for track in found.tracks])


def test_a_committee_says_the_geometric_mean_of_what_its_members_say(
    zoo: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    members = [zoo / "one-0", zoo / "one-1"]
    folder = combine(members, dataset, tmp_path, name="both")
    product = np.prod([probs(member, dataset) for member in members], axis=0) ** 0.5
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probs(folder, dataset), expected, rtol=1e-4, atol=1e-6)
    assert entries.verify(folder).graph is not None


def test_a_member_that_hears_less_is_asked_about_each_piece(
    zoo: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder = combine([zoo / "one-0", zoo / "long"], dataset, tmp_path, name="both")
    card = load_card(folder)
    assert card.segments == SegmentSpec(seconds=1.1, hop_seconds=0.5)
    assert card.hyperparameters == {
        "members": "short-chunk-resnet@10:width=2,dropout=0.0+modulation"
    }
    short, long, both = (
        weights.load_net(place, load_card(place)) for place in (zoo / "one-0", zoo / "long", folder)
    )
    x = torch.randn(4, 16, 22, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        halves = [short(x[:, :, start : start + 10]).softmax(dim=1) for start in (0, 12)]
        product = (torch.stack(halves).mean(dim=0) * long(x).softmax(dim=1)).sqrt()
        found = both(x).softmax(dim=1)
    torch.testing.assert_close(found, product / product.sum(dim=1, keepdim=True))
    assert entries.verify(folder).graph is not None


def test_its_card_says_who_sits_there_and_claims_no_more(
    zoo: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder = combine([zoo / "one-0", zoo / "one-1"], dataset, tmp_path, name="both")
    card = load_card(folder)
    one, other = (load_card(zoo / name) for name in ("one-0", "one-1"))
    assert card.hyperparameters == {
        "members": "short-chunk-resnet:width=2,dropout=0.0+modulation:dropout=0.1"
    }
    assert card.n_parameters == one.n_parameters + other.n_parameters
    assert card.recipe is None
    assert card.licence == "CC0-1.0"
    assert card.provenance.startswith("a committee of one-0 (seed 0; epoch ")
    assert card.provenance.endswith("trained on the train split of tiny alone")
    assert set(card.figures) == {"valid"}
    assert card.looks == {"valid": 1}
    assert card.training_seconds == pytest.approx(one.training_seconds + other.training_seconds)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["one-0"], "two members at least"),
        (["one-0", "fitted"], "fitted cannot sit on a committee"),
        (["one-0", "both"], "both is a committee itself"),
        (["one-0", "other"], "one-0 and other differ in their vote"),
        (["one-0", "elsewhere"], "were trained on different splits, tiny and abroad"),
    ],
)
def test_those_who_cannot_sit_side_by_side_are_refused(
    names: list[str], message: str, zoo: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    place = tmp_path / "zoo"
    for name in ("one-0", "one-1", "fitted"):
        entries.adopt(zoo / name, load_card(zoo / name), place)
    combine([place / "one-0", place / "one-1"], dataset, place, name="both")
    abroad = load_card(zoo / "one-1").dataset.model_copy(
        update={"split_digest": "0" * 64, "name": "abroad"}
    )
    changed: dict[str, dict[str, object]] = {
        "other": {"vote": "majority"},
        "elsewhere": {"dataset": abroad},
    }
    for name, changes in changed.items():
        card = load_card(zoo / "one-1").model_copy(update={"name": name, **changes})
        save_card(entries.adopt(zoo / "one-1", card, place), card)
    before = sorted(path.name for path in place.iterdir())
    with pytest.raises(ZooError, match=message):
        combine([place / name for name in names], dataset, place, name="new")
    assert sorted(path.name for path in place.iterdir()) == before


def test_another_split_than_that_of_its_members_is_refused(
    zoo: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="not the split that one-0 was trained on"):
        combine([zoo / "one-0", zoo / "one-1"], redealt(dataset, seed=3), tmp_path, name="new")
    assert not list(tmp_path.iterdir())
