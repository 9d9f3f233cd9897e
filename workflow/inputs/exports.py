"""Exports, their checks and timings, and what is published."""

from __future__ import annotations

from typing import Any, get_args

from snakemake.io import ancient

from mobilebert.settings import sections_of
from workflow.inputs.stage import StageInputs, to_text
from workflow.paths import manifest_of


class ExportInputs(StageInputs):
    """Of `export_model`, `check_export`, `measure_latency`, `publish_model` and `verify_published`."""

    def shaping(self, wildcards: Any = None) -> str:
        """What shapes a single export: another format more changes nothing here."""
        shaping = {name: getattr(self.settings.export, name) for name in ("sequence_length", "tolerance")}
        return to_text({"export": shaping})

    def export(self, wildcards: Any) -> list[str]:
        """One export of a model."""
        return self.artifact(f"exports/{wildcards.model}/{wildcards.format}")

    @property
    def known_formats(self) -> list[str]:
        """All formats that a model can be exported in."""
        return list(get_args(get_args(type(self.settings.export).model_fields["formats"].annotation)[0]))

    def folders(self, kind: str = "exports") -> list[str]:
        """Folders of the students' exports, or of their `checks`, below the results."""
        return [
            f"{kind}/{student}/{name}"
            for student in self.settings.students
            for name in self.settings.export.formats
        ]

    @property
    def check_manifests(self) -> list[str]:
        """Manifests of the checks of all exports."""
        return [self.artifact(folder)[1] for folder in self.folders("checks")]

    def exports_of(self, wildcards: Any) -> list[str]:
        """Folders of one model's exports."""
        folder = f"{self.results}/exports/{wildcards.model}"
        return [ancient(f"{folder}/{name}") for name in self.settings.export.formats]

    def checks_of(self, wildcards: Any) -> list[str]:
        """Folders of the checks of one model's exports."""
        folder = f"{self.results}/checks/{wildcards.model}"
        return [ancient(f"{folder}/{name}") for name in self.settings.export.formats]

    def manifests_of(self, wildcards: Any) -> list[str]:
        """The manifests of one model's exports and checks."""
        return [manifest_of(folder) for folder in [*self.exports_of(wildcards), *self.checks_of(wildcards)]]

    def upload(self, wildcards: Any) -> list[str]:
        """The manifest of what a publishing recorded."""
        return [manifest_of(f"{self.results}/uploads/{wildcards.model}.json")]

    def publish_settings(self, wildcards: Any = None) -> str:
        """Where and under which licences: of the model, and of each source that the run's text is from,
        for the card.
        """
        other = self.settings.corpus.from_ or self.settings.records.from_
        licences = {} if other else {source.name: source.licence for source in self.settings.sources}
        return to_text(sections_of(self.settings, "publish") | {"licences": licences})

    def teacher_folder(self, kind: str = "exports") -> list[str]:
        """Folder of the teacher's TFLite file, which is only timed, or of its `latency`; none if off."""
        shown = self.settings.export.teacher and "tflite" in self.settings.export.formats
        return [f"{kind}/teacher-{self.settings.teacher.name}/tflite"] if shown else []

    @property
    def timings(self) -> list[str]:
        """The timings of the exports; a TF1 checkpoint is the transformers directory's network again."""
        folders = [*self.folders("latency"), *self.teacher_folder("latency")]
        return [f"{self.results}/{folder}.json" for folder in folders if not folder.endswith("/tf1")]

    @property
    def receipts(self) -> list[str]:
        """The receipts of what is published; none where publishing is switched off."""
        return (
            [f"{self.results}/published/{student}.json" for student in self.settings.students]
            if self.settings.publish.to
            else []
        )
