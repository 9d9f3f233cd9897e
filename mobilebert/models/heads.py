"""Heads for tasks: classification of a sequence, and spans for reading.

Names are transformers': `classifier.*`, `qa_outputs.*`, and `*.pooler.dense.*` where its classifier sits on a pooler.
"""

from __future__ import annotations

import tensorflow as tf

from mobilebert.models.layers import Scope, dropout
from mobilebert.models.model import initial
from mobilebert.models.shapes import Shape
from mobilebert.models.tensors import Kind, Tensor

INITIAL_DEVIATION = 0.02  # initializer_range of every published configuration


def for_classification(shape: Shape, labels: int, seed: int, variable_dtype: str = "float32") -> ClassificationHead:
    """The head of transformers' `...ForSequenceClassification` for this shape: with its pooler where that class has one."""
    return ClassificationHead(
        shape.hidden_size,
        labels,
        seed,
        pooler=shape.model_type if shape.has_pooler else None,
        dropout_rate=shape.classifier_dropout,
        variable_dtype=variable_dtype,
    )


class ClassificationHead(tf.Module):
    """Class logits from the first token: raw (MobileBERT), or through a tanh pooler (BERT).

    Use `for_classification` to get the form that fits a model's shape.
    """

    task = "SequenceClassification"

    def __init__(
        self,
        hidden: int,
        labels: int,
        seed: int,
        *,
        pooler: str | None = None,
        dropout_rate: float = 0.1,
        variable_dtype: str = "float32",
    ) -> None:
        super().__init__(name="classification")
        self.labels, self.pooler, self.dropout_rate = labels, pooler, dropout_rate
        kernels = {"classifier": (hidden, labels)}
        if pooler is not None:
            kernels[f"{pooler}.pooler.dense"] = (hidden, hidden)
        self.variables_by_name = _variables(kernels, seed, variable_dtype)

    def __call__(self, sequence: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """(B, S, H) -> logits (B, labels) in the head's type; `seed` (2,) int32 turns on dropout of the pooled vector."""
        scope = _scope(self.variables_by_name)
        pooled = tf.cast(sequence[:, 0], scope.dtype)
        if self.pooler is not None:
            pooled = tf.tanh(scope.dense(f"{self.pooler}.pooler.dense", pooled))
        if seed is not None and self.dropout_rate > 0:
            pooled = dropout(pooled, self.dropout_rate, seed)
        return scope.dense("classifier", pooled)


class SpanHead(tf.Module):
    """Start and end logits of an answer at every token."""

    task = "QuestionAnswering"
    labels = 2

    def __init__(self, hidden: int, seed: int, *, variable_dtype: str = "float32") -> None:
        super().__init__(name="span")
        self.variables_by_name = _variables({"qa_outputs": (hidden, 2)}, seed, variable_dtype)

    def __call__(self, sequence: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """(B, S, H) -> logits (B, S, 2), start and end, in the head's type. `seed` is taken and unused: no dropout in reading."""
        scope = _scope(self.variables_by_name)
        return scope.dense("qa_outputs", tf.cast(sequence, scope.dtype))


def tensors(head: ClassificationHead | SpanHead) -> dict[str, Tensor]:
    """The head's tensors by name, as `mobilebert.models.tensors` describes a model's."""
    kinds = {2: Kind.KERNEL, 1: Kind.BIAS}
    return {name: Tensor(tuple(value.shape), kinds[len(value.shape)]) for name, value in head.variables_by_name.items()}


def _variables(kernels: dict[str, tuple[int, int]], seed: int, dtype: str) -> dict[str, tf.Variable]:
    made: dict[str, tf.Variable] = {}
    for name, (wide, out) in kernels.items():
        for part, tensor in (("weight", Tensor((wide, out), Kind.KERNEL)), ("bias", Tensor((out,), Kind.BIAS))):
            full = f"{name}.{part}"
            made[full] = tf.Variable(tf.cast(initial(full, tensor, seed, INITIAL_DEVIATION), dtype), name=full)
    return made


def _scope(variables: dict[str, tf.Variable]) -> Scope:
    return Scope(variables, "", next(iter(variables.values())).dtype)
