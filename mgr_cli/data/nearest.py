"""Whom to compare: the nearest few tracks by a description, out of any number.

Descriptions are whitened over the set, after [1]_, so that what all tracks share weighs
nothing and no part of a description outweighs another. Nearest is found in blocks of one
matrix product: memory holds the descriptions and a block, whatever the number of tracks. The
time is quadratic, with a small constant: see tests/benchmarks/audit.py.

References
----------
.. [1] Jégou and Chum, Negative evidences and co-occurences in image retrieval: the benefit of
   PCA and whitening, ECCV 2012. Ours keeps the components of the correlation
   matrix instead of the covariance, as the parts have unlike units.
"""

from collections.abc import Iterator

import numpy as np

from mgr_cli.config import Progress, silent

N_NEIGHBOURS = 10  # aligned with each track; the repeats of GTZAN are among the nearest four
MIN_COSINE = 0.2  # of a neighbour; the lowest of a repeat in GTZAN is 0.25
N_COMPONENTS = 96  # of a description once whitened
ALL_PAIRS = 128  # so few tracks are all aligned: there is too little to whiten over

_ROWS, _COLUMNS = 512, 4_096  # of a block of cosines


def whiten(descriptions: np.ndarray) -> np.ndarray:
    """Turn descriptions so that their cosines tell the tracks of this set apart.

    Parameters
    ----------
    descriptions : np.ndarray [shape=(n_tracks, n_values)]
        float32.

    Returns
    -------
    np.ndarray [shape=(n_tracks, n_components)]
        float32, rows of unit length: principal components, each with the same variance; at
        most `N_COMPONENTS`, and a quarter of the tracks.
    """
    n_tracks = len(descriptions)
    mean = descriptions.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for rows in _blocks(n_tracks, _COLUMNS):
        centred = descriptions[rows] - mean
        covariance += centred.T @ centred
    scale = 1 / np.sqrt(np.diag(covariance) + 1e-9)
    values, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))
    n_components = min(N_COMPONENTS, max(1, n_tracks // 4), int((values > 1e-6).sum()))
    values, vectors = values[-n_components:], vectors[:, -n_components:]
    projection = (vectors * scale[:, None]) / np.sqrt(values)
    whitened = np.empty((n_tracks, n_components), np.float32)
    for rows in _blocks(n_tracks, _COLUMNS):
        projected = (descriptions[rows] - mean) @ projection
        whitened[rows] = projected / (np.linalg.norm(projected, axis=1, keepdims=True) + 1e-12)
    return whitened


def neighbours(vectors: np.ndarray, *, progress: Progress = silent) -> np.ndarray:
    """Find the nearest vectors of each by cosine, block by block.

    Parameters
    ----------
    vectors : np.ndarray [shape=(n, n_components)]
        float32, rows of unit length.
    progress : callable
        Told of the rows done.

    Returns
    -------
    np.ndarray [shape=(n_pairs, 2)]
        int64; each pair once, the smaller number first, in order. A pair is there if one of
        the two is among the other's `N_NEIGHBOURS` nearest and their cosine reaches
        `MIN_COSINE`.
    """
    n = len(vectors)
    codes = []
    for rows in _blocks(n, _ROWS):
        mine, others = _nearest(vectors, rows)
        codes.append(np.unique(np.minimum(mine, others) * n + np.maximum(mine, others)))
        progress(rows.stop, n, "comparing tracks")
    pairs = np.unique(np.concatenate(codes)) if codes else np.empty(0, np.int64)
    return np.stack(np.divmod(pairs, max(n, 1)), axis=1)


def candidates(descriptions: np.ndarray, *, progress: Progress = silent) -> np.ndarray:
    """List the pairs that are worth aligning, [shape=(n_pairs, 2)], as `neighbours` does."""
    n_tracks = len(descriptions)
    if n_tracks <= ALL_PAIRS:
        return np.stack(np.triu_indices(n_tracks, 1), axis=1)
    return neighbours(whiten(descriptions), progress=progress)


def _nearest(vectors: np.ndarray, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of rows and of their nearest others, pair by pair."""
    n_rows = rows.stop - rows.start
    mine, others = np.empty(0, np.int64), np.empty(0, np.int64)
    cosines = np.empty(0, np.float32)
    worst = np.full((n_rows, 1), MIN_COSINE, np.float32)
    for columns in _blocks(len(vectors), _COLUMNS):
        block = vectors[rows] @ vectors[columns].T
        if rows.start < columns.stop and columns.start < rows.stop:
            both = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
            block[both - rows.start, both - columns.start] = -1  # a track is not its own copy
        row, column = np.nonzero(block > worst)
        if not len(row):
            continue
        mine = np.concatenate([mine, row])
        others = np.concatenate([others, column + columns.start])
        cosines = np.concatenate([cosines, block[row, column]])
        order = np.lexsort((others, -cosines, mine))
        mine, others, cosines = mine[order], others[order], cosines[order]
        rank = np.arange(len(mine)) - np.searchsorted(mine, mine)
        kept = rank < N_NEIGHBOURS
        last = rank == N_NEIGHBOURS - 1
        worst[mine[last], 0] = cosines[last]
        mine, others, cosines = mine[kept], others[kept], cosines[kept]
    return mine + rows.start, others


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
