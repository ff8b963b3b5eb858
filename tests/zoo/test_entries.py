import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from mgr_cli import files
from mgr_cli.errors import ZooError
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo import golden as golden_sample
from mgr_cli.zoo.card import CARD, Graph, WeightsFile, load_card, save_card
from mgr_cli.zoo.graphs import GRAPH
from tests import tiny


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return tmp_path / "zoo"


def saved(zoo: Path, *, with_graph: bool) -> Path:
    """Save an untrained entry."""
    rng = np.random.default_rng(0)
    return entries.save(tiny.card(), tiny.net(), zoo, rng=rng, with_graph=with_graph)


@pytest.fixture
def entry(zoo: Path) -> Path:
    return saved(zoo, with_graph=False)  # which has tests of its own


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def sign(folder: Path) -> None:
    """Write the digests of the files as they are now to the card."""
    signed = {
        key: WeightsFile(file=name, sha256=files.sha256(folder / name))
        for key, name in (("weights", weights.WEIGHTS), ("golden", golden_sample.FILE))
    }
    save_card(folder, load_card(folder).model_copy(update=signed))


def change(folder: Path, **updates: object) -> None:
    save_card(folder, load_card(folder).model_copy(update=updates))


def load(folder: Path) -> torch.nn.Module:
    return weights.load_net(folder, load_card(folder))


# Saving.


def test_a_saved_entry_is_a_card_weights_and_a_golden_sample(zoo: Path) -> None:
    folder = saved(zoo, with_graph=False)
    assert folder == zoo / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.json", "golden.safetensors", "model.safetensors",
    ]  # fmt: skip
    card = load_card(folder)
    # Stem, four residual blocks and head, of width 2 and three classes by hand.
    assert card.n_parameters == 22 + 80 + 248 + 944 + 1264 + 51
    assert card.weights.sha256 == files.sha256(folder / card.weights.file)
    assert card.golden.sha256 == files.sha256(folder / card.golden.file)


def test_the_golden_sample_is_what_the_net_says(entry: Path) -> None:
    golden = load_file(entry / golden_sample.FILE)
    assert golden["input"].shape == (golden_sample.BATCH, 16, tiny.LENGTH)
    x = torch.from_numpy(golden["input"])
    net = load(entry)
    with torch.inference_mode():
        assert np.array_equal(net(x).numpy(), golden["logits"])
        assert np.array_equal(net.embed(x).numpy(), golden["embedding"])  # type: ignore[operator]


def test_what_is_saved_twice_has_the_same_bytes(zoo: Path) -> None:
    one, two = saved(zoo / "a", with_graph=True), saved(zoo / "b", with_graph=True)
    for name in (CARD, weights.WEIGHTS, golden_sample.FILE, GRAPH):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_an_existing_name_is_refused_and_stays_as_it_was(entry: Path) -> None:
    before = {path.name: path.read_bytes() for path in entry.iterdir()}
    with pytest.raises(ZooError, match="exists already"):
        tiny.entry(entry.parent, seed=1)
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == before


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "a\\b", ".hidden", "a\nb", "a\0"])
def test_a_name_that_is_no_folder_is_refused(zoo: Path, name: str) -> None:
    with pytest.raises(ZooError, match="cannot be the name of an entry"):
        tiny.entry(zoo, name)
    assert not zoo.exists()


