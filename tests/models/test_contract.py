"""What every row of the registry promises."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.models import registry
from mgr_cli.models.layers import Classifier
from mgr_cli.models.registry import ARCHITECTURES
from mgr_cli.models.residual import ShortChunkResNet
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo import golden as golden_sample
from mgr_cli.zoo.card import Card, load_card
from tests import tiny

NAMES = list(ARCHITECTURES)
SEGMENTS = SegmentSpec(seconds=1.0)

# Fewest frames that leave something after the poolings: two halvings of time in the 2-D
# encoder, which drop an odd frame; all other poolings keep it.
MIN_FRAMES = {
    "cnn2d": 4, "cnn2d-gru": 4, "cnn2d-lstm": 4, "modulation": 4, "committee": 4,
    "scattering": 5,
}  # fmt: skip
# Of segments, that for which they were made.
ONE_LENGTH = ("kostrzewa", "cnn-deep", "vit", "modulation", "scattering", "committee")
HOP_LENGTH = 16  # samples a frame of the waveforms here
N_COLUMNS = 21


def dimensions(n_mels: int = 64, n_frames: int = 39) -> dict[str, int]:
    """Return what a segment has of every dimension; a net takes its own."""
    n_samples = HOP_LENGTH * n_frames
    return {
        "n_mels": n_mels, "n_frames": n_frames, "fmin": 0, "fmax": 11_025,
        "n_samples": n_samples, "n_columns": N_COLUMNS,
    }  # fmt: skip


def noise(
    name: str, batch: int, *, n_mels: int = 64, n_frames: int = 39, seed: int = 1
) -> tuple[Tensor, ...]:
    """Make segments of all that a net eats."""
    shapes = {
        "log-mel": (n_mels, n_frames), "waveform": (HOP_LENGTH * n_frames,),
        "handcrafted": (N_COLUMNS,),
    }  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(batch, *shapes[kind], generator=generator) for kind in ARCHITECTURES[name].eats
    )


def build(name: str, *, n_mels: int = 64, n_frames: int = 39, n_classes: int = 5) -> Classifier:
    """Make a net, in evaluation mode, whose batch norms have seen a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = registry.build(name, dimensions(n_mels, n_frames), n_classes=n_classes)
        net(*noise(name, 4, n_mels=n_mels, n_frames=n_frames))
    assert isinstance(net, Classifier)
    return net.eval()


