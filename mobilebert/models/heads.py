"""Heads for tasks: classification of a sequence, and spans for reading.

Names are transformers': `classifier.*`, `qa_outputs.*`, and `*.pooler.dense.*` where its classifier sits on a
pooler, `classifier.dense.*` and `classifier.out_proj.*` for ELECTRA.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from mobilebert.models.configs import ElectraConfig, ModelConfig
from mobilebert.models.layers import Scope, activation, dropout
from mobilebert.models.model import initial
from mobilebert.models.parameters import Kind, Tensor

INITIAL_DEVIATION = 0.02  # initializer_range of every published configuration


def for_classification(
    config: ModelConfig,
    labels: int,
    seed: int,
    variable_dtype: str = "float32",
    carried: Mapping[str, np.ndarray] | None = None,
) -> ClassificationHead:
    """The head of transformers' `...ForSequenceClassification` for this shape.

    Args:
        config: the model's.
        labels: number of classes.
        seed: of what starts at random.
        variable_dtype: type of its variables.
        carried: `Model.carried`; where it holds a pooler, the head's starts from it.
    """
    made = ClassificationHead(
        config.hidden_size,
        labels,
        seed,
        kind=kind_of(config),
        prefix=config.model_type,
        dropout_rate=config.classifier_dropout,
        variable_dtype=variable_dtype,
    )
    for name, value in (carried or {}).items():
        if name in made.variables_by_name:
            made.variables_by_name[name].assign(
                tf.cast(value.T, variable_dtype)
            )  # a kernel is stored transposed, a bias is flat
    return made


def kind_of(config: ModelConfig) -> str:
    """Which form of `ClassificationHead` fits the shape."""
    return "electra" if isinstance(config, ElectraConfig) else "pooled" if config.has_pooler else "plain"


def classifier_name(config: ModelConfig) -> str:
    """The last layer of a classifier for that shape."""
    return "classifier.out_proj" if isinstance(config, ElectraConfig) else "classifier"


class ClassificationHead(tf.Module):
    """Class logits from the first token, in transformers' three forms.

    `plain` (MobileBERT): raw; `pooled` (BERT): through a tanh pooler; `electra`: through a dense layer and
    GELU, dropout before it too. Use `for_classification` to get the form that fits a model's shape.
    """

    task = "SequenceClassification"

    def __init__(
        self,
        hidden: int,
        labels: int,
        seed: int,
        *,
        kind: str = "plain",
        prefix: str = "",
        dropout_rate: float = 0.1,
        variable_dtype: str = "float32",
    ) -> None:
        super().__init__(name="classification")
        self.labels, self.kind, self.dropout_rate = labels, kind, dropout_rate
        self._inner = {"plain": "", "pooled": f"{prefix}.pooler.dense", "electra": "classifier.dense"}[kind]
        self._last = "classifier.out_proj" if kind == "electra" else "classifier"
        kernels = {self._last: (hidden, labels)} | ({self._inner: (hidden, hidden)} if self._inner else {})
        self.variables_by_name = _variables(kernels, seed, variable_dtype)

    def __call__(self, sequence: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """(B, S, H) -> logits (B, labels) in the head's type; `seed` (2,) int32 turns on dropout of the
        pooled vector.
        """
        scope = _scope(self.variables_by_name)
        pooled = tf.cast(sequence[:, 0], scope.dtype)
        if self.kind == "electra":
            pooled = scope.dense(self._inner, self._dropped(pooled, seed, 1))
            pooled = activation("gelu", pooled)
        elif self.kind == "pooled":
            pooled = tf.tanh(scope.dense(self._inner, pooled))
        return scope.dense(self._last, self._dropped(pooled, seed, 0))

    def _dropped(self, x: tf.Tensor, seed: tf.Tensor | None, site: int) -> tf.Tensor:
        if seed is None or self.dropout_rate == 0:
            return x
        return dropout(x, self.dropout_rate, tf.random.fold_in(seed, site) if site else seed)


class SpanHead(tf.Module):
    """Start and end logits of an answer at every token."""

    task = "QuestionAnswering"
    labels = 2

    def __init__(self, hidden: int, seed: int, *, variable_dtype: str = "float32") -> None:
        super().__init__(name="span")
        self.variables_by_name = _variables({"qa_outputs": (hidden, 2)}, seed, variable_dtype)

    def __call__(self, sequence: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """(B, S, H) -> logits (B, S, 2), start and end, in the head's type.

        `seed` is taken and unused: no dropout in reading.
        """
        scope = _scope(self.variables_by_name)
        return scope.dense("qa_outputs", tf.cast(sequence, scope.dtype))


def tensors(head: ClassificationHead | SpanHead) -> dict[str, Tensor]:
    """The head's tensors by name, as `mobilebert.models.parameters` describes a model's."""
    kinds = {2: Kind.KERNEL, 1: Kind.BIAS}
    return {
        name: Tensor(tuple(value.shape), kinds[len(value.shape)])
        for name, value in head.variables_by_name.items()
    }


def _variables(kernels: dict[str, tuple[int, int]], seed: int, dtype: str) -> dict[str, tf.Variable]:
    made: dict[str, tf.Variable] = {}
    for name, (wide, out) in kernels.items():
        for suffix, tensor in (
            ("weight", Tensor((wide, out), Kind.KERNEL)),
            ("bias", Tensor((out,), Kind.BIAS)),
        ):
            full = f"{name}.{suffix}"
            made[full] = tf.Variable(
                tf.cast(initial(full, tensor, seed, INITIAL_DEVIATION), dtype), name=full
            )
    return made


def _scope(variables: dict[str, tf.Variable]) -> Scope:
    return Scope(variables, "", next(iter(variables.values())).dtype)
