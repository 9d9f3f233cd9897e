"""Tasks: their files, finetuned models, scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakemake.io import ancient

from mobilebert import tasks
from mobilebert.settings import SMALL_WORLD, to_json
from workflow import paths
from workflow.external_inputs import digests, existing
from workflow.inputs.stage import StageInputs, to_text
from workflow.inputs.students import StudentInputs


class TaskInputs(StageInputs):
    """Of `prepare_task`, `finetune_task`, `score_task` and `collect_scores`."""

    def world(self, wildcards: Any) -> list[str]:
        """The small world, where the task's files come from it."""
        files = getattr(self.settings.task, wildcards.task).files
        return self.artifact("small_world") if SMALL_WORLD in (files.train, files.dev) else []

    def files(self, wildcards: Any) -> list[str]:
        """The task's own files that are there."""
        files = getattr(self.settings.task, wildcards.task).files
        return [file for path in (files.train, files.dev) if path != SMALL_WORLD for file in existing(path)]

    def file_settings(self, wildcards: Any) -> str:
        """The settings of one task's files: another task changes nothing here."""
        return to_json(self.settings, f"task.{wildcards.task}.files")

    def manifest_settings(self, wildcards: Any) -> str:
        """What the manifest of a prepared task must show: a user's file by digest instead of by path."""
        files = getattr(self.settings.task, wildcards.task).files
        return to_text(
            tasks.settings_of(wildcards.task, files, lambda path: digests([Path(path)])[Path(path)])
        )

    def prepared(self, wildcards: Any) -> list[str]:
        """A task's prepared files."""
        return self.artifact(f"tasks/{wildcards.task}")

    def training_settings(self, wildcards: Any) -> str:
        """The settings of one task's finetuning."""
        return to_json(self.settings, f"task.{wildcards.task}.training", "training", "seed")

    def scoring_settings(self, wildcards: Any) -> str:
        """The settings of one task's scoring."""
        return to_json(self.settings, f"task.{wildcards.task}.training", "training")

    def finetuned(self, wildcards: Any) -> list[str]:
        """A finetuned model."""
        return self.artifact(f"finetuned/{wildcards.model}/{wildcards.task}/seed-{wildcards.repeat}")

    @property
    def known(self) -> list[str]:
        """All tasks that there are, whether the run scores on them or not."""
        return list(type(self.settings.task).model_fields)

    @property
    def scores(self) -> list[str]:
        """Folders of all single scores, below the results: `scores/MODEL/TASK/seed-N`."""
        seeds = range(self.settings.finetuning.seeds)
        models = StudentInputs(self.settings).scored
        return [
            f"scores/{model}/{task}/seed-{seed}"
            for model in models
            for task in self.settings.tasks
            for seed in seeds
        ]

    @property
    def score_folders(self) -> list[str]:
        """The same as paths."""
        return [f"{self.results}/{folder}" for folder in self.scores]

    @property
    def score_manifests(self) -> list[str]:
        """Their manifests."""
        return [self.artifact(folder)[1] for folder in self.scores]

    def table(self, wildcards: Any = None) -> list[str]:
        """The table of scores and its manifest, if any task is scored."""
        path = f"{self.results}/scores.tsv"
        return [ancient(path), paths.manifest_of(path)] if self.settings.tasks else []
