"""What `scripts.finetune_task` and `scripts.score_task` do: read, check, train or predict, write."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.finetuning import batches, features, predictions, scores
from mobilebert.finetuning.objective import TaskObjective
from mobilebert.models import heads
from mobilebert.models.checkpoints import weights
from mobilebert.settings import Optimization, Settings, TaskTraining, derive_seed, sections_of
from mobilebert.storage import artifacts
from mobilebert.training import accelerators, loop, multihost
from mobilebert.training.evaluation import Measure
from mobilebert.training.options import RunOptions
from mobilebert.training.state import workspace as state

log = logging.getLogger(__name__)
DECIDES = {"classification": "accuracy", "reading": "f1"}  # the metric that says which weights are best


@dataclass(frozen=True)
class Task:
    """A prepared task: its folder, name, kind ("classification" or "reading") and the names of its labels."""

    folder: Path
    name: str
    kind: str
    labels: list[str]

    def lines(self, split: str) -> list[dict[str, Any]]:
        """The lines of "train" or "dev"."""
        path = self.folder / f"{split}.jsonl"
        with path.open(encoding="utf-8") as stream:
            examples = [json.loads(line) for line in stream]
        if not examples:
            raise UserError(f"{path}: holds no example; look at the files of task.{self.name}.files")
        return examples


def read_task(folder: Path, name: str) -> Task:
    """The prepared task of a folder.

    Raises:
        UserError: no whole task artifact, another task, or of a kind that is unknown here.
    """
    artifacts.read(folder, "task")
    body = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    if body["name"] != name:
        raise UserError(f"{folder}: holds the task '{body['name']}', expected '{name}'")
    if body["kind"] not in ("classification", "reading"):
        raise UserError(
            f"{folder / 'task.json'}: a task of kind '{body['kind']}', expected classification or reading"
        )
    return Task(folder, name, body["kind"], [str(label) for label in body["labels"]])


def finetune(
    settings: Settings, options: RunOptions, *, task: str, repeat: int, model: Path, data: Path
) -> None:
    """Finetune a model on a task, from where an earlier attempt stopped, and write it with its head.

    Args:
        settings: `task.TASK.training`, `training` and `seed` are used.
        options: what shapes nothing; the artifact to write among it.
        task: its name.
        repeat: number of the repetition, from 0 on: each has its own seed.
        model: the folder of the model.
        data: the folder of the prepared task.

    Raises:
        UserError: an input is refused, or the training meets what a person must mend.
    """
    training, tuning = settings.training, _task_training(settings, task)
    prepared = read_task(data, task)
    artifacts.read(model, "model")
    accelerator = accelerators.find(training.accelerator, options.threads)
    seed = derive_seed(settings.seed, "finetune", task, repeat)
    with accelerator.scope():
        network = weights.load(model, compute_dtype=training.precision)
        head = _head(network, prepared, derive_seed(seed, "head"))
        objective = TaskObjective(network, head)
    tokenizer = _tokenizer(model, network, tuning.sequence_length)
    examples, lines = _training_features(prepared, tokenizer, tuning.sequence_length, seed)
    size, order = tuning.batch_size, derive_seed(seed, "order")
    dev = Dev(
        prepared,
        predictions.Forward(network, head, accelerator),
        tokenizer,
        tuning,
        training.evaluate_sequences,
    )
    job = loop.Job(
        f"finetune_task-{task}-{repeat}",
        objective,
        batches.training(examples, size, order),
        schedule(tuning, len(examples)),
        training,
        derive_seed(seed, "dropout"),
        measure=Measure(
            lambda: dev.measure()[0], DECIDES[prepared.kind], larger=True, every=interval(len(examples), size)
        ),
        records=lambda step: _by_id(
            prepared, [lines[at] for at in batches.examples_of(len(examples), size, order, step)]
        ),
        skips=options.on_nonfinite == "skip",
    )
    inputs = {"model": model, "data": data}
    sections = sections_of(settings, f"task.{task}.training", "training", "seed")
    shaping = sections | {"arguments": {"task": task, "repeat": repeat}}
    fingerprint = state.fingerprint("finetune_task", shaping, inputs, accelerator.environment)
    with multihost.opened(accelerator, options, job.name, fingerprint) as workspace:
        metrics = workspace.folder / "finished-metrics.jsonl"
        trained = loop.train(job, accelerator, workspace, metrics, options.checkpoint_seconds, options.log)
        if not accelerator.chief:
            return
        with artifacts.writing(
            options.out, "model", settings=shaping, inputs=inputs, versions=weights.versions()
        ) as writer:
            weights.save(
                writer, network, head, prepared.labels if prepared.kind == "classification" else None
            )
            tokenization.copy_files(model, writer)
            writer.path("metrics.jsonl").write_bytes(metrics.read_bytes())
            writer.counts = {"examples": len(examples), **trained.counts()}
        workspace.finish()


def score(
    settings: Settings,
    out: Path,
    *,
    task: str,
    repeat: int,
    name: str,
    model: Path,
    data: Path,
    threads: int = 1,
) -> None:
    """Score a finetuned model on the dev set of its task and write scores.json and predictions.jsonl.

    Args:
        settings: `task.TASK.training` and `training` are used.
        out: the artifact to write.
        task: its name.
        repeat: number of the repetition that was finetuned.
        name: of the model, for tables.
        model: the folder of the finetuned model.
        data: the folder of the prepared task.
        threads: to compute with.

    Raises:
        UserError: an input is refused.
    """
    tuning = _task_training(settings, task)
    prepared = read_task(data, task)
    artifacts.read(model, "model")
    # Scoring runs beside a training that holds the TPU, so it takes the CPU unless a GPU is insisted on.
    accelerator = accelerators.find("gpu" if settings.training.accelerator == "gpu" else "cpu", threads)
    with accelerator.scope():
        network = weights.load(model, compute_dtype=settings.training.precision)
        head = weights.load_head(model)
    _check_head(model, head, prepared)
    tokenizer = _tokenizer(model, network, tuning.sequence_length)
    measured, rows = Dev(
        prepared, predictions.Forward(network, head, accelerator), tokenizer, tuning
    ).measure()
    majority = _majority(prepared)
    for metric, value in measured.items():
        log.info("%s on %s: %s %.4f (majority %.4f)", name, task, metric, value, majority[metric])
    body = {"model": name, "task": task, "seed": repeat, "metrics": measured, "majority": majority}
    sections = sections_of(settings, f"task.{task}.training", "training")
    shaping = sections | {"arguments": {"task": task, "repeat": repeat, "name": name}}
    inputs = {"model": model, "data": data}
    with artifacts.writing(
        out, "scores", settings=shaping, inputs=inputs, versions=weights.versions()
    ) as writer:
        writer.json("scores.json", body | {"examples": len(rows)})
        written = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
        writer.path("predictions.jsonl").write_text("".join(written), encoding="utf-8")
        writer.counts = {"examples": len(rows)}


def _task_training(settings: Settings, task: str) -> TaskTraining:
    chosen: TaskTraining = getattr(settings.task, task).training
    return chosen


def schedule(tuning: TaskTraining, examples: int) -> Optimization:
    """The optimizer's settings for so many examples; the warm-up is a share of the steps, rounded down."""
    steps = batches.steps_of(examples, tuning.batch_size, tuning.epochs)
    return Optimization(
        steps=steps,
        batch_size=tuning.batch_size,
        learning_rate=tuning.learning_rate,
        warmup_steps=int(steps * tuning.warmup_share),
        weight_decay=tuning.weight_decay,
    )


