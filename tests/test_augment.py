from collections.abc import Callable

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
    (mixed,), mixed_targets = augment.mixup((x,), targets, alpha=1.0)
    # float32 adds up 16 shares: 1e-6 of each, times numbers up to 15.
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(16), rtol=0, atol=1e-6)
    assert (mixed_targets >= 0).all()
    # A target is a list of shares; the segment must be the same blend of the numbers.
    expected = (mixed_targets @ torch.arange(16.0))[:, None, None].expand_as(mixed)
    torch.testing.assert_close(mixed, expected, rtol=0, atol=2e-5)
    assert ((mixed_targets > 0).sum(dim=1) <= 2).all()  # itself and one other


def test_each_segment_draws_its_own_share() -> None:
    x, targets = one_hot(64)
    _, mixed = augment.mixup((x,), targets, alpha=1.0)
    own = mixed.diagonal()
    assert len(torch.unique(own)) > 50
    assert 0.3 < own.mean() < 0.7  # Beta(1, 1) is uniform; its mean of 64 is 0.5 ± 0.04


def test_small_alpha_mixes_little() -> None:
    x, targets = one_hot(256)
    _, mixed = augment.mixup((x,), targets, alpha=0.01)
    # Beta(0.01, 0.01) is nearly a coin: almost every share is within 1 % of 0 or 1.
    assert (mixed.max(dim=1).values > 0.99).float().mean() > 0.9
    assert mixed.isfinite().all()


def test_alpha_zero_is_the_identity_and_draws_nothing() -> None:
    x, targets = one_hot(8)
    before = torch.get_rng_state()
    (mixed,), mixed_targets = augment.mixup((x,), targets, alpha=0.0)
    assert mixed is x
    assert mixed_targets is targets
    assert torch.equal(before, torch.get_rng_state())


def test_mixup_leaves_its_inputs_as_they_were() -> None:
    x, targets = one_hot(8)
    augment.mixup((x,), targets, alpha=1.0)
    assert torch.equal(x, one_hot(8)[0])
    assert torch.equal(targets, one_hot(8)[1])


def test_mixup_blends_all_forms_of_a_segment_alike() -> None:
    numbers, targets = one_hot(16)
    x = (numbers, numbers[:, 0, :2].clone(), 2.0 * numbers[:, None].double())
    (mels, waves, deeper), _ = augment.mixup(x, targets, alpha=1.0)
    assert [form.shape for form in (mels, waves, deeper)] == [form.shape for form in x]
    assert deeper.dtype == torch.float64
    torch.testing.assert_close(waves, mels[:, 0, :2], rtol=0, atol=0)
    # float32 and float64 of numbers up to 30
    torch.testing.assert_close(deeper, 2.0 * mels[:, None].double(), rtol=0, atol=1e-5)


def test_mixup_draws_shares_first_and_then_partners() -> None:
    # Trained nets hang on it: a seed stands for these very numbers.
    x, targets = torch.rand(16, 3, 4), torch.eye(16)
    (mixed,), mixed_targets = augment.mixup((x,), targets, alpha=0.4)
    torch.manual_seed(0)
    torch.rand(16, 3, 4)
    share = torch.distributions.Beta(0.4, 0.4).sample((16,))
    other = torch.randperm(16)
    assert torch.equal(mixed, torch.lerp(x[other], x, share[:, None, None]))
    assert torch.equal(mixed_targets, torch.lerp(targets[other], targets, share[:, None]))


def test_gain_adds_the_same_decibels_to_all_bands() -> None:
    x = torch.randn(200, 20, 40)
    per_decibel = torch.linspace(0.05, 0.2, 20)
    changes = augment.gain(x, decibels=6.0, per_decibel=per_decibel) - x
    decibels = changes / per_decibel[:, None]
    each = decibels.mean(dim=(1, 2))
    # x + change - x in float32, over 0.05
    torch.testing.assert_close(decibels, each[:, None, None].expand_as(x), rtol=0, atol=1e-4)
    assert_fills(each, -6.0, 6.0)


def test_gain_is_what_a_louder_recording_measures() -> None:
    # A log-mel of a waveform 3 dB louder is 0.3 * ln 10 higher, its normalised form that / std.
    power = torch.rand(8, 20, 40) + 0.1
    mean, std = torch.randn(20, 1), torch.rand(20, 1) + 0.5
    per_decibel = np.log(10) / 10 / std[:, 0]
    louder = augment.gain((power.log() - mean) / std, decibels=3.0, per_decibel=per_decibel)
    decibels = 10 * torch.log10((louder * std + mean).exp() / power)
    torch.testing.assert_close(decibels, decibels[:, :1, :1].expand_as(power), rtol=0, atol=1e-4)
    assert 1 < decibels.abs().max() <= 3 + 1e-4


