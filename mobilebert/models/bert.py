"""The forward computation of BERT (Devlin et al. 2018), the teacher, and of ELECTRA's discriminator (Clark et
al. 2020).

Equal to transformers' `modeling_bert.py` and `modeling_electra.py`, save that masked keys get -10000 as in
the TF1 code.
"""

from __future__ import annotations

from dataclasses import replace

import tensorflow as tf

from mobilebert.models.configs import BertConfig, ElectraConfig
from mobilebert.models.layers import Scope, activation, attention, sizes


def embed(scope: Scope, config: BertConfig | ElectraConfig, ids: tf.Tensor, segments: tf.Tensor) -> tf.Tensor:
    """Embedding output (B, S, H) from token ids and segment ids (B, S)."""
    words = tf.gather(scope.variable("word_embeddings.weight"), ids)
    x = add_positions(scope, tf.cast(words, scope.dtype), segments)
    x = scope.layer_norm("LayerNorm", x, config.layer_norm_eps)
    x = scope.dropout(x, config.hidden_dropout_prob, 0)
    if isinstance(config, ElectraConfig) and config.projects_embeddings:
        x = replace(scope, prefix=config.model_type).dense("embeddings_project", x)
    return x


def add_positions(scope: Scope, words: tf.Tensor, segments: tf.Tensor) -> tf.Tensor:
    """Add position and segment vectors to word vectors (B, S, H)."""
    positions = tf.slice(scope.variable("position_embeddings.weight"), [0, 0], [sizes(words)[1], -1])
    types = tf.gather(scope.variable("token_type_embeddings.weight"), segments)
    return words + tf.cast(types, scope.dtype) + tf.cast(positions, scope.dtype)


def layer(
    scope: Scope, config: BertConfig | ElectraConfig, x: tf.Tensor, bias: tf.Tensor, site: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """One layer: (B*S, H) and the mask's bias (B, 1, 1, S) -> (B*S, H) and scores (B, A, S, S).

    `site`, `site + 1` and `site + 2` number its places of dropout.
    """
    epsilon, rate = config.layer_norm_eps, config.hidden_dropout_prob
    mixed, scores = attention(
        scope.within("attention.self"),
        *(x, x, x, bias),
        heads=config.num_attention_heads,
        dropout_rate=config.attention_probs_dropout_prob,
        site=site,
    )
    y = scope.dropout(scope.dense("attention.output.dense", mixed), rate, site + 1)
    y = scope.layer_norm("attention.output.LayerNorm", y + x, epsilon)
    z = activation(config.hidden_act, scope.dense("intermediate.dense", y))
    z = scope.dropout(scope.dense("output.dense", z), rate, site + 2)
    return scope.layer_norm("output.LayerNorm", z + y, epsilon), scores
