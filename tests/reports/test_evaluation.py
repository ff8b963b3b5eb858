"""The page of an evaluation: each number where it belongs, and nothing where nothing is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mgr_cli import calibration, comparison, metrics, votes
from mgr_cli.appraisal import Appraisal, Believed
from mgr_cli.config import Split
from mgr_cli.evaluation import Evaluation
from mgr_cli.intervals import Estimate
from mgr_cli.judging import Judged
from mgr_cli.metrics import NAMES
from mgr_cli.prediction import Prediction
from mgr_cli.reports import comparison as side_by_side
from mgr_cli.reports import confusion, reliability
from mgr_cli.reports import evaluation as report
from mgr_cli.taxonomy import Distances
from mgr_cli.trust import Trust
from mgr_cli.zoo.card import Assessment
from tests.reports.test_page import HOSTILE, Read

GENRES = ("blues", "jazz", "rock")
# Truth, and how sure an entry is of each genre: four right, two wrong.
SAID = (
    (0, (0.8, 0.1, 0.1)), (0, (0.5, 0.3, 0.2)), (1, (0.1, 0.7, 0.2)),
    (1, (0.2, 0.15, 0.65)), (2, (0.2, 0.2, 0.6)), (2, (0.9, 0.06, 0.04)),
)  # fmt: skip
TABLE = {key: Estimate(0.1 + i / 100, 0.05, 0.95) for i, key in enumerate(NAMES)}
DISTANCES = Distances(6, 2, 0.7, 2.25, 3.5, 0.61, 0.62, 0.63)
TRUST = Trust(0.8, 0.625, 1.0, 0.4, 5)
BELIEVED = Believed(TRUST, 3, 0.5, Estimate(2 / 3, 0.208, 0.939))


Drawn = list[tuple[object, ...]]


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Draw nothing, which takes half a second each, and return what would have been drawn.

    The real pictures are on the page that `test_browser` opens.
    """
    seen: Drawn = []

    def draw(*given: object, title: str) -> Figure:
        seen.append((*given, title))
        return Figure((1, 1))

    monkeypatch.setattr(confusion, "draw", draw)
    monkeypatch.setattr(reliability, "draw", draw)
    return seen


def judged(number: int, truth: int, probs: tuple[float, ...], genres: tuple[str, ...]) -> Judged:
    """Return a track of two segments that say the same."""
    of_segments = np.array([probs, probs])
    prediction = Prediction(
        genres=genres, probs=np.array(probs), genre=genres[int(np.argmax(probs))], vote="mean",
        segment_probs=of_segments, starts=(0.0, 3.0), segment_seconds=3.0, seconds=6.0,
        padded=False,
    )  # fmt: skip
    return Judged(f"t{number}", f"a/{number}.mp3", genres[truth], prediction)


def evaluated(
    entry: str = "one",
    *,
    genres: tuple[str, ...] = GENRES,
    said: tuple[tuple[int, tuple[float, ...]], ...] = SAID,
    split: Split = "test",
    **changes: Any,
) -> Evaluation:
    """Return an evaluation of made-up scores, its counts those of its tracks."""
    tracks = tuple(judged(i, truth, probs, genres) for i, (truth, probs) in enumerate(said))
    truth = np.array([label for label, _ in said])
    answers = np.array([int(np.argmax(probs)) for _, probs in said])
    counts = metrics.confusion(truth, answers, n_classes=len(genres))
    found = Assessment(
        len(said), 2 * len(said), "mean", TABLE, {**TABLE, "f1_macro": Estimate(1, 1, 1)}
    )
    plain = Evaluation(entry, "ours", split, genres, found, counts, 2 * counts, tracks)
    return replace(plain, **changes)


def bare(done: Evaluation, **changes: Any) -> Appraisal:
    """Return an evaluation and no more than is always known of it."""
    found = calibration.reliability(done.probs, done.truth)
    return replace(Appraisal(done, found, 0.125, 1_234_567, ""), **changes)


