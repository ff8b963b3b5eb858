from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mgr_cli.config import SPLITS
from mgr_cli.data.audit import Audit, Finding
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.features.mel import log_mel
from mgr_cli.plans import Kind, Plan
from mgr_cli.reports import dataset as report
from mgr_cli.reports import drawing
from tests.reports.made_up import MIXED, SPEC, bad, prepared, row
from tests.reports.test_page import HOSTILE, Read, bytes_of

HEAD = ["genre", "train", "valid", "test", "left out", "bad", "all"]


def nothing(number: int) -> None:
    return None


def read(dataset: PreparedDataset, **changes: Any) -> Read:
    return Read(report.render(dataset, **{"levels": nothing, "waveform": nothing, **changes}))


def table(seen: Read, *head: str) -> list[list[str]]:
    """Return the rows of the only table with such a head."""
    (found,) = [rows for rows in seen.tables if rows[0] == list(head)]
    return found[1:]


def test_every_track_is_counted_once_where_it_is() -> None:
    assert table(read(prepared(MIXED)), *HEAD) == [
        ["jazz", "0", "1", "0", "1", "0", "2"],
        ["rock", "2", "1", "1", "0", "1", "5"],
        ["(none)", "0", "0", "0", "0", "1", "1"],
        ["polka", "0", "0", "0", "0", "1", "1"],
        ["all", "2", "2", "1", "1", "3", "9"],
    ]


def test_splits_are_counted_and_shared_without_what_is_left_out() -> None:
    seen = read(prepared(MIXED))
    assert table(seen, "split", "tracks", "share, %", "hours") == [
        ["train", "2", "40.00", "0.02"], ["valid", "2", "40.00", "0.03"],
        ["test", "1", "20.00", "0.01"], ["left out", "1", "", "0.01"],
    ]  # fmt: skip
    assert f"Split digest: {prepared(MIXED).split_digest}" in seen.of("p")


def test_an_artist_on_two_sides_is_named_and_one_that_is_left_out_is_not() -> None:
    seen = read(prepared(MIXED))
    assert table(seen, "artist", "tracks", "splits") == [["A", "2", "train, test"]]
    assert "1 of 2 artists in more than one split." in seen.of("p")
    apart = [row(0, artist="A"), row(1, artist="B", split="test"), row(2, artist="B", split="")]
    assert "None of 2 artists is in more than one split." in read(prepared(apart)).of("p")
    assert "No track names its artist." in read(prepared([row(0)])).of("p")


def test_only_synthesised_music_is_said_to_be() -> None:
    for layout, expected in (("demo", True), ("folder", False)):
        words = read(prepared([row(0)], layout=layout)).of("p")
        assert any("Synthesised" in text for text in words) is expected


def test_hostile_names_are_text_everywhere() -> None:
    names = dict.fromkeys(("track_id", "path", "artist", "title", "codec", "decoder"), HOSTILE)
    rows = [row(i, HOSTILE, split=split, fold=HOSTILE, **names) for i, split in enumerate(SPLITS)]
    rows.append(bad(9, HOSTILE + "2", HOSTILE) | {"path": HOSTILE, "fold": ""})
    finding = Finding("artist", HOSTILE, (HOSTILE,) * 2, ("train", HOSTILE), (HOSTILE,) * 2)
    seen = read(
        prepared(rows, name=HOSTILE, layout=HOSTILE, columns=(HOSTILE,)),
        levels=lambda number: np.zeros((16, 40), np.float32),
        audit=Audit((finding,), 3, listened=True),
    )
    assert seen.of("h1") == [f"Dataset {HOSTILE}"]
    assert HOSTILE in seen.of("h3")
    assert seen.of("span") == [HOSTILE, f"{HOSTILE} – {HOSTILE}", "30.0 s"] * 2
    assert table(seen, "path", "reason") == [[HOSTILE, HOSTILE]]
    chart = ElementTree.fromstring(bytes_of(seen.images[0]))  # no name ends what holds it
    assert not [e for e in chart.iter() if e.tag.endswith(("script", "image"))]


def test_a_length_far_from_all_others_is_told_in_words() -> None:
    songs = np.random.default_rng(0).uniform(120, 300, 99)
    said = read(prepared([row(i, seconds=s) for i, s in enumerate([*songs, 10_800.0])])).of("p")
    assert any("longest 3.0 h" in text and "Not drawn: 1 longer." in text for text in said)


