"""`mgr train --tracks N`: on a part of the training split."""

import json
from pathlib import Path
from typing import Any

import pytest

from mgr_cli.commands import runs
from mgr_cli.commands import train as train_command
from mgr_cli.data import prepared
from mgr_cli.models.registry import ARCHITECTURES
from tests.commands.test_train import stop_after
from tests.commands.workspace import run

NET = ("train", "--arch", "cnn1d", "--epochs", 1, "--batch-size", 8, "--device", "cpu")


def card(zoo: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((zoo / name / "card.json").read_text())
    return found


def n_whole() -> int:
    return prepared.load(Path("prepared/songs")).counts()["train"]


def test_net_says_on_which_part_it_was_trained(inside: Path, tmp_path: Path) -> None:
    done = run(*NET, "--tracks", 5, "--name", "few", "--zoo", tmp_path)
    assert done.exit_code == 0, done.stderr
    few, whole = card(tmp_path, "few"), card(inside / "zoo", "sounds")
    assert few["dataset"]["counts"] == {**whole["dataset"]["counts"], "train": 5}
    assert few["dataset"]["split_digest"] == whole["dataset"]["split_digest"]
    assert few["normalisation"] != whole["normalisation"]
    part = f"5 of the {n_whole()} tracks of the train split of songs"
    assert few["provenance"] == f"trained on {part} alone"
    assert few["figures"]["valid"]["n_tracks"] == whole["figures"]["valid"]["n_tracks"]


def test_judging_it_finds_its_split_and_no_leak(inside: Path, tmp_path: Path) -> None:
    done = run("train", "--arch", "ridge", "--tracks", 5, "--name", "few", "--zoo", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert card(tmp_path, "few")["dataset"]["counts"]["train"] == 5
    assert card(tmp_path, "few")["provenance"].startswith("fitted on 5 of the ")
    for split, said in (
        ("valid", "it was chosen by these tracks"),
        ("train", "5 of these are the tracks it was trained on"),
    ):
        judged = run("eval", "--model", "few", "--split", split, "--zoo", tmp_path)
        assert judged.exit_code == 0, judged.stderr
        shown = judged.stdout + judged.stderr
        assert said in shown
        assert "LEAK" not in shown.upper()


def test_run_on_other_tracks_is_not_gone_on_with(inside: Path, tmp_path: Path) -> None:
    args = (*NET, "--epochs", 2, "--zoo", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_show", stop_after(2))
        assert run(*args, "--tracks", 5).exit_code == 130
    assert len(list((tmp_path / ".training").iterdir())) == 1
    for other in (("--tracks", 6), ()):
        assert "begins anew" in run(*args, *other, "--resume").stderr
    again = run(*args, "--tracks", 5, "--resume", "--name", "few")
    assert "begins anew" not in again.stderr
    assert card(tmp_path, "few")["n_epochs"] == 2
    assert list((tmp_path / ".training").iterdir()) == []


def test_net_on_other_tracks_is_not_taken_for_the_one_asked_for(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_command, "ARCHITECTURES", {"cnn1d": ARCHITECTURES["cnn1d"]})
    kept = []
    for n_tracks in (5, 6, 5):
        done = run(*NET, "--arch", "all", "--tracks", n_tracks, "--zoo", tmp_path, "--resume")
        assert done.exit_code == 0, done.stderr
        kept.append("is kept" in done.stdout)
    assert kept == [True, True, False]
    counts = [card(tmp_path, name)["dataset"]["counts"]["train"]
              for name in ("cnn1d-songs", "cnn1d-songs-2")]  # fmt: skip
    assert counts == [5, 6]


@pytest.mark.parametrize("arch", ["cnn1d", "ridge"])
@pytest.mark.parametrize("n_tracks", [-1, 2, 1_000])
def test_what_cannot_be_drawn_is_one_line(
    inside: Path, tmp_path: Path, arch: str, n_tracks: int
) -> None:
    result = run("train", "--arch", arch, "--tracks", n_tracks, "--zoo", tmp_path / "zoo")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert f"cannot train on {n_tracks} tracks, expected from 3, one a genre" in result.stderr
    assert not (tmp_path / "zoo").exists()
