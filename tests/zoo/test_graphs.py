"""What every architecture's graph promises: the model's own probabilities, or a reason."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from safetensors.numpy import load_file
from torch import nn

from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.models import fitted, registry
from mgr_cli.models.registry import ARCHITECTURES, CLASSICAL
from mgr_cli.zoo import entries, graphs, halves, sessions, weights
from mgr_cli.zoo.card import Card, load_card
from tests import tiny

N_COLUMNS = 6
N_BANDS = {"log-mel": 64, "waveform": 1, "handcrafted": N_COLUMNS, "table": N_COLUMNS}
COLUMNS = tuple(f"x{n}" for n in range(N_COLUMNS))
SHALLOW = {"vit": {"depth": 1, "dim": 48}}  # its other layers are like the first


def card_of(name: str, *, n_classes: int = 4, **changes: object) -> Card:
    """Make the card of a row of the registry."""
    eats = ARCHITECTURES[name].eats if name in ARCHITECTURES else ("table",)
    is_vector = eats[0] in ("handcrafted", "table")
    said = {
        "architecture": name,
        "hyperparameters": SHALLOW.get(name, {}),
        "classes": tuple("abcdefgh"[:n_classes]),
        "eats": eats,
        "features": FeatureSpec(sample_rate=4_000, n_mels=64),
        "columns": COLUMNS if is_vector else (),
        "normalisation": {
            kind: Normalisation((0.0,) * N_BANDS[kind], (1.0,) * N_BANDS[kind]) for kind in eats
        },
        "segments": None if is_vector else SegmentSpec(seconds=2.0),
    }
    return Card.model_validate(vars(tiny.card(name)) | said | changes)


def net_of(card: Card) -> nn.Module:
    """Make a net, in evaluation mode, whose batch norms have seen a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = registry.build(
            card.architecture, card.inputs.dimensions,
            n_classes=len(card.classes), changes=card.hyperparameters,
        )  # fmt: skip
        net(*(torch.randn(4, *shape) for shape in card.inputs.shapes))
    return net.eval()


