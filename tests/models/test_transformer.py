from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.models.transformer import VisionTransformer, n_patches_along, vit

SMALL = {"dim": 24, "depth": 2, "heads": 3}


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(*, n_mels: int = 64, n_frames: int = 39, **changes: Any) -> VisionTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = vit(n_mels=n_mels, n_frames=n_frames, n_classes=10, **{**SMALL, **changes})
    return net.eval()


@pytest.mark.parametrize(
    ("length", "patch", "overlap", "expected"),
    [
        (128, 16, 0, 8),
        (39, 16, 0, 3),  # 16, 32, 48
        (387, 16, 0, 25),  # 384 is 24 of them
        (128, 16, 6, 13),  # 16 and twelve steps of 10: 136
        (126, 16, 6, 12),  # 16 and eleven steps of 10
        (39, 16, 6, 4),  # 16, 26, 36, 46
        (39, 16, 15, 24),  # one at every frame from 0 to 23
        (16, 16, 0, 1),
        (3, 16, 6, 1),
    ],
)
def test_patches_are_as_many_as_counted_by_hand(
    length: int, patch: int, overlap: int, expected: int
) -> None:
    assert n_patches_along(length, patch=patch, overlap=overlap) == expected


@pytest.mark.parametrize(
    ("n_mels", "n_frames", "overlap", "expected"),
    [(128, 39, 0, 8 * 3), (128, 387, 0, 8 * 25), (64, 39, 0, 4 * 3), (128, 39, 6, 13 * 4)],
)
def test_sequence_is_the_token_and_the_patches(
    n_mels: int, n_frames: int, overlap: int, expected: int
) -> None:
    net, x = build(n_mels=n_mels, n_frames=n_frames, overlap=overlap), noise(3, n_mels, n_frames)
    with torch.inference_mode():
        assert net.n_patches == expected
        assert net.tokens(x).shape == (3, 1 + expected, 24)
        assert net.embed(x).shape == (3, 24)
        assert net.embed(x).is_contiguous()  # a view would be saved wrongly
        assert torch.equal(net(x), net.head(net.embed(x)))
        assert net(x).std(dim=0).min() > 0  # it hears its input


def layer(dim: int) -> int:
    """Count queries, keys, values and output; two dense layers of 4 · dim; two norms."""
    return 4 * (dim * dim + dim) + (dim * 4 * dim + 4 * dim) + (4 * dim * dim + dim) + 4 * dim


def test_parameters_are_as_many_as_counted_by_hand() -> None:
    net = vit(n_mels=128, n_frames=39, n_classes=10)
    embedding = (16 * 16 * 192 + 192) + 192 + (1 + 24) * 192  # patches, token, positions
    expected = embedding + 6 * layer(192) + 2 * 192 + (192 * 10 + 10)
    assert sum(p.numel() for p in net.parameters()) == expected


def test_base_net_of_the_paper_has_the_published_count() -> None:
    with torch.device("meta"):
        net = vit(n_mels=224, n_frames=224, n_classes=1_000, dim=768, depth=12, heads=12)
    # torchvision's vit_b_16, whose patches have three colours where ours have one.
    assert sum(p.numel() for p in net.parameters()) == 86_567_656 - 2 * 16 * 16 * 768


def test_patch_is_embedded_by_its_own_square_and_position() -> None:
    net, x = build(overlap=6), noise(1, 64, 39)
    with torch.inference_mode():
        square = x[0, 10:26, 20:36].flatten()  # second row from below, third of its four
        weight, bias = net.patches.weight.flatten(1), net.patches.bias
        assert bias is not None
        row = 1 + 1 * 4 + 2
        # 256 products of float32 values near 1.
        expected = weight @ square + bias + net.positions[0, row]
        torch.testing.assert_close(net.tokens(x)[0, row], expected, rtol=1e-4, atol=1e-5)


def test_edge_is_filled_with_zeros_above_and_to_the_right() -> None:
    net, whole = build(n_mels=60, n_frames=39), build(n_mels=64, n_frames=48)
    whole.load_state_dict(net.state_dict())
    x = noise(2, 60, 39)
    with torch.inference_mode():
        assert torch.equal(net(x), whole(F.pad(x, (0, 9, 0, 4))))


def test_class_token_is_what_is_classified() -> None:
    net, x = build(), noise(2, 64, 39)
    with torch.inference_mode():
        before = net(x)
        sequence = net.encoder(net.tokens(x))
        assert torch.equal(before, net.head(sequence[:, 0]))
        net.token.add_(noise(1, 1, 24))
        assert (net(x) - before).abs().max() > 1e-3


def test_positions_alone_tell_where_a_patch_is() -> None:
    net, x = build(n_frames=48), noise(2, 64, 48)
    swapped = torch.cat([x[:, :, 16:32], x[:, :, :16], x[:, :, 32:]], dim=2)
    with torch.inference_mode():
        net.positions.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
        assert (net(x) - net(swapped)).abs().max() > 1e-3
        net.positions.zero_()
        # A sum over the patches in another order.
        torch.testing.assert_close(net(x), net(swapped), rtol=1e-4, atol=1e-5)


def test_layers_start_from_weights_of_their_own() -> None:
    first, second = (dict(layer.named_parameters()) for layer in build().encoder.layers)
    for key, parameter in first.items():
        assert torch.equal(parameter, second[key]) == (parameter.ndim == 1), key


def test_every_parameter_gets_a_gradient() -> None:
    net = build().train()
    nn.functional.cross_entropy(net(noise(8, 64, 39)), torch.arange(8)).backward()  # type: ignore[no-untyped-call]
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key
    assert net.positions.grad is not None
    assert net.positions.grad[0].any(dim=1).all()  # of every patch and of the token


def test_rows_of_a_batch_do_not_hear_each_other() -> None:
    net, x = build(), noise(4, 64, 39)
    others = torch.cat([x[:1], 10 * x[1:].flip(0)])
    with torch.inference_mode():
        assert torch.equal(net(x)[0], net(others)[0])


def test_segment_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"segments are \(64, 40\), the net takes \(64, 39\)"):
        build()(noise(2, 64, 40))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch": 0}, "patch is 0, outside"),
        ({"overlap": 16}, "overlap is 16, outside 0 to 15"),
        ({"overlap": -1}, "overlap is -1, outside"),
        ({"dim": 0}, "dim is 0, outside"),
        ({"depth": 0}, "depth is 0, outside"),
        ({"heads": 0}, "heads is 0, outside"),
        ({"heads": 5}, "dim is 24, which 5 heads do not divide"),
        ({"dropout": 1.0}, "dropout is 1.0, outside"),
        ({"n_frames": 10**6}, "number of patches is 250000, outside"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)
