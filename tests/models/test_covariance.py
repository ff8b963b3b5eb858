"""How bands move together, against numpy's and scipy's own."""

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power
from scipy.ndimage import median_filter
from torch import Tensor

from mgr_cli.models import covariance
from mgr_cli.models.covariance import Covariances
from mgr_cli.models.families import median
from tests.models.hearing import before_norm

N_MELS, N_FRAMES = 128, 60
N_PAIRS = 32 * 33 // 2


@pytest.fixture(scope="module")
def segments() -> Tensor:
    torch.manual_seed(0)
    return 1.6 * torch.randn(3, N_MELS, N_FRAMES).cumsum(dim=2)


@pytest.fixture(scope="module")
def found(segments: Tensor) -> np.ndarray:
    """Return the statistics before they are standardised."""
    net = Covariances(N_MELS, N_FRAMES).eval()
    return before_norm(net, segments, *medians(segments))


def medians(x: Tensor) -> tuple[Tensor, Tensor]:
    return median(x), median(x.transpose(1, 2)).transpose(1, 2)


def fourth_root(bands: np.ndarray) -> np.ndarray:
    """Return the upper triangle of what scipy makes of a covariance (32, any)."""
    root = fractional_matrix_power(np.cov(bands, bias=True) + np.eye(32), 0.25)
    rows, columns = np.triu_indices(32)
    return np.where(rows == columns, 1, 2**0.5) * root[rows, columns]


def test_first_comes_the_root_of_the_covariance_of_bands_and_of_their_changes(
    found: np.ndarray, segments: Tensor
) -> None:
    bands = segments.double().numpy().reshape(3, 32, 4, N_FRAMES).mean(axis=2)
    expected = [fourth_root(each) for each in bands]
    np.testing.assert_allclose(found[:, :N_PAIRS], expected, rtol=1e-3, atol=1e-3)
    expected = [fourth_root(each[:, 4:] - each[:, :-4]) for each in bands]
    np.testing.assert_allclose(found[:, N_PAIRS : 2 * N_PAIRS], expected, rtol=1e-3, atol=1e-3)


def test_then_what_medians_over_time_and_over_bands_leave(
    found: np.ndarray, segments: Tensor
) -> None:
    x = segments.numpy()
    tones = median_filter(x, (1, 1, 9), mode="nearest")
    drums = median_filter(x, (1, 9, 1), mode="nearest")
    left = (x - tones, x - drums, tones - drums, drums - tones)
    expected = [np.maximum(each, 0).reshape(3, 32, -1).mean(axis=2) for each in left]
    np.testing.assert_allclose(found[:, 2 * N_PAIRS :], np.concatenate(expected, 1), rtol=1e-4)


@pytest.mark.parametrize("smallest", [1.0, 1e-2, 3e-4])
def test_square_root_squared_is_the_matrix(smallest: float) -> None:
    rng = np.random.default_rng(1)
    turn, _ = np.linalg.qr(rng.normal(size=(2, 12, 12)))
    values = np.geomspace(smallest, 1, 12) * np.array([[1.0], [400.0]])
    matrix = torch.from_numpy((turn * values[:, None]) @ turn.swapaxes(1, 2)).float()
    root = covariance.square_root(matrix, torch.eye(12))
    assert (torch.linalg.eigvalsh(root) > 0).all()
    torch.testing.assert_close(root @ root, matrix, rtol=0, atol=1e-4 * 400)
    torch.testing.assert_close(root[0] @ root[0], matrix[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("swing", [0.0, 80.0])
def test_bands_that_stand_still_or_jump_are_no_trouble(swing: float) -> None:
    """One group swells by so many decibels, the others are silent: far from the identity."""
    net = Covariances(N_MELS, N_FRAMES).eval()
    x = torch.zeros(1, N_MELS, N_FRAMES)
    x[:, :4, ::2] = swing
    assert net(x, *medians(x)).isfinite().all()


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="n_frames is 4, outside 5 to"):
        Covariances(N_MELS, 4)
