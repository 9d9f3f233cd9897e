"""Cleaned documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakemake.io import ancient

from mobilebert.corpus.sources import discovery
from mobilebert.settings import SMALL_WORLD, sections_of, without_paths
from mobilebert.storage import paths as storage_paths
from workflow import paths
from workflow.external_inputs import digests, trackable
from workflow.inputs.stage import StageInputs, to_text


class CorpusInputs(StageInputs):
    """Of `clean_corpus`; and the corpus for those that read it."""

    def test_world(self, wildcards: Any = None) -> list[str]:
        """The small world, where its test files must not be in the corpus."""
        return self.artifact("small_world") if SMALL_WORLD in self.settings.corpus.decontaminate else []

    def test_files(self, wildcards: Any = None) -> list[str]:
        """The user's test files that must not be in the corpus, those that are there; `clean_corpus` says
        which name has none.
        """
        named = [name for name in self.settings.corpus.decontaminate if name != SMALL_WORLD]
        files = [file for name in named for file in discovery.find(name).files]
        return [ancient(file) for file in trackable(files)]

    def against(self, wildcards: Any = None) -> list[str]:
        """The other corpora whose documents must not be in this one, where they lie on this machine."""
        local = filter(storage_paths.is_local, self.settings.corpus.against)
        return [path for folder in local for path in paths.artifact(folder)]

    def against_manifests(self, wildcards: Any = None) -> list[str]:
        """The manifests of all of them, which decide on reruns."""
        return [paths.manifest_of(folder) for folder in self.settings.corpus.against]

    def manifest_settings(self, wildcards: Any = None) -> str:
        """What the manifest must show: the settings, and the test files by digest instead of by path."""
        files = digests(Path(file) for file in self.test_files())
        shown = without_paths(sections_of(self.settings, "corpus"))
        return to_text(shown | {"files": sorted(set(files.values()))})

    def folder(self, wildcards: Any = None) -> list[str]:
        """The cleaned documents, of this run or another."""
        return paths.artifact(self.settings.corpus.from_ or f"{self.results}/corpus")
