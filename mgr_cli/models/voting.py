"""Votes of classical rivals: seed 004's three ensembles.

The seed names the settings of their forest alone, 50 trees of seed 1; the other members have the
defaults of `classical`. All of them see the scaled columns. What is said of builders there holds
here too.

References
----------
F. Pedregosa et al., "Scikit-learn: Machine learning in Python", JMLR 12, 2011.
"""

from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mgr_cli.models import classical
from mgr_cli.models.layers import check

VOTINGS = ("hard", "soft")


def vote_mlp_rf_svc(
    *, voting: str = "hard", n_estimators: int = 50, forest_seed: int = 1, seed: int
) -> Pipeline:
    """Make the vote of a perceptron, a forest and a support vector machine.

    Parameters
    ----------
    voting : {"hard", "soft"}
        ``hard``: one voice each, a tie goes to the smaller label. ``soft``: the mean of their
        probabilities; the support vector machine's are then calibrated by five-fold
        cross-validation (Platt), which takes six fits and five tracks a class.
    n_estimators : int
        Trees of the forest.
    forest_seed : int
        Of the forest alone, which the seed's document fixes.
    seed : int
        Of the others.

    Raises
    ------
    ValueError
        If a value is out of its range, as of every builder.
    """
    members = {
        "mlp": classical.mlp(seed=seed),
        "rf": _forest(n_estimators, forest_seed),
        "svc": classical.svc_rbf(seed=seed),
    }
    return _vote(members, voting)


def vote_mlp_svc(*, voting: str = "hard", seed: int) -> Pipeline:
    """Make the vote of a perceptron and a support vector machine; see `vote_mlp_rf_svc`."""
    return _vote({"mlp": classical.mlp(seed=seed), "svc": classical.svc_rbf(seed=seed)}, voting)


def vote_knn_rf_gnb(
    *, voting: str = "hard", n_estimators: int = 50, forest_seed: int = 1, seed: int
) -> Pipeline:
    """Make the vote of nearest rows, a forest and naive Bayes; see `vote_mlp_rf_svc`."""
    members = {
        "knn": classical.knn(seed=seed),
        "rf": _forest(n_estimators, forest_seed),
        "gnb": classical.gaussian_nb(seed=seed),
    }
    return _vote(members, voting)


def _forest(n_estimators: int, seed: int) -> Pipeline:
    check("forest_seed", seed, 0, 2**32 - 1)
    return classical.random_forest(n_estimators=n_estimators, seed=seed)


def _vote(rivals: dict[str, Pipeline], voting: str) -> Pipeline:
    """Let the classifiers of rivals vote, behind one scaler for all."""
    if voting not in VOTINGS:
        raise ValueError(f"voting is {voting!r}, expected one of {', '.join(VOTINGS)}")
    members: dict[str, Any] = {name: rival["classify"] for name, rival in rivals.items()}
    if voting == "soft" and "svc" in members:  # which has no probabilities of its own
        members["svc"] = CalibratedClassifierCV(members["svc"], ensemble=False)
    vote = VotingClassifier(list(members.items()), voting=voting)
    return Pipeline([("scale", StandardScaler()), ("classify", vote)])
