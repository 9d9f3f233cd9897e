"""A task's files -> the `task` artifact: `train.jsonl`, `dev.jsonl`, `task.json`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.settings import SMALL_WORLD, TaskFiles
from mobilebert.storage import artifacts
from mobilebert.tasks import shared_texts
from mobilebert.tasks.examples import Classification, Reading, Split
from mobilebert.tasks.registry import TASKS, Task

SPLITS = ("train", "dev")


def find(name: str) -> Task:
    """The task of that name; UserError with all names, if there is none."""
    if name not in TASKS:
        raise UserError(f"task '{name}' is not known; the tasks are {', '.join(TASKS)}")
    return TASKS[name]


def inputs_of(files: TaskFiles, world: Path | None) -> dict[str, Path]:
    """The artifacts that the task is made of: the small world, if a file comes from there."""
    if SMALL_WORLD not in (files.train, files.dev):
        return {}
    if world is None:
        raise UserError(
            "task files come from the small world (task.NAME.files), but --world does not say where it lies"
        )
    artifacts.read(world, "small_world")
    return {"world": world}


def settings_of(
    name: str, files: TaskFiles, digest: Callable[[str], str] = artifacts.sha256
) -> dict[str, Any]:
    """What the manifest says of the stage: a file of the user's by `digest` instead of by path."""
    manifest_settings: dict[str, Any] = {"task": find(name).name}
    for split in SPLITS:
        file = getattr(files, split)
        # A missing file is refused by its reader, which says more.
        manifest_settings[split] = file if file == SMALL_WORLD or not Path(file).is_file() else digest(file)
    return manifest_settings


def prepare(writer: artifacts.Writer, name: str, files: TaskFiles, world: Path | None) -> None:
    """Read both files of the task and write them in our line form; counts go to the manifest, those of texts
    that the two share among them.
    """
    task = find(name)
    examples: dict[str, list[Classification] | list[Reading]] = {}
    for split in SPLITS:
        file = getattr(files, split)
        path = Path(file) if file != SMALL_WORLD else (world or Path()) / task.world[split]
        read = task.read(path, split, training=split == "train")
        examples[split] = read.examples
        with writer.path(f"{split}.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
            for example in read.examples:
                stream.write(json.dumps(example.to_json(), ensure_ascii=False) + "\n")
        writer.counts[split] = dict(sorted(read.counts.items())) | _majority(read)
    shared = shared_texts.count(examples["train"], examples["dev"])
    shared_texts.warn(name, shared, len(examples["dev"]))
    writer.counts["shared"] = shared
    body = {"name": task.name, "kind": task.kind, "labels": list(task.labels), "metrics": list(task.metrics)}
    writer.path("task.json").write_text(
        json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


def _majority(read: Split) -> dict[str, float]:
    """The share of the commonest label: what answering always the same would score."""
    labels = Counter(example.label for example in read.examples if isinstance(example, Classification))
    return {"majority": round(max(labels.values()) / labels.total(), 6)} if labels else {}
