"""Token records, written here or imported from classic BERT records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobilebert.corpus.sources import discovery, listing
from mobilebert.settings import derive_seed, sections_of
from workflow import paths
from workflow.external_inputs import digests, existing, is_artifact, trackable
from workflow.inputs.stage import StageInputs, to_text


class RecordsInputs(StageInputs):
    """Of `write_records`, `import_records` and `export_records`; and the records for those that read them."""

    def folder(self, wildcards: Any = None) -> list[str]:
        """The token records, of this run or another."""
        source = self.settings.records.from_
        if source and not is_artifact(source):
            return self.artifact("imported_records")
        return paths.artifact(source or f"{self.results}/records")

    def classic_path(self, wildcards: Any = None) -> str:
        """Where somebody else's records are, whether any are there or not."""
        return self.settings.records.from_ or ""

    def classic_files(self, wildcards: Any = None) -> list[str]:
        """Somebody else's records, where the settings name any."""
        source = self.settings.records.from_
        return trackable(discovery.find(source).files) if source and not is_artifact(source) else []

    @property
    def exported(self) -> list[str]:
        """The records for other programs, if they are asked for."""
        return self.artifact("exported_records")[1:] if self.settings.records.export else []

    def shaping(self, wildcards: Any = None) -> str:
        """What shapes the records: not where they come from, nor what is made of them later."""
        return to_text({"records": self.settings.records.shaping(), "seed": self.settings.seed})

    def manifest_settings(self, wildcards: Any = None) -> str:
        """What the manifest of written records must show: the user's words too, by their digest."""
        files = digests(Path(path) for path in self.dictionary())
        return self._manifest_settings("write_records", files=sorted(files.values()))

    def import_manifest_settings(self, wildcards: Any = None) -> str:
        """What the manifest of imported records must show: also which files of what size they are from."""
        return self._manifest_settings("import_records", listing=listing.listing(self.classic_files()))

    def export_manifest_settings(self, wildcards: Any = None) -> str:
        """What the manifest of exported records must show."""
        body = sections_of(self.settings, "masking", "records.dupe_factor")
        return to_text(body | {"seed": derive_seed(self.settings.seed, "export_records")})

    def _manifest_settings(self, rule: str, **more: Any) -> str:
        """A manifest of records shows the stage's own seed."""
        return to_text(
            {
                "records": self.settings.records.shaping(),
                "seed": derive_seed(self.settings.seed, rule),
                **more,
            }
        )

    def dictionary_path(self, wildcards: Any = None) -> str:
        """The user's words, whether the file is there or not."""
        return self.settings.records.user_dictionary or ""

    def dictionary(self, wildcards: Any = None) -> list[str]:
        """The user's words, if the file is there."""
        return existing(self.settings.records.user_dictionary)
