"""What the inputs of every stage share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mobilebert.settings import Settings
from workflow import paths


@dataclass(frozen=True)
class StageInputs:
    """The settings of a run, and where its artifacts lie."""

    settings: Settings

    @property
    def results(self) -> str:
        """Folder of the run's artifacts."""
        return paths.results(self.settings.run)

    def artifact(self, folder: str) -> list[str]:
        """An artifact of this run as an input, by its folder below the results."""
        return paths.artifact(f"{self.results}/{folder}")


def to_text(body: Any) -> str:
    """Canonical JSON of what a command receives: another order of keys is no change."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True)
