from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance as reference
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from mgr_cli import fitting, importance, publication
from mgr_cli.config import VOTE_RULES, VoteRule
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DatasetError, MgrError
from mgr_cli.evaluation import evaluate
from mgr_cli.features import naming
from mgr_cli.importance import Importances, impurity, permutation
from mgr_cli.inputs import Arrays, tabulated
from mgr_cli.models import registry
from mgr_cli.plans import Plan
from mgr_cli.prediction import Predictor
from mgr_cli.preparation import prepare
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card, load_card
from tests import tiny

COLUMNS = ("pitch.mean.1", "pitch.mean.2", "pitch.mean.3", "noise_1", "noise_2", "zcr")


def surely(labels: np.ndarray) -> np.ndarray:
    return np.asarray(np.eye(3)[labels])


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("levels"), contrast=5.0)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Prepare 150 tracks with three copies of a telling column, two of noise and a vague one."""
    folder = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    rows = ["track_id,genre," + ",".join(COLUMNS)]
    for number in range(150):
        label = number % 3
        noise = rng.normal(size=2)
        values = [label, label, label, *noise, label + rng.normal()]
        rows.append(f"t{number},{tiny.GENRES[label]}," + ",".join(map(str, values)))
    (folder / "songs.csv").write_text("\n".join(rows) + "\n")
    return prepare(folder / "songs.csv", target=folder / "prepared").dataset


def card_of(dataset: PreparedDataset) -> Card:
    """Make the card of an entry that takes a row a track."""
    own = {"eats": ("table",), "columns": dataset.columns, "segments": None}
    return tiny.card().model_copy(update={**own, "normalisation": dataset.normalisations})


def rows_of(dataset: PreparedDataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the normalised rows of a split and their classes."""
    numbers = dataset.numbers(split)  # type: ignore[arg-type]
    rows = dataset.normalisations["table"].apply(dataset.vectors()[numbers].T).T
    return rows, dataset.labels(numbers)


def drops(found: Importances) -> dict[str, tuple[float, float]]:
    return {feature.name: (feature.value, feature.deviation) for feature in found.features}


@pytest.mark.parametrize("split", ["valid", "train"])
def test_columns_drop_as_scikit_learn_says(vectors: PreparedDataset, split: str) -> None:
    model = LogisticRegression(C=0.01).fit(*rows_of(vectors, "train"))
    predictor = Predictor(card_of(vectors), lambda inputs: model.predict_proba(inputs[0]))
    found = permutation(predictor, vectors, split=split, n_repeats=7, seed=3)  # type: ignore[arg-type]
    x, y = rows_of(vectors, split)
    expected = reference(model, x, y, scoring="accuracy", n_repeats=7, random_state=3)
    assert expected.importances_mean.max() > 0  # some count, or this test shows nothing
    pairs = zip(expected.importances_mean, expected.importances_std, strict=True)
    # The same differences of the same shares, up to the order of the sums.
    for name, pair in zip(vectors.columns, pairs, strict=True):
        assert drops(found)[name] == pytest.approx(pair, abs=1e-12)
    assert found.accuracy == pytest.approx(model.score(x, y))


def by_hand(
    predictor: Predictor, dataset: PreparedDataset, group_of: np.ndarray, *, n_repeats: int
) -> np.ndarray:
    """Shuffle decibels between segments, put the tracks together again, and predict them."""
    numbers = dataset.numbers("valid")
    tracks = np.stack([dataset.reader().frames(number) for number in numbers])  # in dB
    n_segments = tiny.N_FRAMES // tiny.LENGTH
    segments = np.concatenate([np.stack(np.split(track, n_segments, axis=1)) for track in tracks])
    truth = dataset.tracks.genre.iloc[numbers].tolist()

    def accuracy(mixed: np.ndarray) -> float:
        put = np.split(mixed, len(tracks))
        said = [predictor.from_features(np.concatenate(own, axis=1)).genre for own in put]
        return float(np.mean([a == b for a, b in zip(said, truth, strict=True)]))

    found = np.zeros((group_of.max() + 1, n_repeats))
    for group in range(len(found)):
        # How scikit-learn draws: one permutation upon the other, the same for every feature.
        rng = np.random.RandomState(np.random.RandomState(1).randint(2**31))
        order, mixed = np.arange(len(segments)), segments.copy()
        for repeat in range(n_repeats):
            rng.shuffle(order)
            own = group_of == group
            mixed[:, own] = mixed[order][:, own]
            found[group, repeat] = accuracy(segments) - accuracy(mixed)
    return found


