"""Entries that predict on a CPU without torch: their graph, run by onnxruntime.

A graph (`model.onnx`, made by `graphs`) is the same model once more, as a list of operators. It
takes what the model takes, see `inputs`, and gives one output: ``logits``, whose softmax is taken
here, or ``probabilities``. The weights of a net are not in it: it names the tensors of the entry's
file of safetensors. Importing onnxruntime takes a tenth of what torch takes, and it judges two to
three times as fast.

Both files may come from a stranger. Their digests are those of the card; the graph is looked at
before onnxruntime sees it, see `inspection`; it is handed over as bytes and its weights as arrays,
so that onnxruntime opens no file at all; its inputs and its output are those of the card. All that
it computes with is taken from one arena of `MEMORY` bytes, so that a graph that asks for more is
told no; the one optimisation that computes before anything is run, constant folding, would pass
that arena by, and is left out: none of our graphs is slower for it whose weights are float32.
Those in half precision are brought to float32 at each call, which costs a net of convolutions a
twentieth to a third of its time, and a transformer nothing.
"""

import json
import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mgr_cli.cores import n_cores
from mgr_cli.errors import ZooError
from mgr_cli.inputs import Arrays, tabulated
from mgr_cli.models import registry
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card
from mgr_cli.zoo.inspection import Outside, names_outside
from mgr_cli.zoo.tensors import one_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LOGITS, PROBABILITIES = "logits", "probabilities"
"""What the output of a graph is called, after what it is."""

MAX_GRAPH_BYTES = 64 * 2**20
MEMORY = 4 * 2**30  # bytes, of all graphs of a process together; the largest of ours takes 0.6 GB
_QUIET = 4  # of onnxruntime's levels: what goes wrong is raised


def load_graph(folder: Path, card: Card, *, threads: int | None = None) -> weights.Score:
    """Load the graph of an entry as the function that gives probabilities, on the CPU.

    Parameters
    ----------
    folder : Path
        Of the entry.
    card : Card
        Its card.
    threads : int, optional
        That it runs on; `usable_cores` by default.

    Raises
    ------
    ZooError
        If there is none, it is not that of the card, or holds what no graph of ours does.
    """
    if card.graph is None:
        why = card.no_graph or "none was made when it was saved"
        raise ZooError(f"{folder}: has no graph: {why}")
    path = weights.checked(folder, card.graph.file, limit=MAX_GRAPH_BYTES)
    file = weights.checked(folder, card.weights)
    try:
        return score_with(path.read_bytes(), file, card, threads=threads)
    except OSError as error:
        raise ZooError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ZooError(f"{path}: {one_line(error)}") from error


def score_with(
    graph: bytes, file: Path, card: Card, *, threads: int | None = None
) -> weights.Score:
    """Make the function that gives probabilities of a graph.

    Parameters
    ----------
    graph : bytes
        An ONNX model.
    file : Path
        The weights of the entry.
    card : Card
        Its card.
    threads : int, optional
        See `load_graph`.

    Raises
    ------
    ValueError
        If the graph or the weights are damaged, hold what they may not, or do not fit the card.
    """
    tensors = {} if registry.is_fitted(card.architecture) else layout(file)
    outside = names_outside(graph, file=file.name, tensors=tensors)
    session = _session(graph, outside, file, usable_cores() if threads is None else threads)
    names, output = _checked_ends(session, card)
    is_fitted, n_classes = registry.is_fitted(card.architecture), len(card.classes)

    def score(inputs: Arrays) -> np.ndarray:
        given = (tabulated(inputs),) if is_fitted else inputs
        fed = {
            name: np.ascontiguousarray(x, np.float32) for name, x in zip(names, given, strict=True)
        }
        try:
            (found,) = session.run([output], fed)
        except Exception as error:  # onnxruntime's errors have no parent of their own
            raise ZooError(f"{card.name}: its graph failed ({_reason(error)})") from error
        if found.shape != (len(given[0]), n_classes) or not np.isfinite(found).all():
            raise ZooError(f"{card.name}: its graph gives {found.shape}, or what is not finite")
        return _softmax(found) if output == LOGITS else found

    return score


def layout(file: Path) -> dict[str, Outside]:
    """Say where a file of safetensors has its tensors.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    try:
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            if size > file.stat().st_size:
                raise ValueError("its weights are no file of safetensors")
            header = json.loads(opened.read(size))
        return {
            name: _outside(said, 8 + size)
            for name, said in header.items()
            if name != "__metadata__"
        }
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("its weights are no file of safetensors") from error


def _outside(said: Any, first: int) -> Outside:
    begin, stop = said["data_offsets"]
    return Outside(first + begin, stop - begin, tuple(said["shape"]), str(said["dtype"]))


def usable_cores() -> int:
    """Return how many cores this process may use; OMP_NUM_THREADS, if set, is one's own word."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return n_cores()


def _session(graph: bytes, outside: list[str], file: Path, threads: int) -> "InferenceSession":
    onnxruntime = _runtime()

    _bound_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait for work would take the cores that decode the next song.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        if outside:
            tensors = load_file(file)
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensors[name]) for name in outside]
            options.add_external_initializers(outside, values)
        return onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"],
            disabled_optimizers=["ConstantFolding"],
        )  # fmt: skip
    except SafetensorError as error:
        raise ValueError(f"its weights are no file of safetensors ({one_line(error)})") from error
    except Exception as error:  # onnxruntime's errors have no parent of their own
        raise ValueError(f"is no graph that onnxruntime takes ({_reason(error)})") from error


def _runtime() -> ModuleType:
    """Import onnxruntime, which since 1.29 tells Microsoft of its use, unless told not to."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # is read once, when it is imported
    return import_module("onnxruntime")


@lru_cache(maxsize=1)
def _bound_memory() -> None:
    """Give the sessions of this process one arena, of `MEMORY` bytes at the most."""
    onnxruntime = _runtime()

    onnxruntime.set_default_logger_severity(_QUIET)
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    # It grows by what is asked for: by powers of two it would take up to twice as much.
    settings = onnxruntime.OrtArenaCfg({"max_mem": MEMORY, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(place, settings)


def _checked_ends(session: "InferenceSession", card: Card) -> tuple[list[str], str]:
    """Return the names of a graph's inputs, and of its output."""
    shapes = card.inputs.shapes
    if registry.is_fitted(card.architecture):
        blank = tuple(np.zeros((1, *shape), np.float32) for shape in shapes)
        shapes = (tabulated(blank).shape[1:],)
    expected = {
        weights.input_name(place): ("tensor(float)", list(shape))
        for place, shape in enumerate(shapes)
    }
    found = {one.name: (one.type, list(one.shape)[1:]) for one in session.get_inputs()}
    if found != expected:
        raise ValueError(f"takes {found}, its card says {expected}")
    outputs = [one.name for one in session.get_outputs()]
    if outputs not in ([LOGITS], [PROBABILITIES]):
        raise ValueError(f"gives {outputs}, expected {LOGITS} or {PROBABILITIES}")
    return list(found), outputs[0]


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    shares: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def _reason(error: Exception) -> str:
    """Return what onnxruntime says, without its codes, fit for one line."""
    said = one_line(error)
    return said.split(" : ")[-1].split("onnxruntime_src/")[-1]
