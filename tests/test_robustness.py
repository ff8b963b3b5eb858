import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mgr_cli import audio, encoding, forms, records, robustness
from mgr_cli.forms import Form
from mgr_cli.prediction import Prediction, Predictor
from mgr_cli.records import Record
from mgr_cli.robustness import Heard, chosen, distance, measure, summarise
from tests import tiny
from tests.audio_files import encode, tones, write

RATE = 8_000
SOFTER, LOUDER = Form("softer", gain_db=-12), Form("louder", gain_db=12)

# What an ear says that goes by nothing but the peak.
QUIET, MEDIUM, LOUD = (0.2, 0.6, 0.2), (0.7, 0.2, 0.1), (0.1, 0.1, 0.8)


class Ear(Predictor):
    """Calls a track jazz, but is unsure, up to a peak of 0.1, blues up to 0.5, and rock beyond."""

    def __init__(self) -> None:
        super().__init__(tiny.card(), lambda arrays: np.ones((len(arrays[0]), 3)) / 3)
        self.asked: list[Path] = []

    def from_file(self, path: Path) -> Prediction:
        self.asked.append(path)
        peak = float(np.abs(audio.load(path, sample_rate=RATE)).max())
        probs = np.array(QUIET if peak < 0.1 else MEDIUM if peak < 0.5 else LOUD)
        return Prediction(
            genres=tiny.GENRES, probs=probs, genre=tiny.GENRES[probs.argmax()], vote="mean",
            segment_probs=probs[None], starts=(0.0,), segment_seconds=1.0, seconds=1.0,
            padded=False, is_unsure=peak < 0.1,
        )  # fmt: skip


