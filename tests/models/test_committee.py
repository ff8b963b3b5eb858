import re

import pytest
import torch

from mgr_cli.errors import ArchitectureError
from mgr_cli.models import committee, registry
from mgr_cli.models.committee import Committee
from mgr_cli.models.layers import Classifier

DIMENSIONS = {"n_mels": 32, "n_frames": 20}


def seated(members: str) -> Committee:
    net = registry.build("committee", DIMENSIONS, n_classes=4, changes={"members": members})
    assert isinstance(net, Committee)
    return net.eval()


def test_probabilities_are_the_geometric_mean_of_the_members() -> None:
    torch.manual_seed(0)
    net = seated("modulation+short-chunk-resnet:width=4+cnn1d")
    x = torch.randn(5, 32, 20)
    each = torch.stack([member(x).softmax(dim=1) for member in net.members])
    product = each.prod(dim=0) ** (1 / 3)
    expected = product / product.sum(dim=1, keepdim=True)
    torch.testing.assert_close(net(x).softmax(dim=1), expected)


def test_embedding_is_theirs_one_behind_the_other() -> None:
    net = seated("short-chunk-resnet:width=4+short-chunk-resnet:width=2")
    x = torch.randn(2, 32, 20)
    one, other = (member.embed(x) for member in net.members if isinstance(member, Classifier))
    assert torch.equal(net.embed(x), torch.cat([one, other], dim=1))
    assert torch.equal(net.head(net.embed(x)), net(x))


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
    both = committee.described("cnn1d", {**registry.defaults("cnn1d"), "dropout": 0.25})
    net = seated(f"short-chunk-resnet:width=6+{both}")
    alone = registry.build("short-chunk-resnet", DIMENSIONS, n_classes=4, changes={"width": 6})
    shapes = [value.shape for value in alone.state_dict().values()]
    assert [value.shape for value in net.members[0].state_dict().values()] == shapes


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
        ("+".join(["modulation"] * 33), "members are 33, outside 1 to 32"),
    ],
)
def test_what_cannot_sit_there_is_refused(members: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)):
        seated(members)
