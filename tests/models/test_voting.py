from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from mgr_cli.models import voting
from mgr_cli.models.fitted import probabilities
from tests.models.test_classical import blobs, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_hard_vote_gives_the_shares_and_a_tie_to_the_smaller_label() -> None:
    pipeline, x = fitted(voting.vote_mlp_svc, "hard"), blobs()[0]
    probs = probabilities(pipeline, x, n_classes=3)
    scaled = pipeline["scale"].transform(x)
    voices = [member.predict(scaled) for member in pipeline["classify"].estimators_]
    expected = np.zeros((len(x), 3))
    for voice in voices:
        expected[np.arange(len(x)), voice] += 0.5
    assert np.array_equal(probs, expected)
    ties = voices[0] != voices[1]
    assert ties.any()
    assert np.array_equal(pipeline.predict(x)[ties], np.minimum(*voices)[ties])


def test_soft_vote_is_the_mean_of_its_members() -> None:
    pipeline, x = fitted(voting.vote_knn_rf_gnb, "soft"), blobs()[0]
    scaled = pipeline["scale"].transform(x)
    members = [member.predict_proba(scaled) for member in pipeline["classify"].estimators_]
    probs = probabilities(pipeline, x, n_classes=3)
    np.testing.assert_allclose(probs, np.mean(members, axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("row", "members"),
    [
        (voting.vote_mlp_rf_svc, [MLPClassifier, RandomForestClassifier, SVC]),
        (voting.vote_mlp_svc, [MLPClassifier, SVC]),
        (voting.vote_knn_rf_gnb, [KNeighborsClassifier, RandomForestClassifier, GaussianNB]),
    ],
)
def test_ensembles_are_those_of_the_seed(row: Callable[..., Pipeline], members: list[Any]) -> None:
    vote = row(seed=7)["classify"]
    assert vote.voting == "hard"
    assert [type(member) for _, member in vote.estimators] == members
    for _, member in vote.estimators:
        if isinstance(member, RandomForestClassifier):  # the one whose settings it names
            assert (member.n_estimators, member.random_state) == (50, 1)


def test_soft_vote_calibrates_its_support_vector_machine() -> None:
    vote = voting.vote_mlp_svc(voting="soft", seed=7)["classify"]
    calibrated = vote.estimators[1][1]
    assert vote.voting == "soft"
    assert isinstance(calibrated, CalibratedClassifierCV)
    assert isinstance(calibrated.estimator, SVC)
