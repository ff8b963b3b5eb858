import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands.workspace import run


def test_newest_entry_is_judged_on_its_test_split(inside: Path) -> None:
    record = json.loads(run("eval", "--json").stdout)
    assert (record["model"], record["dataset"], record["split"]) == ("sounds", "songs", "test")
    assert record["n_tracks"] == 3
    confusion = np.array(record["confusion"]["track"])
    assert record["track"]["accuracy"]["value"] == pytest.approx(confusion.trace() / 3)
    assert np.array(record["confusion"]["segment"]).sum() == record["n_segments"]


def test_table_gives_both_levels_with_intervals(inside: Path) -> None:
    shown = run("eval", "--split", "train", env={"COLUMNS": "120"}).stdout
    assert "18 tracks (mean vote)" in shown
    assert "18 segments" in shown
    for name in ("accuracy", "F1 macro", "F1 weighted", "precision", "recall"):
        assert name in shown


def test_confusion_is_drawn_in_the_terminal_and_as_a_picture(inside: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "confusion.png"
    result = run("eval", "--confusion", "--png", target, env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "hiss" in result.stdout.split("true genre")[1]
    with Image.open(target) as picture:
        assert picture.width > 300
        assert len(set(picture.convert("L").tobytes())) > 50  # it is not blank


def test_record_writes_the_figures_to_the_card_and_nothing_else(
    inside: Path, tmp_path: Path
) -> None:
    shutil.copytree("zoo", tmp_path / "zoo")
    before = json.loads((tmp_path / "zoo/sounds/card.json").read_text())
    printed = json.loads(run("eval", "--zoo", tmp_path / "zoo", "--record", "--json").stdout)
    after = json.loads((tmp_path / "zoo/sounds/card.json").read_text())
    assert after["figures"].pop("test")["track"] == printed["track"]
    assert after == before


def test_other_genres_are_refused(inside: Path, tmp_path: Path) -> None:
    shutil.copytree("songs", tmp_path / "songs", ignore=shutil.ignore_patterns("hum"))
    run("prepare", tmp_path / "songs", "--prepared", tmp_path, "--name", "two", "--jobs", 1)
    result = run("eval", "--data", tmp_path / "two")
    assert result.exit_code == 2
    assert "'hum'" in result.stderr


def test_entry_of_a_fold_is_judged_on_that_fold(inside: Path, tmp_path: Path) -> None:
    places = ("--prepared", tmp_path / "prepared")
    made = run("prepare", inside / "songs", *places, "--folds", 4, "--jobs", 1)
    assert made.exit_code == 0, made.stderr
    trained = run(
        "train", "--arch", "cnn1d-lstm", "--fold", 2, "--epochs", 1, "--name", "third",
        *places, "--zoo", tmp_path / "zoo", "--device", "cpu",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    card = json.loads((tmp_path / "zoo/third/card.json").read_text())
    assert card["dataset"]["fold"] == 2
    judged = run("eval", "--model", tmp_path / "zoo/third", *places, "--json")
    assert judged.exit_code == 0, judged.stderr
    assert "was not trained on this split" not in judged.stderr
    assert json.loads(judged.stdout)["n_tracks"] == 6
    refused = run("train", "--fold", 4, *places, "--zoo", tmp_path / "zoo")
    assert refused.exit_code == 2
    assert "no fold 4, it has 4" in refused.stderr
