"""Prediction: a ladder from a file to a genre, to be entered where your data is.

    from_file → from_waveform → from_features

A track is cut into segments, each segment gets the net's probabilities, and the segments
vote. `from_file` streams: what it keeps of a track is its mel frames, in memory while they
are few and in a temporary file beyond, so that memory does not grow with its length.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mgr_cli import audio, votes
from mgr_cli import segments as cutting
from mgr_cli.config import PREDICT_BATCH, VoteRule
from mgr_cli.errors import AudioError, MgrError
from mgr_cli.features import mel
from mgr_cli.features.stream import LevelStream
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import Card, load_card

if TYPE_CHECKING:  # torch is imported when a net is loaded
    from torch import nn

Score = Callable[[np.ndarray], np.ndarray]
"""From normalised segments (n, n_mels, length) to probabilities (n, n_classes)."""


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
    """

    def __init__(self, card: Card, score: Score, *, vote: VoteRule | None = None) -> None:
        self.card = card
        self._score = score
        self._vote: VoteRule = vote or card.vote
        self._length = card.segments.length(card.features)
        self._hop = card.segments.hop(card.features)

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
        net = entries.load_net(folder, card)
        place = chosen_device(device)
        return cls(card, score_with(net.to(place), card, device=place), vote=vote)

    def from_file(self, path: Path) -> Prediction:
        """Predict the genre of an audio file of any length.

        Raises
        ------
        AudioError
            If the file cannot be used.
        """
        spec = self.card.features
        with (
            audio.open_stream(path, sample_rate=spec.sample_rate) as stream,
            LevelStream(spec) as levels,
        ):
            for block in stream:
                levels.push(block)
            levels.finish()
            if not len(levels):
                raise AudioError(
                    f"{audio.shown(path)}: {stream.seconds:.2f} s are too short for the frames "
                    f"of {self.card.name}, one is {1 / spec.frame_rate:.2f} s"
                )
            prediction = self._judge(len(levels), levels.read)
            return replace(prediction, seconds=stream.seconds, decoder=stream.info.decoder)

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
        prediction = self.from_features(mel.log_mel(waveform, self.card.features))
        return replace(prediction, seconds=len(waveform) / self.card.features.sample_rate)

    def from_features(self, levels: np.ndarray) -> Prediction:
        """Predict the genre of a track's features.

        Parameters
        ----------
        levels : np.ndarray [shape=(n_mels, n_frames)]
            Of the entry's front end, not normalised.

        Raises
        ------
        ValueError
            If the number of bands is another one, or there is no frame.
        """
        n_mels = self.card.features.n_mels
        if levels.ndim != 2 or levels.shape[0] != n_mels or not levels.shape[1]:
            raise ValueError(f"features have shape {levels.shape}, expected ({n_mels}, n_frames)")
        return self._judge(levels.shape[1], lambda start, stop: levels[:, start:stop])

    def _judge(self, n_frames: int, read: Callable[[int, int], np.ndarray]) -> Prediction:
        card = self.card
        firsts = cutting.starts(n_frames, length=self._length, hop=self._hop)
        probs = []
        for begin in range(0, len(firsts), PREDICT_BATCH):
            batch = [
                cutting.repeated(
                    read(first, min(first + self._length, n_frames)), length=self._length
                )
                for first in firsts[begin : begin + PREDICT_BATCH]
            ]
            probs.append(self._score(card.normalisation.apply(np.stack(batch))))
        segment_probs = np.concatenate(probs).astype(np.float64)
        return Prediction(
            genres=card.classes,
            probs=votes.pool(segment_probs, rule=self._vote),
            genre=card.classes[votes.decide(segment_probs, rule=self._vote)],
            vote=self._vote,
            segment_probs=segment_probs,
            starts=tuple(first / card.features.frame_rate for first in firsts),
            segment_seconds=self._length / card.features.frame_rate,
            seconds=n_frames / card.features.frame_rate,
            padded=n_frames < self._length,
        )


def score_with(net: "nn.Module", card: Card, *, device: str = "cpu") -> Score:
    """Make the scoring function of a net that is on a device, in evaluation mode."""
    import torch

    def score(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = net(torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(device))
            probs: np.ndarray = (logits / card.temperature).softmax(dim=1).cpu().numpy()
        return probs

    return score


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
