"""The report: every file that it shows anything of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake.io import ancient

from mobilebert.settings import Settings, sections_of
from mobilebert.storage import download
from workflow.inputs.corpus import CorpusInputs
from workflow.inputs.exports import ExportInputs
from workflow.inputs.records import RecordsInputs
from workflow.inputs.sources import SourcesInputs
from workflow.inputs.stage import StageInputs, to_text
from workflow.inputs.students import StudentInputs
from workflow.inputs.tasks import TaskInputs
from workflow.inputs.teacher import TeacherInputs
from workflow.inputs.vocabulary import VocabularyInputs
from workflow.paths import manifest_of

# Settings of where and how, which shape no result.
OPERATION = {"checkpoint_seconds", "state_bucket", "on_nonfinite", "beam"}


class ReportInputs(StageInputs):
    """Of `write_report`."""

    def shown_settings(self, wildcards: Any = None) -> str:
        """The sections that the report shows: all that shape a result."""
        body = sections_of(self.settings, *(name for name in Settings.model_fields if name not in OPERATION))
        return to_text(body | {"sources": [download.shown(source) for source in self.settings.sources]})

    def artifacts(self, wildcards: Any = None) -> list[str]:
        """The artifacts of the run, folder and manifest: of the data only the manifest, of all others the
        files too.
        """
        settings, students, tasks = self.settings, StudentInputs(self.settings), TaskInputs(self.settings)
        exports = ExportInputs(self.settings)
        stages = [
            students.stage(student, stage)
            for student in settings.students
            for stage in students.stages(student)
        ]
        models = [
            self.artifact(f"students/{name}/pretrained") for name in [*settings.students, *students.baselines]
        ]
        scores = [self.artifact(folder) for folder in tasks.scores]
        finetuned = [self.artifact(folder.replace("scores/", "finetuned/", 1)) for folder in tasks.scores]
        folders = [TeacherInputs(settings).checked, *stages, *models, *finetuned, *scores]
        folders += [self.artifact(folder) for folder in exports.folders("checks")]
        manifests = [
            *self.data_manifests(),
            *(self.artifact(folder)[1] for folder in [*exports.folders(), *exports.teacher_folder()]),
        ]
        return [*(path for folder in folders for path in folder), *manifests]

    def files(self, wildcards: Any = None) -> list[str]:
        """Single files: what became of the text, the records' description, scores, timings, receipts."""
        exports, records = ExportInputs(self.settings), RecordsInputs(self.settings).folder()[0]
        folder = CorpusInputs(self.settings).folder()[0]
        corpus = [] if self.settings.records.from_ else [ancient(f"{folder}/funnel.json")]
        single = [*exports.timings, *exports.receipts]
        listed = [*corpus, ancient(f"{records}/records.json"), *TaskInputs(self.settings).table()]
        return [*listed, *map(ancient, single), *(manifest_of(path) for path in single)]

    def folder(self, wildcards: Any, output: Any) -> str:
        """The results folder that the report describes: the one where it is written."""
        return str(Path(output.page).parent)

    def data_manifests(self) -> list[str]:
        """The manifests of what lies before the teacher, and of the teacher before it was checked."""
        settings = self.settings
        teacher = TeacherInputs(settings).source(SimpleNamespace(teacher=settings.teacher.name))
        folders = [VocabularyInputs(settings).folder(), RecordsInputs(settings).folder(), teacher]
        folders += [self.artifact(f"tasks/{task}") for task in settings.tasks]
        if not settings.records.from_:
            folders.append(CorpusInputs(settings).folder())
            folders += (
                []
                if settings.corpus.from_
                else [SourcesInputs(settings).list(), SourcesInputs(settings).world()]
            )
        return [folder[1] for folder in folders if folder]
