from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from mgr_cli import calibration, trust, votes
from mgr_cli.appraisal import Appraisal, appraise
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.evaluation import evaluate
from mgr_cli.inputs import Arrays
from mgr_cli.prediction import Predictor
from mgr_cli.trust import Trust
from tests import tiny


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return faint(tmp_path_factory.mktemp("data"))


def faint(folder: Path) -> PreparedDataset:
    """Write a dataset whose genres `leaning` tells apart more often than not."""
    return tiny.dataset(folder, contrast=0.5, seed=1)


def leaning(inputs: Arrays) -> np.ndarray:
    """Judge by the loudest bands; modestly, and with mistakes where genres are faint."""
    (x,) = inputs
    logits = np.stack([x[:, 5 * k : 5 * k + 5].mean(axis=(1, 2)) for k in range(3)], axis=1)
    return np.asarray(softmax(12 * logits, axis=1))


def predictor(found: Trust | None = None, *, temperature: float = 1.0) -> Predictor:
    changes = {"trust": found, "temperature": temperature}
    return Predictor(tiny.card().model_copy(update=changes), leaning)


def sure(found: Appraisal) -> np.ndarray:
    return np.asarray(found.evaluation.probs.max(axis=1))


def test_those_are_believed_that_the_card_believes(dataset: PreparedDataset) -> None:
    plain = appraise(predictor(temperature=1.5), dataset)
    assert plain.believed is None
    middle = float(np.median(sure(plain)))  # of six: three are surer
    own = Trust(0.8, middle, 0.9, 0.5, 30)
    found = appraise(predictor(own, temperature=1.5), dataset)
    assert found.believed is not None
    assert (found.believed.trust, found.believed.n_tracks, found.believed.coverage) == (own, 3, 0.5)
    right = int(found.evaluation.right[sure(found) >= middle].sum())
    precision = found.believed.precision
    assert precision is not None
    assert precision.value == right / 3
    assert (precision.low, precision.high) == trust.interval(right, 3)


def test_of_nobody_no_share_is_right(dataset: PreparedDataset) -> None:
    found = appraise(predictor(Trust(0.8, 1.0, 0.0, 0.0, 30)), dataset)
    assert found.believed is not None
    assert (found.believed.n_tracks, found.believed.precision) == (0, None)


def test_what_is_calibrated_comes_before_the_card(dataset: PreparedDataset) -> None:
    own = Trust(0.8, 1.0, 0.0, 0.0, 30)
    found = appraise(predictor(own), dataset, calibrated=True, wanted=0.6)
    assert found.calibration is not None
    assert found.believed is not None
    chosen = found.calibration.trust
    assert (found.believed.trust, chosen.wanted) == (chosen, 0.6)
    valid = evaluate(predictor(own), dataset, split="valid")
    assert found.calibration.temperature == calibration.fit_temperature(valid.probs, valid.truth)
    assert not np.array_equal(valid.probs, found.evaluation.probs)
    tempered = votes.tempered(found.evaluation.probs, found.calibration.temperature)
    assert found.believed.n_tracks == (tempered.max(axis=1) >= chosen.threshold).sum() > 0
    assert 0 < chosen.coverage < 1


def test_on_the_split_that_chose_as_many_are_believed_as_it_said(
    dataset: PreparedDataset,
) -> None:
    found = appraise(predictor(), dataset, split="valid", calibrated=True, wanted=0.6)
    assert found.believed is not None
    assert found.believed.precision is not None
    chosen = found.believed.trust
    assert (found.believed.coverage, found.believed.precision.value) == pytest.approx(
        (chosen.coverage, chosen.precision)
    )
    assert 0 < chosen.coverage < 1


def test_trust_of_a_card_is_that_of_its_own_vote(dataset: PreparedDataset) -> None:
    trusting = predictor(Trust(0.8, 0.5, 0.9, 0.5, 6))
    assert appraise(trusting, dataset, split="valid", allow_leak=True).believed is not None
    other = Predictor(trusting.card, leaning, vote="product")
    assert appraise(other, dataset, split="valid", allow_leak=True).believed is None
