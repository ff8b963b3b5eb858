"""The benchmarks: turns and tables worked by hand, and what must not be compared is refused.

No figure of speed is tested; that contestants compute the same is.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mgr_cli.features.handcrafted import extract
from tests import tiny
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import growth, music, predict, prepare, rivals, steps, train
from tests.benchmarks.course import Course
from tests.benchmarks.tables import Growth, Pace, compared, grown
from tests.benchmarks.turns import (
    Contestant,
    Spread,
    Turns,
    UnfairError,
    exponent,
    take_turns,
    timed,
)

TURNS = Turns({"ours": (1.0, 2.0, 6.0), "theirs": (2.0, 2.0, 2.0)})


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of noise and a tone, 1.5 s at 16 kHz."""
    folder = tmp_path_factory.mktemp("audio")
    rng, time = np.random.default_rng(0), np.arange(24_000) / 16_000
    for number, hz in enumerate((300, 900)):
        samples = 0.2 * np.sin(2 * np.pi * hz * time) + 0.01 * rng.standard_normal(24_000)
        soundfile.write(folder / f"{number}.wav", samples, 16_000)
    return folder


@pytest.fixture
def course(tmp_path: Path, audio: Path) -> Course:
    return Course(
        tmp_path, tuple(music.found([audio])), tiny.entry(tmp_path / "zoo"), n_jobs=1,
        n_rounds=1, n_songs=1, seconds=2.0, lengths=(1.0, 2.0), tracks=(1, 3),
    )  # fmt: skip


@contextmanager
def no_pools(n_jobs: int) -> Iterator[Callable[..., Contestant]]:
    """Do in this process what others would, which take seconds to start."""
    yield lambda work, paths: timed(lambda: [work(path) for path in paths])


# Turns


def test_every_second_round_goes_the_other_way_about() -> None:
    order: list[str] = []

    def contestant(name: str) -> Contestant:
        def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    found = take_turns({name: contestant(name) for name in "abc"}, 2)
    assert "".join(order) == "abc" + "abc" + "cba"
    assert found.seconds == {"a": (4, 9), "b": (5, 8), "c": (6, 7)}
    assert take_turns({"a": contestant("d")}, 1, warm=False).seconds == {"a": (10,)}


def test_ratios_are_taken_within_a_round() -> None:
    assert TURNS.ratio("ours", "theirs") == Spread(1.0, 0.5, 3.0)  # medians alone would say 1, too
    assert TURNS.ratio("theirs", "ours") == Spread(1.0, 1 / 3, 2.0)
    assert (
        Turns({"a": (1, 9, 2), "b": (4, 3, 4)}).ratio("a", "b").median == 0.5
    )  # not 2 / 4 by luck


def test_a_spread_is_told_where_it_shows() -> None:
    assert str(Spread(1.0, 0.5, 3.0)) == "1.00 (0.50 to 3.00)"
    assert str(Spread(1.001, 0.999, 1.002)) == "1.00"


def test_exponent_is_that_of_the_size() -> None:
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert exponent([1, 2, 4], [8, 4, 2]) == pytest.approx(-1)


# Tables


def test_contestants_stand_side_by_side() -> None:
    table = compared("speed", "Both run.", TURNS, against=["theirs"], pace=Pace(3, "laps a minute"))
    assert table.markdown() == (
        "### speed\n\nBoth run.\n\n"
        "|  | s | laps a minute | of the time of theirs |\n"
        "| --- | --- | --- | --- |\n"
        "| ours | 2.00 | 90.00 | 1.00 (0.50 to 3.00) |\n"
        "| theirs | 2.00 | 90.00 | 1.00 |\n"
    )
    assert table.plain()["seconds"] == {"ours": [1.0, 2.0, 6.0], "theirs": [2.0, 2.0, 2.0]}


def test_growth_is_told_a_unit_and_beside_what_one_hopes_for() -> None:
    turns = Turns({"long": (3.0,), "short": (2.0,), "one": (4.0,), "two": (3.0,)})
    lengths = {"short": 1.0, "long": 2.0}
    table = grown(
        "growth", "", turns, labels=["first", "second"],
        works=[
            Growth("read", "minute", lengths, lengths),
            Growth("share", "song", {"one": 8.0, "two": 8.0}, {"one": 1.0, "two": 2.0}, linear=-1),
        ],
    )  # fmt: skip
    assert table.rows == (
        ("first", "2000.0", "1.00", "500.0", "1.00"),
        ("second", "1500.0", "0.75", "375.0", "1.50"),  # 3 s and not 4 / 2
        ("exponent", "", f"{np.log2(1.5):.2f}", "", f"{np.log2(0.75):.2f}"),
    )


# Music


