from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import (  # type: ignore[import-untyped]
    IntegratedGradients,
    LayerGradCam,
    Occlusion,
)
from torch import Tensor, nn
from torch.nn import functional as F

from mgr_cli.config import METHODS, FeatureSpec, Method
from mgr_cli.explanation.attribution import (
    BLOCKS,
    COARSE,
    FINE,
    N_STEPS,
    Windows,
    attribute,
    integrated_gradients,
    occlusion,
)
from mgr_cli.explanation.cam import grad_cam, has_maps, last_maps
from mgr_cli.explanation.masking import Levels, LogProbs, Masked, Waves
from mgr_cli.features.normalisation import identity
from mgr_cli.models import registry
from mgr_cli.models.registry import ARCHITECTURES
from tests import tiny

N_MELS, N_FRAMES, RATE, HOP = 64, 39, 8_000, 400
SPEC = FeatureSpec(sample_rate=RATE, n_fft=512, hop_length=HOP, n_mels=N_MELS)
N_SAMPLES = N_FRAMES * HOP
BANDS = {"n_mels": N_MELS, "n_frames": N_FRAMES, "fmin": 0, "fmax": 4_000}
MANY = 500  # steps, after which it does not matter how the way is gone
STATISTICS = ("modulation", "scattering")  # which are no maps
HEARING = [name for name, row in ARCHITECTURES.items() if row.segments is not None]

# The last maps with time, by name of the module; of mm-crnn one of each encoder.
LAST = {
    "cnn1d": ["encoder.blocks.10"], "cnn1d-gru": ["encoder.blocks.10"],
    "cnn1d-lstm": ["encoder.blocks.10"], "cnn2d": ["encoder.blocks.14"],
    "cnn2d-gru": ["encoder.blocks.14"], "cnn2d-lstm": ["encoder.blocks.14"],
    "cnn-segment": ["blocks.3.2"], "kostrzewa": ["blocks.2.2"],
    "resnet2d": ["encoder.blocks.6"], "crnn": ["encoder.blocks.6"],
    "mm-crnn": ["encoder.blocks.6", "wave_encoder.stages.14"],
    "wave-cnn1d": ["encoder.stages.14"], "cnn-deep": ["blocks.5.1"],
    "short-chunk-resnet": ["blocks.3"], "committee": ["members.1.net.blocks.3"],
}  # fmt: skip


def masked_of(name: str, *, n_classes: int = 3) -> tuple[Masked, list[Tensor]]:
    """Make a net whose batch norms have seen something, and two segments of what it takes."""
    dimensions = {**BANDS, "n_samples": N_SAMPLES, "n_columns": 21}
    generator = torch.Generator().manual_seed(1)
    shapes = {"log-mel": (N_MELS, N_FRAMES), "waveform": (N_SAMPLES,), "handcrafted": (21,)}
    kinds = ARCHITECTURES[name].eats
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = registry.build(name, dimensions, n_classes=n_classes)
        net(*(torch.randn(4, *shapes[kind], generator=generator) for kind in kinds))
    hiders = [
        Levels()
        if kind == "log-mel"
        else Waves(
            SPEC, n_frames=N_FRAMES, n_samples=N_SAMPLES, sample_rate=RATE,
            normalisation=identity(1),
        )
        for kind in kinds
    ]  # fmt: skip
    inputs = [torch.randn(2, *shapes[kind], generator=generator) for kind in kinds]
    return Masked(net.eval(), tuple(hiders), shape=(N_MELS, N_FRAMES), at_once=16), inputs


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return tiny.net()


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.randn(3, 16, 10, generator=torch.Generator().manual_seed(5))


def masked_tiny(net: nn.Module, *, at_once: int = 8) -> Masked:
    return Masked(net, (Levels(),), shape=(16, 10), at_once=at_once)


def test_integrated_gradients_of_the_mask_are_captums_of_the_levels(
    net: nn.Module, x: Tensor
) -> None:
    for target in range(3):
        values = integrated_gradients(masked_tiny(net), [x], target, n_steps=MANY)
        expected = IntegratedGradients(net).attribute(x, baselines=0, target=target, n_steps=MANY)
        assert apart(values, expected) < 0.01


def apart(found: Tensor, expected: Tensor) -> float:
    """Return the difference as a share of what is expected."""
    return float((found - expected).abs().sum() / expected.abs().sum())


