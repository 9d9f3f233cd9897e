"""The teacher: trained here or imported, then checked."""

from __future__ import annotations

import json
from typing import Any

from mobilebert.distillation import compatibility, layer_matching
from mobilebert.settings import sections_of
from workflow.external_inputs import config_of, existing, with_config
from workflow.inputs.stage import StageInputs, to_text


class TeacherInputs(StageInputs):
    """Of `pretrain_teacher`, `import_teacher`, `retrain_head` and `export_teacher`; and the teacher for
    those that learn from it.
    """

    def path(self, wildcards: Any) -> list[str]:
        """Where the given teacher lies, whether it is there or not; nothing for one that is trained here."""
        return [self.settings.teacher.path] if self.settings.teacher.path else []

    def original(self, wildcards: Any) -> list[str]:
        """The given teacher's files, if they are there."""
        return existing(self.settings.teacher.path)

    def original_path(self, wildcards: Any) -> str:
        """Where the given teacher lies; "" for one that is trained here."""
        return self.settings.teacher.path or ""

    def imported(self, wildcards: Any) -> list[str]:
        """The given teacher after its import."""
        return self.artifact(f"teacher_sources/imported/{wildcards.teacher}")

    def source(self, wildcards: Any) -> list[str]:
        """The teacher before it is checked."""
        return self.artifact(f"teacher_sources/{self.source_kind}/{wildcards.teacher}")

    def import_settings(self, wildcards: Any = None) -> str:
        """The settings of an import, its tokenizer's casing among them."""
        body = sections_of(self.settings, "teacher.kind", "teacher.retrain_head")
        return to_text(body | {"vocabulary.lowercase": self.settings.vocabulary.others_lowercase})

    @property
    def source_kind(self) -> str:
        """What was done to the teacher before it is checked: "pretrained", "retrained" or "imported"."""
        teacher = self.settings.teacher
        return (
            "pretrained"
            if teacher.kind == "pretrain"
            else "retrained"
            if teacher.retrain_head
            else "imported"
        )

    @property
    def checked(self) -> list[str]:
        """The checked teacher."""
        return self.artifact(f"teachers/{self.settings.teacher.name}")

    def pretraining_settings(self, wildcards: Any) -> str:
        """The settings of the teacher's pretraining."""
        shape = self.settings.teacher.shape
        return with_config(
            self.settings, shape, "teacher.shape", "teacher.training", "masking", "training", "seed"
        )

    def manifest_settings(self, wildcards: Any) -> str:
        """What the manifest of the checked teacher must show."""
        body = sections_of(self.settings, "teacher.min_head_lift", "masking", "training", "seed")
        return to_text(body | {"needs": json.loads(self.needs(wildcards))})

    def needs(self, wildcards: Any) -> str:
        """What the students ask of the teacher, as JSON; no student's name is in it, so another one that
        asks the same reruns nothing.
        """
        transfer = self.settings.transfer
        layerwise = [] if transfer.schedule == "none" else layer_matching.shared(transfer)
        needs = set()
        for config in (config_of(self.settings, student) for student in self.settings.students):
            least = (
                1
                if transfer.schedule == "none"
                else layer_matching.least_layers(transfer, config.num_hidden_layers)
            )
            need = compatibility.needs(config, layerwise=layerwise) | (
                {compatibility.LEAST_LAYERS: least} if least > 1 else {}
            )
            needs.add(json.dumps(need, sort_keys=True))
        return to_text([json.loads(text) for text in sorted(needs)])
