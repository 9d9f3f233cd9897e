"""The tensors of a model: transformers' names, shapes and initial values, from the shape alone (no TensorFlow, no memory).

Kernels are held `[in, out]` and stored transposed, as transformers' `nn.Linear` has them. Names and shapes: transformers 5.23
`modeling_mobilebert.py`, `modeling_bert.py` and `modeling_electra.py`.
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


def specification(shape: ModelConfig) -> Tensors:
    """All tensors that the forward computation uses, encoder and MLM head, the tied word table once.

    Backbone, MLM head, no pooler, no NSP: the convention of the published parameter counts.
    """
    made = embeddings(shape)
    for number in range(1, shape.num_hidden_layers + 1):
        made |= layer(shape, number)
    return made | head(shape)


def count(shape: ModelConfig) -> int:
    """Number of parameters: backbone and MLM head, the tied word table counted once."""
    return sum(math.prod(tensor.shape) for tensor in specification(shape).values())


def embeddings(shape: ModelConfig) -> Tensors:
    """Word, position and type tables, the norm, the way from the tables' width to the hidden states'."""
    prefix, hidden = f"{shape.model_type}.embeddings", shape.hidden_size
    if isinstance(shape, ElectraConfig):
        hidden = shape.embedding_size
    made = {
        f"{prefix}.word_embeddings.weight": Tensor((shape.vocab_size, shape.embedding_width), Kind.TABLE),
        f"{prefix}.position_embeddings.weight": Tensor((shape.max_position_embeddings, hidden), Kind.TABLE),
        f"{prefix}.token_type_embeddings.weight": Tensor((shape.type_vocab_size, hidden), Kind.TABLE),
    }
    if isinstance(shape, MobileBertConfig) and shape.transforms_embeddings:
        made |= _dense(f"{prefix}.embedding_transformation", shape.embedding_size * (3 if shape.trigram_input else 1), hidden)
    made |= _norm(f"{prefix}.LayerNorm", hidden)
    if isinstance(shape, ElectraConfig) and shape.projects_embeddings:
        made |= _dense(f"{prefix}_project", hidden, shape.hidden_size)
    return made


def layer(shape: ModelConfig, number: int) -> Tensors:
    """The tensors of layer `number` (1-based)."""
    prefix, inner, between = f"{shape.model_type}.encoder.layer.{number - 1}", shape.inner_size, shape.intermediate_size
    made: Tensors = {}
    query_width = value_width = inner
    if isinstance(shape, MobileBertConfig) and shape.use_bottleneck:
        made |= _dense_norm(f"{prefix}.bottleneck.input", shape.hidden_size, inner)
        if shape.key_query_shared_bottleneck:
            made |= _dense_norm(f"{prefix}.bottleneck.attention", shape.hidden_size, inner)
        query_width, value_width = shape.query_width, shape.value_width
    for name, width in (("query", query_width), ("key", query_width), ("value", value_width)):
        made |= _dense(f"{prefix}.attention.self.{name}", width, inner)
    made |= _dense_norm(f"{prefix}.attention.output", inner, inner)
    if isinstance(shape, MobileBertConfig):
        for block in range(shape.num_feedforward_networks - 1):
            made |= _dense(f"{prefix}.ffn.{block}.intermediate.dense", inner, between)
            made |= _dense_norm(f"{prefix}.ffn.{block}.output", between, inner)
    made |= _dense(f"{prefix}.intermediate.dense", inner, between)
    made |= _dense_norm(f"{prefix}.output", between, inner)
    if isinstance(shape, MobileBertConfig) and shape.use_bottleneck:
        made |= _dense_norm(f"{prefix}.output.bottleneck", inner, shape.hidden_size)
    return made


def head(shape: ModelConfig) -> Tensors:
    """The MLM head apart from the tied word table."""
    if isinstance(shape, ElectraConfig):
        width = shape.embedding_size
        made = _dense("generator_predictions.dense", shape.hidden_size, width) | _norm("generator_predictions.LayerNorm", width)
        return made | {"generator_lm_head.bias": Tensor((shape.vocab_size,), Kind.BIAS)}
    prefix, hidden = "cls.predictions", shape.hidden_size
    made = _dense_norm(f"{prefix}.transform", hidden, hidden)
    if shape.embedding_width != hidden:  # TF1's extra_output_weights, transposed: the table is narrower than the hidden states
        made[f"{prefix}.dense.weight"] = Tensor((hidden - shape.embedding_width, shape.vocab_size), Kind.TABLE)
    made[f"{prefix}.bias"] = Tensor((shape.vocab_size,), Kind.BIAS)
    return made


def carried(shape: ModelConfig) -> Tensors:
    """Tensors that pretraining here does not compute with, yet keeps where a source has them: BERT's pooler, from which a
    classifier starts, and the head of next sentence prediction."""
    if isinstance(shape, ElectraConfig):
        return {}
    made = _dense("cls.seq_relationship", shape.hidden_size, 2)
    return made | (_dense(f"{shape.model_type}.pooler.dense", shape.hidden_size, shape.hidden_size) if shape.has_pooler else {})


def unused(shape: ModelConfig) -> Tensors:
    """Tensors that transformers' class insists on though no computation uses them; written, else loading reports them missing."""
    made: Tensors = {}
    if isinstance(shape, MobileBertConfig):
        if shape.embedding_size == shape.hidden_size:
            made["cls.predictions.dense.weight"] = Tensor((0, shape.vocab_size), Kind.TABLE)
        if not shape.transforms_embeddings:
            made |= _dense("mobilebert.embeddings.embedding_transformation", shape.embedding_size, shape.hidden_size)
    return made


def _dense(name: str, wide: int, out: int) -> Tensors:
    return {f"{name}.weight": Tensor((wide, out), Kind.KERNEL), f"{name}.bias": Tensor((out,), Kind.BIAS)}


def _norm(name: str, width: int) -> Tensors:
    return {f"{name}.weight": Tensor((width,), Kind.SCALE), f"{name}.bias": Tensor((width,), Kind.BIAS)}


def _dense_norm(name: str, wide: int, out: int) -> Tensors:
    return _dense(f"{name}.dense", wide, out) | _norm(f"{name}.LayerNorm", out)
