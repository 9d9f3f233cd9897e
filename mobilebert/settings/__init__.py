"""Every setting: its type, default, unit, meaning and source. Checks, the JSON schema and docs/settings.md
come from here.

Sections stand in pipeline order. A rule receives only the sections that it names (`to_json`, `parse`), so a
changed setting reruns the stages that use it and what follows them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from mobilebert.errors import UserError
from mobilebert.settings.data import Beam, Corpus, Masking, Records, SmallWorld, Source, Vocabulary
from mobilebert.settings.fields import (
    SMALL_WORLD,
    Count,
    MaybePathOrUrl,
    Name,
    Number,
    PathOrUrl,
    Section,
    setting,
)
from mobilebert.settings.models import (
    Match,
    Optimization,
    Phase,
    Pretraining,
    Recipe,
    Schedule,
    StudentStart,
    Teacher,
    TeacherShape,
    Training,
    Transfer,
)
from mobilebert.settings.refusals import lines
from mobilebert.settings.tasks import Finetuning, TaskFiles, TaskSettings, TaskTable, TaskTraining

__all__ = [
    "SMALL_WORLD",
    "Baseline",
    "Beam",
    "Corpus",
    "Export",
    "Finetuning",
    "Masking",
    "Match",
    "Optimization",
    "Phase",
    "Pretraining",
    "Publish",
    "Recipe",
    "Records",
    "Schedule",
    "Settings",
    "SmallWorld",
    "Source",
    "Student",
    "StudentStart",
    "Task",
    "TaskFiles",
    "TaskSettings",
    "TaskTable",
    "TaskTraining",
    "Teacher",
    "TeacherShape",
    "Training",
    "Transfer",
    "Vocabulary",
    "derive_seed",
    "load_sections",
    "own_shapes",
    "parse",
    "sections_of",
    "setting",
    "to_json",
    "without_paths",
]

Task = Literal["chnsenticorp", "cmrc2018"]
Student = Literal["base-f2", "base-f4", "large-f2", "large-f4", "opt", "opt-qat", "tiny", "mini"]
Baseline = Literal["scratch", "tables"]


class Export(Section):
    """Forms that people load."""

    formats: list[Literal["transformers", "tflite", "tf1"]] = setting(
        "What to write", ["transformers", "tflite"], min_length=1
    )
    sequence_length: Count = setting("Fixed length of the TFLite input", 128, unit="tokens", ge=16, le=512)
    tolerance: Number = setting("Largest relative difference between an export and the model", 0.0001, gt=0)
    teacher: bool = setting(
        "Time the teacher too, as TFLite beside the students' (it is not published)", True
    )


class Publish(Section):
    """Where finished models go."""

    to: MaybePathOrUrl = setting("A folder or `gs://bucket/prefix`; null publishes nothing", "published")
    version: Name = setting(
        "`auto`: named by the digest of what is published; a version is immutable", "auto"
    )
    licence: str = setting("Licence of the model, for the card", "apache-2.0")


class Settings(Section):
    """All settings of a run, in pipeline order."""

    run: Name = setting("Name of the run: results lie under results/RUN", "demo")
    seed: Count = setting("The one seed; each stage derives its own from it by name", 20, ge=0, lt=2**31)
    checkpoint_seconds: Number = setting(
        "Time between checkpoints of a training (0: after every call)", 600, unit="s", ge=0
    )
    state_bucket: MaybePathOrUrl = setting(
        (
            "`gs://bucket/prefix` that holds copies of the checkpoints, so that another machine can go on; "
            "null: they lie on this one only"
        ),
        None,
    )
    on_nonfinite: Literal["stop", "skip"] = setting(
        (
            "When a training's loss or gradient is no finite number: stop and name the records, or leave "
            "such "
            "steps out and count them"
        ),
        "stop",
    )
    beam: Beam = setting("Where pipelines run", Beam())
    small_world: SmallWorld = setting("The generated world", SmallWorld())
    sources: list[Source] = setting(
        "Raw text", [Source.model_validate({"name": SMALL_WORLD, "from": SMALL_WORLD})], min_length=1
    )
    corpus: Corpus = setting("Cleaning and deduplication", Corpus())
    vocabulary: Vocabulary = setting("Tokenizer", Vocabulary())
    records: Records = setting("Token records", Records())
    masking: Masking = setting("Masks", Masking())
    training: Training = setting("How every training runs", Training())
    shapes: dict[Name, PathOrUrl] = setting(
        (
            "Your own for `students` and `teacher.shape`: a name for a configuration "
            "(`student_base_f2.json`, "
            "`bert_config.json`)"
        ),
        {},
    )
    teacher: Teacher = setting("Teacher", Teacher())
    students: list[Student | Name] = setting(
        "Students to make, by shape: these or one of `shapes`", ["mini"], min_length=1
    )
    student: StudentStart = setting("What students start from", StudentStart())
    recipe: Recipe = setting("Whose arithmetic transfer and pretraining follow (docs/recipes.md)", "ours")
    transfer: Transfer = setting("Knowledge transfer", Transfer())
    pretraining: Pretraining = setting("Pretraining distillation", Pretraining())
    baselines: list[Baseline] = setting(
        "Same student and steps without distillation: from random weights, from the teacher's tables", []
    )
    tasks: list[Task] = setting("Tasks to score on", ["chnsenticorp", "cmrc2018"])
    task: TaskTable = setting("Settings of each task", TaskTable())
    finetuning: Finetuning = setting("Finetuning", Finetuning())
    export: Export = setting("Exports", Export())
    publish: Publish = setting("Publishing", Publish())


def derive_seed(seed: int, *names: str | int) -> int:
    """A stage's own seed in [0, 2**31), from the run's seed and the stage's name."""
    text = "/".join(str(label) for label in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def sections_of(settings: Settings, *names: str) -> dict[str, Any]:
    """The named sections (dots reach inside: `task.cmrc2018`) as JSON values, by name."""
    body: dict[str, Any] = {}
    for name in names:
        value: Any = settings
        for field in name.split("."):
            value = getattr(value, field)
        body[name] = _plain(value)
    return body


def to_json(settings: Settings, *names: str) -> str:
    """`sections_of` as JSON with sorted keys, for a rule's params."""
    return json.dumps(sections_of(settings, *names), ensure_ascii=False, sort_keys=True)


def load_sections(text: str) -> dict[str, Any]:
    """The sections that `to_json` wrote, by name, as JSON values.

    Raises:
        UserError: it is no JSON object.
    """
    try:
        sections = json.loads(text)
    except ValueError as error:
        raise UserError(f"settings: not JSON ({error}): {text[:80]}") from None
    if not isinstance(sections, dict):
        raise UserError(f'settings: a JSON object is expected, such as {{"seed": 20}}: {text[:80]}')
    return sections


def parse(text: str) -> Settings:
    """What `to_json` wrote, with defaults where it says nothing.

    Args:
        text: sections by name, as JSON; `shapes` is left out, since a command receives there what
            `own_shapes` returns.

    Raises:
        UserError: it is no JSON object of sections, or a setting is wrong.
    """
    body: dict[str, Any] = {}
    for name, value in sorted(load_sections(text).items()):  # a whole section before what stands beside it
        if name == "shapes":
            continue
        *outer, last = name.split(".")
        block = body
        for one in outer:
            block = block.setdefault(one, {})
            if not isinstance(block, dict):
                raise UserError(f"settings: {name}: {one} is no section, found {block!r}")
        block[last] = value
    try:
        return Settings.model_validate(body)
    except ValidationError as error:
        raise UserError(f"settings: {'; '.join(lines(error, Settings))}") from None


def own_shapes(text: str) -> dict[str, Any]:
    """Configurations of the user's own shapes by name, which stand beside the sections as `shapes`.

    Raises:
        UserError: something else stands there, such as the name of a file.
    """
    shapes: dict[str, Any] = load_sections(text).get("shapes", {})
    if not isinstance(shapes, dict) or not all(isinstance(config, dict) for config in shapes.values()):
        raise UserError(f"settings: shapes: names with the content of their files are expected: {shapes!r}")
    return shapes


def without_paths(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Sections as JSON values, by name, as manifests show them: where a given student, other corpora or
    test files lie is not part of what they are; their digests stand in the manifest instead.
    """
    left_out = {"corpus": {"from", "against", "decontaminate"}, "student": {"from"}}
    return {
        name: {key: one for key, one in value.items() if key not in left_out[name]}
        if name in left_out
        else value
        for name, value in sections.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
