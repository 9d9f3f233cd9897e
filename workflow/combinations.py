"""Settings that are right alone and wrong together, each as a line that says what to change."""

from __future__ import annotations

import difflib
import glob
import math
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import get_args

from mobilebert.corpus import against
from mobilebert.distillation import compatibility, layer_matching, recipes
from mobilebert.errors import UserError
from mobilebert.models import configs
from mobilebert.settings import SMALL_WORLD, Phase, Records, Settings, Student, TeacherShape
from workflow import paths
from workflow.external_inputs import artifact_manifest, config_of

# What would make a shape's name that of another model: mini-scratch, mini-layer01, teacher-small.
TAKEN = re.compile(r"^teacher-|-(?:scratch|tables|joint|layer[0-9]+)$")

# Text that is read 40 times teaches nothing more (Muennighoff et al. 2023); trials go far beyond.
MOST_PASSES = 1000
BYTES_A_TOKEN = 3  # a Han character in UTF-8


def conflicts(settings: Settings, faulty: Collection[str] = ()) -> list[str]:
    """A line for everything that does not go together.

    Args:
        settings: that are right, each alone.
        faulty: sections whose own settings are wrong, so that only the defaults stand there: checks that
            read one of them are left out.
    """
    return [line for check, read in CHECKS.items() if read.isdisjoint(faulty) for line in check(settings)]


def _places(settings: Settings) -> Iterator[str]:
    where, bucket = settings.beam, settings.state_bucket
    if bucket and not bucket.startswith("gs://"):
        yield (
            f"state_bucket: found {bucket}; expected gs://BUCKET/PREFIX, or null (checkpoints always lie "
            f"under state/, too)"
        )
    if where.runner == "dataflow" and "://" not in (where.work or ""):
        yield (
            f"beam.work: found {where.work}; Dataflow's workers see no local folder, so name a place "
            f"such as gs://BUCKET/PREFIX"
        )
    if any(option.split("=")[0] == "--runner" for option in where.pipeline_options):
        yield "beam.pipeline_options: --runner is what beam.runner says; remove it"
    to = settings.publish.to
    if to and "://" in to and not to.startswith("gs://"):
        yield f"publish.to: {to} is neither a folder nor gs://BUCKET/PREFIX"


def _text(settings: Settings) -> Iterator[str]:
    """The generated world is for trying out: no published recipe learns Chinese from it."""
    generated = any(source.from_ == SMALL_WORLD for source in settings.sources)
    if not generated or settings.corpus.from_ or settings.records.from_:
        return
    training = settings.pretraining.training
    read = training.steps * training.batch_size * settings.records.sequence_length
    passes = read * BYTES_A_TOKEN / (settings.small_world.megabytes * 1e6)
    if passes > MOST_PASSES:
        yield (
            f"sources: the text is the generated small_world, {settings.small_world.megabytes:g} MB that "
            f"{training.steps:,} steps of pretraining would read {passes:,.0f} times; name your own text"
        )


def _teacher_and_vocabulary(settings: Settings) -> Iterator[str]:
    teacher, vocabulary = settings.teacher, settings.vocabulary
    if teacher.kind != "pretrain" and teacher.path is None:
        what = "TF1 checkpoint (folder or prefix)" if teacher.kind == "tf1" else "transformers directory"
        yield f"teacher.path: missing; name the {what} of the teacher, or set teacher.kind to pretrain"
    if teacher.kind == "pretrain" and teacher.path is not None:
        yield (
            "teacher.path: a teacher is given, but teacher.kind is pretrain; set it to tf1 or "
            "transformers, or teacher.path to null"
        )
    if teacher.kind == "pretrain" and teacher.retrain_head:
        yield (
            "teacher.retrain_head: a teacher that is trained here has a trained head; set it to false, "
            "or give a teacher (teacher.kind)"
        )
    if teacher.kind != "pretrain" and vocabulary.kind != "teacher":
        yield (
            f"vocabulary.kind: '{vocabulary.kind}' with a given teacher; set it to teacher, since a "
            f"given teacher brings its vocabulary"
        )
    if teacher.kind == "pretrain" and vocabulary.kind == "teacher":
        yield (
            "vocabulary.kind: 'teacher' needs a given teacher; set it to learned or file, or "
            "teacher.kind to tf1 or transformers"
        )
    if vocabulary.kind == "file" and vocabulary.path is None:
        yield "vocabulary.path: missing; name the vocab.txt, or set vocabulary.kind to learned"


def _lists(settings: Settings) -> Iterator[str]:
    if len({source.name for source in settings.sources}) < len(settings.sources):
        yield "sources: two sources have the same name; give each its own"
    listed = {
        "students": settings.students,
        "baselines": settings.baselines,
        "tasks": settings.tasks,
        "export.formats": settings.export.formats,
        "corpus.against": settings.corpus.against,
    }
    for name, entries in listed.items():
        if len(set(entries)) < len(entries):
            yield f"{name}: an entry stands there twice"


