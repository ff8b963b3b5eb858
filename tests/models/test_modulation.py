"""Statistics of a segment, each against numpy's and scipy's own."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.fft import dct
from torch import Tensor

from mgr_cli.models import families, modulation
from mgr_cli.models.modulation import Modulation, Statistics
from tests.models.hearing import before_norm

N_MELS, N_FRAMES = 128, 200


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    return Statistics(N_MELS, N_FRAMES)


@pytest.fixture(scope="module")
def segments() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(3, N_MELS, N_FRAMES).cumsum(dim=2) / 10


def test_first_come_mean_and_wavering_of_forty_cepstra(
    statistics: Statistics, segments: Tensor
) -> None:
    cepstra = dct(16 * segments.numpy(), axis=1, norm="ortho")[:, :40]
    cepstra[:, 0] *= 2**0.5  # ours leaves the first as long as the others' formula makes it
    expected = [cepstra.mean(2), cepstra.std(2), np.diff(cepstra, axis=2).std(2)]
    found = before_norm(statistics.eval(), segments)[:, :120]
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-3, atol=1e-3)


def test_then_contrast_of_groups_of_bands_and_rises_of_each(
    statistics: Statistics, segments: Tensor
) -> None:
    x = 16 * segments.numpy()
    grouped = x.reshape(3, 16, 8, N_FRAMES)
    contrast = grouped.max(2) - grouped.min(2)
    rises = np.maximum(np.diff(x, axis=2), 0)
    expected = [contrast.mean(2), contrast.std(2), rises.mean(2), rises.std(2)]
    found = before_norm(statistics.eval(), segments)[:, 120 : 120 + 2 * 16 + 2 * 128]
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-3, atol=1e-3)


def test_then_the_modulation_spectrum_of_groups_and_cepstra(
    statistics: Statistics, segments: Tensor
) -> None:
    x = 16 * segments.numpy()
    rows = x.reshape(3, 16, 8, N_FRAMES).mean(2)
    windows = np.stack([rows[..., start : start + 128] for start in (0, 64)])
    waves = (windows - windows.mean(-1, keepdims=True)) * np.hanning(128)
    spectrum = np.log(np.abs(np.fft.rfft(waves)).mean(0) + 1)
    edges = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 65)
    pairs = pairwise(edges)
    expected = np.stack([spectrum[..., a:b].mean(-1) for a, b in pairs], -1).reshape(3, -1)
    found = before_norm(statistics.eval(), segments)[:, 408 : 408 + expected.shape[1]]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert statistics.dim == 408 + (16 + 20) * 12


def test_a_beat_stands_out_at_its_own_rate() -> None:
    def loudest(period: int) -> int:
        pulse = (torch.arange(N_FRAMES) % period == 0).float()
        statistics = Statistics(N_MELS, N_FRAMES)
        spectrum = before_norm(statistics.eval(), pulse.expand(2, N_MELS, -1))[0, 408:420]
        return int(spectrum[:9].argmax())  # above, its harmonics

    slow, fast = loudest(32), loudest(8)  # 4 and 16 of 128 frames
    assert (slow, fast) == (3, 7)  # bins 4 to 5, and 15 to 19


def test_statistics_are_standardised_by_what_the_net_was_trained_on_and_cut_off() -> None:
    torch.manual_seed(0)
    statistics = Statistics(16, 10).train()
    found = statistics(torch.randn(400, 16, 10)) / statistics.loudness
    torch.testing.assert_close(found.mean(0), torch.zeros(statistics.dim), atol=0.05, rtol=0)
    assert found.abs().max() <= families.OUTLIER
    statistics.eval()
    wild = statistics(1e4 * torch.randn(2, 16, 10)) / statistics.loudness
    assert wild.abs().max() == families.OUTLIER


def test_gradient_of_a_segment_that_stands_still_is_finite() -> None:
    net = Modulation(n_mels=16, n_frames=10, n_classes=3, dropout=0.0).eval()
    x = torch.zeros(1, 16, 10, requires_grad=True)
    net(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("n_mels", "n_frames"), [(15, 50), (1_025, 50), (16, 3)])
def test_dimensions_out_of_range_are_refused(n_mels: int, n_frames: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        modulation.modulation(n_mels=n_mels, n_frames=n_frames, n_classes=2)
