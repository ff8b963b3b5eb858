from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation.interpolation import bands_of
from mgr_cli.explanation.masking import LEAST, Levels, LogProbs, Masked, Waves
from mgr_cli.features.normalisation import Normalisation, identity
from mgr_cli.inputs import Arrays

RATE = 8_000
SPEC = FeatureSpec(sample_rate=RATE, n_fft=512, hop_length=400, n_mels=32)


def waves(n_samples: int, *, spec: FeatureSpec = SPEC, n_frames: int = 20) -> Waves:
    return Waves(
        spec, n_frames=n_frames, n_samples=n_samples, sample_rate=spec.sample_rate,
        normalisation=identity(1),
    )  # fmt: skip


def tone(pitch: float, n_samples: int = RATE) -> Tensor:
    return torch.sin(2 * torch.pi * pitch * torch.arange(n_samples) / RATE)[None]


def loudness(waveform: Tensor) -> float:
    return float(waveform.square().mean().sqrt())


def test_levels_go_from_the_baseline_to_themselves() -> None:
    levels = torch.tensor([[[1.0, 3.0], [5.0, 7.0]]])
    masks = torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
    assert Levels()(levels, masks).tolist() == [[[0, 3], [2.5, 0]]]
    own = Levels(np.array([2.0, 9.0]))
    assert own(levels, masks).tolist() == [[[2, 3], [7, 9]]]


@pytest.mark.parametrize("n_samples", [7_999, 8_000, 100, 513])
@pytest.mark.parametrize("n_fft", [512, 511, 64])
def test_a_mask_of_ones_gives_the_waveform_back(n_samples: int, n_fft: int) -> None:
    waveform = torch.from_numpy(np.random.default_rng(0).normal(size=(2, n_samples)))
    hide = waves(n_samples, spec=replace(SPEC, n_fft=n_fft), n_frames=max(1, n_samples // 400))
    found = hide(waveform.float(), torch.ones(2, 32, max(1, n_samples // 400)))
    # The rounding of a transform and back, in float32.
    torch.testing.assert_close(found, waveform.float(), atol=1e-5, rtol=0)


def test_a_mask_of_zeros_leaves_silence_which_is_normalised_too() -> None:
    hide = Waves(
        SPEC, n_frames=20, n_samples=RATE, sample_rate=RATE,
        normalisation=Normalisation((0.1,), (0.5,)),
    )  # fmt: skip
    normalised = (tone(440) - 0.1) / 0.5
    silent = hide(normalised, torch.zeros(1, 32, 20))
    torch.testing.assert_close(silent, torch.full_like(silent, -0.2))
    torch.testing.assert_close(
        hide(normalised, torch.ones(1, 32, 20)), normalised, atol=1e-5, rtol=0
    )


def test_bands_are_taken_away_and_others_stay() -> None:
    masks = torch.ones(1, 32, 20)
    masks[:, 20:] = 0  # band 20 of 32 is about 1,500 Hz
    hide = waves(RATE)
    within = slice(512, -512)  # the tones' own edges are heard in all bands
    assert loudness(hide(tone(3_000), masks)[:, within]) < 1e-3
    kept = hide(tone(500), masks)[:, within]
    torch.testing.assert_close(kept, tone(500)[:, within], atol=2e-3, rtol=0)


def test_seconds_are_taken_away_and_others_stay() -> None:
    masks = torch.ones(1, 32, 20)
    masks[:, :, 8:14] = 0  # 0.4 to 0.65 s
    found = waves(RATE)(tone(1_000), masks)[0]
    assert loudness(found[3_500:4_800]) < 0.05  # of 0.71, and half a window away from the edges
    torch.testing.assert_close(found[:2_600], tone(1_000)[0, :2_600], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[5_900:], tone(1_000)[0, 5_900:], atol=1e-4, rtol=0)


def test_a_mask_begins_again_with_the_samples_of_a_short_song() -> None:
    period = 3_137  # samples, of a song of eight frames: its last one ends 63 samples behind it
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(size=period)).float()[torch.arange(12 * RATE) % period]
    hide = Waves(
        SPEC, n_frames=8, n_samples=len(noise), sample_rate=RATE, normalisation=identity(1),
        period=period,
    )  # fmt: skip
    masks = torch.ones(1, 32, 8)
    masks[:, :, 4:] = 0
    found = hide(noise[None], masks)[0]
    for first in range(period, len(noise) - period, period):  # 30 copies; frames would go astray
        kept = slice(first + 450, first + 950)
        torch.testing.assert_close(found[kept], noise[kept], atol=2e-3, rtol=0)
        gone = found[first + 1_950 : first + period - 550]
        assert loudness(gone) < 1e-3


def test_gradients_reach_the_mask() -> None:
    masks = torch.ones(1, 32, 20, requires_grad=True)
    waves(RATE)(tone(1_000), masks).square().sum().backward()
    assert masks.grad is not None
    by_band = masks.grad[0].sum(dim=1)
    centre = int(bands_of(np.array([1_000.0]), SPEC).lower[0])
    assert int(by_band.argmax()) in (centre, centre + 1)


class Mean(nn.Module):
    """Logits are the means of what the net is given, and their negatives."""

    def forward(self, *inputs: Tensor) -> Tensor:
        means = sum(x.flatten(1).mean(dim=1) for x in inputs)
        assert isinstance(means, Tensor)
        return torch.stack([means, -means], dim=1)


def test_one_mask_is_for_both_kinds() -> None:
    masked = Masked(Mean(), (Levels(), waves(RATE)), shape=(32, 20))
    levels = torch.ones(1, 32, 20)
    masks = torch.zeros(1, 32, 20)
    masks[:, :, :10] = 1
    given = masked.hidden(masks, levels, tone(1_000))
    assert float(given[0].mean()) == 0.5
    assert loudness(given[1][:, 5_000:]) < 1e-3 < loudness(given[1][:, :3_000])


def test_a_mask_of_fewer_frames_is_repeated_as_the_song_is() -> None:
    masked = Masked(Mean(), (Levels(),), shape=(1, 7))
    masks = torch.tensor([[[1.0, 0.0, 0.5]]])
    (given,) = masked.hidden(masks, torch.ones(1, 1, 7))
    assert given.tolist() == [[[1, 0, 0.5, 1, 0, 0.5, 1]]]


def test_probabilities_are_the_softmax_of_logits_batch_by_batch() -> None:
    asked: list[int] = []
    masked = Masked(Mean(), (Levels(),), shape=(1, 2), at_once=2, asked=asked.append)
    x = torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1).expand(3, 1, 2)
    ones = torch.ones(3, 1, 2)
    np.testing.assert_allclose(masked.logits(ones, x), [[1, -1], [2, -2], [3, -3]])
    expected = 1 / (1 + np.exp(-np.array([2, 4, 6])))
    np.testing.assert_allclose(masked.probs(ones, x)[:, 0], expected, rtol=1e-6)
    assert asked == [2, 1, 2, 1]  # batches of two


def test_a_pipeline_answers_with_logarithms_and_its_own_probabilities() -> None:
    def score(inputs: Arrays) -> np.ndarray:
        return np.tile([0.75, 0.25, 0.0], (len(inputs[0]), 1))

    masked = Masked(LogProbs(score), (Levels(),), shape=(1, 2))
    assert not masked.has_gradients
    x = torch.ones(1, 1, 2)
    np.testing.assert_allclose(masked.logits(x, x), np.log([[0.75, 0.25, LEAST]]), rtol=1e-6)
    np.testing.assert_allclose(masked.probs(x, x), [[0.75, 0.25, 0]], atol=LEAST)
