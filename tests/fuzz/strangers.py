"""Entries as a stranger might make them: whole ones, with one part broken or made to harm."""

import gzip
import io
import json
import struct
import tarfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import onnx
from numpy.random import Generator
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mgr_cli.zoo import entries as saving
from mgr_cli.zoo.weights import Judge
from tests import tiny

Files = dict[str, bytes]
"""The files of an entry, by name."""

ABSURD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**40, -1e308, 1e308, 1e-320, float("nan"), float("inf"),
    "", "x", "\x00", "\x1b[2J", "../../../etc/passwd", "/dev/zero", "é" * 5_000, [], {}, [[]],
    ["x"] * 2_000, {"x": 1}, "model.safetensors", "card.json", [1e9] * 16, "log-mel", "vgg16",
)  # fmt: skip
EDGES = (0, 1, 127, 128, 255)
PATHS = (
    "../card.json", "/evil", "a/../../evil", "..\\evil", "C:\\evil", "a/b/c", "evil\n", ".",
    "..", "", "card.json\0x", "model.pth", "\x1b[2J", "history.csv", "README.md", "x/card.json",
)  # fmt: skip


def entries(zoo: Path) -> dict[str, Files]:
    """Save a net and two pipelines, which are small, and return their files."""
    saving.add_graph(tiny.entry(zoo, "net"))
    rng = np.random.default_rng(0)
    rows, genres = rng.normal(size=(40, 16 * 7)), rng.integers(0, 3, 40)
    for name, row, judge in (
        ("trees", "random-forest", RandomForestClassifier(4, max_depth=3, random_state=0)),
        ("plane", "logistic-regression", LogisticRegression()),
    ):
        pipeline = Pipeline([("scale", StandardScaler()), ("classifier", judge)]).fit(rows, genres)
        card = tiny.card(name).model_copy(
            update={"architecture": row, "recipe": None, "hyperparameters": {}}
        )
        saving.save(card, Judge(pipeline), zoo, rng=np.random.default_rng(0))
    return {
        folder.name: {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        for folder in sorted(zoo.iterdir())
    }


def given(rng: Generator, wholes: Mapping[str, Files], target: Path) -> tuple[str, Path]:
    """Break a part of an entry and hand it over, as a folder or an archive."""
    name = str(rng.choice(list(RECIPES)))
    whole = dict(wholes[str(rng.choice(list(wholes)))])
    if name == "archive":
        what, path = _archive(rng, whole, target)
        return f"archive {what}", path
    what = RECIPES[name](rng, whole)
    if name != "card":
        _sign(whole)
    if rng.random() < 0.7:
        target.mkdir()
        for each, data in whole.items():
            (target / each).write_bytes(data)
        return f"{name} {what}", target
    target.write_bytes(_zipped(list(whole.items())))
    return f"{name} {what}", target


def _sign(whole: Files) -> None:
    """Have the card say the digests of the files as they are."""
    card = json.loads(whole["card.json"])
    named = [card["weights"], card["golden"]]
    if card["graph"]:
        named.append(card["graph"]["file"])
    for file in named:
        if file["file"] in whole:
            file["sha256"] = _digest(whole[file["file"]])
    whole["card.json"] = json.dumps(card).encode()


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


# Cards.


def _card(rng: Generator, whole: Files) -> str:
    text = whole["card.json"].decode()
    way = int(rng.integers(6))
    if way == 0:
        whole["card.json"] = text[: int(rng.integers(len(text)))].encode()
        return "truncated"
    if way == 1:
        depth = int(10 ** rng.uniform(1, 5.5))
        whole["card.json"] = text.replace(
            '"seed": 0', f'"seed": {"[" * depth}{"]" * depth}'
        ).encode()
        return f"nested {depth}"
    if way == 2:
        whole["card.json"] = _flipped(rng, whole["card.json"])
        return "flipped"
    card = json.loads(text)
    for _ in range(int(rng.integers(1, 4))):
        _spoil(rng, card)
    whole["card.json"] = json.dumps(card).encode("utf-8", "surrogatepass")
    return "absurd values"


def _spoil(rng: Generator, tree: Any) -> None:
    """Replace, delete, double or add a value somewhere in a tree of JSON."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(tree[key], dict | list) and tree[key] and rng.random() < 0.75:
            tree = tree[key]
            continue
        way = rng.random()
        if way < 0.75:
            tree[key] = ABSURD[int(rng.integers(len(ABSURD)))]
        elif way < 0.85 or isinstance(tree, list):
            del tree[key]
        else:
            tree[f"x{rng.integers(99)}"] = tree[key]
        return


# Tensors.


def _tensors(rng: Generator, whole: Files) -> str:
    name = str(rng.choice([each for each in whole if each.endswith(".safetensors")]))
    data = whole[name]
    size = int.from_bytes(data[:8], "little")
    way = int(rng.integers(5))
    if way == 0:
        lengths = (0, 1, size - 1, size + 1, len(data), 2**31, 2**63, 2**64 - 1, 10**8)
        whole[name] = struct.pack("<Q", lengths[int(rng.integers(len(lengths)))]) + data[8:]
        return f"length of {name}"
    if way == 1:
        whole[name] = data[: int(rng.integers(len(data)))]
        return f"truncated {name}"
    if way == 2:
        whole[name] = _flipped(rng, data)
        return f"flipped {name}"
    header = json.loads(data[8 : 8 + size])
    keys = list(header)
    one = header[keys[int(rng.integers(len(keys)))]]
    if way == 3 and isinstance(one, dict) and "data_offsets" in one:
        values = (0, 1, -1, 2**31, 2**63 - 1, 2**64, len(data), 4, 8)
        picked = [values[int(rng.integers(len(values)))] for _ in range(2)]
        key = str(rng.choice(["data_offsets", "shape"]))
        one[key] = picked if rng.random() < 0.7 else header[keys[0]].get(key, picked)
    else:
        _spoil(rng, header)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    whole[name] = struct.pack("<Q", len(text)) + text + data[8 + size :]
    return f"header of {name}"


# Pipelines.


def _pipeline(rng: Generator, whole: Files) -> str:
    if "model.skops" not in whole:
        return _tensors(rng, whole)
    data = whole["model.skops"]
    if rng.random() < 0.25:
        whole["model.skops"] = _flipped(rng, data)
        return "flipped"
    with ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    way = rng.random()
    if way < 0.4:
        schema = json.loads(members["schema.json"])
        for _ in range(int(rng.integers(1, 3))):
            _spoil(rng, schema)
        members["schema.json"] = json.dumps(schema).encode("utf-8", "surrogatepass")
    else:
        name = str(rng.choice([each for each in members if each != "schema.json"]))
        members[name] = _flipped(rng, members[name], first=0 if rng.random() < 0.2 else 128)
    whole["model.skops"] = _zipped(list(members.items()))
    return "schema" if way < 0.4 else "array"


# Graphs.


def _graph(rng: Generator, whole: Files) -> str:
    data = whole.get("model.onnx")
    if data is None:
        return _tensors(rng, whole)
    way = int(rng.integers(5))
    if way == 0:
        whole["model.onnx"] = data[: int(rng.integers(len(data)))]
        return "truncated"
    if way < 3:
        whole["model.onnx"] = _flipped(rng, data)
        return "flipped"
    if way == 3 and b"model.safetensors" in data:
        places = (b"/../etc/passwd\0\0\0", b"golden.safetenso", b"../../etc/shadow!", b"card.json")
        place = places[int(rng.integers(len(places)))].ljust(17, b"x")[:17]
        whole["model.onnx"] = data.replace(b"model.safetensors", place)
        return "outside"
    model = onnx.load_model_from_string(data)
    _ask_too_much(rng, model)
    whole["model.onnx"] = model.SerializeToString()
    return "too much"


def _ask_too_much(rng: Generator, model: Any) -> None:
    """Put nodes before a graph's own that want memory, time or files."""
    body = model.graph
    way = int(rng.integers(4))
    sizes = [2**62] if rng.random() < 0.5 else [2**16, 2**16, 2 ** int(rng.integers(1, 6))]
    body.initializer.append(helper.make_tensor("much", TensorProto.INT64, [len(sizes)], sizes))
    nodes = [
        [helper.make_node("ConstantOfShape", ["much"], ["vast"])],
        [helper.make_node("Expand", [body.input[0].name, "much"], ["vast"])],
        [helper.make_node("If", ["much"], ["vast"], then_branch=body, else_branch=body)],
        [helper.make_node("Evil", ["much"], ["vast"], domain="com.evil")],
    ][way]
    for place, node in enumerate(nodes):
        body.node.insert(place, node)
    out = body.output[0].name
    last = next(node for node in body.node if out in node.output)
    last.output[list(last.output).index(out)] = "own"
    body.node.append(helper.make_node("ReduceMax", ["vast"], ["most"], keepdims=0))
    body.node.append(helper.make_node("Add", ["own", "most"], [out]))


# Archives.


def _archive(rng: Generator, whole: Files, target: Path) -> tuple[str, Path]:
    members = list(whole.items())
    way = int(rng.integers(6))
    if way == 0:
        path = PATHS[int(rng.integers(len(PATHS)))]
        members.insert(int(rng.integers(len(members) + 1)), (path, b"x"))
    elif way == 1:
        members.append(members[int(rng.integers(len(members)))])
    elif way == 2:
        place = int(rng.integers(len(members)))
        members[place] = (members[place][0], bytes(int(2 ** rng.uniform(10, 28))))
    pack = PACKS[int(rng.integers(len(PACKS)))]
    data = _linked(rng, members) if way == 3 else pack(members)
    if way == 4:
        data = _flipped(rng, data)
    elif way == 5:
        data = data[: int(rng.integers(len(data)))]
    target.write_bytes(data)
    return ("path", "twice", "bomb", "links", "flipped", "truncated")[way], target


def _linked(rng: Generator, members: list[tuple[str, bytes]]) -> bytes:
    """Pack a tar of which some members are no files, or say that they are larger than they are."""
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S", b"x", b"L")
    packed = b""
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        if rng.random() < 0.4:
            info.type, info.linkname = kinds[int(rng.integers(len(kinds)))], "/etc/passwd"
            info.size = int(rng.choice([0, 10, 2**20, 2**33]))
        packed += info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)
    packed += bytes(1024)
    return gzip.compress(packed, mtime=0) if rng.random() < 0.5 else packed


