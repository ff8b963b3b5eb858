from dataclasses import replace
from pathlib import Path

import pytest

from mgr_cli import calibration, failures, fitting, publication, training
from mgr_cli.config import Monitor
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.evaluation import evaluate
from mgr_cli.fitting import Fitted
from mgr_cli.models.grids import Candidate, Search
from mgr_cli.prediction import Predictor
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
    assert card.trust == expected.trust
    # Its answers, and so its figures, are the same.
    assert card.figures == load_card(plain).figures


def test_few_validation_tracks_teach_no_trust(
    fitted: Fitted, dataset: PreparedDataset, tmp_path: Path
) -> None:
    card = load_card(publication.publish(fitted, dataset, tmp_path))
    assert (card.temperature, card.trust) == (1.0, None)


@pytest.mark.parametrize("monitor", ["valid_loss", "valid_accuracy"])
def test_a_card_says_by_which_epoch_a_net_was_chosen(
    dataset: PreparedDataset, tmp_path: Path, monitor: Monitor
) -> None:
    trained = training.train(
        dataset, tiny.ARCHITECTURE, hyperparameters=dict(tiny.NARROW), segments=tiny.SEGMENTS,
        recipe=replace(tiny.RECIPE, epochs=2, monitor=monitor),
    )  # fmt: skip
    card = load_card(publication.publish(trained, dataset, tmp_path))
    assert card.provenance == "trained on the train split of tiny alone"
    assert card.chosen == f"epoch {trained.best.number} of 2 by {monitor} on the valid split"
    assert card.not_for == ""  # nobody has said


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
