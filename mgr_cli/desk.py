"""A desk: segments of several songs are judged together, and each song gets its own rows back.

Songs come in pieces, mixed, as a crew reads them. Their segments wait here until there are so many
as the entry allows at a time; less than a full batch is judged as soon as nothing else is at hand.
A song is done when all its segments are judged and its end has come, and then has its record.

Which songs share a batch changes the last bits of the probabilities, some 1e-7, because a matrix
product of another shape adds up in another order.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mgr_cli import records
from mgr_cli.errors import ZooError
from mgr_cli.inputs import Arrays
from mgr_cli.intake import Facts
from mgr_cli.prediction import Predictor, conclude
from mgr_cli.records import Record
from mgr_cli.worker import End, unexpected


class Desk:
    """Where segments of several songs wait until they are judged together.

    Parameters
    ----------
    paths : sequence of Path
        Of all songs; a song is spoken of by the index of its path.
    predictor : Predictor
        The entry that judges.
    """

    def __init__(self, paths: Sequence[Path], predictor: Predictor) -> None:
        self._paths = paths
        self._predictor = predictor
        self._waiting: list[tuple[int, Arrays]] = []
        self._probs: dict[int, list[np.ndarray]] = {}
        self._facts: dict[int, Facts] = {}
        self._faults: dict[int, str] = {}
        self._ends: dict[int, End] = {}

    def take(self, index: int, thing: Arrays | Facts | End) -> None:
        """Lay down what came of a song."""
        if isinstance(thing, Facts):
            self._facts[index] = thing
        elif isinstance(thing, End):
            self._ends[index] = thing
        elif index not in self._faults:
            self._waiting.append((index, thing))

    def judge(self, *, less: bool) -> Iterator[tuple[int, Record]]:
        """Judge what waits, of less than a full batch only if told so, and give what is done."""
        at_once = self._predictor.at_once
        while (n := sum(len(arrays[0]) for _, arrays in self._waiting)) >= at_once or (less and n):
            self._judge(at_once)
        unjudged = {index for index, _ in self._waiting}
        for index in [index for index in self._ends if index not in unjudged]:
            yield index, self._finished(index)

    def _judge(self, at_once: int) -> None:
        """Give the model its next batch."""
        taken, n = [], 0
        while self._waiting and n < at_once:
            index, arrays = self._waiting.pop(0)
            now, later = _split(arrays, at_once - n)
            if len(later[0]):
                self._waiting.insert(0, (index, later))
            taken.append((index, now))
            n += len(now[0])
        self._score(taken)

    def _score(self, taken: Sequence[tuple[int, Arrays]]) -> None:
        """Give the songs their rows; if the model fails, one by one, to see at whose."""
        batch = tuple(
            np.concatenate(each) for each in zip(*(arrays for _, arrays in taken), strict=True)
        )
        try:
            rows = self._predictor.score(batch)
        except ZooError as error:
            if len(taken) == 1:
                self._give_up(taken[0][0], str(error))
                return
            for one in taken:
                self._score([one])
            return
        for index, arrays in taken:
            own, rows = rows[: len(arrays[0])], rows[len(arrays[0]) :]
            self._probs.setdefault(index, []).append(own)

    def _give_up(self, index: int, why: str) -> None:
        """Judge no more of a song."""
        self._faults[index] = why
        self._waiting = [each for each in self._waiting if each[0] != index]

    def _finished(self, index: int) -> Record:
        path, end = self._paths[index], self._ends.pop(index)
        probs, facts = self._probs.pop(index, []), self._facts.pop(index, None)
        fault = self._faults.pop(index, "")
        if end.error or fault or facts is None:
            return records.failed(str(path), end.error or fault)
        predictor = self._predictor
        try:
            said = conclude(predictor.card, facts, np.concatenate(probs), vote=predictor.vote)
            return records.of(str(path), said, predictor.card.name)
        except ValueError as error:  # a model that gives no probabilities
            return records.failed(str(path), unexpected(path, error))


def _split(arrays: Arrays, n: int) -> tuple[Arrays, Arrays]:
    return tuple(each[:n] for each in arrays), tuple(each[n:] for each in arrays)
