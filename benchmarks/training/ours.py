"""One arm of `make bench-training`: our own training step, as the loop runs it.

python -m benchmarks.training.ours FOLDER KIND PRECISION THREADS; KIND is joint, untrimmed, layerNN or
frozenNN.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import workload as work

JOINT, UNTRIMMED = "joint", "untrimmed"


def main() -> None:
    """Serve turns; see `training_work`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    folder, kind, precision, threads = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    if kind == "pipeline":
        pipeline(folder, threads)
        return
    from mobilebert.models.checkpoints import weights
    from mobilebert.training import accelerators

    accelerator = accelerators.find("cpu", threads)
    student, teacher = (
        weights.load(folder / name, compute_dtype=precision) for name in (work.STUDENT, work.TEACHER)
    )
    steps = make_steps(student, teacher, kind, accelerator, work.read_batch(folder))
    taken = 0

    def call() -> float:
        nonlocal taken
        rows = steps.run(taken, 1)
        taken += 1
        return float(rows[0, steps.names.index("loss")])

    work.serve(call, time.monotonic())


def make_steps(student: Any, teacher: Any, kind: str, accelerator: Any, batch: dict[str, np.ndarray]) -> Any:
    """The loop's own `Steps` over one batch again and again, fed."""
    import tensorflow as tf

    from mobilebert.settings import Optimization
    from mobilebert.training import optimizers
    from mobilebert.training.steps import Steps

    optimization = Optimization(
        steps=10**6,
        batch_size=len(batch["input_ids"]),
        learning_rate=work.LEARNING_RATE,
        weight_decay=work.DECAY,
        clip_norm=work.CLIP,
    )
    made = objective(student, teacher, kind)
    optimizer = optimizers.make(made.variables, made.learning_rate_multipliers, optimization)
    steps = Steps(made, optimizer, optimization, 1, accelerator)
    tensors = {name: tf.constant(values) for name, values in batch.items()}
    batches = tf.data.Dataset.from_tensors(tensors).repeat()
    steps.feed(lambda _: batches, 0)
    return steps


def objective(student: Any, teacher: Any, kind: str) -> Any:
    """What an arm minimises.

    joint: masked language modelling, and feature map and attention transfer in all layers; untrimmed: the
    transfer of one layer by a gate on every layer's terms, so that all are computed forward and backward (the
    published way); layerNN: the same gradients, computing only what layer NN needs; frozenNN: with the layers
    below it frozen.
    """
    from mobilebert.distillation.pretraining import MaskedLmObjective
    from mobilebert.distillation.transfer import JOINT as ALL
    from mobilebert.distillation.transfer import TransferObjective
    from mobilebert.settings import Transfer

    frozen = kind.startswith("frozen")
    settings = Transfer(
        feature_map_factor=work.FEATURE_MAP,
        attention_factor=work.ATTENTION,
        mean_factor=0,
        variance_factor=0,
        earlier_layers=0.0 if frozen else 1.0,
    )
    if kind == JOINT:
        return MaskedLmObjective(
            student, teacher, 1.0, transfer=TransferObjective(student, teacher, settings, ALL)
        )
    if kind == UNTRIMMED:
        return Gated(TransferObjective(student, teacher, settings, ALL))
    return TransferObjective(student, teacher, settings, kind.replace("frozen", "layer"))


class Gated:
    """All layers' terms, of which a gate that depends on the step lets one through (run_pretraining.py); here
    the gate of layer 12.

    Gates come with the batch, so that no part of the graph can be left out.
    """

    def __init__(self, transfer: Any) -> None:
        """Take the objective of all layers."""
        self._transfer = transfer
        self.variables, self.learning_rate_multipliers, self.weighted_by = (
            transfer.variables,
            transfer.learning_rate_multipliers,
            transfer.weighted_by,
        )

    def loss(self, batch: Any, seed: Any, totals: Any = None) -> dict[str, Any]:
        """The gated sum."""
        import tensorflow as tf

        transfer = self._transfer
        matches = list(transfer.matches)
        last = tf.reduce_max(batch["input_mask"]) * work.LAYERS  # 12, but no compiler knows
        inputs = batch["input_ids"], batch["segment_ids"], batch["input_mask"]
        student, teacher = transfer._student.encode(*inputs), transfer.teacher.encode(*inputs)
        total = tf.constant(0.0)
        for layer in range(1, work.LAYERS + 1):
            transfer.matches = [match for match in matches if match.student_layer == layer]
            gate = tf.cast(tf.equal(last, layer), tf.float32)
            terms = transfer.terms(teacher, student, batch["input_mask"], totals)
            total += gate * tf.add_n(list(terms.values()))
        transfer.matches = matches
        return {"loss": total}


def pipeline(folder: Path, threads: int) -> None:
    """Say how many batches a second the records' reader makes for this step."""
    from mobilebert.records import reader
    from mobilebert.records.dataset import RecordSet
    from mobilebert.settings import Masking
    from mobilebert.training import accelerators

    accelerators.find("cpu", threads)
    batches = iter(
        reader.train_batches(
            RecordSet(folder / "records"), Masking(max_predictions=work.PREDICTIONS), work.BATCH, 1, 0
        )
    )
    for _ in range(200):
        next(batches)
    start, count = time.monotonic(), 5000
    for _ in range(count):
        next(batches)
    work.say({"batches_per_second": count / (time.monotonic() - start)})


if __name__ == "__main__":
    main()