def appraised(done: Evaluation | None = None, **changes: Any) -> Appraisal:
    """Return an evaluation and all that can be known of it."""
    done = done or evaluated()
    after = calibration.reliability(votes.tempered(done.probs, 2.0), done.truth)
    before = calibration.reliability(done.probs, done.truth)
    found = calibration.Calibration(2.0, 5, TRUST, before, after)
    whole = bare(
        done, calibration=found, believed=BELIEVED, distances=DISTANCES,
        pace={"cpu": 0.0123, "cuda": 1.5}, source="/music",
    )  # fmt: skip
    return replace(whole, **changes)


def two() -> tuple[list[Appraisal], tuple[comparison.Pair, ...]]:
    """Return two entries that differ on three tracks, one of them better on two."""
    other = tuple((truth, (1.0, 0.0, 0.0)) for truth, _ in SAID)  # right about t0 and t1
    both = [evaluated("one"), evaluated("two", said=(*other[:5], (2, (0.0, 0.0, 1.0))))]
    right = np.stack([done.right for done in both])
    pairs = comparison.compare(("one", "two"), right, rng=np.random.default_rng(0))
    return [appraised(done) for done in both], pairs


def read(*found: Appraisal, **options: Any) -> Read:
    return Read(report.render(found or [appraised()], **options))


def table(seen: Read, *head: str) -> list[list[str]]:
    """Return the rows of the only table whose head begins so."""
    (found,) = [rows for rows in seen.tables if rows[0][: len(head)] == list(head)]
    return found[1:]


def words(seen: Read) -> str:
    return "\n".join(seen.of("p"))


def test_scores_of_tracks_and_segments_stand_beside_each_other_with_their_intervals() -> None:
    seen = read()
    assert seen.of("h1") == ["one on ours, test"]
    rows = table(seen, "score, %", "6 tracks", "12 segments")
    assert [row[0] for row in rows] == list(NAMES.values())
    assert rows[0] == ["accuracy", "10.0 (5.0–95.0)", "10.0 (5.0–95.0)"]
    assert rows[3] == ["F1 macro", "13.0 (5.0–95.0)", "100.0 (100.0–100.0)"]
    assert "6 tracks of 3 genres in 12 segments, which vote by their mean." in words(seen)


def test_a_score_that_is_not_known_has_no_row() -> None:
    done = evaluated()
    track = {"accuracy": Estimate(0.5, 0.25, 0.75)}
    found = replace(done.assessment, track=track, segment={})
    seen = read(appraised(replace(done, assessment=found)))
    assert table(seen, "score, %") == [["accuracy", "50.0 (25.0–75.0)", ""]]


@pytest.mark.parametrize(("k", "said"), [(3, 73), (8, 90)])  # 8 genres: 0.90, as FACTS.md has it
def test_the_other_accuracy_is_explained_with_the_number_of_genres(k: int, said: int) -> None:
    genres = tuple(f"g{i}" for i in range(k))
    one = tuple((i, tuple(np.eye(k)[i].tolist())) for i in range(k))
    seen = read(bare(evaluated(genres=genres, said=one)))
    assert (
        f"With {k} genres an accuracy of 60 % is a one-versus-rest accuracy of {said} %"
        in words(seen)
    )


def test_genres_are_scored_and_what_they_are_taken_for_is_named() -> None:
    # blues: two of two, three said; jazz: one of two, one said; rock: one of two, two said
    assert table(read(), "genre", "tracks", "said") == [
        ["blues", "2", "3", "66.7", "100.0", "80.0", ""],
        ["jazz", "2", "1", "100.0", "50.0", "66.7", "rock (1)"],
        ["rock", "2", "2", "50.0", "50.0", "50.0", "blues (1)"],
    ]


