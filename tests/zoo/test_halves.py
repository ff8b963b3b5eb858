"""Weights in half precision: the same numbers, in half the space."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file
from torch import nn

from mgr_cli import files
from mgr_cli.errors import ZooError
from mgr_cli.zoo import arrivals, entries, halves, sessions, weights
from mgr_cli.zoo import golden as golden_sample
from mgr_cli.zoo.card import WeightsFile, load_card, save_card
from mgr_cli.zoo.exports import export
from tests import tiny


def many(*values: float) -> np.ndarray:
    """Repeat some values until they are worth it."""
    return np.resize(np.array(values, np.float32), halves.FEWEST)


@pytest.mark.parametrize(
    ("values", "is_exact"),
    [
        ((1.0, -2048.0, 0.0), True),
        ((2049.0,), False),  # twelve bits
        ((1 + 2**-10,), True),
        ((1 + 2**-11,), False),
        ((65_504.0,), True),
        ((65_505.0,), False),
        ((65_520.0,), False),  # would be infinite
        ((2.0**-24,), True),
        ((2.0**-25,), False),  # would be 0
        ((1.0, 1 / 3), False),
        ((np.inf,), False),
        ((np.nan,), False),
    ],
)
@pytest.mark.filterwarnings("error")
def test_floats_are_halved_if_each_of_them_stays_what_it_is(
    values: tuple[float, ...], is_exact: bool
) -> None:
    given = many(*values)
    found = halves.compact(given)
    assert found.dtype == (np.float16 if is_exact else np.float32)
    np.testing.assert_array_equal(found.astype(np.float32), given)


def test_zeros_keep_their_sign_and_arrays_their_shape() -> None:
    found = halves.compact(many(-0.0).reshape(2, -1))
    assert found.shape == (2, halves.FEWEST // 2)
    assert np.signbit(found).all()


def test_few_values_and_other_types_are_left_alone() -> None:
    for given in (many(1.0)[1:], many(1.0).astype(np.float64), many(1.0).astype(np.int64)):
        assert halves.compact(given) is given


def test_parameters_are_rounded_as_ieee_754_says_and_buffers_are_not() -> None:
    net = tiny.net()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    found = halves.rounded(net)
    assert not found.training
    parameters = dict(found.named_parameters())
    n_changed = 0
    for key, value in found.state_dict().items():
        assert value.dtype == before[key].dtype
        expected = before[key]
        if key in parameters:
            flat = expected.flatten().tolist()
            kept = [struct.unpack("e", struct.pack("e", each))[0] for each in flat]
            expected = torch.tensor(kept).reshape(expected.shape)
            n_changed += not torch.equal(value, before[key])
        assert torch.equal(value, expected), key
    assert n_changed > 5
    assert {"mean", "var"} <= {key.split("_")[-1] for key in before}  # there are buffers
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_net_that_half_precision_cannot_hold_is_refused_in_one_line() -> None:
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.bias[1] = -65_520
    with pytest.raises(ZooError, match=r"^the parameter 'bias' has values .* is 65504; [^\n]+$"):
        halves.rounded(net)
    assert net.bias[1] == -65_520


# Entries.


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo with two entries of the same net, the second of which is rounded."""
    root = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halves, "FEWEST", 16)  # the net is tiny
        for name, net in (("whole", tiny.net()), ("half", halves.rounded(tiny.net()))):
            entries.save(tiny.card(name), net, root, rng=np.random.default_rng(0))
    return root


@pytest.fixture
def half(zoo: Path, tmp_path: Path) -> Path:
    return entries.adopt(zoo / "half", load_card(zoo / "half"), tmp_path / "zoo")


