"""A vision transformer over the spectrogram, as in seed 004.

The picture of a segment is cut into square patches, each is embedded linearly, a learnt
vector for its position is added, a learnt classification token is put in front, and a
standard transformer encoder reads the sequence; what it makes of the token is classified.
Patches may overlap, as in AST. There are as many position vectors as patches, so a net
takes segments of one length.

"Patch" is the papers' word for a square of the picture; a piece of a track is a segment.

References
----------
A. Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, section 3.1. The seed
gives no sizes; ours are those of DeiT-tiny at half its depth (H. Touvron et al., ICML 2021),
and dropout acts on attention too.
Y. Gong, Y.-A. Chung, J. Glass, "AST: Audio spectrogram transformer", Interspeech 2021,
section 2.1. It drops bands and frames beyond the last whole patch; here zeros, the mean of
normalised features, are added above and to the right until the last patch is whole.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.models.layers import Classifier, check, head

MAX_PATCHES = 8_192  # attention needs memory for their square


def n_patches_along(length: int, *, patch: int, overlap: int) -> int:
    """Count the patches that cover an axis of `length`, the last of them perhaps in part."""
    beyond_first = max(0, length - patch)
    return 1 + -(-beyond_first // (patch - overlap))


class VisionTransformer(Classifier):
    """Patches and positions, a pre-norm transformer encoder, a linear head on the token."""

    def __init__(
        self,
        *,
        n_mels: int,
        n_frames: int,
        n_classes: int,
        patch: int,
        overlap: int,
        dim: int,
        depth: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check("patch", patch, 1, 256)
        check("overlap", overlap, 0, patch - 1)
        grid = [n_patches_along(n, patch=patch, overlap=overlap) for n in (n_mels, n_frames)]
        self.n_patches = grid[0] * grid[1]
        check("number of patches", self.n_patches, 1, MAX_PATCHES)
        self.shape = (n_mels, n_frames)
        step = patch - overlap
        self.whole = tuple((n - 1) * step + patch for n in grid)  # bands and frames, filled up

        self.encoder = _encoder(dim=dim, depth=depth, heads=heads, dropout=dropout)
        self.patches = nn.Conv2d(1, dim, patch, step)
        self.token = nn.Parameter(torch.empty(1, 1, dim))
        self.positions = nn.Parameter(torch.empty(1, 1 + self.n_patches, dim))
        for parameter in (self.token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.head = head(dim, n_classes, dropout)

    def tokens(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, 1 + n_patches, dim), the token first.

        Patches go along time first, from the lowest band up.

        Raises
        ------
        ValueError
            If the segment has not the shape that the net was made for.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(f"segments are {tuple(x.shape[1:])}, the net takes {self.shape}")
        above, right = (whole - n for whole, n in zip(self.whole, self.shape, strict=True))
        planes = self.patches(F.pad(x, (0, right, 0, above)).unsqueeze(1))
        token = self.token.expand(x.shape[0], -1, -1)  # len(x) would be a number on a graph
        return torch.cat([token, planes.flatten(2).transpose(1, 2)], dim=1) + self.positions

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, dim), what became of the token."""
        sequence: Tensor = self.encoder(self.dropout(self.tokens(x)))
        return sequence[:, 0].contiguous()  # a view would keep all of it alive


def _encoder(*, dim: int, depth: int, heads: int, dropout: float) -> nn.TransformerEncoder:
    """Make the encoder, (batch, n, dim) → (batch, n, dim), with a norm at its end."""
    check("dim", dim, 1, 1_024)
    check("depth", depth, 1, 32)
    check("heads", heads, 1, 64)
    check("dropout", dropout, 0.0, 0.95)
    if dim % heads:
        raise ValueError(f"dim is {dim}, which {heads} heads do not divide")
    layer = nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, dropout, "gelu", batch_first=True, norm_first=True
    )
    encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(dim), enable_nested_tensor=False)
    for parameter in encoder.parameters():
        if parameter.ndim > 1:  # torch fills its layers with copies of one
            nn.init.xavier_uniform_(parameter)
    return encoder


def vit(
    *,
    n_mels: int,
    n_frames: int,
    n_classes: int,
    patch: int = 16,
    overlap: int = 0,
    dim: int = 192,
    depth: int = 6,
    heads: int = 3,
    dropout: float = 0.1,
) -> VisionTransformer:
    """Make the net of `depth` layers with `heads` heads each; `dim` is theirs together.

    `patch` is the side of a patch in bands and frames, `overlap` how much of it two
    neighbours share.
    """
    return VisionTransformer(
        n_mels=n_mels, n_frames=n_frames, n_classes=n_classes, patch=patch, overlap=overlap,
        dim=dim, depth=depth, heads=heads, dropout=dropout,
    )  # fmt: skip
