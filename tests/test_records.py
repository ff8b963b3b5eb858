import json

import numpy as np
import pytest

from mgr_cli import records
from mgr_cli.prediction import Prediction
from mgr_cli.records import Record, Stretch

PREDICTION = Prediction(
    genres=("blues", "jazz", "rock"),
    probs=np.array([0.25, 0.6, 0.15]),
    genre="jazz",
    vote="mean",
    segment_probs=np.array([[0.1, 0.9, 0.0], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.0, 0.7, 0.3]]),
    starts=(0.0, 1.5, 3.0, 4.2504),
    segment_seconds=3.0,
    seconds=7.1234567,
    padded=False,
    decoder="libsndfile",
    contents=("music", "music", "speech", "music"),
)


def test_a_record_says_what_the_prediction_says() -> None:
    record = records.of("a.mp3", PREDICTION, "tiny")
    assert record == Record(
        path="a.mp3", answer="jazz", genre="jazz", confidence=0.6, content="music",
        probabilities={"jazz": 0.6, "blues": 0.25, "rock": 0.15}, vote="mean", seconds=7.123,
        segments=(
            Stretch(0.0, 3.0, "jazz", 0.9), Stretch(1.5, 4.5, "jazz", 0.7),
            Stretch(3.0, 6.0, "blues", 0.8, "speech"), Stretch(4.25, 7.123, "jazz", 0.7),
        ),
        model="tiny", decoder="libsndfile",
    )  # fmt: skip
    assert list(record.probabilities or {}) == ["jazz", "blues", "rock"]
    assert record.is_answered


def test_what_the_entry_is_unsure_of_and_what_is_no_music_has_a_genre_but_not_as_its_answer() -> (
    None
):
    from dataclasses import replace

    unsure = records.of("a", replace(PREDICTION, is_unsure=True), "tiny")
    assert (unsure.answer, unsure.genre, unsure.is_answered) == ("unsure", "jazz", False)
    spoken = replace(PREDICTION, is_unsure=True, contents=("speech", "speech", "music", "speech"))
    record = records.of("a", spoken, "tiny")
    assert (record.answer, record.content, record.genre) == ("speech", "speech", "jazz")
    assert not records.failed("a", "why").is_answered


def test_a_track_that_nobody_listened_to_is_music() -> None:
    from dataclasses import replace

    record = records.of("a", replace(PREDICTION, contents=()), "tiny")
    assert {each.content for each in record.segments} == {record.content} == {"music"}


@pytest.mark.parametrize("path", ["a.mp3", "two\nlines 'x' \"y\" ♪", "caf\udce9"])
def test_json_is_a_line_that_gives_the_record_back(path: str) -> None:
    for record in (records.of(path, PREDICTION, "tiny"), records.failed(path, "a: empty")):
        line = records.to_json(record)
        assert line.isascii()
        assert "\n" not in line
        assert records.from_json(line) == record
    assert json.loads(line) == {"path": path, "status": "error", "error": "a: empty"}


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"status": "maybe"},
        {"content": "noise?"},
        {"confidence": "0.5"},
        {"probabilities": None},
        {"probabilities": {"jazz": "x"}},
        {"seconds": None},
        {"padded": 1},
        {"segments": [{"start": 0.0}]},
        {"segments": [{"start": 0.0, "stop": 1.0, "genre": 3, "confidence": 0.5}]},
        {"segments": 3},
    ],
)
def test_what_is_no_record_is_a_value_error(changes: dict[str, object]) -> None:
    said = json.loads(records.to_json(records.of("a", PREDICTION, "tiny")))
    assert records.from_json(json.dumps(said)).status == "ok"
    with pytest.raises(ValueError):  # noqa: PT011, of several sources
        records.from_json(json.dumps({**said, **changes}))


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{}", '{"path": "a"', "[" * 10_000])
def test_other_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        records.from_json(text)


def test_neighbours_that_are_called_the_same_are_one_and_end_where_the_next_begins() -> None:
    joined = records.merged(records.of("a", PREDICTION, "tiny").segments)
    assert joined == (
        Stretch(0.0, 3.0, "jazz", 0.8),  # the second segment ends at 4.5
        Stretch(3.0, 4.25, "blues", 0.8, "speech"),
        Stretch(4.25, 7.123, "jazz", 0.7),
    )
    assert [each.name for each in joined] == ["jazz", "speech", "jazz"]


def test_speech_is_one_stretch_whatever_genre_it_would_be() -> None:
    segments = (Stretch(0, 1, "jazz", 0.5, "speech"), Stretch(1, 2, "rock", 0.5, "speech"))
    assert len(records.merged(segments)) == 1
    assert records.merged(()) == ()
