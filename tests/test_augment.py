import numpy as np
import pytest
import torch
from torch import Tensor

from mgr_cli import augment


def ones(batch: int = 200, n_mels: int = 20, n_frames: int = 40) -> Tensor:
    return torch.ones(batch, n_mels, n_frames)


def hidden_bands(masked: Tensor) -> Tensor:
    """Say which bands are 0 in every frame, (batch, n_mels)."""
    return (masked == 0).all(dim=2)


def hidden_frames(masked: Tensor) -> Tensor:
    return (masked == 0).all(dim=1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_mask_hides_less_than_the_share_of_bands_in_one_stripe() -> None:
    bands = hidden_bands(augment.mask(ones(), frequency=0.3, time=0.0)).numpy()
    widths = bands.sum(axis=1)
    # 0.3 of 20 bands bound the width: 0 to 5, and 200 draws of 6 widths miss none.
    assert set(widths.tolist()) == {0, 1, 2, 3, 4, 5}
    edges = np.abs(np.diff(np.pad(bands.astype(int), ((0, 0), (1, 1))))).sum(axis=1)
    assert set(edges.tolist()) == {0, 2}  # no stripe or one


def test_mask_hides_less_than_the_share_of_frames() -> None:
    masked = augment.mask(ones(400), frequency=0.0, time=0.25)
    widths = hidden_frames(masked).sum(dim=1)
    assert set(widths.tolist()) == set(range(10))  # bound by 0.25 of 40 frames
    assert not hidden_bands(masked).any()


def test_both_stripes_cross_and_the_rest_is_left_alone() -> None:
    x = torch.rand(50, 20, 40) + 1
    masked = augment.mask(x, frequency=0.5, time=0.5)
    hidden = masked == 0
    stripes = hidden_bands(masked)[:, :, None] | hidden_frames(masked)[:, None, :]
    assert hidden.any(dim=1).any()
    assert torch.equal(hidden, stripes)
    assert torch.equal(masked[~hidden], x[~hidden])


def test_each_segment_is_masked_in_another_place() -> None:
    bands = hidden_bands(augment.mask(ones(), frequency=0.5, time=0.0))
    assert len(torch.unique(bands, dim=0)) > 50


@pytest.mark.parametrize("share", [0.0, 0.01])  # 0.01 of 20 bands or 40 frames is no stripe
def test_no_share_changes_nothing(share: float) -> None:
    x = torch.rand(5, 20, 40)
    assert torch.equal(augment.mask(x, frequency=share, time=share), x)


def test_mask_leaves_its_input_as_it_was() -> None:
    x = ones(5)
    augment.mask(x, frequency=0.9, time=0.9)
    assert (x == 1).all()


def one_hot(batch: int) -> tuple[Tensor, Tensor]:
    """Segments that show their own number, and targets that name it."""
    x = torch.arange(float(batch))[:, None, None].expand(batch, 3, 4).contiguous()
    return x, torch.eye(batch)


def test_mixup_blends_a_segment_and_its_target_in_the_same_shares() -> None:
    x, targets = one_hot(16)
    mixed, mixed_targets = augment.mixup(x, targets, alpha=1.0)
    # float32 adds up 16 shares: 1e-6 of each, times numbers up to 15.
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(16), rtol=0, atol=1e-6)
    assert (mixed_targets >= 0).all()
    # A target is a list of shares; the segment must be the same blend of the numbers.
    expected = (mixed_targets @ torch.arange(16.0))[:, None, None].expand_as(mixed)
    torch.testing.assert_close(mixed, expected, rtol=0, atol=2e-5)
    assert ((mixed_targets > 0).sum(dim=1) <= 2).all()  # itself and one other


def test_each_segment_draws_its_own_share() -> None:
    x, targets = one_hot(64)
    _, mixed = augment.mixup(x, targets, alpha=1.0)
    own = mixed.diagonal()
    assert len(torch.unique(own)) > 50
    assert 0.3 < own.mean() < 0.7  # Beta(1, 1) is uniform; its mean of 64 is 0.5 ± 0.04


def test_small_alpha_mixes_little() -> None:
    x, targets = one_hot(256)
    _, mixed = augment.mixup(x, targets, alpha=0.01)
    # Beta(0.01, 0.01) is nearly a coin: almost every share is within 1 % of 0 or 1.
    assert (mixed.max(dim=1).values > 0.99).float().mean() > 0.9
    assert mixed.isfinite().all()


def test_alpha_zero_is_the_identity_and_draws_nothing() -> None:
    x, targets = one_hot(8)
    before = torch.get_rng_state()
    mixed, mixed_targets = augment.mixup(x, targets, alpha=0.0)
    assert torch.equal(mixed, x)
    assert torch.equal(mixed_targets, targets)
    assert torch.equal(before, torch.get_rng_state())


def test_mixup_leaves_its_inputs_as_they_were() -> None:
    x, targets = one_hot(8)
    augment.mixup(x, targets, alpha=1.0)
    assert torch.equal(x, one_hot(8)[0])
    assert torch.equal(targets, one_hot(8)[1])


def test_the_seed_repeats_both() -> None:
    x, targets = torch.rand(16, 20, 40), torch.eye(16)

    def once(seed: int) -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(seed)
        return augment.mask(x, frequency=0.5, time=0.5), *augment.mixup(x, targets, alpha=0.4)

    assert all(torch.equal(a, b) for a, b in zip(once(3), once(3), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(once(3), once(4), strict=True))
