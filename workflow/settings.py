"""From Snakemake's merged configuration to checked settings, and from settings to what a rule receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from snakemake.exceptions import WorkflowError

from mobilebert.distillation import recipes
from mobilebert.settings import Settings, refusals, to_json
from workflow import combinations, yaml_files


def load(config: Mapping[str, Any], files: Iterable[str | Path]) -> Settings:
    """The checked settings of this run.

    Args:
        config: what Snakemake merged from config.yaml, --configfile and --config.
        files: the configuration files, for what Snakemake reads from them without a word (`yaml_files`).

    Raises:
        WorkflowError: one readable line for each thing that is wrong, before any job runs.
    """
    conflicts = [line for file in files for line in yaml_files.faults(Path(file))]
    try:
        settings = recipes.resolve(Settings.model_validate(config))
    except ValidationError as error:
        conflicts += refusals.lines(error, Settings)
        faulty = {str(problem["loc"][0]) for problem in error.errors()}
        rest = Settings.model_validate({name: value for name, value in config.items() if name not in faulty})
        conflicts += combinations.conflicts(recipes.resolve(rest), faulty)
    else:
        conflicts += combinations.conflicts(settings)
    if conflicts:
        raise WorkflowError(
            "\n".join(
                [
                    "The settings need mending (docs/settings.md lists them all):",
                    *(f"  {line}" for line in conflicts),
                ]
            )
        )
    return settings


def section(settings: Settings, *names: str) -> Callable[[Any], str]:
    """A function for `params`: Snakemake would read the braces of a plain JSON text as wildcards."""
    text = to_json(settings, *names)
    return lambda wildcards: text
