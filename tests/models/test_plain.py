"""The plain 2-D nets against the published counts, by hand, and against torch's functions."""

import warnings
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.models.layers import Classifier
from mgr_cli.models.plain import DeepCNN, Kostrzewa, cnn_deep, cnn_segment, kostrzewa, stage

Builder = Callable[[int, int], Classifier]

BUILDERS: dict[str, Builder] = {
    "cnn_segment": lambda n_mels, n_frames: cnn_segment(n_mels=n_mels, n_classes=5),
    "kostrzewa": lambda n_mels, n_frames: kostrzewa(n_mels=n_mels, n_frames=n_frames, n_classes=5),
    "cnn_deep": lambda n_mels, n_frames: cnn_deep(n_mels=n_mels, n_frames=n_frames, n_classes=5),
}
every_net = pytest.mark.parametrize("builder", BUILDERS.values(), ids=BUILDERS)


def build(builder: Builder, n_mels: int = 64, n_frames: int = 39) -> Classifier:
    """Make a net, in evaluation mode, whose batch norms have seen a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = builder(n_mels, n_frames)
        net(torch.randn(4, n_mels, n_frames))
    return net.eval()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def counts(net: nn.Module) -> list[int]:
    """Count the parameters of each layer that has any, from input to output."""
    layers = [count(layer) for layer in net.modules() if not list(layer.children())]
    return [n for n in layers if n]


def test_kostrzewa_has_the_published_parameters_layer_by_layer() -> None:
    net = kostrzewa(n_mels=128, n_frames=1280, n_classes=8)
    assert counts(net) == [
        1_664, 128,
        102_464, 128,
        204_928, 256,
        409_728, 256,
        2_048 * 8 + 8,
    ]  # fmt: skip
    assert count(net) == 735_944


def test_kostrzewa_brings_its_published_picture_to_2048_values() -> None:
    net = kostrzewa(n_mels=128, n_frames=1280, n_classes=8).eval()
    with torch.inference_mode():
        embedding = net.embed(noise(1, 128, 1280))
        assert embedding.shape == (1, 2_048)
        assert net(noise(1, 128, 1280)).shape == (1, 8)
    assert embedding.isfinite().all()


# 128 maps of ceil(n_mels / 32) bands and ceil(n_frames / 320) frames.
@pytest.mark.parametrize(
    ("n_mels", "n_frames", "dim"),
    [(128, 1279, 2_048), (128, 387, 128 * 4 * 2), (64, 39, 128 * 2), (1, 1, 128), (33, 321, 512)],
)
def test_kostrzewa_keeps_a_value_of_every_map_however_short(
    n_mels: int, n_frames: int, dim: int
) -> None:
    net = kostrzewa(n_mels=n_mels, n_frames=n_frames, n_classes=8).eval()
    with torch.inference_mode():
        assert net.embed(noise(1, n_mels, n_frames)).shape == (1, dim)
        assert net(noise(1, n_mels, n_frames)).isfinite().all()


def test_kostrzewa_tuned_by_the_seed_has_its_kernels() -> None:
    net = kostrzewa(
        n_mels=128, n_frames=1280, n_classes=8,
        kernels_1=32, kernels_2=128, kernels_3=192, kernels_4=98, kernel_size=6, dropout=0.25,
    )  # fmt: skip
    widths = [1, 32, 128, 192, 98]
    blocks = [n for a, b in pairwise(widths) for n in (36 * a * b + b, 2 * b)]
    assert counts(net) == [*blocks, 98 * 16 * 8 + 8]
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.25]


@pytest.mark.parametrize("kernel_size", [3, 4, 5, 6])
def test_convolution_of_a_stage_is_same_padded(kernel_size: int) -> None:
    block, x = stage(2, 3, kernel_size, (2, 4)), noise(2, 2, 9, 11)
    convolution = next(layer for layer in block if isinstance(layer, nn.Conv2d))
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: an even kernel may cost a copy
        maps = block[:-3](x)
        expected = F.conv2d(x, convolution.weight, convolution.bias, padding="same")
    assert maps.shape == (2, 3, 9, 11)
    # The same products, perhaps added up in another order.
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel_size", [3, 4, 5, 6])
def test_kostrzewa_takes_every_kernel_size_of_the_search_without_a_warning(
    kernel_size: int,
) -> None:
    net = kostrzewa(n_mels=64, n_frames=39, n_classes=5, kernel_size=kernel_size).eval()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert net.embed(noise(1, 64, 39)).shape == (1, 128 * 2)


def published_deep() -> DeepCNN:
    """Make the net of the seed's table without its 211 MB of weights."""
    with torch.device("meta"):
        return cnn_deep(n_mels=128, n_frames=1292, n_classes=8)


