"""Classical rivals of the nets: scikit-learn's classifiers on one row of numbers a track.

The rows are seed 004's table of fifteen classifiers, and gradient boosting beside them; its
ensembles stand in `voting`. The seed names none of their settings, so each row has scikit-learn's
own defaults, which are also the defaults of its hyper-parameters here.

A builder returns an unfitted `Pipeline` that ends in the step ``classify``. Before it stands
``scale`` (each column to mean 0 and variance 1, as on the training tracks) for whatever measures
distances, penalises weights or steps along a gradient. Gaussian naive Bayes is scaled too, since
its smoothing is a share of the largest variance of all columns, which would swamp the small ones
of 518 so different features; trees ask only which of two numbers is larger, and are not.

Labels are class indices, 0 to n_classes - 1. Every builder takes a `seed`, also where nothing is
drawn, so that all are called alike. None asks for workers: whoever wants more than one core sets
`joblib.parallel_config` around the fit, which changes no result.

References
----------
F. Pedregosa et al., "Scikit-learn: Machine learning in Python", JMLR 12, 2011.
"""

from typing import Any

from sklearn.decomposition import PCA
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
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mgr_cli.models.feedforward import sizes
from mgr_cli.models.layers import check

POSITIVE = (1e-9, 1e9)  # of penalties and widths
STEPS = (1, 100_000)
TREES = (1, 10_000)
DEPTHS = (0, 1_000)  # 0 is no limit
LEAVES = (1, 10_000)  # rows in one, at the least
WEIGHTS = ("uniform", "distance")
COLUMNS = ("sqrt", "log2", "all")


def mlp(
    *,
    layers: str = "100",
    alpha: float = 1e-4,
    learning_rate: float = 1e-3,
    max_iter: int = 200,
    batch_size: int = 0,
    early_stopping: bool = False,
    seed: int,
) -> Pipeline:
    """Make a perceptron with hidden `layers` of so many units each, see `feedforward.sizes`.

    Parameters
    ----------
    layers : str
        Such as ``"100"`` or ``"512,256"``.
    alpha : float
        L2 penalty.
    learning_rate : float
        Of Adam.
    max_iter : int
        Epochs, at the most.
    batch_size : int
        Rows of a step; 0 is 200, or all where they are fewer.
    early_stopping : bool
        Whether a tenth of the rows is held back, and ten epochs without gain on it end the fit.
    seed : int
        Of the weights and the order of the rows.

    Raises
    ------
    ValueError
        If a value is out of its range, as of every builder.
    """
    check("alpha", alpha, 0.0, POSITIVE[1])
    check("learning_rate", learning_rate, 1e-9, 10.0)
    check("max_iter", max_iter, *STEPS)
    check("batch_size", batch_size, 0, 100_000)
    return _scaled(
        MLPClassifier(
            sizes(layers),
            alpha=alpha,
            batch_size=batch_size or "auto",
            early_stopping=early_stopping,
            learning_rate_init=learning_rate,
            max_iter=max_iter,
            random_state=seed,
        )
    )


def svc_rbf(*, c: float = 1.0, gamma: float = 0.0, seed: int) -> Pipeline:
    """Make a support vector machine with a Gaussian kernel.

    Its margins are one-versus-rest, made of the votes of all pairs of classes; where pairs tie,
    the larger margin decides and not the smaller label, which is the one change from the
    defaults.

    Parameters
    ----------
    c : float
        Price of a row on the wrong side.
    gamma : float
        1 / (2 · width²) of the kernel; 0 is 1 / (columns · variance), scikit-learn's "scale".
    seed : int
        Nothing is drawn.
    """
    check("c", c, *POSITIVE)
    check("gamma", gamma, 0.0, POSITIVE[1])
    return _scaled(SVC(C=c, gamma=gamma or "scale", break_ties=True, random_state=seed))


