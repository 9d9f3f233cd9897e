"""`make tpu-check`: every kind of training step of the presets, compiled by the real TPU compiler; writes
docs/tpu-check.md.

Nothing runs on a TPU here. The command fails if a step asks the host, has a shape that is not static, or
needs more memory than a chip has.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from pathlib import Path
from typing import Any

import tensorflow as tf
import yaml

from benchmarks import tpu_compiler
from benchmarks.machine import describe
from mobilebert import models
from mobilebert.distillation import recipes
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.transfer import TransferObjective
from mobilebert.finetuning.objective import TaskObjective
from mobilebert.models import configs, heads
from mobilebert.settings import Optimization, Settings
from mobilebert.storage.atomic import write_atomically
from mobilebert.training import optimizers
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.steps import Steps, rounds

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "tpu-check.md"
LOG = logging.getLogger("tpu-check")
VOCABULARY = 21128
PRESETS = ("base-f2", "large-f4")
TOPOLOGIES = ("v5e:1x1x1", "v5e:2x2x1", "v4:2x2x1", "v6e:1x1x1")
STAGES = ("first", "last", "pretraining", "classification", "reading")
COLUMNS = ("preset", "step", "topology", "devices", "sequences", "at once", "compile s", "TFLOP",
           "arguments GiB", "temporaries GiB", "of GiB", "all-reduces", "fits")  # fmt: skip
LOCATION = re.compile(r" loc\(.*\)$|^#loc.*$", re.M)  # names Python's files and lines
SYMBOL = re.compile(r"@[\w.$-]+")
Made = tuple[Any, Optimization, dict[str, tf.TensorSpec]]


def main() -> None:
    """Compile what the command line names, and write the document."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda one: _alone(*one, options), _chosen(options)):
            LOG.info("%s", row)
            rows.append(row)
    if options.out:
        write_atomically(options.out, document(rows).encode())
    refused = [row for row in rows if row["refused"]]
    for row in refused:
        LOG.error(
            "%s %s on %s, %s sequences a device: %s",
            row["preset"],
            row["stage"],
            row["topology"],
            row["share"],
            row["refused"],
        )
    sys.exit(bool(refused))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument(
        "--topologies", nargs="+", default=TOPOLOGIES, help="such as v5e:2x2x1, v4:2x2x1, v6e:1x1x1"
    )
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument(
        "--batch", type=int, help="sequences a step over all chips; the preset's where it is not given"
    )
    parser.add_argument(
        "--device-batch",
        type=int,
        help="most sequences that a chip computes at once; the preset's where it is not given",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="steps compiled at once; each takes up to 9 GB of memory"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=ROOT / "results" / "tpu-check",
        help="what was compiled, by the program's digest",
    )
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> Iterator[tuple[str, Settings, str, str]]:
    """Preset, its settings, stage, topology."""
    for preset in options.presets:
        body = yaml.safe_load((ROOT / "presets" / f"{preset}.yaml").read_text(encoding="utf-8"))
        if options.device_batch:
            body["training"]["device_batch"] = options.device_batch
        settings = recipes.resolve(Settings.model_validate(body))
        for stage in options.stages:
            for topology in options.topologies:
                yield preset, settings, stage, topology


