"""Fitted pipelines as ONNX graphs, translated by skl2onnx.

A graph takes rows of float32, named ``input``, and gives one output: ``probabilities``, or
``logits`` where `models.fitted.probabilities` takes the softmax of margins. The names of the
classes, which skl2onnx gives beside them, are left out with all that only they need.

Gradient boosting is written here, as ONNX's newer operator TreeEnsemble: skl2onnx writes it as the
older one, three times as long, and fails with today's onnx. scikit-learn compares numbers of
float64; ours are float32, so that a threshold may be rounded down to float32, and no row goes
another way.

References
----------
https://onnx.ai/sklearn-onnx/ and https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html.
"""

import copy
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC
from sklearn.tree._tree import Tree

from mgr_cli.models.fitted import parts
from mgr_cli.zoo.sessions import LOGITS, PROBABILITIES
from mgr_cli.zoo.tensors import one_line
from mgr_cli.zoo.weights import input_name

OPSETS = {"": 17, "ai.onnx.ml": 3}
OPSETS_OF_TREES = {"": 17, "ai.onnx.ml": 5}  # of 2024, the first that has TreeEnsemble
IR_VERSION = 10  # the format that came with it
MAX_TREE_NODES = 50_000  # some 5 MB and 5 seconds of skl2onnx, which goes node by node
_AT_MOST = 0  # TreeEnsemble's word for ≤


class TranslationError(Exception):
    """A pipeline has no graph; the text says why."""


def of_pipeline(pipeline: Pipeline, *, n_classes: int) -> bytes:
    """Translate a fitted pipeline.

    Parameters
    ----------
    pipeline : Pipeline
        One of `models.classical`.
    n_classes : int
        Of the problem.

    Raises
    ------
    TranslationError
        If skl2onnx cannot, or a class is missing.
    """
    classifier = pipeline.steps[-1][1]
    if list(classifier.classes_) != list(range(n_classes)):
        raise TranslationError("the rows that it was fitted to lack a class")
    if len(pipeline.steps) == 1 and isinstance(classifier, HistGradientBoostingClassifier):
        model = _of_boosting(classifier)
    else:
        n_nodes = sum(part.node_count for part in parts(pipeline) if isinstance(part, Tree))
        if n_nodes > MAX_TREE_NODES:
            raise TranslationError(f"its trees have {n_nodes} nodes, more than {MAX_TREE_NODES}")
        model = _by_skl2onnx(pipeline)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _by_skl2onnx(pipeline: Pipeline) -> onnx.ModelProto:
    bare = copy.deepcopy(pipeline)
    classifier = bare.steps[-1][1]
    has_probs = hasattr(classifier, "predict_proba") and not isinstance(classifier, NearestCentroid)
    if isinstance(classifier, VotingClassifier):
        classifier.flatten_transform = False  # what skl2onnx asks for; it changes no vote
        has_probs = True  # of hard voting the shares of the votes
    takes = [(input_name(0), FloatTensorType([None, bare.n_features_in_]))]
    wanted = {"zipmap": False} if has_probs else {"zipmap": False, "raw_scores": True}
    if isinstance(classifier, LinearSVC):
        del wanted["zipmap"]  # skl2onnx knows no such option of this one
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = to_onnx(
                bare, initial_types=takes, options={id(classifier): wanted}, target_opset=OPSETS
            )
    except Exception as error:  # its converters raise what they like
        said = one_line(error).split(". ")[0]
        raise TranslationError(f"skl2onnx cannot translate it ({said})") from error
    return _opinion_alone(made, PROBABILITIES if has_probs else LOGITS)


