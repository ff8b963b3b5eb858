"""The part of a song that is explained: which segments, what an entry takes of them, its picture.

The part is a run of whole segments, as many as fill the seconds that are asked for most nearly,
one at least: from the one that holds the second it shall begin at, or else where the winner of the
vote has the highest probability on average. A song shorter than a segment is repeated to fill one,
and its picture shows it once.

An entry that takes a row a track has no segments. Its part is that many seconds, from the middle
of the song unless told otherwise, and the row is computed of them alone, as if they were the song.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mgr_cli import audio
from mgr_cli.config import MAX_EXPLAINED_SECONDS, FeatureSpec
from mgr_cli.errors import AudioError, MgrError
from mgr_cli.extraction import HANDCRAFTED_SECONDS, Extraction
from mgr_cli.inputs import Arrays
from mgr_cli.plans import VECTORS, Plan
from mgr_cli.prediction import Prediction
from mgr_cli.zoo.card import Card


@dataclass(frozen=True)
class Part:
    """What is explained of a song.

    Attributes
    ----------
    inputs : tuple of np.ndarray [shape=(n_segments, ...)]
        Normalised, one a kind, as `inputs.Inputs.batch` gives them; of an entry that takes a row
        a track, the waveform of the part (1, n_samples).
    columns : tuple of int
        Where the segments begin, in frames of the picture.
    n_frames : int
        Of a segment on the picture; all of it where the song does not fill one.
    sample_rate : int
        Of the waveforms, in Hz.
    start, stop : float
        Seconds of the song.
    levels : np.ndarray [shape=(n_mels, n_columns)]
        The picture, in dB below the loudest value of the song.
    spec : FeatureSpec
        Its front end.
    period : int, optional
        Samples after which a waveform begins again, of a song that does not fill a segment.
    """

    inputs: Arrays
    columns: tuple[int, ...]
    n_frames: int
    sample_rate: int
    start: float
    stop: float
    levels: np.ndarray
    spec: FeatureSpec
    period: int | None = None

    def stitched(self, values: np.ndarray) -> np.ndarray:
        """Put values of the segments on one picture, and average where they overlap.

        Parameters
        ----------
        values : np.ndarray [shape=(n_segments, n_mels, n)]
            n is `n_frames`, or the frames that it was repeated to.

        Returns
        -------
        np.ndarray [shape=(n_mels, n_columns)]
            float32; 0 where there is no segment.
        """
        total = np.zeros(self.levels.shape)
        n_times = np.zeros(self.levels.shape[1])
        for column, each in zip(self.columns, values, strict=True):
            for first in range(0, each.shape[1], self.n_frames):
                piece = each[:, first : first + self.n_frames]
                total[:, column : column + piece.shape[1]] += piece
                n_times[column : column + piece.shape[1]] += 1
        return (total / np.maximum(1, n_times)).astype(np.float32)

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """Cut something drawn on the picture (..., n_columns) into (n_segments, ..., n_frames)."""
        return np.stack([picture[..., first : first + self.n_frames] for first in self.columns])


def read(
    card: Card, path: Path, prediction: Prediction, *, start: float | None, seconds: float
) -> Part:
    """Read the part of a song.

    Parameters
    ----------
    card : Card
        Of the entry that has judged it.
    path : Path
        Of the song.
    prediction : Prediction
        Of the whole song.
    start : float, optional
        Second in which the part begins; the entry's surest by default.
    seconds : float
        Length of the part, above 0 and up to `MAX_EXPLAINED_SECONDS`.

    Raises
    ------
    AudioError
        If the file cannot be used.
    MgrError
        If the song ends before the part begins, no segment holds the second in which it shall
        begin, or its length is out of range.
    """
    if not 0 < seconds <= MAX_EXPLAINED_SECONDS:
        raise MgrError(
            f"a part of {seconds:g} s is asked for, expected above 0 and up to "
            f"{MAX_EXPLAINED_SECONDS:g}"
        )
    if start is not None and not 0 <= start < prediction.seconds:
        raise MgrError(
            f"{audio.shown(path)} is {prediction.seconds:.1f} s long and has nothing at "
            f"{start:g} s; begin earlier"
        )
    if card.segments is None:
        return _read_waveform(card, path, prediction, start, seconds)
    chosen = _chosen(card, path, prediction, start, seconds)
    return _read_segments(card, path, chosen, prediction.seconds)


def _chosen(
    card: Card, path: Path, prediction: Prediction, start: float | None, seconds: float
) -> range:
    """Choose a run of segments, by number."""
    starts = np.array(prediction.starts)
    assert card.segments is not None
    room = seconds - prediction.segment_seconds
    n = min(1 + max(0, round(room / card.segments.hop_seconds)), len(starts))
    if start is not None:
        first = int(np.flatnonzero(starts <= start + 1e-6)[-1])
        if start >= starts[first] + prediction.segment_seconds:  # in a gap, or behind the last
            nearest = starts[np.abs(starts - start).argmin()]
            raise MgrError(
                f"{audio.shown(path)} has no segment at {start:g} s; begin at "
                # Rounded down, it might lie in the gap before it.
                f"{math.ceil(100 * nearest - 1e-4) / 100:g} s, where the nearest one does"
            )
        return range(first, min(first + n, len(starts)))
    own = prediction.segment_probs[:, prediction.genres.index(prediction.genre)]
    first = int(np.convolve(own, np.ones(n) / n, mode="valid").argmax())
    return range(first, first + n)


def _read_segments(card: Card, path: Path, chosen: range, seconds: float) -> Part:
    inputs, spec = card.inputs, _pictured(card.features)
    assert card.segments is not None
    with (
        audio.open_stream(path, sample_rate=None) as stream,
        Extraction(card.plan, stream.info.sample_rate) as track,
        Extraction(Plan(("log-mel",), spec), stream.info.sample_rate) as picture,
    ):
        for block in stream:
            track.push(block)
            picture.push(block)
        track.finish()
        picture.finish()
        starts = inputs.starts(track.n_rows(inputs.kinds[0]))
        firsts = [starts[number] for number in chosen]
        arrays = inputs.batch(inputs.segment(track, first) for first in firsts)
        columns = [round(first / inputs.rate * spec.frame_rate) for first in firsts]
        n_frames = min(card.segments.length(spec.frame_rate), picture.n_rows("log-mel"))
        n_columns = columns[-1] + n_frames - columns[0]
        levels = picture.read("log-mel", columns[0], columns[0] + n_columns)
        period = _period(card, track)
    # What is cut by samples may end a frame after the picture does.
    levels = np.pad(levels, ((0, 0), (0, n_columns - levels.shape[1])), "edge")
    begin = firsts[0] / inputs.rate
    end = min(seconds, firsts[-1] / inputs.rate + inputs.length / inputs.rate)
    own = tuple(column - columns[0] for column in columns)
    return Part(arrays, own, n_frames, spec.sample_rate, begin, end, levels, spec, period)


def _period(card: Card, track: Extraction) -> int | None:
    assert card.segments is not None
    if "waveform" not in card.eats:
        return None
    n_samples = track.n_rows("waveform")
    return n_samples if n_samples < card.segments.length(card.features.sample_rate) else None


def _read_waveform(
    card: Card, path: Path, prediction: Prediction, start: float | None, seconds: float
) -> Part:
    assert card.eats[0] in VECTORS
    spec = _pictured(card.features)
    heard = min(prediction.seconds, HANDCRAFTED_SECONDS)
    begin = max(0.0, (heard - seconds) / 2) if start is None else start
    end = min(begin + seconds, heard)
    if begin >= end:
        raise MgrError(
            f"{card.name} hears the first {HANDCRAFTED_SECONDS:g} s of a song; begin earlier"
        )
    kept = []
    with (
        audio.open_stream(path, sample_rate=None) as stream,
        Extraction(Plan(("log-mel",), spec), stream.info.sample_rate) as picture,
    ):
        rate = stream.info.sample_rate
        first, last = round(begin * rate), round(end * rate)
        for block in stream:
            place = stream.n_samples - len(block)
            piece = block[max(0, first - place) : max(0, last - place)]
            if len(piece):
                kept.append(piece.copy())  # a view would hold all of the block
            picture.push(block)
        picture.finish()
        columns = slice(round(begin * spec.frame_rate), max(1, round(end * spec.frame_rate)))
        levels = picture.read("log-mel", columns.start, columns.stop)
    if not levels.shape[1] or not kept:
        raise AudioError(
            f"{audio.shown(path)}: {end - begin:.2f} s are less than a frame; take a longer part"
        )
    waveform = np.concatenate(kept)[None]
    return Part((waveform,), (0,), levels.shape[1], rate, begin, end, levels, spec)


def _pictured(spec: FeatureSpec) -> FeatureSpec:
    return replace(spec, scale="decibel")
