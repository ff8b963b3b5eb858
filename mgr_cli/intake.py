"""From a file to segments that a model takes: what needs no model, and so can run elsewhere.

A song is decoded once. Its blocks fill the features that an entry eats, see `extraction`, and go
past a listener that tells music from what is none, see `content`. What is kept of them is bounded,
in memory while it is little and in a temporary file beyond; the segments are then read from there,
so many at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mgr_cli import audio
from mgr_cli.content import Content, Listener
from mgr_cli.errors import AudioError
from mgr_cli.extraction import Extraction
from mgr_cli.inputs import Arrays, Inputs, Track
from mgr_cli.zoo.card import Card


@dataclass(frozen=True)
class Facts:
    """What is known of a track before a model has judged it.

    Attributes
    ----------
    starts : tuple of float
        Where its segments begin, in seconds.
    segment_seconds : float
        Length of a segment.
    seconds : float
        Length of the track.
    padded : bool
        Whether the track was shorter than a segment and was repeated to fill one.
    contents : tuple of {"music", "speech", "noise", "silence"}
        What each segment holds; empty where nobody listened.
    decoder : str
        What read the file; empty if there was none.
    """

    starts: tuple[float, ...]
    segment_seconds: float
    seconds: float
    padded: bool
    contents: tuple[Content, ...] = ()
    decoder: str = ""


class Song:
    """The segments of a track, ready to be judged.

    Attributes
    ----------
    facts : Facts
        What is known of it.
    """

    def __init__(self, facts: Facts, inputs: Inputs, track: Track) -> None:
        self.facts = facts
        self._inputs = inputs
        self._track = track

    def batches(self, at_once: int) -> Iterator[Arrays]:
        """Yield what a model takes of its segments, in order, so many at a time at the most."""
        inputs, track = self._inputs, self._track
        firsts = inputs.starts(track.n_rows(inputs.kinds[0]))
        for begin in range(0, len(firsts), at_once):
            yield inputs.batch(
                inputs.segment(track, first) for first in firsts[begin : begin + at_once]
            )


def song_of(track: Track, inputs: Inputs, *, seconds: float | None = None) -> Song:
    """Cut a track whose features are read piece by piece.

    Parameters
    ----------
    track : Track
        With a row at least of each kind that is cut.
    inputs : Inputs
        How.
    seconds : float, optional
        Length of the track; that of its rows by default.
    """
    n_rows = track.n_rows(inputs.kinds[0])
    rate = inputs.rate
    whole = (n_rows / rate if rate else 0.0) if seconds is None else seconds
    facts = Facts(
        starts=tuple(first / rate if rate else 0.0 for first in inputs.starts(n_rows)),
        segment_seconds=inputs.length / rate if rate else whole,
        seconds=whole,
        padded=n_rows < inputs.length,
    )
    return Song(facts, inputs, track)


@contextmanager
def open_song(path: Path, card: Card) -> Iterator[Song]:
    """Decode an audio file of any length and give its segments.

    Raises
    ------
    AudioError
        If the file cannot be used.
    ZooError
        If the entry judges what cannot be computed of sound.
    """
    with (
        audio.open_stream(path, sample_rate=None) as stream,
        Extraction(card.plan, stream.info.sample_rate, columns=card.columns) as track,
    ):
        listener = Listener(stream.info.sample_rate)
        for block in stream:
            track.push(block)
            listener.push(block)
        track.finish()
        listener.finish()
        for problem in track.problems.values():
            raise AudioError(f"{audio.shown(path)}: {problem}")
        if not all(track.n_rows(kind) for kind in card.eats):
            raise AudioError(
                f"{audio.shown(path)}: {stream.seconds:.2f} s are too short for the frames "
                f"of {card.name}, one is {1 / card.features.frame_rate:.2f} s"
            )
        song = song_of(track, card.inputs, seconds=stream.seconds)
        contents = listener.contents(song.facts.starts, song.facts.segment_seconds)
        song.facts = replace(song.facts, contents=contents, decoder=stream.info.decoder)
        yield song
