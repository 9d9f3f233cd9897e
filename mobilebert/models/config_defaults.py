"""What configurations leave out: the defaults of the original code and of transformers 5.23."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sizes(hidden: int, layers: int, heads: int, *, intermediate: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
    }


def defaults(model_type: str, original: bool, values: Mapping[str, Any]) -> dict[str, Any]:
    """What an absent key means in the source's own world.

    Args:
        model_type: "bert", "electra" or "mobilebert".
        original: whether the configuration is of the TF1 code; else of transformers.
        values: the keys that are there; an original one has `vocab_size`.
    """
    if model_type != "mobilebert":
        hidden = values.get("hidden_dropout_prob", 0.1)
        small, base = sizes(256, 12, 4, intermediate=1024), sizes(768, 12, 12, intermediate=3072)
        # The original names embedding_size, or is taken for a BERT.
        electra = base if original else small | {"embedding_size": 128}
        return (electra if model_type == "electra" else {}) | {
            "vocab_size": 30522,
            "hidden_act": "gelu_new" if original and model_type == "bert" else "gelu",
            "type_vocab_size": 16 if original and model_type == "bert" else 2,
            "classifier_dropout": 0.1 if original else hidden,
        }
    if original:  # BertConfig in Google's mobilebert/modeling.py
        hidden_size = values.get("hidden_size", 768)
        bert = sizes(768, 12, 12, intermediate=3072) | {
            "hidden_act": "gelu_new",
            "hidden_dropout_prob": 0.1,
            "type_vocab_size": 16,
        }
        layer = {
            "embedding_size": hidden_size,
            "intra_bottleneck_size": hidden_size,
            "normalization_type": "layer_norm",
        }
        return bert | layer | {"trigram_input": False, "use_bottleneck": False, "classifier_activation": True}
    english = {
        "vocab_size": 30522,
        "embedding_size": 128,
        "intra_bottleneck_size": 128,
        "num_feedforward_networks": 4,
    }
    keys = {
        "key_query_shared_bottleneck": True,
        "classifier_activation": True,
        "classifier_dropout": values.get("hidden_dropout_prob", 0.0),
    }
    return sizes(512, 24, 4, intermediate=512) | english | keys