def test_integrated_gradients_ask_for_nothing_but_their_steps(net: nn.Module, x: Tensor) -> None:
    asked: list[int] = []
    masked = Masked(net, (Levels(),), shape=(16, 10), at_once=8, asked=asked.append)
    integrated_gradients(masked, [x], 0)
    assert sum(asked) == N_STEPS * len(x)


def test_copies_of_a_short_song_are_asked_about_together() -> None:
    class Weighed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            total = (x * torch.arange(1.0, 8.0)).sum(dim=(1, 2))
            return torch.stack([total, -total], dim=1)

    x = torch.tensor([[[1.0, 10.0, 100.0]]])[..., torch.arange(7) % 3]
    masked = Masked(Weighed(), (Levels(),), shape=(1, 3), n_frames=7, at_once=4)
    # The first frame is heard as 1st, 4th and 7th, the second as 2nd and 5th.
    expected = [[12.0, 70.0, 900.0], [-12.0, -70.0, -900.0]]
    for method in ("integrated-gradients", "occlusion"):
        values = attribute(
            method,
            masked,
            [x],
            [0, 1],
            sizes=(1, 1),
            strides=(1, 1),
        )
        np.testing.assert_allclose(values[:, 0, 0], expected, rtol=1e-5)


def test_maps_are_drawn_on_all_copies_of_a_short_song(net: nn.Module, x: Tensor) -> None:
    short = Masked(net, (Levels(),), shape=(16, 4), n_frames=10, at_once=8)
    torch.testing.assert_close(grad_cam(short, [x], 1), grad_cam(masked_tiny(net), [x], 1))


def test_integrated_gradients_from_another_level_are_captums_with_that_baseline(
    net: nn.Module, x: Tensor
) -> None:
    baseline = np.linspace(-1, 1, 16)
    masked = Masked(net, (Levels(baseline),), shape=(16, 10), at_once=64)
    values = integrated_gradients(masked, [x], 1, n_steps=MANY)
    start = torch.from_numpy(baseline).float()[None, :, None].expand(1, 16, 10)
    expected = IntegratedGradients(net).attribute(x, start, target=1, n_steps=MANY)
    assert apart(values, expected) < 0.01


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_occlusion_of_the_mask_is_captums_of_the_levels(
    net: nn.Module, x: Tensor, at_once: int
) -> None:
    masked = masked_tiny(net, at_once=at_once)
    values = attribute("occlusion", masked, [x], [2, 0], sizes=(5, 4), strides=(2, 3))
    for own, target in zip(values, (2, 0), strict=True):
        expected = Occlusion(net).attribute(x, (5, 4), (2, 3), baselines=0, target=target)
        np.testing.assert_allclose(own, expected.detach().numpy(), atol=1e-6)


def test_occlusion_is_the_mean_drop_of_the_windows_that_a_cell_lies_in() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.sum(dim=(1, 2)), -2 * x.sum(dim=(1, 2))], dim=1)

    x = torch.tensor([[[1.0, 2.0, 4.0]]])
    masked = Masked(Sum(), (Levels(),), shape=(1, 3), at_once=4)
    values = occlusion(masked, [x], [0, 1], sizes=(1, 2), strides=(1, 1))
    # Windows of 1 + 2 and of 2 + 4; the middle one lies in both.
    assert values[0, 0, 0].tolist() == [3, 4.5, 6]
    assert values[1, 0, 0].tolist() == [-6, -9, -12]