def noise(card: Card, n: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(n)
    return tuple(rng.standard_normal((n, *shape), np.float32) for shape in card.inputs.shapes)


def saved(folder: Path, card: Card, model: "weights.Model") -> tuple[Path, Card]:
    entry = entries.save(card, model, folder, rng=np.random.default_rng(0))
    return entry, load_card(entry)


# Nets.


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_graph_gives_the_nets_probabilities_for_batches_of_any_size(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = card_of(name)
    net = net_of(card)
    entry, card = saved(tmp_path, card, net)
    assert card.no_graph == ""
    assert card.graph is not None
    assert card.graph.difference <= graphs.TOLERANCE
    score = sessions.load_graph(entry, card, threads=1)
    for n in (1, 3, 64):
        inputs = noise(card, n)
        with torch.inference_mode():
            expected = net(*map(torch.from_numpy, inputs)).softmax(dim=1).numpy()
        found = score(inputs)
        assert expected.std(axis=0).min() > 0 or n == 1  # else anything would agree
        # Both add up float32 numbers, in another order.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["short-chunk-resnet", "mm-crnn", "vit"])
def test_graph_holds_no_weights_and_is_the_same_each_time(name: str, tmp_path: Path) -> None:
    card = card_of(name)
    net = net_of(card)
    entry, card = saved(tmp_path, card, net)
    data = (entry / graphs.GRAPH).read_bytes()
    assert data == graphs.of_model(net, card, entry / weights.WEIGHTS)
    model = onnx.load_model_from_string(data)
    state = net.state_dict()
    assert {tensor.name for tensor in model.graph.initializer} <= set(state)
    assert not any(tensor.HasField("raw_data") for tensor in model.graph.initializer)
    # A second reader finds the weights where the graph says, beside it.
    whole = onnx.load(str(entry / graphs.GRAPH))
    onnx.checker.check_model(whole)
    for tensor in whole.graph.initializer:
        found = onnx.numpy_helper.to_array(tensor)
        np.testing.assert_array_equal(found, state[tensor.name].numpy())


@pytest.mark.parametrize("name", ["scattering", "cnn1d-lstm"])
def test_nothing_is_written_down_or_computed_twice(name: str, tmp_path: Path) -> None:
    card = card_of(name)
    entry, _ = saved(tmp_path, card, net_of(card))
    graph = onnx.load(str(entry / graphs.GRAPH), load_external_data=False).graph
    done = set()
    for node in graph.node:
        del node.output[:]
        done.add(node.SerializeToString(deterministic=True))
    assert len(done) == len(graph.node) > 20


@pytest.mark.parametrize("name", ["crnn", "cnn1d-lstm", "mm-crnn", "vit"])
def test_graph_brings_half_precision_to_float32_before_anything_uses_it(
    name: str, tmp_path: Path
) -> None:
    card = card_of(name)
    net = halves.rounded(net_of(card))
    entry, card = saved(tmp_path, card, net)
    assert card.graph is not None
    data = (entry / graphs.GRAPH).read_bytes()
    assert data == graphs.of_model(net, card, entry / weights.WEIGHTS)
    graph = onnx.load(str(entry / graphs.GRAPH)).graph
    stored = load_file(entry / weights.WEIGHTS)
    given = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    small = {key for key, values in given.items() if values.dtype == np.float16}
    assert small == {key for key in given if stored[key].dtype == np.float16}
    assert len(small) > 1
    for key, values in given.items():
        np.testing.assert_array_equal(values, stored[key])
    readers = [(node, key) for node in graph.node for key in node.input if key in small]
    assert sorted(key for _, key in readers) == sorted(small)
    assert {node.op_type for node, _ in readers} == {"Cast"}
    inputs = noise(card, 3)
    with torch.inference_mode():
        expected = net(*map(torch.from_numpy, inputs)).softmax(dim=1).numpy()
    found = sessions.load_graph(entry, card, threads=1)(inputs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    # Any other runtime finds the weights by itself, and computes the same.
    session = InferenceSession(entry / graphs.GRAPH, providers=["CPUExecutionProvider"])
    names = [weights.input_name(place) for place in range(len(inputs))]
    (logits,) = session.run(None, dict(zip(names, inputs, strict=True)))
    alone = torch.from_numpy(logits).softmax(dim=1).numpy()
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)


def test_making_a_graph_leaves_the_net_and_the_generator_alone(tmp_path: Path) -> None:
    card = card_of("cnn1d-gru")
    net = net_of(card)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    saved(tmp_path, card, net)
    assert torch.equal(state, torch.get_rng_state())
    assert not net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


class Sorting(nn.Module):
    """A net that says something else of each batch size: 2, that of the tracing, is baked in."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(N_COLUMNS, 4)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return x * len(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.embed(x))
        return logits


def test_a_graph_that_differs_is_not_kept_and_the_card_says_so(tmp_path: Path) -> None:
    entry, card = saved(tmp_path, card_of("ffnn"), Sorting().eval())
    assert card.graph is None
    assert "its graph differs from it by" in card.no_graph
    assert not (entry / graphs.GRAPH).exists()


class Untraceable(Sorting):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x) + torch.linalg.eigvals(x.T @ x).real[:4]
        return logits


def test_what_torch_cannot_trace_has_a_reason_of_one_line(tmp_path: Path) -> None:
    _, card = saved(tmp_path, card_of("ffnn"), Untraceable().eval())
    assert card.graph is None
    assert card.no_graph.startswith("torch cannot trace it (")
    assert "\n" not in card.no_graph


# Pipelines.


def rows(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).standard_normal((n, N_COLUMNS)).astype(np.float32)
    return x, np.abs(x[:, :3]).argmax(axis=1) + (x[:, 3] > 0.8)


SMALL: dict[str, dict[str, int | str]] = {
    "extra-trees": {"n_estimators": 5}, "random-forest": {"n_estimators": 5},
    "adaboost": {"n_estimators": 5}, "hist-gradient-boosting": {"max_iter": 5},
    "mlp": {"layers": "9", "max_iter": 20},
    "vote-mlp-rf-svc": {"n_estimators": 5, "voting": "soft"},
    "vote-mlp-svc": {"voting": "soft"}, "vote-knn-rf-gnb": {"n_estimators": 5},
}  # fmt: skip
NO_GRAPH = {
    "knn": "holds the operator 'Scan'",  # a graph within, once for each row
    "vote-knn-rf-gnb": "holds the operator 'Scan'",
    "nearest-centroid": "skl2onnx cannot translate it",
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", list(CLASSICAL))
def test_graph_gives_a_pipelines_probabilities_or_the_card_says_why_not(
    name: str, n_classes: int, tmp_path: Path
) -> None:
    x, y = rows(0)
    pipeline = registry.build_pipeline(name, seed=0, changes=SMALL.get(name, {}))
    pipeline.fit(x, np.minimum(y, n_classes - 1))
    card = card_of(name, n_classes=n_classes, recipe=None, hyperparameters=SMALL.get(name, {}))
    entry, card = saved(tmp_path, card, weights.Judge(pipeline))
    if name in NO_GRAPH:
        assert card.graph is None
        assert NO_GRAPH[name] in card.no_graph
        return
    assert card.no_graph == ""
    found = sessions.load_graph(entry, card, threads=1)((rows(1, 500)[0],))
    expected = fitted.probabilities(pipeline, rows(1, 500)[0], n_classes=n_classes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert entries.verify(entry).graph == card.graph.difference  # type: ignore[union-attr]


def boosting(x: np.ndarray, y: np.ndarray, **changes: int) -> weights.Judge:
    return weights.Judge(
        registry.build_pipeline("hist-gradient-boosting", seed=0, changes=changes).fit(x, y)
    )


def test_trees_of_boosting_send_rows_on_a_threshold_the_way_of_scikit_learn(
    tmp_path: Path,
) -> None:
    x, y = rows(0)
    judge = boosting(x, y, max_iter=4)
    entry, card = saved(
        tmp_path, card_of("hist-gradient-boosting", recipe=None, hyperparameters={}), judge
    )
    trees = [tree for each in judge.pipeline[-1]._predictors for tree in each]
    inner = np.concatenate([tree.nodes[tree.nodes["is_leaf"] == 0] for tree in trees])
    near = inner["num_threshold"].astype(np.float32)
    at = np.zeros((3 * len(inner), N_COLUMNS), np.float32)
    for place, side in enumerate((-np.inf, 0.0, np.inf)):
        on = near if side == 0 else np.nextafter(near, np.float32(side))
        at[np.arange(len(inner)) + place * len(inner), inner["feature_idx"]] = on
    expected = fitted.probabilities(judge.pipeline, at, n_classes=4)
    np.testing.assert_allclose(
        sessions.load_graph(entry, card, threads=1)((at,)), expected, rtol=0, atol=1e-5
    )


def test_a_tree_of_one_leaf_has_a_graph(tmp_path: Path) -> None:
    x, y = rows(0)
    judge = boosting(x, y, max_iter=2, min_samples_leaf=len(x))
    assert all(len(tree.nodes) == 1 for each in judge.pipeline[-1]._predictors for tree in each)
    _, card = saved(
        tmp_path, card_of("hist-gradient-boosting", recipe=None, hyperparameters={}), judge
    )
    assert card.graph is not None


def test_a_pipeline_that_lacks_a_class_has_no_graph(tmp_path: Path) -> None:
    x, y = rows(0)
    pipeline = registry.build_pipeline("gaussian-nb", seed=0).fit(x, 2 * np.minimum(y, 1))
    _, card = saved(
        tmp_path, card_of("gaussian-nb", recipe=None, hyperparameters={}), weights.Judge(pipeline)
    )
    assert card.graph is None
    assert "lack a class" in card.no_graph


def test_a_forest_beyond_measure_has_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mgr_cli.zoo.translation.MAX_TREE_NODES", 5)
    x, y = rows(0)
    pipeline = registry.build_pipeline("decision-tree", seed=0).fit(x, y)
    _, card = saved(
        tmp_path, card_of("decision-tree", recipe=None, hyperparameters={}), weights.Judge(pipeline)
    )
    assert card.graph is None
    assert "nodes, more than 5" in card.no_graph