@pytest.mark.parametrize("vote", VOTE_RULES)
@pytest.mark.parametrize("n_runs", [16, 3])
def test_bands_and_registers_drop_as_by_hand(
    levels: PreparedDataset, vote: VoteRule, n_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "N_RUNS", n_runs)
    predictor = Predictor(tiny.card(), tiny.wavering, vote=vote)
    found = permutation(predictor, levels, n_repeats=3, seed=1)
    runs = naming.runs(tiny.SPEC, n_runs)
    run_of_band = naming.run_of_band(16, n_runs)
    expected = by_hand(predictor, levels, run_of_band, n_repeats=3)
    assert expected.any()
    for (name, _), each in zip(runs, expected, strict=True):
        assert drops(found)[name] == pytest.approx((each.mean(), each.std()), abs=1e-12)
    registers = list(dict.fromkeys(register for _, register in runs))
    register_of_band = np.array([registers.index(runs[run][1]) for run in run_of_band])
    together = by_hand(predictor, levels, register_of_band, n_repeats=3)
    assert len(registers) > 1
    for name, each in zip(registers, together, strict=True):
        (family,) = [family for family in found.families if family.name == name]
        assert (family.together, family.deviation) == pytest.approx(
            (each.mean(), each.std()), abs=1e-12
        )


@pytest.mark.parametrize("vote", VOTE_RULES)
def test_accuracy_with_nothing_shuffled_is_that_of_the_evaluation(
    levels: PreparedDataset, vote: VoteRule
) -> None:
    predictor = Predictor(tiny.card(), tiny.wavering, vote=vote)
    expected = evaluate(predictor, levels, split="train").assessment.track["accuracy"].value
    assert 0 < expected < 1
    assert permutation(predictor, levels, split="train", n_repeats=1).accuracy == expected


def test_the_entrys_order_of_classes_counts_not_the_datasets(
    levels: PreparedDataset, tmp_path: Path
) -> None:
    turned = tiny.dataset(tmp_path, contrast=5.0, genres=("rock", "blues", "jazz"))
    predictor = Predictor(tiny.card(), tiny.wavering)
    one, two = (permutation(predictor, each, n_repeats=2) for each in (levels, turned))
    assert one == two


def test_only_the_column_that_decides_counts(vectors: PreparedDataset) -> None:
    rows, truth = rows_of(vectors, "train")
    place = vectors.columns.index("zcr")
    edges = np.quantile(rows[:, place], [1 / 3, 2 / 3])

    def by_one_column(inputs: Arrays) -> np.ndarray:
        return surely(np.digitize(inputs[0][:, place], edges))

    predictor = Predictor(card_of(vectors), by_one_column)
    first, *others = permutation(predictor, vectors, split="train", n_repeats=40).features
    assert (first.name, first.family) == ("zcr", "zcr")
    # Shuffled, what is said has nothing to do with the truth; 40 times are a sample of that.
    said = np.digitize(rows[:, place], edges)
    by_chance = (np.bincount(said) / len(said)) @ (np.bincount(truth) / len(truth))
    expected = np.mean(said == truth) - by_chance
    assert expected > 0.1
    assert first.value == pytest.approx(expected, abs=4 * first.deviation / 40**0.5)
    assert all((other.value, other.deviation) == (0, 0) for other in others)


def test_what_stands_in_for_another_is_seen_when_all_are_shuffled_together(
    vectors: PreparedDataset,
) -> None:
    # Any two of the three copies outvote the third.
    def by_median(inputs: Arrays) -> np.ndarray:
        return surely(np.digitize(np.median(inputs[0][:, :3], axis=1), [-0.6, 0.6]))

    predictor = Predictor(card_of(vectors), by_median)
    found = permutation(predictor, vectors, split="train", n_repeats=20)
    assert found.accuracy == 1
    assert all(feature.value == 0 for feature in found.features)
    pitch, *others = found.families
    assert (pitch.name, pitch.n_features, pitch.total) == ("pitch", 3, 0)
    # Chance is a third; of 40 tracks a class the mean over 20 permutations is within 2 points.
    assert pitch.together == pytest.approx(2 / 3, abs=0.02)
    assert all(family.together == 0 for family in others)


def test_families_sum_up_their_features_and_the_most_important_is_first(
    levels: PreparedDataset,
) -> None:
    found = permutation(Predictor(tiny.card(), tiny.wavering), levels, split="train", n_repeats=2)
    values = [feature.value for feature in found.features]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 2
    ranks = [family.importance for family in found.families]
    assert ranks == sorted(ranks, reverse=True)
    assert sum(family.n_features for family in found.families) == len(values)
    for family in found.families:
        own = [each.value for each in found.features if each.family == family.name]
        assert family.n_features == len(own)
        assert family.total == pytest.approx(sum(own))


