"""Prediction: a ladder from a file to a genre, to be entered where your data is.

    from_file → from_waveform → from_features

A track is cut into segments, each segment gets the net's probabilities, and the segments
vote. `from_file` streams: what it keeps of a track is its features, in memory while they are few
and in a temporary file beyond, so that memory does not grow with its length. The rungs meet in
`judge`, which reads a track's features wherever they lie.
"""

import ctypes
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mgr_cli import intake, votes
from mgr_cli.config import PREDICT_BATCH, PREDICT_VALUES, VoteRule
from mgr_cli.content import CONTENTS, Content
from mgr_cli.errors import MgrError
from mgr_cli.extraction import Extraction
from mgr_cli.inputs import InMemory, Track
from mgr_cli.intake import Facts, Song
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card, load_card

Runtime = Literal["auto", "onnx", "torch"]
"""What runs an entry, see `Predictor.load`."""


@dataclass(frozen=True)
class Prediction:
    """What an entry says of a track.

    Attributes
    ----------
    genres : tuple of str
        In class order.
    probs : np.ndarray [shape=(n_classes,)]
        Pooled over the segments, and tempered as the card says; they sum to one.
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
    contents : tuple of {"music", "speech", "noise", "silence"}
        What each segment holds; empty where nobody listened.
    is_unsure : bool
        Whether the entry is less sure than its card asks for.
    temperature : float
        What the probabilities were tempered with.
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
    contents: tuple[Content, ...] = ()
    is_unsure: bool = False
    temperature: float = 1.0

    @property
    def content(self) -> Content:
        """What most of the segments hold; music where nobody listened."""
        held = Counter(self.contents or ("music",))
        return max(CONTENTS, key=lambda content: held[content])

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
        cls,
        folder: Path,
        *,
        device: str = "auto",
        vote: VoteRule | None = None,
        runtime: Runtime = "auto",
        threads: int | None = None,
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
        runtime : {"auto", "onnx", "torch"}
            What runs it: onnxruntime its graph, on the CPU, or torch (of a pipeline scikit-learn)
            the model itself. auto is the graph on the CPU where there is one, else the model; they
            agree within 1e-5 in each probability.
        threads : int, optional
            That a graph runs on; as many as there are cores by default.

        Raises
        ------
        ZooError
            If the entry is damaged, or has no graph and one is asked for.
        MgrError
            If a GPU is asked for and there is none, or for a graph, which needs none.
        """
        card = load_card(folder)
        if runtime == "onnx" and device == "cuda":
            raise MgrError("a graph runs on the CPU; leave --device out, or say cpu")
        place = "cpu" if runtime == "onnx" else chosen_device(device)
        if runtime == "onnx" or (runtime == "auto" and place == "cpu" and card.graph):
            from mgr_cli.zoo import sessions

            return cls(card, sessions.load_graph(folder, card, threads=threads), vote=vote)
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
        with intake.open_song(path, self.card) as song:
            return self.judge_song(song)

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
        return self.judge_song(intake.song_of(track, self._inputs, seconds=seconds))

    def judge_song(self, song: Song) -> Prediction:
        """Predict the genre of a song whose segments are at hand."""
        probs = [self.score(batch) for batch in song.batches(self.at_once)]
        return conclude(self.card, song.facts, np.concatenate(probs), vote=self.vote)


def conclude(card: Card, facts: Facts, segment_probs: np.ndarray, *, vote: VoteRule) -> Prediction:
    """Let the segments of a track vote.

    Parameters
    ----------
    card : Card
        Of the entry that judged them.
    facts : Facts
        Of the track.
    segment_probs : np.ndarray [shape=(n_segments, n_classes)]
        What it said of each.
    vote : {"mean", "majority", "product"}
        How they vote. The card's temperature and trust are those of its own vote: by another one
        confidences are as they come, and every answer is believed.
    """
    segment_probs = segment_probs.astype(np.float64)
    is_own = vote == card.vote
    temperature = card.temperature if is_own else 1.0
    prediction = Prediction(
        genres=card.classes,
        probs=votes.pool(segment_probs, rule=vote, temperature=temperature),
        genre=card.classes[votes.decide(segment_probs, rule=vote)],
        vote=vote,
        segment_probs=segment_probs,
        starts=facts.starts,
        segment_seconds=facts.segment_seconds,
        seconds=facts.seconds,
        padded=facts.padded,
        decoder=facts.decoder,
        contents=facts.contents,
        temperature=temperature,
    )
    believed = not is_own or card.trust is None or card.trust.believes(prediction.confidence)
    return replace(prediction, is_unsure=not believed)


def chosen_device(device: str) -> str:
    """Resolve "auto": a GPU if there is one.

    Torch is imported only to ask for a GPU that may be there.

    Raises
    ------
    MgrError
        If a GPU is asked for and there is none.
    """
    if device == "cpu" or (device == "auto" and "torch" not in sys.modules and not _has_driver()):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise MgrError("there is no GPU that torch can use here; leave --device out, or say cpu")
    return "cpu"


def _has_driver() -> bool:
    """Tell whether NVIDIA's driver is installed and knows of a GPU; True if it cannot say."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        if driver.cuInit(0):
            return False
        return bool(driver.cuDeviceGetCount(ctypes.byref(count)) or count.value)
    except (OSError, AttributeError):  # no driver, or one of the last century
        return False
