import re

import pytest
import torch
from torch import nn

from mgr_cli.errors import ArchitectureError
from mgr_cli.models import committee, registry
from mgr_cli.models.committee import Committee, Member

DIMENSIONS = {"n_mels": 32, "n_frames": 20, "fmin": 0, "fmax": 11_025}


def seated(members: str) -> Committee:
    net = registry.build("committee", DIMENSIONS, n_classes=4, changes={"members": members})
    assert isinstance(net, Committee)
    return net.eval()


def net_of(member: nn.Module) -> nn.Module:
    assert isinstance(member, Member)
    return member.net


def test_probabilities_are_the_geometric_mean_of_the_members() -> None:
    torch.manual_seed(0)
    net = seated("modulation+short-chunk-resnet:width=4+cnn1d")
    x = torch.randn(5, 32, 20)
    each = torch.stack([net_of(member)(x).softmax(dim=1) for member in net.members])
    product = each.prod(dim=0) ** (1 / 3)
    expected = product / product.sum(dim=1, keepdim=True)
    torch.testing.assert_close(net(x).softmax(dim=1), expected)


def test_embedding_is_theirs_one_behind_the_other() -> None:
    net = seated("short-chunk-resnet:width=4+short-chunk-resnet:width=2")
    x = torch.randn(2, 32, 20)
    one, other = (member.embed(x) for member in net.members if isinstance(member, Member))
    assert torch.equal(net.embed(x), torch.cat([one, other], dim=1))
    assert torch.equal(net.head(net.embed(x)), net(x))


@pytest.mark.parametrize(
    ("heard", "starts"),
    [(5, (0, 5, 10, 15)), (6, (0, 7, 14)), (8, (0, 12)), (11, (0,)), (20, (0,))],
)
def test_a_member_that_hears_less_gives_the_mean_of_its_probabilities_over_the_pieces(
    heard: int, starts: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    net = seated(f"short-chunk-resnet@{heard}:width=4")
    x = torch.randn(3, 32, 20)
    each = [net_of(net.members[0])(x[:, :, start : start + heard]) for start in starts]
    expected = torch.stack(each).softmax(dim=2).mean(dim=0)
    if len(starts) > 1:
        assert (each[0].softmax(dim=1) - expected).abs().max() > 1e-3
    torch.testing.assert_close(net(x).softmax(dim=1), expected)
    assert torch.equal(net.head(net.embed(x)), net(x))


def test_members_that_hear_more_and_less_count_alike() -> None:
    torch.manual_seed(0)
    members = ("modulation", "short-chunk-resnet@10:width=4")
    both = seated("+".join(members))
    x = torch.randn(2, 32, 20)
    each = []
    for place, text in enumerate(members):
        alone = seated(text)
        alone.members[0].load_state_dict(both.members[place].state_dict())
        each.append(alone(x).softmax(dim=1))
    product = (each[0] * each[1]).sqrt()
    torch.testing.assert_close(both(x).softmax(dim=1), product / product.sum(dim=1, keepdim=True))


def test_dropout_of_members_is_off_in_evaluation() -> None:
    net = seated("short-chunk-resnet:width=4,dropout=0.6+modulation:dropout=0.6")
    x = torch.randn(2, 32, 20)
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))


def test_every_weight_is_kept_once() -> None:
    net = seated("short-chunk-resnet:width=4+modulation")
    kept = list(net.state_dict())
    assert len({value.data_ptr() for value in net.parameters()}) == len(list(net.parameters()))
    assert all(name.startswith("members.") for name in kept)


def test_what_describes_a_member_builds_it() -> None:
    values = {"width": 6, "dropout": 0.3}
    assert committee.described("short-chunk-resnet", values) == "short-chunk-resnet:width=6"
    said = committee.described("short-chunk-resnet", values, n_frames=5)
    assert said == "short-chunk-resnet@5:width=6"
    both = committee.described("cnn1d", {**registry.defaults("cnn1d"), "dropout": 0.25})
    net = seated(f"short-chunk-resnet:width=6+{both}")
    alone = registry.build("short-chunk-resnet", DIMENSIONS, n_classes=4, changes={"width": 6})
    shapes = [value.shape for value in alone.state_dict().values()]
    assert [value.shape for value in net_of(net.members[0]).state_dict().values()] == shapes


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("nobody", "unknown architecture 'nobody'"),
        ("modulation+", "unknown architecture ''"),
        ("committee", "cannot sit on a committee"),
        ("ffnn+modulation", "ffnn cannot sit on a committee"),
        ("short-chunk-resnet:depth=3", "no hyper-parameter 'depth'"),
        ("short-chunk-resnet:width=0", "width is 0"),
        ("short-chunk-resnet:width=wide", "width is 'wide'"),
        ("short-chunk-resnet@21", "20 frames has 0 pieces of 21, expected 1 to 64"),
        ("short-chunk-resnet@0", "@0 is no number of frames"),
        ("short-chunk-resnet@-5", "@-5 is no number of frames"),
        ("short-chunk-resnet@1e1", "@1e1 is no number of frames"),
        ("modulation@2", "n_frames is 2"),
        ("+".join(["modulation"] * 33), "members are 33, outside 1 to 32"),
    ],
)
def test_what_cannot_sit_there_is_refused(members: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)):
        seated(members)


def test_a_segment_of_too_many_pieces_is_refused() -> None:
    long = {**DIMENSIONS, "n_frames": 130}
    members = {"members": "short-chunk-resnet@2"}
    with pytest.raises(ArchitectureError, match="has 65 pieces of 2, expected 1 to 64"):
        registry.build("committee", long, n_classes=4, changes=members)
