"""Weights in half precision: half the space.

IEEE 754's binary16 keeps eleven bits of a number, float32 twenty-four, so that rounding moves a
weight by 1/2048 of itself at the most; those below 6e-5 lose more, and none is above 65504. Nothing
is computed in it here. A net is rounded once, before it is judged, so that all figures are of the
rounded weights (`rounded`); files keep a tensor in half precision if that holds it exactly
(`compact`), and whoever reads them has float32 again.

Parameters are rounded, and buffers are not. A variance that batch norm has counted may be as small
or as large as it likes, and there are few of them.

References
----------
IEEE Std 754-2019, 3.6: binary16 has 11 bits of precision and exponents from -14 to 15.
"""

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from mgr_cli.errors import ZooError

if TYPE_CHECKING:
    from torch import nn

LARGEST = 65_504  # in half precision
FEWEST = 1_024  # values of a tensor, fewer are not worth a node in its graph


def compact(values: np.ndarray) -> np.ndarray:
    """Return floats in half precision if that holds each of them exactly.

    Parameters
    ----------
    values : np.ndarray
        Of any shape and type.

    Returns
    -------
    np.ndarray
        The same numbers, in float16 where they are float32, at least `FEWEST`, finite, and none
        changes by it; else what was given.
    """
    if values.dtype != np.float32 or values.size < FEWEST:
        return values
    with np.errstate(over="ignore"):  # what becomes infinite is seen below
        half = values.astype(np.float16)
    is_exact = np.isfinite(half).all() and np.array_equal(half.astype(np.float32), values)
    return half if is_exact else values


def widened(values: np.ndarray) -> np.ndarray:
    """Return float32 of what is in half precision, and anything else as it is."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def rounded(net: "nn.Module") -> "nn.Module":
    """Return a copy of a net whose parameters half precision holds exactly, in float32.

    Its buffers are those of the net, which stays as it is.

    Raises
    ------
    ZooError
        If a parameter has a value that half precision cannot hold.
    """
    import torch

    copied = deepcopy(net)
    with torch.no_grad():
        for name, values in copied.named_parameters():
            values.copy_(values.half())
            if not values.isfinite().all():
                raise ZooError(
                    f"the parameter {name!r} has values that half precision cannot hold, whose "
                    f"largest is {LARGEST}; train without --half"
                )
    return copied
