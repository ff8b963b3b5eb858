import pickle
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model

from mgr_cli.errors import ArchitectureError, MgrError, ZooError
from mgr_cli.models import registry
from mgr_cli.zoo import borrowing
from mgr_cli.zoo.backbones import Backbone
from mgr_cli.zoo.borrowing import borrow

CUT = "conv5_block1_2_relu"
HAS_TRANSFORMERS = find_spec("transformers") is not None
if HAS_TRANSFORMERS:
    from tests import encoders as tiny

needs_transformers = pytest.mark.skipif(not HAS_TRANSFORMERS, reason="an extra, mgr-cli[hf]")


class Exploding:
    """Leaves a file behind where somebody unpickles it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


class Small(nn.Module):
    """Stands in for what `imagenet` makes: a net within, without its classes."""

    def __init__(self, **_: object) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten())

    def forward(self, levels: Tensor) -> Tensor:
        rows: Tensor = self.net(levels[:, None])
        return rows


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mgr_cli.models.imagenet.resnet50", lambda *, cut: Small().eval())


def whole(*, seed: int = 1) -> dict[str, Tensor]:
    """Return the state dict of `Small`, and of what was behind the cut."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(*Small().net, nn.Linear(8, 10))
    state: dict[str, Tensor] = net.state_dict()
    return state


def eye(weights: str | Path | None, *, name: str = "resnet50", seed: int = 0) -> Backbone:
    given = None if weights is None else str(weights)
    cut = CUT if name == "resnet50" else "block5_pool"
    return borrow(name, cut, weights=given, sample_rate=22_050, seed=seed)


def ear(folder: Path, cut: str = "mean") -> Backbone:
    return borrow("hf", cut, weights=str(folder), sample_rate=8_000, seed=0)


def line(error: MgrError, *, longest: int = 500) -> str:
    message = str(error)
    assert message.isprintable()
    assert len(message) < longest
    return message


def refusal(weights: str | Path | None, *, name: str = "resnet50") -> str:
    with pytest.raises(ZooError) as caught:
        eye(weights, name=name)
    return line(caught.value)


def refused_folder(folder: Path) -> str:
    with pytest.raises((ZooError, ArchitectureError)) as caught:
        ear(folder)
    return line(caught.value)


def assert_holds(backbone: Backbone, state: Mapping[str, Tensor]) -> None:
    own = backbone.net.state_dict()
    assert own
    for key, value in own.items():
        assert torch.equal(value, state[key.removeprefix("net.")]), key


# Files.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


@pytest.mark.usefixtures("small")
def test_file_of_safetensors_is_read(path: Path) -> None:
    save_file(whole(), path)
    backbone = eye(path)
    assert_holds(backbone, whole())
    assert backbone.origin.startswith("weights.safetensors, SHA-256 ")
    assert not any(weight.requires_grad for weight in backbone.net.parameters())
    assert not backbone.net.net.training  # type: ignore[union-attr]


@pytest.mark.usefixtures("small")
def test_old_file_without_counts_of_batches_is_read(path: Path) -> None:
    state = whole()
    del state["1.num_batches_tracked"]
    save_file(state, path)
    assert_holds(eye(path), {**state, "1.num_batches_tracked": torch.tensor(0)})


@pytest.mark.usefixtures("small")
def test_half_precision_becomes_single(path: Path) -> None:
    halves = {key: value.half() for key, value in whole().items()}
    save_file(halves, path)
    backbone = eye(path)
    assert {value.dtype for value in backbone.net.state_dict().values()} == {
        torch.float32, torch.int64,
    }  # fmt: skip
    assert_holds(backbone, {key: value.to(whole()[key].dtype) for key, value in halves.items()})


