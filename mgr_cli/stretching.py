"""Changing the tempo and the pitch of waveforms, one apart from the other.

A phase vocoder writes a waveform as frames of sinusoids and lays the frames down faster or
slower, each sinusoid's phase going on from frame to frame as fast as it did. That is
torchaudio's; left alone, it loses half of the energy of struck notes and moves a click by up
to half a window, for what belongs together, the bins of an attack or of one partial, drifts
apart in phase. So phases start anew where a bin's magnitude rises, and neighbouring bins are
locked together.

For the pitch, each frame is inverted at another length, its spectrum cropped or filled up
with zeros. This resamples it without aliasing, at no cost; the frames are laid down closer,
or wider, by as much, and the vocoder's rate makes good for that. A pitch is thus a ratio of
two whole hops, and a step, 512 : 511, is 3.4 cents.

References
----------
J. L. Flanagan and R. M. Golden, "Phase Vocoder", Bell System Technical Journal 45(9), 1966.
J. Laroche and M. Dolson, "Improved Phase Vocoder Time-Scale Modification of Audio", IEEE
Transactions on Speech and Audio Processing 7(3), 1999, section II (why phases must be locked).
M. Puckette, "Phase-locked Vocoder", WASPAA 1995 (its locking by neighbours; here once, after
torchaudio has added the phases up, and not within each step).
A. Röbel, "A New Approach to Transient Processing in the Phase Vocoder", DAFx 2003 (starting
anew at attacks, bin by bin; here told by the magnitude's rise alone).
"""

import torch
import torch.nn.functional as F
import torchaudio.functional as AF
from torch import Tensor

N_FFT = 2048  # 93 ms at 22,050 Hz
OVERLAP = 4  # Hann windows over each sample
HOP_LENGTH = N_FFT // OVERLAP
ATTACK = 1.5  # a bin is struck whose magnitude grows by more than this from frame to frame


def stretch(x: Tensor, *, tempo: float, semitones: float) -> Tensor:
    """Play each waveform faster or slower and, apart from that, higher or lower.

    One that got longer loses its end; one that got shorter begins again. The numbers come
    from torch's current generator on the CPU; with both options 0, none is drawn.

    Parameters
    ----------
    x : Tensor [shape=(batch, n_samples)]
        float32 or float64, not changed.
    tempo : float
        Bound of the tempo's change: its factor is between 1 / (1 + tempo) and 1 + tempo, and
        the factor's logarithm uniform.
    semitones : float
        Bound of the pitch's change, which is uniform up to it on both sides, then rounded to
        a ratio of hops: to within 2 cents for changes below 3 semitones.
    """
    if tempo == 0 and semitones == 0:
        return x
    # Lengths hang on them, so they are drawn where Python need not wait for a device.
    tempo_draws, pitch_draws = torch.empty(2, len(x)).uniform_(-1.0, 1.0)
    tempos = (1 + tempo) ** tempo_draws
    pitches = 2 ** (semitones / 12 * pitch_draws)
    n_samples = torch.arange(x.shape[-1], device=x.device)
    stretched = (
        _stretched(waveform, tempo=factor, pitch=ratio)
        for waveform, factor, ratio in zip(x, tempos.tolist(), pitches.tolist(), strict=True)
    )
    return torch.stack([waveform[n_samples % len(waveform)] for waveform in stretched])


def _stretched(waveform: Tensor, *, tempo: float, pitch: float) -> Tensor:
    """Change tempo and pitch by a factor each, (n_samples,) to (n_samples / tempo,)."""
    hop_length = round(HOP_LENGTH / pitch)
    n_fft = OVERLAP * hop_length
    spectrum = torch.stft(
        waveform, N_FFT, HOP_LENGTH, window=_window(waveform, N_FFT), pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    spectrum = _retimed(spectrum, tempo * hop_length / HOP_LENGTH)
    spectrum = F.pad(spectrum, (0, 0, 0, n_fft // 2 + 1 - len(spectrum)))
    stretched = torch.istft(
        spectrum, n_fft, hop_length, window=_window(waveform, n_fft),
        length=round(len(waveform) / tempo),
    )  # fmt: skip
    return stretched * (n_fft / N_FFT)


def _window(waveform: Tensor, length: int) -> Tensor:
    return torch.hann_window(length, dtype=waveform.dtype, device=waveform.device)


def _retimed(spectrum: Tensor, rate: float) -> Tensor:
    """Take one frame every `rate` frames, (n_bins, n_frames) to (n_bins, n_frames / rate)."""
    real = spectrum.real
    # Frames lie as far apart as they did, so the advance that one expects of a bin cancels out
    # but for whole turns; these, added up, would use up the digits of float32.
    no_advance = torch.zeros(len(real), 1, dtype=real.dtype, device=real.device)
    retimed = AF.phase_vocoder(spectrum, rate, no_advance)
    times = torch.arange(0, real.shape[1], rate, dtype=real.dtype, device=real.device)
    return _locked(_struck(retimed, spectrum[:, times.long()]))


def _struck(spectrum: Tensor, source: Tensor) -> Tensor:
    """Set a bin's phase to its source's where it is struck; later phases go on from there.

    Parameters
    ----------
    spectrum, source : Tensor [shape=(n_bins, n_frames)]
        The frames with their phases added up, and those they were taken from.
    """
    magnitudes = source.abs()
    struck = F.pad(magnitudes[:, 1:] > ATTACK * magnitudes[:, :-1], (1, 0))
    frames = torch.arange(struck.shape[1], device=struck.device)
    last = torch.where(struck, frames, 0).cummax(dim=1).values
    turns = (source * spectrum.conj()).sgn()
    return spectrum * turns.gather(1, last)


def _locked(spectrum: Tensor) -> Tensor:
    """Give weak bins the phase of a strong neighbour, less half a turn for each bin between.

    Half a turn, as frames are counted from their first sample and not from their middle.
    """
    phases = spectrum.clone()
    phases[1:] -= spectrum[:-1]
    phases[:-1] -= spectrum[1:]
    return spectrum.abs() * phases.sgn()
