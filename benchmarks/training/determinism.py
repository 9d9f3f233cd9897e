"""What it costs that the same settings give the same bits: a training step with and without TensorFlow's op
determinism, in strict turns.

    .venv/bin/python -m benchmarks.training.determinism [--student base-f4 --batch 8 --length 128]

Every arm is a process of its own, since op determinism cannot be switched off again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import measuring

ARMS = {"without": False, "with": True}
VOCABULARY = 4000


def main() -> None:
    """Measure in turns and print the medians."""
    options = _options()
    if options.arm:
        print(json.dumps(_step(options)))
        return
    arguments = [
        f"--{name}={getattr(options, name)}" for name in ("student", "teacher", "batch", "length", "steps")
    ]
    with tempfile.TemporaryDirectory() as scratch:
        cores = sorted(os.sched_getaffinity(0))[: options.cores]
        runs = measuring.in_turns(
            {
                arm: lambda arm=arm: measuring.run(  # type: ignore[misc]
                    [
                        sys.executable,
                        "-m",
                        "benchmarks.training.determinism",
                        f"--arm={arm}",
                        f"--threads={len(cores)}",
                        *arguments,
                    ],
                    cores,
                    Path(scratch),
                )
                for arm in ARMS
            },
            options.turns,
        )
    for unit, key in (("CPU s", "cpu"), ("s", "wall_step")):
        medians = {arm: measuring.median(runs[arm], key) for arm in ARMS}
        print(
            f"{unit} a step: {medians['without']:.4f} without, {medians['with']:.4f} with, ratio "
            f"{medians['with'] / medians['without']:.3f}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--student", default="mini")
    parser.add_argument("--teacher", default="mini-teacher")
    parser.add_argument("--batch", type=int, default=32, help="sequences")
    parser.add_argument("--length", type=int, default=64, help="tokens a sequence")
    parser.add_argument(
        "--steps", type=int, default=20, help="steps that are measured, after five that are not"
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _step(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a step of the pretraining distillation on random ids, in this process."""
    import numpy as np
    import tensorflow as tf

    from mobilebert import models
    from mobilebert.distillation.pretraining import MaskedLmObjective
    from mobilebert.models import configs
    from mobilebert.settings import Optimization
    from mobilebert.training import optimizers
    from mobilebert.training.accelerators import Accelerator
    from mobilebert.training.steps import Steps

    if ARMS[options.arm]:
        tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    draw, masked = np.random.default_rng(1), 12
    batch = {
        "input_ids": draw.integers(5, VOCABULARY, (options.batch, options.length)),
        "segment_ids": np.zeros((options.batch, options.length)),
        "input_mask": np.ones((options.batch, options.length)),
        "masked_positions": np.sort(draw.integers(1, options.length, (options.batch, masked))),
        "masked_ids": draw.integers(5, VOCABULARY, (options.batch, masked)),
    }
    tensors = {name: tf.constant(value, tf.int32) for name, value in batch.items()}
    tensors["masked_weights"] = tf.ones((options.batch, masked))
    student = models.build(configs.named(options.student, VOCABULARY), 1)
    teacher = models.build(configs.named(options.teacher, VOCABULARY), 2)
    objective, optimization = MaskedLmObjective(student, teacher, 0.5), Optimization()
    optimizer = optimizers.make(objective.variables, objective.learning_rate_multipliers, optimization)
    steps = Steps(objective, optimizer, optimization, 1, Accelerator(tf.distribute.get_strategy(), "CPU", 1))
    steps.feed(lambda *_: tf.data.Dataset.from_tensors(tensors).repeat(), 0)
    steps.run(0, 5)
    wall, cpu = time.perf_counter(), time.process_time()
    steps.run(5, options.steps)
    return {
        "cpu": (time.process_time() - cpu) / options.steps,
        "wall_step": (time.perf_counter() - wall) / options.steps,
    }


if __name__ == "__main__":
    main()
