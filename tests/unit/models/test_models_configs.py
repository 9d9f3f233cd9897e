"""Shapes against the published counts, transformers' own defaults and the original configuration files."""

from __future__ import annotations

import subprocess
import sys

import pytest
from transformers import BertConfig, MobileBertConfig

from mobilebert.errors import UserError
from mobilebert.models import configs
from mobilebert.models import parameters as tensors

# Chinese-MobileBERT config/student_base_f2.json, key by key.
STUDENT_BASE_F2 = {
    "attention_probs_dropout_prob": 0.1,
    "classifier_activation": False,
    "embedding_size": 768,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "intra_bottleneck_size": 144,
    "max_position_embeddings": 512,
    "normalization_type": "no_norm",
    "num_attention_heads": 12,
    "num_feedforward_networks": 2,
    "num_hidden_layers": 12,
    "trigram_input": True,
    "type_vocab_size": 2,
    "use_bottleneck": True,
    "use_bottleneck_attention": True,
    "vocab_size": 21128,
}


@pytest.mark.parametrize(
    ("name", "vocabulary", "parameters", "count"),
    [
        ("base-f2", 21128, 26_260_424, 372),
        ("base-f4", 21128, 32_232_584, 564),
        ("large-f2", 21128, 40_683_144, 732),
        ("large-f4", 21128, 52_925_064, 1116),
        ("bert-base", 21128, 102_290_312, 202),  # facts page: 102,880,904 with the pooler (590,592)
    ],
)
def test_parameter_counts_are_the_published_ones(
    name: str, vocabulary: int, parameters: int, count: int
) -> None:
    config = configs.named(name, vocabulary)
    assert tensors.count(config) == parameters
    assert len(tensors.specification(config)) == count


@pytest.mark.parametrize(("name", "backbone"), [("opt", 24_581_888), ("tiny", 15_485_696)])
def test_english_shapes_have_the_backbone_of_googles_configurations(name: str, backbone: int) -> None:
    config = configs.named(name, 30522)
    head = sum(
        tensors.Tensor(*tensor).shape[0] * (tensor.shape[1] if len(tensor.shape) > 1 else 1)
        for tensor in tensors.head(config).values()
    )
    assert tensors.count(config) - head == backbone
    assert tensors.head(config)["cls.predictions.dense.weight"].shape == (384, 30522)


def test_an_original_student_file_is_the_named_shape() -> None:
    assert configs.from_config(STUDENT_BASE_F2) == configs.named("base-f2", 21128)


def test_an_original_bert_file_means_the_tanh_gelu_and_tf1_defaults() -> None:
    original = {
        "vocab_size": 21128,
        "hidden_size": 768,
        "hidden_act": "gelu",
        "directionality": "bidi",
        "pooler_type": "first_token_transform",
    }
    config = configs.from_config(original)
    assert isinstance(config, configs.BertConfig)
    assert (config.hidden_act, config.type_vocab_size, config.intermediate_size) == ("gelu_new", 16, 3072)


def test_original_mobilebert_defaults_differ_from_those_of_transformers() -> None:
    config = configs.from_config(
        {"vocab_size": 100, "hidden_size": 512, "num_attention_heads": 4, "trigram_input": True}
    )
    assert isinstance(config, configs.MobileBertConfig)
    assert (config.embedding_size, config.intra_bottleneck_size, config.num_feedforward_networks) == (
        512,
        512,
        1,
    )
    assert (config.use_bottleneck, config.key_query_shared_bottleneck, config.normalization_type) == (
        False,
        False,
        "layer_norm",
    )
    assert config.classifier_activation


@pytest.mark.parametrize("theirs", [BertConfig(), MobileBertConfig()], ids=lambda config: config.model_type)
def test_absent_keys_mean_what_transformers_means(theirs: BertConfig | MobileBertConfig) -> None:
    ours = configs.from_config({"model_type": theirs.model_type})
    for key, value in theirs.to_dict().items():
        if key in ours.__dataclass_fields__ and key != "classifier_dropout":
            assert getattr(ours, key) == value, key
    assert ours.classifier_dropout == theirs.hidden_dropout_prob  # what its classifier falls back to


@pytest.mark.parametrize("name", configs.names())
def test_a_shape_survives_its_config(name: str) -> None:
    config = configs.named(name, 21128)
    assert configs.from_config(config.to_config()) == config


def test_the_config_writes_out_what_transformers_would_default_otherwise() -> None:
    config = configs.named("base-f2", 21128).to_config()
    expected = {
        "model_type": "mobilebert",
        "architectures": ["MobileBertForMaskedLM"],
        "use_bottleneck_attention": True,
        "key_query_shared_bottleneck": False,
        "num_feedforward_networks": 2,
        "classifier_activation": False,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "classifier_dropout": 0.1,
        "tie_word_embeddings": True,
    }
    assert expected.items() <= config.items()


def test_bottleneck_attention_wins_over_a_shared_bottleneck() -> None:
    both = configs.from_config(STUDENT_BASE_F2 | {"key_query_shared_bottleneck": True})
    assert both == configs.named("base-f2", 21128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "roberta"}, "roberta"),
        ({"hidden_act": "silu"}, "hidden_act: 'silu'"),
        ({"normalization_type": "rms"}, "normalization_type: 'rms'"),
        ({"num_attention_heads": 5}, "does not divide"),
        ({"hidden_size": "768"}, "hidden_size: '768'"),
        ({"use_bottleneck": 1}, "use_bottleneck: 1"),
        ({"vocab_size": None}, "vocab_size: missing"),
        ({"embedding_size": 1024}, "embedding_size: 1024"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        configs.from_config(STUDENT_BASE_F2 | change, "there/config.json")
    assert str(caught.value).startswith("there/config.json: ")


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"hidden_act": "silu", "num_attention_heads": 5}, ["hidden_act: 'silu'", "does not divide"]),
        ({"hidden_size": "768", "hidden_act": "silu"}, ["hidden_size: '768'", "hidden_act: 'silu'"]),
        ({"vocab_size": None, "num_hidden_layers": 0}, ["vocab_size: missing", "num_hidden_layers: 0"]),
        (
            {"position_embedding_type": "relative_key", "embedding_size": 1024},
            ["position_embedding_type", "embedding_size: 1024"],
        ),
        ({"hidden_dropout_prob": 1.5, "use_bottleneck": "yes"}, ["hidden_dropout_prob: 1.5", "'yes'"]),
    ],
)
def test_two_faults_of_a_configuration_are_both_named(change: dict[str, object], messages: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        configs.from_config(STUDENT_BASE_F2 | change, "mine.json")
    assert [message in str(caught.value) for message in messages] == [True, True]


def test_a_misspelt_key_does_not_leave_its_default_in_silence() -> None:
    misspelt = {key: value for key, value in STUDENT_BASE_F2.items() if key != "num_hidden_layers"}
    with pytest.raises(UserError, match="num_hiden_layers: no such key; did you mean num_hidden_layers"):
        configs.from_config(misspelt | {"num_hiden_layers": 6})
    # Keys of other programs beside the known ones say nothing about the shape.
    configs.from_config(STUDENT_BASE_F2 | {"pooler_num_attention_heads": 12, "hidden_sizes": [1]})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"base-f3.*base-f2, base-f4"):
        configs.named("base-f3", 100)


def test_shapes_need_no_tensorflow() -> None:
    code = (
        "import sys; from mobilebert.models import configs; configs.named('mini', 9); assert "
        "'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
