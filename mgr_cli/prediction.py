"""Prediction: a ladder from a file to a genre, to be entered where your data is.

    from_file → from_waveform → from_features

A track is cut into segments, each segment gets the net's probabilities, and the segments
vote. `from_file` streams: what it keeps of a track is its features, in memory while they are few
and in a temporary file beyond, so that memory does not grow with its length. The rungs meet in
`judge`, which reads a track's features wherever they lie.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mgr_cli import audio, votes
from mgr_cli.config import PREDICT_BATCH, PREDICT_VALUES, VoteRule
from mgr_cli.errors import AudioError, MgrError
from mgr_cli.extraction import Extraction
from mgr_cli.inputs import InMemory, Track
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card, load_card


@dataclass(frozen=True)
class Prediction:
    """What an entry says of a track.

    Attributes
    ----------
    genres : tuple of str
        In class order.
    probs : np.ndarray [shape=(n_classes,)]
        Pooled over the segments; they sum to one.
    genre : str
        The winner of the vote.
    vote : {"mean", "majority", "product"}
        How it was held.
    segment_probs : np.ndarray [shape=(n_segments, n_classes)]
        Each segment's own.
    starts : tuple of float
        Where the segments begin, in seconds.
    segment_seconds : float
        Length of a segment.
    seconds : float
        Length of the track.
    padded : bool
        Whether the track was shorter than a segment and was repeated to fill one.
    decoder : str
        What read the file; empty if there was none.
    """

    genres: tuple[str, ...]
    probs: np.ndarray
    genre: str
    vote: VoteRule
    segment_probs: np.ndarray
    starts: tuple[float, ...]
    segment_seconds: float
    seconds: float
    padded: bool
    decoder: str = ""

    @property
    def confidence(self) -> float:
        """Pooled probability of the winner."""
        return float(self.probs[self.genres.index(self.genre)])

    def ranked(self) -> list[tuple[str, float]]:
        """Return all genres and their probabilities, the winner first, then by probability."""
        order = sorted(
            range(len(self.genres)),
            key=lambda label: (self.genres[label] != self.genre, -self.probs[label]),
        )
        return [(self.genres[label], float(self.probs[label])) for label in order]


class Predictor:
    """An entry that is ready to judge.

    Parameters
    ----------
    card : Card
        Of the entry.
    score : callable
        From normalised segments to probabilities.
    vote : {"mean", "majority", "product"}, optional
        The card's own by default.

    Attributes
    ----------
    at_once : int
        Segments that `score` is given at a time, so that memory stays bounded.
    """

    def __init__(self, card: Card, score: weights.Score, *, vote: VoteRule | None = None) -> None:
        self.card = card
        self.score = score
        self.vote: VoteRule = vote or card.vote
        self._inputs = card.inputs
        most = PREDICT_VALUES // card.inputs.n_values
        # A row of columns has no maps that would grow as those of a segment do.
        self.at_once = max(1, most if card.segments is None else min(PREDICT_BATCH, most))

    @classmethod
    def load(
        cls, folder: Path, *, device: str = "auto", vote: VoteRule | None = None
    ) -> "Predictor":
        """Load an entry of the zoo.

        Parameters
        ----------
        folder : Path
            Of the entry.
        device : {"auto", "cpu", "cuda"}
            Where its net runs; auto takes a GPU if there is one.
        vote : {"mean", "majority", "product"}, optional
            The card's own by default.

        Raises
        ------
        ZooError
            If the entry is damaged.
        """
        card = load_card(folder)
        place = chosen_device(device)
        model = weights.load_model(folder, card, device=place)
        return cls(card, weights.score_with(model, card, device=place), vote=vote)

    def from_file(self, path: Path) -> Prediction:
        """Predict the genre of an audio file of any length.

        Raises
        ------
        AudioError
            If the file cannot be used.
        ZooError
            If the entry judges what cannot be computed of sound.
        """
        card = self.card
        with (
            audio.open_stream(path, sample_rate=None) as stream,
            Extraction(card.plan, stream.info.sample_rate, columns=card.columns) as track,
        ):
            for block in stream:
                track.push(block)
            track.finish()
            for problem in track.problems.values():
                raise AudioError(f"{audio.shown(path)}: {problem}")
            if not all(track.n_rows(kind) for kind in card.eats):
                raise AudioError(
                    f"{audio.shown(path)}: {stream.seconds:.2f} s are too short for the frames "
                    f"of {card.name}, one is {1 / card.features.frame_rate:.2f} s"
                )
            prediction = self.judge(track, seconds=stream.seconds)
            return replace(prediction, decoder=stream.info.decoder)

    def from_waveform(self, waveform: np.ndarray) -> Prediction:
        """Predict the genre of a waveform.

        Parameters
        ----------
        waveform : np.ndarray [shape=(n_samples,)]
            In [-1, 1], at the sample rate of the entry's features.

        Raises
        ------
        ValueError
            If it is too short for one frame.
        """
        rate = self.card.features.sample_rate
        with Extraction(self.card.plan, rate, columns=self.card.columns) as track:
            track.push(np.asarray(waveform, np.float32))
            track.finish()
            if not all(track.n_rows(kind) for kind in self.card.eats):
                raise ValueError(f"{len(waveform)} samples are too few for one frame")
            return self.judge(track, seconds=len(waveform) / rate)

    def from_features(self, *features: np.ndarray) -> Prediction:
        """Predict the genre of a track's features.

        Parameters
        ----------
        *features : np.ndarray [shape=(n_bands, n_rows)]
            One for each kind that the entry eats, in its order, not normalised: log-mels
            (n_mels, n_frames), waveforms (1, n_samples), columns (n_columns, 1).

        Raises
        ------
        ValueError
            If the number of bands is another one, or there is no row.
        """
        n_bands = [len(self.card.normalisation[kind].mean) for kind in self.card.eats]
        shapes = [each.shape for each in features]
        if [shape[:1] for shape in shapes] != [(n,) for n in n_bands] or not all(
            len(shape) == 2 and shape[1] for shape in shapes
        ):
            expected = ", ".join(f"({n}, n_rows)" for n in n_bands)
            raise ValueError(f"features have the shapes {shapes}, expected {expected}")
        return self.judge(InMemory(dict(zip(self.card.eats, features, strict=True))))

    def judge(self, track: Track, *, seconds: float | None = None) -> Prediction:
        """Predict the genre of a track whose features are read piece by piece.

        Parameters
        ----------
        track : Track
            With a row at least of each kind that the entry eats.
        seconds : float, optional
            Length of the track; that of its rows by default.
        """
        card, inputs = self.card, self._inputs
        n_rows = track.n_rows(inputs.kinds[0])
        firsts = inputs.starts(n_rows)
        probs = [
            self.score(
                inputs.batch(
                    inputs.segment(track, first) for first in firsts[begin : begin + self.at_once]
                )
            )
            for begin in range(0, len(firsts), self.at_once)
        ]
        segment_probs = np.concatenate(probs).astype(np.float64)
        whole = (n_rows / inputs.rate if inputs.rate else 0.0) if seconds is None else seconds
        return Prediction(
            genres=card.classes,
            probs=votes.pool(segment_probs, rule=self.vote),
            genre=card.classes[votes.decide(segment_probs, rule=self.vote)],
            vote=self.vote,
            segment_probs=segment_probs,
            starts=tuple(first / inputs.rate if inputs.rate else 0.0 for first in firsts),
            segment_seconds=inputs.length / inputs.rate if inputs.rate else whole,
            seconds=whole,
            padded=n_rows < inputs.length,
        )


def chosen_device(device: str) -> str:
    """Resolve "auto": a GPU if there is one.

    Raises
    ------
    MgrError
        If a GPU is asked for and there is none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MgrError("there is no GPU that torch can use here; leave --device out, or say cpu")
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
