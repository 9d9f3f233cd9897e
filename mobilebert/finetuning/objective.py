"""What finetuning minimises, for `training.loop`: cross-entropy of the label, or of start and end of the
answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

HEAD_SITE = 1_000_000  # keeps the head's dropout apart from the encoder's sites


class TaskObjective:
    """The objective of one task (`training.objective.Objective`).

    Trained are all variables of the encoder and of the head; the MLM head is left out. Dropout acts as the
    model's configuration says (MobileBERT: 0.1 on attention, none on hidden states) and, for classification,
    on the pooled vector.
    """

    learning_rate_multipliers: Mapping[str, float] = {}
    weighted_by = ()

    def __init__(self, model: Any, head: Any) -> None:
        """Take a `models.Model` and its `ClassificationHead` or `SpanHead`."""
        self._model, self._head = model, head
        encoder = {
            name: variable
            for name, variable in model.variables_by_name.items()
            if name not in set(model.head_names)
        }
        self.variables: Mapping[str, Any] = encoder | head.variables_by_name

    def loss(
        self, batch: Mapping[str, Any], seed: Any, totals: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`loss` (nats) and `accuracy` (share of labels, or of answers with both ends right); float32
        scalars.

        Args:
            batch: `input_ids`, `segment_ids`, `input_mask` (B, S), and `label` (B,), or `start` and `end`
                (B,).
            seed: (2,) int32 for dropout.
            totals: not used, every example counts alike.
        """
        del totals
        logits = task_logits(self._model, self._head, batch, seed)
        if "label" in batch:
            return _means(*_entropy(batch["label"], logits))
        start, start_right = _entropy(batch["start"], logits[..., 0])
        end, end_right = _entropy(batch["end"], logits[..., 1])
        return _means((start + end) / 2, tf.logical_and(start_right, end_right))


def task_logits(model: Any, head: Any, batch: Mapping[str, Any], seed: Any = None) -> tf.Tensor:
    """Float32 logits of the head: (B, labels), or (B, S, 2) for start and end; `seed` (2,) int32 turns
    dropout on.
    """
    encoded = model.encode(batch["input_ids"], batch["segment_ids"], batch["input_mask"], seed=seed)
    own = None if seed is None else tf.random.experimental.stateless_fold_in(seed, HEAD_SITE)
    return tf.cast(head(encoded.sequence, own), tf.float32)


def _entropy(target: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Targets (B,) and logits (B, C) -> cross-entropies (B,) and whether the largest logit is the target's
    (B,).
    """
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits)
    return entropy, tf.equal(tf.argmax(logits, axis=-1, output_type=target.dtype), target)


def _means(entropy: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"loss": tf.reduce_mean(entropy), "accuracy": tf.reduce_mean(tf.cast(right, tf.float32))}
