"""The plain CNNs; `test_contract` has what they share with every net."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli.models.hybrid import Pooled, cnn1d, cnn1d_gru, cnn2d

BUILDERS = {"cnn1d": cnn1d, "cnn2d": cnn2d}


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(name: str, n_mels: int) -> Pooled:
    """Make a net, in evaluation mode, whose batch norms have seen a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = BUILDERS[name](n_mels=n_mels, n_classes=10)
    net(noise(4, n_mels, 39))
    return net.eval()


# A convolution without bias has kernel · inputs · outputs weights, a batch norm a gain and
# a bias for each channel. Of 128 bands the 2-D encoder leaves 128 / 64 = 2, stacked.
COUNTS = {
    "cnn1d": 5 * (128 * 128 + 128 * 128 + 128 * 256) + 2 * (128 + 128 + 256) + (256 * 10 + 10),
    "cnn2d": 9 * (1 * 32 + 32 * 64 + 64 * 128 + 128 * 128)
    + 2 * (32 + 64 + 128 + 128)
    + (2 * 128 * 10 + 10),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_parameters_are_as_many_as_counted_by_hand(name: str) -> None:
    net = BUILDERS[name](n_mels=128, n_classes=10)
    assert sum(p.numel() for p in net.parameters()) == COUNTS[name]


@pytest.mark.parametrize(("n_mels", "n_frames"), [(128, 39), (128, 387), (64, 39)])
@pytest.mark.parametrize(("name", "dims"), [("cnn1d", (256, 256)), ("cnn2d", (128, 256))])
def test_embedding_has_a_value_a_channel_whatever_the_length(
    name: str, dims: tuple[int, int], n_mels: int, n_frames: int
) -> None:
    net, x = build(name, n_mels), noise(3, n_mels, n_frames)
    with torch.inference_mode():
        assert net.embed(x).shape == (3, dims[n_mels // 128])
        assert net(x).shape == (3, 10)
        assert net(x).std(dim=0).min() > 0  # it hears its input


@pytest.mark.parametrize("name", BUILDERS)
def test_embedding_is_the_mean_of_the_sequence_over_time(name: str) -> None:
    net, x = build(name, 64), noise(2, 64, 39)
    with torch.inference_mode():
        expected = net.encoder(x).numpy().astype(np.float64).mean(axis=1)
        # Sums of ten float32 values or fewer, each below 10.
        np.testing.assert_allclose(net.embed(x).numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_order_of_the_sequence_is_not_heard(name: str) -> None:
    net, x = build(name, 64), noise(2, 64, 39)
    with torch.inference_mode():
        forwards = net(x)
        net.encoder.register_forward_hook(lambda _net, _x, sequence: sequence.flip(1))
        # The same terms in another order.
        torch.testing.assert_close(net(x), forwards, rtol=1e-5, atol=1e-5)


def test_encoder_is_the_one_of_the_hybrids() -> None:
    plain, hybrid = cnn1d(n_mels=64, n_classes=5), cnn1d_gru(n_mels=64, n_classes=5)
    hybrid.encoder.load_state_dict(plain.encoder.state_dict())  # strict: same keys and shapes
    x = noise(2, 64, 39)
    with torch.inference_mode():
        assert torch.equal(plain.eval().encoder(x), hybrid.eval().encoder(x))


@pytest.mark.parametrize("name", BUILDERS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    net = build(name, 64).train()
    nn.functional.cross_entropy(net(noise(8, 64, 39)), torch.arange(8)).backward()  # type: ignore[no-untyped-call]
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_out_of_range_is_refused(name: str, dropout: float) -> None:
    with pytest.raises(ValueError, match=f"dropout is {dropout}, outside"):
        BUILDERS[name](n_mels=64, n_classes=5, dropout=dropout)


def test_too_few_bands_for_the_pools_are_refused() -> None:
    with pytest.raises(ValueError, match="n_mels is 63, outside 64"):
        cnn2d(n_mels=63, n_classes=5)