def linear_svc(*, c: float = 1.0, max_iter: int = 1_000, seed: int) -> Pipeline:
    """Make a linear support vector machine, one class against the rest, of squared hinge loss."""
    check("c", c, *POSITIVE)
    check("max_iter", max_iter, *STEPS)
    return _scaled(LinearSVC(C=c, max_iter=max_iter, random_state=seed))


def extra_trees(
    *,
    n_estimators: int = 100,
    max_depth: int = 0,
    min_samples_leaf: int = 1,
    max_features: str = "sqrt",
    seed: int,
) -> Pipeline:
    """Make a forest of trees whose thresholds are drawn; see `random_forest`."""
    kind = ExtraTreesClassifier
    return _plain(_forest(kind, n_estimators, max_depth, min_samples_leaf, max_features, seed))


def random_forest(
    *,
    n_estimators: int = 100,
    max_depth: int = 0,
    min_samples_leaf: int = 1,
    max_features: str = "sqrt",
    seed: int,
) -> Pipeline:
    """Make a forest of trees that see resampled rows.

    Parameters
    ----------
    n_estimators : int
        Trees.
    max_depth : int
        Of a tree; 0 is no limit.
    min_samples_leaf : int
        Rows in a leaf, at the least.
    max_features : {"sqrt", "log2", "all"}
        Columns that a split chooses from.
    seed : int
        Of what is drawn.
    """
    kind = RandomForestClassifier
    return _plain(_forest(kind, n_estimators, max_depth, min_samples_leaf, max_features, seed))


def logistic_regression(*, c: float = 1.0, max_iter: int = 100, seed: int) -> Pipeline:
    """Make a multinomial logistic regression; `c` is the inverse of its L2 penalty."""
    check("c", c, *POSITIVE)
    check("max_iter", max_iter, *STEPS)
    return _scaled(LogisticRegression(C=c, max_iter=max_iter, random_state=seed))


def knn(*, n_neighbors: int = 5, weights: str = "uniform", seed: int) -> Pipeline:
    """Make a vote of the nearest rows, each for one or (``distance``) for 1 / its distance."""
    check("n_neighbors", n_neighbors, 1, 10_000)
    _one_of("weights", weights, WEIGHTS)
    # A tree of many columns is no faster than looking at every row, and its file would hold
    # indices that nobody checks.
    return _scaled(KNeighborsClassifier(n_neighbors, weights=weights, algorithm="brute"))


def bagging(*, n_estimators: int = 10, max_samples: float = 1.0, seed: int) -> Pipeline:
    """Make a mean of full trees on resampled rows, each a share `max_samples` of all."""
    check("n_estimators", n_estimators, *TREES)
    check("max_samples", max_samples, 0.01, 1.0)
    return _plain(
        BaggingClassifier(n_estimators=n_estimators, max_samples=max_samples, random_state=seed)
    )


def ridge(*, alpha: float = 1.0, seed: int) -> Pipeline:
    """Make a least-squares fit of -1 and 1 for each class, with an L2 penalty `alpha`."""
    check("alpha", alpha, *POSITIVE)
    return _scaled(RidgeClassifier(alpha=alpha, random_state=seed))


def sgd(*, alpha: float = 1e-4, max_iter: int = 1_000, seed: int) -> Pipeline:
    """Make a linear machine of hinge loss and L2 penalty `alpha`, fitted row by row."""
    check("alpha", alpha, *POSITIVE)
    check("max_iter", max_iter, *STEPS)
    return _scaled(SGDClassifier(alpha=alpha, max_iter=max_iter, random_state=seed))


def decision_tree(*, max_depth: int = 0, min_samples_leaf: int = 1, seed: int) -> Pipeline:
    """Make one tree; `max_depth` 0 is no limit."""
    check("max_depth", max_depth, *DEPTHS)
    check("min_samples_leaf", min_samples_leaf, *LEAVES)
    return _plain(
        DecisionTreeClassifier(
            max_depth=max_depth or None, min_samples_leaf=min_samples_leaf, random_state=seed
        )
    )


