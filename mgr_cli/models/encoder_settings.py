"""The settings of an audio encoder: which of them are read, and within which bounds.

They are text, as they lie beside its weights: the ``config.json`` of the net and the
``preprocessor_config.json`` of its front end, which is transformers' own. They may come from a
stranger. Only the kinds of nets and front ends named here are built; of the settings only those are
read that shape the rows, and each is held within bounds, so that none names code to run, another
type of numbers or another attention.

MERT is a HuBERT of music. Its own code adds a constant-Q input and another residual, for those
variants that ask for them; such a one is refused. `attention_relax`, which it has too, takes a
constant off each row before the softmax, to which that is nothing.
"""

from collections.abc import Callable, Mapping
from math import gcd
from reprlib import repr as shortened
from typing import Any

from transformers import ASTFeatureExtractor, PretrainedConfig, Wav2Vec2FeatureExtractor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from mgr_cli.config import SAMPLE_RATES

AST = "audio-spectrogram-transformer"
KINDS = (AST, "data2vec-audio", "hubert", "unispeech-sat", "wav2vec2", "wavlm")
"""Values of ``model_type`` that are built."""
MERT = "mert_model"

MAX_LAYERS = 128
MAX_COUNT = 2**14  # of anything that the settings count
MAX_NUMBER = 1e6
MAX_KERNEL = 2**23  # values of the filters that resample

Test = tuple[str, Callable[[Any], bool]]
"""What a setting is expected to be, and whether a value is that."""

_COUNT: Test = (
    f"a whole number from 1 to {MAX_COUNT}",
    lambda value: type(value) is int and 1 <= value <= MAX_COUNT,
)
_FLAG: Test = ("true or false", lambda value: type(value) is bool)
_NUMBER: Test = (  # NaN is neither above nor below
    f"a number up to {MAX_NUMBER:.0f}",
    lambda value: type(value) in (int, float) and abs(value) <= MAX_NUMBER,
)
_POSITIVE: Test = ("a number above 0", lambda value: _NUMBER[1](value) and value > 0)


def _one_of(*words: str) -> Test:
    return " or ".join(words), lambda value: type(value) is str and value in words


_ACTIVATION = _one_of("gelu", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "relu", "silu")

NET: Mapping[str, Test] = {
    **dict.fromkeys(
        ("adapter_attn_dim", "conv_pos_kernel_size", "frequency_stride", "hidden_size",
         "intermediate_size", "max_bucket_distance", "max_length", "num_attention_heads",
         "num_buckets", "num_conv_pos_embedding_groups", "num_mel_bins", "patch_size",
         "time_stride"),
        _COUNT,
    ),
    "num_conv_pos_embeddings": _COUNT,  # the width of a kernel, or, of data2vec's, how many
    "num_hidden_layers": (
        f"a whole number from 1 to {MAX_LAYERS}",
        lambda value: type(value) is int and 1 <= value <= MAX_LAYERS,
    ),
    **dict.fromkeys(
        ("conv_dim", "conv_kernel", "conv_stride"),
        (
            f"1 to {MAX_LAYERS} whole numbers from 1 to {MAX_COUNT}",
            lambda value: (
                type(value) is list
                and 1 <= len(value) <= MAX_LAYERS
                and all(map(_COUNT[1], value))
            ),
        ),
    ),
    **dict.fromkeys(
        ("conv_bias", "conv_pos_batch_norm", "do_stable_layer_norm", "feat_proj_layer_norm",
         "qkv_bias"),
        _FLAG,
    ),
    "feat_extract_activation": _ACTIVATION,
    "feat_extract_norm": _one_of("group", "layer"),
    "hidden_act": _ACTIVATION,
    "layer_norm_eps": _POSITIVE,
}  # fmt: skip
"""Settings of a net that shape its rows. The others are for training, or are not obeyed."""

_WAVES: Mapping[str, Test] = {
    "sampling_rate": (
        f"a whole number from {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}",
        lambda value: type(value) is int and SAMPLE_RATES[0] <= value <= SAMPLE_RATES[1],
    ),
    "do_normalize": _FLAG,
}
_BANDS: Mapping[str, Test] = {
    **_WAVES, "num_mel_bins": _COUNT, "max_length": _COUNT, "mean": _NUMBER, "std": _POSITIVE,
}  # fmt: skip


def config_of(said: object) -> PretrainedConfig:
    """Read the configuration of an encoder, no more than what shapes its rows.

    Raises
    ------
    ValueError
        If it is of another kind, asks for what transformers has not, or is out of bounds.
    """
    if not isinstance(said, dict):
        raise ValueError("the configuration is no mapping")
    kind = said.get("model_type")
    if kind == MERT:
        for key in ("feature_extractor_cqt", "deepnorm"):
            if said.get(key):
                raise ValueError(f"{key} is set, which MERT's own code computes, and HuBERT not")
        kind = "hubert"
    if kind not in KINDS:
        raise ValueError(
            f"model_type is {shortened(kind)}, expected one of {', '.join((*KINDS, MERT))}"
        )
    plain = _checked(said, NET)
    if kind == "data2vec-audio" and plain.get("num_conv_pos_embeddings", 0) > MAX_LAYERS:
        raise ValueError(f"num_conv_pos_embeddings is above {MAX_LAYERS}")
    config: PretrainedConfig = made(lambda: CONFIG_MAPPING[kind](**plain))
    if kind == AST and config.patch_size > min(config.num_mel_bins, config.max_length):
        raise ValueError("patch_size is larger than the picture that it is cut of")
    return config


def _checked(said: Mapping[str, Any], tests: Mapping[str, Test]) -> dict[str, Any]:
    """Keep the settings that there are tests for; one that is null is left to transformers."""
    plain = {key: said[key] for key in tests if said.get(key) is not None}
    for key, value in plain.items():
        expected, fits = tests[key]
        if not fits(value):
            raise ValueError(f"{key} is {shortened(value)}, expected {expected}")
    return plain


def front_end_of(said: object, config: PretrainedConfig, sample_rate: int) -> Any:
    """Make the front end of a net, for waveforms of some rate.

    Raises
    ------
    ValueError
        If it is of another kind than the net's, or differs from it, or the rate does not suit.
    """
    if not isinstance(said, dict):
        raise ValueError("the settings of the front end are no mapping")
    is_ast = config.model_type == AST
    kind: Any = ASTFeatureExtractor if is_ast else Wav2Vec2FeatureExtractor
    if said.get("feature_extractor_type") != kind.__name__:
        raise ValueError(
            f"feature_extractor_type is {shortened(said.get('feature_extractor_type'))}, "
            f"expected {kind.__name__} before {config.model_type}"
        )
    front_end = kind(**_checked(said, _BANDS if is_ast else _WAVES), return_attention_mask=False)
    for key in ("max_length", "num_mel_bins") if is_ast else ():
        if getattr(front_end, key) != getattr(config, key):
            raise ValueError(f"{key} of the front end and of the net differ")
    rate = front_end.sampling_rate
    if rate * sample_rate // gcd(rate, sample_rate) ** 2 > MAX_KERNEL:
        raise ValueError(f"waveforms of {sample_rate} Hz cannot well be resampled to {rate} Hz")
    return front_end


def made(make: Callable[[], Any]) -> Any:
    """Call something of transformers' with settings, and say in one line what is wrong with them.

    Raises
    ------
    ValueError
        Whatever it raises.
    """
    try:
        return make()
    except Exception as error:  # numbers of a stranger's that do not fit may raise anything
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"transformers makes no net of the settings ({said})") from error
