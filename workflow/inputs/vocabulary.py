"""The tokenizer that teacher and student share."""

from __future__ import annotations

from typing import Any

from mobilebert.settings import sections_of
from workflow import paths
from workflow.external_inputs import existing
from workflow.inputs.stage import StageInputs, to_text


class VocabularyInputs(StageInputs):
    """Of `learn_vocabulary` and `import_vocabulary`; and the tokenizer for those that read it."""

    def learning_settings(self, wildcards: Any = None) -> str:
        """What shapes a learned vocabulary, with the casing that `auto` stands for."""
        body = sections_of(self.settings, "vocabulary", "seed")
        body["vocabulary"]["lowercase"] = self.settings.vocabulary.learns_lowercase
        return to_text(body)

    def source_path(self, wildcards: Any = None) -> str:
        """Where the vocabulary comes from, whether it is there or not."""
        return (
            self.settings.vocabulary.path
            if self.settings.vocabulary.kind == "file"
            else self.settings.teacher.path
        ) or ""

    def source(self, wildcards: Any = None) -> list[str]:
        """The vocab.txt or the given teacher that brings the vocabulary, if it is there."""
        return existing(self.source_path())

    def import_settings(self, wildcards: Any = None) -> str:
        """What shapes an imported vocabulary."""
        vocabulary = self.settings.vocabulary
        return to_text({"vocabulary": {"kind": vocabulary.kind, "lowercase": vocabulary.others_lowercase}})

    def casing(self, wildcards: Any = None) -> str:
        """What the import of a given student is told of its vocabulary."""
        return to_text({"vocabulary.lowercase": self.settings.vocabulary.others_lowercase})

    def folder(self, wildcards: Any = None) -> list[str]:
        """The tokenizer, of this run or another."""
        return paths.artifact(self.settings.vocabulary.from_ or f"{self.results}/tokenizer")
