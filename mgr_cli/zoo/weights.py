"""What an entry computes with: its weights, and the samples that show it.

Weights may come from a stranger. Their digest is the card's, their shapes are those of the card's
architecture before anything is allocated, and nothing is unpickled.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from mgr_cli.config import MAX_WEIGHTS_BYTES
from mgr_cli.errors import ArchitectureError, ZooError
from mgr_cli.files import sha256
from mgr_cli.inputs import Arrays, tabulated
from mgr_cli.models import registry
from mgr_cli.zoo.card import CARD, Card, WeightsFile

if TYPE_CHECKING:  # torch is imported where a net is needed, not to list entries
    from sklearn.pipeline import Pipeline
    from torch import nn

    Model: TypeAlias = nn.Module | Pipeline

Score = Callable[[Arrays], np.ndarray]
"""From what a model takes of n segments, see `inputs`, to probabilities (n, n_classes)."""

WEIGHTS = "model.safetensors"
PIPELINE = "model.skops"
TYPES = ("I64", "F32")  # of a net's whole numbers, and of its floats
RESULTS = ("embedding", "logits", "probabilities")


def save_net(path: Path, net: "nn.Module") -> None:
    """Write the weights of a net that is on the CPU."""
    # Training leaves nets channels_last; safetensors would write those bytes as they lie.
    weights = {key: value.contiguous().numpy() for key, value in net.state_dict().items()}
    path.write_bytes(to_bytes(weights))


def load_net(folder: Path, card: Card) -> "nn.Module":
    """Build the net of an entry and give it its weights, in evaluation mode on the CPU.

    Raises
    ------
    ZooError
        If the weights are missing, are not those of the card, or do not fit its
        architecture, or the card's architecture or a hyper-parameter does not exist.
    """
    import torch
    from safetensors.torch import load_file as load_tensors

    path = checked(folder, card.weights)
    try:
        with torch.device("meta"):  # shapes alone: nothing is allocated before they agree
            net = registry.build(
                card.architecture,
                card.inputs.dimensions,
                n_classes=len(card.classes),
                changes=card.hyperparameters,
            )
    except ArchitectureError as error:
        raise ZooError(f"{folder / CARD}: {error}") from error
    expected = {
        key: (TYPES[value.dtype.is_floating_point], tuple(value.shape))
        for key, value in net.state_dict().items()
    }
    try:
        with safe_open(path, framework="np") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            found = {key: (one.get_dtype(), tuple(one.get_shape())) for key, one in slices.items()}
        if found != expected:
            key = sorted(found.items() ^ expected.items())[0][0]
            raise ZooError(f"{path}: {key!r} does not fit the architecture {card.architecture}")
        net.load_state_dict(load_tensors(path), assign=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ZooError(f"{path}: not readable as weights ({error})") from error
    return net.eval()


def load_pipeline(folder: Path, card: Card) -> "Pipeline":
    """Load the pipeline of an entry.

    Raises
    ------
    ZooError
        If it is missing, is not that of the card, holds anything that no row of the registry
        needs, or cannot judge what the card says that it eats.
    """
    from mgr_cli.zoo import pipelines

    path = checked(folder, card.weights)
    pipeline = pipelines.load(path)
    blank = tuple(np.zeros((1, *shape), np.float32) for shape in card.inputs.shapes)
    try:
        probs = score_with(pipeline, card)(blank)
    except Exception as error:  # arrays of a stranger's that do not fit may raise anything
        said = " ".join(str(error).split())[:200].encode("unicode_escape").decode()
        raise ZooError(f"{path}: does not fit its card ({said})") from error
    if not np.isfinite(probs).all():
        raise ZooError(f"{path}: gives what is not finite")
    return pipeline


def load_model(folder: Path, card: Card, *, device: str = "cpu") -> "Model":
    """Load the net of an entry, to a device, or its pipeline.

    Raises
    ------
    ZooError
        As `load_net` and `load_pipeline` do.
    """
    if card.architecture in registry.CLASSICAL:
        return load_pipeline(folder, card)
    return load_net(folder, card).to(device)


def save_model(folder: Path, model: "Model") -> tuple[str, int]:
    """Write a net or a pipeline; return the name of the file and the number of parameters."""
    if not _is_pipeline(model):
        net = cast("nn.Module", model)
        save_net(folder / WEIGHTS, net)
        return WEIGHTS, sum(p.numel() for p in net.parameters())
    from mgr_cli.models import fitted
    from mgr_cli.zoo import pipelines

    (folder / PIPELINE).write_bytes(pipelines.dump(model))
    return PIPELINE, fitted.n_parameters(model)


def score_with(model: "Model", card: Card, *, device: str = "cpu") -> Score:
    """Make the function that gives probabilities, of a net that is on a device or of a pipeline."""
    if not _is_pipeline(model):
        return _score_with_net(cast("nn.Module", model), card, device)
    pipeline, n_classes = model, len(card.classes)
    from mgr_cli.models import fitted

    def score(inputs: Arrays) -> np.ndarray:
        return fitted.probabilities(pipeline, tabulated(inputs), n_classes=n_classes)

    return score


def _is_pipeline(model: "Model") -> "TypeGuard[Pipeline]":
    return hasattr(model, "steps")


def _score_with_net(net: "nn.Module", card: Card, device: str) -> Score:
    import torch

    def score(inputs: Arrays) -> np.ndarray:
        tensors = [torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in inputs]
        with torch.inference_mode():
            logits = net(*(tensor.to(device) for tensor in tensors))
            probs: np.ndarray = (logits / card.temperature).softmax(dim=1).cpu().numpy()
        return probs

    return score


def sample(model: "Model", card: Card, inputs: Arrays) -> dict[str, np.ndarray]:
    """Return some inputs with what an entry gives for them.

    That is the embedding and the logits of a net, the probabilities of a pipeline.
    """
    given = {input_name(place): x for place, x in enumerate(inputs)}
    if _is_pipeline(model):
        return {**given, "probabilities": score_with(model, card)(inputs)}
    return {**given, **_sample_of_net(cast("nn.Module", model), inputs)}


def _sample_of_net(net: "nn.Module", inputs: Arrays) -> dict[str, np.ndarray]:
    import torch

    with torch.inference_mode():
        tensors = tuple(torch.from_numpy(x) for x in inputs)
        embed = getattr(net, "embed")  # noqa: B009 (every net of the registry has it)
        # safetensors writes memory as it lies, so that a view would be scrambled.
        embedding = np.ascontiguousarray(embed(*tensors).numpy())
        return {"embedding": embedding, "logits": net(*tensors).numpy()}


def input_name(place: int) -> str:
    """Return what the tensor at this place among a net's inputs is called in a sample."""
    return f"input-{place + 1}" if place else "input"


def checked(folder: Path, weights: WeightsFile) -> Path:
    """Return the path of a file of an entry that is what the card says.

    Raises
    ------
    ZooError
        If it is missing, too large, or has another digest.
    """
    path = folder / weights.file
    try:
        size = path.stat().st_size
        if size > MAX_WEIGHTS_BYTES:
            raise ZooError(f"{path}: larger than {MAX_WEIGHTS_BYTES} bytes")
        found = sha256(path)
    except OSError as error:
        raise ZooError(f"{path}: cannot be read ({error.strerror})") from error
    if found != weights.sha256:
        raise ZooError(
            f"{path}: its digest is {found[:12]}…, the card says {weights.sha256[:12]}…; "
            "it was changed or damaged"
        )
    return path