def test_grad_cam_is_captums_of_the_last_maps_drawn_on_the_picture(
    net: nn.Module, x: Tensor
) -> None:
    layer = net.get_submodule("blocks.2")  # the last block has one frame left of ten
    for target in range(3):
        maps = LayerGradCam(net, layer).attribute(x, target, relu_attributions=True)
        assert isinstance(maps, Tensor)
        found = grad_cam(masked_tiny(net), [x], target)
        raw = LayerGradCam(net, layer).attribute(x, target)
        assert isinstance(raw, Tensor)
        drawn = F.interpolate(raw, [16, 10], mode="bilinear", align_corners=False)[:, 0].relu()
        torch.testing.assert_close(found, drawn * maps[0].numel() / 160, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", HEARING)
def test_every_net_is_asked_by_every_method(name: str) -> None:
    masked, inputs = masked_of(name)
    assert has_maps(masked.model, inputs) == (name not in STATISTICS)
    if name not in ("vit", *STATISTICS):
        named = {module: key for key, module in masked.model.named_modules()}
        assert [named[module] for module in last_maps(masked.model, inputs)] == LAST[name]
    ones = torch.ones(2, N_MELS, N_FRAMES)
    changes = masked.logits(ones, *inputs) - masked.logits(0 * ones, *inputs)
    for method in METHODS:
        if name in STATISTICS and method == "grad-cam":
            continue
        values = attribute(method, masked, inputs, [0, 1], sizes=(32, 20), strides=(32, 19))
        assert values.shape == (2, 2, N_MELS, N_FRAMES)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert (values[0] != values[1]).any()  # of two classes
        assert (values[:, 0] != values[:, 1]).any()  # of two segments
        if method == "grad-cam":
            assert values.min() >= 0
        if method == "integrated-gradients":
            missed = np.abs(values.sum(axis=(2, 3)) - changes[:, [0, 1]].T)
            assert missed.max() < 0.15 * np.abs(changes).max()


@pytest.mark.parametrize(
    ("name", "goes_without"), [("crnn", True), ("cnn2d-gru", True), ("vit", False)]
)
def test_recurrent_nets_go_without_cudnn(name: str, goes_without: bool) -> None:
    # Its recurrent layers have gradients in training mode only: backward would raise on a GPU.
    masked, inputs = masked_of(name)
    enabled = []
    masked.model.register_forward_hook(lambda *_: enabled.append(torch.backends.cudnn.enabled))
    before = torch.backends.cudnn.enabled
    for method in ("integrated-gradients", "grad-cam"):
        attribute(method, masked, inputs, [0], sizes=(32, 20), strides=(32, 19))
    assert set(enabled) == {not goes_without}
    assert torch.backends.cudnn.enabled == before


def test_a_member_that_hears_pieces_has_no_maps_of_a_segment() -> None:
    x = [torch.randn(2, N_MELS, N_FRAMES, generator=torch.Generator().manual_seed(0))]
    shape = BANDS
    names = (f"short-chunk-resnet@{N_FRAMES // 2}", f"short-chunk-resnet@{N_FRAMES - 1}")
    in_halves, nearly_whole = (
        registry.build("committee", shape, n_classes=3, changes={"members": name}).eval()
        for name in names
    )
    assert last_maps(in_halves, x) == []
    assert len(last_maps(nearly_whole, x)) == 1


def test_a_net_on_a_row_a_track_has_no_maps() -> None:
    masked, inputs = masked_of("ffnn")
    assert not has_maps(masked.model, inputs)
    with pytest.raises(ValueError, match="no maps over time"):
        grad_cam(masked, inputs, 0)


def test_maps_without_bands_say_the_same_of_all_bands() -> None:
    masked, inputs = masked_of("cnn1d")
    values = grad_cam(masked, inputs, 0)
    torch.testing.assert_close(values, values[:, :1].expand_as(values))
    assert values[0, 0].std() > 0


def test_two_encoders_are_added_by_what_their_cells_stand_for() -> None:
    masked, inputs = masked_of("mm-crnn")
    total = torch.zeros(2, N_MELS, N_FRAMES)
    for name in LAST["mm-crnn"]:
        layer = masked.model.get_submodule(name)
        maps = LayerGradCam(masked.model, layer).attribute(tuple(inputs), 1)
        assert isinstance(maps, Tensor)
        planes = maps if maps.ndim == 4 else maps[:, :, None]
        share = planes[0, 0].numel() / (N_MELS * N_FRAMES)
        total += share * F.interpolate(planes, [N_MELS, N_FRAMES], mode="bilinear")[:, 0]
    found = grad_cam(masked, inputs, 1)
    assert found.max() > 0
    # The masked waveform is the waveform but for rounding.
    torch.testing.assert_close(found, total.relu(), rtol=1e-3, atol=1e-7)


def test_tokens_lie_on_the_grid_of_their_patches() -> None:
    masked, inputs = masked_of("vit")
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    hook = masked.model.get_submodule("encoder.layers.5.norm1").register_forward_hook(keep)
    masked.model(*inputs)[:, 1].sum().backward()
    hook.remove()
    (tokens,) = kept
    assert tokens.grad is not None
    weights = tokens.grad[:, 1:].mean(dim=1, keepdim=True)  # 4 × 3 patches of 16 × 16
    maps = (weights * tokens[:, 1:]).sum(dim=2).reshape(2, 1, 4, 3).detach()
    drawn = F.interpolate(maps, [64, 48], mode="bilinear")[:, 0, :, :N_FRAMES]
    expected = drawn.relu() * 12 / (N_MELS * N_FRAMES)
    torch.testing.assert_close(grad_cam(masked, inputs, 1), expected, rtol=1e-4, atol=1e-8)
    assert not masked.model.get_submodule("encoder.layers.5.norm1")._forward_hooks


def test_segments_are_asked_in_batches_and_answered_alike(net: nn.Module, x: Tensor) -> None:
    for method in METHODS:
        alone, together = (
            attribute(
                method, masked_tiny(net, at_once=at_once), [x], [1], sizes=(8, 5), strides=(4, 5)
            )
            for at_once in (1, 64)
        )
        np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)


