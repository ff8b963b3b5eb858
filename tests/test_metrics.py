import numpy as np
import pytest
from sklearn import metrics as reference

from mgr_cli import metrics

# Three genres by hand. Rows true: 4 of the first (3 right), 4 of the second (2 right),
# 2 of the third (1 right).
BY_HAND = np.array([[3, 1, 0], [1, 2, 1], [1, 0, 1]])


def labels(*, seed: int, n: int, k: int, right: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Draw true classes, unevenly, and predictions of which at least `right` are right."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(k, n, p=rng.dirichlet(np.ones(k)))
    return truth, np.where(rng.random(n) < right, truth, rng.integers(0, k, n))


def assert_like_reference(truth: np.ndarray, predicted: np.ndarray, *, k: int) -> None:
    macro = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": reference.accuracy_score(truth, predicted),
        "precision": reference.precision_score(truth, predicted, **macro),
        "recall": reference.recall_score(truth, predicted, **macro),
        "f1_macro": reference.f1_score(truth, predicted, **macro),
        "f1_weighted": reference.f1_score(
            truth, predicted, average="weighted", zero_division=0
        ),
        "precision_weighted": reference.precision_score(
            truth, predicted, average="weighted", zero_division=0
        ),
    }  # fmt: skip
    found = metrics.scores(metrics.confusion(truth, predicted, n_classes=k))
    for name, value in expected.items():
        # The same formula in another order of operations.
        assert found[name] == pytest.approx(value, abs=1e-12), name


# --- counting ---------------------------------------------------------------------------


def test_rows_are_true_and_columns_predicted() -> None:
    counts = metrics.confusion(np.array([0, 0, 1]), np.array([2, 2, 1]), n_classes=3)
    np.testing.assert_array_equal(counts, [[0, 0, 2], [0, 1, 0], [0, 0, 0]])
    assert counts.dtype == np.int64


def test_counts_are_those_of_scikit_learn() -> None:
    truth, predicted = labels(seed=1, n=500, k=10)
    np.testing.assert_array_equal(
        metrics.confusion(truth, predicted, n_classes=10),
        reference.confusion_matrix(truth, predicted, labels=range(10)),
    )


def test_counts_by_track_are_the_tracks_own_counts_in_order() -> None:
    truth, predicted = labels(seed=2, n=60, k=4)
    tracks = np.random.default_rng(0).choice(np.array(["c", "a", "b"]), 60)
    found = metrics.confusion_by_track(truth, predicted, tracks, n_classes=4)
    for counts, name in zip(found, "abc", strict=True):
        mine = tracks == name
        np.testing.assert_array_equal(
            counts, metrics.confusion(truth[mine], predicted[mine], n_classes=4)
        )


@pytest.mark.parametrize(
    ("truth", "predicted", "found"),
    [
        ([], [], r"\(0,\)"),
        ([[0]], [[0]], r"\(1, 1\)"),
        ([0, 1], [0], "differ in shape"),
        ([0, 3], [0, 1], "truth goes from 0 to 3, outside 0 to 2"),
        ([0, 1], [-1, 1], "predicted goes from -1 to 1"),
        ([0.5, 1], [0, 1], "float64, expected whole numbers"),
    ],
)
def test_what_are_not_class_indices_is_refused(
    truth: list[int], predicted: list[int], found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        metrics.confusion(np.array(truth), np.array(predicted), n_classes=3)


# --- scores -----------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    # Precisions 3/5, 2/3, 1/2; recalls 3/4, 2/4, 1/2; F1 = 2·hits / (row + column):
    # 6/9, 4/7, 2/4. One-versus-rest: 7, 7 and 8 of 10 are right.
    found = metrics.scores(BY_HAND)
    expected = {
        "accuracy": 6 / 10,
        "ovr_accuracy": (7 + 7 + 8) / 30,
        "precision": (3 / 5 + 2 / 3 + 1 / 2) / 3,
        "recall": (3 / 4 + 2 / 4 + 1 / 2) / 3,
        "f1_macro": (6 / 9 + 4 / 7 + 2 / 4) / 3,
        "f1_weighted": (4 * 6 / 9 + 4 * 4 / 7 + 2 * 2 / 4) / 10,
        "precision_weighted": (4 * 3 / 5 + 4 * 2 / 3 + 2 * 1 / 2) / 10,
    }
    assert tuple(found) == metrics.SCORES
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-15), name


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("k", [2, 8, 16])
def test_scores_are_those_of_scikit_learn(seed: int, k: int) -> None:
    # With 25 answers for 16 classes, many classes are missing from one side or from both.
    for n in (1, 25, 1_000):
        truth, predicted = labels(seed=seed, n=n, k=k, right=0.4)
        assert_like_reference(truth, predicted, k=k)


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        ([0, 0, 0], [0, 0, 0]),  # one class, all right
        ([3, 3], [1, 1]),  # one class, all wrong: two classes occur
        ([0, 1, 2], [4, 4, 4]),  # the predicted class is never true
        ([0, 1, 2, 3], [1, 2, 3, 0]),  # every class, never right
        ([0, 0, 0, 2], [0, 0, 0, 0]),  # a class is never predicted
    ],
)
def test_degenerate_answers_score_as_in_scikit_learn(
    truth: list[int], predicted: list[int]
) -> None:
    assert_like_reference(np.array(truth), np.array(predicted), k=5)


