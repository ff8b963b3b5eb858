"""Projections: from rows of many columns to a map of two or three dimensions.

Rows are standardised first, each column to mean 0 and deviation 1, or the largest would be all of
the map.

===========  ================================================  ===================================
projection   finds                                             fitted on
===========  ================================================  ===================================
pca          the directions in which the tracks differ most    the tracks that are shown
lda          the directions that part the genres best          the training split, whose genres it
                                                               is told, so that other splits show
                                                               what holds for new tracks
tsne         a picture in which neighbours stay neighbours     the tracks that are shown
===========  ================================================  ===================================

LDA has at most one direction fewer than there are genres. There may be more columns than tracks,
so its covariance is shrunk (Ledoit and Wolf), and rows of more than `MOST_COLUMNS` are brought to
the principal components that keep 99 % of their
variance before.

t-SNE starts from PCA, with a perplexity of 30, or a third of the other tracks where there are
fewer than 91. It keeps neighbours, not distances.

How far a map can be trusted is a number: the share of tracks whose genre the five nearest others
have, in all dimensions and on the map. Where the second is far below the first, the map hides
what the rows know. Above it, the map leaves out what has nothing to do with genres, as LDA is made
to; of LDA on the tracks that it was fitted on, it also shows what is not there. The neighbours are
of the same split, where a track may have others of its artist, which no honest split lets a test
track have in training: neither number is an accuracy of the entry.

References
----------
R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics, 1936.
L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", JMLR 9, 2008. D. Kobak, P. Berens,
"The art of using t-SNE for single-cell transcriptomics", Nature Communications 10, 2019: the
start. O. Ledoit, M. Wolf, "Honey, I shrunk the sample covariance matrix", 2004.
F. Pedregosa et al., scikit-learn: all three projections.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

from mgr_cli.config import SEED
from mgr_cli.errors import MgrError

PERPLEXITY = 30.0
N_NEIGHBOURS = 5
MOST_COLUMNS = 2_000  # LDA holds the square of their number
KEPT = 0.99  # of the variance, where there are more
_T_SNE_NEEDS = 4  # tracks


@dataclass(frozen=True)
class Trust:
    """Share of tracks with the genre of most of their nearest others.

    Attributes
    ----------
    n_neighbours : int
        How many others.
    in_all, on_map : float
        By the distance in all dimensions of the standardised rows, and by that on the map.
    commonest : float
        Share of the commonest genre, which is what knowing nothing comes to.
    """

    n_neighbours: int
    in_all: float
    on_map: float
    commonest: float


def principal(
    rows: np.ndarray, *, n_dimensions: int, seed: int = SEED
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Project standardised rows (n_tracks, n_columns) on their principal components.

    Returns
    -------
    np.ndarray [shape=(n_tracks, n_dimensions)]
        Coordinates.
    tuple of str
        What the axes are.

    Raises
    ------
    MgrError
        If there are fewer tracks or columns than dimensions.
    """
    _expect(min(rows.shape), n_dimensions, "a PCA of as many dimensions")
    pca = PCA(n_dimensions, random_state=seed)
    found = pca.fit_transform(rows)
    shares = pca.explained_variance_ratio_
    return found, tuple(
        f"component {place} ({100 * share:.1f} % of the variance)"
        for place, share in enumerate(shares, start=1)
    )


def check_genres(n_genres: int, n_dimensions: int) -> None:
    """Refuse discriminants that so few genres do not have.

    Raises
    ------
    MgrError
        If there are not more genres than dimensions.
    """
    if n_dimensions > n_genres - 1:
        fewer = "fewer, or for " if n_genres > 2 else ""
        raise MgrError(
            f"LDA of {n_genres} genres has at most {n_genres - 1} dimensions, not {n_dimensions}; "
            f"ask for {fewer}pca or tsne"
        )


def discriminant(
    rows: np.ndarray, taught: tuple[np.ndarray, np.ndarray], *, n_dimensions: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Project rows on the discriminants of others; see `principal`.

    Parameters
    ----------
    rows : np.ndarray [shape=(n_tracks, n_columns)]
        That are shown.
    taught : tuple of np.ndarray
        Rows (n_others, n_columns) that are fitted on, and their classes (n_others,).
    """
    others, labels = taught
    genres, counts = np.unique(labels, return_counts=True)
    check_genres(len(genres), n_dimensions)
    if counts.max() < 2:
        raise MgrError("LDA needs two training tracks of a genre; ask for pca or tsne")
    lda = LinearDiscriminantAnalysis("eigen", shrinkage="auto")
    if others.shape[1] > MOST_COLUMNS:
        lda = make_pipeline(PCA(KEPT, svd_solver="full"), lda)
    known = lda.fit(others, labels).transform(others)
    means = np.stack([known[labels == genre].mean(axis=0) for genre in genres])
    # Not scikit-learn's share: with a shrunk covariance it counts directions that part nothing.
    between = np.average((means - known.mean(axis=0)) ** 2, axis=0, weights=counts)
    axes = tuple(
        f"discriminant {place} ({100 * share:.1f} % of the between-class variance), fitted on train"
        for place, share in enumerate((between / between.sum())[:n_dimensions], start=1)
    )
    return lda.transform(rows)[:, :n_dimensions], axes


def neighbours(
    rows: np.ndarray, *, n_dimensions: int, seed: int = SEED
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Arrange rows by t-SNE; see `principal`."""
    _expect(len(rows), _T_SNE_NEEDS, "t-SNE of as many tracks")
    _expect(min(rows.shape), n_dimensions, "t-SNE of as many dimensions")
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    tsne = TSNE(n_dimensions, perplexity=perplexity, init="pca", random_state=seed)
    # scikit-learn arranges what it is given; PCA would start from float32 as from float64.
    found = tsne.fit_transform(rows)
    return found, tuple(
        f"t-SNE {place} (no unit; distances between clusters and their sizes mean nothing)"
        for place in range(1, n_dimensions + 1)
    )


def trusted(rows: np.ndarray, coordinates: np.ndarray, labels: np.ndarray) -> Trust:
    """Compare genres with those of the nearest tracks, in all dimensions and on the map.

    A track is left out of its own neighbours; where two genres are as common among them, the one
    that comes first in class order is taken.
    """
    k = min(N_NEIGHBOURS, len(rows) - 1)
    commonest = float(np.bincount(labels).max() / len(labels))
    if k < 1:
        return Trust(0, 0.0, 0.0, commonest)

    def share(points: np.ndarray) -> float:
        nearest = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
        said = [np.bincount(labels[others]).argmax() for others in nearest]
        return float(np.mean(np.equal(said, labels)))

    return Trust(k, share(rows), share(coordinates), commonest)


def _expect(found: int, expected: int, what: str) -> None:
    if found < expected:
        raise MgrError(
            f"{found} tracks, or columns, are too few for {what}: {expected} are needed; map a "
            "larger split"
        )
