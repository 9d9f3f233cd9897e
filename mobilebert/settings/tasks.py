"""Tasks and their finetuning."""

from __future__ import annotations

from mobilebert.settings.fields import SMALL_WORLD, Count, Number, PathOrUrl, Section, setting


class TaskFiles(Section):
    """Where a task's files lie."""

    train: PathOrUrl = setting("Training file, or `small_world`", SMALL_WORLD)
    dev: PathOrUrl = setting("Development file, scored at the end, or `small_world`", SMALL_WORLD)


class TaskTraining(Section):
    """How a task is finetuned."""

    epochs: Number = setting("Passes over the training file", 3.0, gt=0)
    batch_size: Count = setting("Sequences a step", 32, unit="sequences", ge=1)
    learning_rate: Number = setting("Peak rate", 6e-05, source="Chinese-MobileBERT README", gt=0)
    warmup_share: Number = setting(
        "Share of the steps that warm up", 0.1, source="Chinese-MobileBERT README", ge=0, lt=1
    )
    sequence_length: Count = setting("Tokens a sequence", 128, unit="tokens", ge=16, le=512)
    weight_decay: Number = setting("Decoupled, not for biases and norms", 0.01, ge=0)


class TaskSettings(Section):
    """One task: files and finetuning."""

    files: TaskFiles = setting("Its files", TaskFiles())
    training: TaskTraining = setting("Its finetuning", TaskTraining())


class TaskTable(Section):
    """All tasks that are known; `tasks` says which are run."""

    chnsenticorp: TaskSettings = setting(
        "ChnSentiCorp, sentiment, accuracy", TaskSettings(training=TaskTraining(learning_rate=0.001))
    )
    cmrc2018: TaskSettings = setting(
        "CMRC 2018, reading, EM and F1", TaskSettings(training=TaskTraining(learning_rate=0.001))
    )


class Finetuning(Section):
    """What is finetuned how often."""

    seeds: Count = setting("Finetunings a model and task, each with its own seed", 1, ge=1)
    teacher: bool = setting("Score the teacher too", True)
