"""Files of tensors, which may come from a stranger, and the nets that they fill.

A tensor that is float32 in a net may be float16 in a file, see `halves`; all else is what it is.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from mgr_cli.config import MAX_WEIGHTS_BYTES
from mgr_cli.errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor, nn

ADVICE = (
    "a .pth or .bin is a pickle, and none is opened; where you trust it, convert it with "
    '`python -c "from torch import load; from safetensors.torch import save_file; '
    "save_file(load('OLD', 'cpu', weights_only=True), 'NEW')\"`"
)
TYPES = {"torch.int64": "I64", "torch.float32": "F32"}  # of a net's whole numbers and floats
WIDER = {"F16": "F32"}  # what a type of a file becomes in a net, where it is another one


def fill(
    build: Callable[[], "nn.Module"], path: Path, *, architecture: str, anew: bool = False
) -> "nn.Module":
    """Build a net and give it the weights of a file, in evaluation mode on the CPU.

    Parameters
    ----------
    build : callable
        Makes the net. It is called where tensors have shapes and no content first, so that
        nothing is allocated before the file has the same.
    path : Path
        A file of safetensors.
    architecture : str
        What the net is called.
    anew : bool
        Whether the net holds tensors that are in no file, so that it must be built once more
        where tensors have content.

    Raises
    ------
    ZooError
        If the file cannot be read, or has other names, types or shapes.
    """
    import torch
    from safetensors.torch import load_file

    with torch.device("meta"):
        net = build()
    expected = {
        key: (TYPES[str(value.dtype)], tuple(value.shape))
        for key, value in net.state_dict().items()
    }
    try:
        with safe_open(path, framework="np") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            found = {
                key: (WIDER.get(one.get_dtype(), one.get_dtype()), tuple(one.get_shape()))
                for key, one in slices.items()
            }
        if found != expected:
            key = sorted(found.items() ^ expected.items())[0][0]
            raise ZooError(f"{path}: {key[:80]!r} does not fit the architecture {architecture}")
        if anew:
            net = build()
        state = load_file(path)
        halves = [key for key, value in state.items() if value.dtype == torch.float16]
        net.load_state_dict(state | {key: state[key].float() for key in halves}, assign=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ZooError(f"{path}: not readable as weights ({one_line(error)})") from error
    return net.eval()


def read_state(path: Path) -> Mapping[str, "Tensor"]:
    """Read a state dict that somebody has saved as safetensors.

    Raises
    ------
    ZooError
        If it cannot be read, is too large, or is something else, as a pickle.
    """
    from safetensors.torch import load_file

    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise ZooError(f"{path}: larger than {MAX_WEIGHTS_BYTES} bytes")
        return load_file(path)
    except SafetensorError as error:
        raise ZooError(f"{path}: no file of safetensors, or a damaged one; {ADVICE}") from error
    except OSError as error:
        raise ZooError(f"{path}: cannot be read ({error.strerror or error})") from error


def one_line(error: Exception) -> str:
    """Return the beginning of what an error of somebody else's says."""
    return " ".join("".join(filter(_is_said, str(error))).split())[:200]


def _is_said(character: str) -> bool:
    return character.isprintable() or character.isspace()