def interval(examples: int, batch_size: int) -> int:
    """Steps between measures on the dev set: those of an epoch, so that none has two; 0, as the settings
    say, where a step is more.
    """
    return -(-examples // batch_size) if examples >= batch_size else 0


class Dev:
    """The dev set of a task, ready to be predicted, as often as a training asks."""

    def __init__(
        self,
        task: Task,
        forward: predictions.Forward,
        tokenizer: Any,
        tuning: TaskTraining,
        examples: int | None = None,
    ) -> None:
        """Take what computes the model's logits, and how many examples of the dev file are measured, from
        its first on (None: all).
        """
        self._lines, self._size, self._forward = task.lines("dev")[:examples], tuning.batch_size, forward
        make = features.classification if task.kind == "classification" else features.reading
        self._made: Any = make(self._lines, tokenizer, tuning.sequence_length)

    def measure(self) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """The metrics by name, and a line a prediction."""
        if isinstance(self._made, features.Features):
            return scores.of_labels(
                self._lines, predictions.labels(self._forward, self._made, self._size).tolist()
            )
        texts = predictions.answers(
            self._forward, self._made, [line["context"] for line in self._lines], self._size
        )
        return scores.of_answers(self._lines, texts)


def _majority(task: Task) -> dict[str, float]:
    """The majority baseline's metrics on dev."""
    chosen = scores.majority_of_labels if task.kind == "classification" else scores.majority_of_answers
    return chosen(task.lines("train"), task.lines("dev"))


def _by_id(task: Task, lines: Sequence[int]) -> str:
    """Examples of the training file by their ids, for people."""
    ids = [str(line["id"]) for line in task.lines("train")]
    return f"{task.folder / 'train.jsonl'}: {', '.join(ids[line] for line in sorted(set(lines)))}"


def _training_features(
    task: Task, tokenizer: Any, sequence_length: int, seed: int
) -> tuple[features.Features, list[int]]:
    """What is trained on, and of which line of the training file each row is."""
    lines = task.lines("train")
    if task.kind == "classification":
        _check_labels(task, lines)
        return features.classification(lines, tokenizer, sequence_length), list(range(len(lines)))
    windows = features.reading(lines, tokenizer, sequence_length)
    rows = features.training_rows(windows, derive_seed(seed, "windows"))
    log.info(
        "%s: %d questions, %d windows, %d of them to train on",
        task.name,
        len(lines),
        len(windows.features),
        len(rows),
    )
    if not len(rows):
        path = task.folder / "train.jsonl"
        raise UserError(
            f"{path}: no answer has a known place that fits into a window of {sequence_length} tokens"
        )
    return windows.features.take(rows), windows.question[rows].tolist()


def _check_labels(task: Task, lines: list[dict[str, Any]]) -> None:
    mislabelled = next((line for line in lines if not 0 <= line["label"] < len(task.labels)), None)
    if mislabelled is not None:
        path, count = task.folder / "train.jsonl", len(task.labels)
        raise UserError(
            f"{path}: example {mislabelled['id']} has label {mislabelled['label']}, but task.json names "
            f"{count} labels"
        )


def _head(model: Any, task: Task, seed: int) -> Any:
    if task.kind == "classification":
        return heads.for_classification(model.config, len(task.labels), seed, carried=model.carried)
    return heads.SpanHead(model.config.hidden_size, seed)


def _check_head(folder: Path, head: Any, task: Task) -> None:
    fits = (
        isinstance(head, heads.SpanHead)
        if task.kind == "reading"
        else isinstance(head, heads.ClassificationHead)
    )
    if not fits or (task.kind == "classification" and head.labels != len(task.labels)):
        raise UserError(
            f"{folder}: its head is of another task than '{task.name}' ({task.kind}); finetune it on "
            f"this "
            f"task first"
        )


def _tokenizer(folder: Path, model: Any, sequence_length: int) -> Any:
    """The model's tokenizer, checked against its word table; and the positions against the sequence
    length.
    """
    tokenizer = tokenization.load(folder)
    if tokenizer.size > model.config.vocab_size:
        raise UserError(
            f"{folder}: its tokenizer has {tokenizer.size} entries, its word table only "
            f"{model.config.vocab_size} rows"
        )
    if sequence_length > model.config.max_position_embeddings:
        most = model.config.max_position_embeddings
        raise UserError(
            f"sequence_length: {sequence_length}, but {folder} has only {most} positions; set it to "
            f"{most} "
            f"or less"
        )
    return tokenizer
