"""Graphs that come from strangers."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mgr_cli import files
from mgr_cli.errors import ZooError
from mgr_cli.zoo import entries, inspection, sessions, weights
from mgr_cli.zoo.card import Card, Graph, WeightsFile, load_card, save_card
from tests import tiny

GRAPH = "model.onnx"
Change = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entries.save(
        tiny.card(), tiny.net(), tmp_path_factory.mktemp("zoo"), rng=np.random.default_rng(0)
    )


@pytest.fixture
def entry(original: Path, tmp_path: Path) -> Path:
    return entries.adopt(original, load_card(original), tmp_path / "zoo")


def sign(folder: Path) -> Card:
    """Write the digests of the files as they are now to the card."""
    digests = {name: files.sha256(folder / name) for name in (GRAPH, weights.WEIGHTS)}
    card = load_card(folder).model_copy(
        update={
            "graph": Graph(file=WeightsFile(file=GRAPH, sha256=digests[GRAPH]), difference=0.0),
            "weights": WeightsFile(file=weights.WEIGHTS, sha256=digests[weights.WEIGHTS]),
        }
    )
    save_card(folder, card)
    return card


def rewrite(folder: Path, data: bytes) -> Card:
    (folder / GRAPH).write_bytes(data)
    return sign(folder)


def changed(folder: Path, change: Change) -> Card:
    model = onnx.load(str(folder / GRAPH), load_external_data=False)
    change(model)
    return rewrite(folder, model.SerializeToString())


def load(folder: Path) -> weights.Score:
    return sessions.load_graph(folder, load_card(folder), threads=1)


def blank(n: int = 2) -> tuple[np.ndarray, ...]:
    return (np.zeros((n, 16, tiny.LENGTH), np.float32),)


def test_a_graph_that_nobody_has_touched_is_loaded(entry: Path) -> None:
    sign(entry)
    probs = load(entry)(blank(3))
    assert probs.shape == (3, 3)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-12)


# Files.


def test_a_missing_graph_is_one_line(entry: Path) -> None:
    (entry / GRAPH).unlink()
    with pytest.raises(ZooError, match=r"^[^\n]*model\.onnx: cannot be read \(No such file"):
        load(entry)


@pytest.mark.parametrize("name", [GRAPH, weights.WEIGHTS])
def test_a_changed_file_does_not_match_its_digest(entry: Path, name: str) -> None:
    data = bytearray((entry / name).read_bytes())
    data[-1] ^= 1
    (entry / name).write_bytes(data)
    with pytest.raises(ZooError, match=r"its digest is .* was changed or damaged"):
        load(entry)


def test_a_card_without_a_graph_says_why(entry: Path) -> None:
    said = {"graph": None, "no_graph": "it differs by 3"}
    save_card(entry, load_card(entry).model_copy(update=said))
    with pytest.raises(ZooError, match="has no graph: it differs by 3"):
        load(entry)


def test_a_huge_graph_is_not_read(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_GRAPH_BYTES", 100)
    with pytest.raises(ZooError, match=r"model\.onnx: larger than 100 bytes"):
        load(entry)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_graph_is_a_zoo_error_or_harmless(entry: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray((entry / GRAPH).read_bytes())
    for _ in range(1 + seed % 3):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    if seed % 4 == 0:
        del data[int(rng.integers(len(data))) :]
    rewrite(entry, bytes(data))
    said = ""
    try:
        assert load(entry)(blank()).shape == (2, 3)
    except ZooError as error:
        said = str(error)
    assert "\n" not in said


def test_damaged_weights_are_a_zoo_error(entry: Path) -> None:
    path = entry / weights.WEIGHTS
    data = path.read_bytes()
    for wrong in (b"", data[:50], data[:-9], struct.pack("<Q", 2**60) + data[8:], b"\0" * 99):
        path.write_bytes(wrong)
        sign(entry)
        with pytest.raises(ZooError):
            load(entry)


# What a graph may point at.


def outside(model: onnx.ModelProto, key: str, value: str) -> None:
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("location", "../../etc/passwd"), ("location", "/etc/passwd"), ("location", ""),
        ("location", "golden.safetensors"), ("location", "./model.safetensors"),
        ("offset", "0"), ("offset", "-1"), ("offset", "99999999999"), ("length", "4"),
        ("offset", ""),
    ],
)  # fmt: skip
def test_values_lie_where_the_cards_weights_have_them_and_nowhere_else(
    entry: Path, key: str, value: str
) -> None:
    changed(entry, lambda model: outside(model, key, value))
    with pytest.raises(ZooError, match="is said to lie where the card's weights have no such"):
        load(entry)


def rename(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].name = "another"


def reshape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] += 1


def twice(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def both(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"1234"


def checksum(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="basepath", value="/etc")


def halve(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = TensorProto.FLOAT16


def as_integers(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = TensorProto.INT32  # of as many bytes


def untyped(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].ClearField("data_type")


@pytest.mark.parametrize(
    "change", [rename, reshape, twice, both, checksum, halve, as_integers, untyped]
)
def test_a_tensor_is_that_of_the_weights(entry: Path, change: Change) -> None:
    changed(entry, change)
    with pytest.raises(ZooError, match="is said to lie where the card's weights have no such"):
        load(entry)


def constant_outside(model: onnx.ModelProto) -> None:
    secret = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location="EXTERNAL", name="x")
    secret.external_data.add(key="location", value="/etc/passwd")
    node = helper.make_node("Constant", [], ["secret"], value=secret)
    model.graph.node.insert(0, node)


def test_a_constant_within_points_at_no_file(entry: Path) -> None:
    changed(entry, constant_outside)
    with pytest.raises(ZooError, match="is said to lie where"):
        load(entry)


def huge(model: onnx.ModelProto) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[2**40], name="x", raw_data=b"1234")
    model.graph.initializer.append(tensor)


def test_a_tensor_has_the_numbers_that_it_claims(entry: Path) -> None:
    changed(entry, huge)
    with pytest.raises(ZooError, match="'x' claims more numbers than it has"):
        load(entry)


# What a graph may do.


def add(operator: str, domain: str = "", **attributes: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        node = helper.make_node(operator, ["input"], ["out"], domain=domain, **attributes)
        model.graph.node.append(node)

    return change


INNER = helper.make_graph([], "inner", [], [])


@pytest.mark.parametrize(
    ("operator", "domain", "attributes"),
    [
        ("Loop", "", {"body": INNER}), ("If", "", {"then_branch": INNER}),
        ("Scan", "", {"body": INNER}), ("RandomNormal", "", {}), ("Range", "", {}),
        ("CDist", "com.microsoft", {}), ("Relu", "com.microsoft", {}), ("Relu", "ai.onnx.ml", {}),
        ("Evil", "mine", {}), ("TreeEnsembleRegressor", "ai.onnx.ml", {}),
    ],
)  # fmt: skip
def test_operators_that_no_model_needs_are_refused(
    entry: Path, operator: str, domain: str, attributes: dict[str, Any]
) -> None:
    changed(entry, add(operator, domain, **attributes))
    with pytest.raises(ZooError, match=f"the operator '.*{operator}', which no model of mgr needs"):
        load(entry)


def function(model: onnx.ModelProto) -> None:
    model.functions.append(onnx.FunctionProto(name="Relu", domain="mine"))


def sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(dims=[2**50]))


def training(model: onnx.ModelProto) -> None:
    model.training_info.append(onnx.TrainingInfoProto())


@pytest.mark.parametrize("change", [function, sparse, training, add("Relu", body=INNER)])
def test_parts_that_no_graph_of_ours_has_are_refused(entry: Path, change: Change) -> None:
    changed(entry, change)
    with pytest.raises(ZooError, match="holds a field that no graph of mgr has"):
        load(entry)


def varint(number: int, *, longer: int = 0) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number | (128 if longer else 0))
    return bytes(found) + (b"\x80" * (longer - 1) + b"\0" if longer else b"")


def test_what_another_reader_might_take_in_another_way_is_refused(entry: Path) -> None:
    data = (entry / GRAPH).read_bytes()
    for tail, why in (
        (b"\x3a\x00", "twice"),  # a second graph, which protobuf would merge with the first
        (b"\x08" + varint(8, longer=1), "no ONNX graph"),  # 8 written in two bytes
        (b"\x0b\x0c", "no ONNX graph"),  # a group
        (b"\x3a\xff\xff\xff\xff\x0f", "no ONNX graph"),  # longer than what follows
        (b"\x3d1234", "twice|no ONNX graph"),  # the graph as a number of four bytes
    ):
        rewrite(entry, data + tail)
        with pytest.raises(ZooError, match=why):
            load(entry)


def test_more_nodes_than_any_model_has_are_refused(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "MAX_NODES", 10)
    with pytest.raises(ZooError, match="nodes, expected 1 to 10"):
        load(entry)


def replaced(nodes: list[onnx.NodeProto], *tensors: onnx.TensorProto) -> Change:
    """Make a graph of other nodes between the same ends."""

    def change(model: onnx.ModelProto) -> None:
        del model.graph.node[:]
        del model.graph.initializer[:]
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(tensors)

    return change


def numbers(name: str, *values: int) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


@pytest.mark.parametrize(
    "change",
    [
        replaced(
            [
                helper.make_node("Expand", ["input", "size"], ["many"]),
                helper.make_node("ReduceMean", ["many"], ["logits"], axes=[0, 3], keepdims=0),
            ],
            numbers("size", 2**24, 2, 16, tiny.LENGTH),
        ),
        replaced(
            [
                helper.make_node("ConstantOfShape", ["size"], ["many"]),
                helper.make_node("ReduceSum", ["many"], ["sum"], keepdims=0),
                helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2], keepdims=0),
                helper.make_node("Add", ["mean", "sum"], ["logits"]),
            ],
            numbers("size", 2**40),
        ),
    ],
    ids=["expand", "constant"],
)
def test_memory_is_bounded_and_a_graph_that_wants_more_fails(entry: Path, change: Change) -> None:
    changed(entry, change)
    with pytest.raises(ZooError, match=r"its graph failed|no graph that onnxruntime takes"):
        load(entry)(blank())


@pytest.mark.parametrize(
    ("roots", "left", "is_leaf"),
    [
        ([0, 0], [0], [1]),  # a tree twice
        ([0, 1], [1, 0], [0, 1]),  # the second is a part of the first
        ([0, 1], [2, 2, 0], [0, 0, 1]),  # both have the same part
    ],
)
def test_trees_that_share_nodes_are_refused(
    roots: list[int], left: list[int], is_leaf: list[int]
) -> None:
    # onnxruntime would copy what they share for each of a hundred thousand.
    node = helper.make_node(
        "TreeEnsemble", ["input"], ["logits"], domain="ai.onnx.ml", tree_roots=roots,
        nodes_truenodeids=left, nodes_trueleafs=is_leaf,
        nodes_falsenodeids=[0] * len(left), nodes_falseleafs=[1] * len(left),
    )  # fmt: skip
    model = helper.make_model(helper.make_graph([node], "trees", [], []))
    with pytest.raises(ValueError, match="holds trees that share nodes"):
        inspection.names_outside(model.SerializeToString(), file="", tensors={})


# Its ends.


def other_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "sound"


def other_bands(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 17


def other_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "labels"
    for node in model.graph.node:
        node.output[:] = ["labels" if name == "logits" else name for name in node.output]


@pytest.mark.parametrize("change", [other_name, other_bands, other_output])
def test_ends_are_those_of_the_card(entry: Path, change: Change) -> None:
    changed(entry, change)
    with pytest.raises(ZooError, match=r"takes|gives|onnxruntime"):
        load(entry)


def test_an_output_of_another_shape_is_a_zoo_error(entry: Path) -> None:
    card = sign(entry).model_copy(update={"classes": ("blues", "jazz")})
    save_card(entry, card)
    with pytest.raises(ZooError, match=r"its graph gives \(2, 3\)"):
        load(entry)(blank())


def test_probabilities_that_are_no_numbers_are_a_zoo_error(entry: Path) -> None:
    score = load(entry)
    with pytest.raises(ZooError, match="not finite"):
        score((np.full((1, 16, tiny.LENGTH), np.nan, np.float32),))


# Threads.


def test_the_number_of_threads_is_what_one_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert sessions.usable_cores() == 3
    for wrong in ("", "0", "many", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", wrong)
        assert sessions.usable_cores() >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 5}, raising=False)
    assert sessions.usable_cores() == 2


def test_a_tensor_of_many_dimensions_is_refused_at_once() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["logits"])], "g", [], [],
        [onnx.TensorProto(name="w", dims=[2**62] * 9)],
    )  # fmt: skip
    model = onnx.helper.make_model(graph).SerializeToString()
    with pytest.raises(ValueError, match="more than 8 dimensions"):
        inspection.names_outside(model, file="model.safetensors", tensors={})
