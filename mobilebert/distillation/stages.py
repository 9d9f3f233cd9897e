"""The stages that train a teacher and a student: what each one starts from and what it learns."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from mobilebert import models
from mobilebert.distillation import fit, matching, recipes, teacher_states
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.transfer import JOINT, TransferObjective
from mobilebert.distillation.unbroken import Stage
from mobilebert.distillation.work import Extend, Plan, Work, carry_out
from mobilebert.errors import UserError
from mobilebert.models import checkpoints, shapes, weights
from mobilebert.settings import Transfer
from mobilebert.storage import artifacts
from mobilebert.training import state
from mobilebert.training.loop import Span

log = logging.getLogger(__name__)
AUXILIARY = "auxiliary"
COMMON = ("masking", "training", "seed")  # sections that every command here takes


def pretrain_teacher(options: Namespace) -> None:
    """Train a teacher on the records with plain masked language modelling (`scripts.pretrain_teacher`)."""
    work = Work(options, "teacher.shape", "teacher.training", *COMMON)
    name, optimization = work.sections["teacher.shape"], work.sections["teacher.training"]
    shape = work.shape(name)

    def make() -> tuple[Any, Any]:
        model = models.build(shape, work.seed("teacher"), compute_dtype=work.sections["training"].precision)
        return model, MaskedLmObjective(model)

    seed = work.seed("pretrain_teacher")
    carry_out(work, Plan("pretrain_teacher", f"pretrain_teacher-{name}", optimization, seed, make, {}, shape.to_config()))


def transfer_layer(options: Namespace) -> None:
    """Train one stage of knowledge transfer (`scripts.transfer_layer`)."""
    work = Work(options, "recipe", "transfer", "student", *COMMON)
    settings, recipe = work.sections["transfer"], work.sections["recipe"]
    start = Start(work, options, tables=work.sections["student"].tables_from_teacher, matched=settings)
    stage = Stage(options.stage, recipe, settings, start.shape.num_hidden_layers)  # refuses an unknown stage before anything is loaded

    def make() -> tuple[Any, Any]:
        student, teacher = start.make()
        objective = TransferObjective(student, teacher, settings, options.stage, recipe, work.seed("projection", options.student))
        stage.wait(student, objective)
        return student, objective

    def span(objective: Any) -> Span:
        return stage.continued(objective, start.inputs.get("previous"))

    seed = work.seed("transfer_layer", options.student)  # of all stages: batches go on from one to the next, or are the same

    def extending(objective: Any, taken: Span, lengths: Mapping[int, int]) -> AbstractContextManager[Extend | None]:
        return _kept_states(work, settings, objective, stage.optimization.batch_size, seed, taken, lengths)

    arguments = {"student": options.student, "stage": options.stage, **start.arguments}
    name = f"transfer_layer-{options.student}-{options.stage}"
    shape, inputs = start.shape.to_config(), start.inputs
    # Elsewhere reading would cost more than computing: docs/recipes.md.
    keeps = settings.same_batches and options.stage != JOINT and work.accelerator.kind == "CPU" and work.accelerator.devices == 1
    more = extending if keeps else None
    plan = Plan("transfer_layer", name, stage.optimization, seed, make, arguments, shape, inputs, False, span, goes_on=True, extending=more)
    carry_out(work, plan)


def pretrain_student(options: Namespace) -> None:
    """Train a student with masked language modelling, distilled or as a baseline (`scripts.pretrain_student`).

    The arms see the same batches and start from the same random weights; they differ in what is copied and in the loss.
    """
    work = Work(options, "recipe", "pretraining", "student", *COMMON)
    settings, recipe = work.sections["pretraining"], work.sections["recipe"]
    distilled = options.arm == "distilled"
    transfer = work.sections.get("transfer", Transfer())  # told only where it is part of this training's loss
    auxiliary = distilled and transfer.schedule == AUXILIARY
    tables = options.arm == "tables" or (distilled and work.sections["student"].tables_from_teacher)
    teaches = distilled and (settings.ground_truth_ratio < 1 or auxiliary)
    start = Start(work, options, tables=tables, goes_on=distilled, teaches=teaches, matched=transfer if auxiliary else None)
    steps = settings.training.steps + options.extra_steps
    optimization = recipes.filled(settings.training, recipe).model_copy(update={"steps": steps})

    def make() -> tuple[Any, Any]:
        student, teacher = start.make()
        seed = work.seed("projection", options.student)
        added = TransferObjective(student, teacher, transfer, JOINT, recipe, seed) if auxiliary else None
        ratio = settings.ground_truth_ratio if distilled else 1.0
        return student, MaskedLmObjective(student, teacher, ratio, transfer=added, next_sentence=settings.next_sentence)

    arguments = {"student": options.student, "arm": options.arm, "extra_steps": options.extra_steps, **start.arguments}
    name = f"pretrain_student-{options.student}-{options.arm}"
    seed = work.seed("pretrain_student", options.student)
    shape, inputs = start.shape.to_config(), start.inputs
    plan = Plan("pretrain_student", name, optimization, seed, make, arguments, shape, inputs, finish=MaskedLmObjective.hand_over)
    carry_out(work, plan)


class Start:
    """What a student starts from: an earlier stage, a given directory, or fresh weights with or without the teacher's tables.

    Attributes:
        shape: the student's.
        inputs: role -> artefact that is read.
        arguments: digests of a given student that is no artefact of ours.
    """

    def __init__(
        self,
        work: Work,
        options: Namespace,
        *,
        tables: bool,
        goes_on: bool = True,
        teaches: bool = True,
        matched: Transfer | None = None,
    ) -> None:
        """Choose, and check that teacher, student and records belong together.

        Args:
            work: the command's settings and records.
            options: its command line (`student`, `teacher`, `previous`).
            tables: copy the teacher's tables into fresh weights.
            goes_on: take what `--previous` or `student.from` names, if anything; else always fresh weights.
            teaches: whether the training needs the teacher.
            matched: what layers learn from layers, so that depth, heads and width must fit; None: nothing.

        Raises:
            UserError: a line for each thing that does not fit.
        """
        self._work, self._name = work, options.student
        self._previous = folder_of(options.previous) if goes_on else None
        given = work.sections["student"].from_
        self._given = Path(given) if given and goes_on and self._previous is None else None
        self._source = self._previous or self._given
        self._tables = tables and self._source is None
        self._teaches = teaches
        self.inputs: dict[str, Path] = {}
        self.arguments: dict[str, Any] = {}
        self.shape = read_shape(self._source) if self._source else work.shape(self._name)
        if self._previous:
            artifacts.read(self._previous, "model")
            self.inputs["previous"] = self._previous
        if given and self._source:  # as it lies there, or imported before
            expected = work.shape(self._name)
            fit.check_given(self.shape, expected, self._name, str(self._source / checkpoints.CONFIG))
        if self._given:
            files = [self._given / checkpoints.CONFIG, *sorted(self._given.glob("*.safetensors"))]
            self.arguments["from"] = {path.name: artifacts.sha256(path) for path in files}
        if self._tables or teaches:
            teacher = folder_of(options.teacher)
            if teacher is None:
                raise UserError("--teacher: missing; this training learns from a teacher, name its directory")
            artifacts.read(teacher, "model")
            self.inputs["teacher"] = teacher
            fit.check(read_shape(teacher), self.shape, self._name, layerwise=matching.shared(matched) if matched else False)
            fit.check_matches(matched, read_shape(teacher), self.shape, self._name)
            work.check_tokenizer(teacher)

    def make(self) -> tuple[Any, Any]:
        """The student, and the teacher (None where the training does not need it)."""
        work = self._work
        teacher = work.load(self.inputs["teacher"]) if "teacher" in self.inputs else None
        if self._source:
            log.info("student '%s' goes on from %s", self._name, self._source)
            student = work.load(self._source)
        else:
            # One seed for every arm: baselines differ from the distilled student in nothing but what they are told.
            student = models.build(self.shape, work.seed("student", self._name), compute_dtype=work.sections["training"].precision)
            copied = weights.copy_tables(teacher, student) if self._tables and teacher else []
            log.info("student '%s' starts afresh, with %d tables of the teacher", self._name, len(copied))
        return student, (teacher if self._teaches else None)


@contextmanager
def _kept_states(
    work: Work, settings: Transfer, objective: TransferObjective, batch_size: int, seed: int, taken: Span, lengths: Mapping[int, int]
) -> Iterator[Extend | None]:
    """What adds the teacher's outputs to a stage's batches, from a folder that lasts until no later stage needs it."""
    options, accelerator, teacher = work.options, work.accelerator, objective.teacher
    part = teacher_states.part(settings, objective.depth, teacher.shape.num_hidden_layers, objective.layers[-1])
    if part is None:
        log.info("%s compares all layers of the teacher at once, so they are computed in each step and none is kept", options.stage)
        yield None
        return
    told = {
        "masking": work.told["masking"],
        "precision": work.sections["training"].precision,
        "batch_size": batch_size,
        "seed": seed,
        "places": [taken.origin + taken.start, taken.origin + taken.stop],
        "lengths": {str(taken.origin + step): length for step, length in lengths.items()},
        "threads": accelerator.threads,
    }
    inputs = {"records": options.records, "teacher": folder_of(options.teacher) or ""}
    mark = state.fingerprint("teacher_states", told, inputs, accelerator.environment)
    with state.open_state(options.state, f"teacher_states-{options.student}", mark) as held:
        states = teacher_states.TeacherStates(held.folder, teacher, part, range(*told["places"]), options.teacher_states_gb * 1e9)
        log.info("%s: %s", options.stage, states.told())
        yield states.extended
        if not part.kept:
            held.finish()


def folder_of(arguments: Sequence[Path] | None) -> Path | None:
    """The folder of `--previous [DIR MANIFEST]`, as the rules give it: nothing before the first stage."""
    return arguments[0] if arguments else None


def read_shape(folder: Path) -> shapes.Shape:
    """The shape of the model in a folder.

    Raises:
        UserError: no config.json there, or none that is understood.
    """
    return shapes.from_config(checkpoints.read_config(folder), str(folder / checkpoints.CONFIG))
