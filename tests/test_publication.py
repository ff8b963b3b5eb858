from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from mgr_cli import calibration, failures, fitting, publication, training
from mgr_cli.config import Monitor
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.evaluation import evaluate
from mgr_cli.fitting import Fitted
from mgr_cli.models.grids import Candidate, Search
from mgr_cli.prediction import Predictor
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import load_card
from tests import tiny


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"), contrast=3.0)


@pytest.fixture(scope="module")
def fitted(dataset: PreparedDataset) -> Fitted:
    return fitting.fit(dataset, "logistic-regression")


def test_a_card_learns_temperature_and_trust_of_the_validation_split(
    fitted: Fitted, dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = publication.publish(fitted, dataset, tmp_path, name="plain")
    given = evaluate(Predictor.load(plain, device="cpu"), dataset, split="valid")
    monkeypatch.setattr(publication, "FEWEST_CALIBRATED", len(given.tracks))
    folder = publication.publish(fitted, dataset, tmp_path, precision=0.5)
    card = load_card(folder)
    expected = calibration.calibrate(given.probs, given.truth, wanted=0.5)
    assert card.temperature == pytest.approx(expected.temperature)
    assert card.temperature != 1
    assert card.trust is not None
    assert expected.trust is not None
    assert asdict(card.trust) == pytest.approx(asdict(expected.trust))
    # Its answers, and so its figures, are the same.
    assert card.figures == load_card(plain).figures


def test_few_validation_tracks_teach_no_trust(
    fitted: Fitted, dataset: PreparedDataset, tmp_path: Path
) -> None:
    card = load_card(publication.publish(fitted, dataset, tmp_path))
    assert (card.temperature, card.trust) == (1.0, None)


@pytest.mark.parametrize("monitor", ["valid_loss", "valid_accuracy", "none"])
def test_a_card_says_by_which_epoch_a_net_was_chosen(
    dataset: PreparedDataset, tmp_path: Path, monitor: Monitor
) -> None:
    trained = training.train(
        dataset, tiny.ARCHITECTURE, hyperparameters=dict(tiny.NARROW), segments=tiny.SEGMENTS,
        recipe=replace(tiny.RECIPE, epochs=2, monitor=monitor),
    )  # fmt: skip
    card = load_card(publication.publish(trained, dataset, tmp_path))
    assert card.provenance == "trained on the train split of tiny alone"
    by_figure = f"epoch {trained.best.number} of 2 by {monitor} on the valid split"
    the_last = "the last of 2 epochs, whatever the valid split said of it"
    assert card.chosen == (the_last if monitor == "none" else by_figure)
    assert card.not_for == ""  # nobody has said


def test_all_figures_of_a_rounded_net_are_of_the_rounded_weights(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    trained = training.train(
        dataset, tiny.ARCHITECTURE, hyperparameters=dict(tiny.NARROW), segments=tiny.SEGMENTS,
        recipe=replace(tiny.RECIPE, epochs=4),
    )  # fmt: skip
    heads = [values for key, values in trained.net.named_parameters() if values.shape[:1] == (3,)]
    with torch.no_grad():  # the same to all genres; rounding, to whole numbers, wipes them out
        for values in heads:
            values.add_(1_500)
    before = {key: value.clone() for key, value in trained.net.state_dict().items()}
    folder = publication.publish(trained, dataset, tmp_path, half=True)
    after = trained.net.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    card = load_card(folder)
    assert card.provenance == (
        "trained on the train split of tiny alone; weights rounded to half precision"
    )
    loaded = weights.load_net(folder, card)
    for key, values in loaded.named_parameters():
        assert torch.equal(values, before[key].half().float())
    assert all(torch.equal(found, before[key]) for key, found in loaded.named_buffers())
    whole = load_card(publication.publish(trained, dataset, tmp_path, name="whole"))
    valid = evaluate(Predictor.load(folder, device="cpu"), dataset, split="valid", seed=card.seed)
    assert card.figures["valid"] == valid.assessment
    assert card.figures["valid"] != whole.figures["valid"]
    assert "rounded" not in whole.provenance


def test_a_pipeline_is_not_rounded(
    fitted: Fitted, dataset: PreparedDataset, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="a pipeline is not rounded"):
        publication.publish(fitted, dataset, tmp_path, half=True)
    assert list(tmp_path.iterdir()) == []


def test_a_card_says_by_which_search_a_pipeline_was_chosen(
    fitted: Fitted, dataset: PreparedDataset, tmp_path: Path
) -> None:
    alone = load_card(publication.publish(fitted, dataset, tmp_path))
    assert alone.provenance == "fitted on the train split of tiny alone"
    assert alone.chosen == "its settings were given; the run that fitted it had no other candidate"
    search = Search(5, (Candidate({"c": 0.1}, 0.5, 0.1), Candidate({"c": 1.0}, 0.6, 0.1)))
    card = load_card(publication.publish(replace(fitted, search=search), dataset, tmp_path))
    assert card.chosen.startswith("the best of 2 candidates by mean accuracy over 5 folds of the t")


def test_a_card_says_from_the_start_how_its_entry_fails_on_validation_tracks(
    fitted: Fitted, dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder = publication.publish(fitted, dataset, tmp_path)
    card = load_card(folder)
    valid = evaluate(Predictor.load(folder, device="cpu"), dataset, split="valid")
    assert card.failures == {"valid": failures.count(valid.track_counts, tiny.GENRES)}
    assert card.looks == {"valid": 1}  # and none at the test split
