from pathlib import Path

import pytest

from mgr_cli import calibration, fitting, publication
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.evaluation import evaluate
from mgr_cli.fitting import Fitted
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
