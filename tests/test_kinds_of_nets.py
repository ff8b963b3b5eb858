"""Nets that eat waveforms, both kinds, or one row a track: from audio files to a prediction."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mgr_cli import publication, training
from mgr_cli.config import FeatureSpec, Recipe, SegmentSpec
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.sources import Wishes
from mgr_cli.errors import AudioError, DatasetError, ZooError
from mgr_cli.evaluation import evaluate
from mgr_cli.plans import AUDIO_KINDS
from mgr_cli.prediction import Predictor
from mgr_cli.preparation import prepare
from mgr_cli.trainer import Machine
from mgr_cli.zoo import entries
from mgr_cli.zoo import golden as golden_sample
from mgr_cli.zoo.card import load_card
from tests import audio_files, tiny

RATE = 16_000
SPEC = FeatureSpec(sample_rate=RATE, n_fft=512, hop_length=256, n_mels=16)
SEGMENTS = SegmentSpec(seconds=1.024, hop_seconds=1.024)  # two vectors of the wave encoder
RECIPES = {
    "wave-cnn1d": Recipe(epochs=8, batch_size=8, learning_rate=3e-3, gain=3.0, shift=0.2),
    "mm-crnn": Recipe(epochs=6, batch_size=8, learning_rate=3e-3, time_mask=0.1, mixup=0.1),
    "ffnn": Recipe(epochs=30, batch_size=8, learning_rate=1e-3, noise=0.1),
}


def song(label: int, copy: int) -> np.ndarray:
    """Return 3.2 s of a tone that is low, middling or high, and some noise."""
    rng = np.random.default_rng([label, copy])
    t = np.arange(round(3.2 * RATE)) / RATE
    tone = np.sin(2 * np.pi * (150, 900, 4_000)[label] * rng.uniform(0.9, 1.1) * t)
    return (0.3 * tone + 0.02 * rng.standard_normal(t.size)).astype(np.float32)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music") / "songs"
    for label, genre in enumerate(tiny.GENRES):
        (folder / genre).mkdir(parents=True)
        for copy in range(10):
            path = folder / genre / f"{copy}.wav"
            audio_files.write(path, song(label, copy)[:, None], RATE)
    return folder


@pytest.fixture(scope="module")
def dataset(music: Path) -> PreparedDataset:
    wishes = Wishes(features=AUDIO_KINDS, spec=SPEC)
    return prepare(music, target=music.parent / "prepared", wishes=wishes).dataset


@pytest.fixture(scope="module", params=RECIPES)
def entry(
    request: pytest.FixtureRequest,
    dataset: PreparedDataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    trained = training.train(
        dataset, request.param, recipe=RECIPES[request.param], segments=SEGMENTS,
        machine=Machine(device="cpu"),
    )  # fmt: skip
    zoo = tmp_path_factory.mktemp("zoo")
    return publication.publish(trained, dataset, zoo, name=request.param)


def test_entry_tells_tones_apart(entry: Path, dataset: PreparedDataset) -> None:
    found = evaluate(Predictor.load(entry, device="cpu"), dataset, split="train")
    assert found.assessment.track["accuracy"].value > 0.9  # chance is a third
    assert found.assessment.n_segments == found.assessment.n_tracks * (
        1 if entry.name == "ffnn" else 3
    )


def test_file_is_judged_as_the_prepared_track_is(
    entry: Path, dataset: PreparedDataset, music: Path
) -> None:
    predictor = Predictor.load(entry, device="cpu")
    for number in (0, 11, 29):
        stored = predictor.judge(dataset.track(number))
        heard = predictor.from_file(music / dataset.tracks.path[number])
        # Shards hold log-mels in 16 bits: a few hundredths of a decibel.
        np.testing.assert_allclose(heard.segment_probs, stored.segment_probs, atol=5e-3)
        assert heard.seconds == pytest.approx(3.2)
        assert len(heard.starts) == len(stored.starts)
        again = predictor.from_waveform(
            song(number // 10, int(Path(dataset.tracks.path[number]).stem))
        )
        np.testing.assert_allclose(again.segment_probs, heard.segment_probs, atol=5e-3)


def test_entry_is_what_its_card_says(entry: Path) -> None:
    card = load_card(entry)
    assert entries.verify(entry).difference <= golden_sample.TOLERANCE
    assert card.eats == {
        "wave-cnn1d": ("waveform",), "mm-crnn": ("log-mel", "waveform"), "ffnn": ("handcrafted",)
    }[entry.name]  # fmt: skip
    assert set(card.normalisation) == set(card.eats)
    assert (card.segments is None) == (entry.name == "ffnn")
    assert len(card.columns) == (518 if entry.name == "ffnn" else 0)


def test_file_too_short_for_what_is_computed_is_told(entry: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(entry, device="cpu")
    path = audio_files.write(tmp_path / "a.wav", song(0, 0)[: RATE // 9, None], RATE)
    if entry.name == "ffnn":  # a frame of 2,048 samples does not fit into 1,777
        with pytest.raises(AudioError, match=r"a\.wav: 1777 samples are too few for the 518"):
            predictor.from_file(path)
    else:
        assert predictor.from_file(path).padded


def test_where_other_features_were_prepared_the_sound_is_heard(
    entry: Path, dataset: PreparedDataset
) -> None:
    predictor = Predictor.load(entry, device="cpu")
    others = tuple(kind for kind in AUDIO_KINDS if kind not in predictor.card.eats)
    lacking = replace(dataset, plan=replace(dataset.plan, kinds=others))
    heard = evaluate(predictor, lacking, split="train")
    assert any("judged from the sound" in remark for remark in heard.remarks)
    # Waveforms are prepared with 16 bits, which the sound is not rounded to.
    own = evaluate(predictor, dataset, split="train")
    np.testing.assert_allclose(heard.probs, own.probs, atol=1e-3)


def test_features_of_another_kind_are_refused_where_there_is_no_sound(
    entry: Path, dataset: PreparedDataset
) -> None:
    card = load_card(entry)
    others = tuple(kind for kind in AUDIO_KINDS if kind not in card.eats)
    silent = replace(dataset, source="/nowhere")
    lacking = replace(silent, plan=replace(dataset.plan, kinds=others))
    with pytest.raises(DatasetError, match="make them with `mgr prepare"):
        evaluate(Predictor.load(entry, device="cpu"), lacking)
    other = replace(
        silent,
        plan=replace(dataset.plan, spec=replace(SPEC, sample_rate=8_000)),
        columns=dataset.columns[::-1],
    )
    with pytest.raises(DatasetError, match="another front end"):
        evaluate(Predictor.load(entry, device="cpu"), other)


def test_table_of_somebody_elses_features_is_judged_but_not_heard(
    tmp_path: Path, music: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = ["track_id,genre,a,b"]
    for number in range(30):
        a, b = rng.normal((number % 2, -(number % 2)), 0.2)
        rows.append(f"t{number},{'jazz' if number % 2 else 'rock'},{a},{b}")
    (tmp_path / "vggish.csv").write_text("\n".join(rows) + "\n")
    dataset = prepare(tmp_path / "vggish.csv", target=tmp_path / "prepared").dataset
    trained = training.train(
        dataset, "ffnn", recipe=RECIPES["ffnn"], hyperparameters={"layers": "8"},
        machine=Machine(device="cpu"),
    )  # fmt: skip
    folder = publication.publish(trained, dataset, tmp_path / "zoo")
    card = load_card(folder)
    assert (card.eats, card.columns) == (("table",), ("a", "b"))
    predictor = Predictor.load(folder, device="cpu")
    found = evaluate(predictor, dataset, split="train")
    assert found.assessment.track["accuracy"].value > 0.9
    with pytest.raises(ZooError, match="hears no sound"):
        predictor.from_file(music / "rock" / "0.wav")
