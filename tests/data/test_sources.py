from pathlib import Path

import numpy as np
import pytest

from mgr_cli.config import FeatureSpec
from mgr_cli.data import sources
from mgr_cli.data.sources import SOURCES, Wishes
from mgr_cli.errors import DatasetError
from tests.audio_files import tones, write
from tests.data.pictures import write_set


def audio_set(root: Path) -> Path:
    (root / "rock").mkdir(parents=True)
    write(root / "rock" / "a.wav", tones(1, 8_000), 8_000)
    return root


def table_set(root: Path) -> Path:
    (audio_set(root) / "tracks.csv").write_text("path,genre,artist\nrock/a.wav,rock,them\n")
    return root


def gtzan_set(root: Path) -> Path:
    (root / "genres" / "rock").mkdir(parents=True)
    write(root / "genres" / "rock" / "rock.00001.wav", tones(1, 8_000), 8_000)
    return root


def fma_set(root: Path) -> Path:
    (root / "000").mkdir(parents=True)
    write(root / "000" / "000002.mp3", tones(1, 44_100), 44_100)
    (root / "fma_metadata").mkdir()
    (root / "fma_metadata" / "tracks.csv").write_text(
        ",set,set,track,track\n,split,subset,genre_top,genres\ntrack_id,,,,\n"
        "2,training,small,Hip-Hop,[21]\n"
    )
    (root / "fma_metadata" / "genres.csv").write_text(
        "genre_id,#tracks,parent,title,top_level\n21,1,0,Hip-Hop,21\n"
    )
    return root


def demo_set(root: Path) -> Path:
    (table_set(root) / "SYNTHETIC.txt").write_text("made by a test")
    return root


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_lists_and_reads_what_it_says_fits(tmp_path: Path, name: str) -> None:
    source = SOURCES[name]
    makers = {
        "demo": demo_set,
        "fma": fma_set,
        "folder": audio_set,
        "gtzan": gtzan_set,
        "images": write_set,
        "table": table_set,
    }
    root = makers[name](tmp_path / "set")
    (tmp_path / "nothing").mkdir()
    assert source.fits(root)
    assert not source.fits(tmp_path / "nothing")
    scan = source.scan(root, Wishes())
    track = source.read(root / scan.tracks[0].path, scan.plan)
    levels = np.concatenate(list(track.features["log-mel"]))
    assert levels.shape[1] == scan.plan.spec.n_mels
    assert ((levels >= 0) & (levels <= 1)).all()
    assert source.name == name
    assert source.summary


def test_named_front_end_reaches_the_source(tmp_path: Path) -> None:
    spec = FeatureSpec(n_mels=16)
    wishes = Wishes(spec=spec)
    assert SOURCES["images"].scan(write_set(tmp_path), wishes).plan.spec == spec
    assert SOURCES["folder"].scan(audio_set(tmp_path / "audio"), wishes).plan.spec == spec


def test_layout_is_recognised(tmp_path: Path) -> None:
    assert sources.recognise(write_set(tmp_path / "a")).name == "images"
    assert sources.recognise(audio_set(tmp_path / "b")).name == "folder"


def test_named_layout_wins_over_the_look_of_the_folder(tmp_path: Path) -> None:
    assert sources.recognise(write_set(tmp_path), layout="folder").name == "folder"


def test_unknown_layout_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"unknown layout 'fam'; known: .*images.*folder"):
        sources.recognise(tmp_path, layout="fam")


@pytest.mark.parametrize("layout", [None, "images"])
def test_missing_folder_is_refused(tmp_path: Path, layout: str | None) -> None:
    with pytest.raises(DatasetError, match="no such folder; name the folder of a dataset"):
        sources.recognise(tmp_path / "absent", layout=layout)


def test_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").touch()
    with pytest.raises(DatasetError, match="a file; name the folder of a dataset, or a CSV"):
        sources.recognise(tmp_path / "song.mp3")


def test_folder_of_nothing_known_is_refused_with_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no dataset recognised here.*one folder a genre"):
        sources.recognise(tmp_path)
