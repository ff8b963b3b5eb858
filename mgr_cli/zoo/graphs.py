"""Making the ONNX graph of an entry, and seeing that it says what the model says.

A net is traced by torch, for a batch of any size, and nothing of it is folded: each tensor that
it holds stays one of the graph's, by the name that it has in the file of safetensors. So the graph
need not hold them a second time. It says where they lie in that file ("external data"), which any
ONNX runtime understands while the two files lie side by side, and is some tens of kilobytes long.
What the file has in half precision, the graph brings to float32 before anything uses it. The same
net gives the same bytes. A pipeline is translated, see `translation`.

A graph is kept only if it differs by no more than `TOLERANCE` from the model: on the golden input,
on a batch of another size, and for pipelines, whose trees may fall to the other side of a threshold
where a number is rounded in another way, on a few thousand rows drawn widely around those that they
were fitted to. Where there is no graph, the card says why.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mgr_cli.errors import ZooError
from mgr_cli.files import replacing
from mgr_cli.inputs import Arrays, tabulated
from mgr_cli.zoo import sessions, weights
from mgr_cli.zoo.card import Card, Graph
from mgr_cli.zoo.inspection import Outside
from mgr_cli.zoo.sessions import LOGITS, MAX_GRAPH_BYTES
from mgr_cli.zoo.tensors import one_line

if TYPE_CHECKING:  # heavy, and needed only where an entry is saved
    from onnx import GraphProto, TensorProto
    from torch import nn

GRAPH = "model.onnx"
TOLERANCE = 1e-5  # of probabilities; both add up float32 numbers, in another order
OPSET = 17  # of 2022, the newest that torch traces
OTHER_BATCH = 3  # segments, beside those of the golden input
HALF = "F16"  # of safetensors
WIDE = ":float32"  # behind the name of a tensor that was brought to it
N_ROWS = 3_000  # that a pipeline and its graph are compared on


class NoGraphError(Exception):
    """A model has no graph; the text says why."""


def save(
    folder: Path, model: "weights.Model", card: Card, inputs: Arrays, *, rng: np.random.Generator
) -> dict[str, Any]:
    """Write the graph of an entry, if it has one, beside its weights.

    Parameters
    ----------
    folder : Path
        Of the entry; the weights are there.
    model : nn.Module or Judge
        Its model, a net in evaluation mode on the CPU.
    card : Card
        Which names those weights.
    inputs : tuple of np.ndarray
        The golden input.
    rng : np.random.Generator
        Draws what else the two are compared on.

    Returns
    -------
    dict
        What the card says of it: `graph` and `no_graph`.
    """
    try:
        data = of_model(model, card, folder / card.weights.file)
        if len(data) > MAX_GRAPH_BYTES:
            raise NoGraphError(f"it would have {len(data)} bytes, more than {MAX_GRAPH_BYTES}")
        found = _checked_difference(data, folder / card.weights.file, model, card, inputs, rng)
    except NoGraphError as error:
        (folder / GRAPH).unlink(missing_ok=True)
        return {"graph": None, "no_graph": str(error)}
    with replacing(folder / GRAPH) as part:
        part.write_bytes(data)
    file = weights.digested(folder / GRAPH)
    return {"graph": Graph(file=file, difference=found), "no_graph": ""}


def of_model(model: "weights.Model", card: Card, file: Path) -> bytes:
    """Make the graph of a net, whose weights lie in a file, or of a pipeline.

    Raises
    ------
    NoGraphError
        If it has none.
    """
    if not isinstance(model, weights.Judge):
        return _of_net(model, card, file)
    if model.backbone is not None:
        raise NoGraphError("a borrowed net makes the rows that it judges, which needs torch")
    from mgr_cli.zoo import translation

    try:
        return translation.of_pipeline(model.pipeline, n_classes=len(card.classes))
    except translation.TranslationError as error:
        raise NoGraphError(str(error)) from error


def difference(one: weights.Score, other: weights.Score, inputs: Arrays) -> float:
    """Return by how much two opinions of the same segments differ; NaN if one is no number."""
    return float(np.abs(one(inputs) - other(inputs)).max())


def _of_net(net: "nn.Module", card: Card, file: Path) -> bytes:
    import onnx
    import torch

    blank = tuple(torch.zeros(2, *shape) for shape in card.inputs.shapes)
    names = [weights.input_name(place) for place in range(len(blank))]
    traced: Any = io.BytesIO()  # torch takes it too, and says only of paths that it does
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=()):
            # It warns of itself, of Python's numbers and of batches of one; the comparison tells.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net, blank, traced, dynamo=False, opset_version=OPSET,
                training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
                input_names=names, output_names=[LOGITS],
                dynamic_axes={name: {0: "batch"} for name in (*names, LOGITS)},
            )  # fmt: skip
    except (RuntimeError, ValueError, TypeError) as error:  # torch's own are RuntimeErrors
        raise NoGraphError(f"torch cannot trace it ({one_line(error)})") from error
    model = onnx.load_model_from_string(traced.getvalue())
    _merge(model.graph)
    outside = sessions.layout(file)
    let_out = [tensor for tensor in model.graph.initializer if tensor.name in outside]
    for tensor in let_out:
        _let_out(tensor, file.name, outside[tensor.name])
    _widen(model.graph, [each.name for each in let_out if outside[each.name].element == HALF])
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _merge(graph: "GraphProto") -> None:
    """Leave of nodes that do the same to the same one alone, and give values short names.

    A tracer writes each number down again wherever it is used.
    """
    import onnx

    given = [*graph.input, *graph.output, *graph.initializer]
    names = {each.name: each.name for each in given}
    found: dict[bytes, Sequence[str]] = {}
    for node in graph.node:
        same = onnx.NodeProto(
            op_type=node.op_type, domain=node.domain, attribute=node.attribute,
            input=[names[name] if name else "" for name in node.input],
        )  # fmt: skip
        own = [names.get(name, str(len(names) + k)) for k, name in enumerate(node.output)]
        kept = found.setdefault(same.SerializeToString(deterministic=True), own)
        names.update(zip(node.output, kept, strict=True))
        same.output.extend(kept)
        node.CopyFrom(same)
    once = {each.output[0]: each for each in graph.node}
    del graph.node[:]
    graph.node.extend(once.values())


def _let_out(tensor: "TensorProto", file: str, place: Outside) -> None:
    """Have a tensor of a graph say where its values lie, and hold them no more."""
    import onnx

    if place.element == HALF:
        tensor.data_type = onnx.TensorProto.FLOAT16
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    said = {"location": file, "offset": str(place.offset), "length": str(place.length)}
    for key, value in said.items():
        tensor.external_data.add(key=key, value=value)


def _widen(graph: "GraphProto", names: Sequence[str]) -> None:
    """Bring tensors of half precision to float32, before all that uses them."""
    import onnx

    wide = {name: f"{name}{WIDE}" for name in names}
    for node in graph.node:
        node.input[:] = [wide.get(name, name) for name in node.input]
    casts = [
        onnx.helper.make_node("Cast", [name], [wide[name]], to=onnx.TensorProto.FLOAT)
        for name in names
    ]
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _checked_difference(
    data: bytes,
    file: Path,
    model: "weights.Model",
    card: Card,
    inputs: Arrays,
    rng: np.random.Generator,
) -> float:
    """Return by how much a graph differs on the golden input.

    Raises
    ------
    NoGraphError
        If it differs by more than `TOLERANCE`, there or elsewhere, or cannot be run.
    """
    own = weights.score_with(model, card)
    try:
        score = sessions.score_with(data, file, card, threads=1)
        found = [difference(score, own, each) for each in (inputs, *_others(model, inputs, rng))]
    except (ValueError, ZooError) as error:
        raise NoGraphError(f"its graph cannot be run: {one_line(error)}") from error
    worst = np.max(found)  # unlike max, it keeps NaN
    if not worst <= TOLERANCE:
        raise NoGraphError(f"its graph differs from it by {worst:.1e}, more than {TOLERANCE:.0e}")
    return found[0]


def _others(model: "weights.Model", inputs: Arrays, rng: np.random.Generator) -> list[Arrays]:
    """Draw segments, and rows for a pipeline, that it is compared on."""
    shapes = [x.shape[1:] for x in inputs]
    drawn = tuple(rng.standard_normal((OTHER_BATCH, *shape), np.float32) for shape in shapes)
    if not isinstance(model, weights.Judge):
        return [drawn]
    rows = tabulated(inputs)
    scaler = model.pipeline.named_steps.get("scale")
    middle = rows.mean(axis=0) if scaler is None else scaler.mean_
    width = 1.0 if scaler is None else scaler.scale_
    wide = middle + width * rng.standard_t(3, (N_ROWS, rows.shape[1]))  # now and then far out
    return [drawn, (wide.astype(np.float32),)]