def _trainings(settings: Settings) -> Iterator[str]:
    if settings.masking.max_predictions >= settings.records.sequence_length:
        yield "masking.max_predictions: must be smaller than records.sequence_length"
    trainings = {
        f"{name}.training": getattr(settings, name).training
        for name in ("teacher", "transfer", "pretraining")
    }
    for name, training in (trainings | {"teacher.head_training": settings.teacher.head_training}).items():
        if training.warmup_steps > training.steps:
            yield (
                f"{name}.warmup_steps: {training.warmup_steps}, but the training ends after "
                f"{training.steps} steps"
            )
        yield from _phases(f"{name}.phases", training.phases, settings.records)


def _phases(name: str, phases: list[Phase], records: Records) -> Iterator[str]:
    if (shares := math.fsum(phase.share for phase in phases)) >= 1:
        yield (
            f"{name}: the shares add up to {shares:g}; let less than 1 stand there, since the steps that "
            f"are left see whole records"
        )
    if phases and records.from_ and not Path(records.from_, "manifest.json").is_file():
        yield (
            f"{name}: classic records bring masks of their own and cannot be cut into shorter sequences; "
            f"empty this list"
        )
    for number, phase in enumerate(phases):
        if not records.from_ and phase.sequence_length >= records.sequence_length:
            setting = f"{name}[{number}].sequence_length"
            yield (
                f"{setting}: {phase.sequence_length}, but records.sequence_length is "
                f"{records.sequence_length}; a phase takes fewer tokens"
            )


def _measures(settings: Settings) -> Iterator[str]:
    """What held-out measures decide."""
    training = settings.training
    chosen = {"keep": "best" if training.keep == "best" else None, "early_stop": training.early_stop}
    for name, value in chosen.items():
        if value is not None and not training.evaluate_every:
            yield (
                f"training.{name}: {value} needs measures on the way; set training.evaluate_every to a "
                f"number of steps"
            )
        if (
            value is not None
            and recipes.RULES[settings.recipe].unbroken
            and settings.transfer.schedule == "progressive"
        ):
            usual = "last" if name == "keep" else "null"
            yield (
                f"training.{name}: {value}, but in the recipe {settings.recipe} a stage goes on from the "
                f"last step of the one before, "
                f"moments and all; set it to {usual}, or recipe to ours"
            )
    if training.early_stop is not None and settings.baselines:
        yield "training.early_stop: baselines are compared at equal steps; set it to null, or baselines to []"


def _transfer(settings: Settings) -> Iterator[str]:
    transfer = settings.transfer
    factors = [
        transfer.feature_map_factor,
        transfer.attention_factor,
        transfer.mean_factor,
        transfer.variance_factor,
    ]
    if transfer.schedule != "none" and not any(factors) and not transfer.matches:
        yield (
            "transfer: all four factors are 0, so nothing would be learnt; raise one, or set "
            "transfer.schedule to none"
        )
    if transfer.losses == "google_tf2" and transfer.schedule in ("joint", "auxiliary"):
        yield (
            "transfer.losses: google_tf2 is defined a layer at a time; set transfer.schedule to "
            "progressive, or take other losses"
        )
    expected, optimizer = recipes.RULES[settings.recipe].optimizer, transfer.training.optimizer
    if settings.recipe != "ours" and transfer.schedule == "progressive" and optimizer != expected:
        yield (
            f"transfer.training.optimizer: the recipe {settings.recipe} is defined with {expected}; set "
            f"it to null, or recipe to ours"
        )
    if settings.recipe == "google" and transfer.schedule == "progressive" and transfer.training.steps < 2:
        yield (
            "transfer.training.steps: the recipe google takes no step in a stage's first; set it to 2 or more"
        )


def _entries(settings: Settings) -> Iterator[str]:
    """What enters the road midway."""
    if settings.student.from_ and settings.transfer.schedule != "none":
        yield "student.from: a given student is not transferred again; set transfer.schedule to none"
    if settings.student.from_ and len(settings.students) > 1:
        yield "student.from: one directory cannot be several students; name one under students"
    if settings.records.next_sentence and settings.records.layout != "pairs":
        yield (
            f"records.next_sentence: needs pairs, found records.layout {settings.records.layout}; set "
            f"that to pairs, or this to false"
        )
    if settings.pretraining.next_sentence and not (settings.records.next_sentence or settings.records.from_):
        yield (
            "pretraining.next_sentence: these records will hold no labels for it; set "
            "records.next_sentence to true, or this to false"
        )
    words = settings.records.user_dictionary
    if words and not Path(words).is_file():
        yield f"records.user_dictionary: {words} is not there; name a text file with a word a line"
    yield from _records(settings.records.from_, settings)
    for folder in settings.corpus.against:
        if os.path.abspath(folder) == os.path.abspath(f"{paths.results(settings.run)}/corpus"):
            yield f"corpus.against: {folder} is what this run makes; name the corpora of other runs"
        elif why := against.check(folder, settings.corpus.near_duplicates, artifact_manifest(folder)):
            yield why
    for name in ("corpus", "vocabulary"):
        path = getattr(settings, name).from_
        if path and not Path(path, "manifest.json").is_file():
            folder = "tokenizer" if name == "vocabulary" else name
            yield f"{name}.from: {path} has no manifest.json; name the folder `{folder}` of another run"