@pytest.mark.parametrize("n_mels", [64, 128])
@pytest.mark.parametrize("name", NAMES)
def test_output_is_finite_and_has_a_row_a_segment_and_a_column_a_class(
    name: str, n_mels: int
) -> None:
    net = build(name, n_mels=n_mels, n_classes=7)
    for n_frames in (MIN_FRAMES.get(name, 1), 5, 39, 130):
        if name in ONE_LENGTH:
            net = build(name, n_mels=n_mels, n_frames=n_frames, n_classes=7)
        with torch.inference_mode():
            logits = net(*noise(name, 3, n_mels=n_mels, n_frames=n_frames))
        assert logits.shape == (3, 7)
        assert logits.isfinite().all()
        assert logits.std(dim=0).min() > 0  # it hears its input


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_heard(name: str) -> None:
    net, inputs = build(name), noise(name, 2)
    for place, other in enumerate(noise(name, 2, seed=3)):
        changed = [*inputs[:place], other, *inputs[place + 1 :]]
        with torch.inference_mode():
            assert not torch.allclose(net(*inputs), net(*changed), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_the_head_of_the_embedding(name: str) -> None:
    net, inputs = build(name), noise(name, 2)
    with torch.inference_mode():
        embedding = net.embed(*inputs)
        assert embedding.ndim == 2
        assert torch.equal(net(*inputs), net.head(embedding))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    net = build(name).train()
    loss = nn.functional.cross_entropy(net(*noise(name, 8)), torch.arange(8) % 5)
    loss.backward()  # type: ignore[no-untyped-call]
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_batch_do_not_hear_each_other(name: str) -> None:
    net, inputs = build(name), noise(name, 4)
    loud = noise(name, 3, seed=2)
    others = [torch.cat([x[:1], 10 * y]) for x, y in zip(inputs, loud, strict=True)]
    with torch.inference_mode():
        # Same shapes, so the same kernels: equal to the bit.
        assert torch.equal(net(*inputs)[0], net(*others)[0])
        # Alone, other kernels may add up in another order.
        alone = net(*(x[:1] for x in inputs))
        torch.testing.assert_close(net(*inputs)[:1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_makes_the_same_net(name: str) -> None:
    one, two = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_net_is_equal_to_the_bit(name: str, tmp_path: Path) -> None:
    row, spec = ARCHITECTURES[name], FeatureSpec(sample_rate=4_000, n_mels=64)
    columns = tuple(f"x{n}" for n in range(N_COLUMNS))
    n_bands = {"log-mel": 64, "waveform": 1, "handcrafted": N_COLUMNS}
    card = Card.model_validate(
        vars(tiny.card(name))
        | {
            "architecture": name,
            "hyperparameters": {},
            "classes": ("a", "b", "c", "d", "e"),
            "eats": row.eats,
            "features": spec,
            "columns": columns if row.segments is None else (),
            "normalisation": {
                kind: Normalisation((0.0,) * n_bands[kind], (1.0,) * n_bands[kind])
                for kind in row.eats
            },
            "segments": row.segments and SEGMENTS,
        }
    )
    net = registry.build(name, card.inputs.dimensions, n_classes=5)
    net = net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    folder = entries.save(card, net, tmp_path, rng=np.random.default_rng(0))
    saved = load_card(folder)
    loaded = weights.load_net(folder, saved)
    assert not loaded.training
    assert saved.n_parameters == sum(p.numel() for p in net.parameters())
    expected, found = net.state_dict(), loaded.state_dict()
    assert list(expected) == list(found)
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
        assert value.dtype == found[key].dtype, key
    assert entries.verify(folder).difference <= golden_sample.TOLERANCE


# The counts by hand. A convolution without bias has kernel · inputs · outputs weights, a
# batch norm a gain and a bias for each channel, a recurrent layer for each gate (three of a
# GRU, four of an LSTM) hidden · (inputs + hidden) weights and two biases of `hidden`.


def recurrent(gates: int, inputs: int, hidden: int) -> int:
    return gates * (hidden * inputs + hidden * hidden + 2 * hidden)


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def residual_block(inputs: int, outputs: int) -> int:
    body = 9 * inputs * outputs + 9 * outputs * outputs + 2 * (2 * outputs)
    shortcut = inputs * outputs + 2 * outputs if inputs != outputs else 0
    return body + shortcut


def time_encoder(n_mels: int) -> int:
    return 5 * (n_mels * 128 + 128 * 128 + 128 * 256) + 2 * (128 + 128 + 256)


TIME_FREQUENCY_ENCODER = (
    9 * (1 * 32 + 32 * 64 + 64 * 128 + 128 * 128) + 2 * (32 + 64 + 128 + 128)
)  # fmt: skip

# Of 128 bands, 10 classes. The 2-D encoder leaves 128 / 64 = 2 of the bands, of 128
# channels each. The last block of the residual net steps over its input, so it has a
# 1 × 1 short cut though its width stays: 96 · 96 weights and 2 · 96 of its norm.
# 39 frames have 20 bins of modulation, in 10 bands.
MODULATED = 3 * 40 + 2 * 16 + 2 * 128 + 10 * (16 + 20)
MODULATION = linear(MODULATED, 10)
COUNTS = {
    "cnn1d-gru": time_encoder(128) + recurrent(3, 256, 128) + linear(128, 10),
    "cnn1d-lstm": time_encoder(128) + recurrent(4, 256, 128) + linear(128, 10),
    "cnn2d-gru": TIME_FREQUENCY_ENCODER + recurrent(3, 2 * 128, 128) + linear(128, 10),
    "cnn2d-lstm": TIME_FREQUENCY_ENCODER + recurrent(4, 2 * 128, 128) + linear(128, 10),
    "cnn1d": time_encoder(128) + linear(256, 10),
    "cnn2d": TIME_FREQUENCY_ENCODER + linear(2 * 128, 10),
    # Those of seed 003 and the transformer are worked out in test_crnn and test_transformer.
    "resnet2d": 322_762,
    "crnn": 438_346,
    "vit": 2_725_834,
    "modulation": MODULATION,
    # Covariances and medians; 4 rates, of which each has 16 regions of its own and two directions
    # of 5 scales, the widest with 8 regions; 3 x 6 circles, 24 intervals, 12 moves and 6 gaps.
    "scattering": linear(
        MODULATED + 2 * (32 * 33 // 2) + 4 * 32 + 4 * (16 + 2 * (4 * 16 + 8)) + 60, 10
    ),
    "committee": MODULATION + 350_482,  # of the short-chunk-resnet
    "cnn-segment": 241_992 + 2 * 129,  # counted for 8 classes in test_plain
    # 719,552 in its convolutions and norms; 39 frames leave 4 bands and 1 frame of 128 maps.
    "kostrzewa": 719_552 + linear(128 * 4, 10),
    # 393,736 in its convolutions; 39 frames leave 2 bands and 1 frame of 256 maps.
    "cnn-deep": 393_736 + linear(512, 256) + linear(256, 10),
    "mm-crnn": 665_882,
    "wave-cnn1d": 179_802,
    "ffnn": linear(N_COLUMNS, 512) + linear(512, 256) + linear(256, 10),
    "short-chunk-resnet": (9 * 1 * 24 + 2 * 24)
    + residual_block(24, 24)
    + residual_block(24, 48)
    + residual_block(48, 96)
    + (residual_block(96, 96) + 96 * 96 + 2 * 96)
    + linear(2 * 96, 10),
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_as_many_as_counted_by_hand(name: str) -> None:
    net = registry.build(name, dimensions(128), n_classes=10)
    assert sum(p.numel() for p in net.parameters()) == COUNTS[name]


def test_more_bands_cost_only_what_reads_them() -> None:
    def count(name: str, n_mels: int) -> int:
        net = registry.build(name, dimensions(n_mels), n_classes=10)
        return sum(p.numel() for p in net.parameters())

    assert count("cnn1d-gru", 128) - count("cnn1d-gru", 64) == 5 * 64 * 128
    assert count("cnn2d-gru", 128) - count("cnn2d-gru", 64) == 3 * 128 * 128
    assert count("short-chunk-resnet", 128) == count("short-chunk-resnet", 64)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("cnn1d-gru", "num_layers", 2),
        ("cnn2d-lstm", "hidden_dim", 32),
        ("short-chunk-resnet", "width", 8),
    ],
)
def test_hyperparameters_reach_the_net(name: str, key: str, value: int) -> None:
    def count(changes: dict[str, int]) -> int:
        net = registry.build(name, dimensions(), n_classes=10, changes=changes)
        return sum(p.numel() for p in net.parameters())

    def lstm_and_head(hidden: int) -> int:
        return recurrent(4, 128, hidden) + linear(hidden, 10)

    growth = {
        "num_layers": recurrent(3, 128, 128),
        "hidden_dim": lstm_and_head(32) - lstm_and_head(128),
        "width": residual_net(8) - residual_net(24),
    }
    assert count({key: value}) - count({}) == growth[key]


def residual_net(width: int) -> int:
    stem = 9 * width + 2 * width
    steps = residual_block(width, width) + residual_block(width, 2 * width)
    steps += residual_block(2 * width, 4 * width) + residual_block(4 * width, 4 * width)
    return stem + steps + 16 * width**2 + 8 * width + linear(8 * width, 10)


def test_residual_net_embeds_the_mean_and_the_maximum_of_each_channel() -> None:
    net, (x,) = build("short-chunk-resnet"), noise("short-chunk-resnet", 2)
    assert isinstance(net, ShortChunkResNet)
    with torch.inference_mode():
        # 96 channels over 64 / 16 bands and ceil(39 / 16) frames.
        planes = net.blocks(net.stem(x.unsqueeze(1))).reshape(2, 96, 4 * 3).numpy()
        expected = np.concatenate([planes.mean(axis=2), planes.max(axis=2)], axis=1)
        np.testing.assert_allclose(net.embed(x).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "committee"])
def test_dropout_is_in_the_head_and_off_in_evaluation(name: str) -> None:
    net = registry.build(name, dimensions(), n_classes=5, changes={"dropout": 0.6})
    assert {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)} == {0.6}
    inputs = noise(name, 2)
    with torch.inference_mode():
        assert torch.equal(net.eval()(*inputs), net(*inputs))