def test_formats_are_counted_and_unknown_ones_said_to_be() -> None:
    rows = [*MIXED, row(10, sample_rate=0, codec="", decoder="")]
    assert table(read(prepared(rows)), "", "found", "tracks") == [
        ["rate, Hz", "44100", "6"], ["rate, Hz", "unknown", "1"], ["codec", "MP3", "5"],
        ["codec", "FLAC", "1"], ["codec", "unknown", "1"], ["decoder", "sndfile", "6"],
        ["decoder", "unknown", "1"],
    ]  # fmt: skip


def test_tracks_without_a_length_are_no_error() -> None:
    seen = read(prepared([row(0, seconds=0.0), row(1, seconds=float("nan"))]))
    assert "No track has a known length." in seen.of("p")


def test_folds_are_counted_in_their_order_if_there_are_any() -> None:
    rows = [row(i, fold=fold) for i, fold in enumerate(["10", "9", "", "10"])]
    assert table(read(prepared(rows)), "fold", "usable tracks") == [["9", "1"], ["10", "2"]]
    assert "Folds" not in read(prepared([row(0, fold="")])).of("h2")
    assert "Folds" not in read(prepared([row(0)])).of("h2")


def test_findings_are_marked_and_the_worst_stand_first() -> None:
    near = Finding("near-equal audio", "", ("a", "b"), ("train", "test"), ("x", "y"), 0.876)
    same = Finding("bytes", "", ("c", "d"), ("train", ""), ("x", "x"))
    many = Finding("artist", "Her", tuple("abcdefgh"), ("train", "test") * 4, ("x",) * 8)
    seen = read(prepared(MIXED), audit=Audit((same, many, near), 6, listened=True))
    assert table(seen, "found", "marks", "tracks", "correlation") == [
        ["near-equal audio", "leak, conflict", "a (train, x), b (test, y)", "0.88"],
        ["artist: Her", "leak", "a (train), b (test), c (train), d (test), e (train), f (test), "
         "and 2 more", "1.00"],
        ["bytes", "", "c (train), d (left out)", "1.00"],
    ]  # fmt: skip
    assert any("across splits: 2; under several genres: 1" in text for text in seen.of("p"))
    long = read(prepared(MIXED), audit=Audit((same,) * 100, 6, listened=False))
    assert "and 70 more" in long.of("p")
    assert any("not the sound" in text for text in long.of("p"))


def test_no_finding_is_not_the_same_as_not_having_looked() -> None:
    looked = read(prepared(MIXED), audit=Audit((), 6, listened=True)).of("p")
    assert any("Found: 0" in text for text in looked)
    assert "Nobody has looked for repeats." in read(prepared(MIXED)).of("p")


def test_bad_tracks_are_counted_by_reason_without_their_names() -> None:
    rows = [row(0), *[bad(i, status=f"{i}.mp3: is silent") for i in range(1, 40)], bad(40)]
    seen = read(prepared(rows))
    assert table(seen, "reason", "tracks") == [
        ["is silent", "39"], ["cannot be read", "1"], ["all", "40"],
    ]  # fmt: skip
    listed = table(seen, "path", "reason")
    assert listed[0] == ["a/1.mp3", "is silent"]
    assert len(listed) == report.ROWS
    assert f"and {40 - report.ROWS} more" in seen.of("p")


@pytest.mark.parametrize(
    ("features", "alt"),
    [
        ({"levels"}, "mel spectrogram of t1, jazz"),
        ({"waveform"}, "waveform of t1, jazz"),
        ({"levels", "waveform"}, "waveform and mel spectrogram of t1, jazz"),
        (set(), None),
    ],
)
def test_what_there_is_is_drawn(features: set[str], alt: str | None) -> None:
    sound = np.sin(np.arange(16_000)).astype(np.float32)
    every = {"levels": lambda _: log_mel(sound, SPEC), "waveform": lambda _: (sound, 8_000)}
    rows = [row(0, title="One", artist="Her"), row(1, "jazz", path="t1")]
    seen = read(prepared(rows), **{name: every[name] for name in features})
    assert [image["alt"] for image in seen.images[2:]] == (
        [alt, alt.replace("t1, jazz", "t0, rock")] if alt else []
    )
    names = ["t1", "30.0 s", "t0", "Her – One", "a/0.mp3", "30.0 s"]
    assert seen.of("span") == (names if alt else [])


