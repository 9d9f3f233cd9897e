"""Students: the stages of the transfer, pretraining, baselines; and models by their names."""

from __future__ import annotations

import json
from typing import Any

from snakemake.exceptions import WorkflowError

from mobilebert.distillation import layer_matching
from mobilebert.settings import without_paths
from workflow.external_inputs import config_of, existing, tf1_checkpoint, with_config
from workflow.inputs.stage import StageInputs, to_text
from workflow.inputs.teacher import TeacherInputs

ARMS = ("scratch", "tables")  # the baselines


class StudentInputs(StageInputs):
    """Of `transfer_layer`, `import_student` and `pretrain_student`; and models for those that use them."""

    @property
    def teacher(self) -> list[str]:
        """The checked teacher."""
        return TeacherInputs(self.settings).checked

    def stages(self, student: str) -> list[str]:
        """The names of the transfer's stages, in their order."""
        transfer = self.settings.transfer
        if transfer.schedule == "progressive":
            layers = config_of(self.settings, student).num_hidden_layers
            return [f"layer{layer:02d}" for layer in layer_matching.matched_layers(transfer, layers)]
        return ["joint"] if transfer.schedule == "joint" else []

    def stage(self, student: str, stage: str) -> list[str]:
        """A student after a stage of the transfer."""
        return self.artifact(f"students/{student}/transfer/{stage}")

    def previous_stage(self, wildcards: Any) -> list[str]:
        """The stage before this one; nothing before the first."""
        stages = self.stages(wildcards.student)
        if wildcards.stage not in stages:
            raise WorkflowError(
                f"transfer.schedule '{self.settings.transfer.schedule}' has no stage {wildcards.stage}: "
                f"{', '.join(stages)}"
            )
        index = stages.index(wildcards.stage)
        return self.stage(wildcards.student, stages[index - 1]) if index else []

    def last_stage(self, wildcards: Any) -> list[str]:
        """The transfer's last stage for a distilled student, or the one imported from a TF1 checkpoint;
        nothing for a baseline.
        """
        student, arm = student_and_arm(wildcards.model)
        if arm == "distilled" and self.checkpoint(wildcards):
            return self.artifact(f"student_sources/{student}")
        stages = self.stages(student)
        return self.stage(student, stages[-1]) if arm == "distilled" and stages else []

    def checkpoint(self, wildcards: Any) -> list[str]:
        """Where the given student's TF1 checkpoint lies, whether it is there or not."""
        return [self.settings.student.from_] if tf1_checkpoint(self.settings.student.from_) else []

    def original(self, wildcards: Any) -> list[str]:
        """The given student's TF1 checkpoint, if it is there."""
        return existing(self.settings.student.from_)

    def original_path(self, wildcards: Any) -> str:
        """Where the given student lies; "" for one that starts afresh, as baselines do."""
        return self.given_path() if student_and_arm(wildcards.model)[1] == "distilled" else ""

    def given_path(self, wildcards: Any = None) -> str:
        """Where the given student lies; "" if there is none."""
        return self.settings.student.from_ or ""

    def initial_student(self, wildcards: Any) -> list[str]:
        """The directory of a student to go on from, if it is there; baselines start anew."""
        if student_and_arm(wildcards.model)[1] != "distilled" or self.checkpoint(wildcards):
            return []
        return existing(self.settings.student.from_)

    def teacher_of(self, wildcards: Any) -> list[str]:
        """The teacher, where a student learns from it or begins with its tables."""
        arm = student_and_arm(wildcards.model)[1]
        if arm != "distilled":
            return self.teacher if arm == "tables" else []
        begins = not self.last_stage(wildcards) and not self.settings.student.from_
        tables = begins and self.settings.student.tables_from_teacher
        auxiliary = self.settings.transfer.schedule == "auxiliary"
        teaches = self.settings.pretraining.ground_truth_ratio < 1 or auxiliary
        return self.teacher if tables or teaches else []

    def student_of(self, wildcards: Any) -> str:
        """The student's name without the baseline's."""
        return student_and_arm(wildcards.model)[0]

    def arm_of(self, wildcards: Any) -> str:
        """`distilled`, or the baseline: `scratch`, `tables`."""
        return student_and_arm(wildcards.model)[1]

    def extra_steps(self, wildcards: Any) -> int:
        """Steps that a baseline trains longer, those of the transfer, so that all arms have as many."""
        student, arm = student_and_arm(wildcards.model)
        return 0 if arm == "distilled" else self.settings.transfer.training.steps * len(self.stages(student))

    def transfer_settings(self, wildcards: Any) -> str:
        """The settings of a stage of a student's transfer."""
        return with_config(
            self.settings, wildcards.student, "recipe", "transfer", "student", "masking", "training", "seed"
        )

    def pretraining_settings(self, wildcards: Any) -> str:
        """The settings of a student's pretraining; with the transfer's where that is in its loss."""
        student, arm = student_and_arm(wildcards.model)
        transfer = (
            ["transfer"] if arm == "distilled" and self.settings.transfer.schedule == "auxiliary" else []
        )
        return with_config(
            self.settings,
            student,
            "recipe",
            *transfer,
            "pretraining",
            "student",
            "masking",
            "training",
            "seed",
        )

    def transfer_manifest_settings(self, wildcards: Any) -> str:
        """What the manifest of a stage must show; where a given student lies is not part of what it is."""
        return to_text(without_paths(json.loads(self.transfer_settings(wildcards))))

    def pretraining_manifest_settings(self, wildcards: Any) -> str:
        """What the manifest of a pretrained student must show."""
        shown = without_paths(json.loads(self.pretraining_settings(wildcards)))
        return to_text(shown | {"arguments": {"extra_steps": self.extra_steps(wildcards)}})

    def model(self, wildcards: Any) -> list[str]:
        """A model by its name: STUDENT, STUDENT-STAGE, STUDENT-BASELINE or teacher-TEACHER."""
        name = wildcards.model
        if name == f"teacher-{self.settings.teacher.name}":
            return self.teacher
        for student in self.settings.students:
            if name.removeprefix(f"{student}-") in self.stages(student):
                return self.stage(student, name.removeprefix(f"{student}-"))
        known = [
            *self.settings.students,
            *(f"{student}-{arm}" for student in self.settings.students for arm in ARMS),
        ]
        if name not in known:
            stages = [
                f"{student}-{stage}" for student in self.settings.students for stage in self.stages(student)
            ]
            names = [*known, *stages, f"teacher-{self.settings.teacher.name}"]
            raise WorkflowError(f"no model is called {name}; there are {', '.join(names)}")
        return self.artifact(f"students/{name}/pretrained")

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines."""
        return [f"{student}-{arm}" for student in self.settings.students for arm in self.settings.baselines]

    @property
    def pretrained(self) -> list[str]:
        """Manifests of the finished students."""
        return [self.artifact(f"students/{student}/pretrained")[1] for student in self.settings.students]

    @property
    def scored(self) -> list[str]:
        """Names of the models that are scored."""
        teacher = [f"teacher-{self.settings.teacher.name}"] if self.settings.finetuning.teacher else []
        return [*teacher, *self.baselines, *self.settings.students]


def student_and_arm(model: str) -> tuple[str, str]:
    """`mini-scratch` -> ("mini", "scratch"); `mini` -> ("mini", "distilled")."""
    for arm in ARMS:
        if model.endswith(f"-{arm}"):
            return model.removesuffix(f"-{arm}"), arm
    return model, "distilled"
