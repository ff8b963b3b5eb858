import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mgr_cli.config import FeatureSpec
from mgr_cli.data import prepared as datasets
from mgr_cli.data import splits, store
from mgr_cli.data.dataset import COLUMNS, PreparedDataset, StoredTrack, moments
from mgr_cli.data.store import ShardReader, shard_path
from mgr_cli.errors import DatasetError
from mgr_cli.features.normalisation import LARGEST, Normalisation
from mgr_cli.plans import Kind, Plan
from tests import shards

# (track_id, genre, split, status); "NA" and "1e5" are what CSV readers like to convert.
ROWS = [
    ("NA", "rock", "train", "ok"),
    ("1e5", "blues", "test", "ok"),
    ("002", "rock", "train", "blank, every pixel is 0"),
    ("a,b", "blues", "train", "ok"),
    ('q"', "rock", "", "ok"),
    ("é", "rock", "valid", "ok"),
]


UNKNOWN = ("", "NA", "", "")  # genres, artist, album, title


def dataset(root: Path) -> PreparedDataset:
    table = pd.DataFrame(
        [
            (
                *(track, f"{track}.png", genre, *UNKNOWN, 29.976, 44_100, "PNG"),
                *(split, "", status, "ab", ""),
            )
            for track, genre, split, status in ROWS
        ],
        columns=list(COLUMNS),
    )
    return PreparedDataset(
        root=root,
        name="set",
        layout="images",
        genres=("blues", "rock"),
        plan=Plan(spec=FeatureSpec(n_mels=2, fmin=20.0, decimation=1293 / 387.5)),
        normalisations={"log-mel": Normalisation((0.1, -1 / 3), (1.0, 2.5))},
        tracks=table,
    )


@pytest.fixture
def saved(tmp_path: Path) -> PreparedDataset:
    made = dataset(tmp_path / "set")
    datasets.save(made, details={"seed": 7})
    return made