def _alone(
    preset: str, settings: Settings, stage: str, topology: str, options: argparse.Namespace
) -> dict[str, Any]:
    """A row, made in a process of its own: libtpu gives no memory back, and took 10 GB after ten programs."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_one, preset, settings, stage, topology, options).result()
        except BrokenProcessPool:
            refused = "the process that compiled it was killed; does the machine have enough memory?"
            unknown = dict.fromkeys(("devices", "share", "at_once"), "-")
            return {
                "preset": preset,
                "stage": stage,
                "topology": topology,
                **unknown,
                "refused": refused,
                "compiled": None,
            }


def _one(
    preset: str, settings: Settings, stage: str, topology: str, options: argparse.Namespace
) -> dict[str, Any]:
    there = tpu_compiler.devices(topology)
    objective, optimization, specs = step_of(preset, settings, stage, options.batch, len(there))
    row: dict[str, Any] = {
        "preset": preset,
        "stage": stage,
        "topology": topology,
        "devices": len(there),
        "refused": "",
        "compiled": None,
    }
    share = next(iter(specs.values())).shape[0]
    row |= {"share": share, "at_once": share // rounds(share, settings.training.device_batch)}
    arguments = [*specs.values(), tf.TensorSpec((2,), tf.int32), tf.TensorSpec((), tf.float32)]
    try:
        program = tpu_compiler.lower(
            flat(objective, optimization, specs, row["at_once"]), arguments, len(there)
        )
        compiled = row["compiled"] = _compiled(program, topology, there, options.cache)
        has = tpu_compiler.MEMORY[topology.split(":")[0]]
        if compiled.memory > has:
            row["refused"] = (
                f"it needs {compiled.memory / 2**30:.1f} GiB of memory, a device has {has / 2**30:.0f}"
            )
    except tpu_compiler.Refused as error:
        row["refused"] = str(error)
    return row


def _compiled(program: str, topology: str, there: list[Any], cache: Path) -> tpu_compiler.Compiled:
    """Compile, or take what was compiled before of the same program: a run that was cut goes on, and a
    changed step is compiled anew.
    """
    versions = [f"{name}=={metadata.version(name)}" for name in ("jaxlib", "libtpu")]
    mark = hashlib.sha256("\n".join([topology, *versions, unnamed(program)]).encode()).hexdigest()
    path = cache / f"{mark}.json"
    if path.exists():
        return tpu_compiler.Compiled(**json.loads(path.read_text(encoding="utf-8")))
    compiled = tpu_compiler.compile_for(program, there)
    cache.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(compiled.as_dict()).encode())
    return compiled


def unnamed(program: str) -> str:
    """A program without what differs from run to run: places in Python's files, and names of functions, which
    hold TensorFlow's count of all functions made before.
    """
    numbers: dict[str, str] = {}
    return SYMBOL.sub(
        lambda match: numbers.setdefault(match[0], f"@{len(numbers)}"), LOCATION.sub("", program)
    )


def step_of(preset: str, settings: Settings, stage: str, batch: int | None, devices: int) -> Made:
    """The objective of one kind of step, its optimizer's settings, and a device's share of its batch, `(B,
    ...)` by name.
    """
    precision, length = settings.training.precision, settings.records.sequence_length
    student = _model(preset, 1, precision)
    if stage in ("classification", "reading"):
        chosen = settings.task.chnsenticorp if stage == "classification" else settings.task.cmrc2018
        hidden = student.config.hidden_size
        head: Any = (
            heads.for_classification(student.config, 2, 1)
            if stage == "classification"
            else heads.SpanHead(hidden, 1)
        )
        size, optimization = (
            (batch or chosen.training.batch_size) // devices,
            Optimization(learning_rate=chosen.training.learning_rate),
        )
        names = ("label",) if stage == "classification" else ("start", "end")
        specs = _inputs(size, chosen.training.sequence_length) | {
            name: tf.TensorSpec((size,), tf.int32) for name in names
        }
        return TaskObjective(student, head), optimization, specs
    teacher = _model("bert-large" if preset.startswith("large") else "bert-base", 2, precision)
    if stage == "pretraining":
        optimization = settings.pretraining.training
        size, predictions = (batch or optimization.batch_size) // devices, settings.masking.max_predictions
        masked = {
            "masked_positions": tf.TensorSpec((size, predictions), tf.int32),
            "masked_ids": tf.TensorSpec((size, predictions), tf.int32),
            "masked_weights": tf.TensorSpec((size, predictions), tf.float32),
        }
        objective = MaskedLmObjective(student, teacher, settings.pretraining.ground_truth_ratio)
        return objective, optimization, _inputs(size, length) | masked
    optimization = settings.transfer.training
    layer = 1 if stage == "first" else student.config.num_hidden_layers
    made = TransferObjective(student, teacher, settings.transfer, f"layer{layer:02d}", settings.recipe)
    return made, optimization, _inputs((batch or optimization.batch_size) // devices, length)


def _model(name: str, seed: int, precision: str) -> Any:
    """A model as it is under a TPU strategy."""
    made = models.build(configs.named(name, VOCABULARY), seed, compute_dtype=precision)
    made.inlines_layers = True
    return made


def _inputs(batch: int, length: int) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec((batch, length), tf.int32) for name in ("input_ids", "segment_ids", "input_mask")
    }


def flat(
    objective: Any, optimization: Optimization, specs: dict[str, tf.TensorSpec], at_once: int | None = None
) -> Callable[..., Any]:
    """The training loop's own step as a function of flat arguments: the batch's tensors, the seed `(2,)`, the
    rate `()`.

    `at_once`: sequences that all chips together compute at once.
    """
    optimizer = optimizers.make(
        objective.variables,
        objective.learning_rate_multipliers,
        optimization,
        getattr(objective, "counted", ()),
    )
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
        (
            "Written by `make tpu-check`. The step of each kind, as the loop runs it on one of the devices "
            "(accumulation, gradients,"
        ),
        (
            "all-reduce, clipping, optimizer), was lowered to StableHLO and compiled by libtpu for the "
            "devices named, in the precision,"
        ),
        "batch and length of the preset. **Nothing of this ran on a TPU.**",
        (
            "Sequences are a device's share of a step's batch, computed in rounds of at most "
            "`training.device_batch` (*at once*): a loop,"
        ),
        (
            "whose body the FLOPs count once. FLOPs, memory and all-reduces are the compiler's figures for "
            "one device; a v4 chip is two."
        ),
        "",
        f"Compiled on: {describe()}; tensorflow {tf.__version__}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for row in rows:
        compiled = row["compiled"]
        has = tpu_compiler.MEMORY[row["topology"].split(":")[0]] / 2**30
        figures = "- | - | - | -"
        if compiled:
            sizes = f"{compiled.arguments / 2**30:.2f} | {compiled.temporaries / 2**30:.2f}"
            figures = f"{compiled.seconds:.0f} | {compiled.flops / 1e12:.2f} | {sizes}"
        verdict = f"no: {row['refused']}" if row["refused"] else "yes"
        reduces = compiled.all_reduces if compiled else "-"
        cells = [row[name] for name in ("preset", "stage", "topology", "devices", "share", "at_once")]
        lines.append(
            f"| {' | '.join(str(one) for one in cells)} | {figures} | {has:.0f} | {reduces} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
