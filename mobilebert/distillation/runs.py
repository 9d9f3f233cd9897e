"""What every training command here does around its objective: read, resume, train, measure, write, clean
up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobilebert import tokenization
from mobilebert.distillation import compatibility, evaluation, recipes, stage_schedule
from mobilebert.errors import UserError
from mobilebert.models.checkpoints import weights
from mobilebert.models.configs import ModelConfig, from_config, named
from mobilebert.records import reader
from mobilebert.settings import Optimization, Settings, derive_seed, sections_of, without_paths
from mobilebert.storage import artifacts
from mobilebert.tokenization import importing
from mobilebert.training import accelerators, loop, multihost, schedules
from mobilebert.training.options import RunOptions
from mobilebert.training.state import workspace as state
from mobilebert.training.steps import Batches, at_once_of

log = logging.getLogger(__name__)
Configurations = Mapping[str, Mapping[str, Any]]  # of the user's own shapes, by name


@dataclass(frozen=True)
class RecordsInput:
    """The records that a command reads.

    Attributes:
        records: the folder of the token records.
        tokenizer: the folder of the tokenizer that they were written with.
    """

    records: Path
    tokenizer: Path


class TrainingRun:
    """What a command that trains or measures a model on records has in hand.

    Attributes:
        settings: resolved (`recipes.resolve`).
        manifest_settings: those sections of them that the command uses, as the manifest shows them.
        inputs: role -> artifact that is read.
        accelerator: what computes.
        records: the token records.
        tokenizer: what they were written with.
    """

    def __init__(
        self,
        settings: Settings,
        sections: Sequence[str],
        data: RecordsInput,
        threads: int,
        own_shapes: Configurations | None = None,
    ) -> None:
        """Open the records and their tokenizer.

        Args:
            settings: of the run; nulls that mean "as the recipe has it" are filled in here.
            sections: the names of those that shape the result.
            data: where records and tokenizer lie.
            threads: to compute with.
            own_shapes: configurations of the user's own shapes.

        Raises:
            UserError: an artifact is absent or damaged, or records and tokenizer do not belong together.
        """
        self.settings = recipes.resolve(settings)
        self._shapes = own_shapes or {}
        shown = sections_of(self.settings, *sections) | (
            {"shapes": dict(self._shapes)} if self._shapes else {}
        )
        self.manifest_settings = without_paths(shown)
        self.inputs = {"records": data.records, "tokenizer": data.tokenizer}
        # Before anything else of TensorFlow: its threads are fixed once it has started.
        self.accelerator = accelerators.find(self.settings.training.accelerator, threads)
        self.records = reader.RecordSet(data.records)
        artifacts.read(data.tokenizer, "tokenizer")
        self.tokenizer = tokenization.load(data.tokenizer)
        compatibility.check_tokenizers(
            {
                f"the records in {data.records}": self.records.vocabulary,
                str(data.tokenizer): self.tokenizer.digest,
            }
        )

    def seed(self, *names: str) -> int:
        """The seed of what has these names, derived from the run's."""
        return derive_seed(self.settings.seed, *names)

    def config(self, name: str) -> ModelConfig:
        """The shape of that name for the records' vocabulary: one of the user's own, or a known one.

        Raises:
            UserError: the name is unknown, or the user's shape has another vocabulary.
        """
        if name not in self._shapes:
            return named(name, self.tokenizer.size)
        config = from_config(self._shapes[name], f"shapes.{name}")
        if config.vocab_size != self.tokenizer.size:
            raise UserError(
                f"shapes.{name}: vocab_size is {config.vocab_size}, but the tokenizer of the records "
                f"({self.inputs['tokenizer']}) has "
                f"{self.tokenizer.size} entries; change the file, or take the vocabulary that it is for "
                f"(vocabulary.kind)"
            )
        return config

    def load(self, folder: Path) -> Any:
        """The model of a folder (`models.Model`), refused if the records are not for it."""
        self.check_tokenizer(folder)
        model = weights.load(folder, compute_dtype=self.settings.training.precision)
        if model.config.max_position_embeddings < self.records.sequence_length:
            raise UserError(
                f"{folder}: it knows {model.config.max_position_embeddings} positions, but the records hold "
                f"sequences of {self.records.sequence_length} tokens; lower records.sequence_length"
            )
        return model

    def check_tokenizer(self, folder: Path) -> None:
        """Refuse a model whose tokenizer is not the one that the records were written with."""
        compatibility.check_tokenizers(
            {
                str(self.inputs["tokenizer"]): self.tokenizer.digest,
                str(folder): importing.digest(folder, self.tokenizer),
            }
        )

    def measure(self, model: Any, batch_size: int) -> dict[str, Any]:
        """The content of evaluation.json: the held-out figures, with the same masks for every model, and the
        size.

        The model was made in the accelerator's scope; all devices, and hosts, compute `batch_size` sequences
        at a time together.
        """
        figures = evaluation.masked_lm(
            model, self.records, self.settings.masking, batch_size, self.seed("heldout"), self.accelerator
        )
        log.info(
            (
                "held out: %.4f of %d masked tokens right (%.4f by always guessing the most frequent one), "
                "loss %.4f"
            ),
            *(
                figures[name]
                for name in ("masked_accuracy", "predictions", "unigram_accuracy", "masked_loss")
            ),
        )
        return {"heldout": figures, "parameters": model.parameters}


