"""Genre maps: an entry trained on one dataset is tried on another, whose genres have other names.

A map says, for each genre of the dataset that is to be judged, which genres of the entry mean it:

```yaml
Hip-Hop: hiphop
Rock: [rock, metal]      # their probabilities are added up
Pop: pop
```

Tracks of other genres are left out. So are the entry's other genres, as if it did not know them:
the probabilities of those that are left are scaled to sum to one, segment by segment, before the
segments vote. Two genres of a dataset that are one to the entry (``Folk: country`` beside
``Country: country``) are judged as one. Whether an answer is believed stays what it was in the
entry's own genres, for its threshold is of those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mgr_cli import votes
from mgr_cli.errors import DatasetError
from mgr_cli.files import read_yaml
from mgr_cli.prediction import Prediction

_JOINED = " + "


@dataclass(frozen=True)
class GenreMap:
    """What the genres of a dataset are to an entry.

    Attributes
    ----------
    genres : tuple of str
        The classes that are judged, in the order of the dataset.
    class_of : dict of int
        For each genre of the dataset that is judged, its class.
    columns : tuple of tuple of int
        For each class, those of the entry that mean it.
    """

    genres: tuple[str, ...]
    class_of: Mapping[str, int]
    columns: tuple[tuple[int, ...], ...]

    def applied(self, prediction: Prediction) -> Prediction:
        """Return a prediction in the classes that are judged; the same where nothing is mapped."""
        own = tuple((place,) for place in range(len(prediction.genres)))
        if (self.genres, self.columns) == (prediction.genres, own):
            return prediction
        given = prediction.segment_probs
        summed = np.stack([given[:, own].sum(axis=1) for own in map(list, self.columns)], axis=1)
        known = summed.sum(axis=1, keepdims=True)
        # A segment that is surely none of them says nothing about which it is.
        even = np.full_like(summed, 1 / len(self.genres))
        segment_probs = np.where(known > 0, summed / np.where(known > 0, known, 1), even)
        return replace(
            prediction,
            genres=self.genres,
            segment_probs=segment_probs,
            probs=votes.pool(
                segment_probs, rule=prediction.vote, temperature=prediction.temperature
            ),
            genre=self.genres[votes.decide(segment_probs, rule=prediction.vote)],
        )


def same(genres: Sequence[str], classes: Sequence[str], *, names: tuple[str, str]) -> GenreMap:
    """Map genres to classes of the same names, in the order of the classes.

    Parameters
    ----------
    genres, classes : sequence of str
        Of a dataset and of an entry.
    names : tuple of str
        Of the dataset and of the entry, for the error.

    Raises
    ------
    DatasetError
        If a genre is missing on either side.
    """
    odd = sorted(set(genres) ^ set(classes))
    if odd:
        raise DatasetError(
            f"{names[0]} and {names[1]} differ in their genres, in {odd[0]!r}; say which mean the "
            "same in a file for --genre-map"
        )
    places = {genre: place for place, genre in enumerate(classes)}
    return GenreMap(tuple(classes), places, tuple((place,) for place in range(len(classes))))


def read(path: Path, genres: Sequence[str], classes: Sequence[str]) -> GenreMap:
    """Read a map of a dataset's genres to an entry's.

    Parameters
    ----------
    path : Path
        YAML, from a genre of the dataset to one of the entry or a list of them; of a megabyte at
        the most.
    genres, classes : sequence of str
        Of the dataset and of the entry.

    Raises
    ------
    DatasetError
        If it cannot be read, names a genre that is not there, gives one of the entry's genres to
        two that differ, or leaves fewer than two.
    """
    try:
        said = read_yaml(path)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    means = _checked(path, said, genres, classes)
    joined: dict[tuple[int, ...], list[str]] = {}
    for genre in genres:  # in their order, not in the file's
        if genre in means:
            columns = tuple(sorted({classes.index(name) for name in means[genre]}))
            joined.setdefault(columns, []).append(genre)
    owners: dict[int, str] = {}
    for columns, names in joined.items():
        for column in columns:
            if column in owners:
                raise DatasetError(
                    f"{path}: {classes[column]!r} is given to {owners[column]!r} and to "
                    f"{names[0]!r}, which have others besides; give it to one of them"
                )
            owners[column] = names[0]
    if len(joined) < 2:
        raise DatasetError(f"{path}: {len(joined)} genres are left, expected two at least")
    return GenreMap(
        tuple(_JOINED.join(names) for names in joined.values()),
        {name: place for place, names in enumerate(joined.values()) for name in names},
        tuple(joined),
    )


def _checked(
    path: Path, found: object, genres: Sequence[str], classes: Sequence[str]
) -> dict[str, list[str]]:
    """Return the names of the entry's genres by those of the dataset's."""
    if not isinstance(found, dict):
        raise DatasetError(f"{path}: expected lines such as `Hip-Hop: hiphop`")
    means: dict[str, list[str]] = {}
    for genre, value in found.items():
        names = value if isinstance(value, list) else [value]
        if genre not in genres:
            raise DatasetError(
                f"{path}: the dataset has no genre {genre!r}, it has {', '.join(genres)}"
            )
        for name in names:
            if name not in classes:
                raise DatasetError(
                    f"{path}: the entry has no genre {name!r}, it has {', '.join(classes)}"
                )
        if not names:
            raise DatasetError(f"{path}: {genre!r} means nothing; leave the line out")
        means[genre] = names
    return means
