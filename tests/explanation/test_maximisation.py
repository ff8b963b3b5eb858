from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.errors import MgrError
from mgr_cli.explanation import layers, maximisation, priors
from mgr_cli.explanation.layers import Layer
from mgr_cli.explanation.maximisation import Maximised
from mgr_cli.features.mel import hz_to_mel, mel_to_hz
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.models import registry
from mgr_cli.models.layers import Classifier
from mgr_cli.models.registry import ARCHITECTURES
from mgr_cli.zoo.card import Card
from tests import tiny

N_STEPS = 60


class Known(Classifier):
    """One convolution whose kernels are given, and a linear head."""

    def __init__(self, convolution: nn.Conv1d | nn.Conv2d, kernels: Tensor) -> None:
        super().__init__()
        self.convolution = convolution
        self.head = nn.Linear(len(kernels), 3)
        with torch.no_grad():
            convolution.weight.copy_(kernels)
            if convolution.bias is not None:
                convolution.bias.zero_()

    def embed(self, x: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, n_kernels)."""
        given = x.unsqueeze(1) if self.convolution.weight[0].numel() == 9 or x.ndim == 2 else x
        maps: Tensor = self.convolution(given)
        return maps.flatten(2).mean(dim=2)


def maximise(net: nn.Module, card: Card, **options: Any) -> Maximised:
    found = layers.find(net, card, "1")
    return maximisation.maximise(net, card, found, n_steps=N_STEPS, **options)


def listens_to_bands() -> Known:
    """Make a net whose filters listen to band 3, to band 12, and to nothing."""
    kernels = torch.zeros(3, 16, 5)
    kernels[0, 3] = kernels[1, 12] = 1.0
    return Known(nn.Conv1d(16, 3, 5, padding=2), kernels).eval()


def listens_to_lines() -> Known:
    """Make a net with a horizontal and a vertical line, dark on both sides."""
    line = torch.tensor([[-1.0, -1.0, -1.0], [2.0, 2.0, 2.0], [-1.0, -1.0, -1.0]])
    return Known(nn.Conv2d(1, 2, 3, padding=1), torch.stack([line, line.T])[:, None]).eval()


def test_input_has_its_energy_where_the_kernel_listens() -> None:
    found = maximise(listens_to_bands(), tiny.card())
    assert found.inputs.shape == (3, 16, tiny.LENGTH)
    loudest = np.abs(found.inputs).mean(axis=2)
    assert loudest.argmax(axis=1).tolist()[:2] == [3, 12]
    for row, band in ((0, 3), (1, 12)):
        others = [other for other in range(16) if abs(other - band) > 1]
        assert found.inputs[row, band].min() > 3 * loudest[row, others].max()
    centres = mel_to_hz(np.linspace(0.0, float(hz_to_mel(np.array(4_000.0))), 18))[1:-1]
    assert [each.peak_hz for each in found.filters[:2]] == pytest.approx([centres[3], centres[12]])


def test_line_kernels_get_lines() -> None:
    found = maximise(listens_to_lines(), tiny.card())
    horizontal, vertical = found.inputs[:, 2:-2, 2:-2]

    def changes(x: np.ndarray, axis: int) -> float:
        return float(np.abs(np.diff(x, axis=axis)).mean())

    assert changes(horizontal, 0) > 3 * changes(horizontal, 1)
    assert changes(vertical, 1) > 3 * changes(vertical, 0)


def test_activation_is_that_of_the_input_that_was_found_and_rises() -> None:
    net = listens_to_bands()
    found = maximise(net, tiny.card())
    with torch.inference_mode():
        maps = net.convolution(torch.from_numpy(found.inputs)).relu().mean(dim=2)
    for row, each in enumerate(found.filters[:2]):
        assert each.reached == pytest.approx(float(maps[row, row]), rel=1e-5)
        assert each.number == row + 1
        assert each.reached > 1.0 > each.at_mean == 0.0


def test_filter_that_nothing_excites_is_dead() -> None:
    found = maximise(listens_to_bands(), tiny.card())
    assert [each.dead for each in found.filters] == [False, False, True]
    assert found.filters[2].peak_hz is None


def test_sleeping_filter_is_woken() -> None:
    net = listens_to_bands()
    assert net.convolution.bias is not None
    with torch.no_grad():
        net.convolution.bias.fill_(-4.0)  # the noise at the start reaches 1, at the most
    found = maximise(net, tiny.card())
    assert found.filters[0].at_mean == 0.0
    assert found.filters[0].reached > 1.0
    assert not found.filters[0].dead


@pytest.mark.parametrize(("scale", "ends"), [("decibel", (-80.0, 0.0)), ("minmax", (0.0, 1.0))])
def test_levels_stay_within_the_range_of_the_front_end(
    scale: Any, ends: tuple[float, float]
) -> None:
    span = ends[1] - ends[0]
    middle, low = ends[0] + span / 2, ends[0] + span / 4  # 1 and 1.5 deviations below the top
    own = Normalisation((middle,) * 8 + (low,) * 8, (span / 2,) * 16)
    spec = replace(tiny.SPEC, scale=scale)
    card = tiny.card().model_copy(update={"normalisation": {"log-mel": own}, "features": spec})
    found = maximise(listens_to_bands(), card)
    levels = found.inputs * np.array(own.std)[:, None] + np.array(own.mean)[:, None]
    slack = 1e-5 * span
    assert levels.min() >= ends[0] - slack
    assert levels.max() <= ends[1] + slack
    # What is asked for most gets all there is.
    assert [levels[0, 3].max(), levels[1, 12].max()] == pytest.approx([ends[1]] * 2, abs=slack)


def test_same_seed_gives_the_same_and_another_another() -> None:
    net, card = listens_to_lines(), tiny.card()
    first, again, other = (maximise(net, card, seed=seed).inputs for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_a_row_does_not_hang_on_how_many_are_asked() -> None:
    net, card = listens_to_bands(), tiny.card()
    alone, all_three = maximise(net, card, n_filters=1), maximise(net, card, n_filters=9)
    assert len(alone.filters) == 1
    assert len(all_three.filters) == 3
    # The noise of a row is drawn before that of the next. Sums go in another order, and where
    # neighbours are alike, the sign of their difference is anybody's.
    np.testing.assert_allclose(alone.inputs[0], all_three.inputs[0], atol=0.1)
    assert np.abs(all_three.inputs[0] - all_three.inputs[1]).max() > 1


def test_neither_net_nor_global_seed_is_changed() -> None:
    net = listens_to_bands()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.get_rng_state()
    maximise(net, tiny.card())
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_penalty_is_the_gradient_of_the_priors() -> None:
    x = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x.requires_grad_()
    variation = sum((x.diff(dim=axis).square() + 1e-2).sqrt().sum() for axis in (1, 2))
    objective = priors.L2 * x.square().sum() + priors.VARIATION * variation
    (expected,) = torch.autograd.grad(objective, x)
    torch.testing.assert_close(priors.penalty(x.detach()), expected)


def test_blur_keeps_a_plane_and_spreads_a_cell() -> None:
    plane = torch.full((1, 4, 5), 3.0)
    torch.testing.assert_close(priors.blurred(plane), plane)
    cell = torch.zeros(1, 5, 5)
    cell[0, 2, 2] = 16.0
    torch.testing.assert_close(
        priors.blurred(cell)[0, 1:4, 1:4],
        torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]),
    )


WAVE = SegmentSpec(seconds=0.5, hop_seconds=0.5)


def wave_card() -> Card:
    return tiny.card().model_copy(
        update={
            "eats": ("waveform",), "segments": WAVE, "features": FeatureSpec(sample_rate=8_000),
            "normalisation": {"waveform": Normalisation((0.0,), (0.25,))},
        }
    )  # fmt: skip


def test_waveform_filter_gets_its_tone() -> None:
    time = torch.arange(32) / 8_000
    tones = torch.stack([torch.sin(2 * torch.pi * hertz * time) for hertz in (1_000.0, 2_500.0)])
    net = Known(nn.Conv1d(1, 2, 32, bias=False), tones[:, None]).eval()
    found = maximise(net, wave_card())
    assert (found.kind, found.inputs.shape, found.rate) == ("waveform", (2, 4_000), 8_000.0)
    for each, hertz in zip(found.filters, (1_000, 2_500), strict=True):
        assert each.peak_hz == pytest.approx(hertz, abs=125)  # half a lobe of 32 samples
    assert np.abs(found.inputs * 0.25).max() <= 1 + 1e-6


def test_nothing_inaudible_is_left() -> None:
    time = torch.arange(8_000) / 8_000
    deep, high = (torch.sin(2 * torch.pi * hertz * time) for hertz in (10.0, 200.0))
    found = priors.audible((3.0 + deep + high)[None], 8_000)
    torch.testing.assert_close(found[0], high, atol=1e-4, rtol=0)


def built(name: str) -> tuple[nn.Module, Card]:
    """Build an architecture, untrained, for short segments."""
    row = ARCHITECTURES[name]
    spec = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=64)
    own = {"log-mel": Normalisation((-40.0,) * 64, (10.0,) * 64)}
    own |= {"waveform": Normalisation((0.0,), (0.2,))}
    card = tiny.card().model_copy(
        update={
            "architecture": name, "eats": row.eats, "features": spec,
            "segments": SegmentSpec(seconds=3.2, hop_seconds=3.2),
            "normalisation": {kind: own[kind] for kind in row.eats},
        }
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = registry.build(name, card.inputs.dimensions, n_classes=3).eval()
    return net, card


WITH_FILTERS = {
    "cnn1d": 3, "cnn1d-gru": 3, "cnn1d-lstm": 3, "cnn2d": 4, "cnn2d-gru": 4, "cnn2d-lstm": 4,
    "cnn-segment": 4, "kostrzewa": 4, "cnn-deep": 7, "wave-cnn1d": 4, "vit": 1,
    "short-chunk-resnet": 12, "resnet2d": 12, "crnn": 12, "mm-crnn": 16, "committee": 12,
}  # fmt: skip


def test_every_net_that_has_convolutions_is_counted() -> None:
    assert set(WITH_FILTERS) == set(ARCHITECTURES) - {"ffnn", "modulation", "scattering"}


@pytest.mark.parametrize("name", WITH_FILTERS)
def test_layers_of_each_architecture_are_counted_and_can_be_excited(name: str) -> None:
    net, card = built(name)
    listed = layers.list_all(net, card)
    assert [layer.number for layer in listed] == list(range(1, WITH_FILTERS[name] + 1))
    for layer in (listed[0], listed[-1]):
        assert isinstance(net.get_submodule(layer.name), nn.Conv1d | nn.Conv2d)
        found = maximisation.maximise(net, card, layer, n_filters=2, n_steps=2)
        assert np.isfinite(found.inputs).all()
        assert len(found.filters) == 2
    assert listed[0].first
    assert layers.kernels(net, listed[0]).shape[0] == listed[0].n_filters


def test_layer_of_mm_crnn_is_maximised_over_the_input_that_it_hears() -> None:
    net, card = built("mm-crnn")
    kinds = [
        maximisation.maximise(net, card, layer, n_filters=1, n_steps=1).kind
        for layer in layers.list_all(net, card)[11:13]
    ]
    assert kinds == ["log-mel", "waveform"]
    assert [layer.number for layer in layers.list_all(net, card) if layer.first] == [1, 13]


def test_activation_is_taken_behind_the_batch_norm() -> None:
    net = tiny.net()
    layer = layers.find(net, tiny.card(), "1")
    assert (layer.name, layer.tap, layer.what) == ("stem.0", "stem.1", "Conv2d 3 × 3")
    found = maximise(net, tiny.card())
    with torch.inference_mode():
        stem = nn.Sequential(*list(net.get_submodule("stem").children())[:3])
        maps = stem(torch.from_numpy(found.inputs)[:, None]).mean(dim=(2, 3))
    for row, each in enumerate(found.filters):
        assert each.reached == pytest.approx(float(maps[row, row]), rel=1e-4)


@pytest.mark.parametrize("name", ["blocks.1", "stem", "blocks.0.body", "stem.2"])
def test_block_can_be_asked_by_its_name(name: str) -> None:
    net, card = tiny.net(), tiny.card()
    layer = layers.find(net, card, name)
    assert (layer.number, layer.tap) == (None, name)
    found = maximisation.maximise(net, card, layer, n_steps=3)
    assert len(found.filters) == layer.n_filters


@pytest.mark.parametrize("name", ["0", "13", "head", "blocks", "nothing", "", "-1"])
def test_unknown_layer_is_answered_with_those_there_are(name: str) -> None:
    if name == "blocks":  # a Sequential of blocks gives maps as well
        assert isinstance(layers.find(tiny.net(), tiny.card(), name), Layer)
        return
    with pytest.raises(
        MgrError, match=r"no layer .*1 stem\.0 \(2\), 2 blocks\.0\.body\.0 \(2\)"
    ) as caught:
        layers.find(tiny.net(), tiny.card(), name)
    assert "\n" not in str(caught.value)


def test_dense_net_has_no_filters() -> None:
    net = registry.build("ffnn", {"n_columns": 4}, n_classes=3).eval()
    card = tiny.card().model_copy(
        update={
            "architecture": "ffnn", "eats": ("table",), "segments": None, "columns": tuple("abcd"),
            "normalisation": {"table": Normalisation((0.0,) * 4, (1.0,) * 4)},
        }
    )  # fmt: skip
    assert layers.list_all(net, card) == ()
    with pytest.raises(MgrError, match="has no convolution, and so no filters"):
        layers.find(net, card, "1")


def test_kernels_over_copies_of_a_picture_are_summed_up() -> None:
    net, card = built("cnn-deep")
    layer = layers.find(net, card, "1")
    weight = net.get_submodule("blocks.0.0").get_parameter("weight").detach()
    assert weight.shape == (4, 3, 3, 3)
    np.testing.assert_allclose(layers.kernels(net, layer), weight.sum(dim=1).numpy())


def test_long_segments_are_cut_and_those_of_one_length_are_not() -> None:
    net, card = built("cnn1d")
    long = card.model_copy(update={"segments": SegmentSpec(seconds=20.0, hop_seconds=20.0)})
    found = maximisation.maximise(net, long, layers.find(net, long, "1"), n_filters=1, n_steps=1)
    assert found.inputs.shape == (1, 64, 128)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit = registry.build("vit", long.inputs.dimensions, n_classes=3).eval()
    found = maximisation.maximise(vit, long, layers.find(vit, long, "1"), n_filters=1, n_steps=1)
    assert found.inputs.shape == (1, 64, 400)
