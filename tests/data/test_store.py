import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mgr_cli.data import store
from mgr_cli.data.store import Outcome, ShardReader, read_outcomes, shard_path
from mgr_cli.errors import DatasetError
from tests import shards

GOOD = Outcome("ok", 29.976, 44_100, "MP3", "libsndfile 1.2.2", "ab" * 32)
BAD = Outcome("blank, every pixel is 0")


def levels(n_frames: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-80, 0, (4, n_frames)).astype(np.float32)


def write(path: Path, features: list[np.ndarray | None], *, inputs: str = "x") -> Path:
    outcomes = [BAD if array is None else GOOD for array in features]
    rows = [None if array is None else array.T for array in features]
    return shards.write(path, rows, inputs=inputs, outcomes=outcomes)


def test_outcomes_come_back_as_they_were(tmp_path: Path) -> None:
    path = write(tmp_path / "s", [levels(3), None])
    assert read_outcomes(path, inputs="x") == [GOOD, BAD]


def test_features_come_back_rounded_to_half_precision(tmp_path: Path) -> None:
    first, third = levels(5), levels(9, seed=1)
    write(shard_path(tmp_path, 0), [first, None, third])
    reader = ShardReader(tmp_path)
    for number, array in ((0, first), (2, third)):
        frames = reader.frames(number)
        assert frames.dtype == np.float32
        assert reader.n_rows(number) == array.shape[1]
        # float16 has 11 significant bits: half of the last one is 2 ** -11 at the most.
        np.testing.assert_allclose(frames, array, rtol=2**-11)
        np.testing.assert_array_equal(frames, array.astype(np.float16))


def test_some_frames_are_a_slice_of_all(tmp_path: Path) -> None:
    write(shard_path(tmp_path, 0), [levels(10)])
    reader = ShardReader(tmp_path)
    whole = reader.frames(0)
    np.testing.assert_array_equal(reader.frames(0, 3, 7), whole[:, 3:7])
    np.testing.assert_array_equal(reader.frames(0, 6), whole[:, 6:])
    np.testing.assert_array_equal(reader.frames(0, 8, 12), whole[:, 8:])


def test_transposed_features_are_stored_as_they_look(tmp_path: Path) -> None:
    array = levels(6).T.copy().T  # not contiguous
    write(shard_path(tmp_path, 0), [array])
    np.testing.assert_array_equal(ShardReader(tmp_path).frames(0), array.astype(np.float16))


def test_track_is_found_by_its_number_in_the_whole_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "TRACKS_IN_SHARD", 3)
    for shard in range(2):
        arrays = [np.full((4, 2), 10 * shard + key, np.float32) for key in range(3)]
        write(shard_path(tmp_path, shard), [*arrays])
    reader = ShardReader(tmp_path)
    assert [reader.frames(number)[0, 0] for number in range(6)] == [0, 1, 2, 10, 11, 12]


def test_same_features_are_the_same_bytes(tmp_path: Path) -> None:
    features = [levels(3), None, levels(5, seed=2)]
    assert (
        write(tmp_path / "a", features).read_bytes() == write(tmp_path / "b", features).read_bytes()
    )


def test_shard_is_plain_safetensors(tmp_path: Path) -> None:
    path = write(tmp_path / "s", [levels(3), None, levels(5)])
    tensors = load_file(path)
    assert sorted(tensors) == ["00000", "00002"]
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float16)}


def test_shard_of_bad_tracks_alone_can_be_kept(tmp_path: Path) -> None:
    assert read_outcomes(write(tmp_path / "s", [None, None]), inputs="x") == [BAD, BAD]


def test_shard_of_other_inputs_is_not_taken(tmp_path: Path) -> None:
    assert read_outcomes(write(tmp_path / "s", [levels(3)]), inputs="y") is None


def test_missing_shard_is_not_taken(tmp_path: Path) -> None:
    assert read_outcomes(tmp_path / "s", inputs="x") is None


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.99])
def test_truncated_shard_is_not_taken(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "s", [levels(300)])
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert read_outcomes(path, inputs="x") is None


@pytest.mark.parametrize(
    "record",
    [
        None,
        "no json",
        "[]",
        json.dumps({"inputs": "x"}),
        json.dumps({"inputs": "x", "outcomes": [{"status": "ok", "unknown": 1}]}),
        json.dumps({"inputs": "x", "outcomes": [{"seconds": 1.0}]}),
        json.dumps({"inputs": "x", "outcomes": [7]}),
    ],
)
def test_shard_with_a_strange_record_is_not_taken(tmp_path: Path, record: str | None) -> None:
    metadata = None if record is None else {"mgr": record}
    save_file({"00000": np.zeros((4, 2), np.float16)}, tmp_path / "s", metadata=metadata)
    assert read_outcomes(tmp_path / "s", inputs="x") is None


def test_missing_shard_and_bad_track_are_errors_that_say_what_to_do(tmp_path: Path) -> None:
    write(shard_path(tmp_path, 0), [None, levels(3)])
    reader = ShardReader(tmp_path)
    for number in (0, 2, store.TRACKS_IN_SHARD):
        with pytest.raises(DatasetError, match=r"missing or damaged .*run `mgr prepare` again"):
            reader.frames(number)
    assert reader.n_rows(1) == 3


def test_damaged_shard_is_an_error(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 0)
    write(path, [levels(3)])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="shard-00000"):
        ShardReader(tmp_path).frames(0)


def test_reader_goes_to_workers_without_its_handles(tmp_path: Path) -> None:
    write(shard_path(tmp_path, 0), [levels(3)])
    reader = ShardReader(tmp_path)
    expected = reader.frames(0)  # opens the shard
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).frames(0), expected)


def test_shard_is_replaced_whole_while_it_is_read(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 0)
    write(path, [levels(3)])
    reader = ShardReader(tmp_path)
    before = reader.frames(0)
    write(path, [levels(3, seed=9)])
    np.testing.assert_array_equal(reader.frames(0), before)
    assert not np.array_equal(ShardReader(tmp_path).frames(0), before)


def test_outcome_of_a_bad_track_has_nothing_but_its_status() -> None:
    assert replace(BAD, status="ok") == Outcome("ok", 0.0, 0, "", "", "")
