"""Tiny encoders of every kind, as transformers saves them, with weights that are noise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn
from transformers import AutoConfig
from transformers.utils import logging

from mgr_cli.models.encoder_settings import AST, KINDS

logging.disable_progress_bar()  # type: ignore[no-untyped-call]

RATE = 8_000  # Hz, of the waveforms that they are given
N_SAMPLES = RATE // 2
N_LAYERS = 2
WIDTH = 16
NARROW: dict[str, Any] = {
    "hidden_size": WIDTH, "num_hidden_layers": N_LAYERS, "num_attention_heads": 2,
    "intermediate_size": 32,
}  # fmt: skip
WAVES = NARROW | {
    "conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
PICTURES = NARROW | {"max_length": 64, "num_mel_bins": 32}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in KINDS},
    "ast-strides": (AST, {"patch_size": 8, "frequency_stride": 6, "time_stride": 9,
                          "qkv_bias": False, "layer_norm_eps": 0.1}),
    "data2vec-shallow": ("data2vec-audio", {"num_conv_pos_embeddings": 2,
                                            "conv_pos_kernel_size": 5}),
    "hubert-stable": ("hubert", {"do_stable_layer_norm": True, "feat_extract_norm": "layer",
                                 "conv_bias": True, "hidden_act": "relu",
                                 "conv_pos_batch_norm": True, "feat_proj_layer_norm": False}),
    "unispeech-sat-stable": ("unispeech-sat", {"do_stable_layer_norm": True,
                                               "feat_extract_activation": "relu"}),
    "wav2vec2-short": ("wav2vec2", {"conv_dim": [8, 6], "conv_kernel": [400, 3],
                                    "conv_stride": [320, 2], "adapter_attn_dim": 4,
                                    "layer_norm_eps": 0.1, "mask_time_prob": 0.0,
                                    "do_stable_layer_norm": True}),
    "wavlm-buckets": ("wavlm", {"num_buckets": 8, "max_bucket_distance": 9,
                                "do_stable_layer_norm": True}),
}  # fmt: skip
"""Kinds of encoders, and settings that differ from transformers' own and shape the rows."""


def stir(net: nn.Module, *, seed: int = 0) -> nn.Module:
    """Give a net weights that tell its parts apart, as fresh ones, mostly 0 or 1, do not."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    return net


AutoModel: Any = hf.AutoModel
FRONT_ENDS: dict[str, Any] = {AST: hf.ASTFeatureExtractor, "waves": hf.Wav2Vec2FeatureExtractor}
HEADS: dict[str, Any] = {AST: hf.ASTForAudioClassification, "hubert": hf.HubertForCTC}


def front_end(kind: str, *, rate: int = 16_000) -> Any:
    if kind == AST:
        return FRONT_ENDS[kind](max_length=64, num_mel_bins=32, mean=-3.0, std=2.0)
    return FRONT_ENDS["waves"](sampling_rate=rate, do_normalize=True)


def save(folder: Path, net: Any, kind: str, *, rate: int = 16_000, **said: object) -> Path:
    """Write an encoder as transformers does, its configuration with some changes."""
    net.save_pretrained(folder)
    front_end(kind, rate=rate).save_pretrained(folder)
    return say(folder, "config.json", **said) if said else folder


def made(folder: Path, variant: str = "hubert", *, seed: int = 0) -> Path:
    """Write one of `VARIANTS` into a folder."""
    kind, settings = VARIANTS[variant]
    config = AutoConfig.for_model(kind, **(PICTURES if kind == AST else WAVES) | settings)
    return save(folder, stir(AutoModel.from_config(config), seed=seed), kind)


def mert(folder: Path, **said: object) -> Path:
    """Write what looks like MERT: a HuBERT with its own code, and a rate of 24 kHz."""
    config = AutoConfig.for_model("hubert", **WAVES)
    code = {"AutoModel": "modeling_mert.MERT", "AutoConfig": "modeling_mert.MERTConfig"}
    usual = {"attention_relax": -1.0, "feature_extractor_cqt": False, "deepnorm": False}
    net = stir(AutoModel.from_config(config))
    return save(
        folder, net, "hubert", rate=24_000,
        **{"model_type": "mert_model", "auto_map": code, **usual, **said},
    )  # fmt: skip


def with_head(folder: Path, kind: str) -> Path:
    """Write an encoder below a head, whose weights have another prefix."""
    config = AutoConfig.for_model(kind, **(PICTURES if kind == AST else WAVES))
    return save(folder, stir(HEADS[kind](config)), kind)


def say(folder: Path, name: str, **said: object) -> Path:
    """Change settings in one of the files of a folder; return the folder."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    return folder


def settings(folder: Path, *, config: object = None, front: object = None) -> str:
    """Return the settings of a folder, as entries keep them, with some changes."""

    def read(name: str, changes: object) -> object:
        said = json.loads((folder / name).read_text())
        return said | changes if isinstance(changes, dict) else (changes or said)

    return json.dumps(
        {"config": read("config.json", config),
         "front_end": read("preprocessor_config.json", front)}
    )  # fmt: skip


def waveforms(n: int = 3, *, n_samples: int = N_SAMPLES) -> np.ndarray:
    rng = np.random.default_rng(n_samples)
    return rng.normal(0, 0.1, (n, n_samples)).astype(np.float32)