@pytest.mark.parametrize("step", ["entries.save_card", "weights.sample", "weights.to_bytes"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failing_write_leaves_nothing(
    zoo: Path, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(f"mgr_cli.zoo.{step}", fail)
    with pytest.raises(type(error)):
        tiny.entry(zoo)
    assert list(zoo.iterdir()) == []


def test_an_entry_that_is_being_saved_is_not_seen(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Path]] = []

    def look(target: Path, card: object) -> None:
        save_card(target, card)  # type: ignore[arg-type]
        seen.append([*zoo.glob("*"), *entries.folders([zoo]).values()])

    monkeypatch.setattr(entries, "save_card", look)
    folder = tiny.entry(zoo)
    (during,) = seen
    assert len(during) == 1  # the hidden folder, and no entry
    assert entries.folders([zoo]) == {"tiny": folder}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(
    ("mask", "of_files", "of_folder"),
    [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)],
)
def test_others_may_read_what_the_umask_lets_them(
    zoo: Path, umask: None, mask: int, of_files: int, of_folder: int
) -> None:
    os.umask(mask)
    folder = tiny.entry(zoo)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {of_files}
    assert folder.stat().st_mode & 0o777 == of_folder


# Loading what is not as it must be.


def test_changed_weights_do_not_match_their_digest(entry: Path) -> None:
    path = entry / weights.WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ZooError, match=r"model\.safetensors: its digest is .* was changed"):
        load(entry)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_weights_are_refused_even_if_signed(entry: Path, share: float) -> None:
    path = entry / weights.WEIGHTS
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ZooError, match="digest"):
        load(entry)
    sign(entry)
    with pytest.raises(ZooError, match="not readable as weights"):
        load(entry)


def test_missing_weights_are_named(entry: Path) -> None:
    (entry / weights.WEIGHTS).unlink()
    with pytest.raises(ZooError, match=r"model\.safetensors: cannot be read \(No such file"):
        load(entry)


