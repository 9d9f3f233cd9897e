"""The tensors of a model: transformers' names, shapes and initial values, from the shape alone (no
TensorFlow, no memory).

Kernels are held `[in, out]` and stored transposed, as transformers' `nn.Linear` has them. Names and shapes:
transformers 5.23 `modeling_mobilebert.py`, `modeling_bert.py` and `modeling_electra.py`.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

from mobilebert.models.configs import ElectraConfig, MobileBertConfig, ModelConfig


class Kind(Enum):
    """What a tensor is, which decides its initial values and whether it is transposed in files."""

    KERNEL = "kernel"  # [in, out], truncated normal, transposed in files
    TABLE = "table"  # rows are looked up, truncated normal
    SCALE = "scale"  # ones
    BIAS = "bias"  # zeros


class Tensor(NamedTuple):
    """One tensor as it is held in memory."""

    shape: tuple[int, ...]
    kind: Kind

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Its shape in a safetensors file."""
        return self.shape[::-1] if self.kind is Kind.KERNEL else self.shape


Tensors = dict[str, Tensor]


def specification(config: ModelConfig) -> Tensors:
    """All tensors that the forward computation uses, encoder and MLM head, the tied word table once.

    Backbone, MLM head, no pooler, no NSP: the convention of the published parameter counts.
    """
    made = embeddings(config)
    for number in range(1, config.num_hidden_layers + 1):
        made |= layer(config, number)
    return made | head(config)


def count(config: ModelConfig) -> int:
    """Number of parameters: backbone and MLM head, the tied word table counted once."""
    return sum(math.prod(tensor.shape) for tensor in specification(config).values())


def embeddings(config: ModelConfig) -> Tensors:
    """Word, position and type tables, the norm, the way from the tables' width to the hidden states'."""
    prefix, hidden = f"{config.model_type}.embeddings", config.hidden_size
    if isinstance(config, ElectraConfig):
        hidden = config.embedding_size
    made = {
        f"{prefix}.word_embeddings.weight": Tensor((config.vocab_size, config.embedding_width), Kind.TABLE),
        f"{prefix}.position_embeddings.weight": Tensor((config.max_position_embeddings, hidden), Kind.TABLE),
        f"{prefix}.token_type_embeddings.weight": Tensor((config.type_vocab_size, hidden), Kind.TABLE),
    }
    if isinstance(config, MobileBertConfig) and config.transforms_embeddings:
        made |= _dense(
            f"{prefix}.embedding_transformation",
            config.embedding_size * (3 if config.trigram_input else 1),
            hidden,
        )
    made |= _norm(f"{prefix}.LayerNorm", hidden)
    if isinstance(config, ElectraConfig) and config.projects_embeddings:
        made |= _dense(f"{prefix}_project", hidden, config.hidden_size)
    return made


def layer(config: ModelConfig, number: int) -> Tensors:
    """The tensors of layer `number` (1-based)."""
    prefix, inner, between = (
        f"{config.model_type}.encoder.layer.{number - 1}",
        config.inner_size,
        config.intermediate_size,
    )
    made: Tensors = {}
    query_width = value_width = inner
    if isinstance(config, MobileBertConfig) and config.use_bottleneck:
        made |= _dense_norm(f"{prefix}.bottleneck.input", config.hidden_size, inner)
        if config.key_query_shared_bottleneck:
            made |= _dense_norm(f"{prefix}.bottleneck.attention", config.hidden_size, inner)
        query_width, value_width = config.query_width, config.value_width
    for name, width in (("query", query_width), ("key", query_width), ("value", value_width)):
        made |= _dense(f"{prefix}.attention.self.{name}", width, inner)
    made |= _dense_norm(f"{prefix}.attention.output", inner, inner)
    if isinstance(config, MobileBertConfig):
        for block in range(config.num_feedforward_networks - 1):
            made |= _dense(f"{prefix}.ffn.{block}.intermediate.dense", inner, between)
            made |= _dense_norm(f"{prefix}.ffn.{block}.output", between, inner)
    made |= _dense(f"{prefix}.intermediate.dense", inner, between)
    made |= _dense_norm(f"{prefix}.output", between, inner)
    if isinstance(config, MobileBertConfig) and config.use_bottleneck:
        made |= _dense_norm(f"{prefix}.output.bottleneck", inner, config.hidden_size)
    return made


def head(config: ModelConfig) -> Tensors:
    """The MLM head apart from the tied word table."""
    if isinstance(config, ElectraConfig):
        width = config.embedding_size
        made = _dense("generator_predictions.dense", config.hidden_size, width) | _norm(
            "generator_predictions.LayerNorm", width
        )
        return made | {"generator_lm_head.bias": Tensor((config.vocab_size,), Kind.BIAS)}
    prefix, hidden = "cls.predictions", config.hidden_size
    made = _dense_norm(f"{prefix}.transform", hidden, hidden)
    if (
        config.embedding_width != hidden
    ):  # TF1's extra_output_weights, transposed: the table is narrower than the hidden states
        made[f"{prefix}.dense.weight"] = Tensor(
            (hidden - config.embedding_width, config.vocab_size), Kind.TABLE
        )
    made[f"{prefix}.bias"] = Tensor((config.vocab_size,), Kind.BIAS)
    return made


def carried(config: ModelConfig) -> Tensors:
    """Tensors that pretraining here does not compute with, yet keeps where a source has them: BERT's pooler,
    from which a classifier starts, and the head of next sentence prediction.
    """
    if isinstance(config, ElectraConfig):
        return {}
    made = _dense("cls.seq_relationship", config.hidden_size, 2)
    return made | (
        _dense(f"{config.model_type}.pooler.dense", config.hidden_size, config.hidden_size)
        if config.has_pooler
        else {}
    )


def unused(config: ModelConfig) -> Tensors:
    """Tensors that transformers' class insists on though no computation uses them; written, else loading
    reports them missing.
    """
    made: Tensors = {}
    if isinstance(config, MobileBertConfig):
        if config.embedding_size == config.hidden_size:
            made["cls.predictions.dense.weight"] = Tensor((0, config.vocab_size), Kind.TABLE)
        if not config.transforms_embeddings:
            made |= _dense(
                "mobilebert.embeddings.embedding_transformation", config.embedding_size, config.hidden_size
            )
    return made


def _dense(name: str, wide: int, out: int) -> Tensors:
    return {f"{name}.weight": Tensor((wide, out), Kind.KERNEL), f"{name}.bias": Tensor((out,), Kind.BIAS)}


def _norm(name: str, width: int) -> Tensors:
    return {f"{name}.weight": Tensor((width,), Kind.SCALE), f"{name}.bias": Tensor((width,), Kind.BIAS)}


def _dense_norm(name: str, wide: int, out: int) -> Tensors:
    return _dense(f"{name}.dense", wide, out) | _norm(f"{name}.LayerNorm", out)
