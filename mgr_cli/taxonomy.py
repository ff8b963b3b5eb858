"""A tree of genres, and how bad a mistake is in it.

To take Punk for Rock is a smaller mistake than to take it for Opera. The Free Music Archive hangs
each of its 163 genres below another or below none (a root, or top-level genre), at most five
deep, so that mistakes can be weighed. Two measures:

The *distance* of two genres is the number of edges on the way from one to the other. All roots hang
below a virtual root, so that there always is a way: two roots are 2 apart. An answer is as far
from a track as from the nearest of the track's own genres, its label included, so that a right
answer is 0 away. Yardstick is what the same mistakes would cost if each were a class drawn at
random from the others: a mean below it says that the mistakes are near misses.

*Hierarchical precision and recall* [1]_ count the ancestors in: an answer stands for itself and all
that it hangs below, and so does each genre of a track. Precision is the share of what is said that
is true, recall the share of what is true that is said, each summed over the tracks before dividing,
and F1 their harmonic mean. The virtual root is true of everything and is left out. Silla and
Freitas recommend them as the measures for hierarchies [2]_.

Where all classes are top-level genres, each two are 2 apart. A mistake costs less only if the track
has another genre below the answer, and where a label is the one root of all of a track's genres,
as FMA's `genre_top` is, none has: then the distance tells no more than the accuracy. Recall, too,
is below one even for who is always right, as tracks have genres deeper than what can be said. Both
tell more where the classes lie deeper, or are of several levels.

References
----------
.. [1] S. Kiritchenko, S. Matwin, R. Nock, A. F. Famili, "Learning and Evaluation in the Presence of
   Class Hierarchies: Application to Text Categorization", Canadian AI 2006, section 4.
.. [2] C. N. Silla, A. A. Freitas, "A survey of hierarchical classification across different
   application domains", Data Mining and Knowledge Discovery 22, 2011, section 5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mgr_cli.errors import DatasetError


@dataclass(frozen=True)
class Tree:
    """Genres by title; `data.fma_tables.read_tree` reads one.

    Attributes
    ----------
    lines : dict of tuple of str
        Of each genre, itself and what it hangs below, nearest first, the root last.
    """

    lines: Mapping[str, tuple[str, ...]]

    def line(self, genre: str) -> tuple[str, ...]:
        """Return a genre and what it hangs below, nearest first.

        Raises
        ------
        DatasetError
            If it is not in the tree.
        """
        if genre not in self.lines:
            raise DatasetError(
                f"{genre!r} is not among the {len(self.lines)} genres of the tree; expected the "
                "titles of FMA's genres.csv"
            )
        return self.lines[genre]

    def distance(self, one: str, other: str) -> int:
        """Count the edges between two genres.

        Raises
        ------
        DatasetError
            If one is not in the tree.
        """
        mine, its = self.line(one), self.line(other)
        # What hangs below different genres is different, so what they share is an end of both.
        return len(mine) + len(its) - 2 * len(set(mine) & set(its))

    def nearest(self, genre: str, own: Sequence[str]) -> int:
        """Count the edges from a genre to the nearest of a track's own, one at least.

        Raises
        ------
        DatasetError
            If one is not in the tree.
        """
        return min(self.distance(genre, each) for each in own)

    def closure(self, genres: Iterable[str]) -> set[str]:
        """Return genres and all that they hang below.

        Raises
        ------
        DatasetError
            If one is not in the tree.
        """
        return {above for genre in genres for above in self.line(genre)}


@dataclass(frozen=True)
class Distances:
    """How far answers are from the truth.

    Attributes
    ----------
    n_tracks, n_errors : int
        How many were judged, and wrong.
    mean, mean_of_errors : float
        Edges from an answer to its track, over all tracks and over the errors.
    at_random : float
        What `mean_of_errors` would be if each wrong answer were any class but the true one.
    precision, recall, f1 : float
        Hierarchical, in [0, 1].
    """

    n_tracks: int
    n_errors: int
    mean: float
    mean_of_errors: float
    at_random: float
    precision: float
    recall: float
    f1: float


def own_genres(genre: str, genres: str) -> tuple[str, ...]:
    """Return a track's genres, from the columns `genre` and `genres` of a prepared dataset.

    Parameters
    ----------
    genre : str
        Its label.
    genres : str
        All that it has, between bars; may be empty.
    """
    return tuple(dict.fromkeys([genre, *filter(None, genres.split("|"))]))


def weigh(
    tree: Tree,
    said: Sequence[str],
    truth: Sequence[str],
    own: Sequence[Sequence[str]],
    *,
    classes: Sequence[str],
) -> Distances:
    """Weigh the mistakes of a classifier by how far they are from the truth.

    Parameters
    ----------
    tree : Tree
        Has every genre that occurs.
    said, truth : sequence of str
        Of each track, the answer and the label.
    own : sequence of sequence of str
        Of each track, all genres that it has, from `own_genres`.
    classes : sequence of str
        What can be said, two at least.

    Returns
    -------
    Distances
        Where nothing is wrong, the means over the errors are 0.

    Raises
    ------
    DatasetError
        If a genre is not in the tree.
    ValueError
        If there is no track, the lengths differ, or there are fewer than two classes.
    """
    if not len(said) or not len(said) == len(truth) == len(own) or len(classes) < 2:
        raise ValueError(
            f"{len(said)} answers, {len(truth)} labels, {len(own)} lists of genres and "
            f"{len(classes)} classes, expected one of each a track and two classes at least"
        )
    far = [tree.nearest(answer, its) for answer, its in zip(said, own, strict=True)]
    wrong = [number for number, answer in enumerate(said) if answer != truth[number]]
    random = [
        _mean([tree.nearest(each, own[number]) for each in classes if each != truth[number]])
        for number in wrong
    ]
    return Distances(
        len(said),
        len(wrong),
        _mean(far),
        _mean([far[number] for number in wrong]),
        _mean(random),
        *_overlap(tree, said, own),
    )


def _overlap(
    tree: Tree, said: Sequence[str], own: Sequence[Sequence[str]]
) -> tuple[float, float, float]:
    """Return hierarchical precision, recall and F1."""
    n_shared = n_said = n_true = 0
    for answer, genres in zip(said, own, strict=True):
        claimed, true = tree.closure([answer]), tree.closure(genres)
        n_shared += len(claimed & true)
        n_said += len(claimed)
        n_true += len(true)
    # 2PR / (P + R), which needs no care where nothing is shared.
    return n_shared / n_said, n_shared / n_true, 2 * n_shared / (n_said + n_true)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
