"""TF1 checkpoints made by TensorFlow's own Saver from variable lists that are spelled out here, apart from
our mapping.

Names and shapes: the tables of Chinese-MobileBERT's `modeling.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

Variables = dict[str, tuple[int, ...]]


def dense(name: str, wide: int, out: int) -> Variables:
    return {f"{name}/kernel": (wide, out), f"{name}/bias": (out,)}


def norm(name: str, width: int, fake: bool) -> Variables:
    return {
        f"{name}/{'Fake' if fake else ''}LayerNorm/{variable}": (width,) for variable in ("gamma", "beta")
    }


def body(config: dict[str, Any]) -> Variables:
    """The variables of `bert/` and the MLM head for an original configuration: MobileBERT's or BERT's."""
    hidden, between, mobile = config["hidden_size"], config["intermediate_size"], "use_bottleneck" in config
    width, narrow = config.get("embedding_size", hidden), config.get("intra_bottleneck_size", hidden)
    e = "bert/embeddings"
    made: Variables = {f"{e}/word_embeddings": (config["vocab_size"], width)}
    if mobile:
        made |= dense(f"{e}/embedding_transformation", 3 * width, hidden)
    made |= {
        f"{e}/position_embeddings": (config["max_position_embeddings"], hidden),
        f"{e}/token_type_embeddings": (2, hidden),
    }
    made |= norm(e, hidden, mobile)
    for number in range(config["num_hidden_layers"]):
        p = f"bert/encoder/layer_{number}"
        if mobile:
            made |= dense(f"{p}/bottleneck/input/dense", hidden, narrow) | norm(
                f"{p}/bottleneck/input", narrow, True
            )
            if config.get("key_query_shared_bottleneck"):
                made |= dense(f"{p}/bottleneck/attention/dense", hidden, narrow) | norm(
                    f"{p}/bottleneck/attention", narrow, True
                )
        value = hidden if config.get("key_query_shared_bottleneck") else narrow
        made |= dense(f"{p}/attention/self/query", narrow, narrow) | dense(
            f"{p}/attention/self/key", narrow, narrow
        )
        made |= dense(f"{p}/attention/self/value", value, narrow)
        made |= dense(f"{p}/attention/output/dense", narrow, narrow) | norm(
            f"{p}/attention/output", narrow, mobile
        )
        for block in range(config.get("num_feedforward_networks", 1) - 1):
            made |= dense(f"{p}/ffn_layer_{block}/intermediate/dense", narrow, between)
            made |= dense(f"{p}/ffn_layer_{block}/output/dense", between, narrow) | norm(
                f"{p}/ffn_layer_{block}/output", narrow, True
            )
        made |= dense(f"{p}/intermediate/dense", narrow, between)
        made |= dense(f"{p}/output/dense", between, narrow) | norm(f"{p}/output", narrow, mobile)
        if mobile:
            made |= dense(f"{p}/output/bottleneck/dense", narrow, hidden) | norm(
                f"{p}/output/bottleneck", hidden, True
            )
    made |= dense("cls/predictions/transform/dense", hidden, hidden) | norm(
        "cls/predictions/transform", hidden, False
    )
    if width != hidden:
        made["cls/predictions/extra_output_weights"] = (config["vocab_size"], hidden - width)
    return made | {"cls/predictions/output_bias": (config["vocab_size"],)}


def pooler_and_nsp(hidden: int) -> Variables:
    nsp = {"cls/seq_relationship/output_weights": (2, hidden), "cls/seq_relationship/output_bias": (2,)}
    return dense("bert/pooler/dense", hidden, hidden) | nsp


def with_slots(variables: Variables) -> Variables:
    return variables | {f"{name}/adam_{slot}": shape for name, shape in variables.items() for slot in "mv"}


def values_of(variables: Variables, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal numbers of deviation 0.02, norms about 1."""
    random = np.random.default_rng(seed)
    return {
        name: (
            random.standard_normal(shape, np.float32) * np.float32(0.02) + np.float32(name.endswith("gamma"))
        )
        for name, shape in variables.items()
    }


