"""Getting a net that others have trained: from torchvision, from a file, from a folder.

Nothing is fetched unless it is asked for by name, and nothing that is fetched or found is run.
"""

import json
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from mgr_cli.errors import ZooError
from mgr_cli.files import sha256
from mgr_cli.models import registry
from mgr_cli.zoo.backbones import Backbone, read_settings
from mgr_cli.zoo.tensors import ADVICE, one_line, read_state

if TYPE_CHECKING:
    from torch import nn

DEFAULT, RANDOM = "DEFAULT", "random"  # instead of a file of weights
CONFIG = "config.json"
FRONT_END = "preprocessor_config.json"
PREFIX = "net."  # of the weights of what somebody else made, within our own
UNUSED = {"masked_spec_embed"}  # weights of encoders that only their training needs


def borrow(
    architecture: str,
    cut: str,
    *,
    weights: str | None,
    sample_rate: int,
    seed: int,
    device: str = "cpu",
) -> Backbone:
    """Get a net with somebody's weights, up to a layer.

    Parameters
    ----------
    architecture, cut : str
        A row of `registry.BORROWED`, and the layer.
    weights : {"DEFAULT", "random"} or str
        torchvision's own for ImageNet, which are fetched unless they were before; such as nobody
        has trained, of `seed`; or the path of a file, a state dict of torchvision's net. Of an
        encoder, the path of its folder.
    sample_rate : int
        Of the waveforms that it will be given.
    seed : int
        Of random weights.
    device : str
        Where it shall run.

    Raises
    ------
    ArchitectureError
        If there is no such layer, or an encoder has settings that are none.
    ZooError
        If the weights cannot be had, or are those of another net.
    """
    is_encoder = registry.BORROWED[architecture].eats == ("waveform",)
    if weights is None and is_encoder:
        raise ZooError(
            f"{architecture} needs the folder of an encoder, with its {CONFIG}, {FRONT_END} and "
            f"weights: --arch {architecture}:FOLDER"
        )
    if weights is None:
        raise ZooError(
            f"{architecture} needs weights: --weights {DEFAULT} fetches torchvision's own, "
            f"--weights FILE takes a state dict that you have, --weights {RANDOM} is for trying out"
        )
    backbone = (
        _encoder(architecture, cut, Path(weights), sample_rate)
        if is_encoder
        else _eye(architecture, cut, weights, sample_rate, seed)
    )
    return replace(backbone, net=backbone.net.to(device), device=device)


def _eye(architecture: str, cut: str, weights: str, sample_rate: int, seed: int) -> Backbone:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU alone
        net = _built(architecture, cut, sample_rate)
    if weights == RANDOM:
        origin = f"random weights of seed {seed}, which nobody has trained"
    elif weights == DEFAULT:
        origin = _fill_with_default(net, architecture)
    else:
        path = Path(weights)
        _fill(net, read_state(path), architecture, str(path))
        origin = f"{path.name}, SHA-256 {sha256(path)[:16]}"
    return Backbone(net, architecture, cut, origin, sample_rate)


def _built(architecture: str, cut: str, sample_rate: int, settings: str = "") -> "nn.Module":
    return registry.build_backbone(
        architecture, cut=cut, settings=settings, sample_rate=sample_rate
    )


def _fill_with_default(net: "nn.Module", architecture: str) -> str:
    from torchvision.models import get_model_weights

    default = get_model_weights(architecture).DEFAULT
    try:
        state = default.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        # No net, no disk, another digest, or what lies on the disk was broken off.
        raise ZooError(
            f"torchvision's weights of {architecture} cannot be fetched ({one_line(error)}); get "
            "them where there is a net and name the file, --weights FILE"
        ) from error
    _fill(net, state, architecture, default.url)
    return f"torchvision, {default}"


def _fill(net: "nn.Module", state: Any, architecture: str, where: str) -> None:
    """Give a net those weights of a state dict that it has; there may be more, behind the cut."""
    found = {}
    for key, own in net.state_dict().items():
        name, shape = key.removeprefix(PREFIX), tuple(own.shape)
        if name in state and tuple(state[name].shape) == shape:
            found[key] = state[name].to(own.dtype)
        elif name not in state and name.endswith("num_batches_tracked"):
            found[key] = own  # a count that old files lack, and nothing needs
        else:
            there = f"has the shape {tuple(state[name].shape)}" if name in state else "is missing"
            raise ZooError(
                f"{where}: {name!r} {there}, expected {shape}; "
                f"it is the state dict of another net than {architecture}"
            )
    net.load_state_dict(found)


def _encoder(architecture: str, cut: str, folder: Path, sample_rate: int) -> Backbone:
    settings = json.dumps(
        {"config": _json(folder / CONFIG), "front_end": _json(folder / FRONT_END)},
        indent=1, sort_keys=True,
    )  # fmt: skip
    net = _built(architecture, cut, sample_rate, settings)  # says what is wrong with the settings
    net.load_state_dict({PREFIX + key: value for key, value in _pretrained(folder).items()})
    config = json.loads(settings)["config"]
    origin = f"{folder.resolve().name}, a {config['model_type']} of Hugging Face's transformers"
    return Backbone(net, architecture, cut, origin, sample_rate, settings)


def _pretrained(folder: Path) -> dict[str, Any]:
    """Read the weights of an encoder as transformers does, which knows their many spellings."""
    from transformers import AutoModel
    from transformers.utils import logging

    from mgr_cli.models.encoder_settings import config_of

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if not any(folder.glob("*.safetensors")):
        raise ZooError(f"{folder}: has no weights as safetensors; {ADVICE}")
    try:
        net, info = AutoModel.from_pretrained(
            folder, config=config_of(_json(folder / CONFIG)), local_files_only=True,
            trust_remote_code=False, use_safetensors=True, output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # files of a stranger's may raise anything
        said = one_line(error)
        raise ZooError(f"{folder}: not readable as the weights of an encoder ({said})") from error
    missing = info["missing_keys"]
    if missing - UNUSED:
        raise ZooError(
            f"{folder}: has no {min(missing - UNUSED)!r}; its weights are those of another net "
            f"than {CONFIG} says"
        )
    state: dict[str, Any] = net.float().state_dict()
    return {key: each.zero_() if key in missing else each for key, each in state.items()}


def _json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(read_settings(path))
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{path}: no JSON ({error})") from error
    if not isinstance(said, dict):
        raise ZooError(f"{path}: expected a mapping")
    return said
