"""A fitted scikit-learn pipeline on disk: data that is read, never a program that is run.

The format is skops': a zip of ``schema.json``, a tree of nodes that name a type each, and one
``.npy`` file an array, loaded without pickle. Three things are ours.

- What `mgr` writes is the same, byte for byte, for the same pipeline: skops names nodes and files
  by their addresses in memory, and writes the unused bytes of a tree's nodes as they happen to
  lie there; here they are numbered in order, those bytes and the dates are fixed.
- A type is trusted only if a row of `models.classical` or `models.voting` needs it, and only
  where it needs it; by itself skops trusts each of scikit-learn's two hundred estimators. Members
  are stored as they are and referred to once, so that a small file cannot fill the memory.
- Types are not enough: compiled code follows the indices that trees, support vector machines and
  neighbours hold without looking, so that a file made to harm would crash the program when it
  predicts, or read what it should not. The indices are checked after loading (`soundness`).

Whoever adds an estimator to either module adds its types here, and asks what its compiled
code trusts; the message of `load` names what is missing.

References
----------
https://skops.readthedocs.io/en/stable/persistence.html and, for the third point,
https://github.com/scikit-learn/scikit-learn/pull/34558.
"""

import copy
import json
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import skops.io
from sklearn.decomposition import PCA
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from mgr_cli.config import MAX_WEIGHTS_BYTES
from mgr_cli.errors import ZooError
from mgr_cli.files import is_plain_name
from mgr_cli.models.fitted import TRAINING_ONLY, parts
from mgr_cli.zoo.soundness import is_sound

SCHEMA = "schema.json"
MAX_SCHEMA_BYTES = 2**28
MAX_MEMBERS = 1_000_000  # trees have three to six arrays each
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip

