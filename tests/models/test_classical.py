import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mgr_cli.models import classical, voting
from mgr_cli.models.fitted import n_parameters, parts, probabilities

# Each builder, and the class of scikit-learn that it stands for.
SINGLE: dict[Callable[..., Pipeline], Any] = {
    classical.mlp: MLPClassifier,
    classical.svc_rbf: SVC,
    classical.linear_svc: LinearSVC,
    classical.extra_trees: ExtraTreesClassifier,
    classical.random_forest: RandomForestClassifier,
    classical.logistic_regression: LogisticRegression,
    classical.knn: KNeighborsClassifier,
    classical.bagging: BaggingClassifier,
    classical.ridge: RidgeClassifier,
    classical.sgd: SGDClassifier,
    classical.decision_tree: DecisionTreeClassifier,
    classical.adaboost: AdaBoostClassifier,
    classical.nearest_centroid: NearestCentroid,
    classical.perceptron: Perceptron,
    classical.gaussian_nb: GaussianNB,
    classical.hist_gradient_boosting: HistGradientBoostingClassifier,
}
VOTES = (voting.vote_mlp_rf_svc, voting.vote_mlp_svc, voting.vote_knn_rf_gnb)
ROWS = (*SINGLE, *VOTES)
UNSCALED = {
    classical.extra_trees, classical.random_forest, classical.bagging, classical.decision_tree,
    classical.adaboost, classical.hist_gradient_boosting,
}  # fmt: skip

# Every kind of pipeline: the rows, and the votes once more with probabilities.
VARIANTS = [(row, "") for row in SINGLE] + [(row, how) for row in VOTES for how in ("hard", "soft")]
every_variant = pytest.mark.parametrize(
    ("row", "voting"), VARIANTS, ids=[f"{row.__name__} {how}".strip() for row, how in VARIANTS]
)
every_row = pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])

N_COLUMNS = 6