def save(prefix: Path, values: dict[str, Any], config: dict[str, Any] | None = None) -> Path:
    """Write a checkpoint with TF1's Saver, and the configuration beside it; gives the prefix."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        placeholders = {
            name: tf.compat.v1.placeholder(value.dtype, value.shape) for name, value in values.items()
        }
        variables = {
            name: tf.compat.v1.get_variable(name, initializer=placeholder, use_resource=False)
            for name, placeholder in placeholders.items()
        }
        session.run(
            [variable.initializer for variable in variables.values()],
            {placeholders[name]: value for name, value in values.items()},
        )
        tf.compat.v1.train.Saver(variables).save(
            session, str(prefix), write_meta_graph=False, write_state=False
        )
    if config is not None:
        (prefix.parent / "bert_config.json").write_text(json.dumps(config))
    return prefix


def logits(
    values: dict[str, np.ndarray],
    config: dict[str, Any],
    ids: np.ndarray,
    segments: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """MLM logits (B, S, V) in float64, written after the TF1 code with its names, in NumPy."""
    weights = {name: value.astype(np.float64) for name, value in values.items()}
    mobile, heads = "use_bottleneck" in config, config["num_attention_heads"]

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    def normed(scope: str, x: np.ndarray, real: bool = not mobile) -> np.ndarray:
        name = f"{scope}/{'' if real else 'Fake'}LayerNorm"
        if real:
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * weights[f"{name}/gamma"] + weights[f"{name}/beta"]

    def act(x: np.ndarray) -> np.ndarray:
        if config["hidden_act"] == "gelu":
            return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return np.clip(x, 0, 6 if config["hidden_act"] == "relu6" else None)

    table = weights["bert/embeddings/word_embeddings"]
    x = table[ids]
    if mobile:
        edge = np.zeros_like(x[:, :1])
        x = np.concatenate([np.concatenate([x[:, 1:], edge], 1), x, np.concatenate([edge, x[:, :-1]], 1)], 2)
        x = linear("bert/embeddings/embedding_transformation", x)
    x = (
        x
        + weights["bert/embeddings/position_embeddings"][: ids.shape[1]]
        + weights["bert/embeddings/token_type_embeddings"][segments]
    )
    x = normed("bert/embeddings", x)
    for number in range(config["num_hidden_layers"]):
        p = f"bert/encoder/layer_{number}"
        query = value = residual = x
        if mobile:
            query = value = residual = normed(
                f"{p}/bottleneck/input", linear(f"{p}/bottleneck/input/dense", x)
            )
            if config.get("key_query_shared_bottleneck"):
                query, value = (
                    normed(f"{p}/bottleneck/attention", linear(f"{p}/bottleneck/attention/dense", x)),
                    x,
                )
        inputs = {"query": query, "key": query, "value": value}
        q, k, v = (
            np.stack(np.split(linear(f"{p}/attention/self/{name}", one), heads, -1), 1)
            for name, one in inputs.items()
        )
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + (mask[:, None, None] - 1) * 10000.0
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.concatenate(list((shares / shares.sum(-1, keepdims=True) @ v).swapaxes(0, 1)), -1)
        y = normed(f"{p}/attention/output", linear(f"{p}/attention/output/dense", mixed) + residual)
        for block in [
            f"{p}/ffn_layer_{number}" for number in range(config.get("num_feedforward_networks", 1) - 1)
        ] + [p]:
            y = normed(
                f"{block}/output",
                linear(f"{block}/output/dense", act(linear(f"{block}/intermediate/dense", y))) + y,
            )
        x = normed(f"{p}/output/bottleneck", linear(f"{p}/output/bottleneck/dense", y) + x) if mobile else y
    x = normed("cls/predictions/transform", act(linear("cls/predictions/transform/dense", x)), real=True)
    if "cls/predictions/extra_output_weights" in weights:
        table = np.concatenate([table, weights["cls/predictions/extra_output_weights"]], 1)
    return x @ table.T + weights["cls/predictions/output_bias"]
