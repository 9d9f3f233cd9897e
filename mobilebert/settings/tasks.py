"""Tasks and their finetuning."""

from __future__ import annotations

from mobilebert.settings.fields import SMALL_WORLD, Count, Number, Place, Section, says


class TaskFiles(Section):
    """Where a task's files lie."""

    train: Place = says("Training file, or `small_world`", SMALL_WORLD)
    dev: Place = says("Development file, scored at the end, or `small_world`", SMALL_WORLD)


class TaskTraining(Section):
    """How a task is finetuned."""

    epochs: Number = says("Passes over the training file", 3.0, gt=0)
    batch_size: Count = says("Sequences a step", 32, unit="sequences", ge=1)
    learning_rate: Number = says("Peak rate", 6e-05, source="Chinese-MobileBERT README", gt=0)
    warmup_share: Number = says("Share of the steps that warm up", 0.1, source="Chinese-MobileBERT README", ge=0, lt=1)
    sequence_length: Count = says("Tokens a sequence", 128, unit="tokens", ge=16, le=512)
    weight_decay: Number = says("Decoupled, not for biases and norms", 0.01, ge=0)


class TaskSettings(Section):
    """One task: files and finetuning."""

    files: TaskFiles = says("Its files", TaskFiles())
    training: TaskTraining = says("Its finetuning", TaskTraining())


class TaskTable(Section):
    """All tasks that are known; `tasks` says which are run."""

    chnsenticorp: TaskSettings = says("ChnSentiCorp, sentiment, accuracy", TaskSettings(training=TaskTraining(learning_rate=0.001)))
    cmrc2018: TaskSettings = says("CMRC 2018, reading, EM and F1", TaskSettings(training=TaskTraining(learning_rate=0.001)))


class Finetuning(Section):
    """What is finetuned how often."""

    seeds: Count = says("Finetunings a model and task, each with its own seed", 1, ge=1)
    teacher: bool = says("Score the teacher too", True)
