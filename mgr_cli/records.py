"""Records: what is said of a file, as it is printed, kept and passed on.

A record is made of a `Prediction`, or of the error that stood in its place. Its JSON form is what
`mgr predict --json` prints, a line a file; the same text comes back from the journal and from
other machines, so that a run that is taken up again says what it would have said.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mgr_cli.content import CONTENTS, Content
from mgr_cli.prediction import Prediction

DIGITS = 6  # of shares; seconds have three
VERSION = 1  # raised when the same file and entry get another record: what was kept is no use then
UNSURE = "unsure"


@dataclass(frozen=True)
class Stretch:
    """A part of a track, one segment or several neighbours, that is called the same.

    Attributes
    ----------
    start, stop : float
        In seconds.
    genre : str
        The most probable one.
    confidence : float
        Its probability; the mean where there are several segments.
    content : {"music", "speech", "noise", "silence"}
        What it holds.
    """

    start: float
    stop: float
    genre: str
    confidence: float
    content: Content = "music"

    @property
    def name(self) -> str:
        """What it is called: its genre, or what it holds where that is no music."""
        return self.genre if self.content == "music" else self.content


@dataclass(frozen=True)
class Record:
    """What is said of a file.

    Attributes
    ----------
    path : str
        As it was given.
    status : {"ok", "error"}
        Whether there is an answer.
    error : str
        Why there is none.
    answer : str
        The genre; or "unsure", where the entry is less sure than its card asks for; or "speech",
        "noise" or "silence", where most of the track is no music.
    genre : str
        The most probable one, whatever the answer.
    confidence : float
        Its probability.
    content : {"music", "speech", "noise", "silence"}
        What most of the track holds.
    probabilities : dict of float
        By genre, the winner first.
    vote : {"mean", "majority", "product"}
        How the segments voted.
    seconds : float
        Length of the track.
    padded : bool
        Whether it was repeated to fill a segment.
    segments : tuple of Stretch
        In order; one where the track was judged as a whole.
    model : str
        Name of the entry.
    decoder : str
        What read the file.
    """

    path: str
    status: Literal["ok", "error"] = "ok"
    error: str = ""
    answer: str = ""
    genre: str = ""
    confidence: float = 0.0
    content: Content = "music"
    probabilities: dict[str, float] | None = None
    vote: str = ""
    seconds: float = 0.0
    padded: bool = False
    segments: tuple[Stretch, ...] = ()
    model: str = ""
    decoder: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether a genre is the answer."""
        return self.status == "ok" and self.answer == self.genre


def of(path: str, prediction: Prediction, model: str) -> Record:
    """Make the record of what an entry said of a file."""
    content = prediction.content
    answer = UNSURE if prediction.is_unsure else prediction.genre
    return Record(
        path=path,
        answer=answer if content == "music" else content,
        genre=prediction.genre,
        confidence=round(prediction.confidence, DIGITS),
        content=content,
        probabilities={genre: round(p, DIGITS) for genre, p in prediction.ranked()},
        vote=prediction.vote,
        seconds=round(prediction.seconds, 3),
        padded=prediction.padded,
        segments=_segments(prediction),
        model=model,
        decoder=prediction.decoder,
    )


def failed(path: str, error: str) -> Record:
    """Make the record of a file that cannot be used."""
    return Record(path=path, status="error", error=error)


def described(record: Record) -> dict[str, Any]:
    """Return a record's fields by name; of an error nothing but path, status and error."""
    if record.status == "error":
        return {"path": record.path, "status": "error", "error": record.error}
    said = asdict(record)
    del said["error"]
    return said


def to_json(record: Record) -> str:
    """Write a record as one line of ASCII; bytes of a path that are no UTF-8 are escaped."""
    return json.dumps(described(record))


def from_json(line: str) -> Record:
    """Read what `to_json` wrote.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        said: dict[str, Any] = json.loads(line)
        segments = tuple(Stretch(**each) for each in said.pop("segments", ()))
        record = Record(**said, segments=segments)
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no record of a prediction ({error})") from error
    if not _is_whole(record):
        raise ValueError("no record of a prediction (a value is of another type)")
    return record


def _is_whole(record: Record) -> bool:
    """Tell whether all values have the types that `to_json` writes."""
    shares = record.probabilities or {}
    examples: list[tuple[Record | Stretch, Record | Stretch]] = [
        (each, Stretch(0.0, 0.0, "", 0.0)) for each in record.segments
    ]
    examples.append((record, Record("", probabilities={} if record.status == "ok" else None)))
    return (
        all(
            isinstance(getattr(said, name), type(value))
            for said, example in examples
            for name, value in vars(example).items()
        )
        and {record.content, *(each.content for each in record.segments)} <= set(CONTENTS)
        and record.status in ("ok", "error")
        and all(isinstance(share, float) for share in shares.values())
    )


def merged(segments: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """Join neighbours that are called the same; confidences are averaged.

    Segments may overlap; what comes of them does not: it ends where the next one begins.
    """
    runs: list[list[Stretch]] = []
    for each in segments:
        if runs and runs[-1][-1].name == each.name:
            runs[-1].append(each)
        else:
            runs.append([each])
    ends = [*(run[0].start for run in runs), math.inf][1:]
    return tuple(
        replace(
            run[0],
            stop=min(run[-1].stop, end),
            confidence=round(sum(each.confidence for each in run) / len(run), DIGITS),
        )
        for run, end in zip(runs, ends, strict=True)
    )


def _segments(prediction: Prediction) -> tuple[Stretch, ...]:
    labels = prediction.segment_probs.argmax(axis=1)
    music: tuple[Content, ...] = ("music",)
    contents = prediction.contents or music * len(labels)
    return tuple(
        Stretch(
            round(start, 3),
            round(min(start + prediction.segment_seconds, prediction.seconds), 3),
            prediction.genres[label],
            round(float(probs[label]), DIGITS),
            content,
        )
        for start, label, probs, content in zip(
            prediction.starts, labels, prediction.segment_probs, contents, strict=True
        )
    )
