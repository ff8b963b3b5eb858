"""Several nets that hear the same and are asked together.

Nets that were trained apart, from other random numbers or of another kind, err on other tracks,
and the mean of what they say is right more often than each of them. A committee is one net: its
embedding is theirs, one behind the other, and its logits are the mean of their log-probabilities,
so that its probabilities are the geometric mean of theirs, scaled to sum to one. `mgr zoo combine`
makes one of entries; trained as a whole it works, but its members then learn to lean on each
other.

References
----------
B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and scalable predictive uncertainty
estimation using deep ensembles", NeurIPS 2017, section 2.4.
G. E. Hinton, "Training products of experts by minimizing contrastive divergence", Neural
Computation 14(8), 2002: why the geometric mean.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mgr_cli.models import registry
from mgr_cli.models.layers import Classifier

AND, WITH, BESIDE = "+", ":", ","  # modulation+short-chunk-resnet:width=24,dropout=0.3
MAX_MEMBERS = 32


class Chair(nn.Module):
    """Take the members' embeddings apart, and the mean of what their heads make of them."""

    def __init__(self, heads: Sequence[nn.Module], dims: Sequence[int]) -> None:
        super().__init__()
        self._heads = list(
            heads
        )  # the members' own: registered here too, they would be saved twice
        self._dims = list(dims)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sum of the members' dim) to (batch, n_classes)."""
        said = zip(self._heads, torch.split(x, self._dims, dim=1), strict=True)
        return torch.stack([head(part).log_softmax(dim=1) for head, part in said]).mean(dim=0)


class Committee(Classifier):
    """Nets side by side."""

    def __init__(self, members: Sequence[Classifier], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        with torch.no_grad():
            blank = torch.zeros(1, *shape)
            dims = [member.eval().embed(blank).shape[1] for member in members]
        self.head = Chair([member.head for member in members], dims)
        self.train()

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, sum of the members' dim)."""
        seated = (member for member in self.members if isinstance(member, Classifier))
        return torch.cat([member.embed(x) for member in seated], dim=1)


def committee(
    *,
    n_mels: int,
    n_frames: int,
    n_classes: int,
    members: str = "modulation+short-chunk-resnet",
) -> Committee:
    """Make the net.

    Parameters
    ----------
    members : str
        Architectures, with hyper-parameters that differ from their defaults, as in
        ``modulation+short-chunk-resnet:width=32,dropout=0.5``.

    Raises
    ------
    ValueError
        If a member is unknown or eats something else than log-mels, or a hyper-parameter is
        none of its own.
    """
    dimensions = {"n_mels": n_mels, "n_frames": n_frames}
    said = members.split(AND)
    if not 1 <= len(said) <= MAX_MEMBERS:
        raise ValueError(f"members are {len(said)}, outside 1 to {MAX_MEMBERS}")
    nets = [_member(text, dimensions, n_classes) for text in said]
    return Committee(nets, (n_mels, n_frames))


def described(name: str, values: Mapping[str, Any]) -> str:
    """Write a member as `committee` reads it; its defaults are left out."""
    defaults = registry.defaults(name)
    own = [f"{key}={value}" for key, value in values.items() if value != defaults[key]]
    return name + (WITH + BESIDE.join(own) if own else "")


def _member(text: str, dimensions: Mapping[str, int], n_classes: int) -> Classifier:
    name, _, rest = text.strip().partition(WITH)
    row = registry.find(name)
    if row.eats != ("log-mel",) or row.name == "committee":
        raise ValueError(f"{name} cannot sit on a committee, whose members eat log-mels alone")
    known = registry.defaults(name)
    pairs = [part.partition("=")[::2] for part in rest.split(BESIDE)] if rest else []
    changes = {key: _as(known.get(key, ""), value) for key, value in pairs}
    net = registry.build(name, dimensions, n_classes=n_classes, changes=changes)
    if not isinstance(net, Classifier):
        raise ValueError(f"{name} has no embedding")
    return net


def _as(default: object, text: str) -> Any:
    """Read a value as what its default is; the registry refuses what is none."""
    if isinstance(default, bool):
        return {"True": True, "False": False}.get(text, text)
    try:
        return type(default)(text) if isinstance(default, int | float) else text
    except ValueError:
        return text
