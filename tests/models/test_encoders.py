from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio.functional as AF

pytest.importorskip("transformers", reason="an extra, mgr-cli[hf]")
import transformers as hf
from transformers import AutoModel, HubertModel, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from mgr_cli.errors import ArchitectureError, ZooError
from mgr_cli.models import encoder_settings, encoders, registry
from mgr_cli.zoo.backbones import Backbone
from mgr_cli.zoo.borrowing import borrow
from tests import encoders as tiny

AUTO_FRONT_END: Any = hf.AutoFeatureExtractor


def ear(folder: Path, cut: str = "mean", *, sample_rate: int = tiny.RATE) -> Backbone:
    return borrow("hf", cut, weights=str(folder), sample_rate=sample_rate, seed=0)


def means(folder: Path, load: Any = AutoModel, *, sample_rate: int = tiny.RATE) -> np.ndarray:
    """Let transformers alone hear the waveforms; return (n, n_layers, width)."""
    front_end = AUTO_FRONT_END.from_pretrained(folder)
    rate = front_end.sampling_rate
    heard = AF.resample(torch.from_numpy(tiny.waveforms()), sample_rate, rate).numpy()
    given = front_end(list(heard), sampling_rate=rate, return_tensors="pt")["input_values"]
    net = load.from_pretrained(folder).eval()
    with torch.inference_mode():
        layers = net(given, output_hidden_states=True).hidden_states
    return np.stack([layer.mean(dim=1).numpy() for layer in layers], axis=1)


def assert_cuts(folder: Path, expected: np.ndarray) -> None:
    """Compare all cuts with what transformers gives, whose attention sums in another order."""
    every = ear(folder, "all").rows((tiny.waveforms(),))
    np.testing.assert_allclose(every, expected.reshape(3, -1), rtol=1e-4, atol=1e-4)
    mean = ear(folder, "mean").rows((tiny.waveforms(),))
    np.testing.assert_allclose(mean, expected.mean(axis=1), rtol=1e-4, atol=1e-4)
    for number in range(tiny.N_LAYERS + 1):
        row = ear(folder, str(number)).rows((tiny.waveforms(),))
        np.testing.assert_allclose(row, expected[:, number], rtol=1e-4, atol=1e-4)


# What is heard.


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_rows_are_those_of_transformers(variant: str, tmp_path: Path) -> None:
    folder = tiny.made(tmp_path, variant)
    expected = means(folder)
    assert expected.shape == (3, tiny.N_LAYERS + 1, tiny.WIDTH)
    assert expected.std(axis=0).min() > 0  # the waveforms are told apart
    assert_cuts(folder, expected)


@pytest.mark.parametrize("kind", [encoder_settings.AST, "hubert"])
def test_encoder_below_a_head_is_found(kind: str, tmp_path: Path) -> None:
    folder = tiny.with_head(tmp_path, kind)
    assert_cuts(folder, means(folder))


@pytest.mark.parametrize("relax", [-1.0, 32.0])
def test_mert_is_a_hubert_at_24_khz(relax: float, tmp_path: Path) -> None:
    folder = tiny.mert(tmp_path, attention_relax=relax)
    assert_cuts(folder, means(folder, HubertModel))


def test_relaxed_attention_of_mert_is_attention() -> None:
    # As its code has it: scores / r, less their maximum, times r, then the softmax.
    scores, relax = torch.randn(4, 9, 9), 32.0
    relaxed = scores / relax
    relaxed = (relaxed - relaxed.max(dim=-1, keepdim=True).values) * relax
    torch.testing.assert_close(relaxed.softmax(-1), scores.softmax(-1))


