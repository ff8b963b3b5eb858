from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.transforms import v2

from mgr_cli.errors import ArchitectureError
from mgr_cli.models import imagenet, registry
from mgr_cli.models.imagenet import MEAN, NODES, SIDE, STD, pictures

CUTS = [(name, cut) for name, nodes in NODES.items() for cut in nodes]
SMALL = [("vgg16", "block5_pool"), ("resnet50", "avg_pool"), ("resnet50", "conv5_block1_2_relu")]
N_VALUES = {
    "block5_pool": 7 * 7 * 512, "fc1": 4_096, "fc2": 4_096,
    "avg_pool": 2_048, "conv5_block1_2_relu": 7 * 7 * 512,
}  # fmt: skip

# Weights of the paper's table (VGG16 has 138 M, of which 14.7 M before its dense layers), with
# those of the dense layers by hand; 25,557,032 of ResNet-50 less 1,000 classes' of 2,048.
N_WEIGHTS = {
    ("vgg16", "block5_pool"): 14_714_688,
    ("vgg16", "fc1"): 14_714_688 + 25_088 * 4_096 + 4_096,
    ("vgg16", "fc2"): 14_714_688 + 25_088 * 4_096 + 4_096 + 4_096 * 4_096 + 4_096,
    ("resnet50", "avg_pool"): 25_557_032 - 2_048 * 1_000 - 1_000,
    ("resnet50", "conv5_block1_2_relu"): 11_428_928,
}


def shape(name: str, cut: str) -> nn.Module:
    """Build a net without content."""
    with torch.device("meta"):
        return registry.build_backbone(name, cut=cut, settings="", sample_rate=22_050)


def levels(n: int = 2) -> Tensor:
    return torch.randn(n, 96, 150, generator=torch.Generator().manual_seed(0)) * 20 - 40


@pytest.fixture(scope="module")
def wholes() -> dict[str, nn.Module]:
    """Return torchvision's own nets, their batch norms as if they had seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = {name: get_model(name, weights=None).eval() for name in NODES}
        for module in nets["resnet50"].modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    return nets


def cut_of(whole: nn.Module, name: str, cut: str) -> nn.Module:
    """Build a net behind a cut that shares the weights of a whole one."""
    net = shape(name, cut)
    weights = {f"net.{key}": value for key, value in whole.state_dict().items()}
    net.load_state_dict({key: weights[key] for key in net.state_dict()}, assign=True)
    return net


# What is left of the nets.


@pytest.mark.parametrize(("name", "cut"), CUTS)
def test_n_weights_behind_a_cut_is_the_published_one(name: str, cut: str) -> None:
    assert sum(weight.numel() for weight in shape(name, cut).parameters()) == N_WEIGHTS[name, cut]


def test_resnet_as_keras_counts_it_has_the_weights_of_seed_002() -> None:
    net = shape("resnet50", "conv5_block1_2_relu")
    biases = sum(m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d))
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    moments = sum(2 * norm.num_features for norm in norms)
    weights = sum(weight.numel() for weight in net.parameters())
    assert weights + biases + moments == 11_477_888


@pytest.mark.parametrize(("name", "cut"), CUTS)
def test_nets_are_frozen_and_in_evaluation_mode(name: str, cut: str) -> None:
    net = shape(name, cut)
    assert not any(weight.requires_grad for weight in net.parameters())
    assert not any(module.training for module in net.modules())


def hooked(whole: nn.Module, picture: Tensor) -> dict[str, Tensor]:
    """Run a whole net of torchvision; return what its modules give, by name."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: object, __: object, given: Tensor) -> None:
            found[name] = given.clone()  # the next layer may write over it

        return hook

    hooks = [m.register_forward_hook(keep(name)) for name, m in whole.named_modules() if name]
    with torch.inference_mode():
        whole(picture)
    for each in hooks:
        each.remove()
    return found


def test_cuts_of_vgg16_are_the_layers_of_keras(wholes: dict[str, nn.Module]) -> None:
    whole: Any = wholes["vgg16"]
    pools = [place for place, m in enumerate(whole.features) if isinstance(m, nn.MaxPool2d)]
    dense = [place for place, m in enumerate(whole.classifier) if isinstance(m, nn.Linear)]
    x = levels(1)
    with torch.inference_mode():
        given = hooked(whole, pictures(x))
        expected = {
            "block5_pool": given[f"features.{pools[4]}"],
            "fc1": given[f"classifier.{dense[0]}"].relu(),
            "fc2": given[f"classifier.{dense[1]}"].relu(),
        }
        for cut, values in expected.items():
            rows = cut_of(whole, "vgg16", cut)(x)
            assert rows.shape == (1, N_VALUES[cut])
            assert values.std() > 0
            assert torch.equal(rows, values.flatten(1))


