"""`make tpu-check`: every kind of training step of the presets, compiled by the real TPU compiler; writes docs/tpu-check.md.

Nothing runs on a TPU here. The command fails if a step asks the host, has a shape that is not static, or needs more memory
than a chip has.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
import yaml

from benchmarks import tpu_compiler
from benchmarks.machine import describe
from mobilebert import models
from mobilebert.artifacts import write_atomically
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.transfer import TransferObjective
from mobilebert.finetuning.objective import TaskObjective
from mobilebert.models import heads, shapes
from mobilebert.settings import Optimization, Settings
from mobilebert.training import optimizers
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.steps import Steps, rounds

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "tpu-check.md"
LOG = logging.getLogger("tpu-check")
VOCABULARY = 21128
PRESETS = ("base-f2", "large-f4")
TOPOLOGIES = ("v5e:1x1x1", "v5e:2x2x1")
STAGES = ("first", "last", "pretraining", "classification", "reading")
Made = tuple[Any, Optimization, dict[str, tf.TensorSpec]]


def main() -> None:
    """Compile what the command line names, and write the document."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = [row for preset in options.presets for row in _preset(preset, options)]
    if options.out:
        write_atomically(options.out, document(rows).encode())
    refused = [row for row in rows if row["refused"]]
    for row in refused:
        LOG.error("%s %s on %s, %d sequences: %s", row["preset"], row["stage"], row["topology"], row["batch"], row["refused"])
    sys.exit(bool(refused))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--topologies", nargs="+", default=TOPOLOGIES, help="such as v5e:2x2x1, v4:2x2x1, v6e:1x1x1")
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--batch", type=int, help="sequences a step over all chips; the preset's where it is not given")
    parser.add_argument("--device-batch", type=int, help="most sequences that a chip computes at once; the preset's where it is not given")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    return parser.parse_args()


def _preset(preset: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    body = yaml.safe_load((ROOT / "presets" / f"{preset}.yaml").read_text(encoding="utf-8"))
    if options.device_batch:
        body["training"]["device_batch"] = options.device_batch
    settings = Settings.model_validate(body)
    for stage in options.stages:
        for topology in options.topologies:
            yield _one(preset, settings, stage, topology, options.batch)


def _one(preset: str, settings: Settings, stage: str, topology: str, batch: int | None) -> dict[str, Any]:
    objective, optimization, specs = step_of(preset, settings, stage, batch)
    size, chips = next(iter(specs.values())).shape[0], math.prod(int(side) for side in topology.split(":")[1].split("x"))
    most = settings.training.device_batch
    at_once = size // chips // rounds(size // chips, most)
    row: dict[str, Any] = {"preset": preset, "stage": stage, "topology": topology, "batch": size, "at_once": at_once}
    row |= {"refused": "", "compiled": None}
    try:
        program = tpu_compiler.lower(
            flat(objective, optimization, specs, chips * at_once),
            list(specs.values()),
            [tf.TensorSpec((2,), tf.int32), tf.TensorSpec((), tf.float32)],
        )
        found = row["compiled"] = tpu_compiler.compile_for(program, topology)
        has = tpu_compiler.MEMORY[topology.split(":")[0]]
        if found.memory > has:
            row["refused"] = f"it needs {found.memory / 2**30:.1f} GiB of memory, a chip has {has / 2**30:.0f}"
    except tpu_compiler.Refused as error:
        row["refused"] = str(error)
    LOG.info("%s", row)
    return row


def step_of(preset: str, settings: Settings, stage: str, batch: int | None) -> Made:
    """The objective of one kind of step, its optimizer's settings, and its batch, `(B, ...)` by name."""
    precision, length = settings.training.precision, settings.records.sequence_length
    student = models.build(shapes.named(preset, VOCABULARY), 1, compute_dtype=precision)
    if stage in ("classification", "reading"):
        chosen = settings.task.chnsenticorp if stage == "classification" else settings.task.cmrc2018
        hidden = student.shape.hidden_size
        head: Any = heads.for_classification(student.shape, 2, 1) if stage == "classification" else heads.SpanHead(hidden, 1)
        size, optimization = batch or chosen.training.batch_size, Optimization(learning_rate=chosen.training.learning_rate)
        names = ("label",) if stage == "classification" else ("start", "end")
        specs = _inputs(size, chosen.training.sequence_length) | {name: tf.TensorSpec((size,), tf.int32) for name in names}
        return TaskObjective(student, head), optimization, specs
    teacher = models.build(
        shapes.named("bert-large" if preset.startswith("large") else "bert-base", VOCABULARY), 2, compute_dtype=precision
    )
    if stage == "pretraining":
        optimization = settings.pretraining.training
        size, predictions = batch or optimization.batch_size, settings.masking.max_predictions
        masked = {
            "masked_positions": tf.TensorSpec((size, predictions), tf.int32),
            "masked_ids": tf.TensorSpec((size, predictions), tf.int32),
            "masked_weights": tf.TensorSpec((size, predictions), tf.float32),
        }
        objective = MaskedLmObjective(student, teacher, settings.pretraining.ground_truth_ratio)
        return objective, optimization, _inputs(size, length) | masked
    optimization = settings.transfer.training
    layer = 1 if stage == "first" else student.shape.num_hidden_layers
    made = TransferObjective(student, teacher, settings.transfer, f"layer{layer:02d}", settings.recipe)
    return made, optimization, _inputs(batch or optimization.batch_size, length)


def _inputs(batch: int, length: int) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec((batch, length), tf.int32) for name in ("input_ids", "segment_ids", "input_mask")}


