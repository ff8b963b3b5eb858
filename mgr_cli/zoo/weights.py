"""What an entry computes with: its weights, and the samples that show it.

Weights may come from a stranger. Their digest is the card's, their shapes are those of the card's
architecture before anything is allocated, and nothing is unpickled.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from safetensors.numpy import save as to_bytes

from mgr_cli.config import MAX_WEIGHTS_BYTES
from mgr_cli.errors import ArchitectureError, ZooError
from mgr_cli.files import sha256
from mgr_cli.inputs import Arrays, tabulated
from mgr_cli.models import registry
from mgr_cli.zoo import backbones
from mgr_cli.zoo.backbones import Backbone
from mgr_cli.zoo.card import CARD, BorrowedNet, Card, WeightsFile
from mgr_cli.zoo.halves import compact
from mgr_cli.zoo.tensors import fill

if TYPE_CHECKING:  # torch is imported where a net is needed, not to list entries
    from sklearn.pipeline import Pipeline
    from torch import nn

    Model: TypeAlias = "nn.Module | Judge"

Score = Callable[[Arrays], np.ndarray]
"""From what a model takes of n segments, see `inputs`, to probabilities (n, n_classes)."""

WEIGHTS = "model.safetensors"
PIPELINE = "model.skops"
RESULTS = ("embedding", "logits", "probabilities")


@dataclass(frozen=True)
class Judge:
    """A fitted pipeline, and the borrowed net whose rows it judges, if there is one."""

    pipeline: "Pipeline"
    backbone: Backbone | None = None

    def uncached(self) -> "Judge":
        """Return the same without what the backbone keeps: all is computed."""
        return replace(self, backbone=self.backbone and replace(self.backbone, cache=None))

    def rows(self, inputs: Arrays) -> np.ndarray:
        """Make one row of each segment, np.ndarray [shape=(n, n_values)]."""
        return tabulated(inputs) if self.backbone is None else self.backbone.rows(inputs)


def save_net(path: Path, net: "nn.Module") -> None:
    """Write the weights of a net that is on the CPU, in half precision where that is exact."""
    # Training leaves nets channels_last; safetensors would write those bytes as they lie.
    weights = {key: value.contiguous().numpy() for key, value in net.state_dict().items()}
    path.write_bytes(to_bytes({key: compact(values) for key, values in weights.items()}))


def load_net(folder: Path, card: Card) -> "nn.Module":
    """Build the net of an entry and give it its weights, in evaluation mode on the CPU.

    Raises
    ------
    ZooError
        If the weights are missing, are not those of the card, or do not fit its
        architecture, or the card's architecture or a hyper-parameter does not exist.
    """
    path = checked(folder, card.weights)
    try:
        return fill(
            lambda: registry.build(
                card.architecture,
                card.inputs.dimensions,
                n_classes=len(card.classes),
                changes=card.hyperparameters,
            ),
            path,
            architecture=card.architecture,
        )
    except ArchitectureError as error:
        raise ZooError(f"{folder / CARD}: {error}") from error


def load_judge(folder: Path, card: Card, *, device: str = "cpu") -> Judge:
    """Load the pipeline of an entry, and its backbone to a device if it has one.

    Raises
    ------
    ZooError
        If it is missing, is not that of the card, holds anything that no row of the registry
        needs, or cannot judge what the card says that it eats.
    """
    from mgr_cli.zoo import pipelines

    path = checked(folder, card.weights)
    judge = Judge(pipelines.load(path), _load_backbone(folder, card, device))
    blank = tuple(np.zeros((1, *shape), np.float32) for shape in card.inputs.shapes)
    try:
        probs = score_with(judge, card)(blank)
    except Exception as error:  # arrays of a stranger's that do not fit may raise anything
        said = " ".join(str(error).split())[:200].encode("unicode_escape").decode()
        raise ZooError(f"{path}: does not fit its card ({said})") from error
    if not np.isfinite(probs).all():
        raise ZooError(f"{path}: gives what is not finite")
    return judge


def _load_backbone(folder: Path, card: Card, device: str) -> Backbone | None:
    if card.borrowed is None:
        return None
    for file in card.borrowed.files:
        checked(folder, file)
    return backbones.load(
        folder, card.architecture, str(card.hyperparameters["cut"]),
        origin=card.borrowed.origin, sample_rate=card.features.sample_rate, device=device,
        has_settings=len(card.borrowed.files) > 1,
    )  # fmt: skip


def load_model(folder: Path, card: Card, *, device: str = "cpu") -> "Model":
    """Load the net of an entry, to a device, or its pipeline.

    Raises
    ------
    ZooError
        As `load_net` and `load_judge` do.
    """
    if registry.is_fitted(card.architecture):
        return load_judge(folder, card, device=device)
    return load_net(folder, card).to(device)


def save_model(folder: Path, model: "Model", zoo: Path) -> dict[str, Any]:
    """Write a net or a pipeline, with its backbone, into the folder of an entry.

    Returns
    -------
    dict
        What the card says of it: `weights`, `n_parameters`, `borrowed`.
    """
    if not isinstance(model, Judge):
        save_net(folder / WEIGHTS, model)
        n_parameters = sum(p.numel() for p in model.parameters())
        return {"weights": digested(folder / WEIGHTS), "n_parameters": n_parameters}
    from mgr_cli.models import fitted
    from mgr_cli.zoo import pipelines

    (folder / PIPELINE).write_bytes(pipelines.dump(model.pipeline))
    said: dict[str, Any] = {
        "weights": digested(folder / PIPELINE),
        "n_parameters": fitted.n_parameters(model.pipeline),
    }
    backbone = model.backbone
    if backbone is not None:
        files = backbones.save(folder, backbone, zoo=zoo)
        said["borrowed"] = BorrowedNet(
            files=tuple(map(digested, files)),
            origin=backbone.origin,
            n_parameters=backbone.n_parameters,
        )
    return said


def score_with(model: "Model", card: Card, *, device: str = "cpu") -> Score:
    """Make the function that gives probabilities, of a net that is on a device or of a pipeline."""
    if not isinstance(model, Judge):
        return _score_with_net(model, card, device)
    judge, n_classes = model, len(card.classes)
    from mgr_cli.models import fitted

    def score(inputs: Arrays) -> np.ndarray:
        return fitted.probabilities(judge.pipeline, judge.rows(inputs), n_classes=n_classes)

    return score


def _score_with_net(net: "nn.Module", card: Card, device: str) -> Score:
    import torch

    def score(inputs: Arrays) -> np.ndarray:
        tensors = [torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in inputs]
        with torch.inference_mode():
            logits = net(*(tensor.to(device) for tensor in tensors))
            probs: np.ndarray = logits.softmax(dim=1).cpu().numpy()
        return probs

    return score


def sample(model: "Model", card: Card, inputs: Arrays) -> dict[str, np.ndarray]:
    """Return some inputs with what an entry gives for them.

    That is the embedding and the logits of a net, the probabilities of a pipeline.
    """
    given = {input_name(place): x for place, x in enumerate(inputs)}
    if isinstance(model, Judge):
        return {**given, "probabilities": score_with(model.uncached(), card)(inputs)}
    return {**given, **_sample_of_net(model, inputs)}


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


def digested(path: Path) -> WeightsFile:
    """Return a file's name and its digest, for the card."""
    return WeightsFile(file=path.name, sha256=sha256(path))


def checked(folder: Path, weights: WeightsFile, *, limit: int = MAX_WEIGHTS_BYTES) -> Path:
    """Return the path of a file of an entry that is what the card says.

    Parameters
    ----------
    folder : Path
        Of the entry.
    weights : WeightsFile
        What the card says of the file.
    limit : int
        Bytes that it may have.

    Raises
    ------
    ZooError
        If it is missing, too large, or has another digest.
    """
    path = folder / weights.file
    try:
        size = path.stat().st_size
        if size > limit:
            raise ZooError(f"{path}: larger than {limit} bytes")
        found = sha256(path)
    except OSError as error:
        raise ZooError(f"{path}: cannot be read ({error.strerror})") from error
    if found != weights.sha256:
        raise ZooError(
            f"{path}: its digest is {found[:12]}…, the card says {weights.sha256[:12]}…; "
            "it was changed or damaged"
        )
    return path
