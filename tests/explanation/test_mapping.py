from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import TSNE
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mgr_cli.config import Projection, Split
from mgr_cli.data.dataset import PreparedDataset, StoredTrack
from mgr_cli.errors import DatasetError, MgrError
from mgr_cli.explanation import mapping, projections
from mgr_cli.explanation.mapping import Map
from mgr_cli.inputs import Arrays, tabulated
from mgr_cli.models.classical import gaussian_nb
from mgr_cli.prediction import Predictor
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card
from mgr_cli.zoo.weights import Judge
from tests import tiny


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"), contrast=8.0)


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return tiny.net()


@pytest.fixture(scope="module")
def judge(dataset: PreparedDataset) -> Judge:
    rows, labels = by_hand(dataset, "train", None)
    return Judge(gaussian_nb(seed=0).fit(rows, labels))


def by_hand(
    dataset: PreparedDataset, split: Split, net: torch.nn.Module | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return a row a track, of embeddings or of features, and their classes."""
    rows, labels = [], []
    for number, row in enumerate(dataset.tracks.itertuples()):
        if row.split == split:
            levels = tiny.NORMALISATION.apply(dataset.reader().frames(number))
            segments = np.stack(np.split(levels, 4, axis=1)).astype(np.float32)
            if net is None:
                own = tabulated((segments,))
            else:
                with torch.inference_mode():
                    own = getattr(net, "embed")(torch.from_numpy(segments)).numpy()  # noqa: B009
            rows.append(own.astype(np.float64).mean(axis=0))
            labels.append(tiny.GENRES.index(str(row.genre)))
    return np.stack(rows), np.array(labels)


def survey(
    model: "weights.Model", dataset: PreparedDataset, projection: Projection, **options: object
) -> Map:
    return mapping.survey(model, tiny.card(), dataset, projection=projection, **options)  # type: ignore[arg-type]


def test_pca_is_that_of_the_embeddings_of_the_split(
    net: torch.nn.Module, dataset: PreparedDataset
) -> None:
    found = survey(net, dataset, "pca", split="train", n_dimensions=3)
    rows, labels = by_hand(dataset, "train", net)
    pca = PCA(3, random_state=0)
    expected = pca.fit_transform(StandardScaler().fit_transform(rows))
    np.testing.assert_allclose(found.coordinates, expected, atol=1e-4)  # batches of other sizes
    assert (found.of, found.n_columns) == ("embeddings", rows.shape[1])
    shares = 100 * pca.explained_variance_ratio_
    assert found.axes == tuple(
        f"component {place} ({share:.1f} % of the variance)"
        for place, share in enumerate(shares, start=1)
    )
    assert [tiny.GENRES.index(track.truth) for track in found.tracks] == labels.tolist()


def test_lda_is_fitted_on_the_training_split_alone(judge: Judge, dataset: PreparedDataset) -> None:
    found = survey(judge, dataset, "lda", split="test")
    train, classes = by_hand(dataset, "train", None)
    scaler = StandardScaler().fit(train)
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    lda.fit(scaler.transform(train), classes)
    expected = lda.transform(scaler.transform(by_hand(dataset, "test", None)[0]))
    assert len(found.tracks) == 6
    np.testing.assert_allclose(found.coordinates, expected[:, :2], rtol=1e-6, atol=1e-6)
    assert "None of the tracks shown was fitted on" in found.remark
    assert all(caption.endswith("fitted on train") for caption in found.axes)
    on_itself = survey(judge, dataset, "lda", split="train")
    assert "those very tracks" in on_itself.remark
    expected = lda.transform(scaler.transform(train))
    np.testing.assert_allclose(on_itself.coordinates, expected[:, :2], rtol=1e-6, atol=1e-6)


def test_t_sne_is_scikit_learns_and_a_seed_gives_the_same(
    judge: Judge, dataset: PreparedDataset
) -> None:
    found = survey(judge, dataset, "tsne", split="train", seed=3)
    rows = StandardScaler().fit_transform(by_hand(dataset, "train", None)[0])
    expected = TSNE(perplexity=11 / 3, init="pca", random_state=3).fit_transform(rows)
    np.testing.assert_array_equal(found.coordinates, expected)
    again = survey(judge, dataset, "tsne", split="train", seed=3)
    np.testing.assert_array_equal(found.coordinates, again.coordinates)
    assert all("mean nothing" in caption for caption in found.axes)


@pytest.mark.parametrize(("n", "perplexity"), [(4, 1.0), (61, 20.0), (91, 30.0), (100, 30.0)])
def test_perplexity_is_a_third_of_the_others_thirty_at_the_most(
    n: int, perplexity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def told(self: TSNE, rows: np.ndarray) -> np.ndarray:
        asked.append(self.perplexity)
        return rows[:, :2]

    monkeypatch.setattr(TSNE, "fit_transform", told)
    projections.neighbours(np.zeros((n, 5)), n_dimensions=2)
    assert asked == [perplexity]


def test_what_is_said_of_a_track_is_what_the_predictor_says(
    net: torch.nn.Module, judge: Judge, dataset: PreparedDataset
) -> None:
    card = replace_temperature(2.5)
    for model, of in ((net, "embeddings"), (net, "features"), (judge, "features")):
        found = mapping.survey(model, card, dataset, projection="pca", of=of, split="test")  # type: ignore[arg-type]
        predictor = Predictor(card, weights.score_with(model, card))
        for track, number in zip(found.tracks, dataset.numbers("test").tolist(), strict=True):
            expected = predictor.judge(dataset.track(number))
            assert track.track_id == dataset.tracks.track_id[number]
            assert track.prediction.genre == expected.genre
            np.testing.assert_allclose(track.prediction.probs, expected.probs, atol=1e-6)


def replace_temperature(temperature: float) -> Card:
    return tiny.card().model_copy(update={"temperature": temperature})


def test_map_is_of_embeddings_where_a_net_makes_some(
    net: torch.nn.Module, judge: Judge, dataset: PreparedDataset
) -> None:
    assert survey(net, dataset, "pca").of == "embeddings"
    assert survey(judge, dataset, "pca").of == "features"
    of_net, of_judge = (survey(each, dataset, "pca", of="features") for each in (net, judge))
    np.testing.assert_array_equal(of_net.coordinates, of_judge.coordinates)
    assert of_net.n_columns == 7 * 16


def test_rows_that_a_borrowed_net_makes_are_its_embeddings(dataset: PreparedDataset) -> None:
    class Loudness:
        """A stand-in for a backbone: the mean level of each band."""

        def rows(self, arrays: Arrays) -> np.ndarray:
            return np.asarray(arrays[0].mean(axis=2))

    numbers = dataset.numbers("valid")
    means = np.stack([dataset.reader().frames(number).mean(axis=1) for number in numbers.tolist()])
    rows = (means + 40) / 10  # normalised; four segments of equal length have the track's mean
    model = Judge(gaussian_nb(seed=0).fit(rows, dataset.labels(numbers)), Loudness())  # type: ignore[arg-type]
    found = survey(model, dataset, "pca", split="valid")
    assert (found.of, found.n_columns) == ("embeddings", 16)
    expected = PCA(2).fit_transform(StandardScaler().fit_transform(rows))
    np.testing.assert_allclose(np.abs(found.coordinates), np.abs(expected), atol=1e-3)
    for number, track in zip(numbers.tolist(), found.tracks, strict=True):
        quarters = np.stack(np.split(dataset.reader().frames(number), 4, axis=1)).mean(axis=2)
        probs = model.pipeline.predict_proba((quarters + 40) / 10)
        np.testing.assert_allclose(track.prediction.segment_probs, probs, atol=1e-3)


def test_trust_is_that_of_a_leave_one_out_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    rows = rng.normal(size=(60, 6)) + 1.2 * np.eye(3).repeat(2, axis=1)[labels]
    flat = rows[:, :2]
    found = projections.trusted(rows, flat, labels)
    for points, share in ((rows, found.in_all), (flat, found.on_map)):
        judge = KNeighborsClassifier(5)
        assert share == pytest.approx(
            cross_val_score(judge, points, labels, cv=LeaveOneOut()).mean()
        )
    assert found.in_all > found.on_map > found.commonest
    assert found.commonest == max(np.bincount(labels)) / 60
    assert projections.trusted(rows[:3], flat[:3], labels[:3]).n_neighbours == 2


def test_share_of_a_discriminant_is_scikit_learns_where_nothing_is_shrunk() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(4).repeat([12_000, 1_000, 2_000, 5_000])
    rows = (
        rng.normal(size=(20_000, 3)) * (1, 2, 3)
        + np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [3, 4, 2]])[labels]
    )
    _, axes = projections.discriminant(rows, (rows, labels), n_dimensions=3)
    exact = LinearDiscriminantAnalysis().fit(rows, labels).explained_variance_ratio_
    shares = [float(caption.split("(")[1].split(" %")[0]) for caption in axes]
    # The shrinkage of so many tracks is under a hundredth.
    np.testing.assert_allclose(shares, 100 * exact, atol=0.5)
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_rows_of_more_columns_than_lda_can_hold_are_brought_to_components(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(3).repeat(20)
    rows = rng.normal(size=(60, 80)) + 3 * np.eye(3, 80)[labels]
    monkeypatch.setattr(projections, "MOST_COLUMNS", 79)
    found, _ = projections.discriminant(rows, (rows, labels), n_dimensions=2)
    pca = PCA(0.99)
    components = pca.fit_transform(rows)
    assert 3 < components.shape[1] < 60
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    expected = lda.fit(components, labels).transform(components)[:, :2]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-6)  # signs are arbitrary


@pytest.mark.parametrize(
    ("projection", "options", "word"),
    [
        ("lda", {"n_dimensions": 3}, "LDA of 3 genres has at most 2 dimensions, not 3"),
        ("pca", {"of": "embeddings"}, "is no net, and embeds nothing"),
    ],
)
def test_what_cannot_be_mapped_is_said_in_one_line(
    judge: Judge, dataset: PreparedDataset, projection: Projection, options: dict[str, object],
    word: str,
) -> None:  # fmt: skip
    with pytest.raises(MgrError, match=word) as caught:
        survey(judge, dataset, projection, **options)
    assert "\n" not in str(caught.value)


def test_too_few_tracks_are_no_map() -> None:
    with pytest.raises(MgrError, match="3 tracks, or columns, are too few for t-SNE"):
        projections.neighbours(np.zeros((3, 5)), n_dimensions=2)
    with pytest.raises(MgrError, match="2 tracks, or columns, are too few for a PCA"):
        projections.principal(np.zeros((2, 5)), n_dimensions=3)
    with pytest.raises(MgrError, match="two training tracks"):
        projections.discriminant(np.zeros((3, 5)), (np.eye(3, 5), np.arange(3)), n_dimensions=2)


def test_dataset_of_other_genres_is_refused(net: torch.nn.Module, dataset: PreparedDataset) -> None:
    other = replace(dataset, genres=("blues", "jazz", "folk"))
    with pytest.raises(DatasetError):
        survey(net, other, "pca")


def test_samples_are_no_features(net: torch.nn.Module, dataset: PreparedDataset) -> None:
    card = tiny.card().model_copy(update={"eats": ("waveform",)})
    with pytest.raises(MgrError, match="takes waveforms"):
        mapping._place_of_features(card)
    both = tiny.card().model_copy(update={"eats": ("waveform", "log-mel")})
    assert mapping._place_of_features(both) == 1


def test_each_track_is_read_once(
    net: torch.nn.Module, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    own = PreparedDataset.track

    def noted(self: PreparedDataset, number: int) -> StoredTrack:
        read.append(number)
        return own(self, number)

    monkeypatch.setattr(PreparedDataset, "track", noted)
    survey(net, dataset, "lda", split="test")
    numbers = [*dataset.numbers("test").tolist(), *dataset.numbers("train").tolist()]
    assert sorted(read) == sorted(numbers)


def test_progress_counts_the_tracks(
    net: torch.nn.Module, dataset: PreparedDataset, tmp_path: Path
) -> None:
    told: list[tuple[int, int, str]] = []
    survey(net, dataset, "pca", split="valid", progress=lambda *each: told.append(each))
    assert told == [(done, 6, "tracks of valid") for done in range(1, 7)]
