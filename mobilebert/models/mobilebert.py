"""The forward computation of MobileBERT (Sun et al. 2020), the student, with every key of the original
configurations.

Equal to Chinese-MobileBERT's `modeling.py` (masked keys get -10000) and to transformers'
`modeling_mobilebert.py`.
"""

from __future__ import annotations

import tensorflow as tf

from mobilebert.models.bert import add_positions
from mobilebert.models.configs import MobileBertConfig
from mobilebert.models.layers import Scope, activation, attention, sizes

# transformers forgets to hand `layer_norm_eps` to two of its norms, which so keep torch's default. It only
# shows with `normalization_type: layer_norm`, a form no published weights have; every model on disk must mean
# there what it means here.
FORGOTTEN_EPSILON = 1e-5


def embed(scope: Scope, config: MobileBertConfig, ids: tf.Tensor, segments: tf.Tensor) -> tf.Tensor:
    """Embedding output (B, S, H) from token ids and segment ids (B, S)."""
    words = tf.cast(tf.gather(scope.variable("word_embeddings.weight"), ids), scope.dtype)  # (B, S, E)
    if config.trigram_input:
        words = trigrams(words)
    if config.transforms_embeddings:
        words = scope.dense("embedding_transformation", words)
    x = _norm(scope, config, "LayerNorm", add_positions(scope, words, segments), FORGOTTEN_EPSILON)
    return scope.dropout(x, config.hidden_dropout_prob, 0)


def trigrams(words: tf.Tensor) -> tf.Tensor:
    """Each token's vector as (next, itself, previous), zeros beyond both ends: (B, S, E) -> (B, S, 3E).

    It crosses [SEP] and sees [PAD], so results depend on how far a batch is padded.
    """
    padded, size = tf.pad(words, [[0, 0], [1, 1], [0, 0]]), sizes(words)
    following, previous = (
        tf.slice(padded, [0, start, 0], size) for start in (2, 0)
    )  # a plain slice has the faster gradient
    return tf.concat([following, words, previous], axis=2)


def layer(
    scope: Scope, config: MobileBertConfig, x: tf.Tensor, bias: tf.Tensor, site: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """One layer: (B*S, H) and the mask's bias (B, 1, 1, S) -> (B*S, H) and scores (B, A, S, S).

    `site`, `site + 1` and `site + 2` number its places of dropout. With a bottleneck, dropout of hidden
    states acts on the way out of the bottleneck only.
    """
    rate = 0.0 if config.use_bottleneck else config.hidden_dropout_prob
    query, value, narrow = _attention_inputs(scope, config, x)
    mixed, scores = attention(
        scope.within("attention.self"),
        *(query, query, value, bias),
        heads=config.num_attention_heads,
        dropout_rate=config.attention_probs_dropout_prob,
        site=site,
    )
    y = scope.dropout(scope.dense("attention.output.dense", mixed), rate, site + 1)
    y = _norm(scope, config, "attention.output.LayerNorm", y + narrow)
    for block in range(config.num_feedforward_networks - 1):
        inner = scope.within(f"ffn.{block}")
        z = inner.dense("output.dense", activation(config.hidden_act, inner.dense("intermediate.dense", y)))
        y = _norm(inner, config, "output.LayerNorm", z + y)
    z = scope.dense("output.dense", activation(config.hidden_act, scope.dense("intermediate.dense", y)))
    y = _norm(scope, config, "output.LayerNorm", scope.dropout(z, rate, site + 2) + y, FORGOTTEN_EPSILON)
    if config.use_bottleneck:
        out = scope.dropout(scope.dense("output.bottleneck.dense", y), config.hidden_dropout_prob, site + 2)
        y = _norm(scope, config, "output.bottleneck.LayerNorm", out + x)
    return y, scores


def value_input(scope: Scope, config: MobileBertConfig, x: tf.Tensor) -> tf.Tensor:
    """What a layer's values are computed from (B, S, width), from the layer's input x (B, S, H)."""
    return _attention_inputs(scope, config, x)[1]


def _attention_inputs(
    scope: Scope, config: MobileBertConfig, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Inputs of query and key, of value, and the residual of attention, each (..., width) from x (..., H)."""
    if not config.use_bottleneck:
        return x, x, x
    narrow = _narrow(scope, config, "bottleneck.input", x)
    if config.use_bottleneck_attention:  # f2: everything comes from the one bottleneck
        return narrow, narrow, narrow
    if (
        config.key_query_shared_bottleneck
    ):  # f4: query and key share a bottleneck of their own, value has none
        return _narrow(scope, config, "bottleneck.attention", x), x, narrow
    return x, x, narrow


def _narrow(scope: Scope, config: MobileBertConfig, name: str, x: tf.Tensor) -> tf.Tensor:
    return _norm(scope, config, f"{name}.LayerNorm", scope.dense(f"{name}.dense", x))


def _norm(
    scope: Scope, config: MobileBertConfig, name: str, x: tf.Tensor, epsilon: float | None = None
) -> tf.Tensor:
    if config.normalization_type == "no_norm":
        return scope.no_norm(name, x)
    return scope.layer_norm(name, x, config.layer_norm_eps if epsilon is None else epsilon)
