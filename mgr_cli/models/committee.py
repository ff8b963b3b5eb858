"""Several nets that hear the same and are asked together.

Nets that were trained apart, from other random numbers or of another kind, err on other tracks,
and the mean of what they say is right more often than each of them. A committee is one net: its
embedding is theirs, one behind the other, and its logits are the mean of their log-probabilities,
so that its probabilities are the geometric mean of theirs, scaled to sum to one. A member may hear
less at a time than the committee: it is then asked about as many pieces of the segment as fit into
it, evenly spread, and the mean of its probabilities is what it says. `mgr zoo combine` makes one of
entries; trained as a whole it works, but its members then learn to lean on each other.

References
----------
B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and scalable predictive uncertainty
estimation using deep ensembles", NeurIPS 2017, section 2.4.
G. E. Hinton, "Training products of experts by minimizing contrastive divergence", Neural
Computation 14(8), 2002: why the geometric mean.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from mgr_cli.models import registry
from mgr_cli.models.layers import Classifier

# modulation+short-chunk-resnet@39:width=24,dropout=0.3: the second hears 39 frames at a time
AND, AT, WITH, BESIDE = "+", "@", ":", ","
MAX_MEMBERS = 32
MAX_PIECES = 64


class Member(nn.Module):
    """A net that hears a segment of `n_frames` in pieces of `heard` frames."""

    def __init__(self, net: Classifier, *, heard: int, n_frames: int) -> None:
        super().__init__()
        self.net = net
        self._heard = heard
        n_pieces = n_frames // heard
        gap = (n_frames - n_pieces * heard) / max(1, n_pieces - 1)
        self._starts = [k * heard + round(k * gap) for k in range(n_pieces)]

    @property
    def n_pieces(self) -> int:
        """Pieces of a segment."""
        return len(self._starts)

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, n_pieces · dim)."""
        # One by one: stacked, they would lose the sizes that ONNX wants to know.
        pieces = (x[:, :, start : start + self._heard] for start in self._starts)
        return torch.cat([self.net.embed(piece) for piece in pieces], dim=1)

    def judge(self, embedding: Tensor) -> Tensor:
        """Map that to log-probabilities (batch, n_classes)."""
        pieces = torch.split(embedding, embedding.shape[1] // self.n_pieces, dim=1)
        said = torch.stack([self.net.head(piece).log_softmax(dim=1) for piece in pieces])
        return said.logsumexp(dim=0) - log(self.n_pieces)


class Chair(nn.Module):
    """Take the members' embeddings apart, and the mean of what they make of them."""

    def __init__(self, members: Sequence[Member], dims: Sequence[int]) -> None:
        super().__init__()
        # Registered here too, the members would be saved twice.
        self._judges = [member.judge for member in members]
        self._dims = list(dims)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, sum of the members' dim) to (batch, n_classes)."""
        said = zip(self._judges, torch.split(x, self._dims, dim=1), strict=True)
        return torch.stack([judge(part) for judge, part in said]).mean(dim=0)


class Committee(Classifier):
    """Nets side by side."""

    def __init__(self, members: Sequence[Member], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        with torch.no_grad():
            blank = torch.zeros(1, *shape)
            dims = [member.eval().embed(blank).shape[1] for member in members]
        self.head = Chair(members, dims)
        self.train()

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, sum of the members' dim)."""
        seated = (member for member in self.members if isinstance(member, Member))
        return torch.cat([member.embed(x) for member in seated], dim=1)


def committee(
    *,
    n_mels: int,
    n_frames: int,
    n_classes: int,
    fmin: int,
    fmax: int,
    members: str = "modulation+short-chunk-resnet",
) -> Committee:
    """Make the net.

    Parameters
    ----------
    fmin, fmax : int
        Edges of the mel bands, in Hz.
    members : str
        Architectures, with the frames that they hear at a time where those are fewer, and
        hyper-parameters that differ from their defaults, as in
        ``modulation+short-chunk-resnet@39:width=32,dropout=0.5``.

    Raises
    ------
    ValueError
        If a member is unknown or eats something else than log-mels, a hyper-parameter is none of
        its own, or it hears more at a time than a segment has.
    """
    said = members.split(AND)
    if not 1 <= len(said) <= MAX_MEMBERS:
        raise ValueError(f"members are {len(said)}, outside 1 to {MAX_MEMBERS}")
    dimensions = {"n_mels": n_mels, "n_frames": n_frames, "fmin": fmin, "fmax": fmax}
    nets = [_member(text, dimensions, n_classes) for text in said]
    return Committee(nets, (n_mels, n_frames))


def described(name: str, values: Mapping[str, Any], *, n_frames: int | None = None) -> str:
    """Write a member as `committee` reads it; its defaults are left out.

    Parameters
    ----------
    name : str
        Architecture.
    values : mapping
        Its hyper-parameters.
    n_frames : int, optional
        That it hears at a time, where the committee hears more.
    """
    defaults = registry.defaults(name)
    own = [f"{key}={value}" for key, value in values.items() if value != defaults[key]]
    at = "" if n_frames is None else f"{AT}{n_frames}"
    return name + at + (WITH + BESIDE.join(own) if own else "")


def _member(text: str, dimensions: Mapping[str, int], n_classes: int) -> Member:
    head, _, rest = text.strip().partition(WITH)
    name, _, at = head.partition(AT)
    row = registry.find(name)
    if row.eats != ("log-mel",) or row.name == "committee":
        raise ValueError(f"{name} cannot sit on a committee, whose members eat log-mels alone")
    known = registry.defaults(name)
    pairs = [part.partition("=")[::2] for part in rest.split(BESIDE)] if rest else []
    changes = {key: _as(known.get(key, ""), value) for key, value in pairs}
    n_frames = dimensions["n_frames"]
    heard = _frames(at, n_frames) if at else n_frames
    net = registry.build(
        name, {**dimensions, "n_frames": heard}, n_classes=n_classes, changes=changes
    )
    if not isinstance(net, Classifier):
        raise ValueError(f"{name} has no embedding")
    return Member(net, heard=heard, n_frames=n_frames)


def _frames(text: str, n_frames: int) -> int:
    """Read how many of the committee's frames a member hears at a time."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise ValueError(f"{AT}{text} is no number of frames")
    if not 1 <= n_frames // int(text) <= MAX_PIECES:
        raise ValueError(
            f"a segment of {n_frames} frames has {n_frames // int(text)} pieces of {text}, "
            f"expected 1 to {MAX_PIECES}"
        )
    return int(text)


def _as(default: object, text: str) -> Any:
    """Read a value as what its default is; the registry refuses what is none."""
    if isinstance(default, bool):
        return {"True": True, "False": False}.get(text, text)
    try:
        return type(default)(text) if isinstance(default, int | float) else text
    except ValueError:
        return text
