import json
import os
from pathlib import Path
from typing import get_args
from zipfile import ZipFile

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from safetensors.numpy import load_file

from mgr_cli.errors import ZooError
from mgr_cli.intervals import Estimate
from mgr_cli.zoo import arrivals, entries, hub
from mgr_cli.zoo import golden as golden_sample
from mgr_cli.zoo.card import Assessment, Card, load_card, save_card
from mgr_cli.zoo.exports import Format, default_name, export
from tests import tiny

ZOO = Path(__file__).parents[2] / "zoo"
NASTY = "---\n<script>|`\x1b[31m *x*: {}"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    entries.add_graph(tiny.entry(root))
    return root


def measured(card: Card) -> Card:
    figures = Assessment(12, 48, "mean", {"accuracy": Estimate(0.5, 0.25, 0.75)}, {})
    return card.model_copy(update={"figures": {"valid": figures}})


def metadata(card: Card) -> dict[str, object]:
    """Read the head of a README as the hub does."""
    _, head, _ = hub.files(card)["README.md"].split("---\n", 2)
    read: dict[str, object] = yaml.safe_load(head)
    return read


# ONNX.


def test_an_onnx_file_runs_alone_and_says_what_the_entry_says(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(zoo / "tiny", "onnx", tmp_path / "away.onnx")
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in Path().iterdir()] == ["away.onnx"]
    session = onnxruntime.InferenceSession("away.onnx", providers=["CPUExecutionProvider"])
    golden = load_file(zoo / "tiny" / golden_sample.FILE)
    (logits,) = session.run(None, {"input": golden["input"]})
    assert logits.shape == (2, 3)
    assert np.abs(logits - golden["logits"]).max() < 1e-5  # float32 sums in another order


def test_a_pipelines_onnx_file_gives_probabilities(tmp_path: Path) -> None:
    folder = arrivals.admit(ZOO / "logistic-regression-emotify", [tmp_path])
    card = entries.add_graph(folder)
    export(folder, "onnx", tmp_path / "x.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    golden = load_file(folder / golden_sample.FILE)
    (probabilities,) = session.run(None, {"input": golden["input"]})
    assert session.get_outputs()[0].shape == ["batch", len(card.classes)]
    assert np.abs(probabilities - golden["probabilities"]).max() < 1e-5  # as graphs.TOLERANCE


def test_an_onnx_file_says_what_feeds_it_and_what_comes_out(zoo: Path, tmp_path: Path) -> None:
    export(zoo / "tiny", "onnx", tmp_path / "x.onnx")
    said = {each.key: each.value for each in onnx.load(tmp_path / "x.onnx").metadata_props}
    card = load_card(zoo / "tiny")
    assert json.loads(said["classes"]) == list(tiny.GENRES)
    assert json.loads(said["features"])["n_mels"] == tiny.SPEC.n_mels
    assert Card.model_validate_json(said["card"]) == card


def test_an_entry_without_a_graph_has_no_onnx_file_and_says_why(zoo: Path, tmp_path: Path) -> None:
    bare = arrivals.admit(zoo / "tiny", [tmp_path])
    save_card(bare, load_card(bare).model_copy(update={"graph": None, "no_graph": "too odd"}))
    with pytest.raises(ZooError, match="too odd"):
        export(bare, "onnx", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


# Archives.


def test_a_packed_entry_has_the_same_bytes_each_time(zoo: Path, tmp_path: Path) -> None:
    export(zoo / "tiny", "safetensors", tmp_path / "a.zip")
    other = arrivals.admit(tmp_path / "a.zip", [tmp_path / "other"])
    os.utime(other / golden_sample.FILE, (10**9, 10**9))
    (other / golden_sample.FILE).chmod(0o600)
    export(other, "safetensors", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist()[0] == "tiny/card.json"
        assert archive.testzip() is None


@pytest.mark.parametrize("format", ["safetensors", "hf"])
@pytest.mark.parametrize(
    "name", ["tiny", "logistic-regression-emotify", "short-chunk-resnet-gtzan"]
)
def test_what_is_exported_comes_back_the_same(
    format: Format, name: str, zoo: Path, tmp_path: Path
) -> None:
    entry = (zoo if name == "tiny" else ZOO) / name
    export(entry, format, tmp_path / "there")
    back = arrivals.admit(tmp_path / "there", [tmp_path / "zoo"])
    assert back.name == name
    assert load_card(back) == load_card(entry)
    for path in entry.iterdir():
        assert (back / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("format", ["onnx", "safetensors", "hf"])
def test_what_is_there_is_not_replaced_and_damage_is_not_exported(
    format: Format, zoo: Path, tmp_path: Path
) -> None:
    target = tmp_path / default_name("tiny", format)
    target.write_text("mine")
    with pytest.raises(ZooError, match="exists already"):
        export(zoo / "tiny", format, target)
    assert target.read_text() == "mine"
    bad = arrivals.admit(zoo / "tiny", [tmp_path / "zoo"])
    with (bad / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ZooError, match="digest"):
        export(bad, format, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["zoo", target.name])


# Hugging Face.


def test_a_model_card_has_the_keys_that_the_hub_searches(zoo: Path) -> None:
    card = measured(load_card(zoo / "tiny"))
    said = metadata(card)
    assert said["pipeline_tag"] == "audio-classification"
    assert said["license"] == "other"
    assert metadata(card.model_copy(update={"licence": "CC-BY-4.0"}))["license"] == "cc-by-4.0"
    config = json.loads(hub.files(card)["config.json"])
    assert config["id2label"] == {"0": "blues", "1": "jazz", "2": "rock"}
    assert config["label2id"]["rock"] == 2


def test_the_hubs_own_reader_takes_the_model_card(zoo: Path) -> None:
    hf = pytest.importorskip("huggingface_hub")
    card = measured(load_card(zoo / "tiny"))
    read = hf.ModelCard(hub.files(card)["README.md"])
    assert read.data.license_name == "none"
    assert read.data.model_name == "tiny"
    (result,) = read.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.5)
    assert (result.dataset_name, result.dataset_split) == ("another", "valid")


def test_a_strangers_text_is_no_markup_and_no_yaml(zoo: Path) -> None:
    card = measured(load_card(zoo / "tiny"))
    dataset = card.dataset.model_copy(update={"name": NASTY})
    nasty = card.model_copy(
        update={"licence": NASTY, "dataset": dataset, "classes": (NASTY, "b"), "provenance": NASTY}
    )
    readme = hub.files(nasty)["README.md"]
    head, text = readme.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(head)["datasets"] == [NASTY]
    assert "<script>" not in text
    assert "\x1b" not in text
    assert r"\*x\*" in text


def test_damaged_graph_is_not_exported(tmp_path: Path) -> None:
    folder = entries.save(tiny.card(), tiny.net(), tmp_path, rng=np.random.default_rng(0))
    (folder / "model.onnx").write_bytes(b"junk")
    for format in get_args(Format):
        with pytest.raises(ZooError, match="digest"):
            export(folder, format, tmp_path / "out")
