"""All tasks by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from mobilebert.tasks import reading
from mobilebert.tasks.columns import Columns
from mobilebert.tasks.examples import Split


class Reader(Protocol):
    """Reads one file of a task; `training` says whether answers without a place are of use."""

    def __call__(self, path: Path, split: str, *, training: bool) -> Split: ...


@dataclass(frozen=True)
class Task:
    """One task: its kind, labels (number = place in the tuple), metrics, reader, and its files in the
    small world.
    """

    name: str
    kind: Literal["classification", "reading"]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    read: Reader
    world: Mapping[str, str]


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "chnsenticorp": Task(
            name="chnsenticorp",
            kind="classification",
            labels=("negative", "positive"),
            metrics=("accuracy",),
            read=Columns(
                ("label", "text_a"), MappingProxyType({"0": 0, "1": 1}), text="text_a", label="label"
            ).read,
            world=MappingProxyType(
                {"train": "tasks/chnsenticorp/train.tsv", "dev": "tasks/chnsenticorp/dev.tsv"}
            ),
        ),
        "cmrc2018": Task(
            name="cmrc2018",
            kind="reading",
            labels=(),
            metrics=("em", "f1"),
            read=reading.read,
            world=MappingProxyType({"train": "tasks/cmrc2018/train.json", "dev": "tasks/cmrc2018/dev.json"}),
        ),
    }
)