def test_confusions_are_counted_by_numbered_columns() -> None:
    seen = read()
    tracks, segments = (rows for rows in seen.tables if rows[0] == ["", "1", "2", "3"])
    assert tracks[1:] == [
        ["1 blues", "2", "0", "0"], ["2 jazz", "0", "1", "1"], ["3 rock", "1", "0", "1"],
    ]  # fmt: skip
    assert segments[1:] == [
        ["1 blues", "4", "0", "0"], ["2 jazz", "0", "2", "2"], ["3 rock", "2", "0", "2"],
    ]  # fmt: skip


def test_confusions_of_tracks_and_segments_and_the_calibration_are_drawn(drawn: Drawn) -> None:
    whole = appraised()
    seen = read(whole)
    done, found = whole.evaluation, whole.calibration
    assert found is not None
    assert [image["alt"].split(" of each")[0] for image in seen.images] == [
        "Of the tracks", "Of the segments",
        "Accuracy by confidence before and after the temperature; the table has the errors",
    ]  # fmt: skip
    (counts, genres, title), (of_segments, *_), calibrated = drawn
    assert counts is done.track_counts
    assert of_segments is done.segment_counts
    assert (genres, title) == (list(GENRES), "tracks")
    assert calibrated == (found, "Confidence of tracks")


def test_tracks_of_one_segment_are_not_shown_twice() -> None:
    done = evaluated()
    found = replace(done.assessment, n_segments=6)
    seen = read(bare(replace(done, assessment=found)))
    assert len([rows for rows in seen.tables if rows[0] == ["", "1", "2", "3"]]) == 1
    assert len(seen.images) == 1
    assert "vote" not in words(seen)


def test_counts_of_more_genres_than_paper_has_room_for_are_listed_the_most_first() -> None:
    genres = tuple(f"g{i}" for i in range(30))
    counts = np.diag(np.full(30, 5))
    counts[3, 4], counts[7, 1] = 2, 9
    seen = read(bare(evaluated(genres=genres, said=((0, tuple(np.eye(30)[0].tolist())),),
                                  track_counts=counts, segment_counts=counts)))  # fmt: skip
    assert table(seen, "genre", "taken for", "tracks") == [["g7", "g1", "9"], ["g3", "g4", "2"]]


def test_calibration_is_told_in_numbers_and_in_words() -> None:
    found = appraised().calibration
    assert found is not None
    rows = table(read(), "smaller is better", "before", "after")
    both = (found.before, found.after)
    assert rows[0][1:] == [f"{100 * each.ece:.2f}" for each in both]
    assert rows[1][1:] == [f"{100 * each.mce:.2f}" for each in both]
    assert rows[2][1:] == [f"{each.log_loss:.2f}" for each in both]
    assert rows[3][1:] == [f"{each.brier:.2f}" for each in both]
    said = words(read())
    assert "A temperature of 2, fitted on 5 tracks of the validation split, softens" in said
    assert f"confidence is {100 * found.before.ece:.1f} points from accuracy (" in said
    assert f"then it is {100 * found.after.ece:.1f} points" in said
    assert "as few tracks as these show 12.5 points by chance alone" in said


@pytest.mark.parametrize(
    ("temperature", "verb"), [(0.5, "sharpens"), (1.0, "leaves"), (3.0, "softens")]
)
def test_what_a_temperature_does_is_named(temperature: float, verb: str) -> None:
    found = appraised().calibration
    assert found is not None
    said = words(read(appraised(calibration=replace(found, temperature=temperature))))
    assert f"{verb} the probabilities" in said


def test_a_temperature_fitted_on_the_judged_tracks_is_said_to_flatter() -> None:
    assert "flatter" in words(read(appraised(evaluated(split="valid"))))
    assert "flatter" not in words(read())


