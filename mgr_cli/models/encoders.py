"""Audio encoders of Hugging Face's transformers as borrowed ears: AST, HuBERT, MERT and others.

An encoder maps a waveform to a row of hidden states a layer, one every 20 ms or a patch. Here they
are averaged over time, which is how such nets are probed: what is left is one vector a layer, and
`cut` says which layers become the row, ``mean`` (their mean), ``all`` (side by side) or the number
of one, 0 being what the first layer is given. Waveforms are resampled to the encoder's rate.

Its settings may come from a stranger, see `encoder_settings`. What the net would hold, and what it
would compute of a segment, are bounded; how long that takes is not.

References
----------
Y. Gong et al., "AST: Audio spectrogram transformer", Interspeech 2021. W.-N. Hsu et al., "HuBERT",
TASLP 2021. Y. Li et al., "MERT", ICLR 2024. A. Baevski et al., "wav2vec 2.0", NeurIPS 2020.
"""

import json
from reprlib import repr as shortened
from typing import Any

import torch
import torchaudio.functional as AF
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig

from mgr_cli.config import MAX_WEIGHTS_BYTES
from mgr_cli.models.encoder_settings import AST, config_of, front_end_of, made

MEAN, ALL = "mean", "all"
MAX_VALUES = 2**27  # of the widest thing that is computed of a segment: half a gigabyte
FBANK_WINDOW = 0.025  # seconds, Kaldi's, without which AST hears nothing


def encoder(*, cut: str, settings: str, sample_rate: int) -> nn.Module:
    """Make an encoder with weights of torch's generator.

    Parameters
    ----------
    cut : str
        ``mean``, ``all`` or the number of a layer.
    settings : str
        JSON with ``config`` and ``front_end``.
    sample_rate : int
        Of the waveforms that it will be given.

    Raises
    ------
    ValueError
        If the settings are not those of an encoder that is known here, or the net has no such
        layer.
    """
    try:
        said = json.loads(settings)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the settings are no JSON ({error})") from error
    if not isinstance(said, dict):
        raise ValueError("the settings are no mapping, expected config and front_end")
    config = config_of(said.get("config"))
    return _Ear(config, front_end_of(said.get("front_end"), config, sample_rate), cut, sample_rate)


def _made_net(config: PretrainedConfig) -> nn.Module:
    """Make a net, once it is known to be no larger than weights can be."""

    def make() -> nn.Module:
        net: nn.Module = AutoModel.from_config(config, attn_implementation="eager")  # type: ignore[no-untyped-call]
        return net.eval()

    with torch.device("meta"):  # shapes without content
        shapes: nn.Module = made(make)
    n_bytes = 4 * sum(weight.numel() for weight in shapes.state_dict().values())
    if n_bytes > MAX_WEIGHTS_BYTES:
        raise ValueError(f"its weights take {n_bytes} bytes, {MAX_WEIGHTS_BYTES} at the most")
    net: nn.Module = made(make)
    return net


def _check_length(config: PretrainedConfig, n_samples: int, rate: int) -> None:
    """Refuse waveforms of which a net computes nothing, or more than memory holds."""
    n_frames, widest = n_samples, n_samples
    if config.model_type == AST:
        n_bands = 1 + (config.num_mel_bins - config.patch_size) // config.frequency_stride
        n_times = 1 + (config.max_length - config.patch_size) // config.time_stride
        n_frames = n_bands * n_times + 2 if n_samples >= int(FBANK_WINDOW * rate) else 0
    else:
        layers = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
        for width, kernel, stride in layers:
            n_frames = 1 + (n_frames - kernel) // stride
            widest = max(widest, width * n_frames)
    said = f"a waveform of {n_samples} samples at {rate} Hz"
    if n_frames < 1:
        raise ValueError(f"{said} is too short for it; take longer segments")
    widths = (
        config.num_attention_heads * n_frames,
        config.intermediate_size,
        config.hidden_size * (config.num_hidden_layers + 1),
    )
    widest = max(widest, n_frames * max(widths))
    if widest > MAX_VALUES:
        raise ValueError(
            f"{said} takes {widest} values at once, {MAX_VALUES} at the most; take shorter segments"
        )


class _Ear(nn.Module):
    def __init__(
        self, config: PretrainedConfig, front_end: Any, cut: str, sample_rate: int
    ) -> None:
        super().__init__()
        n_layers = config.num_hidden_layers
        if cut not in (MEAN, ALL, *map(str, range(n_layers + 1))):
            raise ValueError(f"cut is {shortened(cut)}, expected {MEAN}, {ALL} or 0 to {n_layers}")
        self.net = _made_net(config)
        self._config, self._front_end, self._cut = config, front_end, cut
        self._sample_rate = sample_rate

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, n_samples) to (batch, n_values).

        Raises
        ------
        ValueError
            If they are too short or too long for the net.
        """
        rate = self._front_end.sampling_rate
        n_samples = -(-waveforms.shape[1] * rate // self._sample_rate)  # rounded up
        _check_length(self._config, n_samples, rate)
        heard = AF.resample(waveforms, self._sample_rate, rate).cpu().numpy()
        given = self._front_end(list(heard), sampling_rate=rate, return_tensors="pt")
        values = given["input_values"].to(waveforms.device)
        layers = self.net(values, output_hidden_states=True).hidden_states
        means = torch.stack([layer.mean(dim=1) for layer in layers], dim=1)
        if self._cut == MEAN:
            return means.mean(dim=1)
        return means.flatten(1) if self._cut == ALL else means[:, int(self._cut)]