def rewrite(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    save_file(tensors, folder / weights.WEIGHTS)
    sign(folder)


def test_weights_of_another_architecture_are_refused(entry: Path) -> None:
    change(entry, architecture="cnn1d-gru", hyperparameters={"hidden_dim": 8})
    with pytest.raises(ZooError, match="does not fit the architecture cnn1d-gru"):
        load(entry)


@pytest.mark.parametrize("case", ["wider", "missing", "added", "reshaped", "double"])
def test_weights_that_do_not_fit_are_named(entry: Path, case: str) -> None:
    tensors = load_file(entry / weights.WEIGHTS)
    head = "head.1.weight"
    match case:
        case "wider":
            tensors[head] = np.zeros((3, 17), np.float32)
        case "missing":
            del tensors[head]
        case "added":
            head = "head.2.weight"
            tensors[head] = np.zeros(3, np.float32)
        case "reshaped":
            tensors[head] = tensors[head].reshape(16, 3)
        case "double":
            tensors[head] = tensors[head].astype(np.float64)
    rewrite(entry, tensors)
    with pytest.raises(ZooError, match=f"'{head}' does not fit the architecture"):
        load(entry)


def test_weights_for_more_classes_than_the_card_has_are_refused(entry: Path) -> None:
    change(entry, classes=("blues", "rock"))
    with pytest.raises(ZooError, match=r"'head\.1\.\w+' does not fit"):
        load(entry)


@pytest.mark.parametrize(
    ("updates", "reason"),
    [
        ({"architecture": "cnn9d"}, "unknown architecture 'cnn9d'"),
        ({"hyperparameters": {"width": 10**9}}, "width is 1000000000, outside"),
        ({"hyperparameters": {"width": "wide"}}, "width is 'wide', expected int"),
        ({"hyperparameters": {"depth": 2}}, "no hyper-parameter 'depth'"),
    ],
)
def test_a_card_of_a_net_that_is_not_there_is_refused(
    entry: Path, updates: dict[str, object], reason: str
) -> None:
    change(entry, **updates)
    with pytest.raises(ZooError, match=rf"card\.json: .*{reason}"):
        load(entry)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_a_pickle_is_never_opened(entry: Path, tmp_path: Path) -> None:
    exploded = tmp_path / "exploded"
    for write in (
        lambda path: path.write_bytes(pickle.dumps(Bomb(exploded))),
        lambda path: torch.save({"weight": Bomb(exploded)}, path),
    ):
        for name in (weights.WEIGHTS, golden_sample.FILE):
            folder = tiny.entry(tmp_path / f"zoo-{len(list(tmp_path.iterdir()))}")
            write(folder / name)
            sign(folder)
            with pytest.raises(ZooError):
                entries.verify(folder)
    assert not exploded.exists()
    pickle.loads(pickle.dumps(Bomb(exploded)))
    assert exploded.exists()  # the bomb was live


def test_loading_asks_no_unpickler(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (np, "load")):
        monkeypatch.setattr(module, name, refuse)
    entries.verify(entry)


def test_loading_leaves_the_generator_and_the_mode_alone(entry: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    net = load(entry)
    assert torch.equal(before, torch.get_rng_state())
    assert not net.training
    assert {p.device.type for p in net.parameters()} == {"cpu"}


# Verifying.


def test_an_entry_as_it_was_saved_is_verified(entry: Path) -> None:
    found = entries.verify(entry)
    assert found.difference <= 1e-6  # the same machine that saved it
    assert found.graph is None


@pytest.mark.parametrize("key", ["stem.0.weight", "blocks.3.body.4.running_var", "head.1.bias"])
def test_a_changed_weight_is_noticed_even_if_signed(entry: Path, key: str) -> None:
    tensors = load_file(entry / weights.WEIGHTS)
    tensors[key].flat[0] += 1.0
    rewrite(entry, tensors)
    with pytest.raises(ZooError, match="differs from its golden sample by"):
        entries.verify(entry)


def test_a_weight_that_is_no_number_is_noticed(entry: Path) -> None:
    tensors = load_file(entry / weights.WEIGHTS)
    tensors["head.1.bias"][0] = np.nan  # of the logits alone: the embedding is still right
    rewrite(entry, tensors)
    with pytest.raises(ZooError, match="differs from its golden sample by nan"):
        entries.verify(entry)


def test_a_changed_golden_sample_is_noticed(entry: Path) -> None:
    golden = load_file(entry / golden_sample.FILE)
    golden["logits"][0, 0] += 1
    save_file(golden, entry / golden_sample.FILE)
    with pytest.raises(ZooError, match=r"golden\.safetensors: its digest"):
        entries.verify(entry)
    sign(entry)
    with pytest.raises(ZooError, match=r"differs from its golden sample by 1\.0e\+00"):
        entries.verify(entry)


@pytest.mark.parametrize(
    "case", ["no input", "no logits", "other bands", "other type", "truncated"]
)
def test_a_golden_sample_of_something_else_is_a_zoo_error(entry: Path, case: str) -> None:
    golden = load_file(entry / golden_sample.FILE)
    path = entry / golden_sample.FILE
    match case:
        case "no input":
            del golden["input"]
        case "no logits":
            del golden["logits"]
        case "other bands":
            golden["input"] = golden["input"][:, :, :, None].copy()
        case "other type":
            golden["input"] = golden["input"].astype(np.float64)
    save_file(golden, path)
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:20])
    sign(entry)
    with pytest.raises(ZooError, match="no golden sample of this net"):
        entries.verify(entry)


# The graph.


def test_a_saved_graph_stands_on_the_card_and_is_verified(zoo: Path) -> None:
    folder = saved(zoo, with_graph=True)
    graph = load_card(folder).graph
    assert graph is not None
    assert graph.file == WeightsFile(file=GRAPH, sha256=files.sha256(folder / GRAPH))
    found = entries.verify(folder)
    assert found.graph == graph.difference <= 1e-6  # the same machine that saved it


def test_an_entry_gets_its_graph_later_and_keeps_all_else(entry: Path, tmp_path: Path) -> None:
    before = load_card(entry)
    kept = {path.name: path.read_bytes() for path in entry.iterdir() if path.name != CARD}
    card = entries.add_graph(entry)
    assert card == load_card(entry)
    assert card.graph is not None
    assert card.model_copy(update={"graph": None}) == before
    assert {name: (entry / name).read_bytes() for name in kept} == kept
    # It is the one that saving would have made.
    other = saved(tmp_path / "other", with_graph=True)
    assert (entry / GRAPH).read_bytes() == (other / GRAPH).read_bytes()