def test_same_seed_shuffles_alike(levels: PreparedDataset) -> None:
    predictor = Predictor(tiny.card(), tiny.wavering)
    one, again, other = (
        permutation(predictor, levels, split="train", n_repeats=2, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other


def test_model_is_given_no_more_segments_at_a_time_than_it_takes(levels: PreparedDataset) -> None:
    given: list[int] = []

    def score(inputs: Arrays) -> np.ndarray:
        given.append(len(inputs[0]))
        return tiny.wavering(inputs)

    predictor = Predictor(tiny.card(), score)
    whole = permutation(predictor, levels, split="train", n_repeats=1)
    assert max(given) == 48  # twelve tracks of four segments
    predictor.at_once = 7
    given.clear()
    assert permutation(predictor, levels, split="train", n_repeats=1) == whole
    assert given[:7] == [7, 7, 7, 7, 7, 7, 6]
    assert max(given) == 7


def test_progress_tells_of_tracks_and_then_of_judgements(levels: PreparedDataset) -> None:
    told: list[tuple[int, int, str]] = []
    predictor = Predictor(tiny.card(), tiny.wavering)
    found = permutation(predictor, levels, n_repeats=2, progress=lambda *step: told.append(step))
    n_judgements = 2 + 2 * (16 + len(found.families))
    assert told == [(done, 6, "tracks") for done in range(1, 7)] + [
        (done, n_judgements, "judgements") for done in range(1, n_judgements + 1)
    ]


@pytest.mark.parametrize("eats", [("waveform",), ("log-mel", "waveform")])
def test_waveforms_are_refused(levels: PreparedDataset, eats: tuple[str, ...]) -> None:
    card = tiny.card().model_copy(
        update={"eats": eats, "normalisation": dict.fromkeys(eats, tiny.NORMALISATION)}
    )
    with pytest.raises(MgrError, match="tiny takes waveforms, and no sample means anything alone"):
        permutation(Predictor(card, tiny.wavering), levels)


def test_dataset_that_the_entry_cannot_judge_is_refused(levels: PreparedDataset) -> None:
    predictor = Predictor(tiny.card(), tiny.wavering)
    with pytest.raises(DatasetError, match="differ in their genres, in 'rock'"):
        permutation(predictor, replace(levels, genres=("blues", "jazz")))
    other = replace(levels, plan=Plan(spec=replace(tiny.SPEC, fmin=1.0)))
    with pytest.raises(DatasetError, match="another front end"):
        permutation(predictor, other)
    gone = levels.tracks[levels.tracks.split != "valid"].reset_index(drop=True)
    with pytest.raises(DatasetError, match="no usable track in the valid split"):
        permutation(predictor, replace(levels, tracks=gone))


@pytest.mark.parametrize("name", importance.TREES)
def test_impurities_are_those_of_scikit_learn(
    vectors: PreparedDataset, name: str, tmp_path: Path
) -> None:
    changes = {} if name == "decision-tree" else {"n_estimators": 10}
    fitted = fitting.fit(vectors, name, hyperparameters=changes)
    folder = publication.publish(fitted, vectors, tmp_path)
    card = load_card(folder)
    found = impurity(weights.load_model(folder, card), card)
    expected = fitted.pipeline[-1].feature_importances_
    values = {feature.name: feature.value for feature in found.features}
    assert [values[name] for name in vectors.columns] == pytest.approx(expected, abs=1e-12)
    assert {family.name: family.total for family in found.families} == pytest.approx(
        {"pitch": expected[:3].sum(), "noise": expected[3:5].sum(), "zcr": expected[5]}, abs=1e-12
    )
    assert found.features[0].family == found.families[0].name == "pitch"
    assert found.accuracy is None
    assert all(family.together is None for family in found.families)


def test_forest_on_log_mels_names_the_statistic_and_the_band_that_decide() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    x = rng.normal(size=(60, 16, 200)).astype(np.float32)
    x[:, 7] *= 1 + labels[:, None]  # genres differ in how one band moves, not in its level
    forest = RandomForestClassifier(30, random_state=0).fit(tabulated((x,)), labels)
    card = tiny.card().model_copy(update={"architecture": "random-forest"})
    found = impurity(weights.Judge(Pipeline([("classify", forest)])), card)
    band = naming.runs(tiny.SPEC, 16)[7][0]
    assert found.features[0].name == f"std of {band}"
    assert {feature.name for feature in found.features[:3]} == {
        f"{statistic} of {band}" for statistic in ("std", "max", "min")
    }
    assert [family.n_features for family in found.families] == 7 * [16]
    assert sum(family.total for family in found.families) == pytest.approx(1)


def test_trees_are_the_classical_rows_that_have_impurities() -> None:
    pipelines = {
        name: registry.build_pipeline(name, seed=0, changes=registry.hyperparameters(name, {}))
        for name in registry.CLASSICAL
    }
    assert set(importance.TREES) == {
        name for name, made in pipelines.items() if hasattr(type(made[-1]), "feature_importances_")
    }


def test_what_has_no_impurities_is_told_what_has() -> None:
    with pytest.raises(MgrError, match=r"tiny \(short-chunk-resnet\) has no impurities, as random"):
        impurity(tiny.net(), tiny.card())
