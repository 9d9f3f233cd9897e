"""The stages that train a teacher and a student: what each one starts from and what it learns."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mobilebert import models
from mobilebert.distillation import compatibility, layer_matching
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.runs import Configurations, RecordsInput, TrainingPlan, TrainingRun, run_training
from mobilebert.distillation.stage_schedule import Stage
from mobilebert.distillation.transfer import JOINT, TransferObjective
from mobilebert.errors import UserError
from mobilebert.models import configs
from mobilebert.models.checkpoints import tensor_files, weights
from mobilebert.settings import Settings, Transfer
from mobilebert.storage import artifacts
from mobilebert.training.loop import Span
from mobilebert.training.options import RunOptions

log = logging.getLogger(__name__)
AUXILIARY = "auxiliary"
COMMON = ("masking", "training", "seed")  # sections that every command here takes


def pretrain_teacher(
    settings: Settings, data: RecordsInput, options: RunOptions, *, own_shapes: Configurations | None = None
) -> None:
    """Train a teacher on the records with plain masked language modelling (`scripts.pretrain_teacher`).

    Args:
        settings: `teacher.shape`, `teacher.training`, `masking`, `training` and `seed` are used.
        data: records and tokenizer.
        options: what shapes nothing.
        own_shapes: configurations of the user's own shapes.

    Raises:
        UserError: an input or the shape is refused, or the training meets what a person must mend.
    """
    run = TrainingRun(
        settings, ("teacher.shape", "teacher.training", *COMMON), data, options.threads, own_shapes
    )
    teacher = run.settings.teacher
    config = run.config(teacher.shape)

    def make() -> tuple[Any, Any]:
        model = models.build(config, run.seed("teacher"), compute_dtype=run.settings.training.precision)
        return model, MaskedLmObjective(model)

    seed, name = run.seed("pretrain_teacher"), f"pretrain_teacher-{teacher.shape}"
    run_training(
        run, TrainingPlan("pretrain_teacher", name, teacher.training, seed, make, config.to_config()), options
    )


def transfer_layer(
    settings: Settings,
    data: RecordsInput,
    options: RunOptions,
    *,
    student: str,
    stage: str,
    teacher: Path,
    previous: Path | None = None,
    own_shapes: Configurations | None = None,
) -> None:
    """Train one stage of knowledge transfer (`scripts.transfer_layer`).

    Args:
        settings: `recipe`, `transfer`, `student`, `masking`, `training` and `seed` are used.
        data: records and tokenizer.
        options: what shapes nothing.
        student: the name of its shape.
        stage: layer01, layer02, ..., or joint.
        teacher: the checked teacher's folder.
        previous: the folder of the stage before; None for the first.
        own_shapes: configurations of the user's own shapes.

    Raises:
        UserError: there is no such stage, teacher and student do not fit, or as `pretrain_teacher`.
    """
    run = TrainingRun(settings, ("recipe", "transfer", "student", *COMMON), data, options.threads, own_shapes)
    transfer, recipe = run.settings.transfer, run.settings.recipe
    tables = run.settings.student.tables_from_teacher
    start = Start(run, student, teacher, previous, tables=tables, matched=transfer)
    own = Stage(
        stage, recipe, transfer, start.shape.num_hidden_layers
    )  # refuses an unknown stage before anything is loaded

    def make() -> tuple[Any, Any]:
        model, taught_by = start.make()
        objective = TransferObjective(
            model, taught_by, transfer, stage, recipe, run.seed("projection", student)
        )
        own.wait(model, objective)
        return model, objective

    def span(objective: Any) -> Span:
        return own.continued(objective, start.inputs.get("previous"))

    plan = TrainingPlan(
        command="transfer_layer",
        name=f"transfer_layer-{student}-{stage}",
        optimization=own.optimization,
        seed=run.seed("transfer_layer", student),  # of all stages: batches go on from one to the next
        make=make,
        config=start.shape.to_config(),
        arguments={"student": student, "stage": stage, **start.arguments},
        inputs=start.inputs,
        evaluate=False,
        span=span,
        writes_optimizer=True,
    )
    run_training(run, plan, options)


def pretrain_student(
    settings: Settings,
    data: RecordsInput,
    options: RunOptions,
    *,
    student: str,
    arm: str = "distilled",
    extra_steps: int = 0,
    teacher: Path | None = None,
    previous: Path | None = None,
    own_shapes: Configurations | None = None,
) -> None:
    """Train a student with masked language modelling, distilled or as a baseline
    (`scripts.pretrain_student`).

    The arms see the same batches and start from the same random weights; they differ in what is copied and in
    the loss.

    Args:
        settings: `recipe`, `pretraining`, `student`, `masking`, `training` and `seed` are used, and
            `transfer` where its schedule is auxiliary and the arm distilled.
        data: records and tokenizer.
        options: what shapes nothing.
        student: the name of its shape.
        arm: distilled, tables or scratch.
        extra_steps: steps more than the settings say.
        teacher: the checked teacher's folder; None where the arm needs none.
        previous: the folder of the last stage of the transfer; None: there is none.
        own_shapes: configurations of the user's own shapes.

    Raises:
        UserError: a teacher is needed and absent, teacher and student do not fit, or as `pretrain_teacher`.
    """
    distilled = arm == "distilled"
    auxiliary = distilled and settings.transfer.schedule == AUXILIARY
    sections = ("recipe", *(["transfer"] if auxiliary else []), "pretraining", "student", *COMMON)
    run = TrainingRun(settings, sections, data, options.threads, own_shapes)
    pretraining, transfer, recipe = run.settings.pretraining, run.settings.transfer, run.settings.recipe
    tables = arm == "tables" or (distilled and run.settings.student.tables_from_teacher)
    teaches = distilled and (pretraining.ground_truth_ratio < 1 or auxiliary)
    matched = transfer if auxiliary else None
    start = Start(
        run, student, teacher, previous, tables=tables, continues=distilled, teaches=teaches, matched=matched
    )

    def make() -> tuple[Any, Any]:
        model, taught_by = start.make()
        seed = run.seed("projection", student)
        added = TransferObjective(model, taught_by, transfer, JOINT, recipe, seed) if auxiliary else None
        ratio = pretraining.ground_truth_ratio if distilled else 1.0
        return model, MaskedLmObjective(
            model, taught_by, ratio, transfer=added, next_sentence=pretraining.next_sentence
        )

    plan = TrainingPlan(
        command="pretrain_student",
        name=f"pretrain_student-{student}-{arm}",
        optimization=pretraining.training.model_copy(
            update={"steps": pretraining.training.steps + extra_steps}
        ),
        seed=run.seed("pretrain_student", student),
        make=make,
        config=start.shape.to_config(),
        arguments={"student": student, "arm": arm, "extra_steps": extra_steps, **start.arguments},
        inputs=start.inputs,
        finish=MaskedLmObjective.hand_over,
    )
    run_training(run, plan, options)


class Start:
    """What a student starts from: an earlier stage, a given directory, or fresh weights with or without the
    teacher's tables.

    Attributes:
        shape: the student's.
        inputs: role -> artifact that is read.
        arguments: digests of a given student that is no artifact of ours.
    """

    def __init__(
        self,
        run: TrainingRun,
        name: str,
        teacher: Path | None,
        previous: Path | None,
        *,
        tables: bool,
        continues: bool = True,
        teaches: bool = True,
        matched: Transfer | None = None,
    ) -> None:
        """Choose, and check that teacher, student and records belong together.

        Args:
            run: the command's settings and records.
            name: of the student.
            teacher: its folder, if there is one.
            previous: the folder of the stage before, if there is one.
            tables: copy the teacher's tables into fresh weights.
            continues: start from `previous` or `student.from`, if there is either; else from fresh weights.
            teaches: whether the training needs the teacher.
            matched: what layers learn from layers, so that depth, heads and width must fit; None: nothing.

        Raises:
            UserError: a line for each thing that does not fit.
        """
        self._run, self._name = run, name
        previous = previous if continues else None
        own = run.settings.student.from_
        external = Path(own) if own and continues and previous is None else None
        self._source = previous or external
        self._tables = tables and self._source is None
        self._teaches = teaches
        self.inputs: dict[str, Path] = {}
        self.arguments: dict[str, Any] = {}
        self.shape = read_model_config(self._source) if self._source else run.config(name)
        if previous:
            artifacts.read(previous, "model")
            self.inputs["previous"] = previous
        if own and self._source:  # as it lies there, or imported before
            compatibility.check_given(
                self.shape, run.config(name), name, str(self._source / tensor_files.CONFIG)
            )
        if external:
            named = (
                path for pattern in ("*.safetensors", "*.bin") for path in sorted(external.glob(pattern))
            )
            files = [external / tensor_files.CONFIG, *named]
            self.arguments["from"] = {path.name: artifacts.sha256(path) for path in files}
        if self._tables or teaches:
            if teacher is None:
                raise UserError("--teacher: missing; this training learns from a teacher, name its directory")
            artifacts.read(teacher, "model")
            self.inputs["teacher"] = teacher
            compatibility.check(
                read_model_config(teacher),
                self.shape,
                name,
                layerwise=layer_matching.shared(matched) if matched else False,
            )
            compatibility.check_matches(matched, read_model_config(teacher), self.shape, name)
            run.check_tokenizer(teacher)

    def make(self) -> tuple[Any, Any]:
        """The student, and the teacher (None where the training does not need it)."""
        run = self._run
        teacher = run.load(self.inputs["teacher"]) if "teacher" in self.inputs else None
        if self._source:
            log.info("student '%s' goes on from %s", self._name, self._source)
            student = run.load(self._source)
        else:
            # One seed for every arm: baselines differ from the distilled student only in what they learn
            # from.
            student = models.build(
                self.shape, run.seed("student", self._name), compute_dtype=run.settings.training.precision
            )
            copied = weights.copy_tables(teacher, student) if self._tables and teacher else []
            log.info("student '%s' starts afresh, with %d tables of the teacher", self._name, len(copied))
        return student, (teacher if self._teaches else None)


def read_model_config(folder: Path) -> configs.ModelConfig:
    """The shape of the model in a folder.

    Raises:
        UserError: no config.json there, or none that is understood.
    """
    return configs.from_config(tensor_files.read_config(folder), str(folder / tensor_files.CONFIG))