def test_recall_weighted_by_class_is_the_accuracy() -> None:
    truth, predicted = labels(seed=10, n=300, k=8)
    weighted = reference.recall_score(truth, predicted, average="weighted", zero_division=0)
    found = metrics.scores(metrics.confusion(truth, predicted, n_classes=8))
    assert found["accuracy"] == pytest.approx(weighted, abs=1e-12)


@pytest.mark.parametrize("k", [2, 8, 16])
def test_ovr_accuracy_is_the_mean_of_the_binary_accuracies(k: int) -> None:
    # The last class never occurs and still counts: everybody is right about it.
    truth, predicted = labels(seed=3, n=300, k=k - 1)
    found = metrics.scores(metrics.confusion(truth, predicted, n_classes=k))
    each = [reference.accuracy_score(truth == c, predicted == c) for c in range(k)]
    assert found["ovr_accuracy"] == pytest.approx(np.mean(each), abs=1e-12)


def test_eight_classes_turn_sixty_percent_into_ninety() -> None:
    counts = np.diag(np.full(8, 60)) + np.roll(np.diag(np.full(8, 40)), 1, axis=1)
    found = metrics.scores(counts)
    assert found["accuracy"] == pytest.approx(0.6)
    assert found["ovr_accuracy"] == pytest.approx(0.9)