def test_amplify_multiplies_by_decibels_of_amplitude() -> None:
    x = torch.rand(200, 50) + 0.5
    decibels = 20 * torch.log10(augment.amplify(x, decibels=6.0) / x)
    torch.testing.assert_close(decibels, decibels[:, :1].expand_as(x), rtol=0, atol=1e-4)
    assert_fills(decibels[:, 0], -6.0, 6.0)


def test_noise_is_white_gaussian_and_of_another_strength_for_each() -> None:
    x = 3 + torch.zeros(200, 20, 200)
    added = augment.noise(x, level=0.5) - x
    strengths = added.std(dim=(1, 2))
    assert_fills(strengths, 0.0, 0.5, slack=0.01)  # a deviation of 4,000 draws is sure to 1.1 %
    scaled = added / strengths[:, None, None]
    # 800,000 draws: deviations are 0.001 of the means, 0.003 of the kurtosis' 3 (a uniform's
    # is 1.8).
    assert abs(scaled.mean()) < 0.005
    assert abs(scaled.pow(4).mean() - 3) < 0.05
    assert abs((scaled[:, :, 1:] * scaled[:, :, :-1]).mean()) < 0.005
    assert abs((scaled[:, 1:] * scaled[:, :-1]).mean()) < 0.005
    assert abs((scaled[1:] * scaled[:-1]).mean()) < 0.005


def test_shift_rolls_each_segment_as_a_whole() -> None:
    x = torch.randn(400, 3, 40)
    (shifted,) = augment.shift((x,), share=0.25)
    ways = []
    for before, after in zip(x, shifted, strict=True):
        fits = [way for way in range(-20, 20) if torch.equal(before.roll(way, -1), after)]
        assert len(fits) == 1
        ways += fits
    assert set(ways) == set(range(-10, 11))  # 400 draws of 21 miss one in 10^-7
    assert abs(np.mean(ways)) < 1.2  # 4 deviations, 6.06 / 20


def test_shift_takes_waveforms_all_the_way_round() -> None:
    x = torch.arange(12.0).expand(300, 12)
    (shifted,) = augment.shift((x,), share=1.0)
    assert set(shifted[:, 0].tolist()) == set(range(12))


def test_shift_moves_all_forms_of_a_segment_alike() -> None:
    waves = torch.randn(50, 40 * 16)
    mels = waves.reshape(50, 1, 40, 16).mean(dim=3)  # frames of 16 samples each
    found = augment.shift((mels, waves), share=0.5)
    torch.testing.assert_close(found[1].reshape(50, 1, 40, 16).mean(dim=3), found[0])
    assert not torch.equal(found[0], mels)
    longer = torch.arange(100.0).expand(50, 100)  # 2.5 of a frame: rounded down
    frames = torch.arange(40.0).expand(50, 40)
    firsts = [form[:, 0] for form in augment.shift((longer, frames), share=0.5)]
    ways = torch.where(firsts[1] > 0, 40 - firsts[1], 0.0)
    assert torch.equal(firsts[0], (-torch.floor(2.5 * ways)) % 100)


def assert_fills(numbers: Tensor, low: float, high: float, *, slack: float = 1e-4) -> None:
    """Check 200 uniform draws: within bounds, near both, spread evenly, no two alike."""
    width = high - low
    assert low - slack <= numbers.min() < low + 0.05 * width
    assert high - 0.05 * width < numbers.max() <= high + slack
    assert abs(numbers.mean() - (low + high) / 2) < 0.08 * width  # 4 deviations of 0.02
    assert abs((numbers < low + width / 4).float().mean() - 0.25) < 0.12  # 4 of 0.03
    assert len(torch.unique(numbers)) > 190


PER_DECIBEL = torch.full((20,), 0.1)
# name: the shape it takes, and the function of one size
ALL: dict[str, tuple[tuple[int, ...], Callable[[Tensor, float], Tensor]]] = {
    "mask": ((16, 20, 40), lambda x, size: augment.mask(x, frequency=size, time=size)),
    "gain": ((16, 20, 40), lambda x, size: augment.gain(x, decibels=size, per_decibel=PER_DECIBEL)),
    "amplify": ((16, 800), lambda x, size: augment.amplify(x, decibels=size)),
    "noise": ((16, 20, 40), lambda x, size: augment.noise(x, level=size)),
    "noise of waveforms": ((16, 800), lambda x, size: augment.noise(x, level=size)),
    "shift": ((16, 20, 40), lambda x, size: augment.shift((x,), share=size)[0]),
    "shift of waveforms": ((16, 800), lambda x, size: augment.shift((x,), share=size)[0]),
    "mixup": ((16, 20, 40), lambda x, size: augment.mixup((x,), torch.eye(16), alpha=size)[0][0]),
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_zero_changes_nothing_and_draws_nothing(name: str) -> None:
    shape, change = ALL[name]
    x = torch.rand(shape)
    before = torch.get_rng_state()
    assert torch.equal(change(x, 0.0), x)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ALL)