def _records(path: str | None, settings: Settings) -> Iterator[str]:
    """Records of another run need its tokenizer; classic ones any that is not learned here, since their
    ids have their meaning.
    """
    if not path:
        return
    if Path(path, "manifest.json").is_file():
        if not settings.vocabulary.from_:
            yield "records.from: needs vocabulary.from too, the tokenizer that the records were written with"
        return
    if not Path(path).exists() and not glob.glob(path, recursive=True):
        yield (
            f"records.from: {path} is not there; name the folder `records` of another run, or a folder "
            f"or glob of classic BERT records"
        )
    if not settings.vocabulary.from_ and settings.vocabulary.kind == "learned":
        yield (
            "records.from: classic records need the vocabulary that they were made with; set "
            "vocabulary.kind to file or teacher"
        )


def _models(settings: Settings) -> Iterator[str]:
    yield from list(_shapes(settings)) or _fit(settings)


def _shapes(settings: Settings) -> Iterator[str]:
    """The user's own shapes, and the names that are asked for."""
    own = settings.shapes
    for name, path in own.items():
        setting_name = f"shapes.{name}"
        if name in configs.names():
            yield f"{setting_name}: there is a shape of that name already (docs/models.md); take another name"
        if TAKEN.search(name):
            yield (
                f"{setting_name}: names of stages, baselines and teachers are made so; take a name "
                f"without {TAKEN.search(name)[0]}"
            )
        try:
            size = config_of(settings, name).vocab_size
        except UserError as error:
            yield f"{setting_name}: {error}"
        else:
            if (
                settings.vocabulary.kind == "learned"
                and not settings.vocabulary.from_
                and size != settings.vocabulary.size
            ):
                yield (
                    f"{setting_name}: {path} has vocab_size {size}, vocabulary.size is "
                    f"{settings.vocabulary.size}; change one of them, "
                    "or vocabulary.kind"
                )
    students = [("students", name, get_args(Student)) for name in settings.students]
    for setting, name, known in [
        *students,
        ("teacher.shape", settings.teacher.shape, get_args(TeacherShape)),
    ]:
        if name not in (*known, *own):
            nearest = difflib.get_close_matches(name, [*known, *own], n=1, cutoff=0.6)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            yield (
                f"{setting}: found '{name}': expected {', '.join(known)}, or a name under shapes "
                f"({', '.join(own) or 'none yet'}){meant}"
            )


def _fit(settings: Settings) -> Iterator[str]:
    """A teacher that is trained here has a known shape; a given one is compared once it is read
    (`export_teacher`).
    """
    transfer = settings.transfer
    layerwise = [] if transfer.schedule == "none" else layer_matching.shared(transfer)
    wanted = {
        name: compatibility.needs(config_of(settings, name), layerwise=layerwise)
        for name in settings.students
    }
    config = config_of(settings, settings.teacher.shape) if settings.teacher.kind == "pretrain" else None
    first = settings.students[0]
    for name, needs in wanted.items():
        if config:
            yield from (
                f"students: {name} does not fit teacher.shape {settings.teacher.shape}: {line}"
                for line in compatibility.unmet(config, needs)
            )
        else:
            pairs = {
                compatibility.LAYERWISE[key]: (value, wanted[first][key])
                for key, value in needs.items()
                if key in compatibility.LAYERWISE
            }
            if unlike := [
                f"{value} {meaning} against {other}"
                for meaning, (value, other) in pairs.items()
                if value != other
            ]:
                yield (
                    f"students: {name} does not fit the teacher that {first} needs: {', '.join(unlike)}; "
                    f"change one of them"
                )
        if transfer.schedule != "none":
            yield from layer_matching.misfits(transfer, config, config_of(settings, name))


# What a check reads: it says nothing while one of these sections is wrong in itself.
CHECKS: dict[Callable[[Settings], Iterator[str]], set[str]] = {
    _places: {"beam", "state_bucket", "publish"},
    _text: {"sources", "small_world", "corpus", "records", "pretraining"},
    _teacher_and_vocabulary: {"teacher", "vocabulary"},
    _lists: {"sources", "students", "baselines", "tasks", "export"},
    _trainings: {"masking", "records", "teacher", "transfer", "pretraining"},
    _measures: {"training", "recipe", "transfer", "baselines"},
    _transfer: {"transfer", "recipe"},
    _entries: {"student", "students", "transfer", "records", "pretraining", "corpus", "vocabulary"},
    _models: {"shapes", "students", "teacher", "vocabulary", "transfer"},
}