def _opinion_alone(made: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Keep the second output, under a name, and what it needs."""
    graph = made.graph
    old = graph.output[1].name
    needed, nodes = {old}, []
    for node in reversed(graph.node):  # they stand in the order of their need
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    for node in nodes:
        node.output[:] = [name if each == old else each for each in node.output]
        node.input[:] = [name if each == old else each for each in node.input]
    return _model(
        nodes[::-1], int(graph.input[0].type.tensor_type.shape.dim[1].dim_value), name,
        [tensor for tensor in graph.initializer if tensor.name in needed], OPSETS,
    )  # fmt: skip


def _of_boosting(classifier: HistGradientBoostingClassifier) -> onnx.ModelProto:
    """Write the trees, one for each class in each round, and the sum of what they give."""
    rounds, baseline = classifier._predictors, classifier._baseline_prediction.ravel()
    trees = _Trees()
    for each in rounds:
        for label, tree in enumerate(each):
            # Of two classes only the second has trees.
            trees.add(tree.nodes, label if len(each) > 1 else 1)
    offsets = baseline if len(baseline) > 1 else np.array([0.0, baseline[0]])
    nodes = [
        trees.node(input_name(0), "sums", n_targets=len(offsets)),
        helper.make_node("Add", ["sums", "offsets"], [LOGITS]),
    ]
    start = onnx.numpy_helper.from_array(offsets.astype(np.float32), "offsets")
    return _model(nodes, classifier.n_features_in_, LOGITS, [start], OPSETS_OF_TREES)


class _Trees:
    """Trees of gradient boosting as TreeEnsemble has them: inner nodes and leaves, numbered."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._columns: list[int] = []
        self._thresholds: list[float] = []
        self._children: tuple[list[int], list[int]] = ([], [])  # where it is at most that, or not
        self._are_leaves: tuple[list[int], list[int]] = ([], [])
        self._values: list[float] = []
        self._targets: list[int] = []

    def add(self, nodes: np.ndarray, target: int) -> None:
        """Add a tree, the records of scikit-learn's TreePredictor, that gives to one target."""
        is_leaf = nodes["is_leaf"] != 0
        inner = np.flatnonzero(~is_leaf)
        # The number of each among its like: of all inner nodes, or of all leaves.
        numbers = np.where(
            is_leaf,
            len(self._values) + np.cumsum(is_leaf) - 1,
            len(self._columns) + np.cumsum(~is_leaf) - 1,
        )
        self._roots.append(len(self._columns))
        if is_leaf[0]:  # a tree has an inner node there, both of whose ways lead to the leaf
            self._ask(np.zeros(1, int), np.zeros(1), (np.zeros(1, int),) * 2, is_leaf, numbers)
        else:
            asked = nodes[inner]
            children = (asked["left"].astype(int), asked["right"].astype(int))
            self._ask(asked["feature_idx"], asked["num_threshold"], children, is_leaf, numbers)
        self._values += nodes["value"][is_leaf].tolist()
        self._targets += [target] * int(is_leaf.sum())

    def _ask(
        self,
        columns: np.ndarray,
        thresholds: np.ndarray,
        children: tuple[np.ndarray, np.ndarray],
        is_leaf: np.ndarray,
        numbers: np.ndarray,
    ) -> None:
        self._columns += columns.tolist()
        self._thresholds += _rounded_down(thresholds).tolist()
        for each, places, are_leaves in zip(
            children, self._children, self._are_leaves, strict=True
        ):
            places += numbers[each].tolist()
            are_leaves += is_leaf[each].astype(int).tolist()

    def node(self, name: str, output: str, *, n_targets: int) -> onnx.NodeProto:
        """Make the operator that adds up what the trees give for each row."""

        def tensor(values: list[Any], kind: type) -> onnx.TensorProto:
            return onnx.numpy_helper.from_array(np.array(values, kind))

        return helper.make_node(
            "TreeEnsemble", [name], [output], domain="ai.onnx.ml", n_targets=n_targets,
            tree_roots=self._roots,
            nodes_featureids=self._columns,
            nodes_splits=tensor(self._thresholds, np.float32),
            nodes_modes=tensor([_AT_MOST] * len(self._columns), np.uint8),
            nodes_truenodeids=self._children[0], nodes_falsenodeids=self._children[1],
            nodes_trueleafs=self._are_leaves[0], nodes_falseleafs=self._are_leaves[1],
            leaf_targetids=self._targets, leaf_weights=tensor(self._values, np.float32),
        )  # fmt: skip


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Return the largest numbers of float32 that are not above those of float64."""
    near = thresholds.astype(np.float32)
    below = np.nextafter(near, np.float32(-np.inf))
    rounded: np.ndarray = np.where(near > thresholds, below, near)
    return rounded


def _model(
    nodes: list[onnx.NodeProto],
    n_columns: int,
    output: str,
    tensors: list[onnx.TensorProto],
    opsets: dict[str, int],
) -> onnx.ModelProto:
    """Put a graph of rows together."""
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "pipeline",
        [helper.make_tensor_value_info(input_name(0), float32, ["batch", n_columns])],
        [helper.make_tensor_value_info(output, float32, None)],
        initializer=tensors,
    )  # fmt: skip
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*each) for each in opsets.items()],
        ir_version=IR_VERSION,
        producer_name="mgr",
    )