@pytest.mark.parametrize(
    ("kinds", "columns", "origin", "said"),
    [
        (("log-mel",), 0, "", "log-mel of 16 bands from 0 to 4,000 Hz, 20.0 frames a second"),
        (("waveform",), 0, "", "waveforms at 8,000 Hz"),
        (("handcrafted",), 518, "", "518 hand-crafted features, corrected"),
        (("handcrafted",), 140, "FMA's features.csv", "140 hand-crafted features from FMA's"
         " features.csv"),
        (("table",), 1_024, "a.csv", "1,024 features from a.csv"),
        (("waveform", "handcrafted"), 518, "", "waveforms at 8,000 Hz · 518 hand-crafted features,"
         " corrected"),
    ],
)  # fmt: skip
def test_features_are_named_by_what_was_prepared(
    kinds: tuple[Kind, ...], columns: int, origin: str, said: str
) -> None:
    names = tuple(f"f{number}" for number in range(columns))
    plan = Plan(kinds, spec=SPEC)
    seen = read(prepared([row(0), row(1)], plan=plan, columns=names, origin=origin))
    assert seen.of("p")[0] == f"layout folder · 2 tracks · 60.0 s · 1 genre · {said}"


def test_features_of_somebody_else_come_without_seconds_and_files() -> None:
    rows = [row(0, seconds=0.0, sample_rate=0, codec="", decoder="")]
    plan = Plan(("table",))
    seen = read(prepared(rows, plan=plan, columns=("a",), origin="a.csv"))
    assert seen.of("p")[0] == "layout folder · 1 tracks · 1 genre · 1 features from a.csv"
    assert "Audio" not in seen.of("h2")
    assert {line[-1] for line in table(seen, "split", "tracks", "share, %", "hours")} == {""}
    assert "Audio" in read(prepared([row(0)])).of("h2")


def test_many_genres_get_fewer_pictures_and_a_word_about_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report, "_DRAWN", 6)
    monkeypatch.setattr(report, "_BARS", 3)
    asked: list[int] = []

    def waveform(number: int) -> tuple[np.ndarray, int]:
        asked.append(number)
        return np.zeros(800, np.float32), 8_000

    four = [row(i, f"g{i % 4}") for i in range(11)]
    seen = read(prepared(four), waveform=waveform)
    assert asked == [0, 1, 2, 3]
    assert "Drawn are the 3 largest of 4 genres." in seen.of("p")
    assert len(table(seen, *HEAD)) == 5
    assert not [text for text in seen.of("p") if text.startswith("and ")]
    asked.clear()
    eight = [row(i, f"g{i}") for i in range(8)]
    assert "and 2 more genres" in read(prepared(eight), waveform=waveform).of("p")
    assert asked == [0, 1, 2, 3, 4, 5]
    asked.clear()
    read(prepared(four), waveform=waveform, n_tracks=0)
    assert asked == []


def test_the_largest_genres_have_bars_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_BARS", 2)
    drawn: list[str] = []
    draw = drawing.draw_genres

    def spy(counts: pd.DataFrame) -> Figure:
        drawn.extend(counts.index)
        return draw(counts)

    monkeypatch.setattr(drawing, "draw_genres", spy)
    read(prepared([row(i, genre) for i, genre in enumerate("abbbccdd")]))
    assert drawn == ["b", "c"]


def test_one_genre_is_a_dataset_too() -> None:
    seen = read(prepared([row(0)]))
    assert table(seen, *HEAD)[0] == ["rock", "1", "0", "0", "0", "0", "1"]
    assert any("1 genre " in text for text in seen.of("p"))


def test_the_same_dataset_gives_the_same_bytes() -> None:
    def once() -> str:
        sound = np.sin(np.arange(16_000)).astype(np.float32)
        return report.render(prepared(MIXED), levels=lambda _: log_mel(sound, SPEC),
                             waveform=lambda _: (sound, 8_000))  # fmt: skip

    assert once() == once()
