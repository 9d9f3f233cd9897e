"""Raw text: the small world, fetched sources, and the user's own files."""

from __future__ import annotations

from typing import Any

from snakemake.io import ancient

from mobilebert.corpus.sources import discovery, listing
from mobilebert.settings import SMALL_WORLD
from mobilebert.storage import download
from workflow import paths
from workflow.external_inputs import trackable
from workflow.inputs.stage import StageInputs, to_text


class SourcesInputs(StageInputs):
    """Of `fetch_source` and `list_sources`."""

    def world(self, wildcards: Any = None) -> list[str]:
        """The small world, where a source names it."""
        named = any(source.from_ == SMALL_WORLD for source in self.settings.sources)
        return self.artifact("small_world") if named else []

    @property
    def fetched(self) -> list[str]:
        """The names of the sources that are fetched."""
        return [source.name for source in self.settings.sources if source.from_.startswith(discovery.REMOTE)]

    def downloads(self, wildcards: Any = None) -> list[str]:
        """The folders of fetched sources."""
        return [self.artifact(f"downloads/{name}")[0] for name in self.fetched]

    def download_manifests(self, wildcards: Any = None) -> list[str]:
        """Their manifests, which decide on reruns."""
        return [self.artifact(f"downloads/{name}")[1] for name in self.fetched]

    def files(self, wildcards: Any = None) -> list[str]:
        """The files of local sources that are there; `list_sources` says which source has none."""
        return trackable(listing.local_files(self.settings.sources))

    def texts(self, wildcards: Any = None) -> list[str]:
        """All files that the list names, brought to where they are read; the list decides on reruns."""
        return [ancient(str(path)) for path in [*self.world()[:1], *self.downloads(), *self.files()]]

    def download_settings(self, wildcards: Any) -> str:
        """What decides on the bytes of the source that is fetched."""
        chosen = [source for source in self.settings.sources if source.name == wildcards.source]
        return to_text(
            {"sources": [{"name": one.name, "from": one.from_, "sha256": one.sha256} for one in chosen]}
        )

    def download_manifest_settings(self, wildcards: Any) -> str:
        """What the manifest of a fetched source must show: no secret of its address."""
        chosen = [source for source in self.settings.sources if source.name == wildcards.source]
        return to_text({"sources": [download.described(source) for source in chosen]})

    def manifest_settings(self, wildcards: Any = None) -> str:
        """What the manifest of the list must show: the sources, and which files of what size they are now."""
        body = {"sources": [download.shown(source) for source in self.settings.sources]}
        return to_text(body | {"listing": listing.listing(listing.local_files(self.settings.sources))})

    def list(self, wildcards: Any = None) -> list[str]:
        """The list of all source files."""
        return paths.artifact(f"{self.results}/sources")
