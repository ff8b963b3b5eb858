import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgr_cli.commands import judging
from mgr_cli.data import prepared as datasets
from mgr_cli.evaluation import Evaluation
from mgr_cli.zoo.card import Assessment
from tests.commands.workspace import run

KEYS = [
    "model", "dataset", "split", "remarks", "n_tracks", "n_segments", "vote", "track", "segment",
    "genres", "by_genre", "confusion", "reliability", "calibration", "trust", "genre_tree",
    "n_parameters", "seconds_per_track", "tracks",
]  # fmt: skip


@pytest.fixture(scope="module")
def rival(trained: Path) -> str:
    """A second entry, which is wrong now and then."""
    done = run(
        "train", "--arch", "nearest-centroid", "--name", "rival",
        "--prepared", trained / "prepared", "--zoo", trained / "others",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return str(trained / "others" / "rival")


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
    assert after["looks"].pop("test") == 1
    assert after["failures"].pop("test")["recalls"][0]["n_tracks"] == 1
    assert after == before


def test_a_calibration_is_recorded_and_told_of_from_then_on(
    inside: Path, rival: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = tmp_path / "zoo"
    shutil.copytree(inside / "others", zoo)
    monkeypatch.chdir(tmp_path)  # where the picture goes
    monkeypatch.setattr(judging, "FEWEST_CALIBRATED", 3)
    places = ("--model", "rival", "--prepared", inside / "prepared", "--zoo", zoo)
    wide = {"COLUMNS": "200"}
    assert "the card asks for no confidence" in run("eval", *places, env=wide).stdout
    learns = ("--split", "valid", "--calibrate", "--precision", 0.5, "--record")
    done = run("eval", *places, *learns, "--json")
    assert done.exit_code == 0, done.output
    assert "temperature and trust are on its card" in done.stderr
    printed, card = json.loads(done.stdout), json.loads((zoo / "rival/card.json").read_text())
    assert card["temperature"] == pytest.approx(printed["calibration"]["temperature"])
    assert card["trust"] == printed["calibration"]["trust"] == printed["trust"]["trust"]
    assert (card["trust"]["wanted"], card["trust"]["n_tracks"]) == (0.5, 3)
    assert card["figures"]["valid"]["track"] == printed["track"]
    later = json.loads(run("eval", *places, "--split", "valid", "--json").stdout)
    assert later["trust"] == printed["trust"]
    assert later["reliability"]["ece"] == pytest.approx(printed["calibration"]["after"]["ece"])
    shown = run("eval", *places, env=wide).stdout
    assert f"believed from a confidence of {100 * card['trust']['threshold']:.1f} % on" in shown
    assert "(50.0 % were wanted)" in shown


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--calibrate", "--record"), "has 3 validation tracks, too few"),
        (("--calibrate", "--record", "--vote", "majority"), "learns of its own vote, mean"),
        (("--calibrate", "--record", "--allow-leak"), "leave it out here"),
        (("--precision", 0.9), "add that"),
        (("--calibrate", "--precision", 1.0), "less than or equal to 0.99"),
    ],
)
def test_what_a_card_shall_not_learn_is_refused(
    inside: Path, asked: tuple[object, ...], said: str
) -> None:
    before = (inside / "zoo/sounds/card.json").read_bytes()
    done = run("eval", "--split", "valid", *asked, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert said in done.stderr
    assert (inside / "zoo/sounds/card.json").read_bytes() == before


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


def test_json_holds_all_that_was_found(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the picture goes
    places = ("--prepared", inside / "prepared", "--zoo", inside / "zoo")
    record = json.loads(run("eval", "--json", "--calibrate", "--split", "valid", *places).stdout)
    assert list(record) == KEYS
    assert record["remarks"] == ["it was chosen by these tracks: this is no test"]
    assert record["calibration"]["n_tracks_fitted"] == record["n_tracks"] == 3
    assert record["calibration"]["before"]["ece"] == pytest.approx(record["reliability"]["ece"])
    assert set(record["by_genre"]) == {"clicks", "hiss", "hum"}
    assert record["by_genre"]["hum"]["support"] == 1
    assert record["seconds_per_track"]["cpu"] > 0
    assert record["n_parameters"] > 100_000
    with Image.open("sounds-songs-valid-reliability.png") as picture:
        assert picture.width > 1_000
    for track in record["tracks"]:
        assert sum(track["probs"]) == pytest.approx(1, abs=1e-5)
        best = record["genres"][int(np.argmax(track["probs"]))]
        assert (track["predicted"], track["genre"]) == (best, track["path"].split("/")[0])


def test_entries_are_compared_on_the_same_tracks(inside: Path, rival: str) -> None:
    done = run("eval", "--compare", "sounds", rival, "--split", "train", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert [each["model"] for each in record["entries"]] == ["sounds", "rival"]
    (pair,) = record["pairs"]
    right = [
        [track["genre"] == track["predicted"] for track in each["tracks"]]
        for each in record["entries"]
    ]
    only = [a and not b for a, b in zip(*right, strict=True)]
    assert (pair["first"], pair["second"], pair["n_first"]) == ("sounds", "rival", sum(only))
    accuracies = [each["track"]["accuracy"]["value"] for each in record["entries"]]
    assert pair["difference"]["value"] == pytest.approx(accuracies[0] - accuracies[1])
    shown = run("eval", "--compare", "sounds", rival, "--split", "train").stdout
    assert "McNemar's test" in shown
    missed = [
        track["track_id"]
        for track, odd in zip(record["entries"][0]["tracks"], only, strict=True)
        if odd
    ]
    assert f"sounds, not rival: {', '.join(sorted(missed))}" in shown


def test_mistakes_are_listed_with_their_files(inside: Path, rival: str) -> None:
    args = ("eval", "--model", rival, "--split", "train")
    tracks = json.loads(run(*args, "--json").stdout)["tracks"]
    wrong = {track["path"] for track in tracks if track["genre"] != track["predicted"]}
    shown = run(*args, "--errors", "--top", 99).stdout.split("most confident of")[1]
    assert shown.startswith(f" {len(wrong)} mistakes")
    listed = {line.split()[-1] for line in shown.splitlines()[2:]}
    assert listed == {str(inside / "songs" / path) for path in wrong}


def test_split_that_was_not_trained_on_is_refused_unless_it_is_allowed(
    inside: Path, tmp_path: Path
) -> None:
    places = ("--prepared", tmp_path / "prepared")
    made = run("prepare", inside / "songs", *places, "--split", "random", "--seed", 5, "--jobs", 1)
    assert made.exit_code == 0, made.output
    refused = run("eval", *places)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert "sounds was trained on another split of songs, which is not at hand" in refused.stderr
    shutil.copytree("prepared/songs", tmp_path / "both/songs")
    shutil.copytree(tmp_path / "prepared/songs", tmp_path / "both/again")
    known = ("--prepared", tmp_path / "both", "--data", "again")
    refused = run("eval", *known)
    assert refused.exit_code == 2
    assert "of the 3 tracks of the test split of songs, the first is" in refused.stderr
    allowed = run("eval", *known, "--allow-leak")
    assert allowed.exit_code == 0
    assert allowed.stdout.startswith("sounds: LEAK ALLOWED: sounds was trained on, or chosen by")
    assert json.loads(run("eval", *known, "--allow-leak", "--json").stdout)["remarks"]
    shutil.copytree("zoo", tmp_path / "zoo")
    recorded = run("eval", *known, "--allow-leak", "--record", "--zoo", tmp_path / "zoo")
    assert recorded.exit_code == 2
    assert "--record is for the split that the entry was trained with" in recorded.stderr
    card = json.loads((tmp_path / "zoo/sounds/card.json").read_text())
    assert "test" not in card["figures"]


def test_genres_are_mapped_by_a_file(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("hum: hum\nhiss: [clicks, hiss]\n")
    done = run("eval", "--split", "train", "--genre-map", tmp_path / "map.yaml", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["genres"] == ["hiss", "hum"]
    assert record["n_tracks"] == 12
    assert any(
        "6 tracks are of genres that the map leaves out" in each for each in record["remarks"]
    )


def test_leak_study_trains_on_a_random_split_once(inside: Path, rival: str, tmp_path: Path) -> None:
    args = ("eval", "--leak-study", "--model", rival, "--zoo", tmp_path)
    first = run(*args)
    assert first.exit_code == 0, first.output
    assert "one recipe, two splits of songs" in first.stdout
    assert "feigns" in first.stdout
    entry = tmp_path / ".leak-study" / "rival-random-0"
    before = (entry / "card.json").read_bytes()
    again = json.loads(run(*args, "--json").stdout)
    assert (entry / "card.json").read_bytes() == before
    assert again["own"]["n_tracks"] == again["random"]["n_tracks"] == 3
    assert again["own"]["n_of_artists_trained_on"] is None
    assert not run("zoo", "list", "--zoo", tmp_path).stdout.count("random")


def test_leak_study_trains_nets_as_they_were_trained(inside: Path, tmp_path: Path) -> None:
    done = run("eval", "--leak-study", "--model", "zoo/sounds", "--zoo", tmp_path, "--seed", 3)
    assert done.exit_code == 0, done.output
    own = json.loads(Path("zoo/sounds/card.json").read_text())
    made = json.loads((tmp_path / ".leak-study/sounds-random-3/card.json").read_text())
    for key in ("architecture", "hyperparameters", "recipe", "segments", "seed"):
        assert made[key] == own[key]
    assert made["dataset"]["split_digest"] != own["dataset"]["split_digest"]
    assert made["dataset"]["counts"] == own["dataset"]["counts"]


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("sounds",), "one name too many"),
        (("--compare", "sounds"), "two entries or more"),
        (("--compare", "sounds", "sounds", "--record"), "--record"),
        (("--compare", "sounds", "nobody"), "no entry 'nobody'"),
        (("--compare", "sounds", "zoo/sounds"), "different names"),
        (("--leak-study", "--report", "x.html"), "--leak-study trains and tests an entry"),
        (("--leak-study", "--split", "valid"), "--leak-study trains and tests an entry"),
        (("--genre-map", "nothing.yaml"), "nothing.yaml"),
        (("--genre-tree", "nothing.csv"), "nothing.csv"),
    ],
)
def test_wrong_command_is_one_line(inside: Path, args: tuple[str, ...], word: str) -> None:
    done = run("eval", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


def test_model_of_the_environment_does_not_stand_in_the_way(
    inside: Path, rival: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGR_MODEL", "sounds")
    assert run("eval", "--compare", "sounds", rival).exit_code == 0
    refused = run("eval", "--compare", "sounds", rival, "--model", "sounds")
    assert "without --model" in refused.stderr


def test_genres_of_any_letters_are_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    from mgr_cli.commands import console, scores

    genres = ("[/a]b", "[bold]op", *(f"genre {n:02d}" for n in range(16)))
    counts = np.eye(len(genres), dtype=np.int64)
    blank = Assessment(18, 18, "mean", {}, {})
    done = Evaluation("e", "d", "test", genres, blank, counts, counts, ())
    with console.out.capture() as captured:
        scores._show_confusion("[/e] on [d]", done)
    shown = captured.get()
    assert all(genre in shown for genre in genres)
    assert shown.count("1.00") == len(genres)
    assert "[/e] on [d]" in shown


def test_page_of_a_dataset_without_validation_split_says_why_nothing_is_calibrated(
    inside: Path, tmp_path: Path
) -> None:
    dataset = datasets.load(inside / "prepared/songs")
    split = dataset.tracks.split.replace({"valid": "test"})
    other = replace(
        dataset, root=tmp_path / "prepared/other", name="other",
        tracks=dataset.tracks.assign(split=split, digest=""),
    )  # fmt: skip
    shutil.copytree(dataset.root, other.root)
    datasets.save(other, details={})
    page = tmp_path / "page.html"
    done = run(
        "eval", "--prepared", tmp_path / "prepared", "--data", "other", "--report", page, "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert any("not calibrated" in each for each in json.loads(done.stdout)["remarks"])
    assert "not calibrated: " in page.read_text().lower()
