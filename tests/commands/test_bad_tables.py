"""Tables of features that are not as they should be, and pipelines that hold more than data."""

import csv
import json
import warnings
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import Result

from tests.commands.workspace import run
from tests.data.test_fma_features import metadata

GENRES = ("folk", "jazz", "rock")
SPLITS = ("train",) * 6 + ("valid",) * 2 + ("test",) * 2
COLUMNS = ("a", "b", "c")

Row = dict[str, str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("MGR_ZOO", "MGR_MODEL", "MGR_PREPARED"):
        monkeypatch.delenv(name, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # numpy's, of what is not finite
        yield


def as_it_is(_: Row) -> None:
    """Change nothing."""


def write(
    name: str, change: Callable[[Row], object] = as_it_is, columns: tuple[str, ...] = COLUMNS
) -> Path:
    """Write ten tracks a genre, of which column a tells the genres apart."""
    rng = np.random.default_rng(0)
    rows = []
    for label, genre in enumerate(GENRES):
        for number, split in enumerate(SPLITS):
            row = {"track_id": f"{genre}{number}", "genre": genre, "split": split}
            row |= {column: f"{value:.3f}" for column, value in zip(columns, rng.normal(size=9))}  # noqa: B905
            row[columns[0]] = f"{10 * label + rng.normal():.3f}"
            change(row)
            rows.append(row)
    with Path(f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return Path(f"{name}.csv")


def prepare(
    name: str, change: Callable[[Row], object] = as_it_is, columns: tuple[str, ...] = COLUMNS
) -> Result:
    return run("prepare", write(name, change, columns), "--no-audit", "--jobs", 1)


def fit(architecture: str, data: str, *more: object) -> Result:
    return run("train", "--arch", architecture, "--data", data, "--zoo", "zoo", "--name",
               f"{architecture}-{data}", "--device", "cpu", *more)  # fmt: skip


def said(result: Result) -> str:
    """Return the only line that tells of an error."""
    assert "Traceback" not in result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


def statuses(name: str) -> dict[str, str]:
    with Path(f"prepared/{name}/tracks.csv").open(newline="") as file:
        return {row["track_id"]: row["status"] for row in csv.DictReader(file)}


# Cells.


@pytest.mark.parametrize("cell", ["", "NaN", "inf", "-inf", "hello", "1e39", "-1e13"])
def test_track_without_a_number_is_named_with_its_column_and_the_rest_is_trained_on(
    cell: str,
) -> None:
    def spoil(row: Row) -> None:
        if row["track_id"] == "jazz3":
            row["b"] = cell

    made = prepare("set", spoil)
    assert made.exit_code == 0
    assert said(made) == "jazz3: no number from -1e+12 to 1e+12 in 1 of its 3 columns: b"
    found = statuses("set")
    assert {track for track, status in found.items() if status != "ok"} == {"jazz3"}
    trained = fit("logistic-regression", "set")
    assert trained.exit_code == 0, trained.stderr
    card = json.loads(Path("zoo/logistic-regression-set/card.json").read_text())
    assert card["dataset"]["counts"] == {"train": 17, "valid": 6, "test": 6}


def test_no_more_than_three_columns_of_a_track_are_named() -> None:
    columns = ("a", "b", "c", "d", "e")

    def spoil(row: Row) -> None:
        if row["track_id"] == "rock0":
            row.update(dict.fromkeys(columns, ""))

    assert said(prepare("set", spoil, columns)).endswith(
        "in 5 of its 5 columns: a, b, c and 2 more"
    )


def spoil_split(split: str) -> Callable[[Row], None]:
    def spoil(row: Row) -> None:
        if row["split"] == split:
            row["b"] = "NaN"

    return spoil


def test_split_of_bad_tracks_alone_is_told_with_the_first_reason() -> None:
    prepare("set", spoil_split("valid"))
    for architecture in ("logistic-regression", "ffnn"):
        refused = fit(architecture, "set")
        assert refused.exit_code == 2
        assert said(refused) == (
            f"prepared{'/'}set: no usable track in the valid split, all 6 are bad, the first, "
            "folk6: no number from -1e+12 to 1e+12 in 1 of its 3 columns: b; deal out another one "
            f"with `mgr prepare {Path('set.csv').resolve()} --split random`"
        )
    assert not Path("zoo").exists()
    dealt = run("prepare", "set.csv", "--no-audit", "--jobs", 1, "--split", "random")
    assert dealt.exit_code == 0
    assert fit("logistic-regression", "set").exit_code == 0


def test_training_split_of_bad_tracks_alone_is_refused_at_once() -> None:
    refused = prepare("set", spoil_split("train"))
    assert refused.exit_code == 2
    assert "no track to train on among 30; the first bad one, folk0: no number" in said(refused)
    assert not Path("prepared/set/dataset.json").exists()


# Columns.


def outlier(row: Row) -> str:
    return "1.1234567" if row["split"] == "train" else row["track_id"][-1] + "e5"


ODD: dict[str, Callable[[Row], str]] = {
    "constant": lambda _: "1234.567",
    "constant in training": outlier,
    "twin": lambda row: row["a"],
    "tiny": lambda row: row["b"] + "e-12",
    "next to nothing": lambda row: row["b"] + "e-30",
    "large": lambda row: row["b"] + "e11",
}


@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("architecture", ["gaussian-nb", "knn", "random-forest", "ffnn"])
def test_odd_column_leaves_figures_finite_and_no_warnings(how: str, architecture: str) -> None:
    prepare("set", lambda row: row.update(c=ODD[how](row)))
    trained = fit(architecture, "set", *(("--epochs", 1) if architecture == "ffnn" else ()))
    assert trained.exit_code == 0, trained.stderr
    assert "Warning" not in trained.stderr
    judged = run("eval", "--model", f"{architecture}-set", "--zoo", "zoo", "--json")
    assert judged.exit_code == 0, judged.stderr
    assert 0 <= json.loads(judged.stdout)["track"]["accuracy"]["value"] <= 1
    assert judged.stderr == ""


@pytest.mark.parametrize("how", ["constant", "constant in training"])
def test_column_that_training_has_not_seen_move_changes_no_prediction(how: str) -> None:
    """Else a value of 600,000 would outweigh all that was learnt."""
    figures = []
    for name, columns in (("with", COLUMNS), ("without", COLUMNS[:2])):
        prepare(name, lambda row: "c" in row and row.update(c=ODD[how](row)), columns)
        assert fit("logistic-regression", name).exit_code == 0
        judged = run("eval", "--model", f"logistic-regression-{name}", "--zoo", "zoo", "--json")
        figures.append(json.loads(judged.stdout)["confusion"]["track"])
    assert figures[0] == figures[1] == np.diag([2, 2, 2]).tolist()


def test_deviation_of_a_column_that_stands_still_is_no_remainder_of_rounding() -> None:
    prepare("set", lambda row: row.update(c="1234.567"))
    found = json.loads(Path("prepared/set/dataset.json").read_text())["normalisations"]["table"]
    assert found["mean"][2] == np.float32("1234.567")
    assert found["std"][2] == 1e12
    assert 0.5 < found["std"][1] < 2


@pytest.mark.parametrize("cell", ["", "NaN", "inf", "1e30", "hello"])
def test_column_without_a_usable_number_is_no_feature(cell: str) -> None:
    made = prepare("set", lambda row: row.update(c=cell))
    assert made.exit_code == 0
    assert "features: table (2 columns)" in made.stdout
    assert set(statuses("set").values()) == {"ok"}
    assert json.loads(Path("prepared/set/dataset.json").read_text())["columns"] == ["a", "b"]


def test_table_without_a_usable_number_is_refused() -> None:
    refused = prepare("set", lambda row: row.update(dict.fromkeys(COLUMNS, "1e30")))
    assert refused.exit_code == 2
    assert said(refused) == "set.csv: no feature in it, expected numbers up to 1e+12"
    assert not Path("prepared/set").exists()


# Other columns than those of an entry.


@pytest.mark.parametrize(
    ("columns", "difference"),
    [
        (("a", "c"), "it lacks 1 of 3 columns, the first 'b'"),
        (("a", "d", "e"), "it lacks 2 of 3 columns, the first 'b'"),
        (("a", "b", "d", "c"), "it has 1 columns besides, the first 'd'"),
        (("a", "c", "b"), "its columns are in another order, 'c' where 'b' is expected"),
    ],
)
@pytest.mark.parametrize("architecture", ["logistic-regression", "ffnn"])
def test_difference_of_columns_is_named_and_nothing_is_judged(
    columns: tuple[str, ...], difference: str, architecture: str
) -> None:
    prepare("one")
    fit(architecture, "one", *(("--epochs", 1) if architecture == "ffnn" else ()))
    prepare("two", columns=columns)
    card = Path(f"zoo/{architecture}-one/card.json")
    before = card.read_bytes()
    refused = run("eval", "--model", card.parent.name, "--zoo", "zoo", "--data", "two", "--record")
    assert refused.exit_code == 2
    assert said(refused) == (
        f"two was prepared with another front end than that of {card.parent.name}: {difference}; "
        "prepare a table with just the columns of the entry, in their order"
    )
    assert refused.stdout == ""
    assert card.read_bytes() == before


# Tracks of the split that a table of features lacks.


def test_fmas_track_without_features_is_counted_where_its_subset_is_asked_for() -> None:
    metadata(Path())
    made = run("prepare", "fma_metadata", "--subset", "large", "--no-audit", "--jobs", 1)
    assert made.exit_code == 0
    assert statuses("fma_metadata")["155320"] == "not in features.csv"
    assert "error: 155320: not in features.csv" in made.stderr
    assert made.stdout.split("all ")[1].split("\n")[0].split("│")[-2].strip() == "2"


def test_split_without_any_track_says_how_to_deal_one_out() -> None:
    metadata(Path())
    prepared = run("prepare", "fma_metadata", "--subset", "small", "--no-audit", "--jobs", 1)
    assert prepared.exit_code == 0
    refused = fit("random-forest", "fma_metadata")
    assert refused.exit_code == 2
    source = Path("fma_metadata").resolve()
    assert said(refused).endswith(
        "no usable track in the valid split, no track belongs to it; deal out another one with "
        f"`mgr prepare {source} --split random`"
    )


# Pipelines that hold more than data.


class Exploding:
    """Leaves a file behind where somebody gives it its state back."""

    def __getstate__(self) -> dict[str, str]:
        return {"trace": str(Path("trace").absolute())}

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["trace"]).touch()


def strange(kind: str) -> bytes:
    x = np.random.default_rng(0).normal(size=(30, 3))
    first = KMeans(3, n_init=1) if kind == "KMeans" else StandardScaler()
    pipeline = Pipeline([("first", first), ("classify", GaussianNB())]).fit(x, np.arange(30) % 3)
    if kind == "Exploding":
        pipeline["classify"].extra = Exploding()
    if kind == "system":
        import os

        pipeline.memory = os.system
    return bytes(skops.io.dumps(pipeline))


@pytest.mark.parametrize("kind", ["KMeans", "Exploding", "system"])
def test_type_that_is_not_trusted_is_refused_by_every_command(kind: str) -> None:
    prepare("set")
    fit("gaussian-nb", "set")
    entry = Path("zoo/gaussian-nb-set")
    data = strange(kind)
    (entry / "model.skops").write_bytes(data)
    card = json.loads((entry / "card.json").read_text())
    card["weights"]["sha256"] = sha256(data).hexdigest()
    (entry / "card.json").write_text(json.dumps(card))
    Path("song.wav").touch()
    for arguments, code in (
        (("eval", "--model", entry.name), 2),
        (("zoo", "verify", entry.name), 1),
    ):
        refused = run(*arguments, "--zoo", "zoo")
        assert refused.exit_code == code
        line = said(refused)
        assert line.startswith(f"{entry / 'model.skops'}: holds the type ")
        assert f".{kind}, which no classifier of mgr needs; it is not trusted" in line
        assert refused.stdout == ""
    refused = run("predict", "--model", entry.name, "song.wav", "--zoo", "zoo")
    assert (refused.exit_code, refused.stdout) == (2, "")  # of a table: not read that far
    assert not Path("trace").exists()
    skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert Path("trace").exists() == (kind == "Exploding")  # it would have
