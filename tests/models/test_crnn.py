from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli.models.crnn import (
    MmCrnn,
    SpectrogramEncoder,
    WaveEncoder,
    crnn,
    mm_crnn,
    resnet2d,
    stretch,
    wave_cnn1d,
)
from mgr_cli.models.layers import Classifier

NAMES = ("crnn", "mm_crnn", "resnet2d", "wave_cnn1d")
RECURRENT = ("crnn", "mm_crnn")
STEP = 8_192  # samples a vector of the wave encoder's sequence: 16 · 8 · 8 · 8
BUILDERS: dict[str, Callable[..., Classifier]] = {
    "crnn": partial(crnn, n_mels=64),
    "mm_crnn": partial(mm_crnn, n_mels=64),
    "resnet2d": partial(resnet2d, n_mels=64),
    "wave_cnn1d": wave_cnn1d,
}


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def segments(name: str, batch: int, *, n_mels: int = 64) -> tuple[Tensor, ...]:
    """Make noise of which either encoder makes five vectors."""
    levels, waveform = noise(batch, n_mels, 39), noise(batch, 5 * STEP, seed=2)
    return {"mm_crnn": (levels, waveform), "wave_cnn1d": (waveform,)}.get(name, (levels,))


def build(name: str, *, n_mels: int = 64, **changes: float) -> Classifier:
    """Make a net, in evaluation mode, whose batch norms have seen a batch."""
    bands = {} if name == "wave_cnn1d" else {"n_mels": n_mels}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = BUILDERS[name](n_classes=10, **bands, **changes)
        net(*segments(name, 4, n_mels=n_mels))
    return net.eval()


def block(inputs: int, outputs: int) -> int:
    """Count two 3×3 convolutions and a 1×1 short cut, without biases, and their three norms."""
    return 9 * inputs * outputs + 9 * outputs * outputs + inputs * outputs + 3 * 2 * outputs


def lstm(inputs: int) -> int:
    """Count four gates of 128, each of which reads input and output and has two biases."""
    return 4 * (inputs * 128 + 128 * 128 + 2 * 128)


ENCODER = block(1, 16) + block(16, 32) + block(32, 64) + block(64, 128)
WAVE = 15 * (1 * 16 + 16 * 32 + 32 * 64 + 64 * 128) + 2 * (16 + 32 + 64 + 128)
PERCEPTRON = (128 * 128 + 128) + (128 * 10 + 10)
COUNTS = {
    "crnn": ENCODER + lstm(128) + (128 * 10 + 10),
    "mm_crnn": ENCODER + WAVE + lstm(2 * 128) + (128 * 10 + 10),
    "resnet2d": ENCODER + PERCEPTRON,
    "wave_cnn1d": WAVE + PERCEPTRON,
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_as_many_as_counted_by_hand(name: str) -> None:
    net = build(name, n_mels=128)
    assert sum(p.numel() for p in net.parameters()) == COUNTS[name]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        *[
            (name, [shape])
            for name in ("crnn", "resnet2d")
            for shape in [(128, 39), (128, 387), (64, 39), (256, 3)]
        ],
        *[("wave_cnn1d", [(n_samples,)]) for n_samples in (3_001, STEP, 5 * STEP + 1)],
        ("mm_crnn", [(128, 1), (3_001,)]),  # one vector of each
        ("mm_crnn", [(128, 39), (3_001,)]),  # 5 and 1
        ("mm_crnn", [(64, 3), (5 * STEP + 1,)]),  # 1 and 6
        ("mm_crnn", [(64, 387), (66_151,)]),  # 49 and 9
        ("mm_crnn", [(256, 17), (20 * STEP,)]),  # 3 and 20
    ],
)
def test_any_length_gives_an_embedding_of_128_values(
    name: str, shapes: list[tuple[int, ...]]
) -> None:
    net = build(name, n_mels=shapes[0][0]) if name != "wave_cnn1d" else build(name)
    inputs = [noise(3, *shape, seed=seed) for seed, shape in enumerate(shapes)]
    with torch.inference_mode():
        assert net.embed(*inputs).shape == (3, 128)
        assert net.embed(*inputs).is_contiguous()  # a view would be saved wrongly
        assert net(*inputs).isfinite().all()
        assert torch.equal(net(*inputs), net.head(net.embed(*inputs)))
        assert net(*inputs).std(dim=0).min() > 0  # it hears its input


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


