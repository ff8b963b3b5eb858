"""Whether compiled code can be trusted with what a file has made.

scikit-learn's compiled code follows the indices that trees, support vector machines and neighbours
hold without looking. Here they are looked at, once, when a file is loaded.
"""

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree._tree import Tree


def is_sound(part: Any, n_columns: int) -> bool:
    """Tell whether compiled code that is given `n_columns` stays within the arrays of a part."""
    if isinstance(part, Tree):
        return _is_sound_tree(part, n_columns)
    if isinstance(part, TreePredictor):
        return _is_sound_predictor(part, n_columns)
    if isinstance(part, SVC) and hasattr(part, "_dual_coef_"):
        return _is_sound_machine(part, n_columns)
    if isinstance(part, KNeighborsClassifier) and hasattr(part, "_fit_X"):
        return _are_sound_neighbors(part, n_columns)
    if hasattr(part, "tree_") or isinstance(part, HistGradientBoostingClassifier):
        # An ensemble has its first tree compare the columns with these, for all others.
        return bool(part.n_features_in_ == n_columns)
    return True


def _is_sound_tree(tree: Tree, n_columns: int) -> bool:
    if not 1 <= tree.node_count <= tree.capacity:
        return False
    inner = tree.children_left != -1
    return _leads_down(inner, tree.children_left, tree.children_right, tree.feature, n_columns)


def _is_sound_predictor(tree: TreePredictor, n_columns: int) -> bool:
    nodes = tree.nodes  # the compiled code does look at their type
    if not len(nodes) or nodes["is_categorical"].any():
        return False
    inner = nodes["is_leaf"] == 0
    return _leads_down(inner, nodes["left"], nodes["right"], nodes["feature_idx"], n_columns)


def _leads_down(
    inner: np.ndarray, left: np.ndarray, right: np.ndarray, column: np.ndarray, n_columns: int
) -> bool:
    """Tell whether each inner node of a tree asks of a column, and its children stand below."""
    places = np.flatnonzero(inner)
    children = np.stack([left[inner], right[inner]]).astype(np.int64)
    asked = column[inner]
    return bool(
        (children > places).all()
        and (children < len(inner)).all()
        and (asked >= 0).all()
        and (asked < n_columns).all()
    )


def _is_sound_machine(svc: SVC, n_columns: int) -> bool:
    counts, coefficients = svc._n_support, svc._dual_coef_
    n, k = len(svc.support_vectors_), len(counts)
    return bool(
        (svc.kernel, svc._impl, svc._sparse) == ("rbf", "c_svc", False)
        and svc.n_features_in_ == n_columns
        and svc.support_vectors_.shape == (n, n_columns)
        and svc.support_.shape == (n,)
        and coefficients.shape == (k - 1, n)
        and coefficients.flags.c_contiguous
        and svc._intercept_.shape == (k * (k - 1) // 2,)
        and counts.min() >= 0
        and counts.sum() == n > 0
        and svc._probA.size == svc._probB.size == 0
    )


def _are_sound_neighbors(knn: KNeighborsClassifier, n_columns: int) -> bool:
    n = len(knn._fit_X)
    return bool(
        (knn._fit_method, knn.effective_metric_) == ("brute", "euclidean")
        and knn._fit_X.shape == (n, n_columns)
        and knn._y.shape == (n,)
        and knn._y.min() >= 0
        and knn._y.max() < len(knn.classes_)
        and 1 <= knn.n_neighbors <= n
    )