def test_songs_are_as_long_as_asked_for_and_begin_elsewhere(tmp_path: Path, audio: Path) -> None:
    files = music.found([audio])
    for first in (0, 1):
        path = music.song(tmp_path / f"{first}.mp3", files, 4.0, first=first)
        samples, rate = soundfile.read(path)
        assert len(samples) / rate == pytest.approx(4.0, abs=0.1)  # mp3 pads by some frames
        spectrum = np.abs(np.fft.rfft(samples[rate // 4 : rate, 0]))
        assert spectrum.argmax() * rate / (rate * 3 // 4) == pytest.approx((300, 900)[first], abs=3)


def test_a_file_has_one_genre_wherever_it_is_linked(tmp_path: Path, audio: Path) -> None:
    made = music.laid_out(tmp_path, music.found([audio]), 5)
    assert [path.parent.name for path in made] == list("ababa")
    assert [path.resolve().stem for path in made] == list("01010")


def test_a_folder_without_music_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no \.mp3"):
        music.pieces(tmp_path, tmp_path)


# What is compared is the same


def test_log_mels_are_librosas_and_others_are_refused(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare.check_log_mels(course) < prepare.TOLERANCE
    plain = rivals.log_mel
    monkeypatch.setattr(rivals, "log_mel", lambda path, spec: plain(path, spec) + 0.2)
    with pytest.raises(UnfairError, match=r"differ by 0\.2"):
        prepare.check_log_mels(course)


def test_features_are_librosas_and_others_are_refused(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = [extract(*rivals.at_own_rate(path)) for path in course.files]
    given = iter([*features, *features[::-1], *(np.full_like(row, np.nan) for row in features)])
    # What a plain script says of real music is tests/features/test_handcrafted.py's matter.
    monkeypatch.setattr(prepare, "plain_librosa", lambda *_: next(given))
    prepare.check_features(course)
    with pytest.raises(UnfairError, match="a feature"):
        prepare.check_features(course)
    next(given)
    with pytest.raises(UnfairError, match="no number"):
        prepare.check_features(course)


def test_the_rival_judges_as_we_do_and_another_is_refused(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = predict.songs(course)
    assert predict.check(songs, course.entry) < predict.TOLERANCE
    monkeypatch.setattr(predict, "judged", lambda *_: np.array([0.1, 0.1, 0.8]))
    with pytest.raises(UnfairError, match="probabilities differ"):
        predict.check(songs, course.entry)


def test_a_song_that_is_not_judged_is_an_error(tmp_path: Path, course: Course) -> None:
    (tmp_path / "text.mp3").write_text("not audio")
    with pytest.raises(RuntimeError, match=r"text\.mp3"):
        predict.predicted([tmp_path / "text.mp3"], course.entry, 1)


SEEN = steps.Seen(7, [4, 2], [float(number) for number in range(40, 0, -1)])


def test_nets_that_learn_the_same_may_be_compared() -> None:
    train.check({train.OURS: SEEN, train.PLAIN: SEEN, train.LOADER: steps.Seen(0, [4, 2])})


@pytest.mark.parametrize(
    "other",
    [
        steps.Seen(8, [4, 2], SEEN.losses),
        steps.Seen(7, [5, 2], SEEN.losses),
        steps.Seen(7, [4, 2], SEEN.losses[::-1]),
    ],
    ids=["another net", "another batch", "nothing learnt"],
)
def test_nets_that_do_not_are_refused(other: steps.Seen) -> None:
    with pytest.raises(UnfairError):
        train.check({train.OURS: SEEN, train.PLAIN: other})


def test_a_turn_counts_whole_batches_that_follow_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 3.0, 3.0, 10.0, 10.0, 14.0, 14.0, 22.0, 100.0])
    asked: list[steps.Seen] = []
    monkeypatch.setattr("tests.benchmarks.steps.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(steps, "asked", asked.append)
    watch = steps.Watch(steps.Seen(), n_steps=2, batch_size=4)
    total = 3 * steps.EPOCHS
    for n_segments, epoch in ((4, "1"), (4, "1"), (2, "1"), (4, "2"), (4, "2")):
        watch.n_segments = n_segments
        watch(0, total, epoch)
    # Held at 1; 2 s, a smaller batch, a first one, then 8 s: 22 − 14.
    assert float(capsys.readouterr().out) == 10.0
    assert len(asked) == 2


# All of it, small


def test_parts_run_from_end_to_end(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "pools", no_pools)
    monkeypatch.setattr(predict, "pools", no_pools)
    tables = [part(course) for part in (prepare.log_mels, predict.bulk, growth.by_workers)]
    assert [row[0] for row in tables[0].rows] == ["decoding alone", "mgr prepare", "librosa"]
    assert len(list((course.folder / "librosa").glob("*.npy"))) == 8
    assert "1 songs of 2 s" in tables[1].text
    assert [row[0] for row in tables[2].rows] == ["1 process", "exponent"]


def test_tables_and_seconds_are_written(
    tmp_path: Path, audio: Path, course: Course, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options: Sequence[object] = [
        "--audio", audio, "--entry", course.entry, "--parts", "number", "length", "--rounds", 1,
        "--jobs", 1, "--tracks", 3, 1, "--lengths", 2, 1, "--json", tmp_path / "figures.json",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, options)])
    benchmarks.main()
    first, *lines = capsys.readouterr().out.splitlines()
    assert "cores" in first
    assert "load" in first
    assert any("python -m tests.benchmarks --audio" in line for line in lines)
    written = json.loads((tmp_path / "figures.json").read_text())
    assert list(written["parts"]) == ["number", "length"]
    number = written["parts"]["number"]
    assert [row[0] for row in number["rows"]] == ["1 tracks", "3 tracks", "exponent"]
    assert all(len(each) == 1 for each in number["seconds"].values())


def test_workers_double_up_to_the_cores() -> None:
    assert [list(growth.doubled(n)) for n in (1, 2, 6)] == [[1], [1, 2], [1, 2, 4, 6]]