@pytest.mark.parametrize("sample_rate", [11_025, 16_000, 44_100])
def test_waveforms_of_any_rate_are_resampled(sample_rate: int, tmp_path: Path) -> None:
    folder = tiny.made(tmp_path, "wavlm")
    expected = means(folder, sample_rate=sample_rate).mean(axis=1)
    rows = ear(folder, sample_rate=sample_rate).rows((tiny.waveforms(),))
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", [encoder_settings.AST, "wav2vec2", "wavlm"])
def test_rows_of_a_batch_are_independent(variant: str, tmp_path: Path) -> None:
    backbone = ear(tiny.made(tmp_path, variant), "all")
    many = tiny.waveforms(11)  # more than are heard at once
    alone = np.concatenate([backbone.rows((each[None],)) for each in many])
    np.testing.assert_allclose(backbone.rows((many,)), alone, rtol=1e-5, atol=1e-5)


def test_what_training_needs_makes_no_difference(tmp_path: Path) -> None:
    folder = tiny.made(tmp_path)
    row = ear(folder).rows((tiny.waveforms(),))
    tiny.say(
        folder, "config.json", hidden_dropout=7.0, layerdrop=1.0, initializer_range=-1.0,
        mask_time_prob=0.9, vocab_size=10**12, dtype="float16", torch_dtype="no", return_dict=False,
        output_hidden_states=False, quantization_config={"quant_method": "bitsandbytes"},
        attn_implementation="no", _attn_implementation="no", is_decoder=True, id2label=3,
        num_labels=10**12, pruned_heads={"0": [0]}, chunk_size_feed_forward=-1,
    )  # fmt: skip
    tiny.say(
        folder, "preprocessor_config.json", feature_size=10**12, padding_side="x",
        padding_value="x", max_length=10**12, return_attention_mask="x", processor_class=3,
    )  # fmt: skip
    assert np.array_equal(ear(folder).rows((tiny.waveforms(),)), row)


# What is too short or too long.


@pytest.mark.parametrize(
    ("variant", "n_samples"), [("hubert", 199), ("wavlm", 1), (encoder_settings.AST, 199)]
)
def test_segment_that_is_too_short_is_refused(variant: str, n_samples: int, tmp_path: Path) -> None:
    # 25 ms: the first frame of the convolutions, and of Kaldi's filter bank.
    backbone = ear(tiny.made(tmp_path, variant))
    with pytest.raises(ZooError, match=r"^hf: a waveform of \d+ samples at 16000 Hz is too short"):
        backbone.rows((tiny.waveforms(n_samples=n_samples),))
    assert np.isfinite(backbone.rows((tiny.waveforms(n_samples=200),))).all()


@pytest.mark.parametrize(
    ("changes", "n_seconds"),
    [
        ({}, 40 * 60),  # the square of the frames
        ({"conv_stride": [1] * 7}, 10),  # the same, of a stranger's
        ({"conv_dim": [2**14, 8, 8, 8, 8, 8, 8], "conv_stride": [2, 8, 8, 8, 8, 1, 1]}, 2),
        ({"intermediate_size": 2**14}, 4 * 60),
        ({"conv_dim": [1], "conv_kernel": [1], "conv_stride": [2**14]}, 10_000),
    ],
)
def test_what_no_memory_holds_is_refused(
    changes: dict[str, Any], n_seconds: int, tmp_path: Path
) -> None:
    said = tiny.settings(tiny.made(tmp_path), config=changes)
    net = registry.build_backbone("hf", cut="mean", settings=said, sample_rate=16_000)
    long = torch.zeros(1).expand(1, 16_000 * n_seconds)  # takes four bytes
    with pytest.raises(ValueError, match=r"takes \d+ values at once, 134217728 at the most"):
        net(long)


def test_half_a_minute_is_not_too_much_for_a_large_encoder() -> None:
    large = {"hidden_size": 1_024, "num_hidden_layers": 24, "num_attention_heads": 16}
    config = encoder_settings.config_of(
        {"model_type": "hubert", "intermediate_size": 4_096, **large}
    )
    encoders._check_length(config, 30 * 24_000, 24_000)  # as MERT-v1-330M is


# Settings that are refused.


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {kind: tiny.made(root / kind, kind) for kind in ("hubert", encoder_settings.AST)}


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return tiny.building(monkeypatch)


