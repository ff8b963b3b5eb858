import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mgr_cli.data import gtzan
from mgr_cli.data.sources import Wishes, recognise
from mgr_cli.preparation import prepare


def write_tracks(root: Path, *names: str) -> Path:
    wave = 0.1 * np.random.default_rng(0).standard_normal(22_050)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, 22_050, format="AU" if path.suffix == ".au" else "WAV")
    return root


def test_split_is_the_one_of_the_real_lists(shared: Path) -> None:
    with (shared / "data" / "gtzan_logmel" / "tracks.csv").open(newline="") as file:
        listed = {row["track_id"]: row["split"] for row in csv.DictReader(file)}
    split = gtzan.fault_filtered()
    assert {track: split.get(track, "") for track in listed} == listed


def test_split_has_its_published_counts() -> None:
    values = list(gtzan.fault_filtered().values())
    # 443 with jazz.00054, which the copies that are shared hold damaged.
    assert [values.count(name) for name in ("train", "valid", "test")] == [442, 197, 290]


@pytest.mark.parametrize("folder", ["genres", "genres_original", "."])
@pytest.mark.parametrize("suffix", ["wav", "au"])
def test_both_shapes_of_the_set_are_recognised(tmp_path: Path, folder: str, suffix: str) -> None:
    root = write_tracks(tmp_path, f"{folder}/blues/blues.00029.{suffix}")
    assert recognise(root).name == "gtzan"
    (track,) = gtzan.scan(root, Wishes()).tracks
    assert (track.track_id, track.genre, track.split) == ("blues.00029", "blues", "train")


def test_other_folders_are_not_taken_for_it(tmp_path: Path) -> None:
    root = write_tracks(tmp_path, "blues/one.wav", "blues/rock.00001.wav", "polka/polka.00001.wav")
    assert recognise(root).name == "folder"


def test_left_out_and_damaged_tracks_are_not_trained_on(tmp_path: Path) -> None:
    names = ("blues/blues.00029", "classical/classical.00042", "jazz/jazz.00054", "pop/pop.00000")
    root = write_tracks(tmp_path / "raw", *(f"genres/{name}.wav" for name in names))
    done = prepare(root, target=tmp_path, name="set", n_jobs=1)
    tracks = done.dataset.tracks.set_index("track_id")
    assert tracks.split.to_dict() | {"jazz.00054": "-"} == {
        "blues.00029": "train", "classical.00042": "", "jazz.00054": "-", "pop.00000": "test",
    }  # fmt: skip
    assert [reason for _, reason in done.bad] == ["damaged in the copies that are shared"]


def test_random_split_takes_everybody(tmp_path: Path) -> None:
    root = write_tracks(tmp_path, "genres/classical/classical.00042.wav")
    (track,) = gtzan.scan(root, Wishes(own_split=False)).tracks
    assert track.split is None
