"""Cutting a track's features into segments of fixed length.

Segments start every hop. Where half a segment or more is left over at the end, one more
is cut that ends with the track. A track shorter than a segment is repeated until it
fills one.
"""

import numpy as np


def starts(n_frames: int, *, length: int, hop: int) -> list[int]:
    """Say where the segments of a track begin, in frames.

    Raises
    ------
    ValueError
        If the track has no frame, or the length or hop is not positive.
    """
    if n_frames < 1 or length < 1 or hop < 1:
        raise ValueError(f"cannot cut {n_frames} frames into {length} every {hop}")
    if n_frames <= length:
        return [0]
    firsts = list(range(0, n_frames - length + 1, hop))
    left_over = n_frames - (firsts[-1] + length)
    return [*firsts, n_frames - length] if 2 * left_over >= length else firsts


def cut(features: np.ndarray, *, length: int, hop: int) -> np.ndarray:
    """Cut a track into segments.

    Parameters
    ----------
    features : np.ndarray [shape=(n_mels, n_frames)]
        Of one track.
    length, hop : int
        Of a segment, and from one to the next, in frames.

    Returns
    -------
    np.ndarray [shape=(n_segments, n_mels, length)]
        A copy.
    """
    features = repeated(features, length=length)
    firsts = starts(features.shape[1], length=length, hop=hop)
    return np.stack([features[:, first : first + length] for first in firsts])


def repeated(features: np.ndarray, *, length: int) -> np.ndarray:
    """Repeat features over time until they are at least `length` frames long.

    Parameters
    ----------
    features : np.ndarray [shape=(n_mels, n_frames)]
        Returned unchanged if they are long enough.
    """
    n_frames = features.shape[1]
    return (
        features
        if n_frames >= length
        else np.pad(features, ((0, 0), (0, length - n_frames)), "wrap")
    )