def adaboost(*, n_estimators: int = 50, learning_rate: float = 1.0, seed: int) -> Pipeline:
    """Make a weighted vote of trees of one split, each fitted to the errors of those before."""
    check("n_estimators", n_estimators, *TREES)
    check("learning_rate", learning_rate, 1e-6, 100.0)
    return _plain(
        AdaBoostClassifier(
            None, n_estimators=n_estimators, learning_rate=learning_rate, random_state=seed
        )
    )


def nearest_centroid(*, seed: int) -> Pipeline:
    """Make the classifier that names the class whose mean is nearest."""
    return _scaled(NearestCentroid())


def perceptron(*, max_iter: int = 1_000, seed: int) -> Pipeline:
    """Make a linear machine that learns from its errors alone."""
    check("max_iter", max_iter, *STEPS)
    return _scaled(Perceptron(max_iter=max_iter, random_state=seed))


def gaussian_nb(*, var_smoothing: float = 1e-9, seed: int) -> Pipeline:
    """Make naive Bayes of normal columns; `var_smoothing` is a share of the largest variance."""
    check("var_smoothing", var_smoothing, 0.0, POSITIVE[1])
    return _scaled(GaussianNB(var_smoothing=var_smoothing))


def hist_gradient_boosting(
    *,
    learning_rate: float = 0.1,
    max_iter: int = 100,
    max_leaf_nodes: int = 31,
    min_samples_leaf: int = 20,
    l2: float = 0.0,
    seed: int,
) -> Pipeline:
    """Make gradient boosting over binned columns.

    Parameters
    ----------
    learning_rate : float
        Share of each tree that counts.
    max_iter : int
        Rounds of one tree a class; of more than 10,000 rows a tenth tells when to stop.
    max_leaf_nodes : int
        Leaves of a tree, at the most.
    min_samples_leaf : int
        Rows in a leaf, at the least.
    l2 : float
        Penalty on the values of the leaves.
    seed : int
        Of the rows that bin edges and stopping are found on.
    """
    check("learning_rate", learning_rate, 1e-6, 100.0)
    check("max_iter", max_iter, *TREES)
    check("max_leaf_nodes", max_leaf_nodes, 2, 65_536)
    check("min_samples_leaf", min_samples_leaf, *LEAVES)
    check("l2", l2, 0.0, POSITIVE[1])
    return _plain(
        HistGradientBoostingClassifier(
            learning_rate=learning_rate,
            max_iter=max_iter,
            max_leaf_nodes=max_leaf_nodes,
            min_samples_leaf=min_samples_leaf,
            l2_regularization=l2,
            random_state=seed,
        )
    )


def reduced(rival: Pipeline, share: float) -> Pipeline:
    """Put a principal component analysis before a rival's classifier.

    Parameters
    ----------
    rival : Pipeline
        Not fitted, of one of the builders above; its columns are scaled, whether it asks for
        that or not, since the largest would be all components otherwise.
    share : float
        Of the variance that the components keep, 0 to 1; 0 keeps the columns themselves.
    """
    check("pca", share, 0.0, 0.9999)
    steps: list[tuple[str, Any]] = [("scale", StandardScaler())]
    if share:
        steps.append(("pca", PCA(share, svd_solver="full")))
    return Pipeline([*steps, rival.steps[-1]])


def _plain(classifier: Any) -> Pipeline:
    return Pipeline([("classify", classifier)])


def _scaled(classifier: Any) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("classify", classifier)])


def _forest(
    kind: Any,
    n_estimators: int,
    max_depth: int,
    min_samples_leaf: int,
    max_features: str,
    seed: int,
) -> Any:
    check("n_estimators", n_estimators, *TREES)
    check("max_depth", max_depth, *DEPTHS)
    check("min_samples_leaf", min_samples_leaf, *LEAVES)
    _one_of("max_features", max_features, COLUMNS)
    return kind(
        n_estimators,
        max_depth=max_depth or None,
        min_samples_leaf=min_samples_leaf,
        max_features=None if max_features == "all" else max_features,
        random_state=seed,
    )


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
