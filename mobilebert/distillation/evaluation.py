"""How well a model fills masks on text that it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert.distillation.pretraining import masked_logits
from mobilebert.errors import UserError, unwrapped
from mobilebert.records import reader
from mobilebert.settings import Masking
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.distributed import ReplicatedFunction
from mobilebert.training.evaluation import LossParts, Measure
from mobilebert.training.objective import Objective


def measure(
    objective: Objective,
    records: Any,
    masking: Masking,
    batch_size: int,
    seed: int,
    sequences: int,
    accelerator: Accelerator,
) -> Measure:
    """What a training on records measures on the way: its own loss and parts on held-out records, always with
    the same masks.

    Args:
        objective: of the training.
        records: a `records.reader.RecordSet`.
        masking: how masks are drawn.
        batch_size: sequences at a time, a multiple of the devices.
        seed: of the masks.
        sequences: how many at most, from the first on, in whole batches; at least one batch, filled up if
            need be.
        accelerator: what trains.

    Raises:
        UserError: if nothing is held out.
    """
    if not records.heldout_count:
        raise UserError(
            f"{records.folder}: no record is held out to measure on; give more text, or raise "
            f"records.heldout_share"
        )
    count = max(1, min(sequences, records.heldout_count) // batch_size)
    return Measure(
        LossParts(
            objective,
            [records.heldout_batch(masking, batch_size, seed, number) for number in range(count)],
            accelerator,
        )
    )


def masked_lm(
    model: Any,
    records: Any,
    masking: Masking,
    batch_size: int,
    seed: int,
    accelerator: Accelerator | None = None,
) -> dict[str, float | int]:
    """Measure masked language modelling on the held-out records; every prediction counts once.

    Args:
        model: a `models.Model`.
        records: a `records.reader.RecordSet`.
        masking: how masks are drawn; the same seed gives every model the same masks.
        batch_size: sequences at a time, on all devices; does not change the result but for rounding.
        seed: of the masks.
        accelerator: in whose scope the model was made; None: one device.

    Returns:
        `masked_accuracy` (0..1), `masked_loss` (nats a prediction), `predictions` (how many), and
        `unigram_accuracy`, what always guessing the most frequent token would reach.

    Raises:
        UserError: if there is nothing held out to measure on, or a file of records is damaged.
    """

    def sums_of(batch: Any) -> tf.Tensor:
        labels, weights = (
            tf.reshape(batch["masked_ids"], [-1]),
            tf.cast(tf.reshape(batch["masked_weights"], [-1]), tf.float32),
        )  # (B*P,)
        logits = masked_logits(model, batch)
        right = tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels), weights.dtype)
        entropy = tf.cast(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits), weights.dtype
        )
        return tf.stack(
            [tf.reduce_sum(right * weights), tf.reduce_sum(entropy * weights), tf.reduce_sum(weights)]
        )

    spread = ReplicatedFunction(sums_of, accelerator)
    sums = np.zeros(3)  # float64: no prediction is lost in a large sum
    with unwrapped():
        for batch in reader.heldout_batches(records, masking, spread.whole(batch_size), seed):
            sums += spread(batch).astype(np.float64).sum(axis=0)
    right, entropy, count = sums.tolist()
    if not count:
        raise UserError(
            "the held-out records hold nothing to predict; give more text, or raise records.heldout_share"
        )
    return {
        "masked_accuracy": right / count,
        "masked_loss": entropy / count,
        "predictions": round(count),
        "unigram_accuracy": float(records.unigram_accuracy),
    }