def test_cuts_of_resnet50_are_the_layers_of_keras(wholes: dict[str, nn.Module]) -> None:
    whole, x = wholes["resnet50"], levels(1)
    with torch.inference_mode():
        given = hooked(whole, pictures(x))
        expected = {
            "avg_pool": given["layer4"].mean(dim=(2, 3)),
            "conv5_block1_2_relu": given["layer4.0.bn2"].relu(),
        }
        for cut, values in expected.items():
            rows = cut_of(whole, "resnet50", cut)(x)
            assert rows.shape == (1, N_VALUES[cut])
            assert values.std() > 0
            # The mean is pooled by another kernel.
            torch.testing.assert_close(rows, values.flatten(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "cut"), SMALL)
def test_rows_of_a_batch_are_independent(name: str, cut: str, wholes: dict[str, nn.Module]) -> None:
    net, x = cut_of(wholes[name], name, cut), levels(2)
    with torch.inference_mode():
        alone = torch.cat([net(each[None]) for each in x])
        # A batch may be convolved in another order.
        torch.testing.assert_close(net(x), alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], rtol=1e-2)


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("cut", ["", "mean", "block5", "features.30"])
def test_cut_that_does_not_exist_is_refused(name: str, cut: str) -> None:
    with pytest.raises(ArchitectureError, match=f"^{name}: cut is '{cut}', expected one of "):
        shape(name, cut)


# The pictures.


def normalised(grey: Tensor) -> Tensor:
    return v2.Normalize(MEAN, STD)(grey.expand(-1, 3, -1, -1))  # type: ignore[no-any-return]


def test_picture_by_hand() -> None:
    # Two bands, two frames: the high band is the upper row, and the corners stay as they are.
    picture = pictures(torch.tensor([[[-80.0, -60.0], [-40.0, 0.0]]]))[0]
    grey = torch.stack([each * std + mean for each, mean, std in zip(picture, MEAN, STD)])  # noqa: B905
    assert picture.shape == (3, SIDE, SIDE)
    corners = [[0.5, 1.0], [0.0, 0.25]]
    for colour in grey:
        np.testing.assert_allclose(colour[:: SIDE - 1, :: SIDE - 1], corners, atol=1e-6)
    assert picture[0, 0, -1] == pytest.approx((1.0 - 0.485) / 0.229, rel=1e-6)
    assert picture[2, -1, 0] == pytest.approx((0.0 - 0.406) / 0.225, rel=1e-6)


@pytest.mark.parametrize("size", [(96, 150), (128, 1_280), (224, 224), (300, 40)])
def test_pictures_are_those_of_torchvisions_transforms(size: tuple[int, int]) -> None:
    x = torch.randn(2, *size, generator=torch.Generator().manual_seed(1)) * 20 - 40
    expected = []
    for each in x:
        scaled = (each - each.min()) / (each.max() - each.min())
        flipped = v2.functional.vertical_flip(scaled[None])
        expected.append(v2.Resize((SIDE, SIDE), antialias=True)(flipped))
    torch.testing.assert_close(pictures(x), normalised(torch.stack(expected)))


def test_range_of_a_picture_is_its_own() -> None:
    x = levels(3)
    louder = (
        x * torch.tensor([1.0, 3.0, 0.1])[:, None, None] + torch.tensor([0, 50, 7])[:, None, None]
    )
    torch.testing.assert_close(pictures(louder), pictures(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("level", [0.0, -80.0, 1e30])
def test_constant_picture_is_black(level: float) -> None:
    black = normalised(torch.zeros(1, 1, SIDE, SIDE))
    assert torch.equal(pictures(torch.full((1, 128, 40), level)), black)


def test_constant_segment_leaves_the_others_of_its_batch_alone() -> None:
    x = levels(2)
    x[0] = -80.0
    assert torch.equal(pictures(x)[1], pictures(x[1:])[0])
    assert imagenet.pictures(x).isfinite().all()
