from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from mgr_cli import calibration, genre_maps, judging
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.thinning import thinned
from mgr_cli.errors import DatasetError, LeakError
from mgr_cli.evaluation import Evaluation, calibrate, evaluate
from mgr_cli.inputs import Arrays
from mgr_cli.metrics import SCORES
from mgr_cli.plans import Plan
from mgr_cli.prediction import Predictor
from mgr_cli.zoo.card import TrainedOn
from tests import tiny
from tests.test_appraisal import faint, leaning


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"), contrast=5.0)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(tiny.card(), tiny.wavering, vote="majority")


def by_hand(
    predictor: Predictor, dataset: PreparedDataset, split: str
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return truth and answer of each track, and of each segment, as genres."""
    tracks: tuple[list[str], list[str]] = [], []
    segments: tuple[list[str], list[str]] = [], []
    for number, row in enumerate(dataset.tracks.itertuples()):
        if row.split == split:
            prediction = predictor.from_features(dataset.reader().frames(number))
            tracks[0].append(str(row.genre))
            tracks[1].append(prediction.genre)
            for probs in prediction.segment_probs:
                segments[0].append(str(row.genre))
                segments[1].append(tiny.GENRES[int(probs.argmax())])
    return *tracks, *segments


def hold_against_scikit_learn(
    counts: np.ndarray, values: dict[str, float], truth: list[str], said: list[str]
) -> None:
    genres = list(tiny.GENRES)
    np.testing.assert_array_equal(counts, reference.confusion_matrix(truth, said, labels=genres))
    n = len(truth)
    right = sum(a == b for a, b in zip(truth, said, strict=True))
    one_against_rest = np.mean(
        [
            np.mean([(a == genre) == (b == genre) for a, b in zip(truth, said, strict=True)])
            for genre in genres
        ]
    )
    options = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": right / n,
        "ovr_accuracy": one_against_rest,
        "precision": reference.precision_score(truth, said, **options),
        "recall": reference.recall_score(truth, said, **options),
        "f1_macro": reference.f1_score(truth, said, **options),
        "f1_weighted": reference.f1_score(truth, said, average="weighted", zero_division=0),
        "precision_weighted": reference.precision_score(
            truth, said, average="weighted", zero_division=0
        ),
    }
    found = {name: values[name] for name in SCORES}
    assert found == pytest.approx(expected, abs=1e-12)
    assert list(values) == [*SCORES, "top2"]  # of three genres, the truth is always among three


def values(evaluation: Evaluation, level: str) -> dict[str, float]:
    return {
        name: estimate.value for name, estimate in getattr(evaluation.assessment, level).items()
    }


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_counts_and_scores_are_those_of_scikit_learn(
    predictor: Predictor, dataset: PreparedDataset, split: str
) -> None:
    evaluation = evaluate(predictor, dataset, split=split)  # type: ignore[arg-type]
    truth, said, segment_truth, segment_said = by_hand(predictor, dataset, split)
    assert said != truth  # some are wrong, or this test shows nothing
    hold_against_scikit_learn(evaluation.track_counts, values(evaluation, "track"), truth, said)
    hold_against_scikit_learn(
        evaluation.segment_counts, values(evaluation, "segment"), segment_truth, segment_said
    )
    assert [track.truth for track in evaluation.tracks] == truth
    assert [track.prediction.genre for track in evaluation.tracks] == said


def test_counts_add_up_to_tracks_and_segments(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    evaluation = evaluate(predictor, dataset)
    assert evaluation.assessment.n_tracks == evaluation.track_counts.sum() == 6
    assert evaluation.assessment.n_segments == evaluation.segment_counts.sum() == 24
    # Two tracks a genre, four segments a track, and rows are the truth.
    np.testing.assert_array_equal(evaluation.track_counts.sum(axis=1), [2, 2, 2])
    np.testing.assert_array_equal(evaluation.segment_counts.sum(axis=1), [8, 8, 8])
    assert evaluation.assessment.vote == "majority"


def test_tracks_are_named_as_in_the_table(predictor: Predictor, dataset: PreparedDataset) -> None:
    evaluation = evaluate(predictor, dataset, split="valid")
    rows = dataset.tracks[dataset.tracks.split == "valid"]
    assert [track.track_id for track in evaluation.tracks] == rows.track_id.tolist()
    assert [track.path for track in evaluation.tracks] == rows.path.tolist()


def test_intervals_hold_the_value_and_come_of_the_seed(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    one, again = (evaluate(predictor, dataset, seed=1) for _ in range(2))
    assert one.assessment == again.assessment
    # Six tracks have few means, so two seeds may well agree; not six of them.
    others = [evaluate(predictor, dataset, seed=seed).assessment for seed in range(2, 7)]
    assert any(other.track != one.assessment.track for other in others)
    assert any(other.segment != one.assessment.segment for other in others)
    for level in (one.assessment.track, one.assessment.segment):
        assert level["accuracy"].low <= level["accuracy"].value <= level["accuracy"].high


def test_the_entrys_order_of_classes_counts_not_the_datasets(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    turned = tiny.dataset(tmp_path, contrast=5.0, genres=("rock", "blues", "jazz"))
    assert turned.genres != dataset.genres
    one, two = evaluate(predictor, dataset), evaluate(predictor, turned)
    assert two.genres == tiny.GENRES
    np.testing.assert_array_equal(one.track_counts, two.track_counts)
    np.testing.assert_array_equal(one.segment_counts, two.segment_counts)
    assert one.assessment == two.assessment


def test_bad_tracks_are_left_out(predictor: Predictor, dataset: PreparedDataset) -> None:
    tracks = dataset.tracks.copy()
    tracks.loc[tracks.track_id == "test-jazz-0", "status"] = "silent"
    evaluation = evaluate(predictor, replace(dataset, tracks=tracks))
    np.testing.assert_array_equal(evaluation.track_counts.sum(axis=1), [2, 1, 2])


def test_progress_is_told_after_each_track(predictor: Predictor, dataset: PreparedDataset) -> None:
    told: list[tuple[int, int, str]] = []
    evaluate(predictor, dataset, progress=lambda *step: told.append(step))
    assert told == [(done, 6, "tracks") for done in range(1, 7)]


@pytest.mark.parametrize(
    ("genres", "odd"),
    [(("blues", "jazz", "salsa"), "rock"), (("blues", "jazz"), "rock"),
     (("blues", "jazz", "rock", "salsa"), "salsa")],
)  # fmt: skip
def test_other_genres_are_refused_and_one_is_named(
    predictor: Predictor, dataset: PreparedDataset, genres: tuple[str, ...], odd: str
) -> None:
    with pytest.raises(DatasetError, match=f"tiny and tiny differ in their genres, in '{odd}'"):
        evaluate(predictor, replace(dataset, genres=genres))


@pytest.mark.parametrize("change", ["hop_length", "n_mels", "fmin", "scale"])
def test_another_front_end_is_refused(
    predictor: Predictor, dataset: PreparedDataset, change: str
) -> None:
    other = {
        "hop_length": replace(tiny.SPEC, hop_length=401),
        "n_mels": replace(tiny.SPEC, n_mels=17),
        "fmin": replace(tiny.SPEC, fmin=1.0),
        "scale": replace(tiny.SPEC, scale="minmax"),
    }
    with pytest.raises(DatasetError, match="another front end"):
        evaluate(predictor, replace(dataset, plan=Plan(spec=other[change])))


def test_an_empty_split_is_refused(predictor: Predictor, dataset: PreparedDataset) -> None:
    tracks = dataset.tracks[dataset.tracks.split != "test"].reset_index(drop=True)
    with pytest.raises(DatasetError, match="no usable track in the test split"):
        evaluate(predictor, replace(dataset, tracks=tracks))


def own(predictor: Predictor, dataset: PreparedDataset) -> Predictor:
    """Let the entry be one that was trained on the dataset."""
    trained_on = TrainedOn(
        name=dataset.name, split_digest=dataset.split_digest, counts=dataset.counts()
    )
    return Predictor(
        predictor.card.model_copy(update={"dataset": trained_on}), tiny.wavering, vote="majority"
    )


def test_tracks_that_were_trained_on_are_refused_or_stamped(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    trained = own(predictor, dataset)
    assert evaluate(trained, dataset).remarks == ()
    assert evaluate(predictor, dataset).remarks == (
        "nobody looked for leaks: another, that it was trained on, is not at hand",
    )
    assert "trained on: this is no test" in evaluate(trained, dataset, split="train").remarks[0]
    assert "chosen by" in evaluate(trained, dataset, split="valid").remarks[0]
    few = thinned(dataset, 5, rng=np.random.default_rng(0))
    said = "these are the tracks it was trained on: this is no test"
    assert evaluate(own(predictor, few), dataset, split="train").remarks == (f"5 of {said}",)
    assert evaluate(own(predictor, few), few, split="train").remarks == (said,)
    assert evaluate(own(predictor, few), dataset).remarks == ()
    split = dataset.tracks.split.replace({"train": "test", "test": "train"})
    turned = replace(dataset, tracks=dataset.tracks.assign(split=split))
    with pytest.raises(LeakError, match=r"12 of the 12 tracks .* --allow-leak"):
        evaluate(trained, turned, trained_on=dataset)
    with pytest.raises(LeakError, match="not at hand"):
        evaluate(trained, turned)
    allowed = evaluate(trained, turned, trained_on=dataset, allow_leak=True)
    assert allowed.remarks[0].startswith("LEAK ALLOWED: tiny was trained on, or chosen by, 12")
    assert allowed.is_leaky
    assert not evaluate(trained, dataset).is_leaky


def test_truth_among_the_most_probable_is_counted_as_scikit_learn_does(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    done = evaluate(Predictor(predictor.card, tiny.wavering, vote="mean"), dataset)
    expected = reference.top_k_accuracy_score(done.truth, done.probs, k=2, labels=[0, 1, 2])
    assert done.assessment.track["top2"].value == pytest.approx(expected)
    assert expected > done.assessment.track["accuracy"].value
    segments = np.concatenate([track.prediction.segment_probs for track in done.tracks])
    expected = reference.top_k_accuracy_score(done.truth.repeat(4), segments, k=2, labels=[0, 1, 2])
    assert done.assessment.segment["top2"].value == pytest.approx(expected)


def test_winner_of_a_tied_majority_is_the_first_of_all(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    # Four segments, all of different minds but for one: the mean breaks the tie, not the order.
    rows = np.array([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])

    def torn(inputs: Arrays) -> np.ndarray:
        return rows[np.arange(len(inputs[0])) % 4]

    done = evaluate(Predictor(predictor.card, torn, vote="majority"), dataset)
    assert {track.prediction.genre for track in done.tracks} == {"rock"}
    assert done.assessment.track["accuracy"].value == pytest.approx(1 / 3)
    assert done.assessment.track["top2"].value == pytest.approx(2 / 3)  # rock and blues


def test_mistakes_come_the_most_confident_first(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    done = evaluate(predictor, dataset, split="train")
    mistakes = done.mistakes()
    assert {track.track_id for track in mistakes} == {
        track.track_id for track, right in zip(done.tracks, done.right, strict=True) if not right
    }
    confidences = [track.prediction.confidence for track in mistakes]
    assert len(confidences) > 1
    assert confidences == sorted(confidences, reverse=True)


def test_tracks_of_genres_that_a_map_leaves_out_are_not_judged(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    (tmp_path / "map.yaml").write_text("blues: [jazz, rock]\njazz: blues\n")
    names = genre_maps.read(tmp_path / "map.yaml", dataset.genres, tiny.GENRES)
    done = evaluate(predictor, dataset, genre_map=names)
    assert done.genres == ("blues", "jazz")
    assert [track.truth for track in done.tracks] == ["blues", "blues", "jazz", "jazz"]
    assert done.remarks[1:] == ("2 tracks are of genres that the map leaves out",)
    assert done.track_counts.shape == (2, 2)
    plain = evaluate(predictor, dataset)
    for own, mapped in zip(plain.tracks[:4], done.tracks, strict=True):
        given = own.prediction.segment_probs
        expected = np.stack([given[:, 1] + given[:, 2], given[:, 0]], axis=1)
        np.testing.assert_allclose(mapped.prediction.segment_probs, expected)


def test_temperature_is_fitted_on_validation_tracks_and_told_of_the_tested_ones(
    tmp_path: Path,
) -> None:
    dataset, leans = faint(tmp_path), Predictor(tiny.card(), leaning)
    tested, valid = evaluate(leans, dataset), evaluate(leans, dataset, split="valid")
    found = calibrate(valid, tested, wanted=0.6)
    assert found.temperature == calibration.fit_temperature(valid.probs, valid.truth)
    assert found.temperature != calibration.fit_temperature(tested.probs, tested.truth)
    assert (found.n_tracks_fitted, found.trust.wanted) == (6, 0.6)
    before = calibration.reliability(tested.probs, tested.truth)
    assert (found.before.ece, found.before.log_loss) == pytest.approx((before.ece, before.log_loss))
    assert found.after.ece != found.before.ece


def test_pace_is_the_median_of_all_tracks_but_the_first(
    predictor: Predictor, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = iter([9.0, 1.0, 5.0, 2.0, 3.0, 4.0])  # of the six tracks; between them, ten
    clock = [0.0]

    def tick() -> float:
        begins = len(clock) % 2
        clock.append(clock[-1] + (10.0 if begins else next(spent)))
        return clock[-1]

    monkeypatch.setattr(judging, "perf_counter", tick)
    assert judging.pace(predictor, dataset, split="test") == pytest.approx(3.0)
