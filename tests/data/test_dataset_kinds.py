"""Prepared datasets of folds, and of features that are one row a track."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.data import prepared as datasets
from mgr_cli.data import store
from mgr_cli.data.dataset import COLUMNS, PreparedDataset, vector_kind
from mgr_cli.data.store import shard_path
from mgr_cli.errors import DatasetError
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.plans import Kind, Plan
from tests import shards
from tests.data.test_dataset import UNKNOWN, dataset

FOLDS = ("0", "1", "2", "0", "1", "2", "", "0")
NOTHING = [np.nan, np.nan]


def table(folds: str | tuple[str, ...], *, bad: int) -> pd.DataFrame:
    """Return the table of a track for each fold, one of them bad."""
    rows = [
        [f"t{n}", "", "rock", *UNKNOWN, 1.0, 8_000, "", "train", fold, "ok", "", ""]
        for n, fold in enumerate(folds)
    ]
    made = pd.DataFrame(rows, columns=list(COLUMNS))
    made.loc[bad, "status"] = "bad"
    return made


@pytest.fixture
def folded(tmp_path: Path) -> PreparedDataset:
    """Three folds of log-mels; the sixth track is bad, the seventh is in no fold."""
    levels = [np.full((2, 4), n, np.float32) for n in range(len(FOLDS))]
    shards.write_levels(shard_path(tmp_path / "log-mel", 0), levels)
    plan = Plan(("log-mel",), FeatureSpec(n_mels=2))
    tracks = table(FOLDS, bad=5)
    return PreparedDataset(tmp_path, "set", "folder", ("rock",), plan, tracks).tested_on(0)


def with_vectors(root: Path, kind: Kind = "table") -> PreparedDataset:
    """Return a dataset of four tracks with two features each; the third is bad."""
    rows = [np.array([[n, 10 * n]], np.float32) if n != 2 else None for n in range(4)]
    for first in range(0, 4, store.TRACKS_IN_SHARD):
        path = shard_path(root / kind, first // store.TRACKS_IN_SHARD)
        shards.write(path, rows[first : first + store.TRACKS_IN_SHARD], kind=kind)
    tracks = table("0121", bad=2)
    columns, origin = ("a", "b"), "a.csv"
    return PreparedDataset(
        root, "set", "table", ("rock",), Plan((kind,)), tracks, {}, columns, origin, "/music/a.csv"
    )


def test_folds_are_counted_and_the_tested_one_known(folded: PreparedDataset) -> None:
    assert (folded.n_folds, folded.tested_fold) == (3, 0)
    assert folded.tested_on(2).tested_fold == 2


def test_set_without_folds_has_none_and_says_how_to_get_some(tmp_path: Path) -> None:
    unfolded = dataset(tmp_path)
    assert (unfolded.n_folds, unfolded.tested_fold) == (0, None)
    with pytest.raises(DatasetError, match=r"no fold 0, it has none; .*`mgr prepare --folds`"):
        unfolded.tested_on(0)


@pytest.mark.parametrize("fold", [-1, 3])
def test_fold_that_is_not_there_is_refused(folded: PreparedDataset, fold: int) -> None:
    with pytest.raises(DatasetError, match=f"no fold {fold}, it has 3; .*counted from 0"):
        folded.tested_on(fold)


def test_another_fold_turns_the_splits_and_nothing_else(folded: PreparedDataset) -> None:
    turned = folded.tested_on(1)
    assert turned.numbers("test").tolist() == [1, 4]
    assert turned.numbers("valid").tolist() == [2]  # the other one of its fold is bad
    assert turned.numbers("train").tolist() == [0, 3, 7]
    assert turned.tracks.split[6] == ""  # in no fold, in no split
    pd.testing.assert_frame_equal(
        turned.tracks.drop(columns="split"), folded.tracks.drop(columns="split")
    )
    assert turned.split_digest != folded.split_digest
    assert turned.tested_on(0).split_digest == folded.split_digest


def test_normalisation_never_sees_the_tested_fold(folded: PreparedDataset) -> None:
    # Tracks are as loud as their numbers: 0, 3, 7 are trained on, then 1, 4, then 2 alone.
    means = [folded.tested_on(fold).normalisations["log-mel"].mean[0] for fold in (1, 2, 0)]
    np.testing.assert_allclose(means, [10 / 3, 2.5, 2])


def test_set_of_vectors_is_turned_and_normalised_column_by_column(tmp_path: Path) -> None:
    turned = with_vectors(tmp_path).tested_on(1)
    # Track 0 alone is trained on, and alone nothing of it moves.
    assert turned.normalisations == {"table": Normalisation((0.0, 0.0), (1e12, 1e12))}
    # Tracks 1 and 3 are: 1 and 3, 10 and 30.
    other = with_vectors(tmp_path).tested_on(2)
    assert other.normalisations["table"] == Normalisation((2.0, 20.0), (1.0, 10.0))
    assert turned.tracks.split.tolist() == ["train", "test", "valid", "test"]


@pytest.mark.parametrize("kind", ["handcrafted", "table"])
@pytest.mark.parametrize("in_shard", [2, 3, 256])
def test_vectors_are_one_row_a_track_and_no_numbers_where_it_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, in_shard: int
) -> None:
    monkeypatch.setattr(store, "TRACKS_IN_SHARD", in_shard)
    vectors = with_vectors(tmp_path, kind).vectors()
    np.testing.assert_array_equal(vectors, [[0, 0], [1, 10], NOTHING, [3, 30]])
    assert vectors.dtype == np.float32


def test_vectors_come_back_as_they_were_saved(tmp_path: Path) -> None:
    made = with_vectors(tmp_path)
    datasets.save(made, details={})
    loaded = datasets.load(tmp_path)
    assert loaded == made
    assert (loaded.columns, loaded.origin, loaded.source) == (("a", "b"), "a.csv", "/music/a.csv")


def test_features_that_were_not_prepared_are_refused_with_what_to_do(tmp_path: Path) -> None:
    pictures, vectors = dataset(tmp_path / "set"), with_vectors(tmp_path)
    with pytest.raises(DatasetError, match=r"no features of one row a track; .*handcrafted"):
        pictures.vectors()
    with pytest.raises(DatasetError, match="no waveform features, it has log-mel; make them"):
        pictures.reader("waveform")
    for act in (lambda: vectors.spec, lambda: vectors.inputs(["log-mel"], None), vectors.reader):
        with pytest.raises(DatasetError, match="no log-mel features, it has table; make them"):
            act()


def test_the_prepare_that_is_missing_is_named(tmp_path: Path) -> None:
    sound = replace(dataset(tmp_path), source="/music/mine", layout="folder")
    command = "make them with `mgr prepare /music/mine --features log-mel,waveform`"
    with pytest.raises(DatasetError, match=re.escape(command)):
        sound.inputs(["log-mel", "waveform"], SegmentSpec())
    pictures = replace(sound, layout="images")  # which have no waveform
    with pytest.raises(DatasetError, match="of the sound itself, with `mgr prepare FOLDER"):
        pictures.inputs(["waveform"], SegmentSpec())


def test_table_serves_where_handcrafted_features_are_asked_for(tmp_path: Path) -> None:
    inputs = with_vectors(tmp_path).tested_on(1).inputs(["handcrafted"], None)
    assert inputs.kinds == ("table",)
    assert inputs.dimensions == {"n_columns": 2}


def test_shards_that_are_gone_are_told(tmp_path: Path) -> None:
    made = with_vectors(tmp_path)
    shard_path(tmp_path / "table", 0).unlink()
    with pytest.raises(DatasetError, match=r"missing or damaged .*run `mgr prepare` again"):
        made.vectors()
    wrong = replace(made, plan=Plan(("handcrafted",)))
    with pytest.raises(DatasetError, match="missing or damaged"):
        wrong.vectors()


def test_kind_of_vectors_is_the_one_a_plan_has() -> None:
    assert vector_kind(Plan(("log-mel", "handcrafted"))) == "handcrafted"
    assert vector_kind(Plan(("table",))) == "table"
    assert vector_kind(Plan(("log-mel", "waveform"))) is None
