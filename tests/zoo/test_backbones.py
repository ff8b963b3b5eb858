import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mgr_cli.config import SegmentSpec
from mgr_cli.errors import ZooError
from mgr_cli.features.normalisation import identity
from mgr_cli.models import registry
from mgr_cli.zoo import backbones, weights
from mgr_cli.zoo.backbones import Backbone
from mgr_cli.zoo.card import Card
from mgr_cli.zoo.weights import Judge
from tests import tiny as entries

HAS_TRANSFORMERS = find_spec("transformers") is not None
if HAS_TRANSFORMERS:
    from tests import encoders as tiny

needs_transformers = pytest.mark.skipif(not HAS_TRANSFORMERS, reason="an extra, mgr-cli[hf]")


class Small(nn.Module):
    """Stands in for what `imagenet` makes, and counts the segments that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2))
        self.seen: list[int] = []

    def forward(self, levels: Tensor) -> Tensor:
        self.seen.append(len(levels))
        rows: Tensor = self.net(levels[:, None]).flatten(1)
        return rows


def small(*, seed: int = 0, **changes: Any) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Small().eval()
    whole = Backbone(net, "resnet50", "avg_pool", "made up", 8_000)
    return replace(whole, **changes)


def seen(backbone: Backbone) -> list[int]:
    net = backbone.net
    assert isinstance(net, Small)
    return net.seen


def levels(n: int = 3, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-40, 20, (n, 16, 10)).astype(np.float32)


# What is on the disk.


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mgr_cli.models.imagenet.resnet50", lambda *, cut: Small())


def load(folder: Path, backbone: Backbone) -> Backbone:
    return backbones.load(
        folder, backbone.architecture, backbone.cut, origin=backbone.origin,
        sample_rate=backbone.sample_rate, device="cpu", has_settings=bool(backbone.settings),
    )  # fmt: skip


def saved(zoo: Path, name: str, backbone: Backbone) -> list[Path]:
    (zoo / name).mkdir(parents=True)
    return backbones.save(zoo / name, backbone, zoo=zoo)


@pytest.mark.usefixtures("stand_in")
def test_loaded_backbone_is_equal_to_the_bit(tmp_path: Path) -> None:
    backbone = small()
    assert saved(tmp_path, "a", backbone) == [tmp_path / "a" / "backbone.safetensors"]
    loaded = load(tmp_path / "a", backbone)
    assert loaded == backbone  # but for the net
    assert loaded.weights == backbone.weights
    assert loaded.digest == backbone.digest
    assert np.array_equal(loaded.rows((levels(),)), backbone.rows((levels(),)))
    assert not loaded.net.training
    assert not any(weight.requires_grad for weight in loaded.net.parameters())


@needs_transformers
def test_loaded_encoder_is_equal_to_the_bit(tmp_path: Path) -> None:
    from mgr_cli.models.encoder_settings import KINDS

    for kind in KINDS:
        backbone = encoder(tmp_path / kind, kind)
        files = saved(tmp_path / "zoo", kind, backbone)
        assert [path.name for path in files] == ["backbone.safetensors", "backbone.json"]
        loaded = load(tmp_path / "zoo" / kind, backbone)
        assert loaded == backbone
        assert loaded.digest == backbone.digest
        x = tiny.waveforms()
        assert np.array_equal(loaded.rows((x,)), backbone.rows((x,)))
        assert not any(weight.requires_grad for weight in loaded.net.parameters())


def test_same_weights_are_one_file_on_the_disk(tmp_path: Path) -> None:
    (first,), (second,), (other,) = (
        saved(tmp_path, name, small(seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first.samefile(second)
    assert not first.samefile(other)
    assert (first.stat().st_nlink, other.stat().st_nlink) == (2, 1)


def test_another_cut_of_the_same_weights_is_the_same_file(tmp_path: Path) -> None:
    (first,), (second,) = (saved(tmp_path, cut, small(cut=cut)) for cut in ("x", "y"))
    assert first.samefile(second)


def test_where_the_disk_has_no_links_weights_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    (first,), (second,) = (saved(tmp_path, name, small()) for name in "ab")
    assert not first.samefile(second)
    assert first.read_bytes() == second.read_bytes() == small().weights


def test_damaged_weights_of_another_entry_are_not_linked(tmp_path: Path) -> None:
    (first,) = saved(tmp_path, "a", small())
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(bytes(data))
    (second,) = saved(tmp_path, "b", small())
    assert not first.samefile(second)
    assert second.read_bytes() == small().weights


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state | {"net.0.weight": torch.zeros(4, 1, 5, 5)}, "'net.0.weight'"),
        (lambda state: state | {"net.0.bias": torch.zeros(4).double()}, "'net.0.bias'"),
        (lambda state: {key: v for key, v in state.items() if "bias" not in key}, "'net.0.bias'"),
        (lambda state: state | {"a" * 10_000: torch.zeros(4)}, "'aaaa"),
    ],
)
def test_weights_of_other_names_types_and_shapes_are_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], said: str, tmp_path: Path
) -> None:
    (path,) = saved(tmp_path, "a", small())
    save_file(change(load_file(path)), path)
    with pytest.raises(ZooError) as caught:
        load(path.parent, small())
    assert f"{said}" in str(caught.value)
    assert "does not fit the architecture" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("share", [None, 0.0, 0.3, 0.99])
def test_truncated_weights_are_refused(share: float | None, tmp_path: Path) -> None:
    (path,) = saved(tmp_path, "a", small())
    data = path.read_bytes()
    path.unlink()
    if share is not None:
        path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ZooError, match="not readable as weights") as caught:
        load(path.parent, small())
    assert str(caught.value).isprintable()


# Rows, and where they are kept.


def test_rows_are_those_of_the_net_in_any_number_of_segments() -> None:
    backbone, x = small(), levels(19)
    with torch.inference_mode():
        expected = backbone.net(torch.from_numpy(x)).numpy()
    rows = backbone.rows((x.astype(np.float64),))
    assert rows.dtype == np.float32
    assert seen(backbone) == [19, 8, 8, 3]
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)


def test_kept_rows_are_not_computed_again_and_equal_to_the_bit(tmp_path: Path) -> None:
    cached, x = small(cache=tmp_path), levels(11)
    expected = small().rows((x,))
    assert np.array_equal(cached.rows((x,)), expected)
    again = small(cache=tmp_path)
    assert np.array_equal(again.rows((x,)), expected)
    assert np.array_equal(again.rows((x[::-1],)), expected[::-1])
    assert seen(again) == []
    assert again.rows((x,)).dtype == np.float32


def test_what_is_missing_alone_is_computed(tmp_path: Path) -> None:
    x = levels(5)
    small(cache=tmp_path).rows((x[[1, 3]],))
    cached = small(cache=tmp_path)
    rows = cached.rows((x,))
    assert seen(cached) == [3]
    np.testing.assert_allclose(rows, small().rows((x,)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{"cut": "fc1"}, {"seed": 1}, {"sample_rate": 16_000}, {"settings": "{}"},
     {"architecture": "vgg16"}],
)  # fmt: skip
def test_another_backbone_shares_no_rows(changes: dict[str, Any], tmp_path: Path) -> None:
    x = levels()
    small(cache=tmp_path).rows((x,))
    other = small(**changes, cache=tmp_path)
    other.rows((x,))
    assert seen(other) == [3]
    same = small(cache=tmp_path, origin="elsewhere")
    same.rows((x,))
    assert seen(same) == []


def test_another_segment_shares_no_rows(tmp_path: Path) -> None:
    x = levels()
    small(cache=tmp_path).rows((x,))
    other = np.nextafter(x, np.float32(0))
    cached = small(cache=tmp_path)
    assert not np.array_equal(cached.rows((other,)), small().rows((x,)))
    assert seen(cached) == [3]


def turned(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:40],
        lambda data: data + b"\0" * 4,
        lambda data: turned(data, -1),
        lambda data: turned(data, 0),
        lambda data: b"something else",
    ],
)
def test_damaged_row_is_made_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    x = levels()
    expected = small(cache=tmp_path).rows((x,))
    path = sorted(path for path in tmp_path.rglob("*") if path.is_file())[0]
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    cached = small(cache=tmp_path)
    np.testing.assert_allclose(cached.rows((x,)), expected, rtol=1e-5, atol=1e-6)
    assert seen(cached) == [1]
    again = small(cache=tmp_path)
    again.rows((x,))
    assert seen(again) == []


def test_nothing_but_rows_is_left_in_the_cache(tmp_path: Path) -> None:
    backbone, x = small(cache=tmp_path), levels(5)
    backbone.rows((np.concatenate([x, x]),))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 5
    assert {path.suffix for path in files} == {".row"}
    assert {path.relative_to(tmp_path).parts[0] for path in files} == {backbone.digest[:16]}


def test_n_parameters_is_without_running_moments() -> None:
    assert small().n_parameters == 4 * 9 + 4 + 4 + 4


# Entries of strangers.


def encoder(folder: Path, variant: str = "hubert") -> Backbone:
    from mgr_cli.zoo.borrowing import borrow

    made = tiny.made(folder, variant)
    return borrow("hf", "mean", weights=str(made), sample_rate=tiny.RATE, seed=0)


def entry(folder: Path, backbone: Backbone) -> Card:
    """Fill a folder with what an entry computes with; return its card."""
    x = tiny.waveforms(12)
    pipeline = registry.build_pipeline("gaussian-nb", seed=0)
    pipeline.fit(backbone.rows((x,)), np.arange(12) % 3)
    folder.mkdir()
    said = weights.save_model(folder, Judge(pipeline, backbone), folder.parent)
    return entries.card().model_copy(
        update={
            "architecture": "hf", "eats": ("waveform",), "hyperparameters": {"cut": "mean"},
            "normalisation": {"waveform": identity(1)}, **said,
            "segments": SegmentSpec(seconds=0.5, hop_seconds=0.5),
        }
    )  # fmt: skip


def resigned(folder: Path, card: Card) -> Card:
    """Give a card the digests of the files that lie there now, as a stranger would."""
    assert card.borrowed is not None
    files = tuple(weights.digested(folder / file.file) for file in card.borrowed.files)
    return card.model_copy(update={"borrowed": card.borrowed.model_copy(update={"files": files})})


@needs_transformers
def test_entry_with_an_encoder_judges_as_before(tmp_path: Path) -> None:
    backbone = encoder(tmp_path / "hubert")
    card = entry(tmp_path / "entry", backbone)
    judge = weights.load_judge(tmp_path / "entry", card)
    assert judge.backbone == backbone
    x = tiny.waveforms()
    assert np.array_equal(judge.rows((x,)), backbone.rows((x,)))


@needs_transformers
@pytest.mark.parametrize("name", ["backbone.safetensors", "backbone.json"])
def test_changed_file_of_a_backbone_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "entry"
    card = entry(folder, encoder(tmp_path / "hubert"))
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(turned(data, len(data) // 2))
    with pytest.raises(ZooError, match=f"{name}: its digest is .* it was changed or damaged"):
        weights.load_judge(folder, card)
    (folder / name).unlink()
    with pytest.raises(ZooError, match=f"{name}: cannot be read"):
        weights.load_judge(folder, card)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return tiny.building(monkeypatch)


def assert_refused(folder: Path, card: Card, said: str = "") -> None:
    with pytest.raises(ZooError) as caught:
        weights.load_judge(folder, resigned(folder, card))
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert said in message
    assert message.isprintable()
    assert len(message) < 500


@needs_transformers
def test_settings_that_do_not_fit_the_weights_are_refused_before_anything_is_allocated(
    tmp_path: Path, devices: list[str]
) -> None:
    folder, source = tmp_path / "entry", tmp_path / "hubert"
    card = entry(folder, encoder(source))
    devices.clear()
    large = tiny.settings(source, config={"hidden_size": 2**10, "num_hidden_layers": 30})
    (folder / "backbone.json").write_text(large)
    assert_refused(folder, card, "does not fit the architecture")
    assert set(devices) == {"meta"}


@needs_transformers
def test_absurd_settings_of_a_stranger_are_refused_in_one_line(
    tmp_path: Path, devices: list[str]
) -> None:
    folder, source = tmp_path / "entry", tmp_path / "hubert"
    card = entry(folder, encoder(source))
    devices.clear()
    for config, front, said in tiny.ABSURD.values():
        text = tiny.settings(source, config=config, front=front)
        (folder / "backbone.json").write_text(text)
        assert_refused(folder, card, said)
    for text in ("", "[]", tiny.DEEP, "x" * (4 * 2**20 + 1)):
        (folder / "backbone.json").write_text(text)
        assert_refused(folder, card)
    assert set(devices) == {"meta"}


@needs_transformers
@pytest.mark.parametrize(
    "changes",
    [
        {"conv_stride": [1] * 7, "num_attention_heads": 4},  # a frame a sample, squared
        {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5_000, 2, 2, 2, 2, 2, 2]},
    ],
)
def test_what_is_too_much_or_nothing_of_a_segment_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    # The weights fit all the same.
    folder, source = tmp_path / "entry", tmp_path / "hubert"
    card = entry(folder, encoder(source))
    (folder / "backbone.json").write_text(tiny.settings(source, config=changes))
    assert_refused(folder, card, "does not fit its card (hf: a waveform of ")


@needs_transformers
def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "entry"
    card = entry(folder, encoder(tmp_path / "hubert"))
    path = folder / "backbone.safetensors"
    state = {key: torch.full_like(value, torch.nan) for key, value in load_file(path).items()}
    save_file(state, path)
    assert_refused(folder, card)


@needs_transformers
def test_settings_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "entry"
    card = entry(folder, encoder(tmp_path / "hubert"))
    assert card.borrowed is not None
    alone = card.borrowed.model_copy(update={"files": card.borrowed.files[:1]})
    assert_refused(folder, card.model_copy(update={"borrowed": alone}), "the settings are no JSON")


@needs_transformers
def test_code_named_by_a_stranger_is_not_run(tmp_path: Path) -> None:
    folder, source = tmp_path / "entry", tmp_path / "hubert"
    card = entry(folder, encoder(source))
    trace = tmp_path / "trace"
    (folder / "modeling_x.py").write_text(f"open({str(trace)!r}, 'w').close()")
    code = {"auto_map": {"AutoModel": "modeling_x.X", "AutoFeatureExtractor": "modeling_x.X"}}
    (folder / "backbone.json").write_text(tiny.settings(source, config=code, front=code))
    weights.load_judge(folder, resigned(folder, card))
    assert not trace.exists()