def test_it_is_told_who_is_believed_and_how_many_of_those_are_right() -> None:
    asked = (
        "Answers are believed from a confidence of 62.5 % on, and unsure below. That was chosen on "
        "5 validation tracks for 80 % of them to be right; there 40.0 % were believed and 100.0 % "
        "of these right."
    )
    assert (
        f"{asked} Of the tracks judged here 50.0 % are believed, and of these 66.7 (20.8–93.9) % "
        "are right."
    ) in words(read())
    none = replace(BELIEVED, n_tracks=0, coverage=0.0, precision=None)
    assert f"{asked} Of the tracks judged here none is." in words(read(appraised(believed=none)))
    nobody = replace(none, trust=Trust(0.8, 1.0, 0.0, 0.0, 5))
    said = "high enough for 80 % of the answers to be right, so none is believed (5 validation"
    assert said in words(read(appraised(believed=nobody)))
    assert "believed" not in words(read(bare(evaluated())))


def test_mistakes_are_listed_the_most_confident_first_with_their_paths() -> None:
    head = ("track", "genre", "said", "confidence, %", "second guess, %", "path")
    assert table(read(), *head) == [
        ["t5", "rock", "blues", "90", "jazz, 6", "a/5.mp3"],
        ["t3", "jazz", "rock", "65", "blues, 20", "a/3.mp3"],
    ]
    assert "Paths start from /music" in words(read())
    fewer = read(n_mistakes=1)
    assert [row[0] for row in table(fewer, *head)] == ["t5"]
    assert "and 1 more" in words(fewer)


def test_an_entry_without_mistakes_has_no_list_of_them() -> None:
    seen = read(bare(evaluated(said=SAID[:3])))
    assert "The most confident mistakes" not in seen.of("h2")


def test_the_tree_the_pace_and_the_size_are_shown() -> None:
    tree, pace = (rows[1:] for rows in read().tables if rows[0] == ["measure", "value"])
    assert [row[1] for row in tree] == ["2.25", "3.50", "0.70", "61.00", "62.00", "63.00"]
    assert pace == [
        ["time for a track, cpu", "12.3 ms"], ["time for a track, cuda", "1.5 s"],
        ["parameters", "1,234,567"],
    ]  # fmt: skip


def test_what_is_not_known_leaves_no_trace() -> None:
    known = bare(evaluated())
    seen = read(known)
    assert seen.of("h2") == [
        "Scores", "Genres", "Confusions", "Calibration", "Speed and size",
        "The most confident mistakes",
    ]  # fmt: skip
    assert "Genre tree" in read().of("h2")
    assert "temperature" not in words(seen)
    assert table(seen, "smaller is better", "value")[0][1] == f"{100 * known.reliability.ece:.2f}"
    assert "Paths start" not in words(seen)
    assert table(seen, "measure", "value") == [["parameters", "1,234,567"]]


def test_remarks_stand_before_everything_and_the_command_at_the_end() -> None:
    done = evaluated(
        remarks=("LEAK ALLOWED: 2 of 6 tracks were trained on", "judged from the sound")
    )
    html = report.render([appraised(done)], command="mgr eval --split test")
    assert html.index('class="note"') < html.index("6 tracks of")
    paragraphs = Read(html).of("p")
    assert paragraphs[:2] == [
        "LEAK ALLOWED: 2 of 6 tracks were trained on", "Judged from the sound",
    ]  # fmt: skip
    assert paragraphs[-1] == "mgr eval --split test"


def test_several_entries_begin_with_a_table_of_all() -> None:
    both, pairs = two()
    seen = read(*both, pairs=pairs)
    assert seen.of("h1") == ["2 evaluations compared"]
    assert seen.of("h2") == ["Comparison", "one on ours, test", "two on ours, test"]
    assert seen.of("h3").count("Scores") == 2
    assert "on ours, test" in seen.of("caption")
    assert table(seen, "entry", "tracks", "accuracy, %")[0] == [
        "one", "6", *(f"{100 * TABLE[key].value:.1f} (5.0–95.0)"
                      for key in ("accuracy", "f1_macro", "top2")),
        f"{100 * both[0].reliability.ece:.1f}", "1,234,567", "12.3 ms", "1.5 s",
    ]  # fmt: skip