def describe(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = root / datasets.DESCRIPTION
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def test_dataset_comes_back_as_it_was_saved(saved: PreparedDataset) -> None:
    loaded = datasets.load(saved.root)
    assert loaded == saved
    pd.testing.assert_frame_equal(loaded.tracks, saved.tracks, check_dtype=False)


def test_saving_twice_writes_the_same_bytes(saved: PreparedDataset) -> None:
    before = {path.name: path.read_bytes() for path in saved.root.iterdir()}
    assert set(before) == {"dataset.json", "tracks.csv"}
    datasets.save(datasets.load(saved.root), details={"seed": 7})
    assert {path.name: path.read_bytes() for path in saved.root.iterdir()} == before


def test_description_says_what_a_reader_needs(saved: PreparedDataset) -> None:
    description = json.loads((saved.root / "dataset.json").read_text())
    assert description["counts"] == {"train": 2, "valid": 1, "test": 1}
    assert description["genres"] == ["blues", "rock"]
    assert description["plan"]["spec"]["fmin"] == 20.0
    assert description["seed"] == 7
    assert description["split_digest"] == splits.digest(
        {track: split for track, _, split, _ in ROWS}
    )


def test_description_is_gone_while_the_table_is_written(
    saved: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run that is killed in between must not leave an old description with a new table.
    def fail(target: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets, "write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        datasets.save(saved, details={})
    with pytest.raises(DatasetError, match="no prepared dataset"):
        datasets.load(saved.root)


def test_numbers_are_rows_of_usable_tracks(saved: PreparedDataset) -> None:
    assert saved.numbers("train").tolist() == [0, 3]
    assert saved.numbers("valid").tolist() == [5]
    assert saved.numbers("test").tolist() == [1]


def test_labels_are_places_in_the_list_of_genres(saved: PreparedDataset) -> None:
    labels = saved.labels(np.array([0, 3, 5]))
    assert labels.tolist() == [1, 0, 1]
    assert labels.dtype == np.int64


def test_split_without_usable_tracks_is_an_error(saved: PreparedDataset) -> None:
    tracks = saved.tracks.assign(status="bad")
    with pytest.raises(DatasetError, match="no usable track in the valid split"):
        replace(saved, tracks=tracks).numbers("valid")


def test_counts_leave_out_what_cannot_be_used(saved: PreparedDataset) -> None:
    assert saved.counts() == {"train": 2, "valid": 1, "test": 1}


def test_missing_dataset_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no prepared dataset; make one with `mgr prepare`"):
        datasets.load(tmp_path)


def test_dataset_without_its_table_is_none(saved: PreparedDataset) -> None:
    (saved.root / datasets.TRACKS).unlink()
    with pytest.raises(DatasetError, match="no prepared dataset"):
        datasets.load(saved.root)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("genres"),
        lambda d: d.update(format_version=1),
        lambda d: d.update(plan={}),
        lambda d: d["plan"].update(kinds=[]),
        lambda d: d["plan"].update(kinds=["cqt"]),
        lambda d: d["plan"].update(min_seconds=2.0, max_seconds=1.0),
        lambda d: d["plan"]["spec"].update(n_fft=1),
        lambda d: d["plan"]["spec"].update(n_fft="2048"),
        lambda d: d["plan"]["spec"].update(scale="bark"),
        lambda d: d["plan"]["spec"].update(unknown=1),
        lambda d: d["normalisations"]["log-mel"].update(std=[1.0, 0.0]),
        lambda d: d["normalisations"]["log-mel"].update(std=[1.0]),
        lambda d: d.update(split_digest="0"),
    ],
)
def test_damaged_description_is_an_error(
    saved: PreparedDataset, change: Callable[[dict[str, Any]], object]
) -> None:
    describe(saved.root, change)
    with pytest.raises(DatasetError, match=r"damaged .*; run `mgr prepare` again"):
        datasets.load(saved.root)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff"])
def test_description_that_is_no_object_is_an_error(saved: PreparedDataset, data: bytes) -> None:
    (saved.root / datasets.DESCRIPTION).write_bytes(data)
    with pytest.raises(DatasetError, match="damaged"):
        datasets.load(saved.root)


def test_split_that_was_edited_is_noticed(saved: PreparedDataset) -> None:
    table = saved.root / datasets.TRACKS
    table.write_text(table.read_text().replace("test,,ok", "train,,ok"))
    with pytest.raises(DatasetError, match=r"tracks\.csv was changed after it was prepared"):
        datasets.load(saved.root)


def test_table_without_a_column_is_damaged(saved: PreparedDataset) -> None:
    table = saved.root / datasets.TRACKS
    table.write_text(table.read_text().replace("genre", "style", 1))
    with pytest.raises(DatasetError, match="damaged"):
        datasets.load(saved.root)


def test_newest_is_the_one_that_was_prepared_last(tmp_path: Path) -> None:
    for age, name in enumerate(["b", "c", "a"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").touch()
        os.utime(tmp_path / name / "dataset.json", (1_000 - age, 1_000 - age))
    (tmp_path / "unfinished").mkdir()
    assert datasets.newest(tmp_path) == tmp_path / "b"


@pytest.mark.parametrize("name", [".", "absent"])
def test_no_dataset_at_all_says_how_to_make_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="make one with `mgr prepare FOLDER`"):
        datasets.newest(tmp_path / name)


def test_normalisation_is_numpys_over_the_frames_of_the_tracks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "TRACKS_IN_SHARD", 2)
    rng = np.random.default_rng(0)
    mean, std = np.array([[-70], [0.5], [3]]), np.array([[9], [0.1], [0]])
    tracks = [rng.normal(mean, std, (3, n)) for n in (5, 80, 33, 1)]
    for shard in range(2):
        pair = tracks[2 * shard : 2 * shard + 2]
        shards.write_levels(shard_path(tmp_path, shard), pair)
    readers: dict[Kind, ShardReader] = {"log-mel": ShardReader(tmp_path)}
    normalisation = moments("log-mel", [StoredTrack(readers, number) for number in (0, 1, 3)])
    frames = np.concatenate([tracks[n] for n in (0, 1, 3)], axis=1).astype(np.float16)
    expected = frames.astype(np.float64)
    np.testing.assert_allclose(normalisation.mean, expected.mean(axis=1), rtol=1e-12)
    # E[x²] - E[x]² in float64 loses what the mean is above the deviation, squared: 1e-14.
    np.testing.assert_allclose(normalisation.std[:2], expected.std(axis=1)[:2], rtol=1e-11)
    assert normalisation.std[2] == LARGEST  # a band that never changes


def test_band_that_stands_still_in_training_is_nothing_afterwards(tmp_path: Path) -> None:
    levels = np.stack([np.arange(999.0), np.full(999, 1234.5), np.full(999, -0.1)])
    shards.write_levels(shard_path(tmp_path, 0), [levels])
    reader = ShardReader(tmp_path)
    found = moments("log-mel", [StoredTrack({"log-mel": reader}, 0)])
    later = np.array([[499.0], [60_000.0], [7.0]], np.float32)
    np.testing.assert_allclose(found.apply(later), 0, atol=1e-6)


def test_normalised_training_frames_have_mean_0_and_deviation_1(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).normal(-40, 12, (4, 500)).astype(np.float32)
    shards.write_levels(shard_path(tmp_path, 0), [levels])
    reader = ShardReader(tmp_path)
    found = moments("log-mel", [StoredTrack({"log-mel": reader}, 0)])
    normalised = found.apply(reader.frames(0))
    np.testing.assert_allclose(normalised.mean(axis=1), 0, atol=1e-5)  # float32
    np.testing.assert_allclose(normalised.std(axis=1), 1, atol=1e-5)
