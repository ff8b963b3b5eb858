"""Runs of `prepare` after, beside and against each other: what is kept, and what is refused."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgr_cli.data import extraction, images, prepared, store
from mgr_cli.data import folder as folder_source
from mgr_cli.data.sources import ReadTrack, Wishes
from mgr_cli.errors import DatasetError
from mgr_cli.features import handcrafted
from mgr_cli.plans import AUDIO_KINDS, Kind, Plan
from mgr_cli.preparation import Dealing, Preparation, prepare
from tests.audio_files import tones, write
from tests.data.pictures import write_set
from tests.test_engines import contents

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "TRACKS_IN_SHARD", 4)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Ten tracks of two genres; the eighth has a rate too low for hand-crafted features."""
    for number in range(10):
        folder = tmp_path / "songs" / ("blues", "rock")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        rate = 8_000 if number == 7 else 22_050
        write(folder / f"{number}.wav", tones(1 + number / 10, rate), rate)
    return tmp_path / "songs"


def make(root: Path, target: Path, *kinds: Kind, **options: Any) -> Preparation:
    wishes = Wishes(features=kinds or None)
    return prepare(root, target=target, name="set", n_jobs=1, wishes=wishes, **options)


def test_all_kinds_of_features_are_there_and_belong_to_the_same_tracks(
    songs: Path, tmp_path: Path
) -> None:
    made = make(songs, tmp_path, *AUDIO_KINDS)
    dataset = prepared.load(tmp_path / "set")
    assert dataset == made.dataset
    assert [path for path, _ in made.bad] == ["rock/7.wav"]
    assert dataset.columns == handcrafted.NAMES
    vectors = dataset.vectors()
    for number in np.flatnonzero((dataset.tracks.status == "ok").to_numpy()).tolist():
        samples = dataset.reader("waveform").samples(number)
        seconds = dataset.tracks.seconds[number]
        assert len(samples) == round(seconds * 22_050)
        # Rounding to 16 bits moves a feature by less than this, skewness and kurtosis aside.
        again = handcrafted.extract(samples, 22_050)
        means = [n for n, name in enumerate(handcrafted.NAMES) if ".mean." in name]
        np.testing.assert_allclose(vectors[number][means], again[means], rtol=0.05, atol=0.05)
    assert np.isnan(vectors[dataset.tracks.path == "rock/7.wav"]).all()


def test_kind_that_is_asked_for_later_is_added_without_reading_the_rest_anew(
    songs: Path, tmp_path: Path
) -> None:
    make(songs, tmp_path / "once", *AUDIO_KINDS)
    make(songs, tmp_path / "twice", "log-mel")
    shard = tmp_path / "twice/set/log-mel/shard-00000.safetensors"
    before = shard.stat().st_mtime_ns
    again = make(songs, tmp_path / "twice", *AUDIO_KINDS)
    assert again.n_reused == 0
    assert shard.stat().st_mtime_ns == before
    assert contents(tmp_path / "twice") == contents(tmp_path / "once")
    assert make(songs, tmp_path / "twice", *AUDIO_KINDS).n_reused == 10


def test_track_that_only_one_kind_cannot_have_is_whole_for_the_others(
    songs: Path, tmp_path: Path
) -> None:
    make(songs, tmp_path, *AUDIO_KINDS)
    made = make(songs, tmp_path, "log-mel")
    assert (made.bad, made.n_reused) == ([], 10)
    assert made.dataset.reader().n_rows(8) > 0  # rock/7.wav
    command = r"make them with `mgr prepare .*songs --features log-mel,waveform`"
    with pytest.raises(DatasetError, match=command):
        made.dataset.reader("waveform")


