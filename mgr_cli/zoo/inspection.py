"""A look at an ONNX graph before anybody runs it.

A graph comes with an entry, and an entry may come from a stranger. onnxruntime checks types, shapes
and the indices of trees and vectors, and raises. It also does what a graph asks for: it reads any
file that a tensor is said to lie in, loops for as long as a loop is told to, and runs whatever
operators are registered. So a graph may hold

- operators that a model of ours needs (`OPERATORS`), of the two sets that ONNX itself defines, and
  no graphs within, so that each node is run once and in the end all of them have been;
- weights in the file of safetensors that the card names, where and as that file has them, and in
  no other;
- no more numbers beside them than the graph itself has bytes.

How much memory the nodes may take is bounded where they are run, see `sessions`.

The bytes are protocol buffers: fields, each a number, a kind and a value, that may hold fields
again. They are walked here by hand, because the package `onnx` takes longer to import than a song
takes to be judged. The walk is strict, since another reader may take a doubtful text in another
way: a field that no graph of ours has is refused, and so is one that stands twice where it may
stand once, or a number that is written longer than it need be.

References
----------
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

MAX_NODES = 20_000
MAX_DIMENSIONS = 8  # of a tensor

_PLAIN = """
Abs Add ArgMax Cast Clip Concat Constant ConstantOfShape Conv Div Equal Erf Exp Expand Flatten GRU
Gather Gemm Identity LSTM LayerNormalization Less Log LogSoftmax MatMul Max MaxPool Min Mod Mul Neg
Not Pad Pow Reciprocal ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize
Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Sum Transpose Unsqueeze Where BatchNormalization
"""
_CLASSICAL = """
ArrayFeatureExtractor LinearClassifier Normalizer SVMClassifier Scaler TreeEnsemble
TreeEnsembleClassifier
"""
OPERATORS: Mapping[str, frozenset[str]] = {
    "": frozenset(_PLAIN.split()),
    "ai.onnx.ml": frozenset(_CLASSICAL.split()),
}
"""What a node may be, by the set that defines it."""

ELEMENTS: Mapping[str, int] = {"F32": 1, "I64": 7, "F16": 10}
"""What a tensor's numbers may be that lies outside: the word of safetensors, and ONNX's number."""

_NUMBER, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # kinds of a field
_EXTERNAL = 1  # of a tensor's data_location

Value = int | bytes
Fields = list[tuple[int, Value]]


@dataclass(frozen=True)
class Outside:
    """Where the file of safetensors has a tensor: first byte, number of bytes, shape and type."""

    offset: int
    length: int
    shape: tuple[int, ...]
    element: str


def names_outside(graph: bytes, *, file: str, tensors: Mapping[str, Outside]) -> list[str]:
    """Check a graph, and list the tensors whose values lie in the file of weights.

    Parameters
    ----------
    graph : bytes
        An ONNX model.
    file : str
        Name of the file of weights, beside the graph.
    tensors : mapping
        What it holds.

    Raises
    ------
    ValueError
        If the graph is no such, is damaged, or holds what it may not.
    """
    model = _fields(graph, known={1, 2, 3, 4, 5, 6, 7, 8}, repeated={8})
    (body,) = _all(model, 7) or [b""]
    parts = _fields(body, known={1, 2, 5, 10, 11, 12, 13}, repeated={1, 5, 11, 12, 13})
    nodes = _all(parts, 1)
    if not 1 <= len(nodes) <= MAX_NODES:
        raise ValueError(f"has {len(nodes)} nodes, expected 1 to {MAX_NODES}")
    for node in nodes:
        _check_node(node)
    found = []
    for tensor in _all(parts, 5):
        name = _check_tensor(tensor, file=file, tensors=tensors)
        if name:
            found.append(name)
    return found


def _check_node(node: bytes) -> None:
    fields = _fields(node, known={1, 2, 3, 4, 5, 6, 7}, repeated={1, 2, 5})
    operator, domain = _text(fields, 4), _text(fields, 7)
    if operator not in OPERATORS.get(domain, ()):
        full = f"{domain}.{operator}" if domain else operator
        raise ValueError(f"holds the operator {full[:80]!r}, which no model of mgr needs")
    lists: dict[str, list[int]] = {}
    for attribute in _all(fields, 5):
        # 6 and 11 are graphs within, 10, 22 and 23 more tensors, 14 and 15 types.
        values = _fields(attribute, known={1, 2, 3, 4, 5, 7, 8, 9, 13, 20}, repeated={7, 8, 9})
        for tensor in _all(values, 5):
            _check_tensor(tensor, file="", tensors={})
        if operator == "TreeEnsemble":
            lists[_text(values, 1)] = _repeated(values, 8)
    if lists:
        _check_trees(lists)


def _check_trees(lists: Mapping[str, Sequence[int]]) -> None:
    """Refuse trees that share nodes: onnxruntime copies them for each, and fills the memory."""
    reached = list(lists.get("tree_roots", ()))
    for way in ("true", "false"):
        children = lists.get(f"nodes_{way}nodeids", ())
        are_leaves = lists.get(f"nodes_{way}leafs", ())
        if len(children) != len(are_leaves):
            raise ValueError("holds trees whose lists differ in length")
        reached += [
            child for child, is_leaf in zip(children, are_leaves, strict=True) if not is_leaf
        ]
    if len(set(reached)) < len(reached):
        raise ValueError("holds trees that share nodes")


def _check_tensor(tensor: bytes, *, file: str, tensors: Mapping[str, Outside]) -> str:
    """Return the name of a tensor whose values lie outside, an empty text for another."""
    fields = _fields(
        tensor,
        known={1, 2, 4, 5, 7, 8, 9, 10, 12, 13, 14},
        repeated={1, 4, 5, 7, 10, 13},
    )
    name, shape = _text(fields, 8), _shape(fields)
    if not any(number in (13, 14) for number, _ in fields):
        if prod(shape) > len(tensor):
            raise ValueError(f"{name[:80]!r} claims more numbers than it has")
        return ""
    said = {}
    for entry in _all(fields, 13):
        pair = _fields(entry, known={1, 2}, repeated=set())
        said[_text(pair, 1)] = _text(pair, 2)
    place = tensors.get(name)
    if (
        place is None
        or said != {"location": file, "offset": str(place.offset), "length": str(place.length)}
        or shape != place.shape
        or [value for number, value in fields if number == 2] != [ELEMENTS.get(place.element)]
        or [value for number, value in fields if number == 14] != [_EXTERNAL]
        or {number for number, _ in fields} - {1, 2, 8, 13, 14}
    ):
        raise ValueError(f"{name[:80]!r} is said to lie where the card's weights have no such")
    return name


def _shape(fields: Fields) -> tuple[int, ...]:
    """Return the shape of a tensor; many huge numbers would take for ever to multiply."""
    n_bytes = sum(1 if isinstance(value, int) else len(value) for n, value in fields if n == 1)
    is_long = n_bytes > 10 * MAX_DIMENSIONS  # ten bytes are the longest number
    shape = () if is_long else tuple(_repeated(fields, 1))
    if is_long or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"holds a tensor of more than {MAX_DIMENSIONS} dimensions")
    return shape


def _repeated(fields: Fields, number: int) -> list[int]:
    """Return the numbers of a field that may stand many times, or once with all of them."""
    found = []
    for each, value in fields:
        if each == number:
            found += [value] if isinstance(value, int) else _numbers(value)
    return found


def _all(fields: Fields, number: int) -> list[bytes]:
    """Return the values of a field that hold fields or text."""
    found = [value for each, value in fields if each == number]
    if not all(isinstance(value, bytes) for value in found):
        raise ValueError(_NO_GRAPH)
    return found  # type: ignore[return-value]


def _text(fields: Fields, number: int) -> str:
    """Return the text of a field that may stand once; empty if it does not."""
    (found,) = _all(fields, number) or [b""]
    return found.decode("utf-8")  # its error is a ValueError


_NO_GRAPH = "is no ONNX graph, or a damaged one"


def _fields(data: bytes, *, known: Collection[int], repeated: Collection[int]) -> Fields:
    """Read the fields of a message.

    Raises
    ------
    ValueError
        If one is not known, stands twice and may not, or the bytes are none.
    """
    found: Fields = []
    seen = set()
    for number, value in _split(data):
        if number not in known:
            raise ValueError(f"holds a field that no graph of mgr has ({number})")
        if number in seen and number not in repeated:
            raise ValueError(f"holds a field twice ({number})")
        seen.add(number)
        found.append((number, value))
    return found


def _split(data: bytes) -> Iterator[tuple[int, Value]]:
    position, end = 0, len(data)
    while position < end:
        tag, position = _number(data, position)
        kind = tag & 7
        if kind == _NUMBER:
            value, position = _number(data, position)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, position = _number(data, position)
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            size = 4 if kind == _FOUR_BYTES else 8
        else:
            raise ValueError(_NO_GRAPH)
        if size > end - position:
            raise ValueError(_NO_GRAPH)
        yield tag >> 3, data[position : position + size]
        position += size


def _numbers(data: bytes) -> list[int]:
    position, found = 0, []
    while position < len(data):
        value, position = _number(data, position)
        found.append(value)
    return found


def _number(data: bytes, position: int) -> tuple[int, int]:
    """Read a number: seven bits a byte, the lowest first, all but the last byte marked."""
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if (byte == 0 and shift) or value >= 2**64:
                break
            return value, position
        shift += 7
    raise ValueError(_NO_GRAPH)
