"""Whether an attribution tells what an entry looks at, so that its picture is no decoration.

*Deletion* takes cells away, the highest of the attribution first, and sees how soon the
probability of the genre falls; *insertion* brings them back in that order to a part of which
nothing is left, and sees how soon it rises. Cells go in patches, each ranked by its mean: single
ones would make pictures such as no song has, which fool a net. The patches are those of which
occlusion tells that they differ, its windows or the steps between them. The yardstick are the same
curves in random orders of the same patches. The *area* under a curve is its mean height, 0 to 1.

An attribution may look right and be no more than a picture of the song's edges. So it is made
again of the same net with *randomised* weights: if it is much the same, it has not told what the
net has learnt.

References
----------
V. Petsiuk, A. Das, K. Saenko, "RISE: randomized input sampling for explanation of black-box
models", BMVC 2018, section 4.2. Ours goes in patches, and takes away to the mean of the bands or to
silence (`masking`), not to a blur.
J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 4: all weights at once,
and Spearman's rank correlation of the values with their signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from mgr_cli.explanation.masking import Masked
from mgr_cli.explanation.parts import Part

N_SHARES = 11  # points of a curve, the ends included
N_RANDOM = 3  # orders


@dataclass(frozen=True)
class Curves:
    """Probabilities of a genre by the share of the cells that were taken away, or brought back.

    Attributes
    ----------
    shares, deletion, insertion : np.ndarray [shape=(n_shares,)]
        0 to 1.
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray


def area(curve: np.ndarray, shares: np.ndarray) -> float:
    """Return the area under a curve over shares that rise from 0 to 1, by trapezoids."""
    return float(np.trapezoid(curve, shares))


def ranks(values: np.ndarray, patch: tuple[int, int], *, rng: np.random.Generator) -> np.ndarray:
    """Say when the turn of each cell comes.

    Parameters
    ----------
    values : np.ndarray [shape=(n_mels, n_columns)]
        The patch of the highest mean comes first.
    patch : tuple of int
        Bands and frames of one; the last along each axis may be smaller.
    rng : Generator
        Draws the order of patches that are equally high.

    Returns
    -------
    np.ndarray [shape=(n_mels, n_columns)]
        0 of the first cells, below 1 of the last: the share of the cells that come before.
    """
    n_rows, n_columns = (-(-n // size) for n, size in zip(values.shape, patch, strict=True))
    row, column = (np.arange(n) // size for n, size in zip(values.shape, patch, strict=True))
    number = row[:, None] * n_columns + column
    sizes = np.bincount(number.ravel())
    means = np.bincount(number.ravel(), values.ravel().astype(np.float64)) / sizes
    order = np.lexsort((rng.random(n_rows * n_columns), -means))
    before = np.empty(len(order))
    before[order] = np.concatenate([[0], np.cumsum(sizes[order])[:-1]]) / values.size
    placed: np.ndarray = before[number]
    return placed


def curves(
    masked: Masked,
    inputs: Sequence[Tensor],
    part: Part,
    turns: np.ndarray,
    target: int,
    *,
    n_shares: int = N_SHARES,
) -> Curves:
    """Take cells away, and bring them back, in an order.

    Parameters
    ----------
    masked : Masked
        Who is asked.
    inputs : sequence of Tensor
        What it takes of the part's segments.
    part : Part
        Where the segments lie on the picture.
    turns : np.ndarray [shape=(n_mels, n_columns)]
        Of `ranks`.
    target : int
        The class whose probability is wanted, its mean over the segments.
    """
    shares = np.linspace(0, 1, n_shares)

    def probability(keep: np.ndarray) -> float:
        masks = torch.from_numpy(part.cut(keep.astype(np.float32))).to(inputs[0].device)
        return float(masked.probs(masks, *inputs)[:, target].mean())

    # Shares are rounded, and a cell's own must not fall on the wrong side of itself.
    deletion = [probability(turns >= share - 1e-9) for share in shares]
    insertion = [probability(turns < share - 1e-9) for share in shares]
    return Curves(shares, np.array(deletion), np.array(insertion))


def random_curves(
    masked: Masked,
    inputs: Sequence[Tensor],
    part: Part,
    target: int,
    *,
    patch: tuple[int, int],
    n_random: int = N_RANDOM,
    rng: np.random.Generator,
) -> Curves:
    """Return the mean of the curves in some random orders of patches; see `curves`."""
    nothing = np.zeros(part.levels.shape)
    found = [
        curves(masked, inputs, part, ranks(nothing, patch, rng=rng), target)
        for _ in range(n_random)
    ]
    return Curves(
        found[0].shares,
        np.mean([each.deletion for each in found], axis=0),
        np.mean([each.insertion for each in found], axis=0),
    )


def likeness(values: np.ndarray, others: np.ndarray) -> float | None:
    """Return Spearman's rank correlation of two attributions of one shape.

    None where one of them is the same everywhere: it has no order that the other could have.
    """
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return None
    return float(spearmanr(values.ravel(), others.ravel()).statistic)