def test_another_length_of_track_redoes_everything(songs: Path, tmp_path: Path) -> None:
    make(songs, tmp_path)
    wishes = Wishes(min_seconds=1.25, max_seconds=1.5)
    made = prepare(songs, target=tmp_path, name="set", n_jobs=1, wishes=wishes)
    assert made.n_reused == 0
    assert len(made.bad) == 3  # of 1.0, 1.1 and 1.2 s
    assert set(made.dataset.tracks.seconds) == {0.0, 1.3, 1.4, 1.5}


def test_folds_are_dealt_and_turned(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw", n_tracks=24)
    dataset = prepare(
        root, target=tmp_path, name="set", n_jobs=1, dealing=Dealing(n_folds=4)
    ).dataset
    assert dataset.counts() == {"train": 12, "valid": 6, "test": 6}
    assert (dataset.n_folds, dataset.tested_fold) == (4, 0)
    tested = []
    for fold in range(4):
        turned = prepared.load(tmp_path / "set").tested_on(fold)
        assert turned.tested_fold == fold
        tested += turned.tracks.track_id[turned.tracks.split == "test"].tolist()
        assert (turned.normalisations["log-mel"] == dataset.normalisations["log-mel"]) is (
            fold == 0
        )
    assert sorted(tested) == sorted(dataset.tracks.track_id)


def test_two_runs_at_once_on_one_dataset_are_refused(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    hold = (
        "import sys; from pathlib import Path; from mgr_cli.preparation import prepare\n"
        "def wait(done, total, what):\n"
        "    print('at work', flush=True); sys.stdin.read()\n"
        "prepare(Path('raw'), target=Path('.'), name='set', n_jobs=1, progress=wait)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"at work\n"
        with pytest.raises(DatasetError, match=r"another `mgr prepare` is at work on it"):
            make(root, tmp_path)
        prepare(root, target=tmp_path, name="other", n_jobs=1)
        other.kill()
    whole = make(root, tmp_path).dataset  # who dies lets go
    assert whole.counts() == {"train": 8, "valid": 0, "test": 4}


def test_full_disk_loses_nothing(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(songs, tmp_path / "whole", "log-mel", "waveform")
    write_piece = store.write_piece
    room = 9

    def full(folder: Path, *args: Any) -> store.Made:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        return write_piece(folder, *args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_piece", full)
        with pytest.raises(OSError, match="No space left on device"):
            make(songs, tmp_path / "full", "log-mel", "waveform")
    left = sorted(contents(tmp_path / "full"))
    assert "set/log-mel/shard-00000.safetensors" in left
    assert not any(name.endswith(".json") for name in left)
    decoded = []
    read = extraction.read

    def counted(path: Path, plan: Plan) -> ReadTrack:
        decoded.append((path.name, plan.kinds))
        return read(path, plan)

    monkeypatch.setattr(folder_source, "read", counted)
    assert make(songs, tmp_path / "full", "log-mel", "waveform").n_reused == 4
    # Of the fifth track, blues/8.wav, the log-mel was there already.
    assert [kinds for name, kinds in decoded if name == "8.wav"] == [("waveform",)]
    assert len(decoded) == 6
    assert contents(tmp_path / "full") == contents(tmp_path / "whole")


def test_file_that_may_grow_no_further_is_one_line(songs: Path, tmp_path: Path) -> None:
    # A limit of the system on the size of a file, which a waveform of two seconds breaks.
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = subprocess.run(
        [sys.executable, "-m", "mgr_cli", "prepare", songs, "--prepared", tmp_path / "out",
         "--features", "waveform", "--jobs", "1"],
        cwd=REPOSITORY, preexec_fn=limit, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "File too large" in done.stderr
    assert not list((tmp_path / "out").rglob("*.safetensors"))


def test_table_of_features_is_prepared_as_it_stands(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)
    lines = [
        f"{number:02d},{('blues', 'rock')[number % 2]},{a!r},{b!r},{c!r}"
        for number, (a, b, c) in enumerate(values.tolist())
    ]
    lines[5] = "05,rock,1.0,,2.0"
    (tmp_path / "table.csv").write_text("\n".join(["track_id,genre,x,y,z", *lines]) + "\n")
    made = make(tmp_path / "table.csv", tmp_path)
    assert made.bad == [("05", "no number from -1e+12 to 1e+12 in 1 of its 3 columns: y")]
    dataset = prepared.load(tmp_path / "set")
    assert (dataset.columns, dataset.origin, dataset.layout) == (
        ("x", "y", "z"),
        "table.csv",
        "table",
    )
    good = np.arange(11) != 5
    np.testing.assert_array_equal(dataset.vectors()[good], values[good])
    assert make(tmp_path / "table.csv", tmp_path).n_reused == 11
    before = contents(tmp_path / "set")
    (tmp_path / "table.csv").touch()  # its time is not what counts
    assert make(tmp_path / "table.csv", tmp_path).n_reused == 11
    lines[10] = "10,blues,0.5,0.5,0.5"
    (tmp_path / "table.csv").write_text("\n".join(["track_id,genre,x,y,z", *lines]) + "\n")
    assert make(tmp_path / "table.csv", tmp_path).n_reused == 8
    after = contents(tmp_path / "set")
    changed = {name for name in before if before[name] != after[name]}
    assert "table/shard-00002.safetensors" in changed
    assert "table/shard-00000.safetensors" not in changed


def test_features_that_a_source_does_not_have_are_refused(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    with pytest.raises(DatasetError, match="waveform features cannot be made of this dataset"):
        make(root, tmp_path, "waveform")


def test_run_says_what_has_changed_since_the_last_one(tmp_path: Path) -> None:
    root = write_set(tmp_path / "raw")
    first = make(root, tmp_path)
    assert (first.n_reused, first.n_renewed, first.n_gone) == (0, 0, 0)
    (root / "rock" / "05.png").write_bytes((root / "rock" / "01.png").read_bytes())
    second = make(root, tmp_path)
    assert (second.n_reused, second.n_renewed, second.n_gone) == (8, 4, 0)
    write_set(root, n_tracks=10)
    third = make(root, tmp_path)
    assert (third.n_renewed, third.n_gone) == (10, 2)  # the files were written again


def test_another_dataset_is_not_put_in_the_place_of_one(tmp_path: Path) -> None:
    one, other = write_set(tmp_path / "one"), write_set(tmp_path / "other", seed=50)
    make(one, tmp_path)
    before = contents(tmp_path / "set")
    with pytest.raises(DatasetError, match=r"was prepared from .*one, not from .*other; choose"):
        make(other, tmp_path)
    assert contents(tmp_path / "set") == before


@pytest.mark.parametrize("n_done", [1, 3, 6, 11])
def test_finished_tracks_of_an_unfinished_shard_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_done: int
) -> None:
    root = write_set(tmp_path / "raw")
    (root / "rock" / "01.png").write_bytes(b"bad")  # told once, and not tried again
    make(root, tmp_path / "whole")

    def stop(done: int, total: int, what: str) -> None:
        if done == n_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(root, tmp_path / "stopped", progress=stop)
    again: list[str] = []
    read = images.read

    def counted(path: Path, plan: Plan) -> ReadTrack:
        again.append(path.name)
        return read(path, plan)

    monkeypatch.setattr(images, "read", counted)
    assert make(root, tmp_path / "stopped").n_reused == n_done
    assert again == [f"{number:02d}.png" for number in range(n_done, 12)]
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_half_a_piece_and_one_of_another_file_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_set(tmp_path / "raw")
    make(root, tmp_path / "whole")

    def stop(done: int, total: int, what: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(root, tmp_path / "stopped", progress=stop)
    pieces = sorted((tmp_path / "stopped/set/log-mel").glob(".piece.*.part"))
    assert len(pieces) == 3
    pieces[0].write_bytes(pieces[0].read_bytes()[100:])
    pieces[1].write_bytes(b"")
    assert make(root, tmp_path / "stopped").n_reused == 1
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