def test_the_seed_repeats_it_and_the_input_stays(name: str) -> None:
    shape, change = ALL[name]
    x = torch.rand(shape)
    kept = x.clone()

    def once(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return change(x, 0.5)

    first = once(3)
    assert torch.equal(first, once(3))
    assert not torch.equal(first, once(4))
    assert torch.equal(x, kept)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ALL)
def test_shape_and_dtype_stay(name: str, dtype: torch.dtype) -> None:
    shape, change = ALL[name]
    changed = change(torch.rand(shape).to(dtype), 0.5)
    assert changed.dtype == dtype
    assert changed.shape == shape
    assert changed.isfinite().all()


def test_equaliser_draws_straight_lines_between_six_bands() -> None:
    x = torch.zeros(300, 11, 4)  # a knot at every second band
    per_decibel = torch.linspace(0.5, 1.5, 11)
    found = augment.equalise(x, decibels=6.0, per_decibel=per_decibel)
    assert torch.equal(found, found[:, :, :1].expand_as(found))  # the same in every frame
    curve = found[:, :, 0] / per_decibel
    torch.testing.assert_close(curve[:, 1::2], (curve[:, :-1:2] + curve[:, 2::2]) / 2)
    knots = curve[:, ::2]
    assert -6 <= knots.min() < -5.5
    assert 5.5 < knots.max() <= 6
    assert torch.corrcoef(knots.T).fill_diagonal_(0).abs().max() < 0.25  # each its own


def test_transposed_bands_are_moved_and_the_one_at_the_edge_is_repeated() -> None:
    x = torch.arange(10.0)[None, :, None].repeat(200, 1, 3)
    found = augment.transpose(x, share=0.3)
    ways = (found[:, 5, 0] - 5).int()
    assert set(ways.tolist()) == set(range(-3, 4))
    for way, track in zip(ways.tolist(), found, strict=True):
        expected = (torch.arange(10) + way).clamp(0, 9).float()
        assert torch.equal(track, expected[:, None].expand(10, 3))


def test_range_is_stretched_about_the_ceiling_and_cut_off_at_the_floor() -> None:
    floor, ceiling = torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 2.0])
    x = torch.stack([ceiling, torch.zeros(2), 0.95 * floor], dim=1).repeat(200, 1, 1)
    found = augment.stretch_range(x, share=0.2, floor=floor, ceiling=ceiling)
    assert torch.equal(found[:, :, 0], x[:, :, 0])
    factors = 1 - found[:, :, 1] / ceiling
    torch.testing.assert_close(factors[:, 0], factors[:, 1])  # one a segment
    assert 0.8 <= factors.min() < 0.82
    assert 1.18 < factors.max() <= 1.2
    torch.testing.assert_close(
        found[:, :, 2], torch.maximum(ceiling - 1.95 * ceiling * factors, floor.expand(200, 2))
    )
    assert (found[:, :, 2] == floor).any()


def test_low_pass_empties_the_highest_bands_of_half_of_the_segments() -> None:
    x = torch.rand(2_000, 10, 3) + 1
    floor = torch.linspace(-3, -2, 10)
    found = augment.low_pass(x, share=0.4, floor=floor)
    changed = (found != x).all(dim=2)
    widths = changed.sum(dim=1)
    assert set(widths.tolist()) == {0, 1, 2, 3, 4}
    assert 0.45 < (widths == 0).float().mean() < 0.55
    assert torch.equal(changed, torch.arange(10) >= 10 - widths[:, None])
    assert torch.equal(found[changed], floor.expand(2_000, 10)[changed][:, None].expand(-1, 3))


def test_changes_of_nothing_leave_levels_alone_and_draw_nothing() -> None:
    x, one = torch.rand(4, 10, 6), torch.ones(10)
    state = torch.get_rng_state()
    assert augment.equalise(x, decibels=0.0, per_decibel=one) is x
    assert augment.transpose(x, share=0.04) is x
    assert augment.stretch_range(x, share=0.0, floor=-one, ceiling=one) is x
    assert augment.low_pass(x, share=0.04, floor=-one) is x
    assert torch.equal(torch.get_rng_state(), state)