def building(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List, from now on, where encoders are built: on "meta" nothing is allocated."""
    real, found = AutoModel.from_config, []

    def from_config(*args: object, **settings: object) -> object:
        found.append(str(torch.empty(0).device))
        return real(*args, **settings)

    monkeypatch.setattr(AutoModel, "from_config", from_config)
    return found


DEEP = "[" * 100_000

ABSURD: dict[str, tuple[Any, Any, str]] = {
    # The net, the front end, what the error names.
    "kind": ({"model_type": "bert"}, None, "model_type is 'bert', expected one of audio-spec"),
    "kind-list": ({"model_type": ["hubert"]}, None, "model_type is"),
    "kind-long": ({"model_type": "h\n" * 10_000}, None, "model_type is"),
    "no-mapping": ([1], None, "the configuration is no mapping"),
    "front-no-mapping": (None, "x", "the front end are no mapping"),
    "cqt": ({"model_type": "mert_model", "feature_extractor_cqt": True}, None,
            "feature_extractor_cqt is set"),
    "deepnorm": ({"model_type": "mert_model", "deepnorm": True}, None, "deepnorm is set"),
    "layers": ({"num_hidden_layers": 10**9}, None, "num_hidden_layers is 1000000000, expected"),
    "no-layers": ({"num_hidden_layers": 0}, None, "num_hidden_layers is 0"),
    "width": ({"hidden_size": 2**40}, None, "hidden_size is 1099511627776"),
    "width-huge": ({"hidden_size": 10**4_000}, None, "hidden_size is"),
    "width-negative": ({"hidden_size": -16}, None, "hidden_size is -16"),
    "width-text": ({"hidden_size": "16"}, None, "hidden_size is '16'"),
    "width-float": ({"hidden_size": 16.0}, None, "hidden_size is 16.0"),
    "width-true": ({"hidden_size": True}, None, "hidden_size is True"),
    "width-mapping": ({"hidden_size": {"a": {"b": 1}}}, None, "hidden_size is {"),
    "weights": ({"hidden_size": 2**14, "num_hidden_layers": 128}, None, "its weights take"),
    "heads": ({"num_attention_heads": 3}, None, "makes no net of the settings"),
    "groups": ({"num_conv_pos_embedding_groups": 3}, None, "makes no net of the settings"),
    "kernels": ({"conv_kernel": [3]}, None, "makes no net of the settings"),
    "kernels-long": ({"conv_kernel": [3] * 100_000}, None, "conv_kernel is"),
    "kernels-none": ({"conv_kernel": []}, None, "conv_kernel is"),
    "kernels-number": ({"conv_kernel": 3}, None, "conv_kernel is 3, expected 1 to 128"),
    "kernels-nested": ({"conv_kernel": [[3]] * 7}, None, "conv_kernel is"),
    "stride-zero": ({"conv_stride": [0] * 7}, None, "conv_stride is"),
    "stride-float": ({"conv_stride": [5.0] * 7}, None, "conv_stride is"),
    "dim-huge": ({"conv_dim": [2**31] * 7}, None, "conv_dim is"),
    "activation": ({"hidden_act": "os.system"}, None, "hidden_act is 'os.system', expected gelu"),
    "activation-list": ({"hidden_act": ["gelu"]}, None, "hidden_act is"),
    "norm": ({"feat_extract_norm": "batch"}, None, "feat_extract_norm is 'batch'"),
    "flag": ({"conv_bias": "no"}, None, "conv_bias is 'no', expected true or false"),
    "eps": ({"layer_norm_eps": -1.0}, None, "layer_norm_eps is -1.0"),
    "eps-nan": ({"layer_norm_eps": float("nan")}, None, "layer_norm_eps is nan"),
    "eps-inf": ({"layer_norm_eps": float("inf")}, None, "layer_norm_eps is inf"),
    "front": (None, {"feature_extractor_type": "WhisperFeatureExtractor"},
              "feature_extractor_type is 'WhisperFeatureExtractor', expected Wav2Vec2"),
    "front-none": (None, {"feature_extractor_type": None}, "feature_extractor_type is None"),
    "front-of-another": (None, {"feature_extractor_type": "ASTFeatureExtractor"},
                         "expected Wav2Vec2FeatureExtractor before hubert"),
    "rate-zero": (None, {"sampling_rate": 0}, "sampling_rate is 0"),
    "rate-negative": (None, {"sampling_rate": -16_000}, "sampling_rate is -16000"),
    "rate-float": (None, {"sampling_rate": 16e3}, "sampling_rate is 16000.0"),
    "rate-huge": (None, {"sampling_rate": 10**12}, "sampling_rate is 1000000000000"),
    "rate-prime": (None, {"sampling_rate": 767_957}, "cannot well be resampled to 767957 Hz"),
    "normalize": (None, {"do_normalize": "yes"}, "do_normalize is 'yes'"),
}  # fmt: skip
"""Changes to the settings of a tiny HuBERT that no encoder can have."""

ABSURD_OF_AST: dict[str, tuple[Any, Any, str]] = {
    "frames": ({"max_length": 2**30}, {"max_length": 2**30}, "max_length is 1073741824"),
    "frames-differ": (None, {"max_length": 65}, "max_length of the front end and of the net diff"),
    "bands-differ": (None, {"num_mel_bins": 33}, "num_mel_bins of the front end and of the net"),
    "patch": ({"patch_size": 1_000}, None, "patch_size is larger than the picture"),
    "patches": ({"patch_size": [16, 16]}, None, "patch_size is [16, 16]"),
    "stride": ({"time_stride": 0}, None, "time_stride is 0"),
    "positions": ({"max_length": 2**14, "num_mel_bins": 2**14, "time_stride": 1,
                   "frequency_stride": 1},
                  {"max_length": 2**14, "num_mel_bins": 2**14}, "its weights take"),
    "mean": (None, {"mean": float("nan")}, "mean is nan"),
    "mean-huge": (None, {"mean": 10**400}, "mean is 1000"),
    "std": (None, {"std": 0}, "std is 0, expected"),
    "std-text": (None, {"std": "1"}, "std is '1'"),
}  # fmt: skip