def refusal(settings: str, *, cut: str = "mean", sample_rate: int = tiny.RATE) -> str:
    with pytest.raises(ArchitectureError) as caught:
        registry.build_backbone("hf", cut=cut, settings=settings, sample_rate=sample_rate)
    message = str(caught.value)
    assert message.startswith("hf: ")
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.mark.parametrize("name", tiny.ABSURD)
def test_absurd_settings_are_refused_before_anything_is_allocated(
    name: str, folders: dict[str, Path], devices: list[str]
) -> None:
    config, front, said = tiny.ABSURD[name]
    assert said in refusal(tiny.settings(folders["hubert"], config=config, front=front))
    assert set(devices) <= {"meta"}


@pytest.mark.parametrize("name", tiny.ABSURD_OF_AST)
def test_absurd_settings_of_ast_are_refused_before_anything_is_allocated(
    name: str, folders: dict[str, Path], devices: list[str]
) -> None:
    config, front, said = tiny.ABSURD_OF_AST[name]
    assert said in refusal(tiny.settings(folders[encoder_settings.AST], config=config, front=front))
    assert set(devices) <= {"meta"}


def test_good_settings_are_built_where_tensors_have_content(
    folders: dict[str, Path], devices: list[str]
) -> None:
    said = tiny.settings(folders["hubert"])
    net = registry.build_backbone("hf", cut="mean", settings=said, sample_rate=tiny.RATE)
    assert devices == ["meta", "cpu"]
    assert not any(p.requires_grad or p.is_meta for p in net.parameters())
    assert not any(module.training for module in net.modules())


@pytest.mark.parametrize(
    "settings", ["", "no", "[]", "3", "{}", '{"config": {}}', tiny.DEEP, '{"config": 1e999}']
)
def test_settings_that_are_none_are_refused(settings: str) -> None:
    refusal(settings)


@pytest.mark.parametrize("cut", ["", "3", "-1", "01", "1.0", "²", "٣", "Mean", "9" * 5_000])
def test_cut_that_does_not_exist_is_refused(
    cut: str, folders: dict[str, Path], devices: list[str]
) -> None:
    message = refusal(tiny.settings(folders["hubert"]), cut=cut)
    assert message.endswith("expected mean, all or 0 to 2")
    assert not devices


FOR_TRAINING = {
    "activation_dropout", "apply_spec_augment", "attention_dropout", "attention_probs_dropout_prob",
    "feat_proj_dropout", "feat_quantizer_dropout", "final_dropout", "hidden_dropout",
    "hidden_dropout_prob", "initializer_range", "layerdrop", "mask_feature_length",
    "mask_feature_min_masks", "mask_feature_prob", "mask_time_length", "mask_time_min_masks",
    "mask_time_prob",
}  # fmt: skip
OF_HEADS = {
    "adapter_kernel_size", "adapter_stride", "add_adapter", "bos_token_id", "classifier_proj_size",
    "codevector_dim", "contrastive_logits_temperature", "ctc_loss_reduction", "ctc_zero_infinity",
    "diversity_loss_weight", "eos_token_id", "num_adapter_layers", "num_clusters",
    "num_codevector_groups", "num_codevectors_per_group", "num_ctc_classes", "num_negatives",
    "output_hidden_size", "pad_token_id", "proj_codevector_dim", "tdnn_dilation", "tdnn_dim",
    "tdnn_kernel", "use_weighted_layer_sum", "vocab_size", "xvector_output_dim",
}  # fmt: skip


@pytest.mark.parametrize("kind", encoder_settings.KINDS)
def test_settings_that_are_not_read_shape_no_row(kind: str) -> None:
    config: Any = CONFIG_MAPPING[kind]
    own = {each.name for each in fields(config)} - {each.name for each in fields(PretrainedConfig)}
    assert own - set(encoder_settings.NET) <= FOR_TRAINING | OF_HEADS