def _zipped(members: list[tuple[str, bytes]], compression: int = ZIP_STORED) -> bytes:
    written = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), ZipFile(written, "w", compression) as archive:
        for name, data in members:
            archive.writestr(ZipInfo(name), data, compression)
    return written.getvalue()


def _deflated(members: list[tuple[str, bytes]]) -> bytes:
    return _zipped(members, ZIP_DEFLATED)


def _tarred(members: list[tuple[str, bytes]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return written.getvalue()


def _gzipped(members: list[tuple[str, bytes]]) -> bytes:
    return gzip.compress(_tarred(members), mtime=0)


def _flipped(rng: Generator, data: bytes, first: int = 0) -> bytes:
    """Change one byte to sixteen of them."""
    changed = bytearray(data)
    for _ in range(int(2 ** rng.uniform(0, 4))):
        place = int(rng.integers(min(first, len(changed) - 1), len(changed)))
        if rng.random() < 0.5:
            changed[place] ^= 1 << int(rng.integers(8))
        else:
            changed[place] = EDGES[int(rng.integers(len(EDGES)))]
    return bytes(changed)


PACKS = (_zipped, _deflated, _tarred, _gzipped)
RECIPES: Mapping[str, Callable[[Generator, Files], str]] = {
    "card": _card,
    "tensors": _tensors,
    "pipeline": _pipeline,
    "graph": _graph,
    "archive": lambda rng, whole: "",
}
