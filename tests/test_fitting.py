"""Pipelines from a prepared dataset to an entry; each of them is in models/test_classical."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

from mgr_cli import engines, fitting, publication
from mgr_cli.config import SEGMENTS
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import ArchitectureError, DatasetError, TrainingError, ZooError
from mgr_cli.evaluation import evaluate
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.features.statistics import summarise
from mgr_cli.inputs import tabulated
from mgr_cli.prediction import Predictor
from mgr_cli.preparation import prepare
from mgr_cli.zoo import borrowing, entries, weights
from mgr_cli.zoo.backbones import Backbone
from mgr_cli.zoo.card import load_card
from tests import tiny


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("levels"))


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Prepare 60 tracks of three genres with four columns, one of which says nothing."""
    folder = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    rows = ["track_id,genre,a,b,c,d"]
    for number in range(60):
        values = rng.normal([number % 3, -(number % 3), (number % 3) ** 2, 0], 0.3)
        rows.append(f"t{number},{tiny.GENRES[number % 3]}," + ",".join(map(str, values)))
    (folder / "songs.csv").write_text("\n".join(rows) + "\n")
    return prepare(folder / "songs.csv", target=folder / "prepared").dataset


def test_rows_of_a_table_are_taken_as_they_are() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(tabulated((x,)), x)


def test_log_mels_are_summed_up_over_time_segment_by_segment() -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 20)).astype(np.float32)
    rows = tabulated((x,))
    assert rows.shape == (3, 7 * 5)
    for segment, row in zip(x, rows, strict=True):
        np.testing.assert_allclose(row, summarise(segment).ravel(), rtol=1e-6)


def test_vectors_are_fitted_one_row_a_track(vectors: PreparedDataset) -> None:
    fitted = fitting.fit(vectors, "random-forest", hyperparameters={"n_estimators": 20}, seed=3)
    # By hand: the same forest on the same table.
    train = vectors.numbers("train")
    x = vectors.normalisations["table"].apply(vectors.vectors()[train].T).T
    forest = RandomForestClassifier(20, random_state=3).fit(x, vectors.labels(train))
    valid = vectors.vectors()[vectors.numbers("valid")]
    rows = vectors.normalisations["table"].apply(valid.T).T
    np.testing.assert_allclose(
        fitted.pipeline.predict_proba(rows), forest.predict_proba(rows), atol=1e-12
    )
    assert (fitted.segments, fitted.inputs.kinds) == (None, ("table",))
    assert fitted.hyperparameters["n_estimators"] == 20


def test_log_mels_are_fitted_segment_by_segment(levels: PreparedDataset) -> None:
    fitted = fitting.fit(levels, "nearest-centroid")
    assert (fitted.segments, fitted.inputs.kinds) == (SEGMENTS, ("log-mel",))
    assert fitted.pipeline.n_features_in_ == 7 * 16


@pytest.mark.parametrize("name", ["random-forest", "svc-rbf", "vote-knn-rf-gnb"])
@pytest.mark.parametrize("kind", ["vectors", "levels"])
def test_entry_judges_as_the_pipeline_does_and_better_than_chance(
    kind: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dataset: PreparedDataset = request.getfixturevalue(kind)
    folder = publication.publish(fitting.fit(dataset, name), dataset, tmp_path)
    card = load_card(folder)
    assert (card.architecture, card.recipe, card.best_epoch) == (name, None, 0)
    assert card.weights.file == "model.skops"
    assert "fitted on the train split" in card.provenance
    assert set(card.versions) == {"mgr-cli", "numpy", "scikit-learn", "skops"}
    assert entries.verify(folder).difference == 0.0
    found = evaluate(Predictor.load(folder, device="cpu"), dataset, split="test")
    assert found.assessment.track["accuracy"].value > 0.8  # chance is a third


def test_same_seed_makes_the_same_entry(vectors: PreparedDataset, tmp_path: Path) -> None:
    cards = [
        load_card(publication.publish(fitting.fit(vectors, "mlp", seed=s), vectors, tmp_path / n))
        for n, s in (("a", 1), ("b", 1), ("c", 2))
    ]
    digests = [card.weights.sha256 for card in cards]
    assert digests[0] == digests[1] != digests[2]


def test_what_scikit_learn_remarks_is_kept_and_not_printed(
    vectors: PreparedDataset, recwarn: pytest.WarningsRecorder
) -> None:
    fitted = fitting.fit(vectors, "mlp", hyperparameters={"max_iter": 2})
    assert len(fitted.notes) == 1
    assert "hasn't converged" in fitted.notes[0]
    assert "\n" not in fitted.notes[0]
    assert not recwarn.list
    assert fitting.fit(vectors, "ridge").notes == ()


def test_song_is_judged_by_its_log_mels(levels: PreparedDataset, tmp_path: Path) -> None:
    folder = publication.publish(fitting.fit(levels, "ridge"), levels, tmp_path)
    predictor = Predictor.load(folder, device="cpu")
    rng = np.random.default_rng(5)
    for label, genre in enumerate(tiny.GENRES):
        prediction = predictor.from_features(tiny.levels(label, rng))
        assert prediction.genre == genre
        assert prediction.probs.sum() == pytest.approx(1)
    assert predictor.from_waveform(rng.normal(0, 0.1, 24_000)).genre in tiny.GENRES


def test_pipeline_that_was_changed_is_refused(vectors: PreparedDataset, tmp_path: Path) -> None:
    folder = publication.publish(fitting.fit(vectors, "ridge"), vectors, tmp_path)
    path = folder / weights.PIPELINE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ZooError, match="it was changed or damaged"):
        Predictor.load(folder)