def test_a_graph_that_says_something_else_is_noticed_even_if_signed(zoo: Path) -> None:
    folder = saved(zoo, with_graph=True)
    model = onnx.load(str(folder / GRAPH), load_external_data=False)
    (last,) = (node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "own"
    doubled = onnx.helper.make_node("Add", ["own", "own"], ["logits"])
    model.graph.node.append(doubled)
    (folder / GRAPH).write_bytes(model.SerializeToString())
    with pytest.raises(ZooError, match=r"model\.onnx: its digest"):
        entries.verify(folder)
    graph = Graph(file=weights.digested(folder / GRAPH), difference=0.0)
    change(folder, graph=graph)
    with pytest.raises(ZooError, match=r"its graph differs from its model by .*, more than 1e-05"):
        entries.verify(folder)


# Looking for entries.


def test_entries_are_listed_by_name_and_the_earlier_zoo_hides_the_later(tmp_path: Path) -> None:
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    tiny.entry(shipped, "b")
    tiny.entry(shipped, "a")
    tiny.entry(mine, "b")
    tiny.entry(mine, "c")
    assert list(entries.folders([mine, shipped]).items()) == [
        ("a", shipped / "a"), ("b", mine / "b"), ("c", mine / "c"),
    ]  # fmt: skip
    assert entries.find("b", [shipped, mine]) == shipped / "b"
    assert entries.folders([tmp_path / "nowhere"]) == {}


def test_an_entry_is_found_by_name_or_by_folder(zoo: Path, tmp_path: Path) -> None:
    folder = tiny.entry(zoo, "one")
    elsewhere = tiny.entry(tmp_path / "elsewhere", "two")
    assert entries.find("one", [zoo]) == folder
    assert entries.find(str(elsewhere), [zoo]) == elsewhere


def test_an_unknown_entry_is_answered_with_close_names(zoo: Path) -> None:
    with pytest.raises(ZooError, match=r"no entry 'one' in the zoo; it is empty"):
        entries.find("one", [zoo])
    tiny.entry(zoo, "cnn1d-demo")
    tiny.entry(zoo, "xyz")
    with pytest.raises(ZooError, match=r"no entry 'cnn1-demo' in the zoo; did you mean cnn1d-demo"):
        entries.find("cnn1-demo", [zoo])
    with pytest.raises(ZooError, match=r"known: cnn1d-demo, xyz"):
        entries.find("opera", [zoo])


def test_the_newest_was_created_last_wherever_it_lies(tmp_path: Path) -> None:
    tiny.entry(tmp_path / "a", "late", created="2024-05-03T00:00:00+00:00")
    tiny.entry(tmp_path / "a", "early", created="2024-05-01T00:00:00+00:00")
    newest = tiny.entry(tmp_path / "b", "latest", created="2024-05-04T00:00:00+00:00")
    os.utime(tmp_path / "a" / "early" / CARD, (2e9, 2e9))  # a copy's date says nothing
    assert entries.newest([tmp_path / "a", tmp_path / "b"]) == newest


def test_a_damaged_entry_is_never_the_newest(zoo: Path) -> None:
    whole = tiny.entry(zoo, "whole", created="2024-05-01T00:00:00+00:00")
    damaged = tiny.entry(zoo, "damaged", created="2024-05-02T00:00:00+00:00")
    (damaged / CARD).write_text("{")
    assert entries.newest([zoo]) == whole
    (whole / CARD).write_text("{")
    with pytest.raises(ZooError, match="train an entry with `mgr train`"):
        entries.newest([zoo])


def test_ones_own_zoo_comes_first_and_its_file_names_the_default(tmp_path: Path) -> None:
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    best = tiny.entry(shipped, "best", created="2024-05-02T00:00:00+00:00")
    new = tiny.entry(shipped, "new", created="2024-05-03T00:00:00+00:00")
    assert entries.default_entry([mine, shipped]) == new
    (shipped / entries.DEFAULT).write_text("best\n")
    assert entries.default_entry([mine, shipped]) == best
    older = tiny.entry(mine, "older", created="2024-04-01T00:00:00+00:00")
    old = tiny.entry(mine, "old", created="2024-05-01T00:00:00+00:00")
    assert entries.default_entry([mine, shipped]) == old
    (mine / entries.DEFAULT).write_text("older")
    assert entries.default_entry([mine, shipped]) == older
    (mine / entries.DEFAULT).write_text("gone")
    with pytest.raises(ZooError, match="no entry 'gone'"):
        entries.default_entry([mine, shipped])


def test_zoo_without_a_whole_entry_does_not_hide_the_next(tmp_path: Path) -> None:
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    (tiny.entry(mine, "damaged") / CARD).write_text("{")
    best = tiny.entry(shipped, "best")
    assert entries.default_entry([mine, shipped]) == best


def test_card_whose_name_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    card = tiny.entry(tmp_path, "plain") / CARD
    card.write_text(card.read_text().replace('"plain"', '"../../elsewhere"', 1))
    with pytest.raises(ZooError, match=r"name: '\.\./\.\./elsewhere' is no plain name"):
        load_card(card.parent)


def test_new_entries_go_to_the_users_choice_then_here_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entries, "user_data_path", lambda name: tmp_path / "data" / name)
    assert entries.home() == tmp_path / "data" / "mgr" / "zoo"
    (tmp_path / "zoo").mkdir()
    assert entries.home() == Path("zoo")
    assert entries.home(tmp_path / "chosen") == tmp_path / "chosen"


