"""A second BERT: NumPy, float64, on a source's own tensors by their own names. It judges the first one
(`models.bert`).

Written from Google's `modeling.py` of BERT and ELECTRA, its trigram input from MobileBERT's, and sharing
nothing with our import: no transposition table, no renaming, no TensorFlow computation. What it reads from a
configuration, it reads by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

Array = np.ndarray
FORGOTTEN_EPSILON = 1e-5  # of two norms of transformers' MobileBERT (`models.mobilebert`)


class Tensors(Protocol):
    """A source's tensors as float64, by the last part of their names with slashes:
    `encoder/layer_0/attention/self/query`.
    """

    def dense(self, name: str) -> tuple[Array, Array]:
        """Kernel (in, out) and bias (out,)."""
        ...

    def norm(self, name: str) -> tuple[Array, Array]:
        """Scale and shift (width,)."""
        ...

    def plain(self, name: str) -> Array:
        """A table or a bias as it lies there."""
        ...


class Tf1Tensors:
    """Tensors of an original checkpoint: kernels lie as (in, out), norms are gamma and beta."""

    def __init__(self, reader: Any, prefix: str = "bert") -> None:
        """Take what `tf.train.load_checkpoint` gives, and the encoder's first name."""
        self._reader, self._prefix = reader, prefix

    def plain(self, name: str) -> Array:
        names = {"cls/predictions/bias": "cls/predictions/output_bias"}
        full = names.get(name, name) if name.startswith("cls/") else f"{self._prefix}/{name}"
        return np.asarray(self._reader.get_tensor(full), np.float64)

    def dense(self, name: str) -> tuple[Array, Array]:
        return self.plain(f"{name}/kernel"), self.plain(f"{name}/bias")

    def norm(self, name: str) -> tuple[Array, Array]:
        return self.plain(f"{name}/gamma"), self.plain(f"{name}/beta")


class TransformersTensors:
    """Tensors of a transformers directory: kernels lie as (out, in), norms are weight and bias."""

    def __init__(self, checkpoint: Any, prefix: str = "bert") -> None:
        """Take what gives an array by its transformers name (`array(name)`), and the encoder's first name."""
        self._checkpoint, self._prefix = checkpoint, prefix

    def _array(self, name: str) -> Array:
        dotted = name.replace("layer_", "layer.").replace("/", ".")
        return np.asarray(
            self._checkpoint.array(dotted if name.startswith("cls/") else f"{self._prefix}.{dotted}"),
            np.float64,
        )

    def plain(self, name: str) -> Array:
        return self._array(f"{name}.weight" if name.startswith("embeddings/") else name)

    def dense(self, name: str) -> tuple[Array, Array]:
        return self._array(f"{name}.weight").T, self._array(f"{name}.bias")

    def norm(self, name: str) -> tuple[Array, Array]:
        return self._array(f"{name}.weight"), self._array(f"{name}.bias")


def encode(
    tensors: Tensors, config: Mapping[str, Any], original: bool, ids: Array, segments: Array, mask: Array
) -> Array:
    """The last layer's output (S, H) for one row.

    Args:
        tensors: the source's.
        config: its bert_config.json or config.json.
        original: whether it is the former, where "gelu" means the tanh form (the exact one for ELECTRA).
        ids: token ids (S,).
        segments: 0 or 1 (S,).
        mask: 1 for tokens, 0 for padding (S,).
    """
    mobile = config.get("model_type") == "mobilebert"
    epsilon = float(config.get("layer_norm_eps", 1e-12))
    forgotten = FORGOTTEN_EPSILON if mobile else epsilon
    x = tensors.plain("embeddings/word_embeddings")[ids]
    if mobile and config.get("trigram_input", True):
        nothing = np.zeros((1, x.shape[1]))
        x = np.concatenate([np.concatenate([x[1:], nothing]), x, np.concatenate([nothing, x[:-1]])], axis=1)
        x = _dense(x, tensors.dense("embeddings/embedding_transformation"))
    x = (
        x
        + tensors.plain("embeddings/position_embeddings")[: len(ids)]
        + tensors.plain("embeddings/token_type_embeddings")[segments]
    )
    x = _norm(x, tensors.norm("embeddings/LayerNorm"), forgotten)
    if not mobile and config.get("embedding_size", x.shape[1]) != config["hidden_size"]:  # ELECTRA
        x = _dense(x, tensors.dense("embeddings_project"))
    heads = int(config["num_attention_heads"])
    for number in range(int(config["num_hidden_layers"])):
        at = f"encoder/layer_{number}"
        query, key, value = (
            _dense(x, tensors.dense(f"{at}/attention/self/{projection}"))
            .reshape(len(ids), heads, -1)
            .transpose(1, 0, 2)
            for projection in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[2])  # (A, S, S)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True)) * mask
        mixed = (
            (weights / weights.sum(axis=2, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(ids), -1)
        )
        y = _norm(
            _dense(mixed, tensors.dense(f"{at}/attention/output/dense")) + x,
            tensors.norm(f"{at}/attention/output/LayerNorm"),
            epsilon,
        )
        z = _activation(config, original, _dense(y, tensors.dense(f"{at}/intermediate/dense")))
        x = _norm(
            _dense(z, tensors.dense(f"{at}/output/dense")) + y,
            tensors.norm(f"{at}/output/LayerNorm"),
            forgotten,
        )
    return x


def logits(tensors: Tensors, config: Mapping[str, Any], original: bool, sequence: Array) -> Array:
    """MLM logits (S, V) from the last layer's output (S, H)."""
    epsilon = float(config.get("layer_norm_eps", 1e-12))
    x = _activation(config, original, _dense(sequence, tensors.dense("cls/predictions/transform/dense")))
    x = _norm(x, tensors.norm("cls/predictions/transform/LayerNorm"), epsilon)
    return x @ tensors.plain("embeddings/word_embeddings").T + tensors.plain("cls/predictions/bias")


def _dense(x: Array, dense: tuple[Array, Array]) -> Array:
    return x @ dense[0] + dense[1]


def _norm(x: Array, norm: tuple[Array, Array], epsilon: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon) * norm[0] + norm[1]


def _activation(config: Mapping[str, Any], original: bool, x: Array) -> Array:
    name = config.get("hidden_act", "gelu")
    if name == "relu":
        return np.maximum(x, 0)
    if name == "gelu" and (
        not original or "embedding_size" in config
    ):  # ELECTRA's code of 2020 has BERT's older, exact form
        return x * 0.5 * (1 + _erf(x / math.sqrt(2)))
    if name in ("gelu", "gelu_new", "gelu_pytorch_tanh"):
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    raise ValueError(f"hidden_act {name} has no reference")


def _erf(x: Array) -> Array:
    return np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64)
