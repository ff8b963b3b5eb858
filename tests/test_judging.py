from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mgr_cli import compatibility, genre_maps, judging
from mgr_cli.config import FeatureSpec
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DatasetError
from mgr_cli.features import regridding
from mgr_cli.judging import Judged
from mgr_cli.plans import Plan
from mgr_cli.prediction import Predictor
from tests import tiny

# Half the rate in twice the steps: a quarter of the columns, of lower bands.
OTHER = replace(tiny.SPEC, sample_rate=4_000, hop_length=800, scale="minmax")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"), contrast=5.0)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(tiny.card(), tiny.wavering)


def made_with(dataset: PreparedDataset, spec: FeatureSpec) -> PreparedDataset:
    """Say of a dataset that another front end had made its features."""
    return replace(dataset, plan=Plan(spec=spec))


def judge(
    predictor: Predictor, dataset: PreparedDataset, *, regrid: bool
) -> tuple[list[Judged], tuple[str, ...]]:
    names = genre_maps.same(dataset.genres, tiny.GENRES, names=("tiny", "tiny"))
    return judging.judge(predictor, dataset, names, split="test", regrid=regrid)


def test_log_mels_of_another_front_end_are_translated_where_that_is_asked_for(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    other = made_with(dataset, replace(tiny.SPEC, hop_length=800, fmax=2_000.0))
    judged, remarks = judge(predictor, other, regrid=True)
    numbers = dataset.numbers("test").tolist()
    assert [each.track_id for each in judged] == dataset.tracks.track_id[numbers].tolist()
    for number, each in zip(numbers, judged, strict=True):
        levels = regridding.regrid(dataset.reader().frames(number), other.plan.spec, tiny.SPEC)
        assert levels.shape == (16, 80)  # twice as many columns as there were
        expected = predictor.from_features(levels).segment_probs
        np.testing.assert_array_equal(each.prediction.segment_probs, expected)
        assert len(expected) == 8
        assert each.prediction.seconds == 2.0  # as the table has it
    assert remarks == (
        "tiny was translated to the front end of tiny: 16 bands of 0-2,000 Hz were shared out to "
        "16 bands of 0-4,000 Hz; 4 of these lie where nothing was heard, and are silent; pictures "
        "of 10 columns a second were stretched to 20, which adds no detail",
    )


def test_own_features_are_not_translated(predictor: Predictor, dataset: PreparedDataset) -> None:
    (plain, nothing), (asked, remarks) = (
        judge(predictor, dataset, regrid=regrid) for regrid in (False, True)
    )
    assert nothing == remarks == ()
    for one, other in zip(plain, asked, strict=True):
        np.testing.assert_array_equal(one.prediction.probs, other.prediction.probs)


def test_translation_has_to_be_asked_for(predictor: Predictor, dataset: PreparedDataset) -> None:
    with pytest.raises(DatasetError, match=r"sample_rate is 4000, expected 8000.*by --regrid$"):
        judge(predictor, made_with(dataset, OTHER), regrid=False)


def test_translation_is_not_offered_where_it_cannot_help(
    predictor: Predictor, dataset: PreparedDataset
) -> None:
    far = made_with(dataset, replace(tiny.SPEC, sample_rate=44_100, fmin=9_000.0))
    assert not compatibility.can_regrid(far, predictor.card)
    with pytest.raises(DatasetError) as caught:
        judge(predictor, far, regrid=False)
    assert "--regrid" not in str(caught.value)
    with pytest.raises(DatasetError, match="--regrid cannot help: it translates log-mels alone"):
        judge(predictor, far, regrid=True)


def test_log_mels_alone_are_translated(predictor: Predictor, dataset: PreparedDataset) -> None:
    other = made_with(dataset, OTHER)
    assert compatibility.can_regrid(other, predictor.card)
    for eats in (("waveform",), ("log-mel", "waveform"), ("handcrafted",)):
        card = predictor.card.model_copy(update={"eats": eats})
        assert not compatibility.can_regrid(other, card)
    waves = replace(dataset, plan=Plan(kinds=("waveform",), spec=OTHER))
    assert not compatibility.can_regrid(waves, predictor.card)


def test_sound_is_judged_instead_unless_translation_is_asked_for(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in dataset.tracks.path:
        soundfile.write(tmp_path / name, rng.uniform(-0.5, 0.5, 16_000), 8_000)
    heard = replace(made_with(dataset, OTHER), source=str(tmp_path))
    _, remarks = judge(predictor, heard, regrid=False)
    assert remarks == ("judged from the sound: tiny was prepared for other ears",)
    _, remarks = judge(predictor, heard, regrid=True)
    assert remarks[0].startswith("tiny was translated")
