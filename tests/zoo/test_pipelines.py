import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from mgr_cli.errors import ZooError
from mgr_cli.models import classical, voting
from mgr_cli.models.fitted import n_parameters, probabilities
from mgr_cli.zoo import pipelines
from tests.models.test_classical import VARIANTS, blobs, build, every_variant, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Members = dict[str, bytes]


def unpacked(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def with_schema(data: bytes, change: Callable[[Any], object]) -> bytes:
    """Change the schema of an archive, in place or by what the change returns."""
    members = unpacked(data)
    schema = json.loads(members["schema.json"])
    changed = change(schema)
    members["schema.json"] = json.dumps(schema if changed is None else changed).encode()
    return packed(members)


def nodes(schema: object) -> list[dict[str, Any]]:
    if isinstance(schema, dict):
        own = [schema] if "__loader__" in schema else []
        return own + [node for value in schema.values() for node in nodes(value)]
    return [node for value in schema for node in nodes(value)] if isinstance(schema, list) else []


def fresh(row: Callable[..., Pipeline], **settings: Any) -> Pipeline:
    """Fit a row to the blobs; to be spoilt."""
    x, y = blobs()
    return row(**settings, seed=0).fit(x, y)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.skops"


@pytest.fixture(scope="module")
def good() -> bytes:
    return pipelines.dump(fitted(classical.gaussian_nb))


def refusal(path: Path, data: bytes) -> str:
    """Return the one line that says why a file is not loaded."""
    path.write_bytes(data)
    with pytest.raises(ZooError) as caught:
        pipelines.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# There and back.


@every_variant
def test_loaded_pipeline_is_equal_to_the_bit(
    row: Callable[..., Pipeline], voting: str, path: Path
) -> None:
    pipeline, x = fitted(row, voting), blobs()[0]
    path.write_bytes(pipelines.dump(pipeline))
    loaded = pipelines.load(path)
    one, two = (probabilities(p, x, n_classes=3) for p in (pipeline, loaded))
    assert np.array_equal(one, two)
    assert np.array_equal(pipeline.predict(x), loaded.predict(x))
    assert n_parameters(loaded) == n_parameters(pipeline)


@every_variant
def test_same_pipeline_gives_the_same_bytes(
    row: Callable[..., Pipeline], voting: str, path: Path
) -> None:
    data = pipelines.dump(fitted(row, voting))
    assert pipelines.dump(fitted(row, voting)) == data
    path.write_bytes(data)
    assert pipelines.dump(pipelines.load(path)) == data


SCRIPT = """
import hashlib
from mgr_cli.models import classical, voting
from mgr_cli.zoo import pipelines
from tests.zoo.test_pipelines import fresh
for row in (classical.decision_tree, classical.knn, voting.vote_knn_rf_gnb):
    print(hashlib.sha256(pipelines.dump(fresh(row))).hexdigest())
"""


def test_another_process_writes_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=True
    )
    rows = (classical.decision_tree, classical.knn, voting.vote_knn_rf_gnb)
    digests = [hashlib.sha256(pipelines.dump(fresh(row))).hexdigest() for row in rows]
    assert run.stdout.split() == digests


def test_dumping_leaves_the_pipeline_as_it_was() -> None:
    pipeline = fitted(classical.mlp)
    pipelines.dump(pipeline)
    assert all(hasattr(pipeline["classify"], name) for name in ("_optimizer", "loss_curve_"))


def test_archive_holds_weights_and_nothing_of_adam() -> None:
    members = unpacked(pipelines.dump(fitted(classical.mlp)))
    sizes = [
        np.load(io.BytesIO(content)).size
        for name, content in members.items()
        if name != "schema.json"
    ]
    assert sorted(sizes)[-3:] == [100, 3 * 100, 6 * 100]
    assert list(members) == ["schema.json", *(f"{n}.npy" for n in range(1, len(members)))]


