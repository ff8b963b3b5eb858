import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from mgr_cli import calibration, votes
from mgr_cli.config import Split
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import ZooError
from mgr_cli.evaluation import Evaluation, calibrate, evaluate
from mgr_cli.findings import record, recorded
from mgr_cli.prediction import Predictor
from mgr_cli.zoo.card import CARD, load_card
from tests import tiny
from tests.test_appraisal import faint, leaning


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"), contrast=5.0)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(tiny.card(), tiny.wavering, vote="majority")


def test_recording_writes_what_came_of_the_split_and_nothing_else(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder = tiny.entry(tmp_path)
    before = json.loads((folder / CARD).read_text())
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != CARD}
    valid, test = evaluate(predictor, dataset, split="valid"), evaluate(predictor, dataset)
    record(folder, valid)
    record(folder, replace(valid, split="test"))
    record(folder, test)  # again: the last one counts
    card = load_card(folder)
    assert card.figures == {"valid": valid.assessment, "test": test.assessment}
    assert card.failures.keys() == {"valid", "test"}
    wrong = reference.confusion_matrix(
        [track.truth for track in test.tracks], [track.prediction.genre for track in test.tracks],
        labels=list(tiny.GENRES),
    )  # fmt: skip
    found = card.failures["test"]
    assert [each.n_right for each in found.recalls] == wrong.diagonal().tolist()
    for each in found.confusions:
        place = tiny.GENRES.index(each.truth), tiny.GENRES.index(each.said)
        assert each.n_taken == wrong[place]
    assert sum(each.n_taken for each in found.confusions) == (~test.right).sum() > 0
    after = json.loads((folder / CARD).read_text())
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed == {"figures", "failures", "looks"}
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != CARD} == files


def test_a_look_is_a_judgement_that_the_card_did_not_have(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder = tiny.entry(tmp_path)

    def looks(found: Evaluation) -> dict[Split, int]:
        record(folder, found)
        return load_card(folder).looks

    test = evaluate(predictor, dataset)
    assert looks(test) == {"test": 1}
    assert looks(test) == {"test": 1}  # the same again
    others = [evaluate(predictor, dataset, seed=seed) for seed in range(2, 7)]
    assert any(other.assessment != test.assessment for other in others)
    assert [looks(other) for other in others] == [{"test": 1}] * 5  # other intervals alone
    assert looks(evaluate(predictor, dataset, split="valid")) == {"test": 1, "valid": 1}
    voted = evaluate(Predictor(predictor.card, tiny.wavering, vote="mean"), dataset)
    assert looks(voted) == {"test": 2, "valid": 1}
    assert looks(test) == {"test": 3, "valid": 1}  # back again, and looked at all the same


def test_figures_from_before_looks_were_counted_are_one(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    test = evaluate(predictor, dataset)
    old = tiny.card().model_copy(update={"figures": {"test": test.assessment}})
    assert recorded(old, test)["looks"] == {"test": 1}
    others = replace(test.assessment, n_segments=23)
    assert recorded(old.model_copy(update={"figures": {"test": others}}), test)["looks"] == {
        "test": 2
    }
    # A score that they did not have is no other judgement; one that differs is.
    score = {"accuracy": test.assessment.track["accuracy"]}
    fewer = replace(test.assessment, track=score, segment={})
    assert recorded(old.model_copy(update={"figures": {"test": fewer}}), test)["looks"] == {
        "test": 1
    }
    moved = replace(fewer, track={"accuracy": replace(score["accuracy"], value=0.123)})
    assert recorded(old.model_copy(update={"figures": {"test": moved}}), test)["looks"] == {
        "test": 2
    }


def test_what_was_judged_in_other_genres_is_not_recorded(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder = tiny.entry(tmp_path)
    before = (folder / CARD).read_bytes()
    with pytest.raises(ValueError, match="expected the entry's"):
        record(folder, replace(evaluate(predictor, dataset), genres=("blues", "jazz", "pop")))
    assert (folder / CARD).read_bytes() == before


def test_recording_needs_a_card(
    predictor: Predictor, dataset: PreparedDataset, tmp_path: Path
) -> None:
    done = evaluate(predictor, dataset)
    with pytest.raises(ZooError, match="no zoo entry"):
        record(tmp_path, done)
    assert list(tmp_path.iterdir()) == []


def test_a_recorded_calibration_is_what_the_entry_does_from_then_on(tmp_path: Path) -> None:
    folder, dataset = tiny.entry(tmp_path), faint(tmp_path / "data")

    def judged() -> Evaluation:
        return evaluate(Predictor(load_card(folder), leaning), dataset, split="valid")

    first = judged()
    found = calibrate(first, first, wanted=0.6)
    record(folder, first, calibrated=found)
    card, second = load_card(folder), judged()
    assert (card.temperature, card.trust) == (found.temperature, found.trust)
    np.testing.assert_allclose(second.probs, votes.tempered(first.probs, card.temperature))
    assert calibration.reliability(second.probs, second.truth).ece == pytest.approx(found.after.ece)
    # No answer has changed, and as many are believed as were to be.
    assert second.assessment == first.assessment
    assert {track.prediction.temperature for track in second.tracks} == {card.temperature}
    assert 0 < found.trust.coverage < 1
    unsure = [track.prediction.is_unsure for track in second.tracks]
    assert unsure.count(False) == round(found.trust.coverage * 6)
    # What is fitted again is fitted to what was tempered already.
    again = calibrate(second, second)
    assert again.temperature == pytest.approx(1, abs=1e-3)
    record(folder, second, calibrated=replace(again, temperature=1.5))
    assert load_card(folder).temperature == pytest.approx(1.5 * card.temperature)
    record(folder, second, calibrated=replace(again, temperature=20.0))
    record(folder, second, calibrated=replace(again, temperature=20.0))
    assert load_card(folder).temperature == calibration.TEMPERATURES[1]