def test_pipeline_that_does_not_fit_its_card_is_refused(
    vectors: PreparedDataset, levels: PreparedDataset, tmp_path: Path
) -> None:
    folder = publication.publish(fitting.fit(vectors, "ridge"), vectors, tmp_path)
    card = load_card(folder)
    bands = Normalisation((0.0,) * 3, (1.0,) * 3)
    fewer = card.model_copy(update={"columns": card.columns[:3], "normalisation": {"table": bands}})
    with pytest.raises(ZooError, match="does not fit its card"):
        weights.load_model(folder, fewer)
    with pytest.raises(ZooError, match="does not fit its card"):
        weights.load_model(folder, card.model_copy(update={"classes": ("a", "b")}))
    by_levels = publication.publish(fitting.fit(levels, "ridge"), levels, tmp_path)
    other = load_card(by_levels).model_copy(update={"weights": card.weights})
    with pytest.raises(ZooError, match="does not fit its card"):
        weights.load_model(folder, other)


def test_what_cannot_be_fitted_is_refused(
    vectors: PreparedDataset, levels: PreparedDataset
) -> None:
    with pytest.raises(ArchitectureError, match="did you mean random-forest"):
        fitting.fit(vectors, "random-florest")
    with pytest.raises(ArchitectureError, match="no hyper-parameter 'depth'"):
        fitting.fit(vectors, "ridge", hyperparameters={"depth": 3})
    gone = vectors.tracks[(vectors.tracks.split != "train") | (vectors.tracks.genre != "rock")]
    with pytest.raises(TrainingError, match="no track of 'rock' in the train split"):
        fitting.fit(replace(vectors, tracks=gone.reset_index(drop=True)), "ridge")
    waves = replace(levels, plan=replace(levels.plan, kinds=("waveform",)))
    with pytest.raises(DatasetError, match="no log-mel features, it has waveform"):
        fitting.fit(waves, "ridge")


# A grid, and borrowed nets.


@pytest.fixture
def pool() -> Iterator[Parallel]:
    with engines.workers(n_jobs=1) as workers:
        yield workers


@pytest.fixture(scope="module")
def eye() -> Backbone:
    """Borrow ResNet-50's last features, of weights that nobody has trained."""
    return borrowing.borrow(
        "resnet50", "avg_pool", weights="random", sample_rate=tiny.SPEC.sample_rate, seed=0
    )


def test_grid_is_searched_over_what_is_not_given(vectors: PreparedDataset, pool: Parallel) -> None:
    fitted = fitting.fit(vectors, "svc-rbf", pool=pool)
    assert fitted.search is not None
    assert len(fitted.search.candidates) == 12
    assert fitted.hyperparameters == {**fitted.search.best.values}
    assert fitted.hyperparameters["c"] == fitted.pipeline["classify"].C
    given = fitting.fit(vectors, "svc-rbf", hyperparameters={"c": 3.0}, pool=pool)
    assert given.search is not None
    assert [list(each.values) for each in given.search.candidates] == [["gamma"]] * 3
    assert given.hyperparameters["c"] == 3.0
    fixed = fitting.fit(vectors, "svc-rbf", hyperparameters={"c": 3.0, "gamma": 0.1}, pool=pool)
    assert fixed.search is None
    assert fitting.fit(vectors, "knn", pool=pool).search is None  # it has none


def test_search_is_on_the_card(vectors: PreparedDataset, pool: Parallel, tmp_path: Path) -> None:
    fitted = fitting.fit(vectors, "linear-svc", pool=pool)
    card = load_card(publication.publish(fitted, vectors, tmp_path))
    assert card.search == fitted.search
    assert card.hyperparameters == fitted.hyperparameters


