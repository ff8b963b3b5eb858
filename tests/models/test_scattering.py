"""Waves over a log-mel, against numpy's own convolution."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mgr_cli.errors import ArchitectureError
from mgr_cli.models import registry, scattering
from mgr_cli.models.scattering import Scattering
from tests.models.hearing import before_norm

N_MELS, N_FRAMES = 128, 129
RATE_SIZE = 16 + 2 * (8 + 4 * 16)  # statistics of a rate


def wave(rate: float, scale: float) -> Tensor:
    """Make crests of 10 dB that move by so many cycles a frame and a band, (1, bands, frames)."""
    bands, frames = torch.arange(N_MELS)[:, None], torch.arange(N_FRAMES)
    return 10 * torch.cos(2 * torch.pi * (rate * frames + scale * bands))[None]


def by_kind(found: np.ndarray) -> np.ndarray:
    """Take means over the regions: rates × (no scale, five upwards, five downwards)."""
    sizes = np.array([16, 8, 16, 16, 16, 16, 8, 16, 16, 16, 16])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sums = [np.add.reduceat(each, starts) for each in found.reshape(4, RATE_SIZE)]
    means: np.ndarray = np.stack(sums) / sizes
    return means


def loudest(x: Tensor) -> tuple[int, int]:
    """Return the rate, and which scale upwards, or five more downwards."""
    found = by_kind(before_norm(Scattering(N_MELS, N_FRAMES).eval(), x))[:, 1:]
    row, number = np.unravel_index(found.argmax(), found.shape)
    return int(row), int(number)


@pytest.mark.parametrize(("number", "scale"), list(enumerate(scattering.SCALES[1:4], start=1)))
@pytest.mark.parametrize(("row", "rate"), list(enumerate(scattering.RATES)))
def test_a_wave_is_loudest_at_its_own_rate_scale_and_direction(
    row: int, rate: float, number: int, scale: float
) -> None:
    assert loudest(wave(rate, scale)) == (row, number)
    assert loudest(wave(rate, -scale)) == (row, number + 5)


def test_moduli_are_those_of_a_convolution_of_the_mirrored_log_mel() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(scale=10, size=(N_MELS, N_FRAMES)).cumsum(axis=1)
    found = before_norm(Scattering(N_MELS, N_FRAMES).eval(), torch.from_numpy(x[None]).float())

    def kernel(frequency: float) -> np.ndarray:
        around = np.arange(-int(1 / frequency), int(1 / frequency) + 1)
        envelope = np.exp(-2 * (around * frequency) ** 2)
        waves = envelope * np.exp(2j * np.pi * frequency * around)
        made: np.ndarray = (waves - envelope * waves.sum() / envelope.sum()) / envelope.sum()
        return made

    rate, scale = 4 / 25, 1 / 6
    still = x - x.mean(axis=1, keepdims=True)
    half, other = len(kernel(rate)) // 2, len(kernel(scale)) // 2
    wide = np.pad(still, ((other, other), (half, half)), mode="reflect")
    # scipy's correlate conjugates, numpy's too: a product with what is not turned around
    over_time = np.stack([np.correlate(row, kernel(rate).conj(), "valid") for row in wide])
    both = np.stack([np.correlate(c, kernel(scale).conj(), "valid") for c in over_time.T], axis=1)
    modulus = np.log(np.abs(both[::2, ::2]) + 1).mean(axis=1)  # every second, here and there
    first = 2 * RATE_SIZE + 16 + 8 + 2 * 16
    expected = modulus.reshape(16, 4).mean(axis=1)
    np.testing.assert_allclose(found[0, first : first + 16], expected, rtol=1e-3)


def test_a_steady_level_is_nothing() -> None:
    net = Scattering(N_MELS, N_FRAMES).eval()
    steps = torch.linspace(-40, 40, N_MELS)[None, :, None].expand(1, -1, N_FRAMES)
    assert before_norm(net, steps).max() < 2e-3


@pytest.mark.parametrize("frequency", [1 / 48, 0.04, 0.5])
def test_a_gabor_function_is_blind_to_a_constant_and_as_loud_as_others(frequency: float) -> None:
    wave, stride = scattering.gabor(frequency)
    assert len(wave) % 2 == 1
    assert abs(wave.sum()) < 1e-12
    tone = np.exp(2j * np.pi * frequency * np.arange(len(wave)))
    assert abs(np.vdot(tone, wave)) == pytest.approx(1, abs=0.03)
    assert stride <= max(1, 0.375 / frequency)


@pytest.mark.parametrize(("n", "frequency"), [(128, 1 / 48), (39, 0.5), (5, 0.04)])
def test_short_signals_are_mirrored_as_often_as_it_takes(n: int, frequency: float) -> None:
    found, places = scattering.matrix(n, frequency)
    assert found.shape == (len(places), n)
    assert np.abs(found.sum(axis=1)).max() < 1e-12
    assert places[0] == 0
    assert places[-1] < n


def test_the_net_must_know_the_edges_of_its_bands() -> None:
    sizes = {"n_mels": N_MELS, "n_frames": N_FRAMES, "fmin": 0}
    with pytest.raises(ArchitectureError, match="fmax is 800, outside 880"):
        registry.build("scattering", {**sizes, "fmax": 800}, n_classes=2)


def test_bfloat16_of_a_trainer_does_not_reach_the_statistics() -> None:
    torch.manual_seed(0)
    net = registry.build(
        "scattering", {"n_mels": 32, "n_frames": 40, "fmin": 0, "fmax": 11_025}, n_classes=2
    ).eval()
    assert isinstance(net, scattering.SpectroTemporal)
    x = torch.randn(2, 32, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = net.embed(x)
    assert torch.equal(found, net.embed(x))


def test_too_few_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="n_mels is 15, outside 16 to"):
        Scattering(15, N_FRAMES)