def types(path: Path) -> dict[str, str]:
    with safe_open(path, framework="np") as file:
        return {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118


def test_a_rounded_net_is_kept_in_half_precision_and_is_the_same_net(zoo: Path) -> None:
    net = halves.rounded(tiny.net())
    parameters = dict(net.named_parameters())
    found = types(zoo / "half" / weights.WEIGHTS)
    assert all(
        found[key] == ("F16" if value.numel() >= 16 else "F32") for key, value in parameters.items()
    )
    assert {key for key, kind in found.items() if kind == "I64"} == {
        key for key in found if key.endswith("num_batches_tracked")
    }
    assert set(types(zoo / "whole" / weights.WEIGHTS).values()) == {"F32", "I64"}
    n_bytes = [
        sum(x.nbytes for x in load_file(zoo / name / weights.WEIGHTS).values() if x.size >= 16)
        for name in ("half", "whole")
    ]
    assert n_bytes[0] < 0.6 * n_bytes[1]
    for name, expected in (("half", net), ("whole", tiny.net())):
        loaded = weights.load_net(zoo / name, load_card(zoo / name))
        state = loaded.state_dict()
        for key, value in expected.state_dict().items():
            assert state[key].dtype == value.dtype
            assert torch.equal(state[key], value)
        assert all(each.requires_grad for each in loaded.parameters())


def test_golden_inputs_are_halved_and_what_came_of_them_is_not(zoo: Path) -> None:
    golden = load_file(zoo / "half" / golden_sample.FILE)
    assert {key: str(value.dtype) for key, value in golden.items()} == {
        "input": "float16", "embedding": "float32", "logits": "float32",
    }  # fmt: skip
    assert golden["input"].std() == pytest.approx(1, abs=0.1)
    assert entries.verify(zoo / "half").difference == 0


def test_golden_results_stay_float32_even_where_half_precision_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halves, "FEWEST", 1)
    net = tiny.net()
    with torch.no_grad():
        for values in net.parameters():
            values.zero_()
    folder = entries.save(
        tiny.card(), net, tmp_path, rng=np.random.default_rng(0), with_graph=False
    )
    golden = load_file(folder / golden_sample.FILE)
    assert not golden["logits"].any()
    assert golden["logits"].dtype == golden["embedding"].dtype == np.float32
    assert set(types(folder / weights.WEIGHTS).values()) >= {"F16", "I64"}


def test_a_golden_input_of_before_still_verifies(half: Path) -> None:
    golden = load_tensors(half / golden_sample.FILE)
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(golden["input"].shape, generator=rng)  # that half precision cannot hold
    net = weights.load_net(half, load_card(half))
    with torch.inference_mode():
        made = {"input": x, "embedding": net.embed(x), "logits": net(x)}  # type: ignore[operator]
    save_file({key: value.clone() for key, value in made.items()}, half / golden_sample.FILE)
    said = {"golden": weights.digested(half / golden_sample.FILE)}
    save_card(half, load_card(half).model_copy(update=said))
    assert entries.verify(half).difference == 0


def test_such_entries_travel(half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = load_file(half / golden_sample.FILE)
    export(half, "safetensors", tmp_path / "half.zip")
    export(half, "hf", tmp_path / "folder")
    for place, given in enumerate(("half.zip", "folder")):
        home = tmp_path / f"home-{place}"
        arrivals.admit(tmp_path / given, [home])
        sound = entries.verify(home / "half")
        assert sound.difference == 0
        assert sound.graph is not None
        assert (home / "half" / weights.WEIGHTS).read_bytes() == (
            half / weights.WEIGHTS
        ).read_bytes()
    export(half, "onnx", tmp_path / "away" / "half.onnx")
    monkeypatch.chdir(tmp_path / "away")
    session = onnxruntime.InferenceSession("half.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input": golden["input"].astype(np.float32)})
    assert np.abs(logits - golden["logits"]).max() < 1e-5  # float32 sums in another order


# What a stranger may write.


def retyped(folder: Path, change: Callable[[torch.Tensor], torch.Tensor], *, of: str) -> None:
    path = folder / weights.WEIGHTS
    state = load_tensors(path)
    save_file({key: change(x) if of in key else x for key, x in state.items()}, path)
    said = {"weights": WeightsFile(file=path.name, sha256=files.sha256(path))}
    save_card(folder, load_card(folder).model_copy(update=said))


@pytest.mark.parametrize(
    ("kind", "of"),
    [
        (torch.float64, "weight"), (torch.bfloat16, "weight"), (torch.int16, "weight"),
        (torch.int64, "weight"), (torch.bool, "weight"), (torch.float8_e4m3fn, "weight"),
        (torch.float16, "num_batches"), (torch.float32, "num_batches"),
    ],
)  # fmt: skip
def test_other_types_are_refused_in_one_line(half: Path, kind: torch.dtype, of: str) -> None:
    retyped(half, lambda x: x.to(kind), of=of)
    with pytest.raises(ZooError, match=r"^[^\n]*does not fit the architecture short-chunk-resnet$"):
        weights.load_net(half, load_card(half))


def test_half_precision_hides_no_other_shape(half: Path) -> None:
    retyped(half, lambda x: x.half()[None], of="head")
    with pytest.raises(ZooError, match="does not fit the architecture"):
        weights.load_net(half, load_card(half))


def test_a_graph_of_the_other_precision_is_refused(half: Path, zoo: Path) -> None:
    graph = (zoo / "half" / "model.onnx").read_bytes()
    retyped(half, lambda x: x.float() if x.dtype == torch.float16 else x, of="")
    with pytest.raises(ValueError, match="is said to lie where the card's weights have no such"):
        sessions.score_with(graph, half / weights.WEIGHTS, load_card(half), threads=1)