def test_cnn_deep_has_the_published_parameters_layer_by_layer() -> None:
    net = published_deep()
    assert counts(net) == [
        112, 296, 1_168, 4_640, 18_496, 73_856, 295_168, 52_433_920, 40_968,
    ]  # fmt: skip
    assert count(net) == 52_868_624


def test_cnn_deep_has_the_published_shapes_block_by_block() -> None:
    net, maps, shapes = published_deep(), torch.empty(4, 3, 128, 1292, device="meta"), []
    for block in net.blocks:
        maps = block(maps)
        shapes.append(tuple(maps.shape))
    assert shapes == [
        (4, 4, 128, 1292),
        (4, 8, 64, 646),
        (4, 16, 32, 323),
        (4, 32, 16, 161),
        (4, 64, 8, 80),
        (4, 128, 4, 40),
        (4, 256, 2, 20),
    ]
    x = torch.empty(4, 128, 1292, device="meta")
    assert net.embed(x).shape == (4, 5_120)
    assert net(x).shape == (4, 8)


# 256 maps of what six halvings leave, 128 → 2 bands and 387 → 6 frames, or a single value.
@pytest.mark.parametrize(
    ("n_mels", "n_frames", "flat"),
    [(128, 387, 256 * 2 * 6), (64, 39, 256), (128, 39, 512), (64, 128, 512), (1, 1, 256)],
)
def test_cnn_deep_halves_what_is_flattened(n_mels: int, n_frames: int, flat: int) -> None:
    net = cnn_deep(n_mels=n_mels, n_frames=n_frames, n_classes=5)
    assert counts(net)[-2:] == [flat * (flat // 2) + flat // 2, flat // 2 * 5 + 5]
    with torch.inference_mode():
        assert net(noise(1, n_mels, n_frames)).isfinite().all()


def test_cnn_deep_reads_grey_as_three_equal_colours() -> None:
    net, x = cnn_deep(n_mels=64, n_frames=39, n_classes=5), noise(2, 64, 39)
    first = next(layer for layer in net.modules() if isinstance(layer, nn.Conv2d))
    with torch.inference_mode():
        grey = F.conv2d(x[:, None], first.weight.sum(dim=1, keepdim=True), first.bias, padding=1)
        maps = F.relu(grey)
        for block in list(net.blocks)[1:]:
            maps = block(maps)
        # Sums of floats in another order.
        torch.testing.assert_close(net.embed(x), net.dense(maps.flatten(1)), rtol=1e-4, atol=1e-6)


def test_cnn_segment_has_the_parameters_counted_by_hand() -> None:
    # 3×3 weights and a bias, then a gain and a bias of the batch norm, for each channel.
    for width in (8, 32):
        inputs, outputs = (1, width, 2 * width, 4 * width), (1, 2, 4, 4)
        blocks = sum(
            9 * i * o * width + 3 * o * width for i, o in zip(inputs, outputs, strict=True)
        )
        net = cnn_segment(n_mels=128, n_classes=8, width=width)
        assert count(net) == blocks + 4 * width * 8 + 8


def test_cnn_segment_embeds_the_mean_of_every_map() -> None:
    net, x = cnn_segment(n_mels=64, n_classes=5, width=4).eval(), noise(2, 64, 39)
    with torch.inference_mode():
        maps = net.blocks(x.unsqueeze(1))
        assert maps.shape == (2, 16, 4, 3)  # 64 / 16 bands, ceil(39 / 16) frames
        expected = maps.reshape(2, 16, 12).sum(dim=2) / 12
        torch.testing.assert_close(net.embed(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_frames", [1, 2, 5, 39, 130, 387])
@pytest.mark.parametrize("n_mels", [1, 64, 128])
def test_cnn_segment_takes_any_length(n_mels: int, n_frames: int) -> None:
    net = build(BUILDERS["cnn_segment"], n_mels, n_frames)
    with torch.inference_mode():
        logits = net(noise(3, n_mels, n_frames))
    assert logits.shape == (3, 5)
    assert logits.std(dim=0).min() > 0  # it hears its input


@pytest.mark.parametrize(("n_mels", "n_frames"), [(128, 387), (64, 39)])
@every_net
def test_logits_are_the_head_of_the_embedding(builder: Builder, n_mels: int, n_frames: int) -> None:
    net, x = build(builder, n_mels, n_frames), noise(3, n_mels, n_frames)
    with torch.inference_mode():
        logits = net(x)
        assert logits.shape == (3, 5)
        assert logits.isfinite().all()
        assert logits.std(dim=0).min() > 0  # it hears its input
        assert torch.equal(logits, net.head(net.embed(x)))


@every_net
def test_rows_of_a_batch_do_not_hear_each_other(builder: Builder) -> None:
    net, x = build(builder), noise(4, 64, 39)
    others = torch.cat([x[:1], 10 * noise(3, 64, 39, seed=2)])
    with torch.inference_mode():
        # Same shapes, so the same kernels: equal to the bit.
        assert torch.equal(net(x)[0], net(others)[0])
        # Alone, other kernels may add up in another order.
        torch.testing.assert_close(net(x)[:1], net(x[:1]), rtol=1e-5, atol=1e-5)


@every_net
def test_every_parameter_gets_a_gradient(builder: Builder) -> None:
    # In evaluation mode: in training a batch norm takes away the bias before it, whose
    # gradient is then rounding noise about zero.
    net = build(builder)
    loss = F.cross_entropy(net(noise(8, 64, 39)), torch.arange(8) % 5)
    loss.backward()  # type: ignore[no-untyped-call]
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 1e-8, key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels_1": 31}, "kernels_1 is 31, outside 32 to 256"),
        ({"kernels_2": 257}, "kernels_2 is 257"),
        ({"kernels_3": 0}, "kernels_3 is 0"),
        ({"kernels_4": 300}, "kernels_4 is 300"),
        ({"kernel_size": 2}, "kernel_size is 2, outside 3 to 6"),
        ({"kernel_size": 7}, "kernel_size is 7"),
        ({"n_mels": 0}, "n_mels is 0"),
        ({"n_frames": 0}, "n_frames is 0"),
    ],
)
def test_kostrzewa_refuses_what_is_out_of_range(options: dict[str, int], message: str) -> None:
    dimensions = {"n_mels": 64, "n_frames": 39, "n_classes": 5}
    with pytest.raises(ValueError, match=message):
        make_kostrzewa({**dimensions, **options})


def make_kostrzewa(options: dict[str, int]) -> Kostrzewa:
    return kostrzewa(**options)


def test_other_nets_refuse_what_is_out_of_range() -> None:
    with pytest.raises(ValueError, match="width is 0"):
        cnn_segment(n_mels=64, n_classes=5, width=0)
    with pytest.raises(ValueError, match="n_mels is 0"):
        cnn_segment(n_mels=0, n_classes=5)
    with pytest.raises(ValueError, match="n_mels is 0"):
        cnn_deep(n_mels=0, n_frames=39, n_classes=5)
    with pytest.raises(ValueError, match="n_frames is 0"):
        cnn_deep(n_mels=64, n_frames=0, n_classes=5)


def test_cnn_deep_refuses_a_segment_that_would_cost_gigabytes() -> None:
    with torch.device("meta"):
        # 256 maps of 2 bands and 64 frames are 32,768; one frame more is 33,280.
        longest = cnn_deep(n_mels=128, n_frames=64 * 64, n_classes=5)
        assert counts(longest)[-2] == 2**15 * 2**14 + 2**14
        with pytest.raises(ValueError, match="flattened is 33280, outside 1 to 32768"):
            cnn_deep(n_mels=128, n_frames=65 * 64, n_classes=5)


def test_every_net_refuses_a_dropout_of_one() -> None:
    with pytest.raises(ValueError, match="dropout is 1"):
        cnn_segment(n_mels=64, n_classes=5, dropout=1.0)
    with pytest.raises(ValueError, match="dropout is 1"):
        kostrzewa(n_mels=64, n_frames=39, n_classes=5, dropout=1.0)
    with pytest.raises(ValueError, match="dropout is 1"):
        cnn_deep(n_mels=64, n_frames=39, n_classes=5, dropout=1.0)