def test_shipped_entries_are_looked_for_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "site" / "mgr_cli"
    monkeypatch.setattr(entries, "package_files", lambda name: package)
    chosen = tmp_path / "chosen"
    assert entries.places(chosen) == [chosen]
    (package / "_zoo").mkdir(parents=True)
    assert entries.places(chosen) == [chosen, package / "_zoo"]


def test_a_free_name_counts_on_from_two(zoo: Path) -> None:
    assert entries.free_name("a", zoo) == "a"
    (zoo / "a").mkdir(parents=True)
    assert entries.free_name("a", zoo) == "a-2"
    (zoo / "a-2").mkdir()
    assert entries.free_name("a", zoo) == "a-3"


def test_the_card_names_the_file_of_the_weights(entry: Path) -> None:
    (entry / weights.WEIGHTS).rename(entry / "other.safetensors")
    written = json.loads((entry / CARD).read_text())
    written["weights"]["file"] = "other.safetensors"
    (entry / CARD).write_text(json.dumps(written))
    entries.verify(entry)


class View(nn.Module):
    """A net whose embedding is a view of something larger."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def embed(self, x: Tensor) -> Tensor:
        return torch.stack([x.mean(dim=2)[:, :4], x.amax(dim=2)[:, :4]], dim=2)[:, :, 0]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.embed(x))
        return logits


def test_golden_embedding_that_is_a_view_is_kept_as_it_looks(tmp_path: Path) -> None:
    net = View().eval()
    folder = entries.save(tiny.card(), net, tmp_path, rng=np.random.default_rng(0))
    golden = load_file(folder / "golden.safetensors")
    with torch.inference_mode():
        expected = net.embed(torch.from_numpy(golden["input"])).numpy()
    assert not expected.flags.c_contiguous
    np.testing.assert_array_equal(golden["embedding"], expected)


def test_default_that_is_no_text_or_no_entry_names_its_file(tmp_path: Path) -> None:
    tiny.entry(tmp_path)
    for said in (b"\xff\xfe", b"", b"gone"):
        (tmp_path / entries.DEFAULT).write_bytes(said)
        with pytest.raises(ZooError, match=r"default\.txt: .*`mgr zoo default NAME`"):
            entries.default_entry([tmp_path])


@pytest.mark.parametrize("name", [entries.DEFAULT, "--yes", "a" * 101])
def test_names_that_mean_something_else_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ZooError, match="cannot be the name of an entry"):
        tiny.entry(tmp_path, name)
    assert not list(tmp_path.iterdir())
