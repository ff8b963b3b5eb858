import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mgr_cli import records
from mgr_cli.commands import labels
from mgr_cli.commands.answers import Alone, Csv, InOrder, Json, Table, Taker, timeline
from mgr_cli.records import Record, Stretch
from mgr_cli.trust import Trust
from tests import tiny

SONG = Record(
    "a.mp3", answer="jazz", genre="jazz", confidence=0.6,
    probabilities={"jazz": 0.6, "blues": 0.3, "rock": 0.1}, vote="mean", seconds=2.0,
    segments=(
        Stretch(0.0, 0.5, "jazz", 0.9), Stretch(0.5, 1.0, "jazz", 0.7),
        Stretch(1.0, 1.5, "rock", 0.4), Stretch(1.5, 2.0, "blues", 0.5, "speech"),
    ),
    model="tiny", decoder="none",
)  # fmt: skip
UNSURE = replace(SONG, path="b.mp3", answer="unsure")
SPOKEN = replace(SONG, path="c.mp3", answer="speech", content="speech")
FAILED = records.failed("d.mp3", "d.mp3: empty")


def shown(taker: Taker, *placed: tuple[int, Record], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is printed of records, each with its place."""
    for place, record in placed:
        taker(place, record)
    assert taker.finish() is False
    return capsys.readouterr().out


def table(*, top: int | None = None, timeline: bool = False) -> Table:
    return Table(tiny.GENRES, top=top, timeline=timeline)


def test_texts_are_written_in_order_and_as_soon_as_it_is_their_turn() -> None:
    written: list[object] = []
    rows = InOrder(written.append)
    rows.put(1, ["b"])
    assert written == []
    rows.put(0, [])
    assert written == ["b"]
    rows.put(5, ["f"])
    rows.put(2, ["c1", "c2"])
    assert written == ["b", "c1", "c2"]
    rows.put(4, ["e"])
    rows.finish()  # 3 never came
    assert written == ["b", "c1", "c2", "e", "f"]


def test_a_table_has_a_line_a_song_in_the_order_of_the_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = shown(table(), (2, SPOKEN), (1, UNSURE), (3, FAILED), (0, SONG), capsys=capsys)
    assert said.splitlines() == [
        "jazz     60.0 %  ██████      a.mp3",
        "unsure   60.0 %  ██████      b.mp3  (jazz 60 %, blues 30 %, rock 10 %)",
        "speech                       c.mp3",
    ]


def test_top_and_timeline_are_shown_of_each_song(capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(table(top=2, timeline=True), (0, replace(SONG, padded=True)), capsys=capsys)
    assert said.splitlines() == [
        "jazz     60.0 %  ██████      a.mp3  (jazz 60 %, blues 30 %, padded)",
        "   0:00.0 –  0:01.0  ■■ jazz  80 %",
        "   0:01.0 –  0:01.5  ■ rock  40 %",
        "   0:01.5 –  0:02.0  □ speech",
    ]


def test_a_timeline_of_hours_stays_narrow() -> None:
    segments = [Stretch(3.0 * n, 3.0 * n + 3, "jazz", 0.5) for n in range(1200)]
    segments += [Stretch(3600.0, 3603.0, "rock", 0.5)]
    lines = [line.plain for line in timeline(segments, {})]
    assert lines == [
        f" 0:00.0 – 60:00.0  {'■' * 30} jazz  50 %", "60:00.0 – 60:03.0  ■ rock  50 %",
    ]  # fmt: skip


def test_a_single_song_says_why_it_has_no_genre(capsys: pytest.CaptureFixture[str]) -> None:
    card = tiny.card().model_copy(
        update={"trust": Trust(wanted=0.9, threshold=0.7, precision=0.9, coverage=0.5, n_tracks=9)}
    )
    said = shown(Alone(card, top=None), (0, UNSURE), capsys=capsys).splitlines()
    assert said[:3] == [
        "b.mp3  2.0 s, 4 segments, tiny, mean vote",
        "unsure: tiny is believed from 70.0 % on",
        f" jazz  {'█' * 18:<30}   60.0 %",
    ]
    said = shown(Alone(card, top=1), (0, SPOKEN), capsys=capsys).splitlines()
    assert said[1].startswith("speech: most of it is no music")
    assert said[2:4] == [f"jazz  {'█' * 18:<30}   60.0 %", "timeline"]
    assert shown(Alone(card, top=1), (0, FAILED), capsys=capsys) == ""


def test_json_is_a_line_a_file_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(Json(top=None, timeline=False), (1, FAILED), (0, SONG), capsys=capsys)
    assert [records.from_json(line) for line in said.splitlines()] == [FAILED, SONG]
    (line,) = shown(Json(top=2, timeline=True), (0, SONG), capsys=capsys).splitlines()
    found = json.loads(line)
    assert found["probabilities"] == {"jazz": 0.6, "blues": 0.3}
    assert [(each["start"], each["stop"]) for each in found["timeline"]] == [
        (0.0, 1.0), (1.0, 1.5), (1.5, 2.0),
    ]  # fmt: skip
    assert len(found["segments"]) == 4


def test_csv_has_a_header_and_a_row_a_song(capsys: pytest.CaptureFixture[str]) -> None:
    strange = replace(SONG, path='=1+1,"\n.mp3')
    said = shown(Csv(tiny.GENRES), (1, SONG), (2, FAILED), (0, strange), capsys=capsys)
    rows = list(csv.DictReader(said.splitlines(keepends=True)))
    assert [row["path"] for row in rows] == ['=1+1,"\n.mp3', "a.mp3"]
    assert rows[1] == {
        "path": "a.mp3", "answer": "jazz", "genre": "jazz", "confidence": "0.6",
        "content": "music", "vote": "mean", "seconds": "2.0", "padded": "False", "model": "tiny",
        "decoder": "none", "blues": "0.3", "jazz": "0.6", "rock": "0.1",
    }  # fmt: skip
    said = shown(Csv(tiny.GENRES), (0, FAILED), capsys=capsys)
    assert said.splitlines() == [",".join(rows[0])]  # nothing but the header


def test_a_strangers_genre_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2Jjazz\n"
    song = replace(
        SONG, answer=evil, genre=evil, probabilities={evil: 1.0}, segments=(
            Stretch(0.0, 2.0, evil, 0.5),
        ),
    )  # fmt: skip
    said = shown(table(timeline=True, top=1), (0, song), capsys=capsys)
    said += shown(Alone(tiny.card(), top=1), (0, song), capsys=capsys)
    said += labels.written(song)
    assert "\x1b" not in said
    assert "jazz" in said


# Labels for Audacity.


def test_labels_are_stretches_between_tabs() -> None:
    assert labels.written(SONG) == (
        "0.000000\t1.000000\tjazz\n1.000000\t1.500000\trock\n1.500000\t2.000000\tspeech\n"
    )
    assert labels.written(SONG, str.upper).splitlines()[1:] == [
        "1.000000\t1.500000\tROCK", "1.500000\t2.000000\tspeech",
    ]  # fmt: skip


def test_each_song_has_a_label_file_of_its_own_name(tmp_path: Path) -> None:
    paths = [Path(name) for name in ("x/N.mp3", "y/N.mp3", "n.FLAC", "n-2.wav", "w" * 250 + ".ogg")]
    take = labels.Labels(tmp_path / "new", paths)
    for place in (4, 3, 2, 0):  # whatever the order, and without the second
        take(place, SONG)
    take(1, FAILED)
    assert take.finish() is False
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "N.txt", "n-2-2.txt", "n-3.txt", "w" * 200 + ".txt",
    ]  # fmt: skip


def test_labels_that_are_there_are_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("0\t1\tmine\n")
    take = labels.Labels(tmp_path, [Path("a.mp3"), Path("b.mp3")])
    take(0, SONG)
    take(1, SONG)
    assert take.finish() is True
    assert target.read_text() == "0\t1\tmine\n"
    assert (tmp_path / "b.txt").read_text() == labels.written(SONG)
    assert "a.txt: something else is there" in capsys.readouterr().err
    again = labels.Labels(tmp_path, [Path("b.mp3")])
    again(0, SONG)
    assert again.finish() is False  # the same labels are no harm