def test_pairs_are_counted_tested_and_their_tracks_named() -> None:
    both, pairs = two()
    seen = read(*both, pairs=pairs)
    # one alone is right about t2 and t4, two alone about t5: three tosses, p = 1
    (row,) = table(seen, "first", "second")
    assert row[:6] == ["one", "two", "2", "2", "1", "1"]
    assert row[6].startswith("+16.7 (")
    assert row[7:] == ["1", "1"]
    other = read(*both, pairs=[replace(pairs[0], p_value=0.02, p_adjusted=0.04)])
    assert table(other, "first", "second")[0][7:] == ["0.02", "0.04"]
    assert table(seen, "right", "wrong", "tracks", "which") == [
        ["one", "two", "2", "t2, t4"], ["two", "one", "1", "t5"],
    ]  # fmt: skip
    assert "Holm's p allows for the 1 tried here" in words(seen)


def test_entries_on_other_tracks_are_compared_without_a_test() -> None:
    seen = read(*two()[0])
    assert not [rows for rows in seen.tables if rows[0][0] in ("first", "right")]
    assert "McNemar" not in words(seen)


def test_many_tracks_on_which_two_differ_are_counted_and_the_first_named() -> None:
    said = tuple((0, (0.9, 0.05, 0.05)) for _ in range(13))
    other = tuple((0, (0.05, 0.9, 0.05)) for _ in range(13))
    both = [evaluated("one", said=said), evaluated("two", said=other)]
    right = np.stack([done.right for done in both])
    pairs = comparison.compare(("one", "two"), right, rng=np.random.default_rng(0))
    rows = table(read(*map(bare, both), pairs=pairs), "right", "wrong")
    names = ", ".join(f"t{i}" for i in range(10))
    assert rows == [["one", "two", "13", f"{names} and 3 more"], ["two", "one", "0", ""]]


@pytest.mark.parametrize(
    ("p", "shown"),
    [(1.0, "1"), (0.5, "0.5"), (0.0464, "0.046"), (0.001, "0.001"), (0.00099, "< 0.001")],
)
def test_p_is_shown_with_the_digits_that_count(p: float, shown: str) -> None:
    assert side_by_side.chance(p) == shown


def test_a_difference_has_its_sign() -> None:
    assert side_by_side.points(Estimate(-0.05, -0.101, 0.0123)) == "−5.0 (−10.1 to +1.2)"
    assert side_by_side.points(Estimate(-0.0001, -0.01, 0.01)) == "+0.0 (−1.0 to +1.0)"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.00274, "2.74 ms"),
        (0.0311, "31.1 ms"),
        (0.5, "500 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1234.5, "1,234.5 s"),
    ],
)
def test_a_time_has_its_unit(seconds: float, shown: str) -> None:
    assert side_by_side.duration(seconds) == shown


def test_hostile_names_are_text_everywhere() -> None:
    genres = (HOSTILE, "b", "c")
    done = evaluated(HOSTILE, genres=genres, dataset=HOSTILE, remarks=(HOSTILE,))
    done = replace(
        done, tracks=tuple(replace(t, track_id=HOSTILE, path=HOSTILE) for t in done.tracks)
    )
    whole = appraised(done, pace={HOSTILE: 1.0}, source=HOSTILE)
    right = np.stack([done.right, ~done.right])
    pairs = comparison.compare((HOSTILE, HOSTILE), right, rng=np.random.default_rng(0))
    seen = read(whole, whole, pairs=pairs, command=HOSTILE)
    assert seen.of("h2")[1] == f"{HOSTILE} on {HOSTILE}, test"
    assert seen.of("p")[-1] == HOSTILE
    assert [row[0] for row in table(seen, "first", "second")] == [HOSTILE]


def test_the_same_evaluation_gives_the_same_bytes() -> None:
    both, pairs = two()
    assert report.render(both, pairs=pairs) == report.render(both, pairs=pairs)


def test_no_evaluation_is_no_page() -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        report.render([])
