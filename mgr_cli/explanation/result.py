"""What comes of explaining a song: its picture, and what of it spoke for which genre.

Everything lies on one grid of mel bands and frames, whatever the entry hears: the log-mel picture
of the part of the song that was explained. An attribution has a value for each cell of it, above
zero where the cell spoke for the genre and below where it spoke against; values of one attribution
can be compared with each other, those of two methods cannot.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mgr_cli.config import FeatureSpec, Method
from mgr_cli.prediction import Prediction


@dataclass(frozen=True)
class Attribution:
    """What spoke for a genre, as one method sees it.

    Attributes
    ----------
    method : {"integrated-gradients", "grad-cam", "occlusion"}
        How it was found.
    genre : str
        What for.
    values : np.ndarray [shape=(n_mels, n_frames)]
        Of each cell of the picture; overlapping segments are averaged.
    """

    method: Method
    genre: str
    values: np.ndarray


@dataclass(frozen=True)
class Faithfulness:
    """Whether an attribution tells what the entry looks at.

    Cells are taken away in the order of the attribution, the highest first (deletion), or brought
    back in that order to a song that has none (insertion). The lower the area under the deletion
    curve and the higher that under the insertion curve, the more faithful; a random order is the
    yardstick.

    Attributes
    ----------
    method, genre : str
        Whose attribution.
    shares : np.ndarray [shape=(n_steps,)]
        Of the cells that were taken away or brought back, 0 to 1.
    deletion, insertion : np.ndarray [shape=(n_steps,)]
        Probability of the genre.
    random_deletion, random_insertion : np.ndarray [shape=(n_steps,)]
        The same in random orders, their mean.
    randomised : float or None
        Spearman's rank correlation with the attribution of the same net with random weights
        (Adebayo et al. 2018): near 0 if it depends on what the net has learnt; None where the
        model has no weights to draw, or one of the two is the same everywhere.
    """

    method: Method
    genre: str
    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray
    randomised: float | None


@dataclass(frozen=True)
class Explanation:
    """What in a song made an entry say so.

    Attributes
    ----------
    path : Path
        Of the song.
    prediction : Prediction
        Of the whole song.
    start, stop : float
        Seconds, the part that was explained.
    levels : np.ndarray [shape=(n_mels, n_frames)]
        Its log-mel picture, in dB.
    spec : FeatureSpec
        Front end of that picture.
    attributions : tuple of Attribution
        For the winner and the runner-up, method by method.
    faithfulness : tuple of Faithfulness
        Of the winner's, one a method, where they were asked for.
    notes : tuple of str
        What could not be done, and why, one line each.
    """

    path: Path
    prediction: Prediction
    start: float
    stop: float
    levels: np.ndarray
    spec: FeatureSpec
    attributions: tuple[Attribution, ...]
    faithfulness: tuple[Faithfulness, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, method: Method, genre: str) -> Attribution:
        """Return the attribution of a method to a genre.

        Raises
        ------
        KeyError
            If there is none.
        """
        for each in self.attributions:
            if (each.method, each.genre) == (method, genre):
                return each
        raise KeyError((method, genre))
