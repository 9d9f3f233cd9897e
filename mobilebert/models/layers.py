"""Pure functions that BERT and MobileBERT are made of, over named variables.

Everything here can be traced by `tf.function` and compiled by XLA: static shapes, no Python side effects,
stateless randomness. Shapes: B sequences, S tokens, H hidden size, A heads, D head size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from mobilebert.models.config_checks import GELU_ERF, GELU_TANH

# What BERT and the Chinese code add to the scores of masked keys; exp(-10000) is 0 in float32 and float64.
MASKED_SCORE = -10000.0


@dataclass(frozen=True)
class Scope:
    """Variables below a name, and how to compute with them: `scope.within("attention").dense("output.dense",
    x)`.

    Products are computed in `dtype`; norms, softmax and scores in `wide` (float32 where `dtype` is shorter).
    `seed` (2,) int32 turns dropout on.
    """

    variables: Mapping[str, Any]
    prefix: str
    dtype: tf.DType
    seed: tf.Tensor | None = None

    @property
    def wide(self) -> tf.DType:
        """The type of norms and softmax."""
        return wide(self.dtype)

    def within(self, name: str) -> Scope:
        """The scope one name deeper."""
        return replace(self, prefix=f"{self.prefix}.{name}" if self.prefix else name)

    def variable(self, name: str) -> Any:
        """The variable of that name below this scope."""
        return self.variables[f"{self.prefix}.{name}" if self.prefix else name]

    def dense(self, name: str, x: tf.Tensor) -> tf.Tensor:
        """x W + b over the last axis: (..., in) -> (..., out)."""
        kernel, bias = (
            tf.cast(self.variable(f"{name}.{suffix}"), self.dtype) for suffix in ("weight", "bias")
        )
        if x.shape.rank == 2:  # what follows can be fused with it then
            return tf.nn.bias_add(tf.matmul(x, kernel), bias)
        flat = tf.matmul(
            tf.reshape(x, [-1, kernel.shape[0]]), kernel
        )  # one 2-D product is faster than a batched one
        return tf.reshape(tf.nn.bias_add(flat, bias), [*leading(x), kernel.shape[1]])

    def layer_norm(self, name: str, x: tf.Tensor, epsilon: float) -> tf.Tensor:
        """(x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis, population variance."""
        x = tf.cast(x, self.wide)
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        return self._scaled(name, centred * tf.math.rsqrt(variance + tf.constant(epsilon, self.wide)))

    def no_norm(self, name: str, x: tf.Tensor) -> tf.Tensor:
        """x * weight + bias: MobileBERT's stand-in for layer norm (TF1's FakeLayerNorm)."""
        return self._scaled(name, tf.cast(x, self.wide))

    def _scaled(self, name: str, x: tf.Tensor) -> tf.Tensor:
        scale, shift = (
            tf.cast(self.variable(f"{name}.{suffix}"), self.wide) for suffix in ("weight", "bias")
        )
        return tf.cast(x * scale + shift, self.dtype)

    def dropout(self, x: tf.Tensor, rate: float, site: int) -> tf.Tensor:
        """Inverted dropout when a seed is set; `site` tells the places of one model apart."""
        if self.seed is None or rate == 0.0:
            return x
        return dropout(x, rate, tf.random.fold_in(self.seed, site))


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Zero a share `rate` of x, scale the rest by 1/(1-rate).

    Drawn in float32: bfloat16 is too coarse for a rate.
    """
    drawn = tf.random.stateless_uniform([*leading(x), x.shape[-1]], seed, dtype=tf.float32, alg="philox")
    return tf.where(drawn >= rate, x * tf.constant(1.0 / (1.0 - rate), x.dtype), tf.zeros([], x.dtype))


def wide(dtype: tf.DType) -> tf.DType:
    """float32 for shorter types, else the type itself."""
    return tf.float32 if dtype.size < 4 else dtype


def leading(x: tf.Tensor) -> list[Any]:
    """All sizes of x but the last, static where they are known."""
    return sizes(x)[:-1]


def sizes(x: tf.Tensor) -> list[Any]:
    """All sizes of x, static where they are known."""
    dynamic: Any = None if x.shape.is_fully_defined() else tf.shape(x)
    return [size if size is not None else dynamic[axis] for axis, size in enumerate(x.shape.as_list())]


def activation(name: str, x: tf.Tensor) -> tf.Tensor:
    """The activation of that name (`hidden_act`); GELU by erf or by tanh (Hendrycks and Gimpel 2016).

    Written out since `tf.nn.gelu` rounds its constants to float32, which costs 1e-8 in float64.
    """
    if name == "relu":
        return tf.nn.relu(x)
    if name == "relu6":
        return tf.nn.relu6(x)
    half, one = tf.constant(0.5, x.dtype), tf.constant(1.0, x.dtype)
    if name in GELU_ERF:
        return half * x * (one + tf.math.erf(x * tf.constant(math.sqrt(0.5), x.dtype)))
    if name in GELU_TANH:
        inner = tf.constant(math.sqrt(2.0 / math.pi), x.dtype) * (
            x + tf.constant(0.044715, x.dtype) * x * x * x
        )
        return half * x * (one + tf.tanh(inner))
    raise ValueError(f"activation '{name}' is unknown")


def mask_bias(mask: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """What is added to the scores: 0 for tokens, -10000 for padding keys. (B, S) -> (B, 1, 1, S)."""
    gone = tf.constant(1.0, dtype) - tf.cast(mask, dtype)
    return (gone * tf.constant(MASKED_SCORE, dtype))[:, tf.newaxis, tf.newaxis, :]


def attention(
    scope: Scope,
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    bias: tf.Tensor,
    *,
    heads: int,
    dropout_rate: float,
    site: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Multi-head attention up to, not including, the output projection.

    Args:
        scope: holds `query`, `key` and `value`.
        query, key, value: inputs of the projections, (B*S, any width).
        bias: `mask_bias`, (B, 1, 1, S).

    Returns:
        The heads' results side by side (B*S, A*D), and the scaled and masked scores (B, A, S, S) in the wide
        type.
    """
    size = scope.variable("query.weight").shape[1] // heads
    scaled = scope.dense("query", query) * tf.constant(size**-0.5, scope.dtype)
    batch, _, _, length = sizes(bias)
    projected = scaled, scope.dense("key", key), scope.dense("value", value)
    split_query, split_key, split_value = (
        split_heads(tf.reshape(x, [batch, length, heads * size]), heads) for x in projected
    )
    scores = tf.cast(tf.matmul(split_query, split_key, transpose_b=True), scope.wide) + bias
    shares = scope.dropout(tf.cast(tf.nn.softmax(scores), scope.dtype), dropout_rate, site)
    joined = tf.transpose(tf.matmul(shares, split_value), [0, 2, 1, 3])
    return tf.reshape(joined, [-1, heads * size]), scores


def split_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """(B, S, A*D) -> (B, A, S, D)."""
    return tf.transpose(tf.reshape(x, [*leading(x), heads, x.shape[-1] // heads]), [0, 2, 1, 3])