def test_rows_are_read_once_and_scaled_once_for_fits_that_share_it(
    vectors: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_scaled = []
    scale = StandardScaler.fit_transform

    def counted(scaler: StandardScaler, rows: np.ndarray) -> np.ndarray:
        n_scaled.append(len(rows))
        return np.asarray(scale(scaler, rows))

    monkeypatch.setattr(StandardScaler, "fit_transform", counted)
    fitter = fitting.Fitter(vectors)
    monkeypatch.setattr(PreparedDataset, "track", None)
    alone = [fitter.fit(name) for name in ("ridge", "sgd", "random-forest")]
    assert len(n_scaled) == 1
    monkeypatch.undo()
    for fitted in alone:
        again = fitting.fit(vectors, fitted.architecture).pipeline
        x = fitter.table.rows
        np.testing.assert_array_equal(fitted.pipeline.predict(x), again.predict(x))
        assert fitter.accuracy(fitted) == again.score(x, fitter.table.labels)


def test_artists_are_the_groups_where_they_are_known(vectors: PreparedDataset) -> None:
    assert len(set(fitting.Fitter(vectors).table.groups)) == vectors.counts()["train"]
    artists = vectors.tracks.assign(artist=[f"a{n % 7}" for n in range(len(vectors.tracks))])
    table = fitting.Fitter(replace(vectors, tracks=artists)).table
    assert sorted(set(table.groups)) == [f"a{n}" for n in range(7)]


def test_segments_are_as_long_as_is_asked(levels: PreparedDataset) -> None:
    halves = fitting.Fitter(levels, segments=tiny.SEGMENTS)  # 0.5 s of tracks of 2 s
    assert halves.table.rows.shape == (12 * 4, 7 * 16)
    assert len(set(halves.table.groups)) == 12
    assert len(fitting.Fitter(levels).table.rows) == 12


def test_segments_of_whole_tracks_are_refused(vectors: PreparedDataset) -> None:
    with pytest.raises(TrainingError, match="one row a track; leave segments out"):
        fitting.Fitter(vectors, segments=tiny.SEGMENTS)


def test_what_scikit_learn_refuses_is_one_line(vectors: PreparedDataset) -> None:
    few = vectors.tracks.groupby(["split", "genre"]).head(1).reset_index(drop=True)
    with pytest.raises(TrainingError, match="mlp cannot be fitted: ") as refused:
        fitting.fit(replace(vectors, tracks=few), "mlp", hyperparameters={"early_stopping": True})
    assert "\n" not in str(refused.value)


def test_borrowed_net_makes_the_rows_and_its_entry_is_whole(
    levels: PreparedDataset, eye: Backbone, pool: Parallel, tmp_path: Path
) -> None:
    eye = replace(eye, cache=tmp_path / "cache")
    fitter = fitting.Fitter(levels, backbone=eye)
    assert fitter.table.rows.shape == (12, 2_048)
    chosen = {"cut": "avg_pool", "classifier": "linear-svc", "pca": 0.9}
    fitted = fitter.fit("resnet50", chosen, pool=pool)
    assert fitted.search is not None
    assert fitted.search.n_folds == 4  # tracks of a genre
    assert fitted.pipeline["pca"].explained_variance_ratio_.sum() >= 0.9
    folder = publication.publish(fitted, levels, tmp_path / "zoo")
    card = load_card(folder)
    assert card.borrowed is not None
    assert [file.file for file in card.borrowed.files] == ["backbone.safetensors"]
    assert card.borrowed.origin == "random weights of seed 0, which nobody has trained"
    assert card.hyperparameters == {**chosen, "c": fitted.search.best.values["c"], "max_iter": 1000}
    assert set(card.normalisation["log-mel"].std) == {1.0}  # a picture has its own range
    assert entries.verify(folder).difference == 0.0
    # Bright bands are in other places, and even eyes that never learnt see that.
    found = evaluate(Predictor.load(folder, device="cpu"), levels, split="test")
    assert found.assessment.track["accuracy"].value > 0.8
    extraction, classification = fitting.pace(fitted, levels, n_tracks=2)
    assert extraction > classification > 0


@pytest.mark.slow
def test_fresh_process_gives_exactly_what_the_fitting_process_gave(
    levels: PreparedDataset, vectors: PreparedDataset, eye: Backbone, tmp_path: Path
) -> None:
    chosen = {"cut": "avg_pool", "classifier": "mlp"}
    by_eye = fitting.fit(levels, "resnet50", hyperparameters=chosen, backbone=eye)
    fits = [
        (by_eye, levels),
        (fitting.fit(levels, "hist-gradient-boosting"), levels),
        (fitting.fit(vectors, "vote-mlp-rf-svc"), vectors),
    ]
    program = (
        "import sys, numpy as np; from pathlib import Path; import mgr_cli\n"
        "predictor = mgr_cli.Predictor.load(Path(sys.argv[1]), device='cpu', runtime='torch')\n"
        "for x in np.load(sys.argv[2]):\n"
        "    sys.stdout.write(predictor.from_features(x).segment_probs.tobytes().hex() + chr(10))"
    )
    for fitted, dataset in fits:
        folder = publication.publish(fitted, dataset, tmp_path)
        kind = fitted.inputs.kinds[0]
        tracks = [dataset.track(int(number)) for number in dataset.numbers("test")[:3]]
        x = np.stack([track.read(kind, 0, track.n_rows(kind)) for track in tracks])
        np.save(tmp_path / "x.npy", x)
        told = subprocess.run(
            [sys.executable, "-c", program, str(folder), str(tmp_path / "x.npy")],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        here = Predictor(load_card(folder), weights.score_with(fitted.judge, load_card(folder)))
        assert told == [here.from_features(each).segment_probs.tobytes().hex() for each in x]