TRUSTED: Mapping[str, frozenset[str]] = {
    "ObjectNode": frozenset(
        {
            "sklearn._loss.link.Interval",
            "sklearn._loss.link.LogitLink",
            "sklearn._loss.link.MultinomialLogit",
            "sklearn._loss.loss.HalfBinomialLoss",
            "sklearn._loss.loss.HalfMultinomialLoss",
            "sklearn.calibration.CalibratedClassifierCV",
            "sklearn.calibration._CalibratedClassifier",
            "sklearn.calibration._SigmoidCalibration",
            "sklearn.decomposition._pca.PCA",
            "sklearn.ensemble._bagging.BaggingClassifier",
            "sklearn.ensemble._forest.ExtraTreesClassifier",
            "sklearn.ensemble._forest.RandomForestClassifier",
            "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting"
            ".HistGradientBoostingClassifier",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            "sklearn.ensemble._voting.VotingClassifier",
            "sklearn.ensemble._weight_boosting.AdaBoostClassifier",
            "sklearn.linear_model._logistic.LogisticRegression",
            "sklearn.linear_model._perceptron.Perceptron",
            "sklearn.linear_model._ridge.RidgeClassifier",
            "sklearn.linear_model._stochastic_gradient.SGDClassifier",
            "sklearn.naive_bayes.GaussianNB",
            "sklearn.neighbors._classification.KNeighborsClassifier",
            "sklearn.neighbors._nearest_centroid.NearestCentroid",
            "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
            "sklearn.pipeline.Pipeline",
            "sklearn.preprocessing._data.StandardScaler",
            "sklearn.preprocessing._label.LabelBinarizer",
            "sklearn.preprocessing._label.LabelEncoder",
            "sklearn.svm._classes.LinearSVC",
            "sklearn.svm._classes.SVC",
            "sklearn.tree._classes.DecisionTreeClassifier",
            "sklearn.tree._classes.ExtraTreeClassifier",
        }
    ),
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "LossNode": frozenset(
        {
            "sklearn._loss._loss.CyHalfBinomialLoss",
            "sklearn._loss._loss.CyHalfMultinomialLoss",
        }
    ),
    "NdArrayNode": frozenset(
        {"numpy.ndarray", "numpy.float32", "numpy.float64", "numpy.int64", "numpy.uint64"}
    ),
    "DictNode": frozenset({"builtins.dict", "sklearn.utils._bunch.Bunch"}),
    "JsonNode": frozenset({"builtins.str"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "TypeNode": frozenset({"builtins.str"}),  # of the keys of a dict
}
"""Types that a file may hold, by the kind of skops' nodes that may make them."""


def dump(pipeline: Pipeline) -> bytes:
    """Write a fitted pipeline as a skops archive, without what only further training needs.

    The same pipeline gives the same bytes, in every process.

    Raises
    ------
    ZooError
        If it is larger than `load` takes.
    """
    bare = copy.deepcopy(pipeline)
    for part in parts(bare):
        if hasattr(part, "__dict__") and not isinstance(part, type):
            for name in TRAINING_ONLY:
                vars(part).pop(name, None)
    written = BytesIO()
    with (
        ZipFile(BytesIO(skops.io.dumps(bare))) as archive,
        ZipFile(written, "w", ZIP_STORED) as target,
    ):
        schema = json.loads(archive.read(SCHEMA))
        names = _number(schema)
        text = json.dumps(schema, separators=(",", ":"))
        target.writestr(ZipInfo(SCHEMA, EPOCH), text)
        for old, new in names.items():
            target.writestr(ZipInfo(new, EPOCH), _without_gaps(archive.read(old)))
    data = written.getvalue()
    _check_members(Path("the pipeline"), target.infolist(), len(data))
    return data


def load(path: Path) -> Pipeline:
    """Read a pipeline that `dump` wrote.

    Raises
    ------
    ZooError
        If the file is missing, damaged, too large, no fitted pipeline, holds a type that is not
        in `TRUSTED`, or indices that lead out of its own arrays. Nothing of it is run.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            with ZipFile(file) as archive:
                _check_members(path, archive.infolist(), size)
                _check_nodes(path, json.loads(archive.read(SCHEMA)))
            with warnings.catch_warnings():  # of another version of scikit-learn: `verify` tells
                warnings.simplefilter("ignore", InconsistentVersionWarning)
                pipeline = skops.io.load(file, trusted=sorted(set().union(*TRUSTED.values())))
        _check_contents(path, pipeline)
    except ZooError:
        raise
    except OSError as error:
        raise ZooError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what a stranger's file makes of its parts may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ZooError(f"{path}: not readable as a pipeline ({_shown(reason)})") from error
    return pipeline


def _number(schema: object) -> dict[str, str]:
    """Give nodes and files numbers in order; return the files' new names by their old ones."""
    ids: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if node["__loader__"] == "JsonNode":
            del node["__id__"]  # whether two equal numbers are one object is chance
            continue
        node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if "file" in node:
            node["file"] = names.setdefault(node["file"], f"{len(names) + 1}.npy")
    return names


def _without_gaps(npy: bytes) -> bytes:
    """Clear the bytes between the fields of an array's records: leftovers of the memory."""
    array = np.load(BytesIO(npy), allow_pickle=False)
    if array.dtype.names is None:
        return npy
    cleared = np.zeros(array.shape, array.dtype)  # zeros_like would leave them
    for name in array.dtype.names:
        cleared[name] = array[name]
    written = BytesIO()
    np.save(written, cleared, allow_pickle=False)
    return written.getvalue()


def _nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Yield whatever skops could take for a node, in the order of the file."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield value
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _check_members(path: Path, members: list[ZipInfo], size: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise ZooError(f"{path}: has {len(members)} members, more than {MAX_MEMBERS}")
    total = sum(member.file_size for member in members)
    if total > MAX_WEIGHTS_BYTES:
        raise ZooError(f"{path}: holds {total} bytes, more than {MAX_WEIGHTS_BYTES}")
    for member in members:
        name = member.filename
        if not is_plain_name(name):
            raise ZooError(f"{path}: {_shown(name)} is not a plain file name")
        if member.compress_type != ZIP_STORED:
            raise ZooError(f"{path}: {_shown(name)} is compressed; expected it as it is")
        if name == SCHEMA and member.file_size > MAX_SCHEMA_BYTES:
            raise ZooError(f"{path}: {SCHEMA} is larger than {MAX_SCHEMA_BYTES} bytes")
    if total > size or len({member.filename for member in members}) < len(members):
        raise ZooError(f"{path}: members overlap; it was damaged or made to harm")


def _check_nodes(path: Path, schema: object) -> None:
    """Refuse a type that is not trusted, and an array that would be read more than once."""
    owners: dict[str, int] = {}
    for node in _nodes(schema):
        name = f"{node['__module__']}.{node['__class__']}"
        if name not in TRUSTED.get(node["__loader__"], ()):
            raise ZooError(
                f"{path}: holds the type {_shown(name)}, which no classifier of mgr needs; "
                "it is not trusted, and was not loaded"
            )
        if "file" in node and owners.setdefault(node["file"], node["__id__"]) != node["__id__"]:
            raise ZooError(f"{path}: two arrays share a file; it was damaged or made to harm")


def _check_contents(path: Path, pipeline: object) -> None:
    if not isinstance(pipeline, Pipeline):
        raise ZooError(f"{path}: holds a {type(pipeline).__name__}, expected a Pipeline")
    n_columns = pipeline.n_features_in_
    if not isinstance(n_columns, int):
        raise ZooError(f"{path}: takes no whole number of columns")
    for _, step in pipeline.steps:
        for part in parts(step):
            if not is_sound(part, n_columns):
                raise ZooError(
                    f"{path}: indices of a {type(part).__name__} lead out of its arrays; "
                    "it was damaged or made to harm"
                )
        if isinstance(step, PCA):
            n_columns = len(step.components_)  # for what follows


def _shown(text: str) -> str:
    """Make a stranger's text fit for one line."""
    return text.encode("unicode_escape").decode()[:200]
