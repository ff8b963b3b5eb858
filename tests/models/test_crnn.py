from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mgr_cli.models.crnn import Crnn, SpectrogramEncoder, WaveEncoder, crnn, resnet2d, wave_cnn1d
from mgr_cli.models.hybrid import Pooled

NAMES = ("crnn", "resnet2d", "wave_cnn1d")
STEP = 8_192  # samples a vector of the wave encoder's sequence: 16 · 8 · 8 · 8


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def segments(name: str, batch: int) -> Tensor:
    return noise(batch, 5 * STEP) if name == "wave_cnn1d" else noise(batch, 64, 39)


def build(name: str, *, n_mels: int = 64) -> Crnn | Pooled:
    """Make a net, in evaluation mode, whose batch norms have seen a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "wave_cnn1d":
            net: Crnn | Pooled = wave_cnn1d(n_classes=10)
            net(noise(4, 5 * STEP))
        else:
            net = (crnn if name == "crnn" else resnet2d)(n_mels=n_mels, n_classes=10)
            net(noise(4, n_mels, 39))
    return net.eval()


def block(inputs: int, outputs: int) -> int:
    """Count two 3×3 convolutions and a 1×1 short cut, without biases, and their three norms."""
    return 9 * inputs * outputs + 9 * outputs * outputs + inputs * outputs + 3 * 2 * outputs


ENCODER = block(1, 16) + block(16, 32) + block(32, 64) + block(64, 128)
WAVE = 15 * (1 * 16 + 16 * 32 + 32 * 64 + 64 * 128) + 2 * (16 + 32 + 64 + 128)
PERCEPTRON = (128 * 128 + 128) + (128 * 10 + 10)
LSTM = 4 * (128 * 128 + 128 * 128 + 2 * 128)  # four gates read input and output, two biases
COUNTS = {
    "crnn": ENCODER + LSTM + (128 * 10 + 10),
    "resnet2d": ENCODER + PERCEPTRON,
    "wave_cnn1d": WAVE + PERCEPTRON,
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_as_many_as_counted_by_hand(name: str) -> None:
    net = build(name, n_mels=128)
    assert sum(p.numel() for p in net.parameters()) == COUNTS[name]


@pytest.mark.parametrize(("n_mels", "n_frames"), [(128, 39), (128, 387), (64, 39), (256, 3)])
@pytest.mark.parametrize("name", ["crnn", "resnet2d"])
def test_any_length_gives_an_embedding_of_128_values(name: str, n_mels: int, n_frames: int) -> None:
    net, x = build(name, n_mels=n_mels), noise(3, n_mels, n_frames)
    with torch.inference_mode():
        assert net.embed(x).shape == (3, 128)
        assert torch.equal(net(x), net.head(net.embed(x)))
        assert net(x).std(dim=0).min() > 0  # it hears its input


@pytest.mark.parametrize(("n_mels", "bands"), [(16, 1), (64, 1), (100, 1), (128, 1), (256, 2)])
def test_up_to_128_bands_become_one_and_more_are_averaged(n_mels: int, bands: int) -> None:
    encoder, x = SpectrogramEncoder(n_mels).eval(), noise(2, n_mels, 39)
    with torch.inference_mode():
        maps, sequence = encoder.blocks(x.unsqueeze(1)), encoder(x)
    assert maps.shape == (2, 128, bands, 5)  # 39 frames / 8, rounded up
    # At most two float32 values are added.
    torch.testing.assert_close(sequence[:, 3, 7], maps[:, 7, :, 3].mean(dim=1), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("n_samples", "steps"), [(1, 1), (STEP, 1), (STEP + 1, 2), (3 * STEP, 3)])
def test_wave_encoder_makes_a_vector_of_every_8192_samples(n_samples: int, steps: int) -> None:
    with torch.inference_mode():
        assert WaveEncoder().eval()(noise(2, n_samples)).shape == (2, steps, 128)


def test_both_encoders_make_64_vectors_of_the_crop_of_the_seed() -> None:
    n_samples, hop_length = 2**19, 1_024
    with torch.inference_mode():
        wave = WaveEncoder().eval()(noise(1, n_samples))
        maps = SpectrogramEncoder(16).eval()(noise(1, 16, n_samples // hop_length))
    assert wave.shape == maps.shape == (1, 64, 128)


@pytest.mark.parametrize("name", NAMES)
def test_order_in_time_is_heard_by_the_lstm_alone(name: str) -> None:
    net, x = build(name), segments(name, 2)
    with torch.inference_mode():
        forwards = net(x)
        net.encoder.register_forward_hook(lambda _net, _x, sequence: sequence.flip(1))
        # A mean has the same terms in another order; an LSTM hears another sequence.
        same = torch.allclose(net(x), forwards, rtol=1e-5, atol=1e-5)
    assert same == (name != "crnn")


def test_crnn_hears_a_segment_played_backwards() -> None:
    net, x = build("crnn"), segments("crnn", 2)
    with torch.inference_mode():
        assert (net(x) - net(x.flip(2))).abs().max() > 1e-3


def test_crnn_embeds_the_last_state_of_the_lstm() -> None:
    net, x = build("crnn"), segments("crnn", 2)
    assert isinstance(net, Crnn)
    with torch.inference_mode():
        _, (hidden, _) = net.rnn(net.encoder(x))
        torch.testing.assert_close(net.embed(x), hidden[0], rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    net = build(name).train()
    nn.functional.cross_entropy(net(segments(name, 8)), torch.arange(8)).backward()  # type: ignore[no-untyped-call]
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_batch_do_not_hear_each_other(name: str) -> None:
    net, x = build(name), segments(name, 4)
    others = torch.cat([x[:1], 10 * x[1:].flip(0)])
    with torch.inference_mode():
        assert torch.equal(net(x)[0], net(others)[0])


BUILDERS: dict[str, Callable[..., Crnn | Pooled]] = {
    "crnn": partial(crnn, n_mels=64),
    "resnet2d": partial(resnet2d, n_mels=64),
    "wave_cnn1d": wave_cnn1d,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("key", "value"), [("hidden_dim", 0), ("dropout", 1.0), ("dropout", -0.1)])
def test_values_out_of_range_are_refused(name: str, key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{key} is {value}, outside"):
        BUILDERS[name](n_classes=5, **{key: value})


@pytest.mark.parametrize("name", ["crnn", "resnet2d"])
def test_too_few_bands_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="n_mels is 15, outside 16"):
        BUILDERS[name](n_mels=15, n_classes=5)