def flat(objective: Any, optimization: Optimization, specs: dict[str, tf.TensorSpec], at_once: int | None = None) -> Callable[..., Any]:
    """The training loop's own step as a function of flat arguments: the batch's tensors, the seed `(2,)`, the rate `()`.

    `at_once`: sequences that all chips together compute at once.
    """
    optimizer = optimizers.make(objective.variables, objective.rate_factors, optimization, getattr(objective, "counted", ()))
    accelerator = Accelerator(tf.distribute.get_strategy(), "the TPU compiler", 1)
    steps = Steps(objective, optimizer, optimization, 1, accelerator, device_batch=at_once)

    def step(*arguments: tf.Tensor) -> tf.Tensor:
        return steps.step(dict(zip(specs, arguments, strict=False)), *arguments[-2:])

    return step


def document(rows: list[dict[str, Any]]) -> str:
    """docs/tpu-check.md from what was compiled."""
    lines = [
        "# The training steps, compiled for a TPU",
        "",
        "Written by `make tpu-check`. The step of each kind, as the loop runs it (gradients, clipping, optimizer), was lowered to",
        "StableHLO and compiled by libtpu for the chips named, in the precision, batch and length of the preset.",
        "**Nothing of this ran on a TPU.**",
        "FLOPs and memory are the compiler's figures for one chip. A chip computes its share of a batch in rounds of at most",
        "`training.device_batch` sequences (*at once*), a loop whose body the FLOPs count once; on several chips this check averages",
        "gradients in every round, where the training does it once a step.",
        "",
        f"Compiled on: {describe()}; tensorflow {tf.__version__}.",
        "",
        "| preset | step | chips | sequences | at once | compile s | TFLOP | arguments GiB | temporaries GiB "
        "| chip GiB | all-reduces | fits |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = row["compiled"]
        has = tpu_compiler.MEMORY[row["topology"].split(":")[0]] / 2**30
        figures = (
            f"{found.seconds:.0f} | {found.flops / 1e12:.2f} | {found.arguments / 2**30:.2f} | {found.temporaries / 2**30:.2f}"
            if found
            else "- | - | - | -"
        )
        verdict = f"no: {row['refused']}" if row["refused"] else "yes"
        reduces = "-" if not found else "?" if found.all_reduces is None else found.all_reduces
        lines.append(
            f"| {row['preset']} | {row['stage']} | {row['topology']} | {row['batch']} | {row['at_once']} | {figures} "
            f"| {has:.0f} | {reduces} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