def test_what_is_trusted_is_what_the_rows_need() -> None:
    x, y = blobs()
    singles = build(classical.gaussian_nb).fit(x.astype(np.float32), y)  # keeps a float32
    kinds = [fitted(row, voting, n) for row, voting in VARIANTS for n in (2, 3)]
    needed: dict[str, set[str]] = {}
    reduced = classical.reduced(build(classical.gaussian_nb), 0.9).fit(x, y)
    for pipeline in (singles, reduced, *kinds):
        for node in nodes(json.loads(unpacked(pipelines.dump(pipeline))["schema.json"])):
            name = f"{node['__module__']}.{node['__class__']}"
            needed.setdefault(node["__loader__"], set()).add(name)
    assert needed == pipelines.TRUSTED


# Files that carry more than data.


class Exploding:
    """Leaves a file behind where somebody unpickles it, or gives it its state back."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)

    def __getstate__(self) -> dict[str, Any]:
        return {"trace": str(self.trace)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state["trace"]).touch()


def test_function_is_refused(path: Path) -> None:
    step = FunctionTransformer(os.system, validate=False)
    pipeline = Pipeline([("run", step), ("classify", GaussianNB())])
    message = refusal(path, skops.io.dumps(pipeline))
    assert "FunctionTransformer" in message
    assert "not trusted" in message


def test_function_inside_of_a_trusted_type_is_refused(path: Path) -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("classify", GaussianNB())])
    pipeline.memory = os.system
    assert "posix.system" in refusal(path, skops.io.dumps(pipeline)).replace("nt.", "posix.")


def test_class_of_a_stranger_is_refused_and_not_made(path: Path, tmp_path: Path) -> None:
    pipeline = fresh(classical.gaussian_nb)
    pipeline["classify"].extra = Exploding(tmp_path / "trace")
    data = skops.io.dumps(pipeline)
    assert "tests.zoo.test_pipelines.Exploding" in refusal(path, data)
    assert not (tmp_path / "trace").exists()
    skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert (tmp_path / "trace").exists()  # it would have


def test_module_of_a_stranger_is_not_imported(
    path: Path, tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger.py").write_text("class GaussianNB: pass", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def change(schema: Any) -> None:
        next(n for n in nodes(schema) if n["__class__"] == "GaussianNB")["__module__"] = "stranger"

    assert "stranger.GaussianNB" in refusal(path, with_schema(good, change))
    assert "stranger" not in sys.modules


def test_estimator_that_no_row_needs_is_named(path: Path) -> None:
    x, y = blobs()
    pipeline = Pipeline([("reduce", TruncatedSVD(2)), ("classify", GaussianNB())]).fit(x, y)
    data = skops.io.dumps(pipeline)
    assert not skops.io.get_untrusted_types(data=data)  # skops trusts it
    assert "sklearn.decomposition._truncated_svd.TruncatedSVD" in refusal(path, data)


def test_trusted_type_in_another_place_is_refused(path: Path, good: bytes) -> None:
    def change(schema: Any) -> None:
        array = next(node for node in nodes(schema) if node["__loader__"] == "NdArrayNode")
        array.update(__module__="sklearn.pipeline", __class__="Pipeline")

    assert "sklearn.pipeline.Pipeline" in refusal(path, with_schema(good, change))


def test_node_of_another_kind_is_refused(path: Path, good: bytes) -> None:
    def change(schema: Any) -> None:
        nodes(schema)[-1].update(__loader__="FunctionNode", __module__="os", __class__="system")

    assert "os.system" in refusal(path, with_schema(good, change))


def test_pickle_in_an_array_is_not_opened(path: Path, tmp_path: Path, good: bytes) -> None:
    trace = tmp_path / "trace"
    array = io.BytesIO()
    np.save(array, np.array([Exploding(trace)]), allow_pickle=True)
    members = unpacked(good)
    members["1.npy"] = array.getvalue()
    assert "allow_pickle" in refusal(path, packed(members))
    assert not trace.exists()
    np.load(io.BytesIO(members["1.npy"]), allow_pickle=True)
    assert trace.exists()  # it would have


def test_pickle_is_no_pipeline(path: Path, tmp_path: Path) -> None:
    assert "not readable" in refusal(path, pickle.dumps(Exploding(tmp_path / "trace")))
    assert not (tmp_path / "trace").exists()


def test_names_of_strangers_stay_on_one_line(path: Path, good: bytes) -> None:
    def change(schema: Any) -> None:
        nodes(schema)[-1]["__class__"] = "x\n\x1b[31m" + "y" * 10_000

    assert len(refusal(path, with_schema(good, change))) < 400


# Damaged files.


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_file_is_refused(path: Path, good: bytes, share: float) -> None:
    assert "not readable" in refusal(path, good[: int(share * len(good))])


def test_flipped_bit_is_noticed(path: Path, good: bytes) -> None:
    for place in (60, len(good) // 3, len(good) // 2):  # a date, the schema, an array
        data = bytearray(good)
        data[place] ^= 4
        path.write_bytes(data)
        with pytest.raises(ZooError):
            pipelines.load(path)


def test_missing_file_and_folder_are_named(path: Path) -> None:
    with pytest.raises(ZooError, match="cannot be read"):
        pipelines.load(path)
    path.mkdir()
    with pytest.raises(ZooError, match="cannot be read"):
        pipelines.load(path)


@pytest.mark.parametrize(
    "schema", [b"", b"{", b"[]", b"7", b'{"protocol": 2}', b"[" * 100_000, b"\xff\xfe"]
)
def test_odd_schema_is_refused(path: Path, schema: bytes) -> None:
    assert "not readable" in refusal(path, packed({"schema.json": schema}))


def test_archive_without_schema_or_array_is_refused(path: Path, good: bytes) -> None:
    members = unpacked(good)
    for name in ("schema.json", "1.npy"):
        rest = {key: value for key, value in members.items() if key != name}
        assert "not readable" in refusal(path, packed(rest))


@pytest.mark.parametrize(
    "held", [StandardScaler(), [1, 2], "text", np.zeros(3)], ids=["scaler", "list", "text", "array"]
)
def test_what_is_no_pipeline_is_refused(path: Path, held: object) -> None:
    assert "expected a Pipeline" in refusal(path, skops.io.dumps(held))


def test_unfitted_pipeline_is_refused(path: Path) -> None:
    assert "not readable" in refusal(path, pipelines.dump(classical.svc_rbf(seed=0)))


def test_lost_attribute_is_refused(path: Path) -> None:
    for name in ("_n_support", "n_features_in_", "kernel"):
        pipeline = fresh(classical.svc_rbf)
        del vars(pipeline["classify"])[name]
        assert "not readable" in refusal(path, pipelines.dump(pipeline))


# Archives that ask for more than they are.


def test_compressed_member_is_refused(path: Path, good: bytes) -> None:
    bomb = unpacked(good) | {"zeros.npy": bytes(10**7)}
    assert "compressed" in refusal(path, packed(bomb, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("name", ["../x.npy", "/x.npy", "a/x.npy", ".x", "x\ny", "..\\x"])
def test_name_that_leaves_the_archive_is_refused(path: Path, good: bytes, name: str) -> None:
    assert "plain file name" in refusal(path, packed(unpacked(good) | {name: b"1"}))


@pytest.mark.parametrize("limit", ["MAX_MEMBERS", "MAX_SCHEMA_BYTES", "MAX_WEIGHTS_BYTES"])
def test_limits_hold(path: Path, good: bytes, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    members = unpacked(good)
    sizes = {
        "MAX_MEMBERS": len(members),
        "MAX_SCHEMA_BYTES": len(members["schema.json"]),
        "MAX_WEIGHTS_BYTES": sum(map(len, members.values())),
    }
    path.write_bytes(good)
    monkeypatch.setattr(pipelines, limit, sizes[limit])
    pipelines.load(path)
    monkeypatch.setattr(pipelines, limit, sizes[limit] - 1)
    assert str(sizes[limit] - 1) in refusal(path, good)
    with pytest.raises(ZooError, match=f"the pipeline: .*{sizes[limit] - 1}"):
        pipelines.dump(fitted(classical.gaussian_nb))  # what cannot be read is not written


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_that_stands_twice_is_refused(path: Path, good: bytes) -> None:
    written = io.BytesIO(good)
    with zipfile.ZipFile(written, "a") as archive:
        archive.writestr("1.npy", b"other")
    assert "overlap" in refusal(path, written.getvalue())


def test_members_that_share_their_bytes_are_refused(path: Path, good: bytes) -> None:
    written = io.BytesIO(good)
    with zipfile.ZipFile(written, "a") as archive:
        schema = archive.getinfo("schema.json")
        for number in range(100):
            again = zipfile.ZipInfo(f"again-{number}")
            again.header_offset, again.CRC = schema.header_offset, schema.CRC
            again.file_size = again.compress_size = schema.file_size
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        archive.comment = b"rewrite the directory"
    assert "overlap" in refusal(path, written.getvalue())


@pytest.mark.parametrize("identity", [10**6, 0, None])
def test_array_that_is_read_again_and_again_is_refused(
    path: Path, good: bytes, identity: int | None
) -> None:
    def change(schema: Any) -> None:
        arrays = [node for node in nodes(schema) if node["__loader__"] == "NdArrayNode"]
        for array in arrays[-2:]:
            array.update(file="1.npy", __id__=identity)

    assert "share a file" in refusal(path, with_schema(good, change))


# Indices that lead out of their arrays. Each of these would crash the program or read what
# it should not; the numbers are too small to do so here, should a check be lost.


def spoil_tree(name: str, node: int, value: int) -> Callable[[], Pipeline]:
    def make() -> Pipeline:
        pipeline = fresh(classical.random_forest, n_estimators=3)
        tree = pipeline["classify"].estimators_[1].tree_
        inner = np.flatnonzero(tree.children_left != -1)
        getattr(tree, name)[inner[node]] = value
        return pipeline

    return make


def spoil_boosting(name: str, value: int) -> Callable[[], Pipeline]:
    def make() -> Pipeline:
        pipeline = fresh(classical.hist_gradient_boosting, max_iter=2)
        classifier = pipeline["classify"]
        assert isinstance(classifier, HistGradientBoostingClassifier)
        nodes = classifier._predictors[1][2].nodes
        nodes[name][np.flatnonzero(nodes["is_leaf"] == 0)[0]] = value
        return pipeline

    return make


def boosting_without_nodes() -> Pipeline:
    pipeline = fresh(classical.hist_gradient_boosting, max_iter=2)
    tree = pipeline["classify"]._predictors[1][2]
    tree.nodes = tree.nodes[:0]
    return pipeline


def spoil(row: Callable[..., Pipeline], **attributes: Any) -> Callable[[], Pipeline]:
    """Change attributes of a fitted classifier; a callable makes the new from the old."""

    def make() -> Pipeline:
        pipeline = fresh(row)
        held = vars(pipeline["classify"])
        for name, value in attributes.items():
            held[name] = value(held[name]) if callable(value) else value
        return pipeline

    return make


def moved(counts: np.ndarray) -> np.ndarray:
    """Keep the sum, and make one of them negative."""
    change = np.zeros_like(counts)
    change[:2] = -counts[0] - 1, counts[0] + 1
    return np.asarray(counts + change)


SPOILT: dict[str, Callable[[], Pipeline]] = {
    "left child beyond": spoil_tree("children_left", 0, 10_000),
    "right child beyond": spoil_tree("children_right", -1, 10_000),
    "negative child": spoil_tree("children_right", 0, -5),
    "circle": spoil_tree("children_left", 1, 0),
    "itself": spoil_tree("children_right", 0, 0),
    "column beyond": spoil_tree("feature", 0, 6),
    "negative column": spoil_tree("feature", 0, -1),
    "boosting child": spoil_boosting("left", 10_000),
    "boosting circle": spoil_boosting("right", 0),
    "boosting column": spoil_boosting("feature_idx", 6),
    "boosting nodes": boosting_without_nodes,
    "boosting category": spoil_boosting("is_categorical", 1),
    "svc columns": spoil(classical.svc_rbf, support_vectors_=lambda a: a[:, :-1].copy()),
    "svc vectors": spoil(classical.svc_rbf, support_vectors_=lambda a: a[:-1].copy()),
    "svc counts": spoil(classical.svc_rbf, _n_support=lambda a: a + 1),
    "svc negative counts": spoil(classical.svc_rbf, _n_support=moved),
    "svc coefficients": spoil(classical.svc_rbf, _dual_coef_=lambda a: a[:1].copy()),
    "svc strides": spoil(classical.svc_rbf, _dual_coef_=np.asfortranarray),
    "svc intercepts": spoil(classical.svc_rbf, _intercept_=lambda a: a[:1].copy()),
    "svc kernel": spoil(classical.svc_rbf, kernel="precomputed"),
    "svc sparse": spoil(classical.svc_rbf, _sparse=True),
    "svc kind": spoil(classical.svc_rbf, _impl="epsilon_svr"),
    "svc Platt": spoil(classical.svc_rbf, _probA=np.zeros(1)),
    "knn label": spoil(classical.knn, _y=lambda a: np.where(np.arange(len(a)) == 3, 3, a)),
    "knn negative label": spoil(classical.knn, _y=lambda a: a - 1),
    "knn rows": spoil(classical.knn, _y=lambda a: a[:-1].copy()),
    "knn columns": spoil(classical.knn, _fit_X=lambda a: a[:, :-1].copy()),
    "knn neighbours": spoil(classical.knn, n_neighbors=301),
    "knn way": spoil(classical.knn, _fit_method="kd_tree"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_index_that_leads_out_is_refused(path: Path, how: str) -> None:
    assert "lead out of its arrays" in refusal(path, pipelines.dump(SPOILT[how]()))


def test_member_of_an_ensemble_is_looked_into(path: Path) -> None:
    pipeline = fresh(voting.vote_knn_rf_gnb, n_estimators=3)
    knn = pipeline["classify"].estimators_[0]
    assert isinstance(knn, KNeighborsClassifier)
    knn._y[0] = 3
    assert "KNeighborsClassifier lead out" in refusal(path, pipelines.dump(pipeline))
    pipeline = fresh(voting.vote_mlp_svc, voting="soft")
    svc = pipeline["classify"].estimators_[1].calibrated_classifiers_[0].estimator
    assert isinstance(svc, SVC)
    svc._n_support[0] += 1
    assert "SVC lead out" in refusal(path, pipelines.dump(pipeline))


@pytest.mark.parametrize("count", ["0", "1"])
def test_tree_that_says_to_have_fewer_nodes_than_it_has_is_refused(path: Path, count: str) -> None:
    def change(schema: Any) -> None:
        state = next(node for node in nodes(schema) if node["__loader__"] == "TreeNode")["content"]
        state["content"]["node_count"]["content"] = count

    data = pipelines.dump(fresh(classical.decision_tree))
    assert "Tree lead out" in refusal(path, with_schema(data, change))


def test_tree_of_other_columns_than_its_forest_is_refused(path: Path) -> None:
    pipeline = fresh(classical.random_forest, n_estimators=3)
    pipeline["classify"].estimators_[0].n_features_in_ = 7
    assert "DecisionTreeClassifier lead out" in refusal(path, pipelines.dump(pipeline))


def test_number_of_columns_is_a_number(path: Path) -> None:
    pipeline = fresh(classical.decision_tree)
    pipeline["classify"].n_features_in_ = 6.5
    assert "whole number of columns" in refusal(path, pipelines.dump(pipeline))