def test_many_matrices_at_once_score_as_one_by_one() -> None:
    many = np.random.default_rng(4).integers(0, 5, (3, 7, 6, 6))
    found = metrics.scores(many)
    for at in np.ndindex(3, 7):
        for name, value in metrics.scores(many[at]).items():
            assert found[name][at] == pytest.approx(float(value), abs=1e-15), name


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        (np.zeros((2, 3)), r"\(2, 3\)"),
        (np.zeros(4), r"\(4,\)"),
        (np.zeros((0, 0)), r"\(0, 0\)"),
        (np.array([[1, -1], [0, 1]]), "negative"),
        (np.zeros((2, 2)), "without any count"),
        (np.stack([np.eye(2), np.zeros((2, 2))]), "without any count"),
    ],
)
def test_what_is_not_a_confusion_matrix_has_no_scores(counts: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        metrics.scores(counts)


def test_rows_sum_to_one_and_empty_rows_stay_zero() -> None:
    found = metrics.row_normalised(np.array([[1, 3], [0, 0]]))
    np.testing.assert_array_equal(found, [[0.25, 0.75], [0, 0]])


# --- classes ----------------------------------------------------------------------------


def test_classes_by_hand() -> None:
    assert metrics.by_class(BY_HAND) == (
        metrics.ClassScores(3 / 5, 3 / 4, 6 / 9, support=4, predicted=5),
        metrics.ClassScores(2 / 3, 2 / 4, 4 / 7, support=4, predicted=3),
        metrics.ClassScores(1 / 2, 1 / 2, 2 / 4, support=2, predicted=2),
    )


@pytest.mark.parametrize("n", [1, 25, 1_000])
def test_classes_are_those_of_scikit_learn(n: int) -> None:
    truth, predicted = labels(seed=11, n=n, k=16, right=0.4)
    expected = reference.precision_recall_fscore_support(
        truth, predicted, labels=range(16), zero_division=0
    )
    found = metrics.by_class(metrics.confusion(truth, predicted, n_classes=16))
    rows = [(each.precision, each.recall, each.f1, each.support) for each in found]
    np.testing.assert_allclose(np.array(rows).T, np.array(expected), atol=1e-12)
    assert [each.predicted for each in found] == np.bincount(predicted, minlength=16).tolist()


def test_classes_of_many_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one matrix"):
        metrics.by_class(np.ones((2, 3, 3)))


# --- the k most probable ----------------------------------------------------------------


def test_top_k_by_hand() -> None:
    probs = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    truth = np.array([0, 1, 2])
    assert metrics.top_k(probs, truth, k=1).tolist() == [True, False, False]
    assert metrics.top_k(probs, truth, k=2).tolist() == [True, True, False]
    assert metrics.top_k(probs, truth, k=3).tolist() == [True, True, True]


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_top_k_is_that_of_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(12)
    probs, truth = rng.dirichlet(np.ones(8), 500), rng.integers(0, 8, 500)
    expected = reference.top_k_accuracy_score(truth, probs, k=k, labels=range(8))
    assert metrics.top_k(probs, truth, k=k).mean() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_of_equals_the_lowest_index_comes_first_and_not_the_highest(k: int) -> None:
    # Scores of three values tie all the time. With its classes turned round, scikit-learn
    # takes the lowest index first, too.
    rng = np.random.default_rng(13)
    scores, truth = rng.integers(0, 3, (300, 6)), rng.integers(0, 6, 300)
    found = metrics.top_k(scores, truth, k=k)
    turned = reference.top_k_accuracy_score(5 - truth, scores[:, ::-1], k=k, labels=range(6))
    assert found.mean() == pytest.approx(turned, abs=1e-12)
    if k == 1:
        np.testing.assert_array_equal(found, scores.argmax(axis=1) == truth)


@pytest.mark.parametrize(
    ("probs", "truth", "k", "found"),
    [
        (np.eye(2), [0, 1], 0, "k is 0"),
        (np.eye(2), [0], 1, "2 rows of probs and 1 of truth"),
        (np.eye(2), [0, 2], 1, "outside 0 to 1"),
        (np.array([[np.nan, 1.0]]), [0], 1, "not numbers"),
        (np.ones(3), [0], 1, r"\(3,\)"),
    ],
)
def test_what_has_no_top_is_refused(
    probs: np.ndarray, truth: list[int], k: int, found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        metrics.top_k(probs, np.array(truth), k=k)


# --- log loss ---------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_log_loss_is_that_of_scikit_learn(dtype: type, rtol: float) -> None:
    # scikit-learn averages in the precision it is given, hence the wider float32 bound.
    rng = np.random.default_rng(9)
    probs: np.ndarray = rng.dirichlet(np.full(8, 0.3), 300).astype(dtype)
    truth = rng.integers(0, 7, 300)  # the last class never occurs
    expected = reference.log_loss(truth, probs, labels=range(8))
    assert metrics.log_loss(probs, truth) == pytest.approx(expected, rel=rtol)


def test_certain_error_costs_what_it_costs_in_scikit_learn() -> None:
    probs: np.ndarray = np.eye(2)
    truth = np.array([1, 1])
    expected = reference.log_loss(truth, probs, labels=[0, 1])
    assert metrics.log_loss(probs, truth) == pytest.approx(expected, rel=1e-12)
    assert metrics.log_loss(probs.astype(int), truth) == pytest.approx(expected, rel=1e-12)


def test_guess_costs_the_logarithm_of_the_number_of_classes() -> None:
    assert metrics.log_loss(np.full((5, 8), 1 / 8), np.arange(5)) == pytest.approx(np.log(8))


@pytest.mark.parametrize(
    ("probs", "truth", "found"),
    [
        (np.array([0.5, 0.5]), [0], r"\(2,\)"),
        (np.zeros((0, 2)), [], r"\(0,\)"),
        (np.array([[0.5, 0.5]]), [0, 1], "1 rows of probs and 2 of truth"),
        (np.array([[0.5, 0.5]]), [2], "outside 0 to 1"),
        (np.array([[3.0, -1.0]]), [0], "softmax"),
        (np.array([[np.nan, 1.0]]), [1], "softmax"),
    ],
)
def test_loss_of_what_is_not_probabilities_is_refused(
    probs: np.ndarray, truth: list[int], found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        metrics.log_loss(probs, np.array(truth))