def shapes_of(name: str) -> dict[str, Tensor]:
    """Return a state dict of the shapes of a net."""
    with torch.device("meta"):
        state = get_model(name, weights=None).state_dict()
    return {key: torch.zeros(value.shape) for key, value in state.items()}


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        ("resnet50", "resnet18",
         "'layer1.0.conv1.weight' has the shape (64, 64, 3, 3), expected (64, 64, 1, 1)"),
        ("resnet50", "mobilenet_v2", "'conv1.weight' is missing, expected (64, 3, 7, 7)"),
        ("vgg16", "resnet18", "'features.0.weight' is missing, expected (64, 3, 3, 3)"),
    ],
)  # fmt: skip
def test_weights_of_another_net_are_refused(name: str, other: str, said: str, path: Path) -> None:
    save_file(shapes_of(other), path)
    message = refusal(path, name=name)
    assert f"{path}: {said}" in message
    assert message.endswith(f"; it is the state dict of another net than {name}")


def test_weights_of_a_real_net_fit_and_what_is_behind_the_cut_is_left_out(path: Path) -> None:
    state = shapes_of("resnet50") | {"conv1.weight": torch.ones(64, 3, 7, 7)}
    save_file(state, path)
    backbone = eye(path)
    assert_holds(backbone, state)
    assert backbone.n_parameters == 11_428_928


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_pickle_is_not_opened_and_the_way_out_is_said(name: str, tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / name
    for settings in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save({"conv1.weight": Exploding(trace)}, path, **settings)
        message = refusal(path)
        assert f"{path}: no file of safetensors" in message
        assert "a .pth or .bin is a pickle, and none is opened" in message
        assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # it would have


@pytest.mark.usefixtures("small")
def test_advice_makes_of_a_pickle_what_is_read(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "a.pth", tmp_path / "a.safetensors"
    torch.save(whole(), theirs)
    advice = refusal(theirs).split("`")[1]
    command = shlex.split(advice.replace("OLD", str(theirs)).replace("NEW", str(ours)))
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert_holds(eye(ours), whole())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.usefixtures("small")
def test_truncated_file_is_refused(share: float, path: Path) -> None:
    save_file(whole(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert f"{path}: no file of safetensors" in refusal(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert str(tmp_path) in refusal(tmp_path / "folder.safetensors")


def test_too_large_file_is_refused_unread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr("mgr_cli.zoo.tensors.MAX_WEIGHTS_BYTES", 99)
    assert refusal(path) == f"{path}: larger than 99 bytes"


# torchvision's own, and none.


Fetched = list[dict[str, object]]


def fetching(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any]) -> Fetched:
    """Answer in torchvision's place; return what it was asked with."""
    asked: Fetched = []

    def get_state_dict(self: WeightsEnum, **settings: object) -> Any:
        asked.append({"name": str(self), **settings})
        return answer()

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    return asked


@pytest.mark.usefixtures("small")
def test_default_is_torchvisions_own_checked_and_without_pickle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = fetching(monkeypatch, whole)
    backbone = eye("DEFAULT")
    assert_holds(backbone, whole())
    name = "ResNet50_Weights.IMAGENET1K_V2"
    assert asked == [{"name": name, "progress": False, "check_hash": True, "weights_only": True}]
    assert backbone.origin == f"torchvision, {name}"


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        TimeoutError("timed\nout"),
        PermissionError(13, "Permission denied"),
        RuntimeError('invalid hash value (expected "a", got "b")'),
        EOFError("Ran out of input"),
        pickle.UnpicklingError("invalid load key"),
    ],
)
def test_default_that_cannot_be_had_says_what_else_to_do(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    fetching(monkeypatch, fail)
    message = refusal("DEFAULT")
    assert "torchvision's weights of resnet50 cannot be fetched" in message
    assert message.endswith("name the file, --weights FILE")


def test_default_that_is_of_another_net_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fetching(monkeypatch, whole)
    assert "'conv1.weight' is missing" in refusal("DEFAULT")


@pytest.mark.usefixtures("small")
def test_random_weights_are_those_of_the_seed_and_say_so() -> None:
    state = torch.get_rng_state()
    first, again, other = (eye("random", seed=seed) for seed in (3, 3, 4))
    assert first.weights == again.weights != other.weights
    assert first.digest == again.digest != other.digest
    assert first.origin == "random weights of seed 3, which nobody has trained"
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's numbers are drawn


def test_no_weights_say_what_can_be_given() -> None:
    message = refusal(None)
    assert all(f"--weights {each}" in message for each in ("DEFAULT", "FILE", "random"))
    with pytest.raises(ZooError, match=r"needs the folder of an encoder.*--arch hf:FOLDER"):
        borrow("hf", "mean", weights=None, sample_rate=8_000, seed=0)


# Folders of encoders.


@needs_transformers
def test_origin_of_an_encoder_is_its_folder_and_kind(tmp_path: Path) -> None:
    backbone = ear(tiny.mert(tmp_path / "MERT-v1"))
    assert backbone.origin == "MERT-v1, a mert_model of Hugging Face's transformers"
    assert backbone.n_parameters == sum(p.numel() for p in backbone.net.parameters())


@needs_transformers
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"), ("", "no JSON"), ("{", "no JSON"), ("[1]", "expected a mapping"),
        ("\xff", "cannot be read"), ("DEEP", "no JSON"), ("{}", "_type is None, expected"),
        ("x" * (4 * 2**20 + 1), "larger than"),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused(
    text: str | None, said: str, name: str, tmp_path: Path
) -> None:
    path = tiny.made(tmp_path) / name
    path.unlink()
    if text is not None:
        path.write_bytes((tiny.DEEP if text == "DEEP" else text).encode("latin-1"))
    message = refused_folder(tmp_path)
    assert said in message
    assert message.startswith(f"{path}: " if text != "{}" else "hf: ")


@needs_transformers
def test_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "config.json: cannot be read" in refused_folder(tmp_path / "none")


@needs_transformers
def test_cut_that_an_encoder_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="cut is '7', expected mean, all or 0 to 2"):
        ear(tiny.made(tmp_path), "7")


@needs_transformers
@pytest.mark.parametrize(
    ("kind", "gone", "said"),
    [
        ("hubert", "encoder.layers.1.", "encoder.layers.1.attention.k_proj.bias"),
        # The file has older names than the net.
        ("audio-spectrogram-transformer", "encoder.layer.1.", "layers.1.attention.k_proj.bias"),
    ],
)
def test_weights_of_another_encoder_are_refused(
    kind: str, gone: str, said: str, tmp_path: Path
) -> None:
    path = tiny.made(tmp_path, kind) / "model.safetensors"
    state = load_file(path)
    kept = {key: value for key, value in state.items() if not key.startswith(gone)}
    assert len(kept) < len(state)
    save_file(kept, path, {"format": "pt"})
    assert refused_folder(tmp_path) == (
        f"{tmp_path}: has no {said!r}; its weights are those of another net than config.json says"
    )


@needs_transformers
def test_weights_of_other_shapes_are_refused(tmp_path: Path) -> None:
    folder = tiny.say(tiny.made(tmp_path), "config.json", intermediate_size=48)
    assert f"{folder}: not readable as the weights of an encoder (" in refused_folder(folder)


@needs_transformers
def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    one, two = tiny.made(tmp_path / "1", "wavlm"), tiny.made(tmp_path / "2", "hubert")
    (two / "model.safetensors").replace(one / "model.safetensors")
    assert "has no 'encoder.layers.0.attention.gru_rel_pos" in refused_folder(one)


@needs_transformers
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_damaged_weights_are_refused(share: float, tmp_path: Path) -> None:
    path = tiny.made(tmp_path) / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    message = refused_folder(tmp_path)
    assert f"{tmp_path}: not readable as the weights of an encoder (" in message


@needs_transformers
def test_weights_in_shards_are_read(tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = tiny.made(tmp_path / "one")
    row = ear(folder).rows((tiny.waveforms(),))
    net = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    net.save_pretrained(folder, max_shard_size="8KB")
    assert len(list(folder.glob("model-0*.safetensors"))) > 1
    assert np.array_equal(ear(folder).rows((tiny.waveforms(),)), row)


@needs_transformers
def test_old_names_of_weights_are_read(tmp_path: Path) -> None:
    folder = tiny.mert(tmp_path)
    backbone = ear(folder)
    path = folder / "model.safetensors"
    old = {"parametrizations.weight.original0": "weight_g",
           "parametrizations.weight.original1": "weight_v"}  # fmt: skip
    state = load_file(path)
    for new, name in old.items():
        state[f"encoder.pos_conv_embed.conv.{name}"] = state.pop(
            f"encoder.pos_conv_embed.conv.{new}"
        )
    save_file(state, path, {"format": "pt"})
    assert ear(folder).weights == backbone.weights


@needs_transformers
def test_weights_of_half_precision_are_single_in_the_net(tmp_path: Path) -> None:
    folder = tiny.made(tmp_path)
    path = folder / "model.safetensors"
    halves = {key: value.half() for key, value in load_file(path).items()}
    save_file(halves, path, {"format": "pt"})
    tiny.say(folder, "config.json", dtype="float16")
    backbone = ear(folder)
    assert_holds(backbone, {key: value.float() for key, value in halves.items()})


@needs_transformers
@pytest.mark.parametrize("kind", ["hubert", "unispeech-sat"])
def test_weight_that_only_training_needs_may_be_missing(kind: str, tmp_path: Path) -> None:
    folder = tiny.made(tmp_path, kind)
    row = ear(folder).rows((tiny.waveforms(),))
    path = folder / "model.safetensors"
    state = load_file(path)
    del state["masked_spec_embed"]
    save_file(state, path, {"format": "pt"})
    assert np.array_equal(ear(folder).rows((tiny.waveforms(),)), row)
    assert ear(folder).digest == ear(folder).digest  # it is not drawn anew


CODE = """
from pathlib import Path
Path({trace!r}).touch()
from transformers import HubertConfig as MERTConfig, HubertModel as MERT
"""


@needs_transformers
@pytest.mark.parametrize("kind", ["hubert", "mert_model", "stranger"])
def test_code_beside_the_weights_is_not_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    folder = tiny.mert(tmp_path / "mert", model_type=kind)
    for name in ("modeling_mert", "configuration_mert", "feature_extraction_mert", "__init__"):
        (folder / f"{name}.py").write_text(CODE.format(trace=str(trace)))
    tiny.say(
        folder, "preprocessor_config.json",
        auto_map={"AutoFeatureExtractor": "feature_extraction_mert.MERT"},
    )  # fmt: skip
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    if kind == "stranger":
        assert "model_type is 'stranger'" in refused_folder(folder)
    else:
        assert np.isfinite(ear(folder).rows((tiny.waveforms(),))).all()
    assert not trace.exists()
    assert "modeling_mert" not in sys.modules


@needs_transformers
def test_pickled_weights_of_an_encoder_are_not_opened(tmp_path: Path) -> None:
    folder, trace = tiny.made(tmp_path / "hubert"), tmp_path / "trace"
    (folder / "model.safetensors").unlink()
    torch.save({"x": Exploding(trace)}, folder / "pytorch_model.bin")
    assert "has no weights as safetensors; a .pth or .bin is a pickle" in refused_folder(folder)
    assert not trace.exists()


@needs_transformers
def test_absurd_folder_is_refused_before_its_weights_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny.made(tmp_path)
    tiny.say(folder, "config.json", hidden_size=2**14, num_hidden_layers=128)
    opened: list[Path] = []
    monkeypatch.setattr(borrowing, "_pretrained", opened.append)
    assert "hf: its weights take" in refused_folder(folder)
    assert not opened


def test_without_transformers_an_encoder_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "mgr_cli.models.encoders", raising=False)
    with pytest.raises(ArchitectureError, match=r"pip install 'mgr-cli\[hf\]'"):
        ear(tmp_path)
    assert set(registry.BORROWED) == {"vgg16", "resnet50", "hf"}