# Fewer rounds than by default where they take long, and the other half would teach no more.
QUICK: dict[Callable[..., Pipeline], dict[str, Any]] = {
    classical.mlp: {"max_iter": 50, "learning_rate": 0.01},
    classical.extra_trees: {"n_estimators": 20},
    classical.random_forest: {"n_estimators": 20},
    classical.adaboost: {"n_estimators": 20},
    classical.hist_gradient_boosting: {"max_iter": 20},
    voting.vote_mlp_rf_svc: {"n_estimators": 10},
    voting.vote_knn_rf_gnb: {"n_estimators": 10},
}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def blobs(n_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Make 300 rows of classes that overlap a little."""
    x, y = make_blobs(300, N_COLUMNS, centers=n_classes, cluster_std=4.0, random_state=1)
    return x, y


def build(row: Callable[..., Pipeline], voting: str = "", *, seed: int = 0) -> Pipeline:
    settings = {**QUICK.get(row, {}), **({"voting": voting} if voting else {})}
    return row(**settings, seed=seed)


@cache
def fitted(row: Callable[..., Pipeline], voting: str = "", n_classes: int = 3) -> Pipeline:
    """Fit a row to the first half of the blobs; nobody changes what comes out."""
    x, y = blobs(n_classes)
    return build(row, voting).fit(x[:150], y[:150])


# What they learn.


@every_variant
def test_row_learns_what_a_row_of_shuffled_labels_cannot(
    row: Callable[..., Pipeline], voting: str
) -> None:
    x, y = blobs()
    shuffled = build(row, voting).fit(x[:150], np.random.default_rng(0).permutation(y[:150]))

    def accuracy(pipeline: Pipeline) -> float:
        probs = probabilities(pipeline, x[150:], n_classes=3)
        return float((probs.argmax(axis=1) == y[150:]).mean())

    assert accuracy(fitted(row, voting)) > 0.8  # chance is 1/3, the best row reaches 0.95
    assert accuracy(shuffled) < 0.65


@pytest.mark.parametrize("n_classes", [2, 3])
@every_variant
def test_probabilities_agree_with_the_prediction(
    row: Callable[..., Pipeline], voting: str, n_classes: int
) -> None:
    pipeline = fitted(row, voting, n_classes)
    # Also between the classes and far from all of them, where margins and votes tie.
    x = np.concatenate([blobs(n_classes)[0], np.random.default_rng(0).normal(0, 30, (200, 6))])
    probs = probabilities(pipeline, x, n_classes=n_classes)
    assert probs.shape == (500, n_classes)
    assert probs.dtype == np.float64
    assert probs.min() >= 0
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-12)  # n_classes roundings
    assert np.array_equal(probs.argmax(axis=1), pipeline.predict(x))
    assert probs.any(axis=0).all()


@every_variant
def test_class_without_a_training_row_gets_nothing(
    row: Callable[..., Pipeline], voting: str
) -> None:
    x, y = blobs()
    pipeline = build(row, voting).fit(x, np.array([1, 2, 4])[y])
    probs = probabilities(pipeline, x, n_classes=6)
    assert not probs[:, [0, 3, 5]].any()
    assert probs[:, [1, 2, 4]].any(axis=0).all()
    assert np.array_equal(probs.argmax(axis=1), pipeline.predict(x))


@every_variant
def test_same_seed_gives_the_same_probabilities(row: Callable[..., Pipeline], voting: str) -> None:
    x, y = blobs()
    again = build(row, voting).fit(x[:150], y[:150])
    one, two = (probabilities(p, x, n_classes=3) for p in (fitted(row, voting), again))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    "row",
    [classical.mlp, classical.extra_trees, classical.random_forest, classical.bagging,
     classical.sgd, classical.perceptron, *VOTES[:2]],
)  # fmt: skip
def test_another_seed_gives_others(row: Callable[..., Pipeline]) -> None:
    x, y = blobs()
    other = build(row, "soft" if row in VOTES else "", seed=1).fit(x[:150], y[:150])
    first = fitted(row, "soft" if row in VOTES else "")
    one, two = (probabilities(p, x, n_classes=3) for p in (first, other))
    assert not np.array_equal(one, two)


@every_variant
def test_units_of_the_columns_do_not_matter(row: Callable[..., Pipeline], voting: str) -> None:
    x, y = blobs()
    units = 2.0 ** np.array([-8, -3, 0, 1, 10, 20])  # powers of two: not a bit is lost
    other = build(row, voting).fit(x[:150] * units, y[:150])
    probs = probabilities(fitted(row, voting), x, n_classes=3)
    np.testing.assert_allclose(probabilities(other, x * units, n_classes=3), probs, atol=1e-12)


@every_row
def test_scaler_stands_where_it_matters_alone(row: Callable[..., Pipeline]) -> None:
    names = [name for name, _ in row(seed=0).steps]
    assert names == (["classify"] if row in UNSCALED else ["scale", "classify"])


# The substitutes for probabilities, by hand.


def softmax(scores: list[float]) -> np.ndarray:
    values: np.ndarray = np.exp(scores)
    return np.asarray(values / values.sum())


def test_nearest_centroid_weighs_distances() -> None:
    # Mean 4 and variance 10; in these units the centroids 1 and 7 are 2 and 4 away from 3.
    pipeline = classical.nearest_centroid(seed=0).fit([[0.0], [2.0], [6.0], [8.0]], [0, 0, 1, 1])
    probs = probabilities(pipeline, np.array([[3.0]]), n_classes=2)
    np.testing.assert_allclose(probs[0], softmax([-2 / 10**0.5, -4 / 10**0.5]), rtol=1e-12)


def test_two_classes_have_opposite_margins() -> None:
    # Least squares of ±1 on ±1 with penalty 1: weight 2 / (2 + 1), so the margin of 1 is 2/3.
    pipeline = classical.ridge(seed=0).fit([[-1.0], [1.0]], [0, 1])
    probs = probabilities(pipeline, np.array([[1.0]]), n_classes=2)
    np.testing.assert_allclose(probs[0], softmax([-2 / 3, 2 / 3]), rtol=1e-12)


@pytest.mark.parametrize(
    "row", [classical.svc_rbf, classical.linear_svc, classical.sgd, classical.perceptron]
)
def test_margins_become_their_softmax(row: Callable[..., Pipeline]) -> None:
    x = blobs()[0][:5]
    margins = fitted(row).decision_function(x)
    probs = probabilities(fitted(row), x, n_classes=3)
    np.testing.assert_allclose(probs, [softmax(list(m - m.max())) for m in margins], rtol=1e-12)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], ["a", "b"]])
def test_labels_that_are_no_indices_are_refused(labels: list[Any]) -> None:
    x, y = blobs(2)
    pipeline = classical.gaussian_nb(seed=0).fit(x, np.array(labels)[y])
    with pytest.raises(ValueError, match="expected indices of 3 classes"):
        probabilities(pipeline, x, n_classes=3)


@pytest.mark.parametrize("shape", [(2, N_COLUMNS - 1), (2, N_COLUMNS + 1), (N_COLUMNS,)])
def test_other_columns_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="fitted to 6 columns"):
        probabilities(fitted(classical.random_forest), np.zeros(shape), n_classes=3)


# Settings.


@every_row
def test_builders_are_called_alike_with_plain_values(row: Callable[..., Pipeline]) -> None:
    parameters = list(inspect.signature(row).parameters.values())
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    assert parameters[-1].name == "seed"
    assert parameters[-1].default is inspect.Parameter.empty
    assert all(type(p.default) in (bool, int, float, str) for p in parameters[:-1])


# What we say in other words than scikit-learn, or (svc_rbf) mean otherwise.
SAID_OTHERWISE: dict[Callable[..., Pipeline], dict[str, Any]] = {
    classical.mlp: {"hidden_layer_sizes": (100,)},
    classical.svc_rbf: {"break_ties": True},
    classical.knn: {"algorithm": "brute"},  # the same neighbours, found another way
    classical.bagging: {"max_samples": 1.0},  # of the rows, by default as many as there are
}


@pytest.mark.parametrize("row", SINGLE, ids=[row.__name__ for row in SINGLE])
def test_defaults_are_those_of_scikit_learn(row: Callable[..., Pipeline]) -> None:
    expected = SINGLE[row]().get_params() | SAID_OTHERWISE.get(row, {})
    if "random_state" in expected:
        expected["random_state"] = 7
    assert row(seed=7)["classify"].get_params() == expected


OTHER_TEXT = {
    "layers": "32,16", "weights": "distance", "max_features": "log2", "voting": "soft",
}  # fmt: skip
HYPERPARAMETERS = [
    (row, name, parameter.default)
    for row in ROWS
    for name, parameter in inspect.signature(row).parameters.items()
    if name != "seed"
]


@pytest.mark.parametrize(
    ("row", "name", "default"),
    HYPERPARAMETERS,
    ids=[f"{row.__name__} {name}" for row, name, _ in HYPERPARAMETERS],
)
def test_hyperparameter_reaches_its_estimator(
    row: Callable[..., Pipeline], name: str, default: Any
) -> None:
    if isinstance(default, str):
        value: Any = OTHER_TEXT[name]
    else:
        value = default + 2 if isinstance(default, int) else default / 2 or 0.5
    before, after = (row(**{name: v}, seed=0).get_params() for v in (default, value))
    held = [after[key] for key in after if repr(after[key]) != repr(before.get(key))]
    assert ((32, 16) if name == "layers" else value) in held


def test_layers_are_read_and_zero_is_no_limit() -> None:
    assert classical.mlp(layers="32,16", seed=0)["classify"].hidden_layer_sizes == (32, 16)
    assert classical.decision_tree(max_depth=0, seed=0)["classify"].max_depth is None
    assert classical.extra_trees(max_features="all", seed=0)["classify"].max_features is None
    assert classical.svc_rbf(gamma=0.0, seed=0)["classify"].gamma == "scale"


@pytest.mark.parametrize(
    ("row", "name", "value"),
    [
        (classical.mlp, "layers", "0"),
        (classical.mlp, "layers", "5000"),
        (classical.mlp, "learning_rate", 0.0),
        (classical.mlp, "alpha", float("nan")),
        (classical.svc_rbf, "c", 0.0),
        (classical.svc_rbf, "gamma", -1.0),
        (classical.linear_svc, "max_iter", 0),
        (classical.extra_trees, "n_estimators", 0),
        (classical.random_forest, "n_estimators", 10**6),
        (classical.random_forest, "max_features", "some"),
        (classical.logistic_regression, "c", -1.0),
        (classical.knn, "n_neighbors", 0),
        (classical.knn, "weights", "loud"),
        (classical.bagging, "max_samples", 0.0),
        (classical.ridge, "alpha", 0.0),
        (classical.sgd, "alpha", float("inf")),
        (classical.decision_tree, "max_depth", -1),
        (classical.adaboost, "learning_rate", 0.0),
        (classical.perceptron, "max_iter", -1),
        (classical.gaussian_nb, "var_smoothing", -1.0),
        (classical.hist_gradient_boosting, "max_leaf_nodes", 1),
        (voting.vote_mlp_svc, "voting", "loud"),
        (voting.vote_knn_rf_gnb, "n_estimators", 0),
        (voting.vote_mlp_rf_svc, "forest_seed", -1),
    ],
)
def test_value_out_of_its_range_is_named(
    row: Callable[..., Pipeline], name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"{name} is ") as caught:
        row(**{name: value}, seed=0)
    assert "\n" not in str(caught.value)


# What they hold. The scaler has a mean, a variance and a scale a column.


@pytest.mark.parametrize(
    ("row", "count"),
    [
        (classical.logistic_regression, 3 * 6 + 3 * 6 + 3),  # weights and biases of three classes
        (classical.ridge, 3 * 6 + 3 * 6 + 3),
        (classical.mlp, 3 * 6 + (6 * 100 + 100) + (100 * 3 + 3)),
        (classical.gaussian_nb, 3 * 6 + 2 * 3 * 6 + 2 * 3),  # means, variances; counts, priors
        (classical.knn, 3 * 6 + 150 * 6),  # the training rows
    ],
)
def test_parameters_are_as_many_as_counted_by_hand(
    row: Callable[..., Pipeline], count: int
) -> None:
    assert n_parameters(fitted(row)) == count


def test_tree_counts_three_numbers_and_its_values_a_node() -> None:
    # Threshold, impurity and weight; then the shares of two classes, at the root and two leaves.
    pipeline = classical.decision_tree(seed=0).fit([[0.0], [1.0]], [0, 1])
    assert n_parameters(pipeline) == 3 * (3 + 2)


def test_parts_come_once_and_without_what_training_alone_needs() -> None:
    pipeline = fitted(voting.vote_mlp_rf_svc, "hard")
    found = list(parts(pipeline))
    assert id(found[0]) == id(pipeline)
    assert len({id(part) for part in found}) == len(found)
    forest = pipeline["classify"].estimators_[1]
    assert {id(tree.tree_) for tree in forest.estimators_} <= {id(part) for part in found}
    perceptron = pipeline["classify"].estimators_[0]
    assert any(part is perceptron.coefs_[0] for part in found)
    assert not any(part is perceptron._optimizer for part in found)


def test_what_holds_itself_is_walked_once() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert len(list(parts(circle))) == 2