def test_at_most_so_many_segments_are_asked_at_once(net: nn.Module, x: Tensor) -> None:
    asked: list[int] = []
    masked = Masked(net, (Levels(),), shape=(16, 10), at_once=16, asked=asked.append)
    attribute("occlusion", masked, [x], [1], sizes=(4, 4), strides=(2, 2))
    assert max(asked) == 15  # five windows of three segments
    asked.clear()
    attribute("integrated-gradients", masked, [x], [1], sizes=(4, 4), strides=(2, 2))
    assert max(asked) <= 4  # gradients keep more in memory


class LastSecond(nn.Module):
    """Answers with the loudness of the last quarter of a waveform, above 2 kHz."""

    def forward(self, x: Tensor) -> Tensor:
        high = (x[:, 1:] - x[:, :-1])[:, -N_SAMPLES // 4 :]
        loud = high.square().mean(dim=1)
        return torch.stack([loud, -loud], dim=1)


def of_waves(model: nn.Module) -> Masked:
    hide = Waves(
        SPEC, n_frames=N_FRAMES, n_samples=N_SAMPLES, sample_rate=RATE, normalisation=identity(1)
    )
    return Masked(model, (hide,), shape=(N_MELS, N_FRAMES), at_once=8)


def as_pipeline(net: nn.Module) -> LogProbs:
    return LogProbs(lambda inputs: net(torch.from_numpy(inputs[0])).softmax(dim=1).numpy())


@pytest.mark.parametrize(
    ("method", "made"),
    [("integrated-gradients", None), ("occlusion", None), ("occlusion", as_pipeline)],
)
def test_what_a_waveform_was_judged_by_is_found(
    method: Method, made: Callable[[nn.Module], nn.Module] | None
) -> None:
    masked = of_waves(made(LastSecond()) if made else LastSecond())
    noise = torch.randn(1, N_SAMPLES, generator=torch.Generator().manual_seed(0))
    values = attribute(method, masked, [noise], [0], sizes=(8, 5), strides=(4, 2))[0, 0]
    positive = np.maximum(values, 0)
    assert positive[:, 26:].sum() > 0.9 * positive.sum()  # of 39 frames; windows are 5 wide
    assert positive[36:, 26:].sum() > 0.5 * positive.sum()  # above 1,900 Hz


def test_windows_are_counted_as_captum_goes() -> None:
    for windows in (FINE, COARSE, BLOCKS, Windows(0.3, 0.7, 3)):
        asked: list[int] = []
        masked = Masked(tiny.net(), (Levels(),), shape=(16, 10), at_once=1, asked=asked.append)
        shape = (16, 10)
        sizes, strides = windows.sizes(tiny.SPEC, shape), windows.strides(tiny.SPEC, shape)
        occlusion(masked, [torch.ones(1, 16, 10)], [0], sizes=sizes, strides=strides)
        assert sum(asked) == 1 + windows.n_windows(tiny.SPEC, shape)


def test_windows_are_a_share_of_the_bands_and_seconds() -> None:
    spec = FeatureSpec(sample_rate=8_000, hop_length=400, n_mels=128)  # 20 frames a second
    assert FINE.sizes(spec, (128, 60)) == (8, 10)
    assert FINE.strides(spec, (128, 60)) == (4, 5)
    assert FINE.n_windows(spec, (128, 60)) == 31 * 11
    assert BLOCKS.sizes(spec, (128, 60)) == BLOCKS.strides(spec, (128, 60)) == (16, 20)
    assert FINE.sizes(spec, (128, 6)) == (8, 6)  # no longer than the segment