@dataclass(frozen=True)
class TrainingPlan:
    """One training of a command.

    Attributes:
        command: its name, part of the fingerprint.
        name: of the unfinished training's folder, and of the progress line.
        optimization: how long and how fast.
        seed: of batches and masks.
        make: gives the model that is written and the objective; called in the accelerator's scope.
        config: of the model that is trained, as config.json.
        arguments: what shapes the result besides settings and inputs (JSON values).
        inputs: role -> artifact, besides records and tokenizer.
        evaluate: whether to measure the model on held-out records.
        span: the objective -> the steps that are taken; None: all of `optimization`.
        finish: called with the objective once it is trained, before the model is written.
        writes_optimizer: whether the optimizer's state is written too, for a job that goes on from here.
    """

    command: str
    name: str
    optimization: Optimization
    seed: int
    make: Callable[[], tuple[Any, Any]]
    config: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    evaluate: bool = True
    span: Callable[[Any], loop.Span] | None = None
    finish: Callable[[Any], None] | None = None
    writes_optimizer: bool = False


def run_training(run: TrainingRun, plan: TrainingPlan, options: RunOptions) -> None:
    """Train what is planned, from where an earlier attempt stopped, and write the model artifact."""
    training, whole = run.settings.training, run.records.sequence_length
    inputs = {**run.inputs, **plan.inputs}
    settings = run.manifest_settings | {"arguments": dict(plan.arguments)}
    with run.accelerator.scope():
        model, objective = plan.make()
    span = plan.span(objective) if plan.span else None
    steps = span or loop.Span(0, plan.optimization.steps)
    lengths = schedules.lengths(plan.optimization, steps.start, steps.stop, whole)
    for length in set(lengths.values()) - {whole}:
        run.records.check_length(length)  # now, and not when its phase comes
    fingerprint = state.fingerprint(
        plan.command, settings | {"shape": dict(plan.config)}, inputs, run.accelerator.environment
    )
    with multihost.opened(run.accelerator, options, plan.name, fingerprint) as workspace:
        batches = _batches(run, plan, lengths, steps.origin)
        job, at_once = _job(
            run, plan, objective, span, lengths, batches, skips=options.on_nonfinite == "skip"
        )
        metrics = workspace.folder / "finished-metrics.jsonl"
        trained = loop.train(
            job, run.accelerator, workspace, metrics, options.checkpoint_seconds, options.log
        )
        if plan.finish:
            plan.finish(objective)
        figures = run.measure(model, at_once) if plan.evaluate else None
        if not run.accelerator.chief:
            return
        with artifacts.writing(
            options.out, "model", settings=settings, inputs=inputs, versions=weights.versions()
        ) as writer:
            weights.save(writer, model)
            tokenization.copy_files(run.inputs["tokenizer"], writer)
            writer.path("metrics.jsonl").write_bytes(metrics.read_bytes())
            if figures is not None:
                write_evaluation(writer, figures)
            if (
                span is not None
                and plan.writes_optimizer
                and training.keep == "last"
                and training.early_stop is None
            ):
                stage_schedule.save(
                    writer.path(stage_schedule.FILE), trained.tensors, span, plan.optimization.batch_size
                )
            writer.counts = trained.counts()
        workspace.finish()


def _job(
    run: TrainingRun,
    plan: TrainingPlan,
    objective: Any,
    span: loop.Span | None,
    lengths: Mapping[int, int],
    batches: Batches,
    *,
    skips: bool,
) -> tuple[loop.Job, int]:
    """The training, and how many sequences all devices compute at once."""
    training, size = run.settings.training, plan.optimization.batch_size
    at_once = at_once_of(size, run.accelerator.devices, training.device_batch)
    heldout = (
        objective,
        run.records,
        run.settings.masking,
        at_once,
        run.seed("heldout"),
        training.evaluate_sequences,
    )
    job = loop.Job(
        plan.name,
        objective,
        batches,
        plan.optimization,
        training,
        plan.seed,
        span,
        lengths,
        measure=evaluation.measure(*heldout, run.accelerator),
        records=lambda step: _by_file(run.records.locate_train(size, plan.seed, step)),
        skips=skips,
    )
    return job, at_once


def _batches(run: TrainingRun, plan: TrainingPlan, lengths: Mapping[int, int], origin: int) -> Batches:
    """Batches from a step in the order of records on, cut as the phase that the step belongs to says."""
    masking, size, whole = run.settings.masking, plan.optimization.batch_size, run.records.sequence_length

    def batches(start: int, share: tuple[int, int] = (0, 1)) -> Any:
        length = lengths[max(first for first in lengths if first <= start - origin)]
        return reader.train_batches(
            run.records, masking, size, plan.seed, start, None if length == whole else length, share
        )

    return batches


def _by_file(records: Sequence[tuple[str, int]]) -> str:
    """Records by file, for people: "train-00000-of-00002.tfrecord: 3, 17; ..." (numbers from 0 on)."""
    numbers: dict[str, list[str]] = {}
    for name, number in sorted(records):
        numbers.setdefault(name, []).append(str(number))
    return "; ".join(f"{name}: {', '.join(listed)}" for name, listed in numbers.items())


def write_evaluation(writer: artifacts.Writer, figures: Mapping[str, Any]) -> None:
    """Write evaluation.json."""
    writer.json("evaluation.json", figures)
