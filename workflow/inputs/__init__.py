"""What the rules of each stage take: a module a stage, as in rules/.

Methods that take `wildcards` are Snakemake's input functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mobilebert.settings import Settings
from workflow import paths
from workflow.freshness import Freshness
from workflow.inputs.corpus import CorpusInputs
from workflow.inputs.exports import ExportInputs
from workflow.inputs.records import RecordsInputs
from workflow.inputs.report import ReportInputs
from workflow.inputs.sources import SourcesInputs
from workflow.inputs.students import StudentInputs
from workflow.inputs.tasks import TaskInputs
from workflow.inputs.teacher import TeacherInputs
from workflow.inputs.vocabulary import VocabularyInputs


@dataclass(frozen=True)
class Inputs:
    """The inputs of all stages of a run."""

    settings: Settings
    bucket: str | None = None  # gs://bucket/prefix, where Snakemake keeps artifacts there

    @property
    def sources(self) -> SourcesInputs:
        """Raw text."""
        return SourcesInputs(self.settings)

    @property
    def corpus(self) -> CorpusInputs:
        """Cleaned documents."""
        return CorpusInputs(self.settings)

    @property
    def vocabulary(self) -> VocabularyInputs:
        """The tokenizer."""
        return VocabularyInputs(self.settings)

    @property
    def records(self) -> RecordsInputs:
        """Token records."""
        return RecordsInputs(self.settings)

    @property
    def teacher(self) -> TeacherInputs:
        """The teacher."""
        return TeacherInputs(self.settings)

    @property
    def students(self) -> StudentInputs:
        """Students and baselines."""
        return StudentInputs(self.settings)

    @property
    def tasks(self) -> TaskInputs:
        """Tasks, finetuned models, scores."""
        return TaskInputs(self.settings)

    @property
    def exports(self) -> ExportInputs:
        """Exports, and what is published of them."""
        return ExportInputs(self.settings)

    @property
    def report(self) -> ReportInputs:
        """The report."""
        return ReportInputs(self.settings)

    @property
    def training_environment(self) -> str:
        """The conda environment of the rules that train: TensorFlow for TPUs is another package."""
        return f"../envs/{'tpu' if self.settings.training.accelerator == 'tpu' else 'train'}.yaml"

    @cached_property
    def freshness(self) -> Freshness:
        """What the manifests of this run say."""
        corpus = self.settings.corpus
        others = (corpus.from_, self.settings.vocabulary.from_, self.settings.records.from_, *corpus.against)
        return Freshness(paths.results(self.settings.run), others, self.bucket)