def song(path: Path, *, peak: float = 0.3, seconds: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = tones(seconds, RATE, n_channels=1)
    return write(path, samples * (peak / np.abs(samples).max()), RATE, subtype="FLOAT")


def test_forms_are_judged_by_what_is_in_their_files(tmp_path: Path) -> None:
    path = song(tmp_path / "Blues" / "a.wav")
    (heard,) = measure(Ear(), [path], forms=(SOFTER, LOUDER, Form("mono", n_channels=1)))
    assert (heard.path, heard.truth, heard.reference.genre) == (path, "blues", "blues")
    assert {form: each.genre for form, each in heard.records.items()} == {
        "softer": "jazz", "louder": "rock",
    }  # fmt: skip
    softer, louder, mono = summarise([heard], forms=(SOFTER, LOUDER, Form("mono", n_channels=1)))
    # ½ (|.7 − .2| + |.2 − .6| + |.1 − .2|) and ½ (.6 + .1 + .7)
    assert softer.mean_distance == softer.largest_distance == pytest.approx(0.5)
    assert louder.mean_distance == pytest.approx(0.7)
    assert (softer.n_other, softer.n_none) == (0, 1)
    assert (louder.n_other, louder.n_none) == (1, 0)
    assert (mono.n_tracks, mono.n_believed, mono.problems) == (0, 0, ())
    assert np.isnan(mono.mean_distance)


def said(genre: str, *, answer: str = "", probs: tuple[float, float, float] = MEDIUM) -> Record:
    shares = dict(zip(tiny.GENRES, probs, strict=True))
    return Record("x", answer=answer or genre, genre=genre, probabilities=shares)


def test_rows_are_counted_over_the_tracks_that_a_form_is_made_of() -> None:
    blues, unsure = said("blues"), said("blues", answer="unsure")
    rock = said("rock", probs=LOUD)
    heard = [
        Heard(Path("a"), "rock", blues, {"x": rock}),  # another answer, and the right one
        Heard(Path("b"), "blues", blues, {"x": unsure}),  # the same genre, no more believed
        Heard(Path("c"), "", unsure, {"x": rock}),  # was not believed, the truth is unknown
        Heard(Path("d"), "blues", blues, {"x": said("blues", answer="speech")}),
        Heard(Path("e"), "blues", blues, {"x": records.failed("tmp", "silent")}),
        Heard(Path("f"), "blues", blues, {"y": blues}),
        Heard(Path("g"), "", records.failed("g", "damaged"), {}),
    ]
    (row,) = summarise(heard, forms=(Form("x"),))
    assert (row.form, row.n_tracks, row.n_same) == ("x", 4, 2)
    assert (row.n_believed, row.n_other, row.n_none) == (3, 1, 2)
    assert (row.n_known, row.n_right, row.n_right_before) == (3, 3, 2)
    assert row.mean_distance == pytest.approx((0.7 + 0 + 0.7 + 0) / 4)
    assert row.largest_distance == pytest.approx(0.7)
    assert row.problems == ("e: silent",)


def test_distance_is_the_most_that_any_set_of_genres_gains() -> None:
    one, other = said("blues", probs=(0.5, 0.3, 0.2)), said("rock", probs=(0.1, 0.35, 0.55))
    assert distance(one, other) == distance(other, one) == pytest.approx(0.05 + 0.35)
    assert distance(one, one) == 0
    assert distance(said("a", probs=(1, 0, 0)), said("b", probs=(0, 0, 1))) == 1


def test_a_form_is_judged_as_such_a_file_is_predicted(tmp_path: Path) -> None:
    predictor = Predictor.load(tiny.entry(tmp_path / "zoo"), device="cpu")
    samples = tones(3.0, 44_100)
    path = write(tmp_path / "x.wav", samples, 44_100, subtype="FLOAT")
    form = Form("mp3", codec="mp3", bit_rate=128_000)
    (heard,) = measure(predictor, [path], forms=(form,))
    elsewhere = encode(tmp_path / "x.mp3", samples, 44_100, codec="libmp3lame", container="mp3")
    expected = records.of("x", predictor.from_file(elsewhere), "tiny")
    assert heard.records["mp3"].probabilities == expected.probabilities
    assert heard.records["mp3"].probabilities != heard.reference.probabilities
    assert heard.records["mp3"].decoder == expected.decoder != ""


def test_the_reference_is_the_file_itself_or_the_beginning_of_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = song(tmp_path / "short.wav", peak=0.3, seconds=2.0)
    quiet, loud = tones(1.0, RATE, n_channels=1) * 0.05, tones(1.0, RATE, n_channels=1)
    long = write(tmp_path / "long.wav", np.concatenate([quiet, quiet, 2 * loud]), RATE)
    monkeypatch.setattr(robustness, "decoded", partial(forms.decoded, seconds=2.0))
    ear = Ear()
    one, other = measure(ear, [short, long], forms=(LOUDER,))
    assert ear.asked[0] == short
    assert one.reference.genre == "blues"
    assert other.reference.genre == "jazz"  # what comes after two seconds is loud
    assert other.path == long


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    ear, path = Ear(), song(tmp_path / "x.wav")
    measure(ear, [path], forms=(SOFTER, LOUDER))
    assert all(place in each.parents for each in ear.asked[1:])
    assert len(ear.asked) == 3
    assert list(place.iterdir()) == []

    def stopped(path: Path) -> Prediction:
        if place in path.parents:
            assert list(path.parent.iterdir()) == [path]  # one form at a time
            if path.suffix == ".wav":
                raise KeyboardInterrupt
        return Ear().from_file(path)

    monkeypatch.setattr(ear, "from_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure(ear, [path], forms=(Form("mp3", codec="mp3", sample_rate=44_100), SOFTER))
    assert list(place.iterdir()) == []


def test_what_cannot_be_used_or_encoded_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(encoding._FFMPEG, "mp3", ("libnothing", "mp3"))
    whole = song(tmp_path / "a.wav")
    broken = tmp_path / "b.wav"
    broken.write_bytes(b"no sound")
    asked = (Form("mp3", codec="mp3"), LOUDER)
    steps: list[tuple[int, int]] = []
    heard = measure(
        Ear(), [broken, whole], forms=asked, progress=lambda *step: steps.append(step[:2])
    )
    assert steps == [(1, 2), (2, 2)]
    assert heard[0].reference.status == "error"
    assert heard[0].reference.error.startswith("not readable as audio")  # its name stands beside
    assert heard[0].records == {}
    missing, louder = summarise(heard, forms=asked)
    (problem,) = missing.problems
    assert problem.startswith(f"{whole}: no encoder for mp3")
    assert (missing.n_tracks, louder.n_tracks) == (0, 1)


def test_the_truth_is_the_name_of_the_folder(tmp_path: Path) -> None:
    cases = {"Blues": "blues", "ROCK ": "rock", "polka": "", "jazz, rock": ""}
    paths = [song(tmp_path / folder / "a.wav") for folder in cases]
    found = measure(Ear(), paths, forms=())
    assert [each.truth for each in found] == list(cases.values())


def test_many_files_are_thinned_out_evenly() -> None:
    paths = [Path(str(number)) for number in range(10)]
    assert chosen(paths, n=10) == paths
    assert [int(path.name) for path in chosen(paths, n=3)] == [1, 5, 8]
    assert len(set(chosen(paths, n=9))) == 9