def test_sequences_of_the_crop_of_the_seed_meet_as_they_are() -> None:
    net = build("mm_crnn")
    assert isinstance(net, MmCrnn)
    n_samples, hop_length = 2**19, 1_024
    levels, waveform = noise(1, 64, n_samples // hop_length), noise(1, n_samples, seed=2)
    with torch.inference_mode():
        frames, wave = net.encoder(levels), net.wave_encoder(waveform)
        assert frames.shape == wave.shape == (1, 64, 128)
        assert stretch(wave, 64) is wave
        _, (hidden, _) = net.rnn(torch.cat([frames, wave], dim=2))
        assert torch.equal(net.embed(levels, waveform), hidden[0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Of n values over a segment of length 1, number i stands at (i + 1/2) / n.
        ([4.0], [4.0, 4.0, 4.0]),
        ([0.0, 4.0], [0.0, 1.0, 3.0, 4.0]),  # 1/8 is before the first; 3/8 a quarter of the way
        ([0.0, 4.0, 8.0, 16.0], [2.0, 12.0]),  # 1/4 is midway between 1/8 and 3/8
        ([0.0, 1.0, 10.0], [1.0]),
    ],
)
def test_sequence_is_stretched_linearly(values: list[float], expected: list[float]) -> None:
    def sequence(row: list[float]) -> Tensor:  # two rows, the second backwards, of two columns
        return torch.tensor([row, row[::-1]]).unsqueeze(2) * torch.tensor([1.0, -2.0])

    assert torch.equal(stretch(sequence(values), len(expected)), sequence(expected))


@pytest.mark.parametrize(("n_given", "n_steps"), [(9, 49), (9, 10), (20, 3), (1, 6), (6, 1)])
def test_sequence_is_stretched_as_by_numpy(n_given: int, n_steps: int) -> None:
    given = noise(2, n_given, 3)
    found = stretch(given, n_steps)
    knots, at = ((np.arange(n) + 0.5) / n for n in (n_given, n_steps))
    for row in range(2):
        for column in range(3):
            expected = np.interp(at, knots, given[row, :, column].numpy())
            # Positions up to 20, in float32, between values that differ by 5 at the most.
            np.testing.assert_allclose(found[row, :, column].numpy(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_order_in_time_is_heard_by_an_lstm_alone(name: str) -> None:
    net, inputs = build(name), segments(name, 2)
    assert isinstance(net.encoder, nn.Module)
    with torch.inference_mode():
        forwards = net(*inputs)
        net.encoder.register_forward_hook(lambda _net, _x, sequence: sequence.flip(1))
        # A mean has the same terms in another order; an LSTM hears another sequence.
        same = torch.allclose(net(*inputs), forwards, rtol=1e-5, atol=1e-5)
    assert same == (name not in RECURRENT)


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_net_hears_a_segment_played_backwards(name: str) -> None:
    net, inputs = build(name), segments(name, 2)
    with torch.inference_mode():
        assert (net(*inputs) - net(*(x.flip(-1) for x in inputs))).abs().max() > 1e-3


@pytest.mark.parametrize("name", RECURRENT)
def test_embedding_is_the_last_state_of_the_lstm(name: str) -> None:
    net, inputs = build(name), segments(name, 2)
    encoders = [net.get_submodule(key) for key in ("encoder", "wave_encoder")[: len(inputs)]]
    assert isinstance(net.rnn, nn.LSTM)
    with torch.inference_mode():
        sequences = [encoder(x) for encoder, x in zip(encoders, inputs, strict=True)]
        _, (hidden, _) = net.rnn(torch.cat(sequences, dim=2))
        assert torch.equal(net.embed(*inputs), hidden[0])


@pytest.mark.parametrize("n_samples", [5 * STEP, 3_001, 8 * STEP])  # as they are, or stretched
def test_mm_crnn_hears_both_of_its_inputs(n_samples: int) -> None:
    net = build("mm_crnn")
    levels, waveform = noise(2, 64, 39), noise(2, n_samples, seed=2)
    with torch.inference_mode():
        logits = net(levels, waveform)
        # One of the two changes its row: neither the old row's logits nor the other's.
        for mixed in (net(levels.flip(0), waveform), net(levels, waveform.flip(0))):
            assert (mixed - logits).abs().amax(dim=1).min() > 1e-3
            assert (mixed - logits.flip(0)).abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    assert_gradients(build(name).train(), *segments(name, 8))


@pytest.mark.parametrize("n_samples", [3_001, 8 * STEP])  # 1 and 8 vectors, beside 5
def test_gradient_passes_through_a_stretched_sequence(n_samples: int) -> None:
    assert_gradients(build("mm_crnn").train(), noise(8, 64, 39), noise(8, n_samples, seed=2))


def assert_gradients(net: Classifier, *inputs: Tensor) -> None:
    nn.functional.cross_entropy(net(*inputs), torch.arange(8)).backward()  # type: ignore[no-untyped-call]
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_batch_do_not_hear_each_other(name: str) -> None:
    net, inputs = build(name), segments(name, 4)
    others = [torch.cat([x[:1], 10 * x[1:].flip(0)]) for x in inputs]
    with torch.inference_mode():
        assert torch.equal(net(*inputs)[0], net(*others)[0])
        assert not torch.equal(net(*inputs)[1], net(*others)[1])


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_in_the_head_and_off_in_evaluation(name: str) -> None:
    net, inputs = build(name, dropout=0.6), segments(name, 2)
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.6]
    with torch.inference_mode():
        assert torch.equal(net(*inputs), net(*inputs))
        net.head.train()
        assert not torch.equal(net(*inputs), net(*inputs))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("key", "value"), [("hidden_dim", 0), ("dropout", 1.0), ("dropout", -0.1)])
def test_values_out_of_range_are_refused(name: str, key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{key} is {value}, outside"):
        BUILDERS[name](n_classes=5, **{key: value})


@pytest.mark.parametrize("name", ["crnn", "mm_crnn", "resnet2d"])
def test_too_few_bands_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="n_mels is 15, outside 16"):
        BUILDERS[name](n_mels=15, n_classes=5)
